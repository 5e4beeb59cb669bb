//! New connections of a server, also while there are too few descriptors for them.
//!
//! Always holds: after a connection couldn't be accepted none is for [`PAUSE`], however often whoever
//! waits stops waiting and begins anew; that it failed is said as long as there are few such lines.
//! Leaves to others: what becomes of a connection.

use std::{io, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::sparse::Sparse;

/// Pause after a connection couldn't be accepted, e.g. for want of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    /// None is accepted before.
    rests_until: Option<Instant>,
    said: Sparse,
}

impl Listener {
    pub(super) fn new(socket: TcpListener) -> Self {
        Self {
            socket,
            rests_until: None,
            said: Sparse::new(),
        }
    }

    /// The next connection, however often accepting fails before. May be dropped and called again.
    pub(super) async fn accept(&mut self) -> TcpStream {
        loop {
            if let Some(until) = self.rests_until {
                tokio::time::sleep_until(until).await;
                self.rests_until = None;
            }
            match self.socket.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => self.note(&error),
            }
        }
    }

    fn note(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        // The client left before it was accepted.
        if let ConnectionAborted | ConnectionRefused | ConnectionReset = error.kind() {
            return;
        }
        self.rests_until = Some(Instant::now() + PAUSE);
        if let Some(left_out) = self.said.may_say() {
            tracing::error!(%error, left_out, "a connection can't be accepted");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// One that a client waits at, and the client.
    async fn waited_at() -> (Listener, TcpStream) {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let client = TcpStream::connect(address).await.expect("connects");
        (Listener::new(socket), client)
    }

    #[tokio::test]
    async fn a_pause_outlasts_those_who_wait_for_it() {
        let (mut listener, client) = waited_at().await;
        listener.note(&io::Error::other("too many open files"));
        assert!(listener.rests_until.is_some());
        // Long enough for a slow machine.
        listener.rests_until = Some(Instant::now() + 600 * PAUSE);
        for _ in 0..3 {
            assert!(listener.accept().now_or_never().is_none(), "it rests");
        }
        listener.rests_until = Some(Instant::now());
        let accepted = listener.accept().await.peer_addr();
        let own = client.local_addr().expect("an address");
        assert_eq!(accepted.expect("an address"), own);
    }

    #[tokio::test]
    async fn a_client_that_left_early_brings_no_pause() {
        let (mut listener, _client) = waited_at().await;
        listener.note(&io::ErrorKind::ConnectionAborted.into());
        assert!(listener.rests_until.is_none());
    }
}
