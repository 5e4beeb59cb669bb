//! Keys that a consumer gave up on, what is wrong with them, and how to let them go on.
//!
//! Always holds: a parked key is seen: an error in the log when it happens, and for as long as it
//! lasts the gauge `holdfast_eventlog_parked` and this list. Leaves to others: mending the cause.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::{Error, Event};

/// Parked keys listed at most, oldest first. More than that is one defect, not many.
pub const PARKED_LISTED_MAX: i64 = 1_000;

/// Events of a key that are shown at most: the failing one comes first.
pub const INSPECTED_EVENTS_MAX: i64 = 100;

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

/// A key in trouble, parked or still tried, with the events that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Whose trouble it is.
    pub consumer: String,
    /// With which key.
    pub key: String,
    /// `PARKED`, or `RETRYING` while it is tried again by itself.
    pub state: String,
    /// Tries of the failing event.
    pub tries: i32,
    /// Those of them that count towards parking: not those while something that it needs was down.
    pub failures: i32,
    /// What the last try said.
    pub error: String,
    /// When the key first failed.
    pub since: DateTime<Utc>,
    /// When it is next tried, if it is.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Events that wait, the failing one included.
    pub waiting: i64,
    /// The first [`INSPECTED_EVENTS_MAX`] of them in order: the failing one, and what waits behind it.
    pub events: Vec<Event>,
}

/// What is known of a consumer's trouble with a key; none if it has none.
///
/// # Errors
/// [`Error::Database`].
pub async fn inspect(pool: &PgPool, consumer: &str, key: &str) -> Result<Option<Inspected>, Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let row = sqlx::query_file!("src/inspect.sql", consumer, key)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let events = sqlx::query_as!(
        Event,
        "SELECT e.seq, e.id, e.producer, e.topic, e.key, e.event_type, e.payload, e.occurred_at,
             e.traceparent
         FROM eventlog.set_aside s JOIN eventlog.events e ON e.seq = s.seq
         WHERE s.consumer = $1 AND s.key = $2 ORDER BY s.seq LIMIT $3",
        consumer,
        key,
        INSPECTED_EVENTS_MAX
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(Inspected {
        consumer: row.consumer,
        key: row.key,
        state: row.state,
        tries: row.tries,
        failures: row.failures,
        error: row.error,
        since: row.since,
        next_try_at: row.next_try_at,
        waiting: row.waiting,
        events,
    }))
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
