//! Follows the store's watch, so that a booking doesn't wait out its time when its hold is over:
//! above all when a show is called off.
//!
//! Always holds: a hold that the store told of has ended for good; and what this misses (while it wasn't
//! there, or was too slow) the sweep finds in its own time, so that nothing depends on it. Any number of
//! processes may do it.

use std::{sync::Arc, time::Duration};

use holdfast_types::HoldToken;
use lockstore_client::{Change, Changes, Start, Watch, WatchItem, Watched};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::app::{App, settle::Over};

/// Ended holds that are looked up together: those of one tick at most, which ends a few thousand.
const HOLDS_MAX: usize = 1_000;

/// How long the first of them waits for others.
const GATHER_MAX: Duration = Duration::from_millis(50);

/// Follows until `end`; what is under way then is taken over like after a crash.
pub(crate) async fn follow(app: Arc<App>, end: CancellationToken) {
    let mut watch = app.lock_store.watch(Watched::All, Start::NextChange);
    let following = async {
        loop {
            let ended = gather(&mut watch).await;
            if let Err(error) = app.end_with_holds(&ended).await {
                // The sweep proposes them again.
                tracing::warn!(%error, "bookings of ended holds were not all ended");
            }
        }
    };
    let _: Option<std::convert::Infallible> = end.run_until_cancelled(following).await;
}

/// Holds that ended: waits for one, and a moment for more.
async fn gather(watch: &mut Watch) -> Vec<Over> {
    let mut ended = Vec::new();
    while ended.is_empty() {
        take(watch.next().await, &mut ended);
    }
    let until = Instant::now() + GATHER_MAX;
    while ended.len() < HOLDS_MAX
        && let Ok(item) = timeout_at(until, watch.next()).await
    {
        take(item, &mut ended);
    }
    ended
}

fn take(item: WatchItem, ended: &mut Vec<Over>) {
    match item {
        WatchItem::Changes(Changes { revision, shows }) => {
            for show in shows {
                let show_id = show.show_id;
                ended.extend(show.changes.into_iter().filter_map(|change| match change {
                    Change::Ended { hold_id, fence, .. } => Some(Over {
                        hold: HoldToken {
                            show_id,
                            hold_id,
                            fence,
                        },
                        revision,
                    }),
                    _ => None,
                }));
            }
        }
        WatchItem::Begun { anew: true, .. } => {
            tracing::info!("ended holds may have been missed; the sweep finds their bookings");
        }
        WatchItem::Begun { .. } | WatchItem::Snapshot(_) | WatchItem::Bookmark { .. } => {}
    }
}
