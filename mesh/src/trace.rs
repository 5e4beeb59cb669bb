//! Traces: where a request comes from (W3C trace context), and the spans of this process.
//!
//! Always holds: the caller's context goes on with every call made for it, whether this process
//! records spans or not; a `traceparent` that can't be read counts as none; a trace that isn't
//! sampled costs the reading and the writing of its header, and no span is made; attributes hold no
//! token, no body and no query. A context is a task's, like a request id: tasks that it spawns and
//! loops have none of their own.
//! Leaves to others: which spans there are; where they go ([`crate::telemetry`]).

use std::{borrow::Cow, sync::OnceLock};

use holdfast_types::TraceParent;
use http::HeaderMap;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
pub use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt, SpanBuilder, SpanKind},
};
use opentelemetry_sdk::trace::SdkTracer;
use tonic::metadata::MetadataMap;

/// Which part of the process a span is of; a process may have seven.
pub const PART: &str = "holdfast.part";

/// Header and metadata key of the context.
pub const PARENT_HEADER: &str = "traceparent";
/// Header and metadata key of what tracing systems add to it.
pub const STATE_HEADER: &str = "tracestate";

/// Longest `tracestate` that is carried on: what the standard asks for at least.
const STATE_BYTES_MAX: usize = 512;

/// What makes this process's spans.
struct Recorder {
    tracer: SdkTracer,
    /// Which part of the traces that begin here is recorded.
    ratio: f64,
}

/// Unset where no spans are made.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// From here on spans are made by `tracer`, of `ratio` of the traces that begin here; once a
/// process.
pub(crate) fn record_with(tracer: SdkTracer, ratio: f64) -> bool {
    RECORDER.set(Recorder { tracer, ratio }).is_ok()
}

fn tracer() -> Option<&'static SdkTracer> {
    RECORDER.get().map(|recorder| &recorder.tracer)
}

/// The context that `headers` bring, with no span of ours yet; an empty one where they bring none.
pub fn of_headers(headers: &HeaderMap) -> Context {
    let mut parents = headers.get_all(PARENT_HEADER).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return Context::new();
    };
    let parent = parent.to_str().ok().and_then(|text| text.parse().ok());
    parent.map_or_else(Context::new, |parent| remote(parent, state(headers)))
}

/// The trace of `caller`, recorded or not as if it began here, whatever the caller says of that.
pub fn decided_here(caller: &Context) -> Context {
    let ratio = RECORDER.get().map_or(0.0, |recorder| recorder.ratio);
    decided_by(ratio, caller)
}

/// The context that a stored `traceparent` names; an empty one where it names none.
pub fn of_text(text: Option<&str>) -> Context {
    let parent = text.and_then(|text| text.parse().ok());
    parent.map_or_else(Context::new, |parent| remote(parent, TraceState::NONE))
}

/// What this task works on; an empty one if that is of no trace.
pub fn current() -> Context {
    Context::current()
}

/// The `traceparent` of what this task works on, to be stored with what it leads to.
pub fn current_text() -> Option<String> {
    Context::map_current(parent_of).map(|parent| parent.to_string())
}

/// Puts the context of what this task works on on an outgoing call.
pub fn apply(metadata: &mut MetadataMap) {
    Context::map_current(|context| {
        let Some(parent) = parent_of(context) else {
            return;
        };
        let parent = parent.to_string().parse();
        metadata.insert(PARENT_HEADER, parent.expect("hex is metadata"));
        let state = context.span().span_context().trace_state().header();
        // What a caller sent as a header is one; only an empty one isn't worth sending.
        if !state.is_empty()
            && let Ok(state) = state.parse()
        {
            metadata.insert(STATE_HEADER, state);
        }
    });
}

/// A span for what is done on behalf of `parent`, as a context to work in; it begins a trace
/// where `parent` has none and this process exports. It ends with [`finish`], or with the last
/// clone of the context.
pub fn begin(parent: &Context, span: impl FnOnce() -> SpanBuilder) -> Context {
    begin_with(tracer(), parent, span)
}

/// As [`begin`], for what is done for `parent` only: a part of a trace, never the start of one.
pub fn within(parent: &Context, span: impl FnOnce() -> SpanBuilder) -> Context {
    within_with(tracer(), parent, span)
}

/// A span to be begun.
pub fn span(
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    part: &'static str,
    attributes: impl IntoIterator<Item = KeyValue>,
) -> SpanBuilder {
    let part = [KeyValue::new(PART, part)];
    SpanBuilder::from_name(name)
        .with_kind(kind)
        .with_attributes(part.into_iter().chain(attributes))
}

/// `span`, pointing at the span of `other` too, which caused it and need not be of its trace.
#[must_use]
pub fn linked(span: SpanBuilder, other: &Context) -> SpanBuilder {
    let other = other.span().span_context().clone();
    if !other.is_valid() {
        return span;
    }
    span.with_links(vec![Link::with_context(other)])
}

/// Ends the span of `context`; `failure` says what went wrong, in words that may be shown.
pub fn finish(
    context: &Context,
    failure: Option<String>,
    attributes: impl FnOnce() -> Vec<KeyValue>,
) {
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.set_attributes(attributes());
    if let Some(failure) = failure {
        span.set_status(Status::error(failure));
    }
    span.end();
}

/// Names a moment in the span of `context`.
pub fn note(context: &Context, moment: &'static str) {
    context.span().add_event(moment, Vec::new());
}

/// Whether `context` is of a trace, recorded or not.
pub fn has_trace(context: &Context) -> bool {
    id(context).is_some()
}

/// Whether `context` is of a trace that is recorded.
pub fn is_sampled(context: &Context) -> bool {
    context.span().span_context().is_sampled()
}

/// Sets the field `trace.id` of `log`, if `context` has one.
pub fn name(log: &tracing::Span, context: &Context) {
    if let Some(id) = id(context) {
        log.record("trace.id", tracing::field::display(id));
    }
}

fn id(context: &Context) -> Option<TraceId> {
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id())
}

fn decided_by(ratio: f64, caller: &Context) -> Context {
    let span = caller.span();
    let above = span.span_context();
    if !above.is_valid() {
        return caller.clone();
    }
    // Not by the trace's id, as where one begins here: the caller chose it.
    let sampled = rand::random::<f64>() < ratio;
    caller.with_remote_span_context(SpanContext::new(
        above.trace_id(),
        above.span_id(),
        above.trace_flags().with_sampled(sampled),
        true,
        above.trace_state().clone(),
    ))
}

fn begin_with(
    tracer: Option<&SdkTracer>,
    parent: &Context,
    span: impl FnOnce() -> SpanBuilder,
) -> Context {
    let is_ours = {
        let span = parent.span();
        let above = span.span_context();
        above.is_sampled() || !above.is_valid()
    };
    match tracer {
        Some(tracer) if is_ours => parent.with_span(tracer.build_with_context(span(), parent)),
        _ => parent.clone(),
    }
}

fn within_with(
    tracer: Option<&SdkTracer>,
    parent: &Context,
    span: impl FnOnce() -> SpanBuilder,
) -> Context {
    if is_sampled(parent) {
        begin_with(tracer, parent, span)
    } else {
        parent.clone()
    }
}

fn parent_of(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| TraceParent {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        sampled: context.is_sampled(),
    })
}

fn remote(parent: TraceParent, state: TraceState) -> Context {
    let flags = TraceFlags::default().with_sampled(parent.sampled);
    let trace = TraceId::from_bytes(parent.trace_id);
    let span = SpanId::from_bytes(parent.span_id);
    Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, state))
}

/// One that is too long or can't be read is dropped; the parent counts without it.
fn state(headers: &HeaderMap) -> TraceState {
    let parts = headers.get_all(STATE_HEADER).iter();
    let parts: Result<Vec<&str>, _> = parts.map(|value| value.to_str()).collect();
    let Ok(text) = parts.map(|parts| parts.join(",")) else {
        return TraceState::NONE;
    };
    if text.is_empty() || text.len() > STATE_BYTES_MAX {
        return TraceState::NONE;
    }
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
    };

    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl Kept {
        fn provider(&self, ratio: f64) -> SdkTracerProvider {
            SdkTracerProvider::builder()
                .with_simple_exporter(self.clone())
                .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                    ratio,
                ))))
                .build()
        }

        fn spans(&self) -> Vec<SpanData> {
            self.0.lock().expect("no panic").clone()
        }
    }

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().expect("no panic").extend(batch);
            Ok(())
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header value"));
        }
        headers
    }

    fn work() -> SpanBuilder {
        span("work", SpanKind::Internal, "test", [])
    }

    /// What an outgoing call of a task in `context` carries.
    fn sent(context: &Context) -> (Option<String>, Option<String>) {
        let _in = context.clone().attach();
        let mut metadata = MetadataMap::new();
        apply(&mut metadata);
        let of = |name: &str| {
            let value = metadata.get(name);
            value.map(|value| value.to_str().expect("text").to_owned())
        };
        (of(PARENT_HEADER), of(STATE_HEADER))
    }

    #[test]
    fn a_context_goes_on_as_it_came_where_nothing_is_exported() {
        let brought = headers(&[
            ("traceparent", SAMPLED),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]);
        let context = begin_with(None, &of_headers(&brought), work);
        assert_eq!(
            sent(&context),
            (Some(SAMPLED.to_owned()), Some("a=1,b=2".to_owned()))
        );
        assert_eq!(sent(&begin_with(None, &Context::new(), work)), (None, None));
    }

    #[test]
    fn malformed_context_counts_as_none() {
        for bad in [
            headers(&[("traceparent", "00-zz-01")]),
            headers(&[("traceparent", SAMPLED), ("traceparent", SAMPLED)]),
            headers(&[("tracestate", "a=1")]),
            HeaderMap::new(),
        ] {
            assert_eq!(id(&of_headers(&bad)), None, "{bad:?}");
        }
        let stateless = headers(&[("traceparent", SAMPLED), ("tracestate", "no pair")]);
        assert_eq!(
            sent(&of_headers(&stateless)),
            (Some(SAMPLED.to_owned()), None)
        );
    }

    #[test]
    fn a_callers_trace_is_continued_and_not_begun_anew() {
        let (kept, brought) = (Kept::default(), headers(&[("traceparent", SAMPLED)]));
        // None that begins here is sampled; the caller's word counts.
        let tracer = kept.provider(0.0).tracer("test");
        let context = within_with(Some(&tracer), &of_headers(&brought), work);
        finish(&context, Some("broke".to_owned()), || {
            vec![KeyValue::new("k", 1)]
        });
        let spans = kept.spans();
        assert_eq!(spans.len(), 1);
        let parent = parent_of(&of_headers(&brought)).expect("is one");
        assert_eq!(spans[0].parent_span_id.to_bytes(), parent.span_id);
        assert_eq!(spans[0].span_context.trace_id().to_bytes(), parent.trace_id);
        assert!(matches!(spans[0].status, Status::Error { .. }));
        let (child, _) = sent(&context);
        let child: TraceParent = child.expect("sent").parse().expect("is good");
        assert_eq!(child.span_id, spans[0].span_context.span_id().to_bytes());
    }

    #[test]
    fn what_is_not_sampled_goes_on_as_it_came_and_makes_no_span() {
        let kept = Kept::default();
        let tracer = kept.provider(1.0).tracer("test");
        let brought = of_headers(&headers(&[("traceparent", UNSAMPLED)]));
        for context in [
            begin_with(Some(&tracer), &brought, || unreachable!("costs nothing")),
            within_with(Some(&tracer), &brought, || unreachable!("costs nothing")),
        ] {
            assert_eq!(sent(&context).0.as_deref(), Some(UNSAMPLED));
        }
        assert!(kept.spans().is_empty());
    }

    #[test]
    fn a_strangers_flag_decides_nothing_and_its_trace_goes_on() {
        for (brought, ratio, goes_on) in [(SAMPLED, 0.0, UNSAMPLED), (UNSAMPLED, 1.0, SAMPLED)] {
            let caller = of_headers(&headers(&[("traceparent", brought), ("tracestate", "a=1")]));
            let decided = decided_by(ratio, &caller);
            let expected = (Some(goes_on.to_owned()), Some("a=1".to_owned()));
            assert_eq!(sent(&decided), expected);
        }
        assert_eq!(id(&decided_by(1.0, &Context::new())), None);
    }

    #[test]
    fn a_trace_begins_by_the_ratio_and_only_where_it_may() {
        let kept = Kept::default();
        let all = kept.provider(1.0).tracer("test");
        assert!(is_sampled(&begin_with(Some(&all), &Context::new(), work)));
        assert_eq!(id(&within_with(Some(&all), &Context::new(), work)), None);
        let none = kept.provider(0.0).tracer("test");
        let context = begin_with(Some(&none), &Context::new(), work);
        assert!(id(&context).is_some() && !is_sampled(&context));
        let (sent, _) = sent(&context);
        assert!(sent.expect("goes on").ends_with("-00"));
        assert_eq!(kept.spans().len(), 1);
    }
}
