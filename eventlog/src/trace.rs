//! The trace an event belongs to: written with it, and continued by whoever handles it.
//!
//! Always holds: an event of no trace begins none, and an unreadable `traceparent` counts as none;
//! what isn't sampled costs a column. Leaves to others: who records spans (the process's tracer
//! provider), and what is recorded within a handler.

use holdfast_types::TraceParent;
use opentelemetry::{
    Context, KeyValue, global,
    trace::{
        SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer,
    },
};

use crate::{Event, HandleError};

/// The `traceparent` of what this task works on.
pub(crate) fn current() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| {
            let parent = TraceParent {
                trace_id: span.trace_id().to_bytes(),
                span_id: span.span_id().to_bytes(),
                sampled: span.is_sampled(),
            };
            parent.to_string()
        })
    })
}

/// One delivery of an event, as a part of its trace.
pub(crate) struct Delivery {
    /// To handle it in; empty if the event is of no trace.
    pub(crate) context: Context,
    /// What is said meanwhile has the trace's id.
    pub(crate) log: tracing::Span,
}

impl Delivery {
    pub(crate) fn of(event: &Event, consumer: &str) -> Self {
        let parent: Option<TraceParent> = event
            .traceparent
            .as_deref()
            .and_then(|text| text.parse().ok());
        let Some(parent) = parent else {
            return Self {
                context: Context::new(),
                log: tracing::Span::none(),
            };
        };
        let trace_id = TraceId::from_bytes(parent.trace_id);
        let above = Context::new().with_remote_span_context(SpanContext::new(
            trace_id,
            SpanId::from_bytes(parent.span_id),
            TraceFlags::default().with_sampled(parent.sampled),
            true,
            TraceState::NONE,
        ));
        let log = tracing::info_span!(
            "delivery",
            consumer,
            event.type = event.event_type,
            trace.id = %trace_id
        );
        let context = if parent.sampled {
            begin(event, consumer, &above)
        } else {
            above
        };
        Self { context, log }
    }
}

/// Ends the span of the delivery that is under way.
pub(crate) fn finish(outcome: &Result<(), HandleError>) {
    Context::map_current(|context| {
        let span = context.span();
        if let Err(error) = outcome {
            // Which kind; the whole text is the log's.
            let kind = match error {
                HandleError::Retry(_) => "not handled",
                HandleError::Unavailable(_) => "unavailable",
                HandleError::Permanent(_) => "can't be handled",
            };
            span.set_status(Status::error(kind));
        }
        span.end();
    });
}

fn begin(event: &Event, consumer: &str, above: &Context) -> Context {
    let tracer = global::tracer("holdfast");
    let span = SpanBuilder::from_name(format!("process {}", event.event_type))
        .with_kind(SpanKind::Consumer)
        .with_attributes([
            // As `holdfast-mesh` names it: consumers are called like the part they are of.
            KeyValue::new("holdfast.part", consumer.to_owned()),
            KeyValue::new("messaging.system", "holdfast_eventlog"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", event.topic.clone()),
            KeyValue::new("messaging.consumer.group.name", consumer.to_owned()),
            KeyValue::new("messaging.message.id", event.id.to_string()),
        ]);
    above.with_span(tracer.build_with_context(span, above))
}
