//! HTTP to a provider in the world outside: over TLS, with pooled connections, one limit of time for an
//! exchange and one of bytes for its answer. Redirects aren't followed.
//!
//! `reqwest`, which talks to the sandbox, would bring TLS to every client of every process with it, and
//! look for the machine's certificates even where none is needed. Here the roots are those of Mozilla,
//! as for Postgres.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{HeaderMap, Request, StatusCode, Uri};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::Bytes,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore, pki_types::ServerName},
};
use tower::Service;

/// How long the provider may take. A consumer's handler, which waits, has 30 s, and a refund takes four
/// exchanges.
const ANSWER_MAX: Duration = Duration::from_secs(7);
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Longest answer read: a page of a hundred events, each far below 10 KiB.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Idle connections kept, and how long.
const IDLE_MAX: usize = 16;
const IDLE_FOR: Duration = Duration::from_secs(60);

/// An answer, whatever it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there was no whole answer; what was asked for may have been done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// It is longer than is read.
    #[error("the answer is longer than is read")]
    TooLong,
    /// It didn't come, or broke off.
    #[error("{0}")]
    None(String),
}

/// A client for `http` and `https`.
pub(super) struct Https {
    client: Client<Connector, Full<Bytes>>,
    answer_max: Duration,
}

impl Https {
    pub(super) fn new() -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        Self::trusting(roots, ANSWER_MAX)
    }

    fn trusting(roots: RootCertStore, answer_max: Duration) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_MAX));
        let connector = Connector {
            tcp,
            tls: TlsConnector::from(Arc::new(config)),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_FOR)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Self { client, answer_max }
    }

    /// One exchange.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Unanswered> {
        let exchange = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| Unanswered::None(causes(&error)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Unanswered::TooLong
                } else {
                    Unanswered::None(causes(&*error))
                }
            });
            let body = body?.to_bytes();
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        tokio::time::timeout(self.answer_max, exchange)
            .await
            .map_err(|_| Unanswered::None("no answer in time".to_owned()))?
    }
}

/// What went wrong, down to what was at the bottom of it; no URL is among it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[derive(Clone)]
struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Stream, Failure>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_owned();
        let tcp = self.tcp.call(uri);
        let tls = self.tls.clone();
        Box::pin(async move {
            let tcp = tcp.await?.into_inner();
            let stream: Box<dyn Io> = if secure {
                let name = ServerName::try_from(host)?;
                let handshake = tokio::time::timeout(CONNECT_MAX, tls.connect(name, tcp));
                Box::new(handshake.await.map_err(|_| "no handshake in time")??)
            } else {
                Box::new(tcp)
            };
            Ok(Stream(TokioIo::new(stream)))
        })
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection in the clear, or within TLS.
struct Stream(TokioIo<Box<dyn Io>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{
            ServerConfig,
            pki_types::{CertificateDer, PrivatePkcs8KeyDer},
        },
    };

    use super::*;

    /// Answers each connection's request with `answer`, over TLS with a certificate for `localhost` that
    /// it signed itself; none lets the request wait.
    async fn server(answer: Option<&'static str>) -> (u16, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(tcp).await else {
                    continue;
                };
                let mut request = [0; 4_096];
                let _read = stream.read(&mut request).await;
                match answer {
                    Some(answer) => {
                        let _written = stream.write_all(answer.as_bytes()).await;
                        let _shut = stream.shutdown().await;
                    }
                    None => std::future::pending().await,
                }
            }
        });
        (port, certificate)
    }

    fn trusting(certificate: Option<CertificateDer<'static>>, answer_max: Duration) -> Https {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificate);
        Https::trusting(roots, answer_max)
    }

    fn get(host: &str, port: u16) -> Request<Full<Bytes>> {
        let request = Request::get(format!("https://{host}:{port}/"));
        request.body(Full::default()).expect("a request")
    }

    #[tokio::test]
    async fn only_whom_the_roots_vouch_for_is_spoken_to() {
        let moved =
            "HTTP/1.1 302 Found\r\nlocation: https://elsewhere/\r\ncontent-length: 2\r\n\r\nhi";
        let (port, certificate) = server(Some(moved)).await;
        let known = trusting(Some(certificate), ANSWER_MAX);
        let answer = known.send(get("localhost", port)).await.expect("an answer");
        // Nobody is followed anywhere.
        assert_eq!(
            (answer.status, &*answer.body),
            (StatusCode::FOUND, &b"hi"[..])
        );
        // By another name it is somebody else.
        assert!(known.send(get("127.0.0.1", port)).await.is_err());
        let unknown = trusting(None, ANSWER_MAX)
            .send(get("localhost", port))
            .await;
        let why = unknown.expect_err("refused").to_string();
        assert!(why.contains("certificate"), "{why}");
        let usual = Https::new().send(get("localhost", port)).await;
        assert!(usual.is_err());
    }

    #[tokio::test]
    async fn answer_that_is_cut_off_or_does_not_come_is_none() {
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{}";
        let (port, certificate) = server(Some(cut)).await;
        let client = trusting(Some(certificate), ANSWER_MAX);
        assert!(client.send(get("localhost", port)).await.is_err());
        let (port, certificate) = server(None).await;
        let client = trusting(Some(certificate), Duration::from_millis(50));
        let why = client.send(get("localhost", port)).await;
        let why = why.expect_err("refused").to_string();
        assert_eq!(why, "no answer in time");
    }

    #[tokio::test]
    async fn answer_without_end_is_not_read_to_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 4_096];
            let _read = stream.read(&mut request).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
            let _written = stream.write_all(head).await;
            while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
        });
        let request = Request::get(format!("http://127.0.0.1:{port}/"));
        let request = request.body(Full::default()).expect("a request");
        let why = Https::new().send(request).await.expect_err("too long");
        assert!(matches!(why, Unanswered::TooLong), "{why}");
    }
}
