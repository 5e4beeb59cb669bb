//! `catalog.proto` on the wire: decode, check bounds, use case or query, encode.
//!
//! Always holds: a write is made by somebody whose token was checked here; a draft is shown to
//! those who may change it, and to others it isn't there.

mod categories;
mod events;
mod import;
mod own;
mod performers;
mod plans;
mod shows;
mod venues;

use std::sync::Arc;

use chrono::Utc;
use holdfast_mesh::{
    Failure,
    auth::{self, Scope, Verifier},
    client::Channel,
    deadline::Deadline,
};
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{
    ErrorCode, EventId, PerformerId, PlanId, ShowId, VenueId, limits::IDEMPOTENCY_KEY_BYTES_MAX,
};
use own::PageOf;
use prost::Message;
use sha2::Digest as _;
use sqlx::PgPool;
use tonic::{Request, Response, Status, metadata::MetadataMap, service::Routes};
use uuid::Uuid;
use wire::{
    catalog_service_server::{CatalogService, CatalogServiceServer},
    import_service_server::ImportServiceServer,
};

use crate::{
    access::{Actor, READING},
    app::Catalog,
    clients::inventory::{Inventory, OnBehalf},
    cursor::{EventCursor, OwnCursor, ShowCursor},
    fields::Fields,
    model::{Show, Venue},
    plan::PLAN_BYTES_MAX,
    store::{
        self,
        asked::{Asked, Key, Sha256},
    },
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

fn on_behalf<T>(request: &Request<T>) -> OnBehalf {
    OnBehalf {
        authorization: request.metadata().get(auth::HEADER).cloned(),
        organisation: request.metadata().get(auth::ORGANISATION).cloned(),
        deadline: Deadline::of(request),
    }
}

fn venue_not_found() -> Failure {
    Failure::new(ErrorCode::VenueNotFound, "there is no such venue")
}

/// What a request that makes something says, the message at `id` of it being where its id is: one is put
/// there for a key, which is taken out. A request's bytes are the same in every release: fields are written in
/// their order, and those that are empty aren't.
fn asked<T: Message>(
    request: &mut T,
    kind: &'static str,
    actor: Actor,
    key: fn(&mut T) -> &mut String,
    id: fn(&mut T) -> Option<&mut Vec<u8>>,
) -> Result<Asked, Failure> {
    let sha256 = sha256_of(request);
    let mut sha256_before = None;
    let key = key_of(kind, std::mem::take(key(request)))?;
    if let Some(key) = &key {
        if let Some(id) = id(request) {
            refuse_id(id)?;
            *id = store::asked::id_before(actor.user_id, key)
                .into_bytes()
                .to_vec();
            sha256_before = Some(sha256_of(request));
        }
        if let Some(id) = id(request) {
            *id = new_id();
        }
    }
    Ok(Asked {
        sha256,
        sha256_before,
        key,
    })
}

fn sha256_of(request: &impl Message) -> Sha256 {
    sha2::Sha256::digest(request.encode_to_vec()).into()
}

fn key_of(kind: &'static str, text: String) -> Result<Option<Key>, Failure> {
    if text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let why = format!("is longer than {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(Failure::invalid("idempotency_key", why));
    }
    if text.contains('\0') {
        return Err(Failure::invalid("idempotency_key", "has a NUL"));
    }
    Ok((!text.is_empty()).then_some(Key { kind, text }))
}

/// With a key the id is chosen here.
fn refuse_id(id: &[u8]) -> Result<(), Failure> {
    if id.is_empty() {
        return Ok(());
    }
    let why = "not with the id of what is to be made";
    Err(Failure::invalid("idempotency_key", why))
}

/// An id of now, in whose order things were made; what is kept by months is kept by it.
fn new_id() -> Vec<u8> {
    Uuid::now_v7().into_bytes().to_vec()
}

/// The version that a change is for; `None` for whichever.
fn if_version(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
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
        let actor = self.venue_writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(
            &mut request,
            "venue",
            actor,
            |request| &mut request.idempotency_key,
            |request| request.venue.as_mut().map(|venue| &mut venue.venue_id),
        )?;
        let venue = venues::decode(request)?;
        let made = self.catalog.create_venue(actor, venue, &asked).await?;
        Ok(Response::new(wire::CreateVenueResponse {
            venue: Some(venues::encode(made.value)),
            replayed: made.replayed,
        }))
    }

    async fn get_venue(
        &self,
        request: Request<wire::GetVenueRequest>,
    ) -> Result<Response<wire::GetVenueResponse>, Status> {
        let actor = self.venue_actor(request.metadata()).await?;
        let venue = self.own_venue(actor, &request.get_ref().venue_id).await?;
        Ok(Response::new(wire::GetVenueResponse {
            venue: Some(venues::encode(venue)),
        }))
    }

    async fn update_venue(
        &self,
        request: Request<wire::UpdateVenueRequest>,
    ) -> Result<Response<wire::UpdateVenueResponse>, Status> {
        let actor = self.venue_writer(request.metadata()).await?;
        let (id, change) = venues::decode_change(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let venue = self
            .catalog
            .update_venue(actor, id, change, if_version)
            .await?;
        Ok(Response::new(wire::UpdateVenueResponse {
            venue: Some(venues::encode(venue)),
        }))
    }

    async fn list_own_venues(
        &self,
        request: Request<wire::ListOwnVenuesRequest>,
    ) -> Result<Response<wire::ListOwnVenuesResponse>, Status> {
        let actor = self.venue_actor(request.metadata()).await?;
        let wire::ListOwnVenuesRequest { limit, cursor } = request.get_ref();
        let page = PageOf::decode::<'v'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(VenueId::from));
        let mut venues = store::venues::of_owner(pool, actor.user_id, after, page.limit + 1)
            .await
            .map_err(Failure::from)?;
        let next_cursor = next_own::<'v', _>(&mut venues, page, |last| last.venue_id.as_uuid());
        Ok(Response::new(wire::ListOwnVenuesResponse {
            venues: venues.into_iter().map(venues::encode).collect(),
            next_cursor,
        }))
    }

    async fn import_plan(
        &self,
        request: Request<wire::ImportPlanRequest>,
    ) -> Result<Response<wire::ImportPlanResponse>, Status> {
        let actor = self.venue_writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let key = key_of("plan", std::mem::take(&mut request.idempotency_key))?;
        if key.is_some() {
            refuse_id(&request.plan_id)?;
            request.plan_id = new_id();
        }
        let plan = plans::decode(request, key)?;
        let imported = self.catalog.import_plan(actor, plan).await?;
        Ok(Response::new(plans::encode(imported)))
    }

    async fn list_own_plans(
        &self,
        request: Request<wire::ListOwnPlansRequest>,
    ) -> Result<Response<wire::ListOwnPlansResponse>, Status> {
        let actor = self.venue_actor(request.metadata()).await?;
        let wire::ListOwnPlansRequest {
            venue_id,
            limit,
            cursor,
        } = request.get_ref();
        let page = PageOf::decode::<'p'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(PlanId::from));
        let (owner, limit) = (actor.user_id, page.limit + 1);
        let plans = match venue_id.as_slice() {
            [] => store::plans::usable(pool, owner, after, limit).await,
            id => {
                let venue = self.own_venue(actor, id).await?;
                store::plans::of_venue(pool, owner, venue.venue_id, after, limit).await
            }
        };
        let mut plans = plans.map_err(Failure::from)?;
        let next_cursor = next_own::<'p', _>(&mut plans, page, |last| last.value.plan_id.as_uuid());
        let plans = plans.into_iter().map(|plan| {
            let lent = plan.owner_id != owner;
            plans::encode_summary(plan, lent)
        });
        Ok(Response::new(wire::ListOwnPlansResponse {
            plans: plans.collect(),
            next_cursor,
        }))
    }

    async fn lend_plan(
        &self,
        request: Request<wire::LendPlanRequest>,
    ) -> Result<Response<wire::LendPlanResponse>, Status> {
        let actor = self.venue_writer(request.metadata()).await?;
        let wire::LendPlanRequest { plan_id, user_id } = request.get_ref();
        let (plan_id, user_id) = plans::decode_loan(plan_id, user_id)?;
        self.catalog.lend_plan(actor, plan_id, user_id).await?;
        Ok(Response::new(wire::LendPlanResponse {}))
    }

    async fn take_plan_back(
        &self,
        request: Request<wire::TakePlanBackRequest>,
    ) -> Result<Response<wire::TakePlanBackResponse>, Status> {
        let actor = self.venue_writer(request.metadata()).await?;
        let wire::TakePlanBackRequest { plan_id, user_id } = request.get_ref();
        let (plan_id, user_id) = plans::decode_loan(plan_id, user_id)?;
        self.catalog.take_plan_back(actor, plan_id, user_id).await?;
        Ok(Response::new(wire::TakePlanBackResponse {}))
    }

    async fn list_plan_loans(
        &self,
        request: Request<wire::ListPlanLoansRequest>,
    ) -> Result<Response<wire::ListPlanLoansResponse>, Status> {
        let actor = self.venue_actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = fields.id("plan_id", &request.get_ref().plan_id, PlanId::from_slice);
        let loans = self.catalog.plan_loans(actor, fields.finish(id)?).await?;
        Ok(Response::new(wire::ListPlanLoansResponse {
            loans: loans.into_iter().map(plans::encode_loan).collect(),
        }))
    }

    async fn export_plan(
        &self,
        request: Request<wire::ExportPlanRequest>,
    ) -> Result<Response<wire::ExportPlanResponse>, Status> {
        let actor = self.venue_actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = fields.id("plan_id", &request.get_ref().plan_id, PlanId::from_slice);
        let plan_json = self.catalog.export_plan(actor, fields.finish(id)?).await?;
        Ok(Response::new(wire::ExportPlanResponse { plan_json }))
    }

    async fn create_performer(
        &self,
        request: Request<wire::CreatePerformerRequest>,
    ) -> Result<Response<wire::CreatePerformerResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(
            &mut request,
            "performer",
            actor,
            |request| &mut request.idempotency_key,
            |request| request.performer.as_mut().map(|one| &mut one.performer_id),
        )?;
        let performer = performers::decode(request.performer.as_ref())?;
        let made = self
            .catalog
            .create_performer(actor, performer, &asked)
            .await?;
        Ok(Response::new(wire::CreatePerformerResponse {
            performer: Some(performers::encode_own(made.value)),
            replayed: made.replayed,
        }))
    }

    async fn get_performer(
        &self,
        request: Request<wire::GetPerformerRequest>,
    ) -> Result<Response<wire::GetPerformerResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = &request.get_ref().performer_id;
        let id = fields.id("performer_id", id, PerformerId::from_slice);
        let found = store::performers::find(&self.catalog.pool, fields.finish(id)?)
            .await
            .map_err(Failure::from)?;
        let own = found.filter(|performer| actor.may_change(performer.owner_id));
        let performer = own.ok_or_else(performer_not_found)?.value;
        Ok(Response::new(wire::GetPerformerResponse {
            performer: Some(performers::encode_own(performer)),
        }))
    }

    async fn update_performer(
        &self,
        request: Request<wire::UpdatePerformerRequest>,
    ) -> Result<Response<wire::UpdatePerformerResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let performer = performers::decode_change(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let performer = self
            .catalog
            .update_performer(actor, performer, if_version)
            .await?;
        Ok(Response::new(wire::UpdatePerformerResponse {
            performer: Some(performers::encode_own(performer)),
        }))
    }

    async fn list_own_performers(
        &self,
        request: Request<wire::ListOwnPerformersRequest>,
    ) -> Result<Response<wire::ListOwnPerformersResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let wire::ListOwnPerformersRequest { limit, cursor } = request.get_ref();
        let page = PageOf::decode::<'f'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(PerformerId::from));
        let mut found = store::performers::of_owner(pool, actor.user_id, after, page.limit + 1)
            .await
            .map_err(Failure::from)?;
        let next_cursor = next_own::<'f', _>(&mut found, page, |last| last.performer_id.as_uuid());
        Ok(Response::new(wire::ListOwnPerformersResponse {
            performers: found.into_iter().map(performers::encode_own).collect(),
            next_cursor,
        }))
    }

    async fn list_categories(
        &self,
        _: Request<wire::ListCategoriesRequest>,
    ) -> Result<Response<wire::ListCategoriesResponse>, Status> {
        let all = store::categories::all(&self.catalog.pool)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(wire::ListCategoriesResponse {
            categories: all.into_iter().map(categories::encode).collect(),
        }))
    }

    async fn put_category(
        &self,
        request: Request<wire::PutCategoryRequest>,
    ) -> Result<Response<wire::PutCategoryResponse>, Status> {
        self.require_admin(request.metadata()).await?;
        let category = categories::decode(request.get_ref())?;
        let put = self.catalog.put_category(category).await?;
        Ok(Response::new(wire::PutCategoryResponse {
            category: Some(categories::encode(put.category)),
            made: put.made,
        }))
    }

    async fn delete_category(
        &self,
        request: Request<wire::DeleteCategoryRequest>,
    ) -> Result<Response<wire::DeleteCategoryResponse>, Status> {
        self.require_admin(request.metadata()).await?;
        let slug = categories::decode_slug(&request.get_ref().slug)?;
        self.catalog.delete_category(&slug).await?;
        Ok(Response::new(wire::DeleteCategoryResponse {}))
    }

    async fn create_event(
        &self,
        request: Request<wire::CreateEventRequest>,
    ) -> Result<Response<wire::CreateEventResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(
            &mut request,
            "event",
            actor,
            |request| &mut request.idempotency_key,
            |request| request.event.as_mut().map(|event| &mut event.event_id),
        )?;
        let (event, bill) = events::decode(request.event.as_ref())?;
        let made = self
            .catalog
            .create_event(actor, event, &bill, &asked)
            .await?;
        Ok(Response::new(wire::CreateEventResponse {
            event: Some(events::encode(made.value)),
            replayed: made.replayed,
        }))
    }

    async fn update_event(
        &self,
        request: Request<wire::UpdateEventRequest>,
    ) -> Result<Response<wire::UpdateEventResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let (id, change) = events::decode_change(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let event = self
            .catalog
            .update_event(actor, id, change, if_version, Utc::now())
            .await?;
        Ok(Response::new(wire::UpdateEventResponse {
            event: Some(events::encode(event)),
        }))
    }

    async fn get_own_event(
        &self,
        request: Request<wire::GetOwnEventRequest>,
    ) -> Result<Response<wire::GetOwnEventResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = fields.id("event_id", &request.get_ref().event_id, EventId::from_slice);
        let found = store::events::find(&self.catalog.pool, fields.finish(id)?)
            .await
            .map_err(Failure::from)?;
        let own = found.filter(|event| actor.may_change(event.owner_id));
        let event = own.ok_or_else(event_not_found)?.value;
        Ok(Response::new(wire::GetOwnEventResponse {
            event: Some(events::encode(event)),
        }))
    }

    async fn list_own_events(
        &self,
        request: Request<wire::ListOwnEventsRequest>,
    ) -> Result<Response<wire::ListOwnEventsResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let wire::ListOwnEventsRequest { limit, cursor } = request.get_ref();
        let page = PageOf::decode::<'o'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(EventId::from));
        let mut events = store::events::of_owner(pool, actor.user_id, after, page.limit + 1)
            .await
            .map_err(Failure::from)?;
        let next_cursor = next_own::<'o', _>(&mut events, page, |last| last.event_id.as_uuid());
        Ok(Response::new(wire::ListOwnEventsResponse {
            events: events.into_iter().map(events::encode).collect(),
            next_cursor,
        }))
    }

    async fn create_show(
        &self,
        request: Request<wire::CreateShowRequest>,
    ) -> Result<Response<wire::CreateShowResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(
            &mut request,
            "show",
            actor,
            |request| &mut request.idempotency_key,
            |request| Some(&mut request.show_id),
        )?;
        let show = shows::decode(request)?;
        let made = self.catalog.create_show(actor, show, &asked).await?;
        Ok(Response::new(wire::CreateShowResponse {
            show: Some(shows::encode_own(made.value)),
            replayed: made.replayed,
        }))
    }

    async fn update_show(
        &self,
        request: Request<wire::UpdateShowRequest>,
    ) -> Result<Response<wire::UpdateShowResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let (id, change) = shows::decode_update(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let show = self
            .catalog
            .update_show(actor, id, change, if_version)
            .await?;
        Ok(Response::new(wire::UpdateShowResponse {
            show: Some(shows::encode_own(show)),
        }))
    }

    async fn get_own_show(
        &self,
        request: Request<wire::GetOwnShowRequest>,
    ) -> Result<Response<wire::GetOwnShowResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let id = show_id(&request.get_ref().show_id)?;
        let found = store::shows::find(&self.catalog.pool, id)
            .await
            .map_err(Failure::from)?;
        let own = found.filter(|show| actor.may_change(show.owner_id));
        Ok(Response::new(wire::GetOwnShowResponse {
            show: Some(shows::encode_own(own.ok_or_else(show_not_found)?)),
        }))
    }

    async fn list_own_shows(
        &self,
        request: Request<wire::ListOwnShowsRequest>,
    ) -> Result<Response<wire::ListOwnShowsResponse>, Status> {
        let actor = self.actor(request.metadata()).await?;
        let wire::ListOwnShowsRequest {
            event_id,
            limit,
            cursor,
        } = request.get_ref();
        let mut fields = Fields::default();
        let event_id = match event_id.as_slice() {
            [] => None,
            id => fields.id("event_id", id, EventId::from_slice),
        };
        let page = PageOf::read::<'w'>(*limit, cursor, &mut fields);
        let page = fields.finish(page)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(ShowId::from));
        let (owner, limit) = (actor.user_id, page.limit + 1);
        let mut shows = store::shows::of_owner(pool, owner, event_id, after, limit)
            .await
            .map_err(Failure::from)?;
        let next_cursor = next_own::<'w', _>(&mut shows, page, |last| last.show_id.as_uuid());
        Ok(Response::new(wire::ListOwnShowsResponse {
            shows: shows.into_iter().map(shows::encode).collect(),
            next_cursor,
        }))
    }

    async fn get_show_sales(
        &self,
        request: Request<wire::GetShowSalesRequest>,
    ) -> Result<Response<wire::GetShowSalesResponse>, Status> {
        let actor = self.reader(request.metadata(), &[Scope::SalesRead]).await?;
        let on_behalf = on_behalf(&request);
        let id = show_id(&request.get_ref().show_id)?;
        let sales = self.catalog.show_sales(actor, &on_behalf, id).await?;
        Ok(Response::new(shows::encode_sales(sales)))
    }

    async fn publish_show(
        &self,
        request: Request<wire::PublishShowRequest>,
    ) -> Result<Response<wire::PublishShowResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let on_behalf = on_behalf(&request);
        let id = show_id(&request.get_ref().show_id)?;
        let show = self
            .catalog
            .publish_show(actor, &on_behalf, id, Utc::now())
            .await?;
        Ok(Response::new(wire::PublishShowResponse {
            show: Some(shows::encode_own(show)),
        }))
    }

    async fn change_show_state(
        &self,
        request: Request<wire::ChangeShowStateRequest>,
    ) -> Result<Response<wire::ChangeShowStateResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let on_behalf = on_behalf(&request);
        let (id, state) = shows::decode_change(request.get_ref())?;
        let show = self
            .catalog
            .change_show_state(actor, &on_behalf, id, state)
            .await?;
        Ok(Response::new(wire::ChangeShowStateResponse {
            show: Some(shows::encode_own(show)),
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
        let areas = store::seat_map::areas(pool, show.plan_id)
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
            &show, size, categories, areas, seats,
        )))
    }
}

/// As [`next_cursor`], of a list of a caller's own.
fn next_own<const KIND: char, T>(
    items: &mut Vec<T>,
    page: PageOf,
    id: impl Fn(&T) -> Uuid,
) -> String {
    next_cursor(items, page.limit, |last| {
        OwnCursor::<KIND>(id(last)).to_string()
    })
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
