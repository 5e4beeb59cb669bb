//! Who follows the state, and the changes that are remembered for those who come back.
//!
//! Always holds: whoever publishes never waits for a reader, and does work that is bounded by the
//! changes and by those who watch what changed; a watcher is given every change after the revision
//! it is at, in order, none left out and none twice, until its stream is said to have ended. What
//! is remembered is bounded: further back there is only the state as a whole.
//!
//! A watcher registers first and looks at the state then, so a change that it sees both there and
//! here is left out by its revision.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use holdfast_types::{Lineage, Revision, ShowId};
use lockstore_core::Event;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{freshness::Freshness, limits, metrics};

/// What one revision changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) revision: Revision,
    pub(crate) shows: Vec<ShowChanges>,
}

/// What one revision changed in one show.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ShowChanges {
    pub(crate) show_id: ShowId,
    pub(crate) seat_count: u32,
    /// The show didn't change after this revision and before that of the changes.
    pub(crate) previous: Revision,
    pub(crate) events: Vec<Event>,
}

impl Changes {
    /// Groups the events of one revision by show; `None` if there is none. `seat_count` says how
    /// many seats a show has.
    pub(crate) fn of(
        revision: Revision,
        events: Vec<Event>,
        seat_count: impl Fn(ShowId) -> u32,
    ) -> Option<Self> {
        let mut shows: Vec<ShowChanges> = Vec::new();
        for event in events {
            let show_id = event.show_id();
            // The events of a show come together.
            match shows.last_mut() {
                Some(last) if last.show_id == show_id => last.events.push(event),
                _ => shows.push(ShowChanges {
                    show_id,
                    seat_count: seat_count(show_id),
                    previous: Revision::ZERO,
                    events: vec![event],
                }),
            }
        }
        (!shows.is_empty()).then_some(Self { revision, shows })
    }

    fn event_count(&self) -> usize {
        self.shows.iter().map(|show| show.events.len()).sum()
    }

    fn is_of(&self, show: Option<ShowId>) -> bool {
        show.is_none_or(|show_id| self.shows.iter().any(|show| show.show_id == show_id))
    }
}

/// What a watcher is given.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Changes(Arc<Changes>),
    /// Everything up to `revision` was given before.
    Bookmark {
        revision: Revision,
        time_ms: u64,
    },
}

/// Why a watcher is given nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    SlowReader,
    SnapshotInstalled,
}

/// A place among the watchers; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// It goes on from the revision that was named: `backlog` is what was after it.
    pub(crate) resumed: bool,
    pub(crate) backlog: Vec<Arc<Changes>>,
    queue: mpsc::Receiver<Item>,
    end: oneshot::Receiver<End>,
}

impl Subscription {
    /// The next, or why there will be none.
    pub(crate) async fn next(&mut self) -> Result<Item, End> {
        match self.queue.recv().await {
            Some(item) => Ok(item),
            // Told before its queue was closed.
            None => Err(self.end.try_recv().unwrap_or(End::SlowReader)),
        }
    }
}

struct Watcher {
    queue: mpsc::Sender<Item>,
    end: oneshot::Sender<End>,
}

impl Watcher {
    fn end(self, why: End) {
        // It may have gone by itself.
        let _ = self.end.send(why);
    }
}

/// Gives `item` to all of `watchers`, and puts those away that are gone or can't take it.
fn give(watchers: &mut Vec<Watcher>, item: &Item) {
    let mut slow = Vec::new();
    let mut index = 0;
    while index < watchers.len() {
        match watchers[index].queue.try_send(item.clone()) {
            Ok(()) => index += 1,
            // A bookmark can be left out.
            Err(mpsc::error::TrySendError::Full(Item::Bookmark { .. })) => index += 1,
            Err(mpsc::error::TrySendError::Full(_)) => slow.push(watchers.swap_remove(index)),
            Err(mpsc::error::TrySendError::Closed(_)) => drop(watchers.swap_remove(index)),
        }
    }
    for watcher in slow {
        metrics::slow_watcher_dropped();
        watcher.end(End::SlowReader);
    }
}

struct Inner {
    /// Everything after `floor`, in order.
    ring: VecDeque<Arc<Changes>>,
    ring_events: usize,
    floor: Revision,
    /// Everything up to it was published.
    published: Revision,
    /// Where what is known here begins: the state was put in place as of then.
    began: Revision,
    /// When each show that changed since changed last; as many as there are shows at most.
    changed: HashMap<ShowId, Revision>,
    of_show: HashMap<ShowId, Vec<Watcher>>,
    of_all: Vec<Watcher>,
}

impl Inner {
    fn new(at: Revision) -> Self {
        Self {
            ring: VecDeque::new(),
            ring_events: 0,
            floor: at,
            published: at,
            began: at,
            changed: HashMap::new(),
            of_show: HashMap::new(),
            of_all: Vec::new(),
        }
    }

    fn publish(&mut self, mut changes: Changes) {
        for show in &mut changes.shows {
            let previous = self.changed.insert(show.show_id, changes.revision);
            show.previous = previous.unwrap_or(self.began);
        }
        let changes = Arc::new(changes);
        let item = Item::Changes(Arc::clone(&changes));
        for show in &changes.shows {
            self.give_of_show(show.show_id, &item);
        }
        give(&mut self.of_all, &item);
        self.remember(changes);
    }

    fn give_of_show(&mut self, show_id: ShowId, item: &Item) {
        if let Some(watchers) = self.of_show.get_mut(&show_id) {
            give(watchers, item);
            if watchers.is_empty() {
                self.of_show.remove(&show_id);
            }
        }
    }

    /// Says that everything published was given, at `time_ms`.
    fn bookmark(&self, time_ms: u64) -> Item {
        Item::Bookmark {
            revision: self.published,
            time_ms,
        }
    }

    fn remember(&mut self, changes: Arc<Changes>) {
        self.ring_events += changes.event_count();
        self.ring.push_back(changes);
        while self.ring_events > limits::WATCH_REMEMBERED_MAX
            && let Some(oldest) = self.ring.pop_front()
        {
            self.ring_events -= oldest.event_count();
            self.floor = oldest.revision;
        }
    }
}

/// All watchers of a node.
pub(crate) struct Hub {
    inner: Mutex<Inner>,
}

impl Hub {
    /// Nothing applied yet.
    pub(crate) fn new(lineage: Lineage) -> Self {
        Self {
            inner: Mutex::new(Inner::new(Revision::new(lineage, 0, 0))),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One entry was applied: what it changed, in order, and the revision that the state has now.
    /// The state that readers see has it already.
    pub(crate) fn publish(&self, changes: Vec<Changes>, at: Revision) {
        let mut inner = self.inner();
        for changes in changes {
            inner.publish(changes);
        }
        inner.published = at;
    }

    /// The state was put in place as a whole, as of `at`: what happened before isn't known here.
    pub(crate) fn begin(&self, at: Revision) {
        let old = std::mem::replace(&mut *self.inner(), Inner::new(at));
        let watchers = old.of_show.into_values().flatten().chain(old.of_all);
        watchers.for_each(|watcher| watcher.end(End::SnapshotInstalled));
    }

    /// Registers a watcher of one show, or of all. `after` is the revision that it has come to.
    pub(crate) fn subscribe(&self, show: Option<ShowId>, after: Option<Revision>) -> Subscription {
        let (queue, taken) = mpsc::channel(limits::WATCH_QUEUE_MAX);
        let (end, ended) = oneshot::channel();
        let mut inner = self.inner();
        let after = after.filter(|after| *after >= inner.floor);
        let backlog = after.map_or(Vec::new(), |after| {
            let known = inner
                .ring
                .partition_point(|changes| changes.revision <= after);
            let missed = inner.ring.range(known..);
            missed
                .filter(|changes| changes.is_of(show))
                .cloned()
                .collect()
        });
        let watcher = Watcher { queue, end };
        match show {
            Some(show_id) => inner.of_show.entry(show_id).or_default().push(watcher),
            None => inner.of_all.push(watcher),
        }
        Subscription {
            resumed: after.is_some(),
            backlog,
            queue: taken,
            end: ended,
        }
    }

    /// Everything up to it was given.
    fn published(&self) -> Revision {
        self.inner().published
    }

    /// Tells all that there was nothing else so far: show by show, since whoever publishes waits
    /// for one show's watchers then, not for all.
    fn bookmark(&self, time_ms: u64) {
        let watched: Vec<ShowId> = {
            let inner = &mut *self.inner();
            let item = inner.bookmark(time_ms);
            give(&mut inner.of_all, &item);
            inner.of_show.keys().copied().collect()
        };
        for show_id in watched {
            let mut inner = self.inner();
            let item = inner.bookmark(time_ms);
            inner.give_of_show(show_id, &item);
        }
    }

    /// Puts away the watchers that left. Giving does so too; this is for as long as nothing is
    /// given.
    fn put_away(&self) {
        let mut inner = self.inner();
        let is_open = |watcher: &Watcher| !watcher.queue.is_closed();
        inner.of_all.retain(is_open);
        inner.of_show.retain(|_, watchers| {
            watchers.retain(is_open);
            !watchers.is_empty()
        });
    }
}

/// Gives bookmarks while the state is known to be new, until `shutdown`.
pub(crate) async fn keep_bookmarks(freshness: Freshness, shutdown: CancellationToken) {
    let mut looks = tokio::time::interval(limits::BOOKMARK_PERIOD);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let hub = freshness.machine.watchers();
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let ((), age) = freshness.of(|| ((), hub.published().index()));
        let is_new = age.is_some_and(|age| age < limits::BOOKMARK_AGE_MAX);
        if is_new && let Some(word) = freshness.clock.newest(Instant::now()) {
            hub.bookmark(word.time_ms.saturating_add(word.age_ms));
        } else {
            hub.put_away();
        }
    }
}

#[cfg(test)]
mod tests;
