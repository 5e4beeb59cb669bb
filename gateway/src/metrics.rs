//! Every metric of the gateway. Always holds: labels come from fixed sets (routes as they are
//! declared, standard methods), so a caller can't make new series.

use std::time::Duration;

use axum::http::{Method, StatusCode};

/// Counter of answered requests; labels `route`, `method`, `status`.
pub(crate) const REQUESTS: &str = "gateway_http_requests_total";
/// Histogram of the time from a request's head to its answer, in seconds; labels `route`,
/// `method`.
pub(crate) const REQUEST_SECONDS: &str = "gateway_http_request_seconds";

/// What requests that no route takes are counted under.
pub(crate) const ROUTE_UNMATCHED: &str = "unmatched";

/// Counts one answered request.
pub(crate) fn answered(route: &str, method: &Method, status: StatusCode, took: Duration) {
    let route = route.to_owned();
    let method = method_label(method);
    let status = status.as_u16().to_string();
    metrics::counter!(REQUESTS, "route" => route.clone(), "method" => method, "status" => status)
        .increment(1);
    metrics::histogram!(REQUEST_SECONDS, "route" => route, "method" => method)
        .record(took.as_secs_f64());
}

/// Puts the metrics' meaning where the exporter shows it.
pub(crate) fn describe() {
    metrics::describe_counter!(
        REQUESTS,
        "Answered HTTP requests by route, method and status."
    );
    metrics::describe_histogram!(
        REQUEST_SECONDS,
        metrics::Unit::Seconds,
        "Time from a request's head to its answer."
    );
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
