//! From single commands to log entries.
//!
//! Always holds: an idle leader proposes at once; under load commands that wait share an entry,
//! and when something is due a tick goes first in it, however many wait; before a leader that didn't
//! believe the wall clock has anything else done, it has expiry paused; several entries are in
//! flight, a bounded number, and when those wait for a quorum that is gone the others are told so;
//! a command whose caller no longer waits is not proposed; what was proposed and got no answer is
//! said to be unknown, never failed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use holdfast_mesh::{
    deadline::Deadline,
    trace::{self, Context, KeyValue, SpanKind},
};
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::limits::NOT_AFTER_AHEAD_MAX;
use lockstore_core::Outcome;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    behaviour::{self, Behaviours},
    clock::{Clock, Jump},
    codec, limits,
    machine::{Machine, Reply},
    metrics::{self, Stage},
    raft::{Node, ProposeError},
    wall::Wall,
};

/// A command that got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Error {
    /// Not proposed.
    NotLeader,
    /// Not proposed.
    NoQuorum,
    /// Not proposed: too many wait, or it waited until its deadline.
    Overloaded,
    /// It may or may not take effect.
    Unknown,
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader => Self::NotLeader,
            ProposeError::NoQuorum => Self::NoQuorum,
            ProposeError::Unknown => Self::Unknown,
        }
    }
}

const WAITING: u8 = 0;
const PROPOSED: u8 = 1;
const ABANDONED: u8 = 2;

/// Who has the last word on a command: its caller or the proposer, whoever is first.
#[derive(Debug, Default)]
struct Claim(AtomicU8);

impl Claim {
    fn take(&self, to: u8) -> bool {
        self.0
            .compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// What became of a command of a stream.
pub(crate) struct Answer {
    pub(crate) ticket: Ticket,
    pub(crate) result: Result<Reply, Error>,
    /// When that was known.
    pub(crate) at: Instant,
}

/// Who asked for a command on a stream.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The client's name for it.
    pub(crate) tag: u64,
    /// Which kind of answer it wants.
    pub(crate) kind: Kind,
    /// When it came.
    pub(crate) since: Instant,
    /// Its place on the stream until the answer is sent.
    pub(crate) place: OwnedSemaphorePermit,
    /// The span of the command, an empty one where it is of no trace.
    pub(crate) context: Context,
}

/// The commands that streams carry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Hold,
    Extend,
    Release,
    Commit,
}

impl Kind {
    /// Its own rpc.
    pub(crate) fn rpc(self) -> &'static str {
        match self {
            Self::Hold => "HoldSeats",
            Self::Extend => "ExtendHold",
            Self::Release => "ReleaseHold",
            Self::Commit => "CommitHold",
        }
    }
}

/// Who waits for a reply.
enum Waiting {
    /// A call, which may give up until it was proposed.
    Call {
        claim: Arc<Claim>,
        reply: oneshot::Sender<Result<Reply, Error>>,
        /// The span that waits for the reply, if it is recorded.
        span: Option<Context>,
    },
    /// A stream, which gives no command up before it is answered.
    Stream {
        ticket: Ticket,
        deadline: Deadline,
        answers: mpsc::UnboundedSender<Answer>,
        /// As of a call.
        span: Option<Context>,
    },
}

impl Waiting {
    fn answer(self, result: Result<Reply, Error>, at: Instant) {
        // Whoever went away meanwhile needs no answer.
        match self {
            Self::Call { reply, .. } => drop(reply.send(result)),
            Self::Stream {
                ticket,
                answers,
                span,
                ..
            } => {
                if let Some(span) = &span {
                    finish(span, &result);
                }
                if matches!(result, Err(Error::Overloaded)) {
                    metrics::overloaded();
                }
                drop(answers.send(Answer { ticket, result, at }));
            }
        }
    }
}

struct Pending {
    command: pb::LogCommand,
    waiting: Waiting,
    /// When it came.
    since: Instant,
}

impl Pending {
    /// How much work it is to apply, in holds of a few seats.
    fn work(&self) -> usize {
        use codec::Body;
        match &self.command.command {
            Some(Body::HoldSeats(c)) if c.choice.is_some() => {
                limits::COMMANDS_PER_ENTRY_MAX / limits::CHOICES_PER_ENTRY_MAX
            }
            Some(Body::HoldSeats(c)) => 1 + c.seat_nos.len() / limits::SEATS_PER_WORK,
            Some(Body::OpenShow(c)) => 1 + c.seats.len() / limits::SEATS_PER_WORK,
            Some(Body::BlockSeats(c)) => 1 + c.seat_nos.len() / limits::BLOCKED_PER_WORK,
            Some(Body::UnblockSeats(c)) => 1 + c.seat_nos.len() / limits::BLOCKED_PER_WORK,
            Some(Body::LoadSeats(c)) => {
                let seats: usize = c.claims.iter().map(|claim| claim.seat_nos.len()).sum();
                1 + c.claims.len() + seats / limits::SEATS_PER_WORK
            }
            _ => 1,
        }
    }

    /// Takes it for the log, unless nobody waits for it any more.
    fn take(&self) -> bool {
        let taken = match &self.waiting {
            Waiting::Call { claim, reply, .. } => !reply.is_closed() && claim.take(PROPOSED),
            Waiting::Stream {
                deadline, answers, ..
            } => !answers.is_closed() && !deadline.is_past(),
        };
        let (Waiting::Call { span, .. } | Waiting::Stream { span, .. }) = &self.waiting;
        if taken && let Some(span) = span {
            trace::note(span, "proposed");
        }
        taken
    }
}

/// Where commands are handed in; clones share the queue.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Pending>,
}

impl Proposer {
    /// Starts proposing; ends when every handle is gone.
    pub(crate) fn start(
        node: Node,
        machine: Arc<Machine>,
        clock: Arc<Clock>,
        behaviours: Arc<Behaviours>,
        wall: Wall,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(limits::PROPOSALS_QUEUED_MAX);
        tokio::spawn(run(node, machine, clock, behaviours, wall, waiting));
        Self { queue }
    }

    /// Has a command replicated and applied, and waits for the answer until `deadline`. One whose
    /// caller goes away before it was proposed is not.
    ///
    /// # Errors
    /// [`Error`] says whether it can still take effect.
    pub(crate) async fn propose(
        &self,
        body: codec::Body,
        deadline: Deadline,
    ) -> Result<Reply, Error> {
        let claim = Arc::new(Claim::default());
        let (reply, answer) = oneshot::channel();
        let span = begin(&trace::current());
        let command = pb::LogCommand {
            command: Some(body),
        };
        let waiting = Waiting::Call {
            claim: Arc::clone(&claim),
            reply,
            span: trace::is_sampled(&span).then(|| span.clone()),
        };
        let pending = Pending {
            command,
            waiting,
            since: Instant::now(),
        };
        if self.queue.try_send(pending).is_err() {
            metrics::overloaded();
            return Err(Error::Overloaded);
        }
        let answer = match tokio::time::timeout_at(deadline.at(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) if claim.take(ABANDONED) => {
                metrics::overloaded();
                Err(Error::Overloaded)
            }
            Ok(Err(_)) | Err(_) => Err(Error::Unknown),
        };
        finish(&span, &answer);
        answer
    }

    /// The same for a command of a stream in the trace of `context`, without waiting: it is answered through `answers`, whatever
    /// becomes of it. Once it is proposed that may be later than its `deadline`.
    pub(crate) fn propose_streamed(
        &self,
        body: codec::Body,
        ticket: Ticket,
        deadline: Deadline,
        context: &Context,
        answers: &mpsc::UnboundedSender<Answer>,
    ) {
        let command = pb::LogCommand {
            command: Some(body),
        };
        let since = ticket.since;
        let waiting = Waiting::Stream {
            ticket,
            deadline,
            answers: answers.clone(),
            span: trace::is_sampled(context).then(|| begin(context)),
        };
        let pending = Pending {
            command,
            waiting,
            since,
        };
        if let Err(refused) = self.queue.try_send(pending) {
            let refused = refused.into_inner();
            answer_all([refused.waiting], Error::Overloaded);
        }
    }
}

/// The span of a command from the queue to the answer: until `proposed` it waits for its turn, from
/// there on for a majority's disks; what is committed is applied at once.
fn begin(parent: &Context) -> Context {
    trace::within(parent, || {
        trace::span("propose", SpanKind::Internal, "lockstore", [])
    })
}

fn finish(span: &Context, answer: &Result<Reply, Error>) {
    let failure = answer.as_ref().err().map(|error| format!("{error:?}"));
    trace::finish(span, failure, || {
        let revision = answer.as_ref().ok().map(|reply| reply.revision.to_string());
        revision
            .map(|revision| KeyValue::new("lockstore.revision", revision))
            .into_iter()
            .collect()
    });
}

async fn run(
    node: Node,
    machine: Arc<Machine>,
    clock: Arc<Clock>,
    behaviours: Arc<Behaviours>,
    wall: Wall,
    mut waiting: mpsc::Receiver<Pending>,
) {
    let in_flight = Arc::new(Semaphore::new(limits::ENTRIES_IN_FLIGHT_MAX));
    while let Some(first) = waiting.recv().await {
        // While every place is taken, more commands gather behind the first.
        let permit = place(&node, &in_flight).await;
        let batch = gather(first, &mut waiting);
        if batch.is_empty() {
            continue;
        }
        let Some(permit) = permit else {
            let mut batch = batch;
            // Whoever waits now has waited for the same quorum; a bounded number, so that those
            // who come meanwhile can't keep this going.
            while batch.len() < limits::PROPOSALS_QUEUED_MAX
                && let Ok(next) = waiting.try_recv()
            {
                if next.take() {
                    batch.push(next);
                } else {
                    answer_all([next.waiting], Error::Overloaded);
                }
            }
            answer_all(
                batch.into_iter().map(|pending| pending.waiting),
                Error::NoQuorum,
            );
            continue;
        };
        let Some((term, stamp_ms)) = clock.leading(Instant::now()) else {
            let error = if node.standing().borrow().leader.is_some() {
                Error::NotLeader
            } else {
                Error::NoQuorum
            };
            answer_all(batch.into_iter().map(|pending| pending.waiting), error);
            continue;
        };
        if let Some(first) = batch.first() {
            metrics::stage(Stage::Proposed, first.since.elapsed());
        }
        let (commands, replies): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|pending| (pending.command, pending.waiting))
            .unzip();
        let due = machine.next_due();
        let ticks_alone = if behaviours.common() < behaviour::BY_ENTRY {
            1
        } else {
            limits::TICKS_ALONE
        };
        let is_due = due.is_some_and(|due| due.0 <= stamp_ms);
        let commands = with_tick(commands, is_due, ticks_alone);
        let jump = must_pause(&clock, &machine, &behaviours, term)
            .then(|| clock.take_jump(term))
            .flatten();
        let commands = with_pause(commands, jump, stamp_ms);
        metrics::entry_proposed(commands.len());
        let batch = pb::CommandBatch {
            stamp_ms,
            wall_ms: wall.ms(),
            behaviour: codec::batch_behaviour(&commands).max(behaviours.common()),
            commands,
        };
        let clock = Arc::clone(&clock);
        let proposed = propose(node.clone(), term, batch, replies, permit);
        tokio::spawn(async move {
            let paused = proposed.await;
            if jump.is_some() {
                clock.paused(term, paused);
            }
        });
    }
}

/// A place for one more entry in flight; `None` if there is none because the entries that have
/// them wait for a quorum that is gone, which can take as long as that is.
async fn place(node: &Node, in_flight: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    loop {
        let wait = tokio::time::timeout(node.lease(), Arc::clone(in_flight).acquire_owned());
        match wait.await {
            Ok(permit) => return permit.ok(),
            Err(_) if !node.has_quorum() => return None,
            Err(_) => {}
        }
    }
}

/// `first` and those that wait behind it, as many as fit one entry.
fn gather(first: Pending, waiting: &mut mpsc::Receiver<Pending>) -> Vec<Pending> {
    let mut bytes = first.command.encoded_len();
    let mut work = first.work();
    let mut batch = vec![first];
    while work < limits::COMMANDS_PER_ENTRY_MAX && bytes < limits::ENTRY_BYTES_MAX {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += next.command.encoded_len();
        work += next.work();
        batch.push(next);
    }
    let (taken, given_up): (Vec<_>, Vec<_>) = batch.into_iter().partition(Pending::take);
    answer_all(
        given_up.into_iter().map(|pending| pending.waiting),
        Error::Overloaded,
    );
    taken
}

/// The commands with a tick before them if something is due, unless they begin with one: holds
/// of a quiet show must not wait for the queue of a busy one. A tick that is alone comes several times,
/// so that many holds end fast where nothing waits for it.
fn with_tick(
    mut commands: Vec<pb::LogCommand>,
    due: bool,
    ticks_alone: usize,
) -> Vec<pb::LogCommand> {
    let tick = pb::LogCommand {
        command: Some(codec::Body::Tick(pb::Tick {})),
    };
    if due && commands == [tick.clone()] {
        commands.resize(ticks_alone, tick);
    } else if due && commands.first() != Some(&tick) {
        commands.insert(0, tick);
    }
    commands
}

/// Whether this leader has to pause expiry, and can. While a member may not know how, it waits: cluster
/// time went on from where it stood, so nothing ends early.
pub(crate) fn must_pause(
    clock: &Clock,
    machine: &Machine,
    behaviours: &Behaviours,
    term: u64,
) -> bool {
    let in_log = || machine.read(|view| view.behaviour);
    clock.must_pause(term) && behaviours.allow(codec::behaviour(&pause(Jump::default(), 0)), in_log)
}

/// The commands after one that pauses expiry, for a jump of the wall clock.
fn with_pause(
    mut commands: Vec<pb::LogCommand>,
    jump: Option<Jump>,
    stamp_ms: u64,
) -> Vec<pb::LogCommand> {
    if let Some(jump) = jump {
        let command = Some(pause(jump, stamp_ms));
        commands.insert(0, pb::LogCommand { command });
    }
    commands
}

fn pause(jump: Jump, stamp_ms: u64) -> codec::Body {
    let Jump { then_ms, now_ms } = jump;
    codec::Body::SetConfig(pb::SetConfigRequest {
        request: Some(pb::RequestInfo {
            id: rand::random::<[u8; 16]>().to_vec().into(),
            not_after_ms: stamp_ms.saturating_add(NOT_AFTER_AHEAD_MAX.0),
        }),
        operator: "lockstore".to_owned(),
        reason: format!(
            "every node was down, and the wall clock showed {then_ms} ms before and {now_ms} ms after"
        ),
        expiry: pb::ExpiryState::Paused.into(),
    })
}

/// Says whether its first command paused expiry.
async fn propose(
    node: Node,
    term: u64,
    batch: pb::CommandBatch,
    waiting: Vec<Waiting>,
    permit: OwnedSemaphorePermit,
) -> bool {
    let commands = batch.commands.len();
    let result = node.propose(term, batch.encode_to_vec().into()).await;
    drop(permit);
    match result {
        Ok(replies) if replies.len() == commands => {
            // Nobody waits for what was put in front.
            let put_in_front = commands - waiting.len();
            let first = replies.first().map(|reply| &reply.outcome);
            let paused = matches!(
                first,
                Some(Outcome::ConfigSet {
                    expiry_paused: true,
                    ..
                })
            );
            let now = Instant::now();
            for (waiting, reply) in waiting
                .into_iter()
                .zip(replies.into_iter().skip(put_in_front))
            {
                waiting.answer(Ok(reply), now);
            }
            return paused;
        }
        Ok(replies) => {
            tracing::error!(
                replies = replies.len(),
                "an entry was answered for other commands"
            );
            answer_all(waiting, Error::Unknown);
        }
        Err(error) => answer_all(waiting, error.into()),
    }
    false
}

fn answer_all(waiting: impl IntoIterator<Item = Waiting>, error: Error) {
    let now = Instant::now();
    for waiting in waiting {
        waiting.answer(Err(error), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(id: u8) -> pb::LogCommand {
        pb::LogCommand {
            command: Some(codec::Body::HoldSeats(pb::HoldSeatsRequest {
                show_id: vec![id; 16].into(),
                ..Default::default()
            })),
        }
    }

    fn pending(command: pb::LogCommand) -> (Pending, oneshot::Receiver<Result<Reply, Error>>) {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting::Call {
            claim: Arc::default(),
            reply,
            span: None,
        };
        let since = Instant::now();
        let pending = Pending {
            command,
            waiting,
            since,
        };
        (pending, answer)
    }

    fn is_tick(command: &pb::LogCommand) -> bool {
        matches!(command.command, Some(codec::Body::Tick(_)))
    }

    #[test]
    fn tick_goes_into_the_very_next_entry_however_many_commands_wait() {
        let (queue, mut waiting) = mpsc::channel(limits::PROPOSALS_QUEUED_MAX);
        let mut answers = Vec::new();
        for _ in 0..2 * limits::COMMANDS_PER_ENTRY_MAX {
            let (pending, answer) = pending(hold(1));
            assert!(queue.try_send(pending).is_ok());
            answers.push(answer);
        }
        let first = waiting.try_recv().expect("one waits");
        let batch = gather(first, &mut waiting);
        assert_eq!(batch.len(), limits::COMMANDS_PER_ENTRY_MAX);
        let commands: Vec<_> = batch.into_iter().map(|pending| pending.command).collect();
        assert_eq!(with_tick(commands.clone(), false, 4), commands);
        let ticked = with_tick(commands.clone(), true, 4);
        assert!(is_tick(&ticked[0]));
        assert_eq!(ticked[1..], commands);
    }

    #[test]
    fn commands_that_are_more_work_are_fewer_in_an_entry() {
        let seat_nos = |count| (0..count).collect::<Vec<u32>>();
        let block = |count| {
            codec::Body::BlockSeats(pb::BlockSeatsRequest {
                seat_nos: seat_nos(count),
                ..Default::default()
            })
        };
        let wide = codec::Body::HoldSeats(pb::HoldSeatsRequest {
            seat_nos: seat_nos(64),
            ..Default::default()
        });
        // As many as take no more work than plain holds do, and one that is begun with.
        for (body, expected) in [(block(1_024), 6), (block(3), 1_024), (wide, 228)] {
            let (queue, mut waiting) = mpsc::channel(limits::PROPOSALS_QUEUED_MAX);
            let mut answers = Vec::new();
            for _ in 0..2 * limits::COMMANDS_PER_ENTRY_MAX {
                let command = pb::LogCommand {
                    command: Some(body.clone()),
                };
                let (pending, answer) = pending(command);
                assert!(queue.try_send(pending).is_ok());
                answers.push(answer);
            }
            let first = waiting.try_recv().expect("one waits");
            assert_eq!(gather(first, &mut waiting).len(), expected);
        }
    }

    #[test]
    fn entry_has_a_bounded_number_of_choices() {
        let (queue, mut waiting) = mpsc::channel(limits::PROPOSALS_QUEUED_MAX);
        let mut answers = Vec::new();
        for nth in 0..2 * limits::CHOICES_PER_ENTRY_MAX {
            let mut command = hold(1);
            if let Some(codec::Body::HoldSeats(c)) = &mut command.command
                && nth > 0
            {
                c.choice = Some(pb::hold_seats_request::Choice::BestAvailable(
                    pb::BestAvailable::default(),
                ));
            }
            let (pending, answer) = pending(command);
            assert!(queue.try_send(pending).is_ok());
            answers.push(answer);
        }
        let first = waiting.try_recv().expect("one waits");
        let batch = gather(first, &mut waiting);
        assert_eq!(batch.len(), 1 + limits::CHOICES_PER_ENTRY_MAX);
        let next = waiting.try_recv().expect("more wait");
        let batch = gather(next, &mut waiting);
        assert_eq!(batch.len(), limits::CHOICES_PER_ENTRY_MAX - 1);
    }

    #[test]
    fn entry_that_begins_with_a_tick_gets_more_only_if_it_is_alone_and_due() {
        let tick = with_tick(Vec::new(), true, 4);
        assert!(tick.len() == 1 && is_tick(&tick[0]));
        assert_eq!(with_tick(tick.clone(), false, 4), tick);
        assert_eq!(with_tick(tick.clone(), true, 1), tick);
        assert_eq!(with_tick(tick.clone(), true, 4), vec![tick[0].clone(); 4]);
        let with_another = vec![tick[0].clone(), hold(1)];
        assert_eq!(with_tick(with_another.clone(), true, 4), with_another);
    }

    #[test]
    fn command_whose_caller_went_away_is_not_proposed() {
        let (_queue, mut waiting) = mpsc::channel(1);
        let (gone, answer) = pending(hold(1));
        drop(answer);
        assert!(gather(gone, &mut waiting).is_empty());
        let (late, _answer) = pending(hold(2));
        let Waiting::Call { claim, .. } = &late.waiting else {
            panic!("a call");
        };
        assert!(claim.take(ABANDONED));
        assert!(gather(late, &mut waiting).is_empty());
        let (wanted, _answer) = pending(hold(3));
        assert_eq!(gather(wanted, &mut waiting).len(), 1);
    }

    #[test]
    fn entry_has_so_many_bytes_unless_one_command_has_more() {
        let of_bytes = |bytes: usize| pb::LogCommand {
            command: Some(codec::Body::HoldSeats(pb::HoldSeatsRequest {
                show_id: vec![0; bytes].into(),
                ..Default::default()
            })),
        };
        let entries = |commands: usize, bytes: usize| {
            let (queue, mut waiting) = mpsc::channel(limits::PROPOSALS_QUEUED_MAX);
            let mut answers = Vec::new();
            for _ in 0..commands {
                let (pending, answer) = pending(of_bytes(bytes));
                assert!(queue.try_send(pending).is_ok());
                answers.push(answer);
            }
            let mut lengths = Vec::new();
            while let Ok(first) = waiting.try_recv() {
                lengths.push(gather(first, &mut waiting).len());
            }
            lengths
        };
        let half = limits::ENTRY_BYTES_MAX / 2;
        assert_eq!(entries(5, half), [2, 2, 1]);
        assert_eq!(entries(2, limits::ENTRY_BYTES_MAX + 1), [1, 1]);
    }

    #[tokio::test]
    async fn command_beyond_those_that_may_wait_is_refused_at_once() {
        let (queue, mut waiting) = mpsc::channel(limits::PROPOSALS_QUEUED_MAX);
        let proposer = Proposer { queue };
        let mut answers = Vec::new();
        for _ in 0..limits::PROPOSALS_QUEUED_MAX {
            let (pending, answer) = pending(hold(1));
            assert!(proposer.queue.try_send(pending).is_ok(), "there is a place");
            answers.push(answer);
        }
        let hour = std::time::Duration::from_secs(3_600);
        let body = || hold(2).command.expect("one");
        let mut late = std::pin::pin!(proposer.propose(body(), Deadline::after(hour)));
        let refused = futures::poll!(&mut late);
        assert!(matches!(
            refused,
            std::task::Poll::Ready(Err(Error::Overloaded))
        ));
        assert!(waiting.try_recv().is_ok());
        let mut next = std::pin::pin!(proposer.propose(body(), Deadline::after(hour)));
        assert!(futures::poll!(&mut next).is_pending(), "it has a place");
    }
}
