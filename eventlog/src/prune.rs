//! Drops what everybody is long past, and makes room for what comes, by whole partitions.
//!
//! Always holds: an event that some consumer's cursor has not passed, or that waits behind a key
//! in trouble, stays, however old it is, and what shares its partition with it. Any number of processes
//! may prune at once.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;

use crate::{Error, metric};

/// Days an event stays although everybody has handled it: for people who look into something.
pub const EVENTS_KEPT_DAYS: i32 = 7;

/// Partitions dropped in one round; the rest waits for the next.
const PARTITIONS_MAX: usize = 16;

/// Pause between two rounds: far shorter than the partitions ahead take to fill.
const PERIOD: Duration = Duration::from_secs(300);

/// Prunes round after round; failures are logged and tried again. Drop it to stop.
pub(crate) async fn prune_until_dropped(pool: &PgPool) {
    loop {
        if let Err(error) = add_partitions(pool).await {
            tracing::warn!(%error, "could not make room in the event stream; trying again later");
        }
        // Spread, so that processes started together don't prune together.
        sleep(PERIOD.mul_f64(rand::random_range(0.5..1.5))).await;
        for _ in 0..PARTITIONS_MAX {
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

/// Makes the partitions that the next millions of events go into; returns how many were missing.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn add_partitions(pool: &PgPool) -> Result<u32, Error> {
    let added = sqlx::query_scalar!(r#"SELECT eventlog.add_partitions() AS "added!""#);
    let added = added.fetch_one(pool).await?;
    Ok(u32::try_from(added).expect("a count of partitions"))
}

/// Drops one full partition of the stream, five million places, whose events are older than
/// [`EVENTS_KEPT_DAYS`], are handled by every consumer there is and wait behind no key; returns how many
/// there were. With no consumer at all, none.
///
/// # Errors
/// [`Error::Database`], e.g. if it is read from all the time.
pub async fn prune_once(pool: &PgPool) -> Result<u32, Error> {
    let pruned = sqlx::query_scalar!(
        r#"SELECT eventlog.prune($1, 0) AS "pruned!""#,
        EVENTS_KEPT_DAYS
    )
    .fetch_one(pool)
    .await?;
    let pruned = u32::try_from(pruned).expect("a count of rows");
    metrics::counter!(metric::PRUNED).increment(u64::from(pruned));
    Ok(pruned)
}
