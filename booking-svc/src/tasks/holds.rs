//! Follows the store's watch, so that a booking doesn't wait out its time when its hold is over:
//! above all when a show is called off; and so that house seats are compared wherever some were changed.
//!
//! Always holds: a hold that the store told of has ended for good; and what this misses of them (while it wasn't
//! there, or was too slow) the sweep finds in its own time, so that nothing depends on it. Where house seats may
//! have been changed unheard, because it begins, or begins anew, or couldn't mark a show, every show that isn't
//! over is compared. Any number of processes may do it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use holdfast_types::{HoldToken, ShowId};
use lockstore_client::{Change, Changes, Start, Watch, WatchItem, Watched};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::app::{App, settle::Over};

/// Ended holds that are looked up together: those of one tick at most, which ends a few thousand.
const HOLDS_MAX: usize = 1_000;

/// Shows whose house seats changed, and that are marked together.
const SHOWS_MAX: usize = 100;

/// How long the first of them waits for others.
const GATHER_MAX: Duration = Duration::from_millis(50);

/// Pause before all shows are marked again when that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Follows until `end`; what is under way then is taken over like after a crash.
pub(crate) async fn follow(app: Arc<App>, end: CancellationToken) {
    let mut watch = app.lock_store.watch(Watched::All, Start::NextChange);
    let following = async {
        // When every show is to be marked, where that is owed.
        let mut mark_all_at = None;
        loop {
            let told = gather(&mut watch, mark_all_at).await;
            if told.has_begun {
                mark_all_at = Some(Instant::now());
            }
            if let Err(error) = app.end_with_holds(&told.ended).await {
                // The sweep proposes them again.
                tracing::warn!(%error, "bookings of ended holds were not all ended");
            }
            if let Err(error) = app.mark_house_seats(told.house).await {
                // Whoever changed them has marked them, too; but for the release before.
                tracing::warn!(%error, "shows whose house seats changed were not all marked");
                mark_all_at.get_or_insert_with(|| Instant::now() + RETRY);
            }
            if mark_all_at.is_some_and(|at| at <= Instant::now()) {
                mark_all_at = match app.mark_all_house_seats().await {
                    Ok(()) => None,
                    Err(error) => {
                        tracing::warn!(%error, "shows whose house seats may have changed were not marked");
                        Some(Instant::now() + RETRY)
                    }
                };
            }
        }
    };
    let _: Option<std::convert::Infallible> = end.run_until_cancelled(following).await;
}

/// What was told.
#[derive(Debug, Default)]
struct Told {
    ended: Vec<Over>,
    /// Shows of which house seats were blocked or released.
    house: BTreeSet<ShowId>,
    /// What was before this wasn't told.
    has_begun: bool,
}

impl Told {
    fn is_nothing(&self) -> bool {
        self.ended.is_empty() && self.house.is_empty() && !self.has_begun
    }
}

/// Waits for something to be told, and a moment for more; or for nothing, `at_most` until then.
async fn gather(watch: &mut Watch, at_most: Option<Instant>) -> Told {
    let mut told = Told::default();
    while told.is_nothing() {
        let item = match at_most {
            None => watch.next().await,
            Some(until) => match timeout_at(until, watch.next()).await {
                Ok(item) => item,
                Err(_) => return told,
            },
        };
        take(item, &mut told);
    }
    let until = Instant::now() + GATHER_MAX;
    while told.ended.len() < HOLDS_MAX
        && told.house.len() < SHOWS_MAX
        && let Ok(item) = timeout_at(until, watch.next()).await
    {
        take(item, &mut told);
    }
    told
}

fn take(item: WatchItem, told: &mut Told) {
    match item {
        WatchItem::Changes(Changes { revision, shows }) => {
            for show in shows {
                let show_id = show.show_id;
                for change in show.changes {
                    match change {
                        Change::Ended { hold_id, fence, .. } => told.ended.push(Over {
                            hold: HoldToken {
                                show_id,
                                hold_id,
                                fence,
                            },
                            revision,
                        }),
                        Change::Blocked { .. } | Change::Unblocked { .. } => {
                            told.house.insert(show_id);
                        }
                        _ => {}
                    }
                }
            }
        }
        WatchItem::Begun { anew, .. } => {
            told.has_begun = true;
            if anew {
                tracing::info!("ended holds may have been missed; the sweep finds their bookings");
            }
        }
        WatchItem::Snapshot(_) | WatchItem::Bookmark { .. } => {}
    }
}
