//! One viewer's WebSocket: what it begins with, then what changes, until it leaves or must.
//!
//! Always holds: one message at a time is under way to it, and what waits is bounded by the queue
//! that all viewers share; one that doesn't take a message in [`SEND_MAX`], or doesn't answer pings,
//! is cut; a close that isn't the viewer's own says with which revision to come back.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use holdfast_types::Revision;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::show::{Sent, View};
use crate::metrics;

/// How long one message may take to leave: a slow line takes a second for the largest.
const SEND_MAX: Duration = Duration::from_secs(5);
/// How often a viewer is pinged, and how long it may be silent: browsers answer by themselves.
const PING_PERIOD: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// Largest message that a viewer may send: it has nothing to say.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1_024;
/// What is kept for what it says: answers to pings. The library's own choice is 128 KiB, of every viewer.
pub(crate) const READ_BUFFER_BYTES: usize = 1_024;

/// A viewer that is gone, or is to be left.
enum Gone {
    /// There is nobody to tell.
    Silently,
    Told {
        code: u16,
        why: &'static str,
    },
}

/// Serves one viewer to its end. `places` are its own for that long.
pub(crate) async fn serve<P>(
    mut socket: WebSocket,
    view: View,
    shutdown: CancellationToken,
    places: P,
) {
    metrics::viewer_came();
    let mut at = Revision::ZERO;
    let gone = view_until_gone(&mut socket, view, &shutdown, &mut at).await;
    if let Gone::Told { code, why } = gone {
        let reason: Utf8Bytes = format!("{why}; come back with since={at}").into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        // It may be gone, or too slow for that too.
        let _ = timeout(SEND_MAX, socket.send(close)).await;
    }
    metrics::viewer_left();
    drop(places);
}

async fn view_until_gone(
    socket: &mut WebSocket,
    mut view: View,
    shutdown: &CancellationToken,
    at: &mut Revision,
) -> Gone {
    for sent in view.first {
        if let Err(gone) = send(socket, sent, at).await {
            return gone;
        }
    }
    let mut heard = Instant::now();
    let mut pings = tokio::time::interval(PING_PERIOD);
    loop {
        let done = tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(Gone::Told {
                code: close_code::AWAY,
                why: "the server is stopping",
            }),
            _ = pings.tick() => if heard.elapsed() > SILENCE_MAX {
                Err(Gone::Silently)
            } else {
                put(socket, Message::Ping(axum::body::Bytes::new())).await
            },
            said = socket.recv() => {
                heard = Instant::now();
                listen(said)
            }
            next = view.next.recv() => match next {
                Ok(sent) if sent.repeats(*at) => Ok(()),
                Ok(sent) => send(socket, sent, at).await,
                Err(RecvError::Lagged(_)) => {
                    metrics::slow_viewer_closed();
                    Err(Gone::Told {
                        code: close_code::AGAIN,
                        why: "read too slowly",
                    })
                }
                Err(RecvError::Closed) => Err(Gone::Told {
                    code: close_code::RESTART,
                    why: "the show is followed no more",
                }),
            },
        };
        if let Err(gone) = done {
            return gone;
        }
    }
}

async fn send(socket: &mut WebSocket, sent: Sent, at: &mut Revision) -> Result<(), Gone> {
    put(socket, Message::Text(sent.text)).await?;
    *at = sent.revision;
    Ok(())
}

async fn put(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    match timeout(SEND_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Gone::Silently),
        Err(_) => {
            metrics::slow_viewer_closed();
            Err(Gone::Silently)
        }
    }
}

/// What a viewer said.
fn listen(said: Option<Result<Message, axum::Error>>) -> Result<(), Gone> {
    match said {
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        Some(Ok(Message::Text(_) | Message::Binary(_))) => Err(Gone::Told {
            code: close_code::POLICY,
            why: "nothing is asked of viewers",
        }),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone::Silently),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use axum::{Router, extract::ws::WebSocketUpgrade, routing::get, serve::Listener};
    use holdfast_types::{Lineage, SeatState, ShowId};
    use lockstore_client::ShowState;
    use tokio::{
        io::{AsyncReadExt, DuplexStream},
        sync::broadcast,
    };
    use tokio_tungstenite::client_async;

    use super::*;
    use crate::live::message::{Bookmark, LiveMessage};

    /// Of what is under way at once: less than a message.
    const LINE_BYTES: usize = 512;
    const LIMIT: Duration = Duration::from_secs(20);

    /// One connection, and no other.
    struct One(Option<DuplexStream>);

    impl Listener for One {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            match self.0.take() {
                Some(stream) => (stream, ()),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn viewer_that_reads_too_slowly_is_told_with_what_to_come_back() {
        let (to_viewers, next) = broadcast::channel(2);
        let first = Vec::new();
        let view = Arc::new(Mutex::new(Some(View { first, next })));
        let watch = move |upgrade: WebSocketUpgrade| async move {
            let view = view.lock().expect("no panic").take().expect("one comes");
            upgrade.on_upgrade(|socket| serve(socket, view, CancellationToken::new(), ()))
        };
        let (line, its_line) = tokio::io::duplex(LINE_BYTES);
        let router = Router::new().route("/", get(watch));
        tokio::spawn(async { axum::serve(One(Some(line)), router).await });
        let (mut viewer, _) = client_async("ws://gateway/", its_line)
            .await
            .expect("is let in");

        let at = |index| Revision::new(Lineage(1), index, 0);
        let seats = [SeatState::Available; 10_000];
        let show = ShowId::from_bytes([7; 16]);
        let large = LiveMessage::snapshot(show, at(5), ShowState::OnSale, &seats);
        let sent = |index, message: &LiveMessage| Sent::new(at(index), message);
        to_viewers.send(sent(5, &large)).expect("it is there");
        let under_way = async {
            while !to_viewers.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, under_way).await.expect("it is sent");
        for index in 6..9 {
            let revision = at(index);
            let small = LiveMessage::Bookmark(Bookmark { revision });
            to_viewers.send(sent(index, &small)).expect("it is there");
        }
        // As it comes: whatever answered would write to who is gone by then.
        let mut bytes = Vec::new();
        let reading = viewer.get_mut().read_to_end(&mut bytes);
        let read = timeout(LIMIT, reading).await.expect("it is closed");
        read.expect("it is read");
        let why = format!("read too slowly; come back with since={}", at(5));
        let close = [&close_code::AGAIN.to_be_bytes(), why.as_bytes()].concat();
        assert!(bytes.ends_with(&close), "{:?}", &bytes[bytes.len() - 200..]);
        assert!(bytes.len() > large.text().len() && !contains(&bytes, "bookmark"));
    }

    fn contains(bytes: &[u8], word: &str) -> bool {
        let mut words = bytes.windows(word.len());
        words.any(|window| window == word.as_bytes())
    }
}
