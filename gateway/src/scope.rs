//! What is around every request: its id, trace, deadline, slot, and the headers of its answer.
//!
//! Always holds: whatever happens inside, a panic or a timeout too, the client gets one answer
//! with `x-request-id` and, for an error, the one body; and it is counted.

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{self, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use holdfast_mesh::{
    deadline::Deadline,
    request_id::{self, RequestId},
    server::until_sent,
    trace::{self, Context, FutureExt as _, KeyValue, SpanKind},
};
use holdfast_proto::part;
use holdfast_types::ErrorCode;
use http_body::{Frame, SizeHint};
use tracing::Instrument;

use crate::{
    call::Call,
    failure::ApiError,
    metrics,
    server::{App, Shared},
};

/// Set where the answer doesn't say otherwise. The policy forbids everything, because the API
/// answers are no pages; the pages bring their own.
const HEADERS_DEFAULT: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    // No page elsewhere loads an answer as an image or a script; what CORS allows isn't concerned.
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Where TLS stands in front: a year of nothing else.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Routes whose work grows with the seats of a hall, of which there may be 100,000.
const LONG_ROUTES: [&str; 3] = [
    "/api/v1/venues/{venue_id}/plans",
    "/api/v1/shows/{show_id}/publish",
    "/api/v1/shows/{show_id}/resume",
];

/// How long those may be worked on, where other requests may not be for longer.
const LONG_TIMEOUT: Duration = Duration::from_secs(60);

/// What the routes of the API begin with.
const API: &str = "/api/";

/// The outermost layer of every route. CORS is between it and [`bounded`], so that a page can read
/// every error.
pub(crate) async fn surround(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched
        .as_ref()
        .map_or(metrics::ROUTE_UNMATCHED, MatchedPath::as_str);
    let client = trace::of_headers(request.headers());
    let client = match app.trust_sampled {
        true => client,
        false => trace::decided_here(&client),
    };
    let context = trace_of(&client, &method, route);
    let span = tracing::info_span!(
        "http",
        request.id = %request_id,
        http.method = %method,
        http.route = route,
        trace.id = tracing::field::Empty
    );
    trace::name(&span, &context);

    let answer = next.run(request).with_context(context.clone());
    let answer = request_id::scope(request_id.clone(), answer);
    let mut response = answer.instrument(span.clone()).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        error.render(&request_id, &mut response);
    }
    dress(&app, &mut response, &request_id);

    let took = started.elapsed();
    span.in_scope(|| {
        tracing::debug!(
            http.status = response.status().as_u16(),
            took_ms = took.as_millis(),
            "answered"
        );
    });
    let status = response.status();
    metrics::answered(route, &method, status, took);
    let failure = status.is_server_error().then(|| status.to_string());
    trace::finish(&context, failure, || {
        let status = i64::from(status.as_u16());
        vec![KeyValue::new("http.response.status_code", status)]
    });
    response
}

/// The client's own, if it is plain enough, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> RequestId {
    let sent = headers.get(request_id::HEADER);
    let sent = sent.and_then(|value| RequestId::from_caller(value.as_bytes()));
    sent.unwrap_or_else(RequestId::generate)
}

/// Gives an answer the header fields that every one has.
pub(crate) fn dress(app: &App, response: &mut Response, request_id: &RequestId) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS_DEFAULT {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if app.origins.are_secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    let id = HeaderValue::from_str(request_id.as_str()).expect("request ids are plain ASCII");
    headers.insert(request_id::HEADER, id);
}

/// Continues the client's trace or begins one; but probes and pages begin none.
fn trace_of(client: &Context, method: &Method, route: &str) -> Context {
    let span = || {
        let method = metrics::method_label(method);
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
        ];
        let name = format!("{method} {route}");
        trace::span(name, SpanKind::Server, part::GATEWAY, attributes)
    };
    if route.starts_with(API) {
        trace::begin(client, span)
    } else {
        trace::within(client, span)
    }
}

/// Inside [`surround`]: the deadline, and the end of whatever goes wrong.
pub(crate) async fn bounded(
    State(app): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let is_long = matched.is_some_and(|route| LONG_ROUTES.contains(&route.as_str()));
    let deadline = Deadline::after(match is_long {
        true => app.request_timeout.max(LONG_TIMEOUT),
        false => app.request_timeout,
    });
    // In tests of layers there is no connection.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let client = peer.map(|ConnectInfo(peer)| app.proxies.client(peer.ip(), request.headers()));
    request.extensions_mut().insert(Call::new(deadline, client));
    let (request, is_read) = with_body_watched(request);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answer = app.cursors.within(route, next.run(request));
    let work = AssertUnwindSafe(answer).catch_unwind();
    match tokio::time::timeout_at(deadline.at(), work).await {
        Ok(Ok(response)) => response,
        // The panic hook has logged where and why.
        Ok(Err(_panic)) => ApiError::defect("a handler panicked").into_response(),
        Err(_elapsed) if is_read.load(Ordering::Relaxed) => {
            ApiError::body_too_slow().into_response()
        }
        Err(_elapsed) => {
            tracing::warn!("no answer within the deadline");
            ApiError::timed_out().into_response()
        }
    }
}

/// The request, and whether its body is being read and hasn't ended.
fn with_body_watched(request: Request) -> (Request, Arc<AtomicBool>) {
    let is_read = Arc::new(AtomicBool::new(false));
    if request.body().is_end_stream() {
        return (request, is_read);
    }
    let watched = Arc::clone(&is_read);
    let request = request.map(|body| {
        Body::new(WatchedBody {
            body,
            is_read: watched,
        })
    });
    (request, is_read)
}

/// A body that says while it is being read.
struct WatchedBody {
    body: Body,
    is_read: Arc<AtomicBool>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(context);
        let has_ended = matches!(next, Poll::Ready(None | Some(Err(_))));
        this.is_read.store(!has_ended, Ordering::Relaxed);
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Around all but the health routes, which must answer while everything is busy: one of the slots,
/// until the answer was sent.
pub(crate) async fn slotted(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let Ok(slot) = Arc::clone(&app.slots).try_acquire_owned() else {
        return ApiError::new(ErrorCode::Unavailable, "too many requests are in progress")
            .into_response();
    };
    until_sent(next.run(request).await, slot)
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, to_bytes},
        http::StatusCode,
        routing::get,
    };
    use holdfast_mesh::request_id;
    use tower::ServiceExt;

    use super::*;
    use crate::{Config, at_hand::AtHand, server};

    const ORIGIN: &str = "https://tickets.example";

    fn app() -> (Shared, Config) {
        let config = Config {
            cors_origins: vec![ORIGIN.to_owned()],
            ..Config::default()
        };
        let app =
            server::app(&config, &holdfast_mesh::Context::new()).expect("the settings are good");
        (app, config)
    }

    fn router(inner: Router<Shared>, (app, config): &(Shared, Config)) -> AtHand<Router> {
        server::layers(inner, Router::new(), app, config).expect("the settings are good")
    }

    async fn ask(router: &AtHand<Router>, path: &str) -> Response {
        let request = Request::get(path)
            .header(request_id::HEADER, "id-1")
            .header(header::ORIGIN, ORIGIN)
            .body(Body::empty());
        let answer = router.clone().oneshot(request.expect("is a request"));
        answer.await.expect("never fails")
    }

    async fn panics() -> StatusCode {
        panic!("the secret of 10.0.0.7")
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_that_shows_nothing() {
        let router = router(Router::new().route("/", get(panics)), &app());
        let response = ask(&router, "/").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[request_id::HEADER], "id-1");
        assert_eq!(
            response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            ORIGIN
        );
        let bytes = to_bytes(response.into_body(), 1024)
            .await
            .expect("is small");
        let body: serde_json::Value = serde_json::from_slice(&bytes).expect("is JSON");
        assert_eq!(
            (&body["error_code"], &body["request_id"]),
            (&"INTERNAL_ERROR".into(), &"id-1".into())
        );
        assert!(!body.to_string().contains("secret"), "{body}");
    }

    #[test]
    fn long_routes_are_routes() {
        let document = serde_json::to_value(crate::openapi()).expect("serialises");
        for route in LONG_ROUTES {
            assert!(document["paths"][route]["post"].is_object(), "{route}");
        }
    }

    #[tokio::test]
    async fn a_request_beyond_the_slots_is_told_to_come_back() {
        let app = app();
        let slots = Arc::clone(&app.0.slots);
        let router = router(Router::new().route("/", get(|| async { "ok" })), &app);
        let all = u32::try_from(slots.available_permits()).expect("is small");
        let taken = slots.acquire_many(all).await.expect("is never closed");
        let refused = ask(&router, "/").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        assert_eq!(refused.headers()[request_id::HEADER], "id-1");
        assert_eq!(
            refused.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            ORIGIN
        );
        drop(taken);
        assert_eq!(ask(&router, "/").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_slot_is_kept_until_the_answer_was_read_or_dropped() {
        let app = app();
        let slots = Arc::clone(&app.0.slots);
        let router = router(Router::new().route("/", get(|| async { "ok" })), &app);
        let all = slots.available_permits();
        let answer = ask(&router, "/").await;
        assert_eq!(slots.available_permits(), all - 1);
        to_bytes(answer.into_body(), 1024).await.expect("is small");
        assert_eq!(slots.available_permits(), all);
        let answer = ask(&router, "/").await;
        assert_eq!(slots.available_permits(), all - 1);
        drop(answer);
        assert_eq!(slots.available_permits(), all);
    }
}
