//! What a use case can end in, and what the wire sees of it.

use std::time::Duration;

use holdfast_mesh::{Failure, server};
use holdfast_types::{ErrorCode, Lineage};

use crate::store;

/// When a caller may try again after an outage; elections and failovers take about this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a use case didn't happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// By the rules; the caller sees it as it is.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// Postgres refused, or is away.
    #[error("booking database: {0}")]
    Database(#[from] sqlx::Error),
    /// A table can't be understood.
    #[error(transparent)]
    Corrupt(store::Corrupt),
    /// The outbox refused.
    #[error(transparent)]
    Events(#[from] holdfast_eventlog::Error),
    /// The lock store can't be asked, or its answer is unknown.
    #[error("lock store: {0}")]
    LockStore(#[from] lockstore_client::Error),
    /// The lock store answered from another life of its cluster than the current one.
    #[error("the lock store answered in lineage {answered}, current is {current}")]
    ForeignLineage {
        /// Whose answer it was.
        answered: Lineage,
        /// Whose answers count.
        current: Lineage,
    },
    /// The lock store takes the place of one that was lost, and isn't loaded yet.
    #[error("the lock store is being rebuilt")]
    Rebuilding,
    /// The lock store refused for no reason of the caller's.
    #[error("the lock store refused {what}: {reason}")]
    LockStoreRefused {
        /// What was asked.
        what: &'static str,
        /// Its reason.
        reason: String,
    },
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Database(error) => Self::Database(error),
            store::Error::Corrupt(error) => Self::Corrupt(error),
        }
    }
}

impl Error {
    /// Whether the same request may succeed once some part is back.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) => database_is_away(error),
            Self::Events(holdfast_eventlog::Error::Database(error)) => database_is_away(error),
            Self::Events(holdfast_eventlog::Error::Timeout(_))
            | Self::ForeignLineage { .. }
            | Self::Rebuilding
            | Self::LockStoreRefused { .. } => true,
            Self::LockStore(error) => !matches!(error, lockstore_client::Error::Invalid(..)),
            Self::Refused(failure) => {
                matches!(
                    failure.code(),
                    ErrorCode::Unavailable | ErrorCode::RateLimited
                )
            }
            Self::Corrupt(_) | Self::Events(_) => false,
        }
    }

    /// What the wire calls it.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(failure) => failure.code(),
            error if error.is_outage() => ErrorCode::Unavailable,
            _ => ErrorCode::InternalError,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(failure) => failure,
            error if error.is_outage() => {
                tracing::warn!(%error, "a part that booking needs is away");
                unavailable()
            }
            error => Failure::internal(&error),
        }
    }
}

/// `UNAVAILABLE`, with when to try again.
pub(crate) fn unavailable() -> Failure {
    Failure::new(
        ErrorCode::Unavailable,
        "booking is not available right now; try again",
    )
    .with_retry_after(RETRY_AFTER)
}

/// Beginnings of the SQLSTATEs that pass: connection, resources, operator intervention,
/// serialisation and deadlock; a server that became a standby, timeouts of idle or long
/// transactions, a lock that wasn't to be had.
const PASSING: [&str; 8] = ["08", "53", "57", "40", "25006", "25P03", "25P04", "55P03"];

fn database_is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| PASSING.iter().any(|class| code.starts_with(class))),
        _ => false,
    }
}

/// Why the service didn't start or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting is out of bounds.
    #[error("booking.{key}: {why}")]
    Config {
        /// Which.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Postgres can't be reached.
    #[error("booking database")]
    Database(#[from] sqlx::Error),
    /// The schema can't be brought up to date.
    #[error("booking migrations")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A table can't be read.
    #[error("booking tables")]
    Store(#[source] store::Error),
    /// The lock store was lost, and isn't rebuilt yet.
    #[error("the lock store can't be rebuilt yet")]
    Rebuild(#[from] crate::rebuild::Error),
    /// A peer's address is malformed.
    #[error(transparent)]
    Peer(#[from] holdfast_mesh::client::Error),
    /// The server can't run.
    #[error(transparent)]
    Server(Box<server::Error>),
    /// A background loop ended before shutdown: it panicked.
    #[error("a background loop of booking ended")]
    LoopEnded(#[source] Option<tokio::task::JoinError>),
}

impl From<server::Error> for ServeError {
    fn from(error: server::Error) -> Self {
        Self::Server(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_that_is_away_is_unavailable_with_a_time_to_try_again() {
        let away = || {
            [
                sqlx::Error::PoolTimedOut,
                sqlx::Error::PoolClosed,
                sqlx::Error::WorkerCrashed,
                sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
            ]
        };
        let mut errors: Vec<Error> = away().map(Error::Database).into();
        errors.extend(away().map(|error| store::Error::Database(error).into()));
        errors.extend(away().map(|error| holdfast_eventlog::Error::Database(error).into()));
        for error in errors {
            let what = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(failure.code(), ErrorCode::Unavailable, "{what}");
            assert_eq!(failure.retry_after(), Some(RETRY_AFTER), "{what}");
        }
        let defect = Failure::from(Error::Database(sqlx::Error::RowNotFound));
        assert_eq!(defect.code(), ErrorCode::InternalError);
    }
}
