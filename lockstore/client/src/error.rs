//! Why there is no answer.

use std::time::Duration;

use holdfast_types::Lineage;

/// No answer within the deadline. A refusal is none of these: it is an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No node could take the request: none is reachable, there is no leader or quorum, or none is as
    /// fresh as a read asks for. It had no effect and will have none.
    #[error("the lock store is unavailable")]
    Unavailable,
    /// The request was sent and no answer came. It may have taken effect, or may until its
    /// deadline; asking again with the same id (a hold's), or reading, tells.
    #[error("the lock store gave no answer; the outcome is unknown")]
    OutcomeUnknown,
    /// The store is busy. The request had no effect.
    #[error("the lock store is overloaded; retry after {} ms", retry_after.as_millis())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store has too little free disk space, on every node that could lead, and takes no writes;
    /// reads are answered. The request had no effect. It helps to make space.
    #[error("the lock store has too little free disk space and takes no writes")]
    OutOfSpace,
    /// The revision that a read must see is of another lineage: what it saw may be gone. Begin anew
    /// with what is there now.
    #[error("the revision is of another lineage than {lineage}, the lock store's")]
    LineageChanged {
        /// The store's.
        lineage: Lineage,
    },
    /// A field is malformed, or the message is too large; no retry helps.
    #[error("the lock store didn't understand the request: {0}")]
    Invalid(String),
    /// The answer is not one this client knows; the store may be of another version.
    #[error("the lock store's answer wasn't understood: {0}")]
    Malformed(&'static str),
}
