//! `HoldStream`: many commands of one client on one stream.
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
    self as pb, lock_store_service_server::SERVICE_NAME, streamed_answer, streamed_command,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{
    answer,
    client::{ANSWER_AHEAD, Decider, check},
};
use crate::{
    codec::Body,
    limits, metrics,
    proposer::{self, Answer, Kind, Ticket},
};

/// The part in traces.
const PART: &str = "lockstore";

/// Messages of answers.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<pb::HoldStreamResponse, Status>> + Send>>;

/// Messages on their way to the client.
type Messages = mpsc::Sender<Result<pb::HoldStreamResponse, Status>>;

/// Serves a stream until its client ends it or `shutdown`; what arrived by then, and a moment longer,
/// is answered. `place` is its own for that long.
pub(super) fn serve(
    decider: Arc<Decider>,
    requests: Streaming<pb::HoldStreamRequest>,
    place: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> Answers {
    let (answers, answered) = mpsc::unbounded_channel();
    let (messages, waiting) = mpsc::channel(limits::STREAM_MESSAGES_WAITING);
    let (reading, failures) = (Arc::clone(&decider), messages.clone());
    tokio::spawn(async move {
        let drained = async {
            shutdown.cancelled().await;
            tokio::time::sleep(limits::STREAM_DRAIN_MAX).await;
        };
        let ended = tokio::select! {
            ended = read(&reading, requests, answers, &failures) => ended,
            () = drained => Ok(()),
        };
        if let Err(status) = ended {
            // Whoever doesn't listen any more needs no reason.
            drop(failures.send(Err(status)).await);
        }
        drop(place);
    });
    tokio::spawn(write(decider, answered, messages));
    Box::pin(ReceiverStream::new(waiting))
}

/// Has commands decided as they come.
///
/// # Errors
/// A message that breaks the contract; nothing of it was done.
async fn read(
    decider: &Decider,
    mut requests: Streaming<pb::HoldStreamRequest>,
    answers: mpsc::UnboundedSender<Answer>,
    messages: &Messages,
) -> Result<(), Status> {
    let places = Arc::new(Semaphore::new(limits::STREAM_IN_FLIGHT_MAX));
    while let Some(message) = requests.message().await? {
        let count = message.commands.len();
        if count > limits::STREAM_COMMANDS_MAX {
            let most = limits::STREAM_COMMANDS_MAX;
            let why = format!("commands: {count} are too many, at most {most}");
            return Err(Status::invalid_argument(why));
        }
        let mut failed = Vec::new();
        for command in message.commands {
            // One is free when the answer to another was sent: who reads none is heard no more.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return Ok(());
            };
            let tag = command.tag;
            if let Err(status) = ask(decider, command, place, &answers) {
                failed.push(failure_of(tag, &status));
            }
        }
        let failed = pb::HoldStreamResponse { answers: failed };
        if !failed.answers.is_empty() && messages.send(Ok(failed)).await.is_err() {
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
    decider: &Decider,
    command: pb::StreamedCommand,
    place: OwnedSemaphorePermit,
    answers: &mpsc::UnboundedSender<Answer>,
) -> Result<(), Status> {
    let (kind, body) = match command.command {
        Some(streamed_command::Command::HoldSeats(c)) => (Kind::Hold, Body::HoldSeats(c)),
        Some(streamed_command::Command::ExtendHold(c)) => (Kind::Extend, Body::ExtendHold(c)),
        Some(streamed_command::Command::ReleaseHold(c)) => (Kind::Release, Body::ReleaseHold(c)),
        Some(streamed_command::Command::CommitHold(c)) => (Kind::Commit, Body::CommitHold(c)),
        None => return Err(Status::invalid_argument("command: missing")),
    };
    check(&body)?;
    decider.check_leads()?;
    let caller = Some(command.traceparent).filter(|text| !text.is_empty());
    let context = caller.map_or_else(Context::new, |text| begin(kind, &text));
    let ticket = Ticket {
        tag: command.tag,
        kind,
        since: Instant::now(),
        place,
        context: context.clone(),
    };
    let wait = Duration::from_millis(command.wait_ms.into());
    let deadline = Deadline::after(wait.saturating_sub(ANSWER_AHEAD));
    decider
        .proposer
        .propose_streamed(body, ticket, deadline, &context, answers);
    Ok(())
}

/// A span as of the command's own rpc, in the trace of its caller.
fn begin(kind: Kind, caller: &str) -> Context {
    trace::within(&trace::of_text(Some(caller)), || {
        let method = kind.rpc();
        let attributes = [
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", SERVICE_NAME),
            KeyValue::new("rpc.method", method),
        ];
        let name = format!("{SERVICE_NAME}/{method}");
        trace::span(name, SpanKind::Server, PART, attributes)
    })
}

/// Ends the span, and counts; a refusal of the state machine is no error.
fn finish(ticket: &Ticket, status: Option<&Status>) {
    let code = status.map_or(Code::Ok, Status::code);
    metrics::streamed(ticket.kind.rpc(), code, ticket.since.elapsed());
    let failure = status.map(|status| status.message().to_owned());
    trace::finish(&ticket.context, failure, || {
        vec![KeyValue::new("rpc.grpc.status_code", code as i64)]
    });
}

/// Sends answers as they come, those that are ready together in one message.
async fn write(
    decider: Arc<Decider>,
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
        let (answers, places): (_, Vec<_>) = ready
            .drain(..)
            .map(|answer| (answer_of(&decider, &answer), answer.ticket.place))
            .unzip();
        let message = pb::HoldStreamResponse { answers };
        if messages.send(Ok(message)).await.is_err() {
            return;
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

fn answer_of(decider: &Decider, answered: &Answer) -> pb::StreamedAnswer {
    use streamed_answer::Answer as Of;
    let tag = answered.ticket.tag;
    let reply = match &answered.result {
        Ok(reply) => reply,
        Err(error) => {
            let status = decider.refused(*error);
            finish(&answered.ticket, Some(&status));
            return failure_of(tag, &status);
        }
    };
    finish(&answered.ticket, None);
    let answer = match answered.ticket.kind {
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
