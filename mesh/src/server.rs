//! Serving gRPC and HTTP: bind, say so, answer, drain.
//!
//! Always holds: a bind address that isn't loopback needs TLS or `insecure`; gRPC over TLS is for
//! callers with a certificate, and each method for those that may call it; a part is ready only while
//! it accepts calls; at shutdown it stops accepting, calls in flight finish, and a call that
//! hasn't after [`DRAIN_MAX`] is dropped. Leaves to others: routes, and long streams that must end
//! at shutdown by themselves.

mod accept;
mod call;
mod callers;
mod http;
mod listener;

use std::{io, net::SocketAddr, time::Duration};

use futures::Stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

pub use self::{
    accept::{Connection, Peer},
    call::ELSEWHERE,
    callers::{Callers, CallersLayer, Guarded},
    http::{ConnectionSlot, HttpService, until_sent},
};
use crate::{Context, config};

/// How long calls in flight may take to finish at shutdown: the default deadline.
pub const DRAIN_MAX: Duration = crate::deadline::DEADLINE_DEFAULT;

/// How long the answers to dropped calls may take to leave.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// HTTP/2 flow control of both sides: a full message in flight a stream, several a connection.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
pub(crate) const FRAME_BYTES: u32 = 64 * 1024;

/// Room for a token and for error details of many fields.
pub(crate) const HEADER_BYTES_MAX: u32 = 64 * 1024;

/// Calls one connection may have open; more wait at the client.
const STREAMS_PER_CONNECTION_MAX: u32 = 4096;

/// How long a client may be silent before it is pinged, and how long the answer may take.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why a server ended early or didn't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address may not be bound.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The address couldn't be bound.
    #[error("{name}: can't listen on {addr}")]
    Bind {
        /// The server.
        name: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The operating system's word.
        #[source]
        source: std::io::Error,
    },
    /// The descriptor set isn't one.
    #[error("{name}: the descriptor set can't be read")]
    Descriptor {
        /// The server.
        name: &'static str,
        /// Why.
        #[source]
        source: tonic_reflection::server::Error,
    },
    /// gRPC serving failed.
    #[error("{name}: serving gRPC failed")]
    Grpc {
        /// The server.
        name: &'static str,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

/// What a gRPC server needs besides its routes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The part's name in readiness and logs.
    pub name: &'static str,
    /// Where to listen; port 0 takes a free one, which `readiness.address(name)` tells.
    pub listen: SocketAddr,
    /// Accepts an address that isn't loopback in the clear, too; that is warned of.
    pub insecure: bool,
    /// A serialised `FileDescriptorSet`, for reflection.
    pub descriptor_set: &'static [u8],
}

/// Binds `addr`, if it may be.
///
/// # Errors
/// [`Error::Config`] if it isn't loopback and not `insecure`, [`Error::Bind`] if it is taken.
pub async fn bind(
    name: &'static str,
    addr: SocketAddr,
    insecure: bool,
) -> Result<TcpListener, Error> {
    config::check_bind(addr, insecure)?;
    TcpListener::bind(addr)
        .await
        .map_err(|source| Error::Bind { name, addr, source })
}

/// Binds the address of a gRPC server, if it may be: where this role has no identity, as [`bind`]
/// does. In the clear beyond loopback anybody may call everything, which is said.
///
/// # Errors
/// As [`bind`].
pub async fn bind_grpc(
    name: &'static str,
    addr: SocketAddr,
    insecure: bool,
    context: &Context,
) -> Result<TcpListener, Error> {
    let has_identity = context.identity.is_some();
    let listener = bind(name, addr, insecure || has_identity).await?;
    if !has_identity && config::check_bind(addr, false).is_err() {
        tracing::warn!(
            server = name,
            listen = %addr,
            "gRPC is served in the clear beyond loopback: whoever reaches it may call everything"
        );
    }
    Ok(listener)
}

/// The connections of a gRPC server: over TLS, each with the name of its client, where this role has
/// an identity. Ends with whatever polls it, and handshakes that are under way with it.
pub fn connections(
    name: &'static str,
    listener: TcpListener,
    context: &Context,
) -> impl Stream<Item = io::Result<Connection>> + Send + use<> {
    accept::connections(name, listener, context.identity.clone(), accept::LIMITS)
}

/// What refuses calls of those who may not make them, where this role has an identity.
pub fn callers(context: &Context) -> CallersLayer {
    let table = context.identity.as_ref().map(|_| context.callers.clone());
    CallersLayer::new(table)
}

/// Serves `routes`, the health service (`""` follows the part's readiness) and reflection until
/// shutdown, then drains. Every call gets a deadline and a request id, continues its caller's
/// trace, and is logged and counted; before that it is refused where its caller may not make it.
///
/// # Errors
/// [`Error`] if it can't start or the listener breaks.
pub async fn serve_grpc(options: Options, routes: Routes, context: &Context) -> Result<(), Error> {
    let Options {
        name,
        listen,
        insecure,
        descriptor_set,
    } = options;
    context.readiness.declare(name);
    let descriptor = |source| Error::Descriptor { name, source };
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptor_set)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Python's client knows the older one alone.
    let reflection_alpha = reflection().build_v1alpha().map_err(descriptor)?;
    let reflection = reflection().build_v1().map_err(descriptor)?;
    let listener = bind_grpc(name, listen, insecure, context).await?;
    let address = listener.local_addr().map_err(|source| Error::Bind {
        name,
        addr: listen,
        source,
    })?;
    let (health, health_service) = tonic_health::server::health_reporter();

    let cut = CancellationToken::new();
    let server = Server::builder()
        .layer(callers(context))
        .layer(call::CallLayer::new(name, cut.clone()))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(PING_AFTER))
        .http2_keepalive_timeout(Some(PING_ANSWER_MAX))
        .add_routes(routes)
        .add_service(health_service)
        .add_service(reflection)
        .add_service(reflection_alpha)
        .serve_with_incoming_shutdown(
            connections(name, listener, context),
            context.shutdown.cancelled(),
        );

    context.readiness.set_listening(name, address);
    tracing::info!(server = name, listen = %address, "serving gRPC");
    let served = tokio::select! {
        result = server => result.map_err(|source| Error::Grpc { name, source }),
        () = follow_readiness(name, &health, context) => unreachable!("follows until dropped"),
        () = cut_off(name, &context.shutdown, &cut) => Ok(()),
    };
    context.readiness.set_not_ready(name, "stopped");
    served
}

/// Serves `service`, a router as it is or within something else, over HTTP/1 and HTTP/2 until shutdown,
/// then drains. Its address is in readiness under `name`. Connections are bounded in number, and one whose client is too slow to
/// ask or to take its answer is cut.
///
/// # Errors
/// [`Error`] if it can't start.
pub async fn serve_http(
    name: &'static str,
    listen: SocketAddr,
    insecure: bool,
    service: impl HttpService,
    context: &Context,
) -> Result<(), Error> {
    context.readiness.declare(name);
    let listener = bind(name, listen, insecure).await?;
    let address = listener.local_addr().map_err(|source| Error::Bind {
        name,
        addr: listen,
        source,
    })?;
    let server = http::serve(listener, service, http::LIMITS, &context.shutdown);
    context.readiness.set_listening(name, address);
    tracing::info!(server = name, listen = %address, "serving HTTP");
    tokio::select! {
        () = server => {}
        () = not_ready_at_shutdown(name, context) => unreachable!("waits until dropped"),
        () = past_drain(name, &context.shutdown) => {}
    }
    context.readiness.set_not_ready(name, "stopped");
    Ok(())
}

/// Drops the calls that outlast the drain.
async fn cut_off(name: &'static str, shutdown: &CancellationToken, cut: &CancellationToken) {
    past_drain(name, shutdown).await;
    cut.cancel();
    tokio::time::sleep(FAREWELL_MAX).await;
}

/// Ends when a drain has taken too long.
async fn past_drain(name: &'static str, shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN_MAX).await;
    tracing::warn!(
        server = name,
        "calls were cut off: they outlasted the drain limit"
    );
}

async fn not_ready_at_shutdown(name: &'static str, context: &Context) {
    context.shutdown.cancelled().await;
    context.readiness.set_not_ready(name, "draining");
    std::future::pending().await
}

/// Keeps gRPC health in step with the part's readiness, which ends with shutdown. Never ends.
async fn follow_readiness(name: &'static str, health: &HealthReporter, context: &Context) {
    let follow = async {
        let mut changes = context.readiness.subscribe();
        loop {
            let ready = changes
                .borrow_and_update()
                .get(name)
                .is_some_and(|part| part.ready);
            let status = if ready {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            health.set_service_status("", status).await;
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::join!(follow, not_ready_at_shutdown(name, context));
}
