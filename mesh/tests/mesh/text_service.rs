//! A gRPC service of plain text without a proto: what it answers is a closure of the test.

use std::net::SocketAddr;

use axum::{extract::Request as HttpRequest, routing::post};
use bytes::{Buf, BufMut};
use holdfast_mesh::{self as mesh, client::Channel};
use tonic::{
    Request, Response, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    service::Routes,
};

const PATH: &str = "/test.v1.Text/Call";

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

/// Routes of one method, answered by `handler`.
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
    Routes::from(axum::Router::new().route(PATH, post(call)))
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

/// Calls the method.
pub(crate) async fn call(
    channel: &Channel,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    client
        .unary(request, PATH.parse().expect("a path"), Text)
        .await
}
