//! What the catalogue tells the others: topic `catalog`, keyed by the id of what changed.
//!
//! Always holds: an event is written in the transaction of its change, and only for a change. It
//! carries ids alone; whoever keeps a copy reads it anew through `ReadShows`. A changed title
//! would otherwise have to carry each of an event's shows, and events of two keys that tell of one
//! show would have no order.

use holdfast_eventlog::{NewEvent, Outbox};
use holdfast_proto::events::v1;
use holdfast_types::{EventId, ShowId, VenueId};
use prost::Message;
use sqlx::PgConnection;

use crate::store;

pub(super) const OUTBOX: Outbox = Outbox::new("catalog");

pub(super) async fn venue_changed(
    connection: &mut PgConnection,
    id: VenueId,
) -> Result<(), store::Error> {
    let message = v1::VenueChanged {
        venue_id: id.to_bytes().to_vec(),
    };
    append(connection, id.to_string(), "VenueChanged", &message).await
}

pub(super) async fn event_changed(
    connection: &mut PgConnection,
    id: EventId,
) -> Result<(), store::Error> {
    let message = v1::EventChanged {
        event_id: id.to_bytes().to_vec(),
    };
    append(connection, id.to_string(), "EventChanged", &message).await
}

pub(super) async fn show_changed(
    connection: &mut PgConnection,
    id: ShowId,
) -> Result<(), store::Error> {
    let message = v1::ShowChanged {
        show_id: id.to_bytes().to_vec(),
    };
    append(connection, id.to_string(), "ShowChanged", &message).await
}

async fn append(
    connection: &mut PgConnection,
    key: String,
    event_type: &'static str,
    message: &impl Message,
) -> Result<(), store::Error> {
    let event = NewEvent {
        topic: "catalog",
        key,
        event_type,
        payload: message.encode_to_vec(),
    };
    OUTBOX.append(connection, event).await?;
    Ok(())
}
