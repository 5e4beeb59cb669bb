//! `catalog.proto` on the wire: decode, check bounds, use case or query, encode.
//!
//! Always holds: a write is made by somebody whose token was checked here; a draft is shown to
//! those who may change it, and to others it isn't there. `calls` answers, the others are messages.

mod asked;
mod calls;
mod categories;
mod events;
mod import;
mod own;
mod performers;
mod plans;
mod shows;
mod venues;

use std::sync::Arc;

use holdfast_mesh::{
    Failure,
    auth::{self, Scope, Verifier},
    client::Channel,
};
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{ErrorCode, ShowId, VenueId};
use sqlx::PgPool;
use tonic::{Request, Response, Status, metadata::MetadataMap, service::Routes};
use wire::{
    catalog_service_server::{CatalogService, CatalogServiceServer},
    import_service_server::ImportServiceServer,
};

use crate::{
    access::{Actor, READING},
    app::Catalog,
    clients::inventory::Inventory,
    fields::Fields,
    model::{Show, Venue},
    plan::PLAN_BYTES_MAX,
    store,
};

/// Largest message that is read. Twice a plan file, so that one that is somewhat too large is
/// answered with a clear error.
const REQUEST_BYTES_MAX: usize = 2 * PLAN_BYTES_MAX;
/// Largest message that is sent: a seat map of 100,000 seats takes about 9 MiB. Its clients must
/// accept as much.
pub const RESPONSE_BYTES_MAX: usize = 24 * 1024 * 1024;

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
    /// Whoever calls to read what is theirs: an organiser, a member of the organisation that they name, or
    /// an admin.
    async fn actor(&self, metadata: &MetadataMap) -> Result<Actor, Failure> {
        self.reader(metadata, READING).await
    }

    /// The same with a key of one of these scopes.
    async fn reader(&self, metadata: &MetadataMap, scopes: &[Scope]) -> Result<Actor, Failure> {
        let claims = self.verifier.authenticate_for(metadata, scopes).await?;
        Actor::of(&claims, metadata)
    }

    /// Whoever calls to change something.
    async fn writer(&self, metadata: &MetadataMap) -> Result<Actor, Failure> {
        self.actor(metadata).await?.writing()
    }

    /// As [`Service::actor`] about venues and plans, which a venue's owner may have, too.
    async fn venue_actor(&self, metadata: &MetadataMap) -> Result<Actor, Failure> {
        let claims = self.verifier.authenticate_for(metadata, READING).await?;
        Actor::of_venues(&claims, metadata)
    }

    /// As [`Service::writer`] about them.
    async fn venue_writer(&self, metadata: &MetadataMap) -> Result<Actor, Failure> {
        self.venue_actor(metadata).await?.writing()
    }

    /// FORBIDDEN unless the caller is an admin.
    async fn require_admin(&self, metadata: &MetadataMap) -> Result<(), Failure> {
        if self
            .verifier
            .authenticate(metadata)
            .await?
            .has_role("admin")
        {
            return Ok(());
        }
        Err(Failure::new(
            ErrorCode::Forbidden,
            "this needs the role admin",
        ))
    }

    /// The venue of that id if it is the caller's.
    async fn own_venue(&self, actor: Actor, id: &[u8]) -> Result<Venue, Failure> {
        let mut fields = Fields::default();
        let id = fields.id("venue_id", id, VenueId::from_slice);
        let found = store::venues::find(&self.catalog.pool, fields.finish(id)?).await?;
        let own = found.filter(|venue| actor.may_change(venue.owner_id));
        own.map(|venue| venue.value).ok_or_else(venue_not_found)
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
        let claims = self.verifier.authenticate_for(metadata, READING).await?;
        let actor = Actor::of(&claims, metadata).ok();
        Ok(actor
            .zip(owner)
            .is_some_and(|(actor, owner)| actor.may_change(owner)))
    }
}

fn show_not_found() -> Failure {
    Failure::new(ErrorCode::ShowNotFound, "there is no such show")
}

fn performer_not_found() -> Failure {
    Failure::new(ErrorCode::PerformerNotFound, "there is no such performer")
}

fn event_not_found() -> Failure {
    Failure::new(ErrorCode::EventNotFound, "there is no such event")
}

fn venue_not_found() -> Failure {
    Failure::new(ErrorCode::VenueNotFound, "there is no such venue")
}

/// The version that a change is for; `None` for whichever.
fn if_version(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Each is answered in `calls`, in the file of what it is about.
macro_rules! calls {
    ($($call:ident($request:ident) -> $response:ident;)+) => {
        #[tonic::async_trait]
        impl CatalogService for Service {
            $(async fn $call(
                &self,
                request: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Status> {
                // The one of its own, not this.
                Ok(Response::new(Self::$call(self, request).await?))
            })+
        }
    };
}

calls! {
    create_venue(CreateVenueRequest) -> CreateVenueResponse;
    get_venue(GetVenueRequest) -> GetVenueResponse;
    update_venue(UpdateVenueRequest) -> UpdateVenueResponse;
    list_own_venues(ListOwnVenuesRequest) -> ListOwnVenuesResponse;
    import_plan(ImportPlanRequest) -> ImportPlanResponse;
    list_own_plans(ListOwnPlansRequest) -> ListOwnPlansResponse;
    lend_plan(LendPlanRequest) -> LendPlanResponse;
    take_plan_back(TakePlanBackRequest) -> TakePlanBackResponse;
    list_plan_loans(ListPlanLoansRequest) -> ListPlanLoansResponse;
    export_plan(ExportPlanRequest) -> ExportPlanResponse;
    create_performer(CreatePerformerRequest) -> CreatePerformerResponse;
    get_performer(GetPerformerRequest) -> GetPerformerResponse;
    update_performer(UpdatePerformerRequest) -> UpdatePerformerResponse;
    list_own_performers(ListOwnPerformersRequest) -> ListOwnPerformersResponse;
    list_categories(ListCategoriesRequest) -> ListCategoriesResponse;
    put_category(PutCategoryRequest) -> PutCategoryResponse;
    delete_category(DeleteCategoryRequest) -> DeleteCategoryResponse;
    create_event(CreateEventRequest) -> CreateEventResponse;
    update_event(UpdateEventRequest) -> UpdateEventResponse;
    get_own_event(GetOwnEventRequest) -> GetOwnEventResponse;
    list_own_events(ListOwnEventsRequest) -> ListOwnEventsResponse;
    create_show(CreateShowRequest) -> CreateShowResponse;
    update_show(UpdateShowRequest) -> UpdateShowResponse;
    get_own_show(GetOwnShowRequest) -> GetOwnShowResponse;
    list_own_shows(ListOwnShowsRequest) -> ListOwnShowsResponse;
    get_show_sales(GetShowSalesRequest) -> GetShowSalesResponse;
    publish_show(PublishShowRequest) -> PublishShowResponse;
    change_show_state(ChangeShowStateRequest) -> ChangeShowStateResponse;
    get_event(GetEventRequest) -> GetEventResponse;
    list_events(ListEventsRequest) -> ListEventsResponse;
    get_show(GetShowRequest) -> GetShowResponse;
    list_shows(ListShowsRequest) -> ListShowsResponse;
    read_shows(ReadShowsRequest) -> ReadShowsResponse;
    get_seat_map(GetSeatMapRequest) -> GetSeatMapResponse;
}
