//! What the catalogue tells the others: topic `catalog`, keyed by the id of what changed; and topic `sale`, of
//! which booking-svc is told what it sells by.
//!
//! Always holds: an event is written in the transaction of its change, and only for a change. It
//! carries ids alone (of topic `catalog`); whoever keeps a copy reads it anew through `ReadShows`. A changed
//! title would otherwise have to carry each of an event's shows, and events of two keys that tell of one
//! show would have no order.

use chrono::{DateTime, Utc};
use holdfast_eventlog::{NewEvent, Outbox};
use holdfast_proto::events::v1;
use holdfast_types::{EventId, ShowId, VenueId};
use prost::Message;
use sqlx::PgConnection;

use crate::{model::Show, store};

pub(crate) static OUTBOX: Outbox = Outbox::new("catalog");

/// What a transaction changed. News of a venue or an event stands for each of its shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changed<'a> {
    pub(super) venues: &'a [VenueId],
    pub(super) events: &'a [EventId],
    pub(super) shows: &'a [ShowId],
}

pub(super) async fn all_changed(
    connection: &mut PgConnection,
    changed: Changed<'_>,
) -> Result<(), store::Error> {
    let venues = changed.venues.iter().map(|id| {
        let venue_id = id.to_bytes().to_vec();
        news(id, "VenueChanged", &v1::VenueChanged { venue_id })
    });
    let events = changed.events.iter().map(|id| {
        let event_id = id.to_bytes().to_vec();
        news(id, "EventChanged", &v1::EventChanged { event_id })
    });
    let shows = changed.shows.iter().map(|id| {
        let show_id = id.to_bytes().to_vec();
        news(id, "ShowChanged", &v1::ShowChanged { show_id })
    });
    let all: Vec<NewEvent> = venues.chain(events).chain(shows).collect();
    OUTBOX.append_all(connection, all).await?;
    Ok(())
}

pub(super) async fn venue_changed(
    connection: &mut PgConnection,
    id: VenueId,
) -> Result<(), store::Error> {
    let venues = &[id];
    let changed = Changed {
        venues,
        ..Changed::default()
    };
    all_changed(connection, changed).await
}

pub(super) async fn event_changed(
    connection: &mut PgConnection,
    id: EventId,
) -> Result<(), store::Error> {
    let events = &[id];
    let changed = Changed {
        events,
        ..Changed::default()
    };
    all_changed(connection, changed).await
}

pub(super) async fn show_changed(
    connection: &mut PgConnection,
    id: ShowId,
) -> Result<(), store::Error> {
    let shows = &[id];
    let changed = Changed {
        shows,
        ..Changed::default()
    };
    all_changed(connection, changed).await
}

/// When the show's sale begins and ends has changed.
pub(super) async fn sale_changed(
    connection: &mut PgConnection,
    show: &Show,
) -> Result<(), store::Error> {
    let ms = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
    let message = v1::ShowSaleChanged {
        show_id: show.show_id.to_bytes().to_vec(),
        sale_starts_at_ms: ms(show.sale.starts_at),
        sale_ends_at_ms: ms(show.sale.ends_at),
        sale_version: show.sale_version,
    };
    let told = NewEvent {
        topic: "sale",
        key: show.show_id.to_string(),
        event_type: "ShowSaleChanged",
        payload: message.encode_to_vec(),
    };
    OUTBOX.append_all(connection, vec![told]).await?;
    Ok(())
}

fn news(key: &impl ToString, event_type: &'static str, message: &impl Message) -> NewEvent {
    NewEvent {
        topic: "catalog",
        key: key.to_string(),
        event_type,
        payload: message.encode_to_vec(),
    }
}
