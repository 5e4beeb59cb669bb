//! A collector of traces: a real OTLP/gRPC server on a port of its own that keeps what it is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, span::SpanKind, status::StatusCode},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Server, server::TcpIncoming},
};

/// A span as it was exported; ids in hex.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "OpenTelemetry's own words")]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    /// Empty at the root.
    pub parent_id: String,
    pub name: String,
    pub kind: SpanKind,
    /// Of the process and of the span.
    pub attributes: BTreeMap<String, String>,
    pub events: Vec<String>,
    /// Trace and span ids that it points at.
    pub links: Vec<(String, String)>,
    pub failed: bool,
}

/// All spans of one trace that have come so far.
#[derive(Debug, Clone, Default)]
pub struct Trace(pub Vec<Span>);

impl Trace {
    /// The spans that end a chain: each one's parent has the name before its own, from the first
    /// name on.
    pub fn chain(&self, names: &[&str]) -> Vec<&Span> {
        let ends = self.0.iter().filter(|span| self.descends(span, names));
        ends.collect()
    }

    fn descends(&self, span: &Span, names: &[&str]) -> bool {
        match names.split_last() {
            None => true,
            Some((last, [])) => span.name == *last,
            Some((last, before)) => {
                let parent = || self.0.iter().find(|other| other.span_id == span.parent_id);
                span.name == *last && parent().is_some_and(|parent| self.descends(parent, before))
            }
        }
    }

    /// Spans whose parent is neither among them nor `root`, the client's own span.
    pub fn orphans(&self, root: &str) -> Vec<&Span> {
        let known: BTreeSet<&str> = self.0.iter().map(|span| span.span_id.as_str()).collect();
        let is_orphan =
            |span: &&Span| span.parent_id != root && !known.contains(span.parent_id.as_str());
        self.0.iter().filter(is_orphan).collect()
    }
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    /// Everything that came, as text.
    text: String,
}

/// A running collector; it ends with the test.
pub struct Collector {
    /// For `trace.otlp_endpoint`.
    pub endpoint: String,
    received: Arc<Mutex<Received>>,
    server: JoinHandle<()>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let received = Arc::new(Mutex::new(Received::default()));
        let service = TraceServiceServer::new(Service(Arc::clone(&received)));
        let server = tokio::spawn(async move {
            let incoming = TcpIncoming::from(listener);
            let serving = Server::builder().add_service(service);
            if let Err(error) = serving.serve_with_incoming(incoming).await {
                eprintln!("the collector ended: {error}");
            }
        });
        Ok(Self {
            endpoint,
            received,
            server,
        })
    }

    /// Every span that has come so far.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.spans.clone()
    }

    /// What has come so far of a trace.
    pub fn trace(&self, trace_id: &str) -> Trace {
        let mut spans = self.spans();
        spans.retain(|span| span.trace_id == trace_id);
        Trace(spans)
    }

    /// Everything that has come so far, to look for what must not be in it.
    pub fn text(&self) -> String {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.text.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Service(Arc<Mutex<Received>>);

#[async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        received.text.push_str(&format!("{request:?}\n"));
        let spans = request.resource_spans.into_iter().flat_map(spans_of);
        received.spans.extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn spans_of(of_process: ResourceSpans) -> Vec<Span> {
    let process = of_process.resource.unwrap_or_default().attributes;
    let scopes = of_process.scope_spans.into_iter();
    let spans = scopes.flat_map(|scope| scope.spans);
    let spans = spans.map(|span| Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        kind: span.kind(),
        attributes: process
            .iter()
            .chain(&span.attributes)
            .map(|pair| (pair.key.clone(), text(pair)))
            .collect(),
        events: span.events.into_iter().map(|event| event.name).collect(),
        links: span
            .links
            .iter()
            .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
            .collect(),
        failed: span
            .status
            .is_some_and(|status| status.code() == StatusCode::Error),
        name: span.name,
    });
    spans.collect()
}

fn text(pair: &KeyValue) -> String {
    let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
