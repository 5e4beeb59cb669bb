//! HTTP connections: how many there may be, how long each may take, and how they end.
//!
//! Always holds: at most [`Limits::connections_max`] are open, more wait to be accepted; one whose
//! request's head doesn't come within [`Limits::head_max`], or that doesn't take its answer within
//! [`Limits::send_max`], is cut; one that is idle is closed after [`Limits::head_max`] (HTTP/1) or
//! when it stops answering pings (HTTP/2); connections end with the future that serves them, unless
//! a handler took one over for another protocol: it is the handler's then, to end, and counts as
//! open for as long as the handler keeps its [`ConnectionSlot`]; every request carries the address of
//! the connection's other end (`ConnectInfo<SocketAddr>`).
//! Leaves to others: how long an answer may be worked on, and reading a request's body.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::{PING_AFTER, PING_ANSWER_MAX, listener::Listener};

/// How often a connection's limits are looked at, as a part of the shorter one.
const LOOKS_PER_LIMIT: u32 = 4;

/// Largest piece of an answer that a connection takes at once. It takes the next when it has room,
/// so what isn't sent yet stays with the answer, and is counted there.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// What answers requests: a router, or something around one. It never fails and is always ready.
pub trait HttpService:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// A connection's place among those that may be open; every request carries it in its extensions.
#[derive(Debug, Clone)]
pub struct ConnectionSlot(#[expect(dead_code, reason = "held")] Arc<OwnedSemaphorePermit>);

/// What bounds connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Open at once.
    pub(super) connections_max: usize,
    /// Until a request's head is there, from when the connection or the request before ended.
    pub(super) head_max: Duration,
    /// For sending one answer, from when its head was ready.
    pub(super) send_max: Duration,
}

/// A few thousand requests are worked on at once, and browsers keep connections for a while. A
/// head is a packet or two, and half a minute is how long a connection that will be used again is
/// worth keeping. A seat map of 12 MB takes two minutes over a line of 1 Mbit/s.
pub(super) const LIMITS: Limits = Limits {
    connections_max: 16_384,
    head_max: Duration::from_secs(30),
    send_max: Duration::from_secs(120),
};

/// Serves until `shutdown`, then until the last request is answered.
pub(super) async fn serve(
    listener: TcpListener,
    service: impl HttpService,
    limits: Limits,
    shutdown: &CancellationToken,
) {
    let mut listener = Listener::new(listener);
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_ANSWER_MAX);
    loop {
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            let slot = slot.expect("the semaphore is never closed");
            (listener.accept().await, slot)
        };
        let (stream, slot) = tokio::select! {
            accepted = accept => accepted,
            Some(_) = connections.join_next() => continue,
            () = shutdown.cancelled() => break,
        };
        let connection = connection(
            stream,
            builder.clone(),
            service.clone(),
            limits,
            shutdown.clone(),
            ConnectionSlot(Arc::new(slot)),
        );
        connections.spawn(connection);
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    builder: Builder<TokioExecutor>,
    service: impl HttpService,
    limits: Limits,
    shutdown: CancellationToken,
    slot: ConnectionSlot,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection kept Nagle's algorithm");
    }
    // One that is gone already has none, and no requests.
    let peer = stream.peer_addr().ok().map(ConnectInfo);
    let progress = Arc::new(Progress::default());
    let (asked, answered) = (Arc::clone(&progress), Arc::clone(&progress));
    let service = service
        .map_request(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            asked.was_asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(slot.clone());
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            request
        })
        .map_response(move |response| until_sent(response, answered.sending()));
    let mut served =
        pin!(builder.serve_connection_with_upgrades(
            TokioIo::new(stream),
            TowerToHyperService::new(service)
        ));
    let mut drain = pin!(async {
        shutdown.cancelled().await;
    });
    let mut draining = false;
    let mut look = tokio::time::interval(limits.head_max.min(limits.send_max) / LOOKS_PER_LIMIT);
    let accepted = Instant::now();
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = drain.as_mut(), if !draining => {
                draining = true;
                served.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                // HTTP/1 has its own timer for later heads; before the first, nothing tells yet
                // which version it is.
                let silent = !progress.was_asked.load(Ordering::Relaxed)
                    && accepted.elapsed() > limits.head_max;
                if silent || progress.sending_since().is_some_and(|at| at.elapsed() > limits.send_max) {
                    tracing::debug!(silent, "a connection was cut: its client is too slow");
                    return;
                }
            }
        }
    }
}

/// How far a connection's client is.
#[derive(Debug, Default)]
struct Progress {
    /// A request's head has come.
    was_asked: AtomicBool,
    next: AtomicU64,
    /// Answers that aren't sent yet and since when; one on HTTP/1, one a stream on HTTP/2.
    sending: Mutex<Vec<(u64, Instant)>>,
}

impl Progress {
    fn sending(self: &Arc<Self>) -> Sending {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut sending = self.sending.lock().expect("no holder panics");
        sending.push((id, Instant::now()));
        Sending {
            id,
            of: Arc::clone(self),
        }
    }

    fn sending_since(&self) -> Option<Instant> {
        let sending = self.sending.lock().expect("no holder panics");
        sending.iter().map(|(_, since)| *since).min()
    }
}

/// An answer that isn't sent yet; until it is dropped.
struct Sending {
    id: u64,
    of: Arc<Progress>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut sending = self.of.sending.lock().expect("no holder panics");
        sending.retain(|(id, _)| *id != self.id);
    }
}

/// Keeps `guard` until the last piece of the answer was taken by its connection, or nobody will
/// take it any more.
pub fn until_sent(response: Response, guard: impl Send + Unpin + 'static) -> Response {
    response.map(|inner| {
        Body::new(Guarded {
            inner,
            rest: Bytes::new(),
            _guard: guard,
        })
    })
}

struct Guarded<G> {
    inner: Body,
    /// What of the last frame wasn't taken yet.
    rest: Bytes,
    _guard: G,
}

impl<G: Unpin> http_body::Body for Guarded<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::{Notify, mpsc},
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    /// Longest wait for anything here.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// More than any buffers between two processes take.
    const LARGE: usize = 64 * 1024 * 1024;

    const PATIENT: Limits = Limits {
        connections_max: 16,
        head_max: PATIENCE,
        send_max: PATIENCE,
    };

    struct Server {
        address: SocketAddr,
        shutdown: CancellationToken,
        ended: JoinHandle<()>,
    }

    async fn start(router: Router, limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let ended = tokio::spawn(async move { serve(listener, router, limits, &stop).await });
        Server {
            address,
            shutdown,
            ended,
        }
    }

    impl Server {
        async fn connect(&self) -> TcpStream {
            let connected = timeout(PATIENCE, TcpStream::connect(self.address)).await;
            connected.expect("in time").expect("accepts")
        }

        /// A connection on which `path` was asked for.
        async fn ask(&self, path: &str) -> TcpStream {
            let mut stream = self.connect().await;
            let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("is sent");
            stream
        }

        async fn ends(self) {
            self.shutdown.cancel();
            let ended = timeout(PATIENCE, self.ended).await;
            ended.expect("in time").expect("no panic");
        }
    }

    fn small() -> Router {
        Router::new().route("/", get(|| async { "fine" }))
    }

    /// Reads until the server closes; a reset is an end too.
    async fn rest(stream: &mut TcpStream) -> Vec<u8> {
        let mut seen = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut seen))
            .await
            .expect("ends in time");
        seen
    }

    async fn read_until(stream: &mut TcpStream, words: &str) {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(words) {
            let read = timeout(PATIENCE, stream.read_buf(&mut seen)).await;
            assert_ne!(read.expect("in time").expect("is read"), 0, "{seen:?}");
        }
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_is_not_waited_for() {
        let limits = Limits {
            head_max: Duration::from_millis(300),
            ..PATIENT
        };
        let server = start(small(), limits).await;
        // Nothing, half of HTTP/2's preface, half a head, and half a second head.
        for sent in [
            "",
            "PRI * HT",
            "GET / HTTP/1.1\r\nhost: x\r\nx-slow",
            "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET",
        ] {
            let mut stream = server.connect().await;
            stream.write_all(sent.as_bytes()).await.expect("is sent");
            rest(&mut stream).await;
        }
        // One that goes on, a byte at a time, gets no more.
        let mut stream = server.ask("/").await;
        read_until(&mut stream, "fine").await;
        let dribble = async {
            while stream.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, dribble).await.expect("is cut");
        server.ends().await;
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_is_cut_off_and_its_guard_kept_until_then() {
        let (dropped, mut drops) = mpsc::unbounded_channel();
        struct Guard(mpsc::UnboundedSender<()>);
        impl Drop for Guard {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let large = move || {
            let guard = Guard(dropped.clone());
            async move { until_sent(Response::new(Body::from(vec![b'x'; LARGE])), guard) }
        };
        let router = Router::new().route("/", get(large));

        let server = start(router.clone(), PATIENT).await;
        let mut stream = server.ask("/").await;
        read_until(&mut stream, &format!("content-length: {LARGE}")).await;
        assert!(drops.try_recv().is_err(), "the answer isn't sent yet");
        let draining = server.shutdown.clone();
        draining.cancel();
        let sent = rest(&mut stream).await.len();
        assert!(sent > LARGE / 2, "a drain goes on sending: {sent}");
        drops.recv().await.expect("the answer is sent");
        server.ends().await;

        let limits = Limits {
            send_max: Duration::from_millis(300),
            ..PATIENT
        };
        let server = start(router, limits).await;
        let mut stream = server.ask("/").await;
        read_until(&mut stream, "content-length").await;
        timeout(PATIENCE, drops.recv())
            .await
            .expect("in time")
            .expect("the answer is given up");
        assert!(rest(&mut stream).await.len() < LARGE);
        server.ends().await;
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait() {
        let limits = Limits {
            connections_max: 1,
            ..PATIENT
        };
        let server = start(small(), limits).await;
        let mut first = server.ask("/").await;
        read_until(&mut first, "fine").await;
        let mut second = server.ask("/").await;
        let early = timeout(Duration::from_millis(100), second.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
        drop(first);
        read_until(&mut second, "fine").await;
        server.ends().await;
    }

    #[tokio::test]
    async fn a_drain_answers_what_was_asked_and_closes_what_is_idle() {
        let gate = Arc::new(Notify::new());
        let (started, mut starts) = mpsc::unbounded_channel();
        let held = Arc::clone(&gate);
        let slow = move || {
            let (held, started) = (Arc::clone(&held), started.clone());
            async move {
                let _ = started.send(());
                held.notified().await;
                "finished"
            }
        };
        let server = start(small().route("/slow", get(slow)), PATIENT).await;
        let mut idle = server.ask("/").await;
        read_until(&mut idle, "fine").await;
        let mut asked = server.ask("/slow").await;
        starts.recv().await.expect("is worked on");

        server.shutdown.cancel();
        rest(&mut idle).await;
        assert!(TcpStream::connect(server.address).await.is_err());
        assert!(!server.ended.is_finished(), "waits for the answer");
        gate.notify_one();
        read_until(&mut asked, "finished").await;
        server.ends().await;
    }

    #[tokio::test]
    async fn connections_end_with_the_server() {
        let stuck = Router::new().route("/", get(std::future::pending::<&str>));
        let server = start(stuck, PATIENT).await;
        let mut stream = server.ask("/").await;
        timeout(Duration::from_millis(100), stream.read_u8())
            .await
            .expect_err("no answer");
        server.ended.abort();
        assert_eq!(rest(&mut stream).await, b"");
    }
}
