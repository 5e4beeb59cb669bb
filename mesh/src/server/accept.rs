//! Connections to a gRPC server: as they come, or where the server has an identity after a handshake
//! in which the client proved its own.
//!
//! Always holds: a client that doesn't finish its handshake holds up nobody: handshakes run beside
//! each other, each has a limit of time, and when there are too many the oldest makes room; a
//! connection over TLS has a name. A refusal is counted, and said as long as there are few.
//! Leaves to others: what the name may call ([`mod@super::callers`]).

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use rustls::{CertificateError, InvalidMessage};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use super::listener::Listener;
use crate::{metrics, sparse::Sparse, tls};

/// What bounds handshakes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Under way at once: all clients of a large system that come back in the same moment.
    pub(super) handshakes_max: usize,
    /// For one. It takes two round trips and some milliseconds of work.
    pub(super) handshake_max: Duration,
}

pub(super) const LIMITS: Limits = Limits {
    handshakes_max: 512,
    handshake_max: Duration::from_secs(5),
};

/// Who is at the other end of a call's connection; in the extensions of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: Option<SocketAddr>,
    /// The name that it proved; none in the clear.
    pub name: Option<Arc<str>>,
}

/// A connection that may be served.
#[derive(Debug)]
pub struct Connection {
    peer: Peer,
    wire: Wire,
}

#[derive(Debug)]
enum Wire {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    NoCertificate,
    OtherAuthority,
    Expired,
    Nameless,
    PlainText,
    /// The client doesn't take our certificate.
    ByClient,
    Other,
    TooSlow,
    MadeRoom,
    BrokeOff,
}

impl Reason {
    fn label(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::OtherAuthority => "other_authority",
            Self::Expired => "expired",
            Self::Nameless => "nameless",
            Self::PlainText => "plain_text",
            Self::ByClient => "by_client",
            Self::Other => "other",
            Self::TooSlow => "too_slow",
            Self::MadeRoom => "made_room",
            Self::BrokeOff => "broke_off",
        }
    }

    /// Whether somebody has to look: not for a client that left, or was slow.
    fn is_loud(self) -> bool {
        !matches!(self, Self::TooSlow | Self::BrokeOff)
    }

    fn of(error: &io::Error) -> Self {
        let Some(error) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        else {
            return Self::BrokeOff;
        };
        use CertificateError as Bad;
        match error {
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
                Self::OtherAuthority
            }
            rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
                Self::Expired
            }
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::PlainText,
            rustls::Error::AlertReceived(_) => Self::ByClient,
            _ => Self::Other,
        }
    }
}

struct Refused {
    reason: Reason,
    peer: Option<SocketAddr>,
    claimed: Option<String>,
    error: Option<io::Error>,
}

/// The connections of `listener`, without an end. Over TLS where there is an identity.
pub(super) fn connections(
    server: &'static str,
    listener: TcpListener,
    identity: Option<tls::Identity>,
    limits: Limits,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let acceptor = Acceptor {
        server,
        listener: Listener::new(listener),
        identity,
        limits,
        handshakes: JoinSet::new(),
        under_way: VecDeque::new(),
        said: Sparse::new(),
    };
    futures::stream::unfold(acceptor, |mut acceptor| async {
        let connection = acceptor.next().await;
        Some((Ok(connection), acceptor))
    })
}

struct Acceptor {
    server: &'static str,
    listener: Listener,
    identity: Option<tls::Identity>,
    limits: Limits,
    handshakes: JoinSet<Result<Connection, Refused>>,
    /// Oldest first; those that have ended are taken out when another begins.
    under_way: VecDeque<(AbortHandle, Option<SocketAddr>)>,
    said: Sparse,
}

impl Acceptor {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                stream = self.listener.accept() => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection kept Nagle's algorithm");
                    }
                    match self.identity.clone() {
                        None => return Connection::clear(stream),
                        Some(identity) => self.begin(stream, identity),
                    }
                }
                Some(ended) = self.handshakes.join_next() => match ended {
                    Ok(Ok(connection)) => return connection,
                    Ok(Err(refused)) => self.note(refused),
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => tracing::error!(%error, "a handshake panicked"),
                },
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, identity: tls::Identity) {
        self.under_way.retain(|(handle, _)| !handle.is_finished());
        if self.under_way.len() >= self.limits.handshakes_max
            && let Some((oldest, peer)) = self.under_way.pop_front()
        {
            oldest.abort();
            self.note(Refused {
                reason: Reason::MadeRoom,
                peer,
                claimed: None,
                error: None,
            });
        }
        let peer = stream.peer_addr().ok();
        let limit = self.limits.handshake_max;
        let handle = self.handshakes.spawn(handshake(stream, identity, limit));
        self.under_way.push_back((handle, peer));
    }

    fn note(&mut self, refused: Refused) {
        let Refused {
            reason,
            peer,
            claimed,
            error,
        } = refused;
        ::metrics::counter!(metrics::HANDSHAKES_REFUSED, "reason" => reason.label()).increment(1);
        let server = self.server;
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        let claimed = claimed.as_deref().unwrap_or("nobody");
        let error = error.map_or_else(String::new, |error| error.to_string());
        let reason_label = reason.label();
        if !reason.is_loud() {
            tracing::debug!(
                server,
                peer,
                reason = reason_label,
                error,
                "a handshake came to nothing"
            );
        } else if let Some(left_out) = self.said.may_say() {
            tracing::warn!(
                server,
                peer,
                claims_to_be = claimed,
                reason = reason_label,
                error,
                left_out,
                "a handshake was refused"
            );
        }
    }
}

async fn handshake(
    stream: TcpStream,
    identity: tls::Identity,
    limit: Duration,
) -> Result<Connection, Refused> {
    let address = stream.peer_addr().ok();
    let claimed = Arc::new(OnceLock::new());
    let acceptor = TlsAcceptor::from(Arc::new(identity.server_config(Arc::clone(&claimed))));
    let (reason, error) = match tokio::time::timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let name = shown.and_then(<[_]>::first).and_then(tls::name_in);
            match name {
                Some(name) => {
                    return Ok(Connection {
                        peer: Peer {
                            address,
                            name: Some(name.into()),
                        },
                        wire: Wire::Tls(Box::new(stream)),
                    });
                }
                None => (Reason::Nameless, None),
            }
        }
        Ok(Err(error)) => (Reason::of(&error), Some(error)),
        Err(_) => (Reason::TooSlow, None),
    };
    Err(Refused {
        reason,
        peer: address,
        claimed: claimed.get().cloned(),
        error,
    })
}

impl Connection {
    fn clear(stream: TcpStream) -> Self {
        Self {
            peer: Peer {
                address: stream.peer_addr().ok(),
                name: None,
            },
            wire: Wire::Clear(stream),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Clear(stream) => Pin::new(stream).poll_read(cx, into),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Clear(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Clear(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
