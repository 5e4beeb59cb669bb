//! Deletes events that everybody is long past.
//!
//! Always holds: an event that some consumer's cursor has not passed, or that waits behind a key
//! in trouble, stays, however old it is. Any number of processes may prune at once.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;

use crate::{Error, metric};

/// Days an event stays although everybody has handled it: for people who look into something.
pub const EVENTS_KEPT_DAYS: i32 = 7;

/// Events deleted in one transaction, and looked at for it.
const BATCH_EVENTS: i32 = 1_000;

/// Batches in one round; the rest waits for the next.
const BATCHES_MAX: usize = 100;

/// Pause between two rounds: with the above, more events than a day brings are pruned in a day.
const PERIOD: Duration = Duration::from_secs(300);

/// Prunes round after round; failures are logged and tried again. Drop it to stop.
pub(crate) async fn prune_until_dropped(pool: &PgPool) {
    loop {
        // Spread, so that processes started together don't prune together.
        sleep(PERIOD.mul_f64(rand::random_range(0.5..1.5))).await;
        for _ in 0..BATCHES_MAX {
            match prune_once(pool).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not prune the event stream; trying again later");
                    break;
                }
            }
        }
    }
}

/// Deletes up to 1,000 of the oldest events that are older than [`EVENTS_KEPT_DAYS`], are handled
/// by every consumer there is and wait behind no key; returns how many. With no consumer at all,
/// none.
///
/// # Errors
/// [`Error::Database`].
pub async fn prune_once(pool: &PgPool) -> Result<u32, Error> {
    let pruned = sqlx::query_scalar!(
        r#"SELECT eventlog.prune($1, $2) AS "pruned!""#,
        EVENTS_KEPT_DAYS,
        BATCH_EVENTS
    )
    .fetch_one(pool)
    .await?;
    let pruned = u32::try_from(pruned).expect("a count of rows");
    metrics::counter!(metric::PRUNED).increment(u64::from(pruned));
    Ok(pruned)
}
