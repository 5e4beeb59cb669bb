//! The composition root: clients, routes and the layers around them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware,
};
use holdfast_mesh as mesh;
use holdfast_proto::{
    booking::v1::{
        booking_service_client::BookingServiceClient,
        inventory_service_client::InventoryServiceClient, sales_service_client::SalesServiceClient,
    },
    catalog::v1::catalog_service_client::CatalogServiceClient,
    identity::v1::{GetJwksRequest, identity_service_client::IdentityServiceClient},
    part,
    payment::v1::payment_service_client::PaymentServiceClient,
    search::v1::search_service_client::SearchServiceClient,
};
use holdfast_types::{ErrorCode, limits};
use mesh::{
    auth::{self, Verifier},
    client::Channel,
    request_id, trace,
};
use tokio::sync::Semaphore;
use tower_http::{compression::CompressionLayer, cors::CorsLayer};

use crate::{
    Config, Error,
    api_keys::ApiKeys,
    at_hand::AtHand,
    client_address::Proxies,
    conditional,
    cursors::Cursors,
    failure::ApiError,
    kept::KeptPages,
    layout::Layouts,
    limits::{self as rate, Limits},
    lists::Lists,
    live::LiveShows,
    metrics, openapi, ops, pages, scope,
    searches::Answers,
    session::Origins,
    well_known,
};

/// The part's name in readiness and logs.
const NAME: &str = "gateway";

/// Requests in progress at once, answers being sent included; more are refused with `Retry-After`.
/// A rush keeps a few hundred busy; the bound keeps memory finite when a service or clients hang.
const REQUESTS_IN_FLIGHT_MAX: usize = 4096;

/// Requests of them that wait for news; others are answered at once, and come again.
const WAITS_MAX: usize = REQUESTS_IN_FLIGHT_MAX / 2;

/// Plan files of requests in progress, each up to 8 MiB and there twice on its way.
const UPLOADS_MAX: usize = 8;

/// Largest gRPC answer read: the seat map of the largest show (100,000 seats of some 150 bytes)
/// with room.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a browser may remember what CORS allows.
const CORS_AGE_MAX: Duration = Duration::from_secs(3600);

/// What handlers share.
pub(crate) struct App {
    pub(crate) identity: IdentityServiceClient<Channel>,
    pub(crate) catalog: CatalogServiceClient<Channel>,
    pub(crate) booking: BookingServiceClient<Channel>,
    pub(crate) sales: SalesServiceClient<Channel>,
    pub(crate) inventory: InventoryServiceClient<Channel>,
    pub(crate) payment: PaymentServiceClient<Channel>,
    pub(crate) search: SearchServiceClient<Channel>,
    pub(crate) searches: Answers,
    pub(crate) suggestions: Answers,
    pub(crate) verifier: Verifier,
    pub(crate) api_keys: ApiKeys,
    pub(crate) origins: Origins,
    pub(crate) cursors: Cursors,
    pub(crate) request_timeout: Duration,
    pub(crate) trust_sampled: bool,
    pub(crate) proxies: Proxies,
    /// None where nobody is limited.
    pub(crate) limits: Option<Limits>,
    pub(crate) slots: Arc<Semaphore>,
    /// Slots whose requests wait for news.
    pub(crate) waits: Semaphore,
    /// Files of plans that are being read.
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) live: LiveShows,
    pub(crate) layouts: Layouts,
    pub(crate) lists: Lists,
    pub(crate) kept: KeptPages,
}

pub(crate) type Shared = Arc<App>;

/// Serves the API until `context.shutdown`, then lets requests in flight finish. Its address is
/// in readiness under `gateway`.
///
/// # Errors
/// [`Error`] if a setting can't be used, the address can't be bound, or the listener breaks.
pub async fn serve(config: Config, context: mesh::Context) -> Result<(), Error> {
    config.check(context.identity.is_some())?;
    let prometheus = mesh::metrics::install();
    metrics::describe();
    let app = app(&config, &context)?;
    let (api, document) = openapi::router();
    let routes = api
        .merge(pages::router(document, &config.mail_folder))
        .merge(well_known::router())
        .fallback(async || ApiError::new(ErrorCode::NotFound, "there is no such route"));
    let health = ops::router(context.readiness.clone(), prometheus);
    let service = layers(routes, health, &app, &config)?;
    let serving = async {
        let (listen, insecure) = (config.listen, config.insecure);
        let served = mesh::server::serve_http(NAME, listen, insecure, service, &context).await;
        // Where it couldn't, too.
        app.live.shutdown.cancel();
        served
    };
    let (served, ()) = tokio::join!(serving, app.live.keep());
    Ok(served?)
}

/// `routes` and `health` with all that is around them.
pub(crate) fn layers(
    routes: Router<Shared>,
    health: Router<Shared>,
    app: &Shared,
    config: &Config,
) -> Result<AtHand<Router>, Error> {
    let mut router = routes
        .layer(DefaultBodyLimit::max(limits::REST_BODY_BYTES_MAX))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), scope::slotted))
        .layer(middleware::from_fn_with_state(app.clone(), rate::limited))
        .merge(health)
        .method_not_allowed_fallback(async || {
            ApiError::new(
                ErrorCode::MethodNotAllowed,
                "the route doesn't know this method",
            )
        })
        .layer(middleware::from_fn_with_state(app.clone(), scope::bounded));
    let origins = config.origins()?;
    if !origins.is_empty() {
        router = router.layer(cors(origins));
    }
    let router = router
        .layer(middleware::from_fn_with_state(app.clone(), scope::surround))
        .with_state(app.clone());
    Ok(AtHand::new(router, app.clone()))
}

/// What handlers share, until `shutdown` ends what is in the background. Must be called within a
/// Tokio runtime.
pub(crate) fn app(config: &Config, context: &mesh::Context) -> Result<Shared, Error> {
    let identity =
        IdentityServiceClient::new(context.channel(&config.identity_uri, part::IDENTITY)?);
    let issuer = identity.clone();
    let verifier = Verifier::new(move || {
        let mut issuer = issuer.clone();
        async move { Ok(issuer.get_jwks(GetJwksRequest {}).await?.into_inner().jwks) }
    });
    let own = context.identity.as_ref();
    let store_options = lockstore_client::Options {
        tls: own.map(|identity| identity.client_config(part::LOCKSTORE)),
        decorate: Some(trace::apply),
        ..lockstore_client::Options::default()
    };
    Ok(Arc::new(App {
        identity,
        catalog: CatalogServiceClient::new(context.channel(&config.catalog_uri, part::CATALOG)?)
            .max_decoding_message_size(ANSWER_BYTES_MAX),
        booking: BookingServiceClient::new(context.channel(&config.booking_uri, part::BOOKING)?)
            .max_decoding_message_size(ANSWER_BYTES_MAX),
        inventory: InventoryServiceClient::new(
            context.channel(&config.booking_uri, part::BOOKING)?,
        ),
        sales: SalesServiceClient::new(context.channel(&config.booking_uri, part::BOOKING)?)
            .max_decoding_message_size(ANSWER_BYTES_MAX),
        payment: PaymentServiceClient::new(context.channel(&config.payment_uri, part::PAYMENT)?),
        search: SearchServiceClient::new(context.channel(&config.search_uri, part::SEARCH)?),
        searches: Answers::new(),
        suggestions: Answers::new(),
        verifier,
        api_keys: ApiKeys::new(),
        origins: Origins::new(config)?,
        cursors: Cursors::new(config),
        request_timeout: config.request_timeout(),
        trust_sampled: config.trust_sampled,
        proxies: Proxies::new(config)?,
        limits: match config.rate_limits.enabled {
            true => Some(Limits::new(config)?),
            false => None,
        },
        slots: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
        waits: Semaphore::new(WAITS_MAX),
        uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        live: LiveShows::new(
            lockstore_client::Client::connect_with(config.lockstore.clone(), store_options),
            context.shutdown.child_token(),
        ),
        layouts: Layouts::new(),
        lists: Lists::new(),
        kept: KeptPages::new(),
    }))
}

/// Headers of answers that pages of other origins may read.
const EXPOSED: [HeaderName; 6] = [
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    rate::RATE_LIMIT,
    rate::RATE_LIMIT_POLICY,
    HeaderName::from_static(request_id::HEADER),
];

/// What [`cors`] says in an answer to who names no origin.
pub(crate) fn cors_without_origin() -> HeaderMap {
    let exposed = EXPOSED.each_ref().map(HeaderName::as_str).join(",");
    let exposed = HeaderValue::from_str(&exposed).expect("names are values");
    HeaderMap::from_iter([
        (header::VARY, HeaderValue::from_static("origin")),
        (
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        ),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed),
    ])
}

fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    let request_id = HeaderName::from_static(request_id::HEADER);
    CorsLayer::new()
        .allow_origin(origins)
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            conditional::PREFER,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static(auth::ORGANISATION),
            HeaderName::from_static(trace::PARENT_HEADER),
            HeaderName::from_static(trace::STATE_HEADER),
            request_id.clone(),
        ])
        .expose_headers(EXPOSED)
        .max_age(CORS_AGE_MAX)
}
