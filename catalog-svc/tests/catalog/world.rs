//! What tests need: a running catalogue, an inventory that records calls, tokens, and requests
//! that are right until a test bends them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use holdfast_mesh::{
    self as mesh, Failure,
    auth::{AllClaims, Grants, Membership, OrganisationRole, TokenClaims, Verifier},
    client::Channel,
    deadline::Deadline,
};
use holdfast_proto::{
    booking::v1::{
        self as booking, ChangeInventoryStateRequest, ChangeInventoryStateResponse,
        OpenInventoryRequest, OpenInventoryResponse, RefundShowRequest, RefundShowResponse,
        booking_service_server::{BookingService, BookingServiceServer},
        inventory_service_server::{InventoryService, InventoryServiceServer},
    },
    catalog::v1::{
        self as wire, catalog_service_client::CatalogServiceClient,
        import_service_client::ImportServiceClient,
    },
};
use holdfast_types::{ErrorCode, UserId};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use sqlx::PgPool;
use tokio_util::sync::DropGuard;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

pub(crate) const STADIUM: &[u8] = include_bytes!("../../../data/seating/stadium-738.json");

const KEY_ID: &str = "test";
/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(10);
/// PKCS #8 of an Ed25519 key, up to its 32 bytes.
const ED25519_DER_START: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

pub(crate) struct World {
    pub(crate) client: CatalogServiceClient<Channel>,
    import: ImportServiceClient<Channel>,
    pub(crate) inventory: Inventory,
    _shutdown: DropGuard,
}

impl World {
    pub(crate) async fn start(pool: PgPool) -> Self {
        let context = mesh::Context::new();
        let inventory = Inventory::default();
        let served = InventoryServiceServer::new(inventory.clone());
        let states = BookingServiceServer::new(inventory.clone());
        let routes = Routes::new(served).add_service(states);
        let booking = spawn("booking", routes, &context).await;
        let verifier = Verifier::new(|| async { Ok(jwks()) });
        let routes = catalog_svc::grpc::routes(pool, verifier, booking);
        let channel = spawn("catalog", routes, &context).await;
        let client = CatalogServiceClient::new(channel.clone());
        let import = ImportServiceClient::new(channel);
        Self {
            client,
            import,
            inventory,
            _shutdown: context.shutdown.drop_guard(),
        }
    }

    /// A client of its own, for calls at the same time.
    pub(crate) fn client(&self) -> CatalogServiceClient<Channel> {
        self.client.clone()
    }

    /// A client for batches of its own.
    pub(crate) fn importer(&self) -> ImportServiceClient<Channel> {
        self.import.clone()
    }

    pub(crate) async fn create_venue(
        &mut self,
        token: &str,
        venue: wire::Venue,
    ) -> Result<wire::Venue, Failure> {
        let request = wire::CreateVenueRequest {
            venue: Some(venue),
            ..Default::default()
        };
        answer(self.client.create_venue(with(token, request)).await).map(|a| a.venue.unwrap())
    }

    pub(crate) async fn create_event(
        &mut self,
        token: &str,
        event: wire::Event,
    ) -> Result<wire::Event, Failure> {
        let request = wire::CreateEventRequest {
            event: Some(event),
            ..Default::default()
        };
        answer(self.client.create_event(with(token, request)).await).map(|a| a.event.unwrap())
    }

    pub(crate) async fn update_event(
        &mut self,
        token: &str,
        event: wire::Event,
    ) -> Result<wire::Event, Failure> {
        let request = wire::UpdateEventRequest {
            event: Some(event),
            ..Default::default()
        };
        answer(self.client.update_event(with(token, request)).await).map(|a| a.event.unwrap())
    }

    pub(crate) async fn import_plan(
        &mut self,
        token: &str,
        request: wire::ImportPlanRequest,
    ) -> Result<wire::ImportPlanResponse, Failure> {
        answer(self.client.import_plan(with(token, request)).await)
    }

    pub(crate) async fn create_show(
        &mut self,
        token: &str,
        request: wire::CreateShowRequest,
    ) -> Result<wire::Show, Failure> {
        answer(self.client.create_show(with(token, request)).await).map(|a| a.show.unwrap())
    }

    pub(crate) async fn publish(&mut self, token: &str, id: &[u8]) -> Result<wire::Show, Failure> {
        let request = wire::PublishShowRequest {
            show_id: id.to_vec(),
        };
        answer(self.client.publish_show(with(token, request)).await).map(|a| a.show.unwrap())
    }

    pub(crate) async fn change_state(
        &mut self,
        token: &str,
        id: &[u8],
        state: &str,
    ) -> Result<wire::Show, Failure> {
        let request = wire::ChangeShowStateRequest {
            show_id: id.to_vec(),
            state: state.to_owned(),
        };
        answer(self.client.change_show_state(with(token, request)).await).map(|a| a.show.unwrap())
    }

    /// `token` may be empty, for nobody.
    pub(crate) async fn show(&mut self, token: &str, id: &[u8]) -> Result<wire::Show, Failure> {
        let request = wire::GetShowRequest {
            show_id: id.to_vec(),
        };
        answer(self.client.get_show(with(token, request)).await).map(|a| a.show.unwrap())
    }

    /// `token` may be empty, for nobody.
    pub(crate) async fn seat_map(
        &mut self,
        token: &str,
        id: &[u8],
    ) -> Result<wire::GetSeatMapResponse, Failure> {
        let request = wire::GetSeatMapRequest {
            show_id: id.to_vec(),
        };
        answer(self.client.get_seat_map(with(token, request)).await)
    }

    pub(crate) async fn upsert(
        &mut self,
        token: &str,
        batch: &wire::UpsertCatalogueRequest,
    ) -> Result<wire::UpsertCatalogueResponse, Failure> {
        answer(
            self.import
                .upsert_catalogue(with(token, batch.clone()))
                .await,
        )
    }

    /// Venue, plan and event of the organiser, and the request for a show there.
    pub(crate) async fn prepared_show(&mut self, token: &str) -> wire::CreateShowRequest {
        let venue = self.create_venue(token, venue()).await.unwrap();
        let plan = self
            .import_plan(token, plan(&venue.venue_id))
            .await
            .unwrap();
        let event = self.create_event(token, event()).await.unwrap();
        show(&event.event_id, &plan.plan_id)
    }

    /// A draft with all it needs, made by the organiser.
    pub(crate) async fn draft(&mut self, token: &str) -> wire::Show {
        let request = self.prepared_show(token).await;
        self.create_show(token, request).await.unwrap()
    }
}

/// What the inventory was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Call {
    Open(Box<OpenInventoryRequest>),
    Change { show_id: Vec<u8>, state: String },
}

#[derive(Debug, Default)]
struct Recorded {
    calls: Vec<Call>,
    authorizations: Vec<String>,
    deadlines: Vec<Duration>,
    refusals: VecDeque<Failure>,
    /// By label; those that aren't here are available.
    states: HashMap<String, &'static str>,
}

/// An inventory that agrees to everything, unless it was told to refuse.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inventory {
    recorded: Arc<Mutex<Recorded>>,
}

impl Inventory {
    /// Answers the next call that isn't spoken for with `failure`.
    pub(crate) fn refuse_next(&self, failure: Failure) {
        self.recorded.lock().unwrap().refusals.push_back(failure);
    }

    /// From now on the seat of that label is HELD, SOLD, BLOCKED.
    pub(crate) fn set_state(&self, label: &str, state: &'static str) {
        let mut recorded = self.recorded.lock().unwrap();
        recorded.states.insert(label.to_owned(), state);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.recorded.lock().unwrap().calls.clone()
    }

    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.recorded.lock().unwrap().authorizations.clone()
    }

    pub(crate) fn deadlines(&self) -> Vec<Duration> {
        self.recorded.lock().unwrap().deadlines.clone()
    }

    fn record<T>(&self, request: &Request<T>, call: Call) -> Result<(), Status> {
        let mut recorded = self.recorded.lock().unwrap();
        recorded.calls.push(call);
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        recorded
            .authorizations
            .push(authorization.unwrap_or_default());
        recorded.deadlines.push(Deadline::of(request).remaining());
        recorded
            .refusals
            .pop_front()
            .map_or(Ok(()), |failure| Err(failure.into()))
    }
}

#[tonic::async_trait]
impl InventoryService for Inventory {
    async fn open_inventory(
        &self,
        request: Request<OpenInventoryRequest>,
    ) -> Result<Response<OpenInventoryResponse>, Status> {
        self.record(&request, Call::Open(Box::new(request.get_ref().clone())))?;
        let seat_count = request.get_ref().seats.len() as u32;
        Ok(Response::new(OpenInventoryResponse { seat_count }))
    }

    async fn change_inventory_state(
        &self,
        request: Request<ChangeInventoryStateRequest>,
    ) -> Result<Response<ChangeInventoryStateResponse>, Status> {
        let ChangeInventoryStateRequest { show_id, state } = request.get_ref().clone();
        self.record(
            &request,
            Call::Change {
                show_id,
                state: state.clone(),
            },
        )?;
        Ok(Response::new(ChangeInventoryStateResponse { state }))
    }

    async fn refund_show(
        &self,
        _: Request<RefundShowRequest>,
    ) -> Result<Response<RefundShowResponse>, Status> {
        Err(Status::unimplemented("the operator's call"))
    }
}

/// Calls of others.
macro_rules! of_others {
    ($($method:ident($request:ident) -> $answer:ident;)+) => {
        #[tonic::async_trait]
        impl BookingService for Inventory {
            async fn get_availability(
                &self,
                request: Request<booking::GetAvailabilityRequest>,
            ) -> Result<Response<booking::GetAvailabilityResponse>, Status> {
                self.availability(&request.get_ref().show_id)
            }

            $(async fn $method(
                &self,
                _: Request<booking::$request>,
            ) -> Result<Response<booking::$answer>, Status> {
                Err(Status::unimplemented("a customer's call"))
            })+
        }
    };
}

of_others! {
    create_hold(CreateHoldRequest) -> CreateHoldResponse;
    get_hold(GetHoldRequest) -> GetHoldResponse;
    extend_hold(ExtendHoldRequest) -> ExtendHoldResponse;
    release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse;
    create_booking(CreateBookingRequest) -> CreateBookingResponse;
    stop_bookings(StopBookingsRequest) -> StopBookingsResponse;
    resume_bookings(ResumeBookingsRequest) -> ResumeBookingsResponse;
    get_booking(GetBookingRequest) -> GetBookingResponse;
    list_bookings(ListBookingsRequest) -> ListBookingsResponse;
    get_booking_timeline(GetBookingTimelineRequest) -> GetBookingTimelineResponse;
    cancel_booking(CancelBookingRequest) -> CancelBookingResponse;
    return_tickets(ReturnTicketsRequest) -> ReturnTicketsResponse;
    list_tickets(ListTicketsRequest) -> ListTicketsResponse;
}

impl Inventory {
    /// The seats that a show was opened with.
    fn availability(
        &self,
        show_id: &[u8],
    ) -> Result<Response<booking::GetAvailabilityResponse>, Status> {
        let recorded = self.recorded.lock().unwrap();
        let opened = recorded.calls.iter().rev().find_map(|call| match call {
            Call::Open(opened) if opened.show_id == show_id => Some(opened),
            _ => None,
        });
        let opened =
            opened.ok_or_else(|| Failure::new(ErrorCode::ShowNotFound, "it was never opened"))?;
        let seat = |seat: &booking::InventorySeat| booking::SeatAvailability {
            seat_id: seat.label.clone(),
            state: recorded
                .states
                .get(&seat.label)
                .copied()
                .unwrap_or("AVAILABLE")
                .to_owned(),
        };
        Ok(Response::new(booking::GetAvailabilityResponse {
            show_id: show_id.to_vec(),
            revision: 7,
            show_state: "ON_SALE".to_owned(),
            seats: opened.seats.iter().map(seat).collect(),
        }))
    }
}

/// Serves `routes` on a free port.
async fn spawn(name: &'static str, routes: Routes, context: &mesh::Context) -> Channel {
    let options = mesh::server::Options {
        name,
        listen: ([127, 0, 0, 1], 0).into(),
        insecure: false,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let serving = context.clone();
    tokio::spawn(async move {
        mesh::server::serve_grpc(options, routes, &serving)
            .await
            .unwrap()
    });
    let address = tokio::time::timeout(START_MAX, context.readiness.address(name))
        .await
        .unwrap();
    mesh::client::channel(&format!("http://{address}")).unwrap()
}

/// The answer, or the failure that came over the wire.
pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, Failure> {
    result
        .map(Response::into_inner)
        .map_err(|status| Failure::from_status(&status))
}

#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, Failure>, code: ErrorCode) {
    assert_eq!(result.expect_err("it is refused").code(), code);
}

/// The fields that a failure names, which must be INVALID_REQUEST.
#[track_caller]
pub(crate) fn refused_fields<T: std::fmt::Debug>(result: Result<T, Failure>) -> Vec<String> {
    let failure = result.expect_err("it is refused");
    assert_eq!(failure.code(), ErrorCode::InvalidRequest, "{failure:?}");
    failure
        .fields()
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let (token, organisation) = token.split_once(IN_NAME_OF).unwrap_or((token, ""));
    if !organisation.is_empty() {
        let organisation = organisation.parse().unwrap();
        let metadata = request.metadata_mut();
        metadata.insert(mesh::auth::ORGANISATION, organisation);
    }
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Between a token and the organisation in whose name its holder calls.
const IN_NAME_OF: char = '#';

/// A token of somebody new who is that in an organisation, and calls in its name.
pub(crate) fn member_token(organisation: Uuid, role: OrganisationRole) -> String {
    let orgs = vec![Membership {
        id: organisation,
        role,
    }];
    let grants = Grants {
        orgs,
        ..Grants::default()
    };
    format!(
        "{}{IN_NAME_OF}{organisation}",
        granted_token("customer", grants)
    )
}

/// A token of somebody new with more in it than a role.
pub(crate) fn granted_token(role: &str, grants: Grants) -> String {
    let header = Header {
        kid: Some(KEY_ID.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let plain = token(role);
    let token = jsonwebtoken::dangerous::insecure_decode::<TokenClaims>(&plain).unwrap();
    let token = token.claims;
    jsonwebtoken::encode(&header, &AllClaims { token, grants }, &key(1)).unwrap()
}

fn key(seed: u8) -> EncodingKey {
    EncodingKey::from_ed_der(&[&ED25519_DER_START[..], &[seed; 32]].concat())
}

fn jwks() -> String {
    let mut jwk = Jwk::from_encoding_key(&key(1), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some(KEY_ID.to_owned());
    format!(r#"{{"keys":[{}]}}"#, serde_json::to_string(&jwk).unwrap())
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn sign(seed: u8, user_id: UserId, role: &str, exp: u64) -> String {
    let header = Header {
        kid: Some(KEY_ID.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let claims = TokenClaims {
        iss: mesh::auth::ISSUER.to_owned(),
        aud: mesh::auth::AUDIENCE.to_owned(),
        sub: user_id,
        roles: vec![role.to_owned()],
        iat: now_s() - 10,
        exp,
    };
    jsonwebtoken::encode(&header, &claims, &key(seed)).unwrap()
}

/// A good token of somebody new.
pub(crate) fn token(role: &str) -> String {
    sign(1, Uuid::new_v4().into(), role, now_s() + 600)
}

/// Whose a token is.
pub(crate) fn user_of(token: &str) -> Vec<u8> {
    let claims = jsonwebtoken::dangerous::insecure_decode::<TokenClaims>(token).unwrap();
    claims.claims.sub.to_bytes().to_vec()
}

pub(crate) fn forged_token(role: &str) -> String {
    sign(2, Uuid::new_v4().into(), role, now_s() + 600)
}

pub(crate) fn expired_token(role: &str) -> String {
    sign(1, Uuid::new_v4().into(), role, now_s() - 60)
}

pub(crate) fn id() -> Vec<u8> {
    Uuid::now_v7().as_bytes().to_vec()
}

pub(crate) fn venue() -> wire::Venue {
    wire::Venue {
        venue_id: id(),
        name: "Stadion am Fluss".to_owned(),
        address: "Uferweg 1".to_owned(),
        city: "Berlin".to_owned(),
        country: "DE".to_owned(),
        latitude: 52.5,
        longitude: 13.4,
        time_zone: "Europe/Berlin".to_owned(),
        postal_code: "14053".to_owned(),
        region: String::new(),
        version: String::new(),
    }
}

pub(crate) fn plan(venue_id: &[u8]) -> wire::ImportPlanRequest {
    wire::ImportPlanRequest {
        plan_id: id(),
        venue_id: venue_id.to_vec(),
        name: String::new(),
        plan_json: STADIUM.to_vec(),
        ..Default::default()
    }
}

pub(crate) fn event() -> wire::Event {
    wire::Event {
        event_id: id(),
        title: "Die Eröffnung".to_owned(),
        description: "Two halves.\nOne break.".to_owned(),
        category: "sports".to_owned(),
        classification: Some(wire::Classification {
            segment: "Sports".to_owned(),
            genre: "Football".to_owned(),
            sub_genre: String::new(),
        }),
        ..Default::default()
    }
}

/// In 60 days, with a price for each category of the stadium.
pub(crate) fn show(event_id: &[u8], plan_id: &[u8]) -> wire::CreateShowRequest {
    let price = |category: &str, amount| wire::Price {
        category: category.to_owned(),
        amount,
        ..wire::Price::default()
    };
    wire::CreateShowRequest {
        show_id: id(),
        event_id: event_id.to_vec(),
        plan_id: plan_id.to_vec(),
        starts_at_ms: in_days(60),
        currency: "EUR".to_owned(),
        prices: vec![
            price("Category V", 1500),
            price("Category I", 9900),
            price("Category II", 5900),
            price("Category IV", 0),
        ],
        ..Default::default()
    }
}

pub(crate) fn in_days(days: i64) -> i64 {
    (now_s() as i64 + days * 24 * 60 * 60) * 1000
}
