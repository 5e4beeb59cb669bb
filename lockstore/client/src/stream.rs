//! Many commands to one node on one stream.
//!
//! Always holds: a command gets one answer or one [`Failed`], which says honestly whether it may have been
//! done: a stream that breaks leaves those sent on it unknown, and those still waiting undone. Commands that
//! wait go together in one message, and none waits for others to come. What is not answered is
//! bounded. A stream opens when it is first used and anew after it broke.
//! Leaves to the caller how long it waits.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use holdfast_proto::lockstore::v1::{
    self as pb, lock_store_service_client::LockStoreServiceClient, streamed_answer::Answer,
    streamed_command::Command,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::{
    call::{Try, answered},
    status::Failed,
};

/// Commands that wait to be sent, while the stream opens above all.
const QUEUE_MAX: usize = 4_096;
/// Commands in one message; the node takes no more.
const COMMANDS_PER_MESSAGE_MAX: usize = 512;
/// Messages that wait for the connection; behind them commands gather.
const MESSAGES_WAITING: usize = 2;
/// Commands sent and not answered yet, those included that nobody waits for any more: twice what a
/// node takes before it reads no further.
const UNANSWERED_MAX: usize = 16_384;
/// What of a call's metadata goes along (W3C trace context).
const TRACE_KEY: &str = "traceparent";
/// When to come back if there are that many.
const FULL_RETRY_AFTER: Duration = Duration::from_millis(100);

/// A command that streams carry, and its answer.
pub(crate) trait Streamed {
    type Answer;
    fn command(self) -> Command;
    /// None if it answers another kind of command.
    fn answer(answer: Answer) -> Option<Self::Answer>;
    /// As a call of its own.
    fn call(
        ask: Try<Self>,
        client: LockStoreServiceClient<Channel>,
    ) -> impl Future<Output = Result<Self::Answer, Failed>> + Send
    where
        Self: Sized;
}

macro_rules! streamed {
    ($($kind:ident $rpc:ident: $request:ident -> $response:ident;)+) => {
        $(impl Streamed for pb::$request {
            type Answer = pb::$response;

            fn command(self) -> Command {
                Command::$kind(self)
            }

            fn answer(answer: Answer) -> Option<Self::Answer> {
                match answer {
                    Answer::$kind(answer) => Some(answer),
                    _ => None,
                }
            }

            async fn call(
                ask: Try<Self>,
                mut client: LockStoreServiceClient<Channel>,
            ) -> Result<Self::Answer, Failed> {
                answered(client.$rpc(ask.call()).await)
            }
        })+
    };
}

streamed! {
    HoldSeats hold_seats: HoldSeatsRequest -> HoldSeatsResponse;
    ExtendHold extend_hold: ExtendHoldRequest -> ExtendHoldResponse;
    ReleaseHold release_hold: ReleaseHoldRequest -> ReleaseHoldResponse;
    CommitHold commit_hold: CommitHoldRequest -> CommitHoldResponse;
    GetHold get_hold: GetHoldRequest -> GetHoldResponse;
}

/// A command and who waits for it.
#[derive(Debug)]
struct Asked {
    command: Command,
    traceparent: String,
    deadline: Instant,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Answer, Failed>>;

/// A stream to one node.
#[derive(Debug)]
pub(crate) struct HoldStream {
    client: LockStoreServiceClient<Channel>,
    /// To the stream that is open or opening.
    queue: Mutex<Option<mpsc::Sender<Asked>>>,
    /// The node is of a release without streams: each command is a call, as long as this client lives.
    is_unknown_there: Arc<AtomicBool>,
}

impl HoldStream {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            client: LockStoreServiceClient::new(channel),
            queue: Mutex::new(None),
            is_unknown_there: Arc::default(),
        }
    }

    /// Has one command decided; the node gives it up when nobody waits any more, if it still can.
    pub(crate) async fn ask<M: Streamed>(&self, ask: Try<M>) -> Result<M::Answer, Failed> {
        if self.is_unknown_there.load(Ordering::Relaxed) {
            return M::call(ask, self.client.clone()).await;
        }
        let (reply, answer) = oneshot::channel();
        let trace = ask.metadata.get(TRACE_KEY);
        let trace = trace.and_then(|value| value.to_str().ok());
        self.send(Asked {
            command: ask.message.command(),
            traceparent: trace.unwrap_or_default().to_owned(),
            deadline: Instant::now() + ask.wait,
            reply,
        })?;
        match answer.await {
            Ok(Ok(answer)) => M::answer(answer).ok_or(Failed::Unknown),
            Ok(Err(failed)) => Err(failed),
            // The stream's task ended before it said more.
            Err(_) => Err(Failed::Unknown),
        }
    }

    fn send(&self, asked: Asked) -> Result<(), Failed> {
        let mut queue = locked(&self.queue);
        let asked = match &*queue {
            None => asked,
            Some(open) => match open.try_send(asked) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => return Err(full()),
                Err(mpsc::error::TrySendError::Closed(asked)) => asked,
            },
        };
        let (open, waiting) = mpsc::channel(QUEUE_MAX);
        let unknown = Arc::clone(&self.is_unknown_there);
        tokio::spawn(run(self.client.clone(), waiting, unknown));
        let sent = open.try_send(asked).map_err(|_| full());
        *queue = Some(open);
        sent
    }
}

fn full() -> Failed {
    Failed::Overloaded {
        retry_after: FULL_RETRY_AFTER,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was sent and isn't answered yet, by tag.
type Unanswered = Mutex<HashMap<u64, Reply>>;

/// One stream, from opening to its end.
async fn run(
    mut client: LockStoreServiceClient<Channel>,
    mut waiting: mpsc::Receiver<Asked>,
    is_unknown_there: Arc<AtomicBool>,
) {
    let (messages, outgoing) = mpsc::channel(MESSAGES_WAITING);
    let why = match client.hold_stream(ReceiverStream::new(outgoing)).await {
        // Nothing is sent before a stream is open.
        Err(status) if status.code() == Code::Unimplemented => {
            is_unknown_there.store(true, Ordering::Relaxed);
            Failed::NotNow
        }
        Err(status) => match Failed::of(&status) {
            Failed::Unknown => Failed::NotNow,
            known => known,
        },
        Ok(answers) => {
            let unanswered = Arc::new(Unanswered::default());
            tokio::select! {
                () = send(&mut waiting, &messages, &unanswered) => {}
                ended = receive(answers.into_inner(), &unanswered) => {
                    if let Err(status) = ended {
                        tracing::debug!(%status, "a stream of commands broke");
                    }
                }
            }
            for (_, reply) in locked(&unanswered).drain() {
                drop(reply.send(Err(Failed::Unknown)));
            }
            Failed::NotNow
        }
    };
    // Those that come now open another.
    waiting.close();
    while let Some(asked) = waiting.recv().await {
        drop(asked.reply.send(Err(why.clone())));
    }
}

/// Sends what waits, as much as there is, until nobody can ask any more.
async fn send(
    waiting: &mut mpsc::Receiver<Asked>,
    messages: &mpsc::Sender<pb::HoldStreamRequest>,
    unanswered: &Unanswered,
) {
    let mut batch = Vec::with_capacity(COMMANDS_PER_MESSAGE_MAX);
    let mut tag = 0;
    while waiting
        .recv_many(&mut batch, COMMANDS_PER_MESSAGE_MAX)
        .await
        > 0
    {
        let now = Instant::now();
        let commands = {
            let mut unanswered = locked(unanswered);
            let mut enter = |asked: Asked| {
                if unanswered.len() >= UNANSWERED_MAX {
                    drop(asked.reply.send(Err(full())));
                    return None;
                }
                tag += 1;
                unanswered.insert(tag, asked.reply);
                let wait = asked.deadline.saturating_duration_since(now);
                Some(pb::StreamedCommand {
                    tag,
                    wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
                    command: Some(asked.command),
                    traceparent: asked.traceparent,
                })
            };
            // Whoever gave up while it waited isn't asked for.
            batch
                .drain(..)
                .filter(|asked| !asked.reply.is_closed())
                .filter_map(&mut enter)
                .collect::<Vec<_>>()
        };
        if commands.is_empty() {
            continue;
        }
        if messages
            .send(pb::HoldStreamRequest { commands })
            .await
            .is_err()
        {
            // The connection is gone: the other half ends as well, and says so.
            return std::future::pending().await;
        }
    }
}

/// Hands answers to those who wait, until the stream ends.
async fn receive(
    mut answers: Streaming<pb::HoldStreamResponse>,
    unanswered: &Unanswered,
) -> Result<(), Status> {
    while let Some(message) = answers.message().await? {
        let mut unanswered = locked(unanswered);
        for answered in message.answers {
            // Nobody waits for it, or it was told before.
            let Some(reply) = unanswered.remove(&answered.tag) else {
                continue;
            };
            let result = match answered.answer {
                Some(Answer::Failure(failure)) => Err(failed(failure)),
                Some(answer) => Ok(answer),
                None => Err(Failed::Unknown),
            };
            drop(reply.send(result));
        }
    }
    Ok(())
}

fn failed(failure: pb::StreamedFailure) -> Failed {
    let code = Code::from_i32(failure.code);
    Failed::of(&Status::with_details(
        code,
        failure.message,
        failure.details,
    ))
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::poll;

    use super::*;

    fn asked() -> (Asked, oneshot::Receiver<Result<Answer, Failed>>) {
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            command: Command::HoldSeats(pb::HoldSeatsRequest::default()),
            traceparent: String::new(),
            deadline: Instant::now() + Duration::from_secs(60),
            reply,
        };
        (asked, answer)
    }

    fn is_full(answer: Result<Result<Answer, Failed>, oneshot::error::TryRecvError>) -> bool {
        matches!(answer, Ok(Err(Failed::Overloaded { retry_after })) if retry_after == FULL_RETRY_AFTER)
    }

    #[tokio::test]
    async fn message_has_so_many_commands_and_so_many_go_unanswered() {
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        let (messages, mut outgoing) = mpsc::channel(MESSAGES_WAITING);
        let unanswered = Unanswered::default();
        let mut sending = std::pin::pin!(send(&mut waiting, &messages, &unanswered));
        let mut answers = Vec::new();
        while answers.len() < UNANSWERED_MAX {
            for _ in 0..QUEUE_MAX {
                let (asked, answer) = asked();
                assert!(queue.try_send(asked).is_ok(), "there is a place");
                answers.push(answer);
            }
            for _ in 0..QUEUE_MAX / COMMANDS_PER_MESSAGE_MAX {
                assert!(poll!(&mut sending).is_pending());
                let message = outgoing.try_recv().expect("one is sent");
                assert_eq!(message.commands.len(), COMMANDS_PER_MESSAGE_MAX);
            }
        }
        let (beyond, mut answer) = asked();
        assert!(queue.try_send(beyond).is_ok());
        assert!(poll!(&mut sending).is_pending());
        assert!(is_full(answer.try_recv()), "nothing of it was sent");
        assert!(outgoing.try_recv().is_err());
        // One is answered: the next can go.
        drop(locked(&unanswered).remove(&1));
        let (next, mut answer) = asked();
        assert!(queue.try_send(next).is_ok());
        assert!(poll!(&mut sending).is_pending());
        assert_eq!(outgoing.try_recv().expect("it is sent").commands.len(), 1);
        assert!(answer.try_recv().is_err(), "it waits");
    }

    #[tokio::test]
    async fn command_beyond_those_that_may_wait_to_be_sent_is_told_at_once() {
        let nowhere = Channel::from_static("http://127.0.0.1:9").connect_lazy();
        let stream = HoldStream::new(nowhere);
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        *locked(&stream.queue) = Some(queue);
        let ask = || Try {
            message: pb::HoldSeatsRequest::default(),
            metadata: tonic::metadata::MetadataMap::new(),
            wait: Duration::from_secs(60),
        };
        let mut asking: Vec<_> = (0..=QUEUE_MAX)
            .map(|_| Box::pin(stream.ask(ask())))
            .collect();
        for asking in &mut asking[..QUEUE_MAX] {
            assert!(poll!(asking).is_pending(), "there is a place");
        }
        let beyond = poll!(&mut asking[QUEUE_MAX]);
        assert!(matches!(
            beyond,
            Poll::Ready(Err(Failed::Overloaded { .. }))
        ));
        drop(waiting);
    }
}
