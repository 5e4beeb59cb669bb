//! A stand-in between a channel and a server, for what a server can't be made to do: hang, break off,
//! be away for a while.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

/// What happens to connections.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// They go on to a server.
    To(SocketAddr),
    /// They are taken, and nothing is ever said.
    Mute,
    /// As [`Way::Mute`] until it is set; those that come after go on to a server, and the old ones stay.
    MuteUntil(Arc<AtomicBool>, SocketAddr),
    /// They end as soon as a request with these words came, which is counted.
    BreakOff(&'static [u8], Arc<AtomicUsize>),
}

/// Ends with all of its connections when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    cut: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Relay {
    /// At a free port.
    pub(crate) async fn start(way: Way) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), way).await
    }

    pub(crate) async fn start_at(address: SocketAddr, way: Way) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let cut = Arc::new(Notify::new());
        let task = tokio::spawn(serve(listener, way, Arc::clone(&cut)));
        Self { address, cut, task }
    }

    /// An address where nobody listens, and where a relay can start later.
    pub(crate) async fn nowhere() -> SocketAddr {
        let relay = Self::start(Way::Mute).await;
        let address = relay.address;
        relay.stop().await;
        address
    }

    /// Breaks all connections; new ones are taken.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Ends, and returns when nothing listens any more.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, way: Way, cut: Arc<Notify>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("accepts");
                connections.spawn(relay(stream, way.clone()));
            }
            () = cut.notified() => connections.shutdown().await,
        }
    }
}

async fn relay(mut stream: TcpStream, way: Way) {
    match way {
        Way::To(server) => forward(&mut stream, server).await,
        Way::MuteUntil(speaks, server) if speaks.load(Ordering::Relaxed) => {
            forward(&mut stream, server).await;
        }
        Way::Mute | Way::MuteUntil(..) => std::future::pending().await,
        Way::BreakOff(words, count) => {
            let mut seen = Vec::new();
            while !seen.windows(words.len()).any(|part| part == words) {
                match stream.read_buf(&mut seen).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                }
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn forward(stream: &mut TcpStream, server: SocketAddr) {
    if let Ok(mut onward) = TcpStream::connect(server).await {
        let _ = tokio::io::copy_bidirectional(stream, &mut onward).await;
    }
}
