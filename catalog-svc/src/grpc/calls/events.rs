//! Calls about events.

use chrono::Utc;
use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::EventId;
use tonic::Request;

use crate::{
    cursor::EventCursor,
    fields::Fields,
    grpc::{
        Service,
        asked::asked,
        event_not_found, events, if_version,
        own::{PageOf, next_cursor, next_own},
        shows,
    },
    store,
};

/// Shows that an event's page lists.
const SHOWS_PER_EVENT_MAX: u32 = 100;

impl Service {
    pub(in crate::grpc) async fn create_event(
        &self,
        request: Request<wire::CreateEventRequest>,
    ) -> Result<wire::CreateEventResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(&mut request, actor)?;
        let (event, bill) = events::decode(request.event.as_ref())?;
        let made = self
            .catalog
            .create_event(actor, event, &bill, &asked)
            .await?;
        Ok(wire::CreateEventResponse {
            event: Some(events::encode(made.value)),
            replayed: made.replayed,
        })
    }

    pub(in crate::grpc) async fn update_event(
        &self,
        request: Request<wire::UpdateEventRequest>,
    ) -> Result<wire::UpdateEventResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let (id, change) = events::decode_change(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let event = self
            .catalog
            .update_event(actor, id, change, if_version, Utc::now())
            .await?;
        Ok(wire::UpdateEventResponse {
            event: Some(events::encode(event)),
        })
    }

    pub(in crate::grpc) async fn get_own_event(
        &self,
        request: Request<wire::GetOwnEventRequest>,
    ) -> Result<wire::GetOwnEventResponse, Failure> {
        let actor = self.actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = fields.id("event_id", &request.get_ref().event_id, EventId::from_slice);
        let found = store::events::find(&self.catalog.pool, fields.finish(id)?).await?;
        let own = found.filter(|event| actor.may_change(event.owner_id));
        let event = own.ok_or_else(event_not_found)?.value;
        Ok(wire::GetOwnEventResponse {
            event: Some(events::encode(event)),
        })
    }

    pub(in crate::grpc) async fn list_own_events(
        &self,
        request: Request<wire::ListOwnEventsRequest>,
    ) -> Result<wire::ListOwnEventsResponse, Failure> {
        let actor = self.actor(request.metadata()).await?;
        let wire::ListOwnEventsRequest { limit, cursor } = request.get_ref();
        let page = PageOf::decode::<'o'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(EventId::from));
        let mut events =
            store::events::of_owner(pool, actor.user_id, after, page.limit + 1).await?;
        let next_cursor = next_own::<'o', _>(&mut events, page, |last| last.event_id.as_uuid());
        Ok(wire::ListOwnEventsResponse {
            events: events.into_iter().map(events::encode).collect(),
            next_cursor,
        })
    }

    pub(in crate::grpc) async fn get_event(
        &self,
        request: Request<wire::GetEventRequest>,
    ) -> Result<wire::GetEventResponse, Failure> {
        let mut fields = Fields::default();
        let id = fields.id("event_id", &request.get_ref().event_id, EventId::from_slice);
        let id = fields.finish(id)?;
        let pool = &self.catalog.pool;
        let event = store::events::find(pool, id).await?;
        let shows = store::shows::of_event(pool, id, Utc::now(), SHOWS_PER_EVENT_MAX).await?;
        let owner = event.as_ref().map(|event| event.owner_id);
        let is_visible = !shows.is_empty() || self.may_see(request.metadata(), owner).await?;
        let event = event.filter(|_| is_visible).ok_or_else(event_not_found)?;
        Ok(wire::GetEventResponse {
            event: Some(events::encode(event.value)),
            shows: shows.into_iter().map(shows::encode).collect(),
        })
    }

    pub(in crate::grpc) async fn list_events(
        &self,
        request: Request<wire::ListEventsRequest>,
    ) -> Result<wire::ListEventsResponse, Failure> {
        let (after, limit) = events::decode_list(request.get_ref())?;
        let mut events = store::events::page(&self.catalog.pool, after, limit + 1).await?;
        let next_cursor = next_cursor(&mut events, limit, |last| {
            EventCursor {
                event_id: last.event_id,
            }
            .to_string()
        });
        let events = events.into_iter().map(events::encode).collect();
        Ok(wire::ListEventsResponse {
            events,
            next_cursor,
        })
    }
}
