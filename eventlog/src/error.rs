//! What can go wrong between a caller and the stream.

/// Why the stream could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres refused, or is away.
    #[error("event stream: {0}")]
    Database(#[from] sqlx::Error),
    /// Postgres did not answer in time.
    #[error("event stream: no answer from the database within {0:?}")]
    Timeout(std::time::Duration),
    /// An event larger than the stream carries.
    #[error(
        "payload of {event_type} has {bytes} bytes, more than {}",
        crate::PAYLOAD_BYTES_MAX
    )]
    PayloadTooLarge {
        /// The event's type.
        event_type: &'static str,
        /// How large it was.
        bytes: usize,
    },
}
