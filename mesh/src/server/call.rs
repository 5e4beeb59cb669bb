//! What happens around every gRPC call: request id, trace, deadline, panics, log, metrics.
//!
//! Always holds: a handler finds [`Deadline`] and [`RequestId`] in the request's extensions; a
//! call whose deadline has passed never reaches it, and it is dropped when the deadline passes or
//! the server has drained long enough; its panic is that call's `INTERNAL_ERROR` and nobody else's. A
//! call with a trace context continues that trace; one without begins none: it is a probe, a
//! background loop, or part of a trace that its caller doesn't keep.
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
    trace::{self, FutureExt as _, KeyValue, SpanBuilder, SpanKind},
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
    part: &'static str,
    cut: CancellationToken,
}

impl CallLayer {
    /// Around the calls of `part`; those that are under way when `cut` is cancelled are dropped.
    pub(super) fn new(part: &'static str, cut: CancellationToken) -> Self {
        Self { part, cut }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls {
            inner,
            part: self.part,
            cut: self.cut.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Calls<S> {
    inner: S,
    part: &'static str,
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
        let part = self.part;
        let context = trace::within(&trace::of_headers(request.headers()), || {
            span(part, method.clone())
        });
        let log = tracing::info_span!(
            "rpc",
            rpc.method = method,
            request.id = %id,
            trace.id = tracing::field::Empty
        );
        trace::name(&log, &context);
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
                let code = record((!late).then_some(method.as_str()), &response, started);
                finish(code, is_failure(code, &response));
                Ok(response)
            }
            .with_context(context)
            .instrument(log),
        ))
    }
}

fn span(part: &'static str, path: String) -> SpanBuilder {
    let (service, method) = path.rsplit_once('/').unwrap_or((&path, ""));
    let attributes = [
        KeyValue::new("rpc.system", "grpc"),
        KeyValue::new("rpc.service", service.to_owned()),
        KeyValue::new("rpc.method", method.to_owned()),
    ];
    trace::span(path, SpanKind::Server, part, attributes)
}

/// Ends the call's span; a refusal is no error.
fn finish(code: Code, is_failure: bool) {
    let failure = is_failure.then(|| code.description().to_owned());
    trace::finish(&trace::current(), failure, || {
        vec![KeyValue::new("rpc.grpc.status_code", code as i64)]
    });
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

/// Counts and logs; gives the status code. `method` is none where nothing has looked whether it is one.
fn record(method: Option<&str>, response: &Response<Body>, started: Instant) -> Code {
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
    code
}

/// Whether somebody should hear of it.
fn is_failure(code: Code, response: &Response<Body>) -> bool {
    match code {
        Code::Unavailable => !response.headers().contains_key(ELSEWHERE),
        // Every failure of ours has details; the library says these words without any of a request
        // that broke off, because whoever asked left or was killed, or that can't be read.
        Code::Internal | Code::Unknown => {
            response.headers().contains_key(Status::GRPC_STATUS_DETAILS)
        }
        Code::DataLoss | Code::DeadlineExceeded => true,
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
        let layer = CallLayer::new("test", CancellationToken::new());
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
        assert!(!is_failure(Code::NotFound, &answer));
    }

    #[test]
    fn a_request_that_broke_off_is_no_failure() {
        let broken = Status::internal("Missing request message.").into_http();
        assert!(!is_failure(Code::Internal, &broken));
        assert!(!is_failure(
            Code::Unknown,
            &Status::unknown("h2").into_http()
        ));
        assert!(is_failure(Code::Internal, &panicked(&"words")));
    }

    #[tokio::test]
    async fn a_call_that_outlasts_the_drain_is_dropped_and_told_to_try_again() {
        let cut = CancellationToken::new();
        let mut calls = CallLayer::new("test", cut.clone()).layer(tower::service_fn(
            |_: Request<Body>| async {
                std::future::pending::<()>().await;
                Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
            },
        ));
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
    /// Where lines are kept.
    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn lines_said_in_a_call_have_the_id_of_its_trace_if_it_has_one() {
        const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
        for json in [false, true] {
            let kept = Kept::default();
            let writer = kept.clone();
            let lines = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || writer.clone());
            let lines = if json {
                tracing::Dispatch::new(lines.json().finish())
            } else {
                tracing::Dispatch::new(lines.finish())
            };
            let _said = tracing::dispatcher::set_default(&lines);
            let layer = CallLayer::new("test", CancellationToken::new());
            let mut calls = layer.layer(tower::service_fn(|_: Request<Body>| async {
                tracing::info!("at work");
                Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
            }));
            for parent in [&format!("00-{TRACE}-b7ad6b7169203331-00"), "00-none"] {
                let request = Request::builder()
                    .uri("/test.v1.Test/Any")
                    .header(trace::PARENT_HEADER, parent)
                    .body(Body::empty())
                    .expect("a request");
                calls.call(request).await.expect("answers");
            }
            let said = kept.0.lock().expect("no panic").clone();
            let said = String::from_utf8(said).expect("text");
            let said: Vec<&str> = said.lines().collect();
            let with_id = if json {
                format!("\"trace.id\":\"{TRACE}\"")
            } else {
                format!("trace.id={TRACE}")
            };
            assert!(said[0].contains(&with_id), "{said:?}");
            assert!(!said[1].contains("trace.id"), "{said:?}");
        }
    }
}
