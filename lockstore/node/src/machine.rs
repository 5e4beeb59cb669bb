//! The state as this node has applied it, shared between the log, reads and the leader's tasks.
//!
//! Always holds: only committed entries change it, each once and in order; a view is taken in
//! O(1) between two entries and stays as it was, and while nobody has one, applying copies nothing;
//! what changed is told to watchers in order, after whoever looks can see it. Whoever looks waits for
//! the entry being applied at most (see `limits`). Leaves to `lockstore-core` what a
//! command does.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{ClusterTime, Lineage, Revision};
use lockstore_core::{Outcome, RefusalReason, State};
use tokio::sync::watch;

use crate::{
    behaviour, codec,
    freshness::Words,
    metrics,
    watch::{Changes, Hub},
};

/// The answer to one command of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) revision: Revision,
    /// Cluster time at that revision.
    pub(crate) now: ClusterTime,
    pub(crate) outcome: Outcome,
}

/// An entry that this program can't apply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the entry can't be read: {0}")]
    Field(#[from] codec::Field),
    #[error("the entry can't be read: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error(
        "the entry needs behaviour {needs}, this program knows up to {knows}: run a newer release"
    )]
    Behaviour { needs: u32, knows: u32 },
    #[error("the entry has {0} commands, more than revisions can number")]
    TooMany(usize),
}

/// The state at one log position.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) state: State,
    /// The last entry applied.
    pub(crate) applied: Option<pb::LogPosition>,
    /// The wall clock of the leader that wrote the last batch applied, in milliseconds since the
    /// Unix epoch; 0 before the first.
    pub(crate) wall_ms: u64,
    /// The highest behaviour of the batches applied: the one that is followed.
    pub(crate) behaviour: u32,
}

impl View {
    /// Nothing applied yet.
    pub(crate) fn new(lineage: Lineage) -> Self {
        Self {
            state: State::new(lineage),
            applied: None,
            wall_ms: 0,
            behaviour: 0,
        }
    }

    /// What a read of it has seen: at least the revision of every write before.
    pub(crate) fn revision(&self) -> Revision {
        let entry = self.applied.map_or(Revision::ZERO, |at| {
            Revision::new(self.state.lineage(), at.index, 0)
        });
        self.state.revision().max(entry)
    }
}

/// The state that entries are applied to.
pub(crate) struct Machine {
    /// Locked while an entry is applied.
    view: Mutex<View>,
    /// When a tick is due, as of the last entry; [`NEVER`] if none is.
    due: AtomicU64,
    /// Of the entries applied since the last snapshot was begun or put in place.
    log_bytes: AtomicU64,
    /// The revision that the state has.
    changed: watch::Sender<Revision>,
    watchers: Hub,
    leaders_words: Words,
    /// A state of another is never put in place.
    lineage: Lineage,
    /// The newest behaviour it can follow; a batch of a newer one stops the node.
    knows: u32,
}

/// No time of the cluster comes that late.
const NEVER: u64 = u64::MAX;

/// What a change of the view is to those who follow it.
enum News {
    /// What happened isn't known: it is another state.
    Anew,
    Changes(Vec<Changes>),
}

impl Machine {
    pub(crate) fn new(lineage: Lineage) -> Self {
        metrics::expiry_paused(false);
        Self {
            view: Mutex::new(View::new(lineage)),
            due: AtomicU64::new(NEVER),
            log_bytes: AtomicU64::new(0),
            changed: watch::Sender::new(Revision::ZERO),
            watchers: Hub::new(lineage),
            leaders_words: Words::default(),
            lineage,
            knows: behaviour::NEWEST,
        }
    }

    /// One that knows no newer behaviour than `knows`.
    pub(crate) fn knowing(self, knows: u32) -> Self {
        Self { knows, ..self }
    }

    /// Which life of the cluster it is of.
    pub(crate) fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Those who follow it.
    pub(crate) fn watchers(&self) -> &Hub {
        &self.watchers
    }

    /// What leaders said of how far the log is decided.
    pub(crate) fn leaders_words(&self) -> &Words {
        &self.leaders_words
    }

    /// The state as it is now; it doesn't change under the caller.
    pub(crate) fn view(&self) -> View {
        self.read(View::clone)
    }

    /// Looks at the state; `look` must be short, since the next entry waits for it.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, View> {
        // A panic while it was held may have left half an entry in it: nothing goes on then.
        self.view
            .lock()
            .expect("the state machine stopped when it panicked")
    }

    /// [`lockstore_core::State::next_due`] as of the last entry, without waiting for the next.
    pub(crate) fn next_due(&self) -> Option<ClusterTime> {
        match self.due.load(Ordering::Relaxed) {
            NEVER => None,
            at => Some(ClusterTime(at)),
        }
    }

    /// Bytes of the entries that a start would have to apply on top of the last snapshot.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// A snapshot of the state as it is now is being written.
    pub(crate) fn snapshot_begun(&self) {
        self.log_bytes.store(0, Ordering::Relaxed);
    }

    /// The revision that the state has, told after each change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    /// Whether the state has `revision`, or whatever it has instead of it, within `wait`.
    pub(crate) async fn reaches(&self, revision: Revision, wait: Duration) -> bool {
        let mut applied = self.subscribe();
        let reached = applied.wait_for(|has| *has >= revision);
        matches!(tokio::time::timeout(wait, reached).await, Ok(Ok(_)))
    }

    /// The index of the last entry that the state has.
    pub(crate) fn applied(&self) -> u64 {
        self.changed.borrow().index()
    }

    /// Whether it has it now.
    pub(crate) fn has(&self, revision: Revision) -> bool {
        *self.changed.borrow() >= revision
    }

    /// Puts an installed snapshot's state in place. Returns the one that was: to free it may take long.
    #[must_use = "freed where nobody waits"]
    pub(crate) fn replace(&self, view: View) -> View {
        self.snapshot_begun();
        self.change(|current| (mem::replace(current, view), News::Anew))
    }

    /// Applies an entry without commands.
    pub(crate) fn pass(&self, position: pb::LogPosition) {
        self.change(|view| {
            view.applied = Some(position);
            ((), News::Changes(Vec::new()))
        });
    }

    /// Applies an encoded `CommandBatch`; one reply a command.
    ///
    /// # Errors
    /// [`Error`] if this program can't; nothing was changed then.
    pub(crate) fn apply(
        &self,
        position: pb::LogPosition,
        batch: bytes::Bytes,
    ) -> Result<Vec<Reply>, Error> {
        let bytes = batch.len() as u64;
        let batch: pb::CommandBatch = prost::Message::decode(batch)?;
        if batch.behaviour > self.knows {
            return Err(Error::Behaviour {
                needs: batch.behaviour,
                knows: self.knows,
            });
        }
        let commands = codec::batch_commands(&batch)?;
        if commands.len() > usize::from(Revision::POSITION_MAX) {
            return Err(Error::TooMany(commands.len()));
        }
        let stamp = ClusterTime(batch.stamp_ms);
        let replies = self.change(|view| {
            let lineage = view.state.lineage();
            view.behaviour = view.behaviour.max(batch.behaviour);
            view.state.follow(view.behaviour);
            let mut changes = Vec::new();
            let replies = commands
                .iter()
                .zip(0..=Revision::POSITION_MAX)
                .map(|(command, place)| {
                    let revision = Revision::new(lineage, position.index, place);
                    let (outcome, events) = view.state.apply(command, stamp, revision);
                    let seats = |id| view.state.show(id).map_or(0, |show| show.seat_count());
                    changes.extend(Changes::of(revision, events, seats));
                    Reply {
                        revision,
                        now: view.state.now(),
                        outcome,
                    }
                })
                .collect::<Vec<_>>();
            view.applied = Some(position);
            view.wall_ms = batch.wall_ms;
            (replies, News::Changes(changes))
        });
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        metrics::applied(position.index);
        count(&replies);
        Ok(replies)
    }

    fn change<T>(&self, change: impl FnOnce(&mut View) -> (T, News)) -> T {
        let mut view = self.locked();
        let was_paused = view.state.is_expiry_paused();
        let (result, news) = change(&mut view);
        let paused = view.state.is_expiry_paused();
        if paused != was_paused {
            metrics::expiry_paused(paused);
        }
        let revision = view.revision();
        let due = view.state.next_due().map_or(NEVER, |at| at.0);
        self.due.store(due, Ordering::Relaxed);
        drop(view);
        match news {
            News::Anew => self.watchers.begin(revision),
            News::Changes(changes) => self.watchers.publish(changes, revision),
        }
        self.changed.send_replace(revision);
        result
    }
}

fn count(replies: &[Reply]) {
    let (mut granted, mut conflicted) = (0, 0);
    for reply in replies {
        match &reply.outcome {
            Outcome::Held {
                replayed: false, ..
            } => granted += 1,
            Outcome::Refused(refusal) if refusal.reason == RefusalReason::Conflict => {
                conflicted += 1;
            }
            _ => {}
        }
    }
    metrics::holds_judged(granted, conflicted);
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use lockstore_core::limits;

    use super::*;

    fn open(seat_count: u32) -> codec::Body {
        codec::Body::OpenShow(pb::OpenShowRequest {
            request: Some(request(1)),
            show_id: vec![1; 16].into(),
            seat_count,
            rules: Some(pb::ShowRules {
                hold_ttl_ms: 1_000,
                hold_total_ms_max: 1_000,
                seats_per_customer_max: seat_count,
                no_lone_seat: false,
            }),
            first_seat_no: 0,
            seats: vec![pb::LayoutSeat::default(); seat_count as usize],
            on_sale: true,
        })
    }

    fn hold(seat_no: u32) -> codec::Body {
        codec::Body::HoldSeats(pb::HoldSeatsRequest {
            request: Some(request(2 + u64::from(seat_no))),
            show_id: vec![1; 16].into(),
            holder: vec![2; 16].into(),
            seat_nos: vec![seat_no],
            ..Default::default()
        })
    }

    fn request(id: u64) -> pb::RequestInfo {
        pb::RequestInfo {
            id: u128::from(id).to_be_bytes().to_vec().into(),
            not_after_ms: 1_000,
        }
    }

    /// A log says by its batches from where on an entry has the work of one and not of each command,
    /// and a batch that says less later takes nothing back.
    #[test]
    fn highest_behaviour_so_far_is_followed() {
        const HOLDS: u32 = 600;
        let machine = Machine::new(Lineage(1));
        let mut index = 0;
        let mut apply = |behaviour, stamp_ms, bodies: Vec<codec::Body>| {
            index += 1;
            let command = |body| pb::LogCommand {
                command: Some(body),
            };
            let batch = pb::CommandBatch {
                stamp_ms,
                wall_ms: 0,
                behaviour,
                commands: bodies.into_iter().map(command).collect(),
            };
            let position = pb::LogPosition { term: 1, index };
            let batch = prost::Message::encode_to_vec(&batch);
            let replies = machine.apply(position, batch.into()).expect("applied");
            replies.into_iter().map(|reply| reply.outcome).collect()
        };
        let tick = || vec![codec::Body::Tick(pb::Tick {})];
        apply(0, 1, vec![open(HOLDS)]);
        let (old, new) = (0..HOLDS / 2, HOLDS / 2..HOLDS);
        let held: Vec<Outcome> = apply(1, 1, old.map(hold).collect());
        assert!(matches!(held[..], [Outcome::Held { .. }, ..]), "{held:?}");
        let swept = |swept| vec![Outcome::Ticked { swept }];
        assert_eq!(apply(1, 1_011, tick()), swept(HOLDS / 2));
        let late = |body| match body {
            codec::Body::HoldSeats(mut hold) => {
                hold.request.as_mut().expect("one").not_after_ms = 10_000;
                codec::Body::HoldSeats(hold)
            }
            other => other,
        };
        apply(1, 2_000, new.map(hold).map(late).collect());
        let most = u32::try_from(limits::SWEEP_PER_TICK_MAX).expect("a few hundred");
        assert_eq!(apply(2, 3_011, tick()), swept(most));
        assert_eq!(apply(0, 3_011, tick()), swept(most));
        assert_eq!(apply(1, 3_011, tick()), swept(HOLDS / 2 - 2 * most));
    }

    #[test]
    fn whoever_looks_sees_an_entry_whole_and_a_view_stays_as_it_was() {
        let machine = Machine::new(Lineage(1));
        let position = pb::LogPosition { term: 1, index: 1 };
        let before = machine.view();
        let (looked, look) = mpsc::channel();
        std::thread::scope(|scope| {
            machine.change(|view| {
                view.applied = Some(position);
                scope.spawn(|| looked.send(machine.read(|view| (view.applied, view.wall_ms))));
                // Half an entry isn't seen, however long the other half takes.
                let seen = look.recv_timeout(Duration::from_millis(20));
                assert_eq!(seen, Err(mpsc::RecvTimeoutError::Timeout));
                view.wall_ms = 7;
                ((), News::Changes(Vec::new()))
            });
            let seen = look.recv_timeout(Duration::from_secs(30));
            assert_eq!(seen, Ok((Some(position), 7)));
        });
        assert_eq!(before.applied, None);
    }

    #[test]
    fn state_that_is_replaced_is_for_the_caller_to_free() {
        let machine = Machine::new(Lineage(1));
        let position = |index| Some(pb::LogPosition { term: 1, index });
        machine.pass(position(7).expect("one"));
        let old = machine.replace(View {
            applied: position(50),
            ..View::new(Lineage(1))
        });
        assert_eq!(old.applied, position(7));
        assert_eq!(machine.view().applied, position(50));
        let revision = Revision::new(Lineage(1), 50, 0);
        assert!(machine.has(revision), "whoever waits for it is told");
    }
}
