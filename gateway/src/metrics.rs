//! Every metric of the gateway. Always holds: labels come from fixed sets (routes as they are
//! declared, standard methods), so a caller can't make new series.

use std::time::Duration;

use axum::http::{Method, StatusCode};

/// Counter of answered requests; labels `route`, `method`, `status`.
pub(crate) const REQUESTS: &str = "gateway_http_requests_total";
/// Histogram of the time from a request's head to its answer, in seconds; labels `route`,
/// `method`.
pub(crate) const REQUEST_SECONDS: &str = "gateway_http_request_seconds";

/// Gauge of viewers that are sent what changes.
pub(crate) const VIEWERS: &str = "gateway_live_viewers";
/// Counter of viewers that were closed because they took too little too slowly.
pub(crate) const VIEWERS_SLOW: &str = "gateway_live_viewers_slow_total";
/// Gauge of shows that are followed.
pub(crate) const SHOWS_FOLLOWED: &str = "gateway_live_shows";
/// Counter of answers to which seats are free; label `source`, `replica` or `store`.
pub(crate) const AVAILABILITY_READS: &str = "gateway_availability_reads_total";

/// Counter of pages that were made anew from the catalogue; label `page`, `categories`, `event`, `show` or
/// `seat_map`. The others that were asked for were answered from memory.
pub(crate) const PAGES_MADE: &str = "gateway_pages_made_total";

/// Counter of searches and suggestions that were answered with what was kept, search being down.
pub(crate) const SEARCHES_STALE: &str = "gateway_searches_stale_total";

/// Counter of requests that were refused because their caller asks too often; labels `class`
/// (`browsing`, `seats`, `sign-in`, `personal`) and `by` (`address`, `user`).
pub(crate) const RATE_LIMITED: &str = "gateway_rate_limited_total";

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

/// Counts answers to `GET` of one route that come so often that finding the series takes long.
#[derive(Clone)]
pub(crate) struct Answered {
    route: &'static str,
    ok: metrics::Counter,
    seconds: metrics::Histogram,
}

impl Answered {
    /// After the recorder was installed.
    pub(crate) fn to_get(route: &'static str) -> Self {
        Self {
            route,
            ok: metrics::counter!(REQUESTS, "route" => route, "method" => "GET", "status" => "200"),
            seconds: metrics::histogram!(REQUEST_SECONDS, "route" => route, "method" => "GET"),
        }
    }

    /// As [`answered`].
    pub(crate) fn count(&self, status: StatusCode, took: Duration) {
        if status != StatusCode::OK {
            return answered(self.route, &Method::GET, status, took);
        }
        self.ok.increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}

/// Counts an answer that stood in for one of search.
pub(crate) fn search_was_stale() {
    metrics::counter!(SEARCHES_STALE).increment(1);
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
    metrics::describe_counter!(
        SEARCHES_STALE,
        "Searches answered with what was kept while search was down."
    );
    metrics::describe_gauge!(VIEWERS, "Viewers that are sent what changes.");
    metrics::describe_counter!(VIEWERS_SLOW, "Viewers that were closed for being too slow.");
    metrics::describe_gauge!(SHOWS_FOLLOWED, "Shows followed at the lock store.");
    metrics::describe_counter!(
        AVAILABILITY_READS,
        "Answers to which seats are free, by where they came from."
    );
    metrics::describe_counter!(PAGES_MADE, "Pages made anew from the catalogue.");
    metrics::describe_counter!(
        RATE_LIMITED,
        "Requests refused because their caller asks too often."
    );
}

/// A viewer is served from now on.
pub(crate) fn viewer_came() {
    metrics::gauge!(VIEWERS).increment(1.0);
}

/// It is served no more.
pub(crate) fn viewer_left() {
    metrics::gauge!(VIEWERS).decrement(1.0);
}

/// It didn't keep up.
pub(crate) fn slow_viewer_closed() {
    metrics::counter!(VIEWERS_SLOW).increment(1);
}

/// So many shows are followed now.
pub(crate) fn shows_followed(count: usize) {
    metrics::gauge!(SHOWS_FOLLOWED).set(count as f64);
}

/// A page of the catalogue was made.
pub(crate) fn page_made(page: &'static str) {
    metrics::counter!(PAGES_MADE, "page" => page).increment(1);
}

/// A caller asked too often.
pub(crate) fn rate_limited(class: &'static str, by: &'static str) {
    metrics::counter!(RATE_LIMITED, "class" => class, "by" => by).increment(1);
}

/// Availability was answered from `source`.
pub(crate) fn availability_read(source: &'static str) {
    metrics::counter!(AVAILABILITY_READS, "source" => source).increment(1);
}

/// The method where it is a standard one, else what OpenTelemetry calls the others.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
