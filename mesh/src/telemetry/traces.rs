//! Where spans go: over OTLP/gRPC to a collector, in batches, in the background.
//!
//! Always holds: nothing that is recorded waits for the collector: what it doesn't take in time is
//! dropped and counted, and said at most once in [`SAY_EVERY`]; the end of the process waits for it
//! at most [`FLUSH_MAX`]. Leaves to others: what is recorded ([`crate::trace`]), and TLS to a
//! collector far away, which is the nearby collector's.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{Context, KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{RetryPolicy, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData,
        SpanExporter, SpanProcessor,
    },
};
use serde::{Deserialize, Serialize};
use tonic::transport::Endpoint;
use uuid::Uuid;

use super::Error;
use crate::{metrics, trace};

/// Spans that wait for the collector: some seconds of a busy gateway, a few MB.
const QUEUE_SPANS_MAX: usize = 8_192;

/// Spans sent at once.
const BATCH_SPANS_MAX: usize = 1_024;

/// How long a span waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// How long the collector may take to be reached, and to take a batch.
const CONNECT_MAX: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long the process's end waits for the last batches.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// How often lost spans are spoken of.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The `[trace]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceConfig {
    /// Where an OpenTelemetry collector takes OTLP over gRPC, e.g. `http://127.0.0.1:4317`. Empty:
    /// spans aren't recorded; the context of callers is handed on all the same.
    pub otlp_endpoint: String,
    /// Which part of the traces that begin at the gateway is recorded, from 0 to 1; of those that
    /// come with a caller's trace context too, unless `gateway.trust_sampled` leaves it to them.
    pub sample_ratio: f64,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            sample_ratio: 1.0,
        }
    }
}

impl TraceConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let why = format!("{} isn't between 0 and 1", self.sample_ratio);
            return Err(("sample_ratio", why));
        }
        if !self.otlp_endpoint.is_empty() {
            self.endpoint()?;
        }
        Ok(())
    }

    fn endpoint(&self) -> Result<Endpoint, (&'static str, String)> {
        let endpoint = Endpoint::from_shared(self.otlp_endpoint.clone()).ok();
        endpoint
            .filter(|endpoint| {
                let uri = endpoint.uri();
                uri.scheme_str() == Some("http") && uri.port().is_some() && uri.path() == "/"
            })
            .map(|endpoint| endpoint.connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX))
            .ok_or_else(|| {
                let why = format!(
                    "{:?} isn't of the form http://host:port",
                    self.otlp_endpoint
                );
                ("otlp_endpoint", why)
            })
    }
}

/// Spans on their way; to be ended when the process is done.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is left, for a bounded time.
    pub fn end(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_MAX)
        {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

/// Records spans from now on, as `config` says. Must be called within a Tokio runtime.
///
/// # Errors
/// [`Error::Trace`].
pub(super) fn start(config: &TraceConfig, role: &'static str) -> Result<Traces, Error> {
    let refused = |(key, why)| Error::Trace { key, why };
    config.check().map_err(refused)?;
    if config.otlp_endpoint.is_empty() {
        return Ok(Traces(None));
    }
    let channel = config.endpoint().map_err(refused)?.connect_lazy();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_channel(channel)
        // What waits meanwhile is worth more than a batch that is old already.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| refused(("otlp_endpoint", error.to_string())))?;
    let provider = provider(exporter, config.sample_ratio, role);
    if trace::record_with(provider.tracer("holdfast"), config.sample_ratio) {
        // For libraries that don't know this crate.
        opentelemetry::global::set_tracer_provider(provider.clone());
    }
    Ok(Traces(Some(provider)))
}

fn provider(
    exporter: impl SpanExporter + 'static,
    ratio: f64,
    role: &'static str,
) -> SdkTracerProvider {
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS_MAX)
        .with_max_export_batch_size(BATCH_SPANS_MAX)
        .with_scheduled_delay(GATHER)
        .build();
    let resource = Resource::builder()
        .with_service_name("holdfast")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
            KeyValue::new("holdfast.role", role),
        ])
        .build();
    let tally = Arc::new(Tally::default());
    let exporter = Counted {
        exporter,
        tally: Arc::clone(&tally),
    };
    let batches = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            ratio,
        ))))
        .with_span_processor(Bounded { batches, tally })
        .build()
}

/// What becomes of spans: counted, and what is lost is told now and then.
#[derive(Debug, Default)]
struct Tally {
    /// Ended, and not yet on their way to the collector.
    waiting: AtomicUsize,
    said: Mutex<Option<Instant>>,
}

impl Tally {
    /// Whether another may wait; it does then.
    fn may_wait(&self) -> bool {
        let more = |waiting| (waiting < QUEUE_SPANS_MAX).then_some(waiting + 1);
        let waits = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        waits.is_ok()
    }

    /// Whether it is time to speak of a loss.
    fn may_say(&self, now: Instant) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY);
        if due {
            *said = Some(now);
        }
        due
    }
}

fn count(outcome: &'static str, spans: usize) {
    let spans = u64::try_from(spans).unwrap_or(u64::MAX);
    ::metrics::counter!(metrics::TRACE_SPANS, "outcome" => outcome).increment(spans);
}

/// Batches that no more than [`QUEUE_SPANS_MAX`] spans wait for. Their own queue has the same bound,
/// so that it is never the one that drops, and doesn't say how many.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.tally.may_wait() {
            return self.batches.on_end(span);
        }
        count("dropped", 1);
        if self.tally.may_say(Instant::now()) {
            tracing::warn!("spans were not exported: too many wait; said at most once a minute");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The exporter, whose successes and failures are counted.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    tally: Arc<Tally>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.tally.waiting.fetch_sub(spans, Ordering::AcqRel);
        let exported = self.exporter.export(batch).await;
        let outcome = if exported.is_ok() {
            "exported"
        } else {
            "failed"
        };
        count(outcome, spans);
        if let Err(error) = &exported
            && self.tally.may_say(Instant::now())
        {
            tracing::warn!(%error, spans, "spans were not exported; said at most once a minute");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::Tracer as _;

    use super::*;

    #[test]
    fn bad_values_are_refused_by_key() {
        TraceConfig::default().check().expect("the default is good");
        let at = |endpoint: &str| TraceConfig {
            otlp_endpoint: endpoint.to_owned(),
            ..TraceConfig::default()
        };
        at("http://collector:4317").check().expect("is good");
        for endpoint in [
            "collector:4317",
            "https://collector:4317",
            "http://collector",
            "http://c:1/v1/traces",
            "http://",
        ] {
            let (key, why) = at(endpoint).check().expect_err(endpoint);
            assert_eq!(key, "otlp_endpoint");
            assert!(why.contains(endpoint), "{why}");
        }
        for sample_ratio in [-0.1, 1.1, f64::NAN] {
            let config = TraceConfig {
                sample_ratio,
                ..TraceConfig::default()
            };
            assert_eq!(config.check().expect_err("refused").0, "sample_ratio");
        }
    }

    #[test]
    fn a_failing_collector_is_spoken_of_once_a_minute() {
        let tally = Tally::default();
        let start = Instant::now();
        assert!(tally.may_say(start));
        assert!(!tally.may_say(start + SAY_EVERY / 2));
        assert!(tally.may_say(start + SAY_EVERY));
    }

    /// Takes nothing, ever.
    #[derive(Debug)]
    struct Hangs;

    impl SpanExporter for Hangs {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            std::future::pending().await
        }
    }

    #[test]
    fn a_collector_that_hangs_holds_up_neither_spans_nor_the_end_and_what_is_dropped_is_counted() {
        let before = counted("dropped");
        let provider = provider(Hangs, 1.0, "test");
        let tracer = provider.tracer("test");
        for _ in 0..2 * QUEUE_SPANS_MAX {
            drop(tracer.start("work"));
        }
        // One batch may be with the collector by now.
        let dropped = counted("dropped") - before;
        let rest = (QUEUE_SPANS_MAX - BATCH_SPANS_MAX) as u64..=QUEUE_SPANS_MAX as u64;
        assert!(rest.contains(&dropped), "{dropped}");
        // Would wait for ever.
        Traces(Some(provider)).end();
    }

    /// What was counted since the process began.
    fn counted(outcome: &str) -> u64 {
        let name = format!("{}{{outcome=\"{outcome}\"}} ", metrics::TRACE_SPANS);
        let text = metrics::install().render();
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |value| value.parse().expect("a number"))
    }
}
