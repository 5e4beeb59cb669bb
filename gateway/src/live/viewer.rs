//! One viewer's WebSocket: what it begins with, then what changes, until it leaves or must.
//!
//! Always holds: one message at a time is under way to it, and what waits is bounded by the queue
//! that all viewers share; one that doesn't take a message in [`SEND_MAX`], or doesn't answer pings,
//! is cut; a close that isn't the viewer's own says with which revision to come back.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use holdfast_mesh::server::ConnectionSlot;
use holdfast_types::Revision;
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast::error::RecvError},
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

/// A viewer that is gone, or is to be left.
enum Gone {
    /// There is nobody to tell.
    Silently,
    Told {
        code: u16,
        why: &'static str,
    },
}

/// Serves one viewer to its end. `places` are its own for that long: among viewers, and among
/// connections.
pub(crate) async fn serve(
    mut socket: WebSocket,
    view: View,
    shutdown: CancellationToken,
    places: (OwnedSemaphorePermit, ConnectionSlot),
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
