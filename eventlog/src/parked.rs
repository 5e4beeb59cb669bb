//! Keys that a consumer gave up on, and how to let them go on.
//!
//! Always holds: a parked key is seen: an error in the log when it happens, and for as long as it
//! lasts the gauge `holdfast_eventlog_parked` and this list. Leaves to others: mending the cause.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::Error;

/// Parked keys listed at most, oldest first. More than that is one defect, not many.
pub const PARKED_LISTED_MAX: i64 = 1_000;

/// A key whose events wait for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Which consumer gave up.
    pub consumer: String,
    /// On which key.
    pub key: String,
    /// Tries of the failing event.
    pub tries: i32,
    /// What the last try said.
    pub error: String,
    /// When the key first failed.
    pub since: DateTime<Utc>,
    /// The failing event's type, if it is still in the stream.
    pub event_type: Option<String>,
    /// Events that wait, the failing one included.
    pub waiting: i64,
}

/// The parked keys of all consumers, oldest first, at most [`PARKED_LISTED_MAX`].
///
/// # Errors
/// [`Error::Database`].
pub async fn parked(pool: &PgPool) -> Result<Vec<Parked>, Error> {
    let rows = sqlx::query_file_as!(Parked, "src/parked.sql", PARKED_LISTED_MAX);
    Ok(rows.fetch_all(pool).await?)
}

/// Lets a parked key go on from its failing event, with a full set of tries. True if it was parked.
///
/// # Errors
/// [`Error::Database`].
pub async fn replay(pool: &PgPool, consumer: &str, key: &str) -> Result<bool, Error> {
    let done = sqlx::query!(
        "UPDATE eventlog.troubled_keys
         SET state = 'RETRYING', tries = 0, failures = 0, next_try_at = now()
         WHERE consumer = $1 AND key = $2 AND state = 'PARKED'",
        consumer,
        key
    )
    .execute(pool)
    .await?;
    let was_parked = done.rows_affected() == 1;
    if was_parked {
        sqlx::query_scalar!(
            "SELECT pg_notify('eventlog_events', 'replay:' || $1)::text",
            consumer
        )
        .fetch_one(pool)
        .await?;
    }
    Ok(was_parked)
}
