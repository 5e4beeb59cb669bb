//! What load balancers and Prometheus ask at the public address.
//!
//! Always holds: readiness says yes or no only; which part isn't ready and why is in the log, and
//! at the address for operators.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    routing::get,
};
use holdfast_mesh::{metrics::PrometheusHandle, ops::Readiness};

use crate::server::Shared;

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn router(readiness: Readiness, prometheus: PrometheusHandle) -> Router<Shared> {
    let metrics = async move || {
        (
            [(header::CONTENT_TYPE, PROMETHEUS_TEXT)],
            prometheus.render(),
        )
    };
    Router::new()
        .route("/readyz", get(ready))
        .with_state(readiness)
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_ready() {
        return (StatusCode::OK, "ready\n");
    }
    let waits = readiness
        .parts()
        .into_iter()
        .filter(|(_, part)| !part.ready);
    for (part, state) in waits {
        tracing::info!(part, why = state.why, "not ready");
    }
    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
}
