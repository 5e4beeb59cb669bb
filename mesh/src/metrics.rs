//! The process's metrics recorder, and the names this crate records under.
//!
//! Always holds: histograms of seconds are real histograms with fixed buckets, so they add up
//! over processes. Leaves to others: their own metrics, through the `metrics` macros.

use std::{sync::OnceLock, time::Duration};

pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

/// Calls answered; labels `method` and `code` (gRPC's name).
pub const GRPC_CALLS: &str = "grpc_server_calls_total";

/// Time from a call's headers to its response's; label `method`.
pub const GRPC_SECONDS: &str = "grpc_server_call_seconds";

/// Calls refused because of who called; labels `method` and `caller`, the name in its certificate.
pub const GRPC_FORBIDDEN: &str = "grpc_server_calls_forbidden_total";

/// Handshakes of TLS that came to nothing; label `reason`.
pub const HANDSHAKES_REFUSED: &str = "tls_handshakes_refused_total";

/// When this process's certificate or its authority's ends, whichever is first, as Unix time; label
/// `name`, whose it is.
pub const CERTIFICATE_EXPIRY: &str = "tls_certificate_expiry_timestamp_seconds";

/// Spans that ended, by what became of them; label `outcome` (`exported` to the collector of traces,
/// or lost: `failed`, it didn't take them, or `dropped`, because too many waited).
pub const TRACE_SPANS: &str = "trace_spans_total";

/// Calls that were made again, by how the repetition ended; labels `peer` and `outcome` (`answered`,
/// `failed`, or `over_budget`: not made, because there were too many).
pub const CLIENT_RETRIES: &str = "grpc_client_retries_total";

/// Calls that weren't made, because their peer hadn't answered the ones before; label `peer`.
pub const CLIENT_REFUSED: &str = "grpc_client_refused_total";

/// Peers that calls are refused for until they answer again; label `peer`.
pub const CLIENT_BREAKERS_OPEN: &str = "grpc_client_breakers_open";

/// Times that a peer was found not to answer any more, or again; labels `peer` and `to` (`open`,
/// `closed`).
pub const CLIENT_BREAKER_CHANGES: &str = "grpc_client_breaker_changes_total";

/// Bounds of every histogram whose name ends in `_seconds`: from a lock-store command to the
/// longest deadline, about three a decade.
const SECONDS_BUCKETS: &[f64] = &[
    0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0, 30.0,
];

/// How often histograms are drained of raw samples; without it an unscraped process grows.
pub(crate) const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// Makes the process's recorder the first time, and gives the handle that renders it every time.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)
                .expect("the bucket list isn't empty")
                .build_recorder();
            let handle = recorder.handle();
            if ::metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("the process has another metrics recorder; /metrics stays empty");
            }
            handle
        })
        .clone()
}
