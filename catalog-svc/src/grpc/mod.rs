//! `catalog.proto` on the wire: decode, check bounds, use case or query, encode.
//!
//! Always holds: a write is made by somebody whose token was checked here; a draft is shown to
//! those who may change it, and to others it isn't there.

mod events;
mod import;
mod plans;
mod shows;
mod venues;

use std::sync::Arc;

use chrono::Utc;
use holdfast_mesh::{
    Failure,
    auth::{self, Verifier},
    client::Channel,
    deadline::Deadline,
};
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{ErrorCode, EventId, ShowId};
use sqlx::PgPool;
use tonic::{Request, Response, Status, metadata::MetadataMap, service::Routes};
use wire::{
    catalog_service_server::{CatalogService, CatalogServiceServer},
    import_service_server::ImportServiceServer,
};

use crate::{
    access::Actor,
    app::Catalog,
    clients::inventory::{Inventory, OnBehalf},
    cursor::{EventCursor, ShowCursor},
    fields::Fields,
    model::Show,
    plan::PLAN_BYTES_MAX,
    store,
};

/// Largest message that is read. Twice a plan file, so that one that is somewhat too large is
/// answered with a clear error.
const REQUEST_BYTES_MAX: usize = 2 * PLAN_BYTES_MAX;
/// Largest message that is sent: a seat map of 100,000 seats takes about 9 MiB. Its clients must
/// accept as much.
pub const RESPONSE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Shows that an event's page lists.
const SHOWS_PER_EVENT_MAX: u32 = 100;

/// The service over a migrated database. Tokens are checked by `verifier`; publishing asks
/// booking-svc over `booking`.
pub fn routes(pool: PgPool, verifier: Verifier, booking: Channel) -> Routes {
    let catalog = Arc::new(Catalog::new(pool, Inventory::new(booking)));
    let service = Arc::new(Service { catalog, verifier });
    let import =
        ImportServiceServer::from_arc(service.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
    let service = CatalogServiceServer::from_arc(service)
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(RESPONSE_BYTES_MAX);
    Routes::new(service).add_service(import)
}

#[derive(Debug)]
struct Service {
    catalog: Arc<Catalog>,
    verifier: Verifier,
}

impl Service {
    /// Whoever calls, who must be an organiser or admin.
    async fn actor(&self, metadata: &MetadataMap) -> Result<Actor, Failure> {
        Actor::of(&self.verifier.authenticate(metadata).await?)
    }

    /// The show if it is public, or a draft that the caller may change.
    async fn visible_show(&self, metadata: &MetadataMap, id: ShowId) -> Result<Show, Failure> {
        let show = store::shows::find(&self.catalog.pool, id).await?;
        match show {
            Some(show) if show.is_public() => Ok(show),
            show if self
                .may_see(metadata, show.as_ref().map(|show| show.owner_id))
                .await? =>
            {
                show.ok_or_else(show_not_found)
            }
            _ => Err(show_not_found()),
        }
    }

    /// Whether the caller may see what isn't public. A token is optional, but must be good; that
    /// is asked whether or not there is something, so that the answer doesn't tell.
    async fn may_see(
        &self,
        metadata: &MetadataMap,
        owner: Option<holdfast_types::UserId>,
    ) -> Result<bool, Failure> {
        if metadata.get(auth::HEADER).is_none() {
            return Ok(false);
        }
        let claims = self.verifier.authenticate(metadata).await?;
        let actor = Actor::of(&claims).ok();
        Ok(actor
            .zip(owner)
            .is_some_and(|(actor, owner)| actor.may_change(owner)))
    }
}

fn show_not_found() -> Failure {
    Failure::new(ErrorCode::ShowNotFound, "there is no such show")
}

fn event_not_found() -> Failure {
    Failure::new(ErrorCode::EventNotFound, "there is no such event")
}

fn on_behalf<T>(request: &Request<T>) -> OnBehalf {
    OnBehalf {
        authorization: request.metadata().get(auth::HEADER).cloned(),
        deadline: Deadline::of(request),
    }
}

fn show_id(bytes: &[u8]) -> Result<ShowId, Failure> {
    let mut fields = Fields::default();
    let id = fields.id("show_id", bytes, ShowId::from_slice);
    fields.finish(id)
}

#[tonic::async_trait]
impl CatalogService for Service {
    async fn create_venue(
        &self,
        request: Request<wire::CreateVenueRequest>,
    ) -> Result<Response<wire::CreateVenueResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let venue = venues::decode(request.into_inner())?;
        let venue = self.catalog.create_venue(actor, venue).await?;
        Ok(Response::new(wire::CreateVenueResponse {
            venue: Some(venues::encode(venue)),
        }))
    }

    async fn import_plan(
        &self,
        request: Request<wire::ImportPlanRequest>,
    ) -> Result<Response<wire::ImportPlanResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let plan = plans::decode(request.into_inner())?;
        let imported = self.catalog.import_plan(actor, plan).await?;
        Ok(Response::new(plans::encode(imported)))
    }

    async fn create_event(
        &self,
        request: Request<wire::CreateEventRequest>,
    ) -> Result<Response<wire::CreateEventResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let event = events::decode(request.get_ref().event.as_ref())?;
        let event = self.catalog.create_event(actor, event).await?;
        Ok(Response::new(wire::CreateEventResponse {
            event: Some(events::encode(event)),
        }))
    }

    async fn update_event(
        &self,
        request: Request<wire::UpdateEventRequest>,
    ) -> Result<Response<wire::UpdateEventResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let event = events::decode(request.get_ref().event.as_ref())?;
        let event = self.catalog.update_event(actor, event, Utc::now()).await?;
        Ok(Response::new(wire::UpdateEventResponse {
            event: Some(events::encode(event)),
        }))
    }

    async fn create_show(
        &self,
        request: Request<wire::CreateShowRequest>,
    ) -> Result<Response<wire::CreateShowResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let show = shows::decode(request.into_inner())?;
        let show = self.catalog.create_show(actor, show).await?;
        Ok(Response::new(wire::CreateShowResponse {
            show: Some(shows::encode(show)),
        }))
    }

    async fn publish_show(
        &self,
        request: Request<wire::PublishShowRequest>,
    ) -> Result<Response<wire::PublishShowResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let on_behalf = on_behalf(&request);
        let id = show_id(&request.get_ref().show_id)?;
        let show = self
            .catalog
            .publish_show(actor, &on_behalf, id, Utc::now())
            .await?;
        Ok(Response::new(wire::PublishShowResponse {
            show: Some(shows::encode(show)),
        }))
    }

    async fn change_show_state(
        &self,
        request: Request<wire::ChangeShowStateRequest>,
    ) -> Result<Response<wire::ChangeShowStateResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let on_behalf = on_behalf(&request);
        let (id, state) = shows::decode_change(request.get_ref())?;
        let show = self
            .catalog
            .change_show_state(actor, &on_behalf, id, state)
            .await?;
        Ok(Response::new(wire::ChangeShowStateResponse {
            show: Some(shows::encode(show)),
        }))
    }

    async fn get_event(
        &self,
        request: Request<wire::GetEventRequest>,
    ) -> Result<Response<wire::GetEventResponse>, Status> {
        let mut fields = Fields::default();
        let id = fields.id("event_id", &request.get_ref().event_id, EventId::from_slice);
        let id = fields.finish(id)?;
        let pool = &self.catalog.pool;
        let event = store::events::find(pool, id).await.map_err(Failure::from)?;
        let shows = store::shows::of_event(pool, id, Utc::now(), SHOWS_PER_EVENT_MAX)
            .await
            .map_err(Failure::from)?;
        let owner = event.as_ref().map(|event| event.owner_id);
        let is_visible = !shows.is_empty() || self.may_see(request.metadata(), owner).await?;
        let event = event.filter(|_| is_visible).ok_or_else(event_not_found)?;
        Ok(Response::new(wire::GetEventResponse {
            event: Some(events::encode(event.value)),
            shows: shows.into_iter().map(shows::encode).collect(),
        }))
    }

    async fn list_events(
        &self,
        request: Request<wire::ListEventsRequest>,
    ) -> Result<Response<wire::ListEventsResponse>, Status> {
        let (after, limit) = events::decode_list(request.get_ref())?;
        let mut events = store::events::page(&self.catalog.pool, after, limit + 1)
            .await
            .map_err(Failure::from)?;
        let next_cursor = next_cursor(&mut events, limit, |last| {
            EventCursor {
                event_id: last.event_id,
            }
            .to_string()
        });
        let events = events.into_iter().map(events::encode).collect();
        Ok(Response::new(wire::ListEventsResponse {
            events,
            next_cursor,
        }))
    }

    async fn get_show(
        &self,
        request: Request<wire::GetShowRequest>,
    ) -> Result<Response<wire::GetShowResponse>, Status> {
        let id = show_id(&request.get_ref().show_id)?;
        let show = self.visible_show(request.metadata(), id).await?;
        Ok(Response::new(wire::GetShowResponse {
            show: Some(shows::encode(show)),
        }))
    }

    async fn list_shows(
        &self,
        request: Request<wire::ListShowsRequest>,
    ) -> Result<Response<wire::ListShowsResponse>, Status> {
        let (filter, limit) = shows::decode_list(request.get_ref(), Utc::now())?;
        let mut shows = store::shows::page(&self.catalog.pool, &filter, limit + 1)
            .await
            .map_err(Failure::from)?;
        let next_cursor = next_cursor(&mut shows, limit, |last| {
            ShowCursor {
                starts_at: last.starts_at,
                show_id: last.show_id,
            }
            .to_string()
        });
        let shows = shows.into_iter().map(shows::encode).collect();
        Ok(Response::new(wire::ListShowsResponse {
            shows,
            next_cursor,
        }))
    }

    async fn read_shows(
        &self,
        request: Request<wire::ReadShowsRequest>,
    ) -> Result<Response<wire::ReadShowsResponse>, Status> {
        let (which, after, limit) = shows::decode_read(request.into_inner())?;
        let shows = store::shows::read(&self.catalog.pool, &which, after, limit)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(wire::ReadShowsResponse {
            shows: shows.into_iter().map(shows::encode).collect(),
        }))
    }

    async fn get_seat_map(
        &self,
        request: Request<wire::GetSeatMapRequest>,
    ) -> Result<Response<wire::GetSeatMapResponse>, Status> {
        let id = show_id(&request.get_ref().show_id)?;
        let show = self.visible_show(request.metadata(), id).await?;
        let pool = &self.catalog.pool;
        let size = store::seat_map::size(pool, show.plan_id)
            .await
            .map_err(Failure::from)?;
        let categories = store::seat_map::categories(pool, show.plan_id)
            .await
            .map_err(Failure::from)?;
        let mut connection = pool
            .acquire()
            .await
            .map_err(store::Error::from)
            .map_err(Failure::from)?;
        let seats = store::seat_map::seats(&mut connection, show.plan_id)
            .await
            .map_err(Failure::from)?;
        drop(connection);
        Ok(Response::new(shows::encode_seat_map(
            &show, size, categories, seats,
        )))
    }
}

/// Cuts a page that was read with one item more than `limit`, and says where the next begins;
/// empty on the last page.
fn next_cursor<T>(items: &mut Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> String {
    let limit = limit as usize;
    if items.len() <= limit {
        return String::new();
    }
    items.truncate(limit);
    items.last().map(cursor).unwrap_or_default()
}
