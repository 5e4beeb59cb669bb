//! One show's replica, and what its viewers are sent.
//!
//! Always holds: what is shown is the store's own state at the revision that is said with it, and is
//! called fresh only while a node that hears a leader says so; what viewers are sent after what they
//! began with adds up to every change, in order, at most one delta in a `GATHER` and one more before
//! a bookmark, made once for all; whoever follows the store never waits for a viewer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::extract::ws::Utf8Bytes;
use holdfast_types::{Revision, SeatNo, SeatState, ShowId};
use lockstore_client::{
    Client, Difference, Gap, ShowChanges, ShowReplica, ShowState, Start, Watch, WatchItem, Watched,
};
use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    gather::Gathered,
    history::{History, Remembered},
    message::{Bookmark, Delta, LiveMessage, Resumed, SeatChange, pack, state_name},
};

/// How long ago what is shown may have been confirmed; longer, the store is asked instead. A node
/// confirms by the word of a leader that it heard a second ago at the most, a fifth of a second
/// after it last compared: what is shown is two seconds old at the most.
const AGE_MAX: Duration = Duration::from_millis(800);
/// Messages that wait for one viewer; one for whom more do is too slow. Half a minute of a rush.
const QUEUE_MAX: usize = 128;
/// Seats in one delta; if more changed at once (a show was called off), viewers begin anew, with
/// fewer bytes.
const DELTA_SEATS_MAX: usize = 2_048;
/// How often viewers are told that nothing else changed.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(1);

/// One message, for all viewers.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) revision: Revision,
    pub(crate) text: Utf8Bytes,
    is_delta: bool,
}

impl Sent {
    pub(super) fn new(revision: Revision, message: &LiveMessage) -> Self {
        Self {
            revision,
            text: message.text(),
            is_delta: matches!(message, LiveMessage::Delta(_)),
        }
    }

    /// Whether one who has come to `at` has all of it: it came while this was being gathered.
    pub(crate) fn repeats(&self, at: Revision) -> bool {
        self.is_delta && self.revision <= at
    }
}

/// What a viewer begins with, and where it is sent what follows.
pub(crate) struct View {
    pub(crate) first: Vec<Sent>,
    pub(crate) next: broadcast::Receiver<Sent>,
}

/// The whole show as it is shown.
pub(crate) struct Shown {
    pub(crate) revision: Revision,
    pub(crate) show_state: &'static str,
    pub(crate) seats: Vec<SeatState>,
}

/// The same, packed.
pub(crate) struct Packed {
    pub(crate) revision: Revision,
    pub(crate) show_state: &'static str,
    pub(crate) seat_count: usize,
    pub(crate) bitmap: Arc<str>,
}

#[derive(Default)]
struct State {
    /// None before the first snapshot.
    replica: Option<ShowReplica>,
    /// When a node last said that this is how it is; none since the last beginning.
    confirmed: Option<Instant>,
    history: History,
    /// Viewers aren't told of it yet.
    gathered: Gathered,
    /// Of the seats as they are.
    bitmap: Option<Arc<str>>,
    bookmarked: Option<Instant>,
}

impl State {
    fn show(&self) -> Option<(Revision, ShowState, &[SeatState])> {
        let replica = self.replica.as_ref()?;
        let (state, seats) = replica.show()?;
        (state != ShowState::Opening).then_some((replica.revision(), state, seats))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        let age = self.confirmed.map(|at| now.duration_since(at));
        age.is_some_and(|age| age < AGE_MAX)
    }
}

/// A show that is followed.
pub(crate) struct LiveShow {
    show_id: ShowId,
    state: Mutex<State>,
    viewers: broadcast::Sender<Sent>,
    /// Told whenever there is something new, if only that there isn't.
    news: watch::Sender<()>,
}

/// Reading.
impl LiveShow {
    /// Nothing is known yet.
    pub(crate) fn new(show_id: ShowId) -> Self {
        Self {
            show_id,
            state: Mutex::default(),
            viewers: broadcast::Sender::new(QUEUE_MAX),
            news: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many viewers there are.
    pub(crate) fn viewers(&self) -> usize {
        self.viewers.receiver_count()
    }

    /// Whether it was there when it was last heard of.
    pub(crate) fn is_known(&self) -> bool {
        self.state().show().is_some()
    }

    #[cfg(test)]
    pub(crate) fn be_known(&self) {
        let show = Some((ShowState::OnSale, vec![SeatState::Available]));
        self.begin(ShowReplica::new(Revision::ZERO, show));
    }

    #[cfg(test)]
    pub(crate) fn viewer(&self) -> broadcast::Receiver<Sent> {
        self.viewers.subscribe()
    }

    /// The show, if it is known: fresh `now`, and at least as of `min`.
    pub(crate) fn shown(&self, min: Revision, now: Instant) -> Option<Shown> {
        let state = self.state();
        let (revision, show_state, seats) = state.show()?;
        (state.is_fresh(now) && revision >= min).then(|| Shown {
            revision,
            show_state: state_name(show_state),
            seats: seats.to_vec(),
        })
    }

    /// Revision and state of what is known, if that is fresh `now`.
    pub(crate) fn version(&self, now: Instant) -> Option<(Revision, &'static str)> {
        let state = self.state();
        let (revision, show_state, _) = state.show()?;
        let fresh = state.is_fresh(now);
        fresh.then(|| (revision, state_name(show_state)))
    }

    /// As [`Self::shown`].
    pub(crate) fn packed(&self, min: Revision, now: Instant) -> Option<Packed> {
        let mut state = self.state();
        let (revision, show_state, seats) = state.show()?;
        if !state.is_fresh(now) || revision < min {
            return None;
        }
        let (show_state, seat_count) = (state_name(show_state), seats.len());
        let bitmap = match &state.bitmap {
            Some(bitmap) => Arc::clone(bitmap),
            None => pack(seats.iter().copied()).into(),
        };
        state.bitmap = Some(Arc::clone(&bitmap));
        Some(Packed {
            revision,
            show_state,
            seat_count,
            bitmap,
        })
    }

    /// Waits until `look` finds something, at most for `wait`.
    async fn wait_for<T>(&self, wait: Duration, look: impl Fn(&State) -> Option<T>) -> Option<T> {
        let mut news = self.news.subscribe();
        let finding = async {
            loop {
                news.borrow_and_update();
                if let Some(found) = look(&self.state()) {
                    return Some(found);
                }
                news.changed().await.ok()?;
            }
        };
        tokio::time::timeout(wait, finding).await.ok().flatten()
    }

    /// Waits until something as new as `min` is known, at most for `wait`; whether it is.
    pub(crate) async fn reach(&self, min: Revision, wait: Duration) -> bool {
        let reached = |state: &State| {
            let replica = state.replica.as_ref();
            replica
                .filter(|replica| replica.revision() >= min)
                .map(drop)
        };
        self.wait_for(wait, reached).await.is_some()
    }

    /// Waits until the show is there and was confirmed since its last beginning, at most for
    /// `wait`; `None` if nothing is known by then. Not confirmed, it may be of any age.
    pub(crate) async fn is_there(&self, wait: Duration) -> Option<bool> {
        let there = |state: &State| state.show().zip(state.confirmed).map(drop);
        match self.wait_for(wait, there).await {
            Some(()) => Some(true),
            None => {
                let state = self.state();
                let missing = state.show().is_none() && state.is_fresh(Instant::now());
                missing.then_some(false)
            }
        }
    }

    /// What a viewer that has come to `since` begins with; `None` if the show isn't known.
    pub(crate) fn view(&self, since: Option<Revision>) -> Option<View> {
        let state = self.state();
        let (revision, show_state, seats) = state.show()?;
        // Under the lock under which it is sent.
        let next = self.viewers.subscribe();
        let missed = since.and_then(|since| Some((since, state.history.since(since, revision)?)));
        let first = match missed {
            Some((since, missed)) => {
                let resumed = LiveMessage::Resumed(Resumed { revision: since });
                std::iter::once(Sent::new(since, &resumed))
                    .chain(missed)
                    .collect()
            }
            None => {
                let snapshot = LiveMessage::snapshot(self.show_id, revision, show_state, seats);
                vec![Sent::new(revision, &snapshot)]
            }
        };
        Some(View { first, next })
    }
}

/// Following.
impl LiveShow {
    /// Follows the store until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, client: Client, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let mut watch = client.watch(Watched::Show(self.show_id), Start::Now);
            let following = stop.run_until_cancelled(self.follow_one(&mut watch));
            if let Some(Err(gap)) = following.await {
                // The store says what it left out, so this is a defect; what is true is known anew.
                tracing::error!(show.id = %self.show_id, %gap, "a show is followed anew");
                self.state().replica = None;
            }
        }
    }

    async fn follow_one(&self, watch: &mut Watch) -> Result<(), Gap> {
        let mut began = Revision::ZERO;
        loop {
            let due = self.state().gathered.due(Instant::now());
            let item = tokio::select! {
                biased;
                () = until(due) => {
                    self.tell(&mut self.state(), Instant::now());
                    continue;
                }
                item = watch.next() => item,
            };
            match item {
                WatchItem::Begun { revision, .. } => {
                    began = revision;
                    self.state().confirmed = None;
                }
                WatchItem::Snapshot(snapshot) => {
                    self.begin(ShowReplica::new(began, snapshot.show));
                }
                WatchItem::Changes(changes) => {
                    for show in &changes.shows {
                        self.change(changes.revision, show, Instant::now())?;
                    }
                }
                WatchItem::Bookmark { revision, .. } => self.confirm(revision),
            }
            self.news.send_replace(());
        }
    }

    /// What the store has is known as a whole.
    fn begin(&self, new: ShowReplica) {
        let mut state = self.state();
        let now = Instant::now();
        self.tell(&mut state, now);
        let old = state.replica.replace(new);
        state.bitmap = None;
        // What happened in between is what is different now.
        let difference = old.zip(state.replica.as_ref()).and_then(|(old, new)| {
            let same_life = old.revision().lineage() == new.revision().lineage();
            let difference = same_life.then(|| difference(&old, new)).flatten()?;
            Some((difference, old.revision()))
        });
        match difference {
            Some((difference, from)) => {
                state.gathered.add(difference);
                self.tell_since(&mut state, from, now);
            }
            None => self.begin_anew(&mut state, now),
        }
    }

    /// One revision changed something.
    fn change(&self, revision: Revision, changes: &ShowChanges, now: Instant) -> Result<(), Gap> {
        let mut state = self.state();
        let Some(replica) = &mut state.replica else {
            return Err(Gap { at: revision });
        };
        let was_there = replica.show().is_some();
        let difference = replica.apply(revision, changes)?;
        if !was_there {
            self.begin_anew(&mut state, now);
            return Ok(());
        }
        if difference != Difference::default() {
            state.bitmap = None;
        }
        state.gathered.add(difference);
        if state.gathered.due(now).is_some_and(|due| due <= now) {
            self.tell(&mut state, now);
        }
        Ok(())
    }

    /// Viewers begin anew, with what is known now.
    fn begin_anew(&self, state: &mut State, now: Instant) {
        // They are told all at once.
        state.gathered.take(now);
        let Some(replica) = &state.replica else {
            return;
        };
        let revision = replica.revision();
        if self.viewers() > 0
            && let Some((revision, show_state, seats)) = state.show()
        {
            let snapshot = LiveMessage::snapshot(self.show_id, revision, show_state, seats);
            self.send(Sent::new(revision, &snapshot));
        }
        state.bitmap = None;
        state.history.forget(revision);
    }

    /// Viewers are told what was gathered, if anything was.
    fn tell(&self, state: &mut State, now: Instant) {
        if state.gathered.due(now).is_some() {
            let known = state.replica.as_ref().map(ShowReplica::revision);
            self.tell_since(state, known.unwrap_or_default(), now);
        }
    }

    /// Viewers are told what is different now, everything up to `from` being known one by one: that
    /// is now itself, unless something was jumped over.
    fn tell_since(&self, state: &mut State, from: Revision, now: Instant) {
        let difference = state.gathered.take(now);
        let Some(revision) = state.replica.as_ref().map(ShowReplica::revision) else {
            return;
        };
        let seats = difference.seats.len();
        if seats > DELTA_SEATS_MAX {
            return self.begin_anew(state, now);
        }
        let sent = (difference != Difference::default()).then(|| {
            let delta = LiveMessage::Delta(Delta {
                revision,
                previous_revision: state.history.changed,
                show_state: difference.state.map(state_name),
                changes: difference.seats.into_iter().map(SeatChange::new).collect(),
            });
            Sent::new(revision, &delta)
        });
        if let Some(sent) = &sent {
            state.history.changed = revision;
            self.send(sent.clone());
        } else if from == revision {
            return;
        }
        state.history.remember(Remembered {
            from,
            to: revision,
            sent,
            seats,
        });
    }

    fn confirm(&self, revision: Revision) {
        let now = Instant::now();
        let mut state = self.state();
        state.confirmed = Some(now);
        let Some(replica) = &mut state.replica else {
            return;
        };
        replica.reach(revision);
        let due = state
            .bookmarked
            .is_none_or(|at| now.duration_since(at) >= BOOKMARK_PERIOD);
        if due && state.show().is_some() {
            state.bookmarked = Some(now);
            // What it says is true of what viewers were told.
            self.tell(&mut state, now);
            let bookmark = LiveMessage::Bookmark(Bookmark { revision });
            self.send(Sent::new(revision, &bookmark));
        }
    }

    fn send(&self, sent: Sent) {
        // Nobody may be there.
        let _ = self.viewers.send(sent);
    }
}

/// Waits for a time that may never come.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What is different between two states of a show; `None` if they aren't of the same seats.
fn difference(old: &ShowReplica, new: &ShowReplica) -> Option<Difference> {
    let ((old_state, old_seats), (state, seats)) = (old.show()?, new.show()?);
    if old_seats.len() != seats.len() || old_state == ShowState::Opening {
        return None;
    }
    let different = old_seats.iter().zip(seats).zip(0..);
    Some(Difference {
        state: (old_state != state).then_some(state),
        seats: different
            .filter(|((old, new), _)| old != new)
            .map(|((_, new), number)| (SeatNo(number), *new))
            .collect(),
    })
}

#[cfg(test)]
mod tests;
