//! Shows as they change: for each that somebody looks at, a replica in memory that follows the lock
//! store's watch, however many look.
//!
//! Always holds: at most [`SHOWS_FOLLOWED_MAX`] shows are followed; one that nobody looked at for
//! [`LINGER`] is followed no more, and neither is one that isn't there. Leaves to `show` what a
//! replica is, to `viewer` who is sent what it changes, and to the routes what is shown.

mod gather;
mod history;
pub(crate) mod message;
pub(crate) mod show;
pub(crate) mod viewer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use holdfast_types::ShowId;
use lockstore_client::Client;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::show::LiveShow;
use crate::metrics;

/// Shows followed at once: a night's shows of a country; some hundred kilobytes each.
const SHOWS_FOLLOWED_MAX: usize = 256;
/// How long a show is followed after the last look at it: those who come back soon find it.
const LINGER: Duration = Duration::from_secs(60);
/// How long one must have been looked at by nobody to make room for another: less would only make
/// two take turns.
const LINGER_MIN: Duration = Duration::from_secs(5);
/// How often those that nobody looks at are put away.
const SWEEP_PERIOD: Duration = Duration::from_secs(5);
/// Viewers at once: three quarters of the connections that there may be.
const VIEWERS_MAX: usize = 12_288;
/// How long viewers may take to be told that they must go elsewhere.
const DRAIN_MAX: Duration = Duration::from_secs(6);

struct Followed {
    show: Arc<LiveShow>,
    /// Nobody looked since.
    used: Instant,
    _stop: DropGuard,
}

/// The shows that are followed.
pub(crate) struct LiveShows {
    client: Client,
    followed: Mutex<HashMap<ShowId, Followed>>,
    /// Places for viewers: [`VIEWERS_MAX`].
    pub(crate) places: Arc<Semaphore>,
    /// Viewers' tasks, and those that follow shows.
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

impl LiveShows {
    /// Follows none yet.
    pub(crate) fn new(client: Client, shutdown: CancellationToken) -> Self {
        Self {
            client,
            followed: Mutex::default(),
            places: Arc::new(Semaphore::new(VIEWERS_MAX)),
            tasks: TaskTracker::new(),
            shutdown,
        }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<ShowId, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A show that is followed already, looked at `now`.
    pub(crate) fn find(&self, show_id: ShowId, now: Instant) -> Option<Arc<LiveShow>> {
        let mut followed = self.followed();
        let found = followed.get_mut(&show_id)?;
        found.used = now;
        Some(Arc::clone(&found.show))
    }

    /// A show, followed from now on if it wasn't; `None` if too many are.
    pub(crate) fn follow(&self, show_id: ShowId, now: Instant) -> Option<Arc<LiveShow>> {
        if let Some(show) = self.find(show_id, now) {
            return Some(show);
        }
        let mut followed = self.followed();
        if followed.len() >= SHOWS_FOLLOWED_MAX {
            let idle = idle_longest(&followed, now)?;
            followed.remove(&idle);
        }
        // It may have come meanwhile.
        let entry = followed.entry(show_id).or_insert_with(|| {
            let stop = self.shutdown.child_token();
            let show = Arc::new(LiveShow::new(show_id));
            let following = Arc::clone(&show).follow(self.client.clone(), stop.clone());
            self.tasks.spawn(following);
            Followed {
                show,
                used: now,
                _stop: stop.drop_guard(),
            }
        });
        let show = Arc::clone(&entry.show);
        metrics::shows_followed(followed.len());
        Some(show)
    }

    /// Follows a show no more, because it isn't there.
    pub(crate) fn forget(&self, show_id: ShowId) {
        let mut followed = self.followed();
        if followed
            .get(&show_id)
            .is_some_and(|found| found.show.viewers() == 0)
        {
            followed.remove(&show_id);
        }
        metrics::shows_followed(followed.len());
    }

    /// Puts away what nobody looks at, until shutdown; then waits until every viewer was told.
    pub(crate) async fn keep(&self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_PERIOD) => self.sweep(Instant::now()),
                () = self.shutdown.cancelled() => break,
            }
        }
        self.tasks.close();
        if tokio::time::timeout(DRAIN_MAX, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("viewers were cut off: they outlasted the drain limit");
        }
    }

    fn sweep(&self, now: Instant) {
        let mut followed = self.followed();
        followed.retain(|_, found| {
            if found.show.viewers() > 0 {
                found.used = now;
            }
            now.duration_since(found.used) < LINGER
        });
        metrics::shows_followed(followed.len());
    }
}

/// The one without viewers that nobody looked at for longest, and for [`LINGER_MIN`] unless it isn't
/// there as far as is known: ids that somebody made up keep nobody else away.
fn idle_longest(followed: &HashMap<ShowId, Followed>, now: Instant) -> Option<ShowId> {
    followed
        .iter()
        .filter(|(_, found)| found.show.viewers() == 0)
        .filter(|(_, found)| !found.show.is_known() || now.duration_since(found.used) >= LINGER_MIN)
        .min_by_key(|(_, found)| found.used)
        .map(|(show_id, _)| *show_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows() -> LiveShows {
        let nowhere = Client::connect(vec!["http://127.0.0.1:9".to_owned()]);
        LiveShows::new(nowhere, CancellationToken::new())
    }

    fn id(n: usize) -> ShowId {
        ShowId::from_bytes((n as u128).to_be_bytes())
    }

    #[tokio::test]
    async fn shows_are_followed_up_to_a_bound_and_idle_ones_make_room() {
        let (shows, now) = (shows(), Instant::now());
        for n in 0..SHOWS_FOLLOWED_MAX {
            let show = shows.follow(id(n), now).expect("there is room");
            show.be_known();
        }
        let one_more = id(SHOWS_FOLLOWED_MAX);
        assert!(shows.follow(one_more, now).is_none(), "all were just used");
        let viewed = shows.find(id(0), now).expect("is followed");
        let _viewer = viewed.viewer();
        let later = now + LINGER_MIN;
        for n in 2..SHOWS_FOLLOWED_MAX {
            shows.find(id(n), later).expect("is followed");
        }
        assert!(shows.follow(one_more, later).is_some());
        // Nothing is known of that one.
        assert!(shows.follow(id(SHOWS_FOLLOWED_MAX + 1), later).is_some());
        assert!(shows.find(one_more, later).is_none());
        assert!(shows.find(id(0), later).is_some(), "somebody looks at it");
        assert!(shows.find(id(2), later).is_some(), "somebody just did");
        assert_eq!(shows.followed().len(), SHOWS_FOLLOWED_MAX);
    }

    #[tokio::test]
    async fn show_that_nobody_looks_at_is_put_away_and_one_with_viewers_stays() {
        let (shows, now) = (shows(), Instant::now());
        let viewed = shows.follow(id(1), now).expect("there is room");
        shows.follow(id(2), now).expect("there is room");
        let viewer = viewed.viewer();
        let later = now + LINGER;
        shows.sweep(later);
        assert!(shows.find(id(2), later).is_none());
        shows.forget(id(1));
        assert!(shows.find(id(1), later).is_some());
        drop(viewer);
        shows.sweep(later + LINGER);
        assert!(shows.find(id(1), later).is_none());
    }

    #[tokio::test]
    async fn show_that_is_not_there_is_forgotten_and_shutdown_ends_all() {
        let (shows, now) = (shows(), Instant::now());
        shows.follow(id(1), now).expect("there is room");
        shows.follow(id(2), now).expect("there is room");
        shows.forget(id(1));
        assert!(shows.find(id(1), now).is_none() && shows.find(id(2), now).is_some());
        shows.shutdown.cancel();
        let kept = tokio::time::timeout(DRAIN_MAX, shows.keep());
        kept.await.expect("every task ends");
    }
}
