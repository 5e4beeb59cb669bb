//! Starts everything a payment passes through, and waits on conditions.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::post,
};
use holdfast_eventlog::{NewEvent, Outbox, relay};
use holdfast_mesh::{self as mesh, client::Channel, config::Secret};
use holdfast_proto::{
    events::v1,
    payment::v1::{
        ListPaymentsRequest, Payment, ReceiveWebhookRequest,
        payment_service_client::PaymentServiceClient,
    },
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use payment_svc::{Config, Error, ProviderName, check_ledger, sandbox, serve};
use prost::Message;
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    identity::{self, signed_in},
    stripe::{Double, SECRET_KEY},
};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const API_KEY: &str = "key-for-tests";
pub(crate) const WEBHOOK_SECRET: &str = "secret-for-tests";

static BOOKINGS: Outbox = Outbox::new("booking");

/// Waits for `holds`, checked every 10 ms, for at most [`LIMIT`].
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LIMIT, "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A server that can be stopped.
struct Server {
    context: mesh::Context,
    task: JoinHandle<Result<(), Error>>,
}

impl Server {
    async fn stop(self) {
        self.context.shutdown.cancel();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

/// Who collects the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sandbox,
    /// Our double of Stripe.
    Stripe,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Stripe => "stripe",
        }
    }
}

/// What goes wrong between payment-svc and the provider with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It isn't done.
    Broken,
    /// It is done, and the connection breaks before its answer.
    AnswerLost,
    /// It is done, and half of its answer comes.
    AnswerCut,
    /// It is done, and somebody else says that it wasn't.
    AnswerReplaced,
    /// It comes there twice.
    Twice,
    /// Another copy of it is under way.
    InProgress,
    /// Too many of them.
    TooMany,
    /// It takes so many milliseconds longer.
    Late(u64),
}

/// What stands where the gateway will.
struct Gateway {
    payment: Mutex<Option<PaymentServiceClient<Channel>>>,
    /// Answers 503 and forwards nothing.
    losing: AtomicBool,
    /// Where the provider is, and whether cancels and refunds are refused on the way to it.
    provider: Mutex<SocketAddr>,
    refusing: AtomicBool,
    /// Of the next requests to the provider, one each.
    faults: std::sync::Mutex<VecDeque<Fault>>,
    /// Requests that are late and still waited for.
    late: Arc<()>,
    on_stripe: AtomicBool,
    http: reqwest::Client,
}

impl Gateway {
    fn kind(&self) -> Kind {
        if self.on_stripe.load(Ordering::SeqCst) {
            Kind::Stripe
        } else {
            Kind::Sandbox
        }
    }
}

/// From payment-svc to the provider.
async fn to_provider(
    State(gateway): State<Arc<Gateway>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path();
    let refusable = path.ends_with("/cancel")
        || path.ends_with("/expire")
        || (path.ends_with("/refunds") && method == Method::POST);
    if refusable && gateway.refusing.load(Ordering::SeqCst) {
        let refusal = match gateway.kind() {
            Kind::Sandbox => r#"{"code":"not_now","message":"on purpose"}"#,
            Kind::Stripe => {
                r#"{"error":{"type":"invalid_request_error","code":"x","message":"on purpose"}}"#
            }
        };
        let status = match gateway.kind() {
            Kind::Sandbox => StatusCode::CONFLICT,
            Kind::Stripe => StatusCode::BAD_REQUEST,
        };
        return (status, refusal).into_response();
    }
    let fault = gateway.faults.lock().unwrap().pop_front();
    let fault = fault.unwrap_or(Fault::None);
    match fault {
        Fault::Broken => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::InProgress => return (StatusCode::CONFLICT, in_progress()).into_response(),
        Fault::TooMany => return StatusCode::TOO_MANY_REQUESTS.into_response(),
        Fault::Late(ms) => {
            // Given up with the request.
            let _late = gateway.late.clone();
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        _ => {}
    }
    let provider = *gateway.provider.lock().await;
    let path = uri.path_and_query().unwrap();
    let send = async || {
        let mut request = gateway
            .http
            .request(method.clone(), format!("http://{provider}{path}"))
            .body(body.clone());
        for name in [
            "authorization",
            "idempotency-key",
            "content-type",
            "stripe-version",
        ] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = request.send().await else {
            return (StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::new());
        };
        let (status, mut kept) = (answer.status(), HeaderMap::new());
        for name in ["idempotent-replayed", "request-id"] {
            if let Some(value) = answer.headers().get(name) {
                kept.insert(name, value.clone());
            }
        }
        (status, kept, answer.bytes().await.unwrap_or_default())
    };
    let mut answer = send().await;
    if fault == Fault::Twice {
        answer = send().await;
    }
    let (status, kept, bytes) = answer;
    let broken = |part: Bytes| {
        let pieces = [Ok(part), Err(std::io::Error::other("on purpose"))];
        Body::from_stream(futures::stream::iter(pieces))
    };
    match fault {
        Fault::AnswerLost => (status, broken(Bytes::new())).into_response(),
        Fault::AnswerCut => (status, broken(bytes.slice(..bytes.len() / 2))).into_response(),
        Fault::AnswerReplaced => {
            (StatusCode::BAD_GATEWAY, "<html>Bad Gateway</html>").into_response()
        }
        _ => (status, kept, bytes).into_response(),
    }
}

fn in_progress() -> &'static str {
    r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use","message":"wait"}}"#
}

async fn forward(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if gateway.losing.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let client = gateway.payment.lock().await.clone();
    let Some(mut client) = client else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let signature = headers
        .get(match gateway.kind() {
            Kind::Sandbox => "x-sandbox-signature",
            Kind::Stripe => "stripe-signature",
        })
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let request = ReceiveWebhookRequest {
        provider: gateway.kind().name().into(),
        signature,
        body: body.to_vec(),
    };
    match client.receive_webhook(request).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::BAD_GATEWAY,
    }
}

pub(crate) struct System {
    pub(crate) pool: PgPool,
    pub(crate) http: reqwest::Client,
    pub(crate) sandbox_address: SocketAddr,
    gateway: Arc<Gateway>,
    gateway_address: SocketAddr,
    payment: Option<Server>,
    sandbox: Option<Server>,
    pub(crate) kind: Kind,
    double: Option<Arc<Double>>,
    /// Of what the sandbox keeps.
    fee_fixed: u32,
    identity: String,
    ending: CancellationToken,
    others: Vec<JoinHandle<()>>,
    /// How long sessions are silent before payment-svc asks; an hour unless a test says less.
    reconcile_after_ms: u64,
    counters: PrometheusHandle,
    /// Everything of a test runs on its one thread.
    _recorder: metrics::LocalRecorderGuard<'static>,
}

impl System {
    pub(crate) async fn start(pool: &PgPool) -> Self {
        Self::start_asking_after(pool, 3_600_000).await
    }

    pub(crate) async fn start_asking_after(pool: &PgPool, reconcile_after_ms: u64) -> Self {
        Self::start_on(pool, Kind::Sandbox, reconcile_after_ms).await
    }

    /// On Stripe's double.
    pub(crate) async fn start_on_stripe(pool: &PgPool) -> Self {
        Self::start_on(pool, Kind::Stripe, 3_600_000).await
    }

    pub(crate) async fn start_on(pool: &PgPool, kind: Kind, reconcile_after_ms: u64) -> Self {
        Self::start_with(pool, kind, reconcile_after_ms, None).await
    }

    /// `money` is another Stripe, which the double leaves the money to.
    pub(crate) async fn start_with(
        pool: &PgPool,
        kind: Kind,
        reconcile_after_ms: u64,
        money: Option<String>,
    ) -> Self {
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let counters = recorder.handle();
        let recorder = metrics::set_default_local_recorder(recorder);
        holdfast_eventlog::migrate(pool).await.unwrap();
        let outbox = include_str!("../../../eventlog/sql/outbox.sql");
        let outbox = outbox.replace("{schema}", "booking");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA booking; {outbox}")))
            .execute(pool)
            .await
            .unwrap();
        let ending = CancellationToken::new();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let gateway = Arc::new(Gateway {
            payment: Mutex::new(None),
            losing: false.into(),
            provider: Mutex::new(([127, 0, 0, 1], 0).into()),
            refusing: false.into(),
            faults: std::sync::Mutex::default(),
            late: Arc::default(),
            on_stripe: (kind == Kind::Stripe).into(),
            http: http.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway_address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/hook", post(forward))
            .fallback(to_provider)
            .with_state(gateway.clone());
        let context = mesh::Context {
            shutdown: ending.clone(),
            ..mesh::Context::new()
        };
        let identity = identity::start(&context).await;
        let others = vec![
            tokio::spawn(relay(pool.clone(), &BOOKINGS, ending.clone())),
            tokio::spawn({
                let ending = ending.clone();
                async move {
                    let server = axum::serve(listener, router);
                    server
                        .with_graceful_shutdown(ending.cancelled_owned())
                        .await
                        .unwrap();
                }
            }),
        ];
        let mut system = Self {
            pool: pool.clone(),
            http,
            sandbox_address: ([127, 0, 0, 1], 0).into(),
            gateway,
            gateway_address,
            payment: None,
            sandbox: None,
            kind,
            double: None,
            fee_fixed: 0,
            identity,
            ending,
            others,
            reconcile_after_ms,
            counters,
            _recorder: recorder,
        };
        match kind {
            Kind::Sandbox => system.start_sandbox().await,
            Kind::Stripe => {
                let hook = format!("http://{gateway_address}/hook");
                let double = Double::start(hook, WEBHOOK_SECRET, money, &system.ending).await;
                *system.gateway.provider.lock().await = double.address();
                system.double = Some(double);
            }
        }
        system.start_payment().await;
        system
    }

    /// What is started next works with Stripe's double.
    pub(crate) async fn use_stripe(&mut self) {
        self.stop_sandbox().await;
        let double = Double::start(self.hook(), WEBHOOK_SECRET, None, &self.ending).await;
        *self.gateway.provider.lock().await = double.address();
        self.double = Some(double);
        self.kind = Kind::Stripe;
        self.gateway.on_stripe.store(true, Ordering::SeqCst);
    }

    /// The double of Stripe.
    pub(crate) fn double(&self) -> &Double {
        self.double.as_deref().unwrap()
    }

    /// Where providers send webhooks.
    pub(crate) fn hook(&self) -> String {
        format!("http://{}/hook", self.gateway_address)
    }

    /// Goes wrong with the next requests to the provider, one each.
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.gateway.faults.lock().unwrap().extend(faults);
    }

    /// Requests to the provider that are late and still waited for.
    pub(crate) fn late(&self) -> usize {
        Arc::strong_count(&self.gateway.late) - 1
    }

    /// The provider can't be reached, or can again.
    pub(crate) async fn cut_provider(&mut self, cut: bool) {
        match self.kind {
            Kind::Sandbox if cut => self.stop_sandbox().await,
            Kind::Sandbox => self.start_sandbox().await,
            Kind::Stripe => {
                let nowhere = ([127, 0, 0, 1], 9).into();
                let there = self.double().address();
                *self.gateway.provider.lock().await = if cut { nowhere } else { there };
            }
        }
    }

    /// Sessions at the provider.
    pub(crate) async fn sessions_there(&self) -> i64 {
        match self.kind {
            Kind::Sandbox => self.count("SELECT count(*) FROM sandbox.sessions").await,
            Kind::Stripe => self.double().sessions(),
        }
    }

    /// Charges at the provider.
    pub(crate) async fn charges_there(&self) -> i64 {
        match self.kind {
            Kind::Sandbox => self.count("SELECT count(*) FROM sandbox.charges").await,
            Kind::Stripe => self.double().charges(),
        }
    }

    /// Minor units that the provider sent back.
    pub(crate) async fn refunded_there(&self) -> i64 {
        match self.kind {
            Kind::Sandbox => self.count("SELECT amount FROM sandbox.refunds").await,
            Kind::Stripe => self.double().refunded(),
        }
    }

    /// Slow payments end now, with money or without.
    pub(crate) async fn settle_slow(&self, paid: bool) {
        match self.kind {
            Kind::Sandbox => {
                self.execute(
                    "UPDATE sandbox.sessions SET settles_at = now() WHERE status = 'PROCESSING'",
                )
                .await;
            }
            Kind::Stripe => self.double().settle_slow(paid),
        }
    }

    /// No webhook of what happened so far comes any more.
    pub(crate) async fn drop_webhooks(&self) {
        match self.kind {
            Kind::Sandbox => {
                self.execute("UPDATE sandbox.webhook_deliveries SET next_at = NULL")
                    .await;
            }
            Kind::Stripe => self.double().drop_webhooks(),
        }
    }

    /// payment-svc asks the provider what it told, now.
    pub(crate) async fn ask_for_news(&self) {
        until("the first look", async || {
            self.count("SELECT count(*) FROM payment.news").await == 1
        })
        .await;
        self.execute("UPDATE payment.news SET ask_at = now()").await;
    }

    /// What is in the books of an account: debits less credits.
    pub(crate) async fn balance(&self, account: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT coalesce(sum(amount), 0)::bigint FROM payment.entries WHERE account = $1",
        )
        .bind(account)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    fn database_url(&self) -> Secret {
        Secret::new(self.pool.connect_options().to_url_lossy().to_string())
    }

    pub(crate) async fn start_sandbox(&mut self) {
        let config = sandbox::Config {
            listen: self.sandbox_address,
            database_url: self.database_url(),
            database_connections_max: 4,
            api_key: API_KEY.into(),
            webhook_url: format!("http://{}/hook", self.gateway_address),
            webhook_secret: WEBHOOK_SECRET.into(),
            fee_fixed: self.fee_fixed,
            ..sandbox::Config::default()
        };
        let context = mesh::Context::new();
        let task = tokio::spawn(sandbox::serve_sandbox(config, context.clone()));
        self.sandbox_address = address(&context, sandbox::NAME).await;
        *self.gateway.provider.lock().await = self.sandbox_address;
        self.sandbox = Some(Server { context, task });
    }

    /// The sandbox, from its next start on, keeps so much of each payment.
    pub(crate) fn keep_fee(&mut self, minor_units: u32) {
        self.fee_fixed = minor_units;
    }

    pub(crate) async fn stop_sandbox(&mut self) {
        self.sandbox.take().unwrap().stop().await;
    }

    pub(crate) async fn start_payment(&mut self) {
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            database_url: self.database_url(),
            database_connections_max: 8,
            identity: self.identity.clone(),
            sandbox_url: format!("http://{}", self.gateway_address),
            sandbox_api_key: API_KEY.into(),
            webhook_secret: WEBHOOK_SECRET.into(),
            provider: match self.kind {
                Kind::Sandbox => ProviderName::Sandbox,
                Kind::Stripe => ProviderName::Stripe,
            },
            stripe_url: format!("http://{}", self.gateway_address),
            stripe_secret_key: SECRET_KEY.into(),
            stripe_success_url: "https://shop.example/paid?s={CHECKOUT_SESSION_ID}".to_owned(),
            stripe_cancel_url: "https://shop.example/left".to_owned(),
            reconcile_after_ms: self.reconcile_after_ms,
            reconcile_period_ms: 50,
            ..Config::default()
        };
        let context = mesh::Context::new();
        let task = tokio::spawn(serve(config, context.clone()));
        let address = address(&context, payment_svc::NAME).await;
        let channel = mesh::client::channel(&format!("http://{address}")).unwrap();
        *self.gateway.payment.lock().await = Some(PaymentServiceClient::new(channel));
        self.payment = Some(Server { context, task });
    }

    pub(crate) async fn stop_payment(&mut self) {
        *self.gateway.payment.lock().await = None;
        self.payment.take().unwrap().stop().await;
    }

    /// Ends everything; the books must balance and the counters come to what they say, whatever
    /// happened.
    pub(crate) async fn stop(self) {
        let (counters, pool) = (self.counters.clone(), self.pool.clone());
        self.end_all().await;
        for (name, kind, sign) in [
            ("holdfast_payment_captured_minor_units_total", "CAPTURE", 1),
            ("holdfast_payment_refunded_minor_units_total", "REFUND", -1),
        ] {
            let posted: i64 = sqlx::query_scalar(
                "SELECT coalesce(sum(amount), 0)::bigint FROM payment.entries
                 JOIN payment.journal USING (journal_id)
                 WHERE account LIKE 'provider:%' AND kind = $1",
            )
            .bind(kind)
            .fetch_one(&pool)
            .await
            .unwrap();
            assert_eq!(shown(&counters, name, ""), sign * posted, "{name}");
        }
    }

    /// What a metric shows, of all series that say `label`; whole numbers.
    pub(crate) fn shown(&self, name: &str, label: &str) -> i64 {
        shown(&self.counters, name, label)
    }

    /// [`System::stop`] after books that no counter knows of.
    pub(crate) async fn end_all(mut self) {
        self.stop_payment().await;
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.stop().await;
        }
        self.ending.cancel();
        for other in self.others {
            tokio::time::timeout(LIMIT, other).await.unwrap().unwrap();
        }
        assert_eq!(check_ledger(&self.pool).await.unwrap(), []);
    }

    pub(crate) fn lose_webhooks(&self, losing: bool) {
        self.gateway.losing.store(losing, Ordering::SeqCst);
    }

    /// Cancels and refunds don't get through to the provider: it says no.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.gateway.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Ends the connections that wait for a lock, as a server does that stops.
    pub(crate) async fn cut_waiting(&self) {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.execute(cut).await;
    }

    pub(crate) async fn client(&self) -> PaymentServiceClient<Channel> {
        self.gateway.payment.lock().await.clone().unwrap()
    }

    /// Tells payment-svc, as booking-svc would.
    pub(crate) async fn tell(
        &self,
        booking_id: Uuid,
        event_type: &'static str,
        message: &impl Message,
    ) {
        self.tell_under(booking_id, event_type, message).await;
    }

    /// As [`System::tell`], under another key than the booking's.
    pub(crate) async fn tell_under(
        &self,
        key: Uuid,
        event_type: &'static str,
        message: &impl Message,
    ) {
        let event = NewEvent {
            topic: "booking",
            key: key.to_string(),
            event_type,
            payload: message.encode_to_vec(),
        };
        let mut connection = self.pool.acquire().await.unwrap();
        BOOKINGS.append(&mut connection, event).await.unwrap();
        BOOKINGS.wake();
    }

    /// A booking of EUR 25.00 that wants to be paid within 10 minutes.
    pub(crate) async fn book(&self) -> Uuid {
        let booking_id = Uuid::new_v4();
        self.tell(booking_id, "BookingCreated", &created(booking_id))
            .await;
        booking_id
    }

    /// A booking whose session is there, and where to pay it.
    pub(crate) async fn book_to_pay(&self) -> (Uuid, String) {
        let booking_id = self.book().await;
        let told: v1::PaymentSessionCreated = self.told(booking_id, "PaymentSessionCreated").await;
        (booking_id, told.payment_url)
    }

    /// A booking that was paid, and its payment.
    pub(crate) async fn book_and_pay(&self) -> (Uuid, Vec<u8>) {
        let (booking_id, url) = self.book_to_pay().await;
        self.press(&url, &[("action", "pay")]).await;
        let told: v1::PaymentSucceeded = self.told(booking_id, "PaymentSucceeded").await;
        (booking_id, told.payment_id)
    }

    pub(crate) async fn end(&self, booking_id: Uuid) {
        let message = v1::BookingEnded {
            booking_id: booking_id.into_bytes().to_vec(),
            state: "EXPIRED".into(),
            reason: "test".into(),
        };
        self.tell(booking_id, "BookingEnded", &message).await;
    }

    /// Sends the page's form.
    pub(crate) async fn press(&self, url: &str, form: &[(&str, &str)]) {
        let answer = self.http.post(url).form(form).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }

    /// What payment-svc told of a booking, in order.
    pub(crate) async fn all_told(&self, booking_id: Uuid) -> Vec<(String, Vec<u8>)> {
        sqlx::query_as(
            "SELECT event_type, payload FROM eventlog.events
             WHERE topic = 'payment' AND key = $1 ORDER BY seq",
        )
        .bind(booking_id.to_string())
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// How often it told what of a booking.
    pub(crate) async fn tally(&self, booking_id: Uuid) -> HashMap<String, usize> {
        let mut tally = HashMap::new();
        for (event_type, _) in self.all_told(booking_id).await {
            *tally.entry(event_type).or_default() += 1;
        }
        tally
    }

    /// The first event of a type about a booking, waited for.
    pub(crate) async fn told<M: Message + Default>(&self, booking_id: Uuid, event_type: &str) -> M {
        let begun = Instant::now();
        loop {
            let all = self.all_told(booking_id).await;
            if let Some((_, payload)) = all.iter().find(|(found, _)| found == event_type) {
                return M::decode(payload.as_slice()).unwrap();
            }
            assert!(
                begun.elapsed() < LIMIT,
                "waited too long for {event_type}, got {all:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until payment-svc has dealt with everything told to it so far: handled, or parked.
    pub(crate) async fn caught_up(&self) {
        until("payment-svc to catch up", async || {
            self.count(
                "SELECT count(*) FROM booking.outbox
                 UNION ALL
                 SELECT count(*) FROM eventlog.events e
                 WHERE topic = 'booking'
                   AND seq > coalesce((SELECT seq FROM eventlog.consumers
                                       WHERE name = 'payment'), 0)
                 UNION ALL
                 SELECT count(*) FROM eventlog.troubled_keys WHERE state = 'RETRYING'",
            )
            .await
                == 0
        })
        .await;
    }

    /// The sum of the counts that `sql` gives.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let counts: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&self.pool).await.unwrap();
        counts.into_iter().sum()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

    pub(crate) async fn payments(&self, booking_id: Uuid) -> Vec<Payment> {
        let request = ListPaymentsRequest {
            booking_id: booking_id.into_bytes().to_vec(),
        };
        self.client()
            .await
            .list_payments(signed_in("staff", request))
            .await
            .unwrap()
            .into_inner()
            .payments
    }
}

fn shown(counters: &PrometheusHandle, name: &str, label: &str) -> i64 {
    let text = counters.render();
    let series = text.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or_default();
        rest.starts_with([' ', '{']) && rest.contains(label)
    });
    let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    let sum = values.sum::<f64>() as i64;
    sum
}

async fn address(context: &mesh::Context, name: &str) -> SocketAddr {
    tokio::time::timeout(LIMIT, context.readiness.address(name))
        .await
        .unwrap()
}

/// Milliseconds since the Unix epoch, `after` from now.
pub(crate) fn in_ms(after: Duration) -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    i64::try_from((now + after).as_millis()).unwrap()
}

pub(crate) fn created(booking_id: Uuid) -> v1::BookingCreated {
    v1::BookingCreated {
        booking_id: booking_id.into_bytes().to_vec(),
        user_id: Uuid::new_v4().into_bytes().to_vec(),
        show_id: Uuid::new_v4().into_bytes().to_vec(),
        total: Some(v1::Money {
            amount: 2_500,
            currency: "EUR".into(),
        }),
        description: "2 seats: <b>Derby</b> & more".into(),
        pay_until_ms: in_ms(Duration::from_secs(600)),
        attempt: 1,
    }
}
