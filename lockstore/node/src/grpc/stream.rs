//! `HoldStream`: many commands and reads of one client on one stream.
//!
//! Always holds: each command is answered once, under its tag, as its own rpc would answer it; commands
//! that aren't answered yet are bounded; what is ready leaves together, undelayed. A client that
//! doesn't read its answers is heard no more once its places are taken.
//! Leaves to the proposer which commands share an entry.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::Stream;
use holdfast_mesh::{
    deadline::Deadline,
    trace::{self, Context, KeyValue, SpanKind},
};
use holdfast_proto::lockstore::v1::{
    self as pb, lock_store_service_server::SERVICE_NAME, streamed_answer, streamed_command::Command,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{
    answer,
    client::{ANSWER_AHEAD, Decider, check},
    failure,
    read::{Consistency, Reader, WantedHold},
};
use crate::{
    codec::{Body, Field},
    limits,
    metrics::{self, Stage, Streamed},
    proposer::{self, Answer, Kind, Ticket},
};

/// The part in traces.
const PART: &str = "lockstore";
/// The rpc of reads.
const GET_HOLD: &str = "GetHold";

/// Messages of answers.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<pb::HoldStreamResponse, Status>> + Send>>;

/// Messages on their way to the client.
type Messages = mpsc::Sender<Result<pb::HoldStreamResponse, Status>>;

/// Serves a stream until its client ends it or `shutdown`; what arrived by then, and a moment longer,
/// is answered. `place` is its own for that long.
pub(super) fn serve(
    reader: Arc<Reader>,
    requests: Streaming<pb::HoldStreamRequest>,
    place: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> Answers {
    let (answers, answered) = mpsc::unbounded_channel();
    let (messages, waiting) = mpsc::channel(limits::STREAM_MESSAGES_WAITING);
    let counted = Arc::new(Counted::new());
    let commands = Commands {
        reader: Arc::clone(&reader),
        counted: Arc::clone(&counted),
        answers,
        messages: messages.clone(),
    };
    tokio::spawn(async move {
        let drained = async {
            shutdown.cancelled().await;
            tokio::time::sleep(limits::STREAM_DRAIN_MAX).await;
        };
        let ended = tokio::select! {
            ended = commands.take(requests) => ended,
            () = drained => Ok(()),
        };
        if let Err(status) = ended {
            // Whoever doesn't listen any more needs no reason.
            drop(commands.messages.send(Err(status)).await);
        }
        drop(place);
    });
    tokio::spawn(write(reader, counted, answered, messages));
    Box::pin(ReceiverStream::new(waiting))
}

/// What comes in on a stream, and where it goes.
struct Commands {
    reader: Arc<Reader>,
    counted: Arc<Counted>,
    answers: mpsc::UnboundedSender<Answer>,
    messages: Messages,
}

impl Commands {
    /// Has commands decided as they come.
    ///
    /// # Errors
    /// A message that breaks the contract; nothing of it was done.
    async fn take(&self, mut requests: Streaming<pb::HoldStreamRequest>) -> Result<(), Status> {
        let places = Arc::new(Semaphore::new(limits::STREAM_IN_FLIGHT_MAX));
        while let Some(message) = requests.message().await? {
            let count = message.commands.len();
            if count > limits::STREAM_COMMANDS_MAX {
                let most = limits::STREAM_COMMANDS_MAX;
                let why = format!("commands: {count} are too many, at most {most}");
                return Err(Status::invalid_argument(why));
            }
            let (mut failed, mut reads) = (Vec::new(), Vec::new());
            for command in message.commands {
                // One is free when the answer to another was sent: who reads none is heard no more.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return Ok(());
                };
                let tag = command.tag;
                let wait = Duration::from_millis(command.wait_ms.into());
                let asked = match command.command {
                    Some(Command::GetHold(wanted)) => {
                        reads.push(AskedRead::of(
                            tag,
                            &wanted,
                            wait,
                            &command.traceparent,
                            place,
                        ));
                        continue;
                    }
                    Some(Command::HoldSeats(c)) => Some((Kind::Hold, Body::HoldSeats(c))),
                    Some(Command::ExtendHold(c)) => Some((Kind::Extend, Body::ExtendHold(c))),
                    Some(Command::ReleaseHold(c)) => Some((Kind::Release, Body::ReleaseHold(c))),
                    Some(Command::CommitHold(c)) => Some((Kind::Commit, Body::CommitHold(c))),
                    None => None,
                };
                let asked = asked
                    .ok_or_else(|| Status::invalid_argument("command: missing"))
                    .and_then(|asked| self.ask(tag, asked, wait, &command.traceparent, place));
                if let Err(status) = asked {
                    failed.push(failure_of(tag, &status));
                }
            }
            if !reads.is_empty() {
                let (reader, counted) = (Arc::clone(&self.reader), Arc::clone(&self.counted));
                tokio::spawn(answer_reads(reader, counted, reads, self.messages.clone()));
            }
            let failed = pb::HoldStreamResponse { answers: failed };
            if !failed.answers.is_empty() && self.messages.send(Ok(failed)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Hands one command in.
    ///
    /// # Errors
    /// It can't be decided, here or at all; nothing was done.
    fn ask(
        &self,
        tag: u64,
        (kind, body): (Kind, Body),
        wait: Duration,
        caller: &str,
        place: OwnedSemaphorePermit,
    ) -> Result<(), Status> {
        check(&body)?;
        let decider = &self.reader.decider;
        decider.admit(&body)?;
        let context = begin(kind.rpc(), caller);
        let ticket = Ticket {
            tag,
            kind,
            since: Instant::now(),
            place,
            context: context.clone(),
        };
        let deadline = Deadline::after(wait.saturating_sub(ANSWER_AHEAD));
        decider
            .proposer
            .propose_streamed(body, ticket, deadline, &context, &self.answers);
        Ok(())
    }
}

/// A read that came on a stream.
struct AskedRead {
    tag: u64,
    wanted: Result<WantedHold, Status>,
    wait: Duration,
    since: Instant,
    context: Context,
    place: OwnedSemaphorePermit,
}

impl AskedRead {
    fn of(
        tag: u64,
        wanted: &pb::GetHoldRequest,
        wait: Duration,
        caller: &str,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            tag,
            wanted: wanted_here(wanted),
            wait,
            since: Instant::now(),
            context: begin(GET_HOLD, caller),
            place,
        }
    }
}

/// What a read on a stream asks for, which shares its state with others.
///
/// # Errors
/// Names the field that can't be read, or isn't read here.
fn wanted_here(wanted: &pb::GetHoldRequest) -> Result<WantedHold, Status> {
    match Consistency::of(wanted.consistency.as_ref())? {
        Consistency::Linearizable => WantedHold::of(wanted),
        Consistency::AtLeast(_) | Consistency::Stale(_) => Err(failure::invalid(Field {
            name: "consistency",
            why: "reads on a stream are linearizable".to_owned(),
        })),
    }
}

/// Answers reads that came together from one state.
async fn answer_reads(
    reader: Arc<Reader>,
    counted: Arc<Counted>,
    reads: Vec<AskedRead>,
    messages: Messages,
) {
    // Those that came together wait together: as long as the most patient.
    let wait = reads.iter().map(|asked| asked.wait).max();
    let wait = wait.unwrap_or_default();
    let read = reader.read(Consistency::Linearizable, wait).await;
    let now = Instant::now();
    let (answers, places): (_, Vec<_>) = reads
        .into_iter()
        .map(|asked| {
            let answer = match (&read, &asked.wanted) {
                (Ok(read), Ok(wanted)) => Ok(read.hold(wanted)),
                (Err(status), _) | (_, Err(status)) => Err(status),
            };
            let status = answer.as_ref().err().copied();
            finish(&counted.get_hold, asked.since, &asked.context, status, now);
            let answer = match answer {
                Ok(answer) => pb::StreamedAnswer {
                    tag: asked.tag,
                    answer: Some(streamed_answer::Answer::GetHold(answer)),
                },
                Err(status) => failure_of(asked.tag, status),
            };
            (answer, asked.place)
        })
        .unzip();
    // A client that doesn't read its answers takes nobody else's place, nor keeps the state as it was.
    drop(read);
    // Whoever doesn't listen any more needs no answer.
    drop(messages.send(Ok(pb::HoldStreamResponse { answers })).await);
    drop(places);
}

/// A span as of the command's own rpc, in the trace of its caller; none where there is none.
fn begin(method: &'static str, caller: &str) -> Context {
    if caller.is_empty() {
        return Context::new();
    }
    trace::within(&trace::of_text(Some(caller)), || {
        let attributes = [
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", SERVICE_NAME),
            KeyValue::new("rpc.method", method),
        ];
        let name = format!("{SERVICE_NAME}/{method}");
        trace::span(name, SpanKind::Server, PART, attributes)
    })
}

/// What counts the answers of one stream.
struct Counted {
    hold: Streamed,
    extend: Streamed,
    release: Streamed,
    commit: Streamed,
    get_hold: Streamed,
}

impl Counted {
    fn new() -> Self {
        let of = |kind: Kind| Streamed::of(kind.rpc());
        Self {
            hold: of(Kind::Hold),
            extend: of(Kind::Extend),
            release: of(Kind::Release),
            commit: of(Kind::Commit),
            get_hold: Streamed::of(GET_HOLD),
        }
    }

    fn of(&self, kind: Kind) -> &Streamed {
        match kind {
            Kind::Hold => &self.hold,
            Kind::Extend => &self.extend,
            Kind::Release => &self.release,
            Kind::Commit => &self.commit,
        }
    }
}

/// Ends the span, and counts; a refusal of the state machine is no error.
fn finish(
    counted: &Streamed,
    since: Instant,
    context: &Context,
    status: Option<&Status>,
    now: Instant,
) {
    let code = status.map_or(Code::Ok, Status::code);
    counted.count(code, now - since);
    let failure = status.map(|status| status.message().to_owned());
    trace::finish(context, failure, || {
        vec![KeyValue::new("rpc.grpc.status_code", code as i64)]
    });
}

/// Sends answers as they come, those that are ready together in one message.
async fn write(
    reader: Arc<Reader>,
    counted: Arc<Counted>,
    mut answered: mpsc::UnboundedReceiver<Answer>,
    messages: Messages,
) {
    let mut ready = Vec::with_capacity(limits::STREAM_ANSWERS_MAX);
    let mut said: Option<Instant> = None;
    while answered
        .recv_many(&mut ready, limits::STREAM_ANSWERS_MAX)
        .await
        > 0
    {
        let failed = ready.iter().filter(|answer| is_failure(answer)).count();
        let is_time = said.is_none_or(|at| at.elapsed() >= limits::STREAM_FAILURE_LOG_PERIOD);
        if failed > 0 && is_time {
            said = Some(Instant::now());
            tracing::warn!(failed, "commands of a stream weren't decided");
        }
        let (now, first) = (Instant::now(), ready.first().map(|answer| answer.at));
        let (answers, places): (_, Vec<_>) = ready
            .drain(..)
            .map(|answer| {
                (
                    answer_of(&reader.decider, &counted, &answer, now),
                    answer.ticket.place,
                )
            })
            .unzip();
        let message = pb::HoldStreamResponse { answers };
        if messages.send(Ok(message)).await.is_err() {
            return;
        }
        if let Some(first) = first {
            metrics::stage(Stage::Answered, first.elapsed());
        }
        drop(places);
    }
}

/// Whether somebody should hear of it; who isn't asked in time, and who doesn't lead, is metrics' to say.
fn is_failure(answer: &Answer) -> bool {
    matches!(
        answer.result,
        Err(proposer::Error::NoQuorum | proposer::Error::Unknown)
    )
}

fn answer_of(
    decider: &Decider,
    counted: &Counted,
    answered: &Answer,
    now: Instant,
) -> pb::StreamedAnswer {
    use streamed_answer::Answer as Of;
    let (ticket, tag) = (&answered.ticket, answered.ticket.tag);
    let counted = counted.of(ticket.kind);
    let reply = match &answered.result {
        Ok(reply) => reply,
        Err(error) => {
            let status = decider.refused(*error);
            finish(counted, ticket.since, &ticket.context, Some(&status), now);
            return failure_of(tag, &status);
        }
    };
    finish(counted, ticket.since, &ticket.context, None, now);
    let answer = match ticket.kind {
        Kind::Hold => answer::hold_seats(reply).map(Of::HoldSeats),
        Kind::Extend => answer::extend_hold(reply).map(Of::ExtendHold),
        Kind::Release => answer::release_hold(reply).map(Of::ReleaseHold),
        Kind::Commit => answer::commit_hold(reply).map(Of::CommitHold),
    };
    answer.map_or_else(
        |status| failure_of(tag, &status),
        |answer| pb::StreamedAnswer {
            tag,
            answer: Some(answer),
        },
    )
}

fn failure_of(tag: u64, status: &Status) -> pb::StreamedAnswer {
    let failure = pb::StreamedFailure {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Bytes::copy_from_slice(status.details()),
    };
    pb::StreamedAnswer {
        tag,
        answer: Some(streamed_answer::Answer::Failure(failure)),
    }
}
