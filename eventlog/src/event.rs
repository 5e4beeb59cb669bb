//! Events, before and after they are in the stream.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Something that happened, about to be written to the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Who may be interested, e.g. `booking`.
    pub topic: &'static str,
    /// What order is kept by, e.g. a booking id as text.
    pub key: String,
    /// The payload's message name, e.g. `BookingCreated`.
    pub event_type: &'static str,
    /// The encoded message, at most [`PAYLOAD_BYTES_MAX`](crate::PAYLOAD_BYTES_MAX).
    pub payload: Vec<u8>,
}

/// Something that happened, as consumers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Place in the stream: strictly increasing, with gaps.
    pub seq: i64,
    /// Given when it was appended; the same at every delivery.
    pub id: Uuid,
    /// The schema whose outbox it came from.
    pub producer: String,
    /// Who may be interested.
    pub topic: String,
    /// What order is kept by.
    pub key: String,
    /// The payload's message name.
    pub event_type: String,
    /// The encoded message.
    pub payload: Vec<u8>,
    /// When the transaction that wrote it began, by the database's clock.
    pub occurred_at: DateTime<Utc>,
    /// The trace that it is a part of (W3C `traceparent`), if its writer worked on one.
    pub traceparent: Option<String>,
}
