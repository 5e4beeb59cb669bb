//! A gRPC service of plain text without a proto: what it answers is a closure of the test.

use std::net::SocketAddr;

use axum::{extract::Request as HttpRequest, routing::post};
use bytes::{Buf, BufMut};
use holdfast_mesh::{
    self as mesh,
    client::{Channel, Contract},
};
use http::uri::PathAndQuery;
use prost::Message;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions,
    ServiceDescriptorProto, method_options::IdempotencyLevel,
};
use tonic::{
    Request, Response, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    service::Routes,
};

/// Of no level.
const CALL: &str = "/test.v1.Text/Call";
/// Without side effects.
const READ: &str = "/test.v1.Text/Read";

#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        String::from_utf8(bytes.to_vec())
            .map(Some)
            .map_err(|_| Status::internal("not text"))
    }
}

/// What the service's proto would say.
pub(crate) fn contract() -> Contract {
    let method = |name: &str, level: IdempotencyLevel| MethodDescriptorProto {
        name: Some(name.to_owned()),
        options: Some(MethodOptions {
            idempotency_level: Some(level.into()),
            ..MethodOptions::default()
        }),
        ..MethodDescriptorProto::default()
    };
    let set = FileDescriptorSet {
        file: vec![FileDescriptorProto {
            package: Some("test.v1".to_owned()),
            service: vec![ServiceDescriptorProto {
                name: Some("Text".to_owned()),
                method: vec![
                    method("Call", IdempotencyLevel::IdempotencyUnknown),
                    method("Read", IdempotencyLevel::NoSideEffects),
                ],
                ..ServiceDescriptorProto::default()
            }],
            ..FileDescriptorProto::default()
        }],
    };
    Contract::read(&set.encode_to_vec()).expect("a descriptor set")
}

/// Routes of both methods, answered by `handler`.
pub(crate) fn routes<H, R>(handler: H) -> Routes
where
    H: Fn(Request<String>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<String, Status>> + Send + 'static,
{
    let call = move |request: HttpRequest| {
        let handler = handler.clone();
        async move {
            let service = tower::service_fn(move |request: Request<String>| {
                let answer = handler(request);
                async move { answer.await.map(Response::new) }
            });
            tonic::server::Grpc::new(Text).unary(service, request).await
        }
    };
    let router = axum::Router::new().route(CALL, post(call.clone()));
    Routes::from(router.route(READ, post(call)))
}

/// A server under test, and how to reach and stop it.
pub(crate) struct Server {
    pub(crate) context: mesh::Context,
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    pub(crate) ended: tokio::task::JoinHandle<Result<(), mesh::server::Error>>,
}

/// Serves [`routes`] on a free port, in the clear.
pub(crate) async fn start<H, R>(handler: H) -> Server
where
    H: Fn(Request<String>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<String, Status>> + Send + 'static,
{
    start_as(mesh::Context::new(), handler).await
}

/// Serves [`routes`] on a free port, as the role of `context`. [`Server::channel`] is in the clear.
pub(crate) async fn start_as<H, R>(context: mesh::Context, handler: H) -> Server
where
    H: Fn(Request<String>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<String, Status>> + Send + 'static,
{
    let options = mesh::server::Options {
        name: "text",
        listen: ([127, 0, 0, 1], 0).into(),
        insecure: false,
        descriptor_set: tonic_health::pb::FILE_DESCRIPTOR_SET,
    };
    let ended = tokio::spawn({
        let context = context.clone();
        async move { mesh::server::serve_grpc(options, routes(handler), &context).await }
    });
    let address = tokio::time::timeout(crate::LIMIT, context.readiness.address("text"))
        .await
        .expect("listens in time");
    let channel = mesh::client::channel(&format!("http://{address}")).expect("a channel");
    Server {
        context,
        address,
        channel,
        ended,
    }
}

/// Calls the method of no level.
pub(crate) async fn call(
    channel: &Channel,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    ask(channel, request, CALL).await
}

/// Calls the method without side effects.
pub(crate) async fn read(
    channel: &Channel,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    ask(channel, request, READ).await
}

async fn ask(
    channel: &Channel,
    request: Request<String>,
    path: &'static str,
) -> Result<Response<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    client
        .unary(request, PathAndQuery::from_static(path), Text)
        .await
}
