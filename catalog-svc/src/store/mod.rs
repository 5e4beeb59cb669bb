//! SQL of schema `catalog`, one module a table family.
//!
//! Always holds: names are schema-qualified, every query is bounded, inserts tell whether the id
//! was new instead of failing on a known one. Leaves to others: rights, bounds of fields, states'
//! rules.

pub(crate) mod asked;
pub(crate) mod categories;
pub(crate) mod events;
pub(crate) mod import;
pub(crate) mod performers;
pub(crate) mod plan_files;
pub(crate) mod plan_loans;
pub(crate) mod plans;
pub(crate) mod seat_map;
pub(crate) mod shows;
pub(crate) mod venues;

use std::time::Duration;

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, UserId};

/// Events told as changed in one transaction, where many are because of something that they name.
const EVENTS_TOLD_AT_ONCE: i64 = 500;

/// When a caller may ask again while Postgres is away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the database didn't answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("catalogue database")]
    Sql(#[from] sqlx::Error),
    /// The news of a change couldn't be written.
    #[error("catalogue database: outbox")]
    Outbox(#[from] holdfast_eventlog::Error),
    /// A row says what no write of ours does.
    #[error("catalogue database: {what} of {table} can't be read")]
    Unreadable {
        table: &'static str,
        what: &'static str,
    },
}

impl Error {
    /// Whether the database is away, as opposed to saying no.
    fn is_unavailable(&self) -> bool {
        use holdfast_eventlog::Error as Outbox;
        match self {
            Self::Sql(error) | Self::Outbox(Outbox::Database(error)) => is_away(error),
            Self::Outbox(Outbox::Timeout(_)) => true,
            Self::Outbox(Outbox::PayloadTooLarge { .. }) | Self::Unreadable { .. } => false,
        }
    }
}

fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| passes(&code)),
        _ => false,
    }
}

/// Whether an SQLSTATE may be gone at the next try. Classes: connection exception, insufficient
/// resources, operator intervention (a statement that took too long, too), serialisation and
/// deadlock; and a server that has become a standby.
fn passes(code: &str) -> bool {
    ["08", "53", "57", "40", "25006"]
        .iter()
        .any(|class| code.starts_with(class))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, cause = ?error, "the database is away");
            return Self::new(
                ErrorCode::Unavailable,
                "the catalogue's database is away; try again",
            )
            .with_retry_after(RETRY_AFTER);
        }
        Self::internal(&error)
    }
}

/// Something with who made it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owned<T> {
    pub(crate) owner_id: UserId,
    pub(crate) value: T,
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn deadlocks_and_failovers_pass_and_mistakes_do_not() {
        for code in [
            "40001", "40P01", "25006", "57014", "57P01", "08006", "53300",
        ] {
            assert!(passes(code), "{code}");
        }
        for code in ["23505", "42P01", "22003", "25001"] {
            assert!(!passes(code), "{code}");
        }
    }
}
