//! SQL over schema `payment`, and nothing else.

pub(crate) mod compare;
pub(crate) mod ledger;
pub(crate) mod news;
pub(crate) mod payments;
pub(crate) mod refunds;
pub(crate) mod webhooks;

use crate::away::is_away;

/// Why the database didn't do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Postgres refused, or is away.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The event couldn't be written.
    #[error(transparent)]
    Outbox(#[from] holdfast_eventlog::Error),
    /// A row holds what this version never writes.
    #[error("payment.{table}: {what}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// What can't be read.
        what: String,
    },
}

impl Error {
    /// Whether the database is missing, and nothing is wrong with what it was told.
    pub(crate) fn is_away(&self) -> bool {
        use holdfast_eventlog::Error as Outbox;
        match self {
            Self::Database(error) | Self::Outbox(Outbox::Database(error)) => is_away(error),
            Self::Outbox(Outbox::Timeout(_)) => true,
            Self::Outbox(Outbox::PayloadTooLarge { .. }) | Self::Corrupt { .. } => false,
        }
    }
}
