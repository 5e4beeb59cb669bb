//! How services tell each other what happened: a transactional outbox per service, one stream in
//! Postgres, and durable consumers (BK-4).
//!
//! A service appends to its [`Outbox`] in the transaction of the change itself. [`relay()`] moves
//! committed rows into `eventlog.events`. [`consume`] hands them to a [`Handler`], at least once,
//! in order per key; a key that keeps failing is parked ([`parked()`], [`inspect`]) until [`replay`], and blocks
//! no other.
//!
//! Always holds:
//! - An event is in its outbox or in the stream, never in both, never in neither.
//! - `seq` order is commit order: a reader at `n` has missed nothing below `n`.
//! - One process at a time works for a consumer name; when it dies, another takes over and may
//!   repeat what was not recorded yet. Handlers must be idempotent.
//! - An event is of the trace that its writer worked on, and is handled as a part of it.
//! - An event stays at least 7 days, and for as long as a known consumer has not handled it. A
//!   consumer under a new name starts at the oldest that is left.
//!
//! Leaves to others: what the payloads mean, and the outbox table (`sql/outbox.sql`, copied into
//! each service's own migration).

mod consumer;
mod error;
mod event;
mod lag;
mod metric;
mod outbox;
mod parked;
mod prune;
mod relay;
mod trace;
mod transaction;
mod wake;

pub use consumer::{ConsumerConfig, HandleError, Handler, consume};
pub use error::Error;
pub use event::{Event, NewEvent};
pub use lag::{behind, lag, newest};
pub use outbox::{Outbox, PAYLOAD_BYTES_MAX, Row, Waiting};
pub use parked::{
    INSPECTED_EVENTS_MAX, Inspected, PARKED_LISTED_MAX, Parked, inspect, parked, replay,
};
pub use prune::{EVENTS_KEPT_DAYS, prune_once};
pub use relay::{move_once, relay};
pub use transaction::begin;

/// The migrations of schema `eventlog`, for tests that need a database with it.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Makes or upgrades schema `eventlog`. Run by its owner; services need no right to.
///
/// # Errors
/// What the database says, and a migration that was changed after it ran.
pub async fn migrate(pool: &sqlx::PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await
}

/// Gives a service's role what it needs to produce and to consume; idempotent. Run by the
/// schema's owner after [`migrate`].
///
/// # Errors
/// [`Error::Database`], e.g. for a role that isn't there.
pub async fn grant_service(pool: &sqlx::PgPool, role: &str) -> Result<(), Error> {
    sqlx::query_scalar!("SELECT eventlog.grant_service($1)::text", role)
        .fetch_one(pool)
        .await?;
    Ok(())
}
