//! What happens around every gRPC call: request id, deadline, panics, log, metrics.
//!
//! Always holds: a handler finds [`Deadline`] and [`RequestId`] in the request's extensions; a
//! call whose deadline has passed never reaches it, and it is dropped when the deadline passes or
//! the server has drained long enough; its panic is that call's `INTERNAL_ERROR` and nobody else's.
//! Leaves to others: bodies; a stream's later errors aren't seen here.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use holdfast_types::ErrorCode;
use http::{Request, Response};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument;

use crate::{
    Failure,
    deadline::Deadline,
    metrics,
    request_id::{self, RequestId},
};

/// How long before the deadline the answer leaves: in time for the caller to get it rather than
/// give up, and ahead of tonic's own timer, whose answer has no reason in it.
const ANSWER_AHEAD: Duration = Duration::from_millis(3);

/// Header of an `UNAVAILABLE` that is no failure: whoever asked is told whom to ask instead.
pub const ELSEWHERE: &str = "holdfast-elsewhere";

/// Label and log field of a path that nothing serves, so that callers can't make up label values.
const METHOD_UNKNOWN: &str = "unknown";

#[derive(Debug, Clone)]
pub(super) struct CallLayer {
    cut: CancellationToken,
}

impl CallLayer {
    /// Calls that are under way when `cut` is cancelled are dropped.
    pub(super) fn new(cut: CancellationToken) -> Self {
        Self { cut }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls {
            inner,
            cut: self.cut.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Calls<S> {
    inner: S,
    cut: CancellationToken,
}

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let started = Instant::now();
        let deadline = Deadline::of_headers(request.headers());
        let id = request
            .headers()
            .get(request_id::HEADER)
            .and_then(|value| RequestId::from_caller(value.as_bytes()))
            .unwrap_or_else(RequestId::generate);
        let method = request.uri().path().trim_start_matches('/').to_owned();
        request
            .headers_mut()
            .insert(request_id::HEADER, id.header());
        request.extensions_mut().insert(deadline);
        request.extensions_mut().insert(id.clone());

        // The clone takes the turn that `poll_ready` got for `self.inner`.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let cut = self.cut.clone();
        let span = tracing::info_span!("rpc", rpc.method = method, request.id = %id);
        Box::pin(request_id::scope(
            id.clone(),
            async move {
                let late = deadline.is_past();
                let mut response = if late {
                    too_late()
                } else {
                    let answer = async { inner.call(request).await };
                    let answer = AssertUnwindSafe(answer).catch_unwind();
                    let answer = tokio::time::timeout_at(deadline.at() - ANSWER_AHEAD, answer);
                    match cut.run_until_cancelled(answer).await {
                        Some(Ok(Ok(result))) => result?,
                        Some(Ok(Err(panic))) => panicked(panic.as_ref()),
                        Some(Err(_)) => too_late(),
                        None => stopped(),
                    }
                };
                response
                    .headers_mut()
                    .insert(request_id::HEADER, id.header());
                record((!late).then_some(method.as_str()), &response, started);
                Ok(response)
            }
            .instrument(span),
        ))
    }
}

fn too_late() -> Response<Body> {
    Failure::new(ErrorCode::Unavailable, "the deadline has passed")
        .into_status_with(Code::DeadlineExceeded)
        .into_http()
}

fn stopped() -> Response<Body> {
    Status::from(Failure::new(
        ErrorCode::Unavailable,
        "the server is stopping; try again",
    ))
    .into_http()
}

fn panicked(panic: &(dyn Any + Send)) -> Response<Body> {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words");
    tracing::error!(panic = words, "a handler panicked");
    Status::from(Failure::new(ErrorCode::InternalError, "internal error")).into_http()
}

/// `method` is none where nothing has looked whether it is one.
fn record(method: Option<&str>, response: &Response<Body>, started: Instant) {
    let took = started.elapsed();
    let code = response
        .headers()
        .get(Status::GRPC_STATUS)
        .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()));
    let method = method
        .filter(|_| code != Code::Unimplemented)
        .unwrap_or(METHOD_UNKNOWN);
    ::metrics::counter!(metrics::GRPC_CALLS, "method" => method.to_owned(), "code" => format!("{code:?}")).increment(1);
    ::metrics::histogram!(metrics::GRPC_SECONDS, "method" => method.to_owned())
        .record(took.as_secs_f64());
    let (ms, reason) = (took.as_secs_f64() * 1000.0, code.description());
    match code {
        Code::Ok => tracing::debug!(rpc.code = ?code, rpc.ms = ms, "answered"),
        code if is_failure(code, response) => {
            tracing::warn!(rpc.code = ?code, rpc.ms = ms, reason, "failed");
        }
        // Refusals are business as usual, one or more a sale; metrics count them.
        _ => tracing::debug!(rpc.code = ?code, rpc.ms = ms, reason, "refused"),
    }
}

/// Whether somebody should hear of it.
fn is_failure(code: Code, response: &Response<Body>) -> bool {
    match code {
        Code::Unavailable => !response.headers().contains_key(ELSEWHERE),
        Code::Internal | Code::Unknown | Code::DataLoss | Code::DeadlineExceeded => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_call_whose_deadline_has_passed_never_reaches_its_handler() {
        static REACHED: AtomicBool = AtomicBool::new(false);
        let layer = CallLayer::new(CancellationToken::new());
        let mut calls = layer.layer(tower::service_fn(|_: Request<Body>| async {
            REACHED.store(true, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
        }));
        let request = Request::builder()
            .uri("/test.v1.Test/Any")
            .header("grpc-timeout", "0m")
            .body(Body::empty())
            .expect("a request");
        let response = calls.call(request).await.expect("answers");
        let status = Status::from_header_map(response.headers()).expect("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(Failure::from_status(&status).code(), ErrorCode::Unavailable);
        assert!(response.headers().contains_key(request_id::HEADER));
        assert!(!REACHED.load(Ordering::Relaxed));
    }

    #[test]
    fn unavailable_is_a_failure_unless_another_is_to_be_asked() {
        let mut answer = stopped();
        assert!(is_failure(Code::Unavailable, &answer));
        let headers = answer.headers_mut();
        headers.insert(ELSEWHERE, http::HeaderValue::from_static("1"));
        assert!(!is_failure(Code::Unavailable, &answer));
        assert!(is_failure(Code::Internal, &answer));
        assert!(!is_failure(Code::NotFound, &answer));
    }

    #[tokio::test]
    async fn a_call_that_outlasts_the_drain_is_dropped_and_told_to_try_again() {
        let cut = CancellationToken::new();
        let mut calls =
            CallLayer::new(cut.clone()).layer(tower::service_fn(|_: Request<Body>| async {
                std::future::pending::<()>().await;
                Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
            }));
        let request = Request::builder()
            .uri("/test.v1.Test/Any")
            .body(Body::empty())
            .expect("a request");
        let mut answer = calls.call(request);
        assert!((&mut answer).now_or_never().is_none(), "is under way");
        cut.cancel();
        let response = answer.await.expect("answers");
        let status = Status::from_header_map(response.headers()).expect("a status");
        assert_eq!(status.code(), Code::Unavailable, "not its deadline");
        assert_eq!(Failure::from_status(&status).code(), ErrorCode::Unavailable);
    }
}
