//! The nodes this client knows, with their channels, and which of them led last.
//!
//! Always holds: the nodes it was given stay; those it was pointed to by a node are kept too, up
//! to a limit; nobody is talked to in the clear where TLS is asked for. A channel connects when it is first used and again after it broke.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use holdfast_proto::lockstore::v1::lock_store_service_client::LockStoreServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::{
    Options,
    call::Try,
    status::Failed,
    stream::{HoldStream, Streamed},
};

/// Nodes known at most: a large cluster, moved once.
const PEERS_MAX: usize = 32;
/// Longest wait for a connection: a node on the same network that doesn't answer by then is down.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a node isn't asked that had no answer, if others may be asked as well: one that is down then
/// costs a try a second, and one that is back is asked again soon.
const AVOIDED_FOR: Duration = Duration::from_secs(1);
/// How long a silent connection with calls on it is trusted before a ping, and the ping's time.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(2);
/// Windows: a chunk of layout or a map of 100,000 seats fits many times.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const FRAME_SIZE_MAX: u32 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) uri: String,
    channels: Vec<Channel>,
    /// One on each channel.
    streams: Vec<HoldStream>,
    turn: AtomicUsize,
    /// When it last had no answer to what any node may be asked.
    failed: Mutex<Option<Instant>>,
}

/// Why an address can't be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("must begin with {wanted}")]
    Scheme { wanted: &'static str },
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
}

impl Peer {
    /// Never in the clear where there is TLS, whoever named the address.
    fn new(uri: &str, options: &Options) -> Result<Self, Unusable> {
        let mut endpoint = Endpoint::from_shared(uri.to_owned())?;
        let wanted = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        if endpoint.uri().scheme_str() != Some(wanted) {
            return Err(Unusable::Scheme { wanted });
        }
        if let Some(tls) = options.tls.clone() {
            endpoint = endpoint.tls_config(tls)?;
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT_WAIT_MAX)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_SIZE_MAX)
            .http2_keep_alive_interval(KEEPALIVE_EVERY)
            .keep_alive_timeout(KEEPALIVE_ANSWER)
            .keep_alive_while_idle(true);
        let channels: Vec<Channel> = (0..options.channels_per_endpoint.max(1))
            .map(|_| endpoint.connect_lazy())
            .collect();
        Ok(Self {
            uri: uri.to_owned(),
            streams: channels.iter().cloned().map(HoldStream::new).collect(),
            channels,
            turn: AtomicUsize::new(0),
            failed: Mutex::new(None),
        })
    }

    fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It had no answer: others are asked for a while.
    pub(crate) fn avoid(&self) {
        *self.failed() = Some(Instant::now());
    }

    fn is_avoided(&self) -> bool {
        self.failed()
            .is_some_and(|failed| failed.elapsed() < AVOIDED_FOR)
    }

    /// A stub on the next channel in turn.
    pub(crate) fn stub(&self) -> LockStoreServiceClient<Channel> {
        LockStoreServiceClient::new(self.channels[self.next()].clone())
    }

    /// Has a command decided on the next stream in turn.
    pub(crate) async fn streamed<M: Streamed>(
        self: Arc<Self>,
        ask: Try<M>,
    ) -> Result<M::Answer, Failed> {
        self.streams[self.next()].ask(ask).await
    }

    fn next(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.channels.len()
    }
}

#[derive(Debug)]
pub(crate) struct Peers {
    options: Options,
    /// Whose turn it is to be watched; from a random one on, since there are many clients.
    turn: AtomicUsize,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    peers: Vec<Arc<Peer>>,
    /// The one to ask: the last known leader, or the next to try.
    preferred: usize,
}

impl Peers {
    /// Addresses that can't be used are left out, and said so.
    pub(crate) fn new(uris: &[String], options: Options) -> Self {
        if uris.len() > PEERS_MAX {
            let most = PEERS_MAX;
            tracing::error!(most, "too many endpoints are given; the last are left out");
        }
        let peers = uris
            .iter()
            .take(PEERS_MAX)
            .filter_map(|uri| match Peer::new(uri, &options) {
                Ok(peer) => Some(Arc::new(peer)),
                Err(error) => {
                    tracing::error!(lockstore.endpoint = %uri, %error, "not a usable endpoint");
                    None
                }
            })
            .collect();
        Self {
            options,
            turn: AtomicUsize::new(rand::random_range(0..PEERS_MAX)),
            known: Mutex::new(Known {
                peers,
                preferred: 0,
            }),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to ask; `None` if no address was usable.
    pub(crate) fn preferred(&self) -> Option<Arc<Peer>> {
        let known = self.known();
        known.peers.get(known.preferred).cloned()
    }

    /// The one after `peer`; after none the next in turn, so that watchers spread.
    pub(crate) fn after(&self, peer: Option<&Arc<Peer>>) -> Option<Arc<Peer>> {
        self.from(peer).into_iter().next()
    }

    /// The same, past those that had no answer just now, unless none had.
    pub(crate) fn any_after(&self, peer: Option<&Arc<Peer>>) -> Option<Arc<Peer>> {
        let peers = self.from(peer);
        let fit = peers.iter().find(|peer| !peer.is_avoided());
        fit.or(peers.first()).cloned()
    }

    /// How many are known.
    pub(crate) fn count(&self) -> usize {
        self.known().peers.len()
    }

    /// All, from the one after `peer` on; after none from the next in turn.
    fn from(&self, peer: Option<&Arc<Peer>>) -> Vec<Arc<Peer>> {
        let mut peers = self.known().peers.clone();
        if peers.is_empty() {
            return peers;
        }
        let position =
            peer.and_then(|peer| peers.iter().position(|known| Arc::ptr_eq(known, peer)));
        let next = position.map_or_else(|| self.turn.fetch_add(1, Ordering::Relaxed), |at| at + 1);
        let count = peers.len();
        peers.rotate_left(next % count);
        peers
    }

    /// `peer` couldn't help: the next one is asked, unless somebody else chose already.
    pub(crate) fn pass_over(&self, peer: &Arc<Peer>) {
        let mut known = self.known();
        let still_preferred = known
            .peers
            .get(known.preferred)
            .is_some_and(|preferred| Arc::ptr_eq(preferred, peer));
        if still_preferred {
            known.preferred = (known.preferred + 1) % known.peers.len();
        }
    }

    /// `peer` answered: it is asked from now on.
    pub(crate) fn prefer(&self, peer: &Arc<Peer>) {
        let mut known = self.known();
        if let Some(index) = known
            .peers
            .iter()
            .position(|known| Arc::ptr_eq(known, peer))
        {
            known.preferred = index;
        }
    }

    /// A node said that `uri` leads. Says whether that can be followed.
    pub(crate) fn prefer_uri(&self, uri: &str) -> bool {
        let mut known = self.known();
        let index = known.peers.iter().position(|peer| same_uri(&peer.uri, uri));
        let index = match index {
            Some(index) => index,
            None if known.peers.len() < PEERS_MAX => {
                let Ok(peer) = Peer::new(uri, &self.options) else {
                    return false;
                };
                known.peers.push(Arc::new(peer));
                known.peers.len() - 1
            }
            None => return false,
        };
        known.preferred = index;
        true
    }
}

fn same_uri(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use tonic::transport::ClientTlsConfig;

    use super::*;

    #[tokio::test]
    async fn no_node_is_talked_to_in_the_clear_where_tls_is_asked_for() {
        let options = Options {
            tls: Some(ClientTlsConfig::new().domain_name("lockstore.test")),
            ..Options::default()
        };
        let known = [
            "http://127.0.0.1:1".to_owned(),
            "https://127.0.0.1:2".to_owned(),
        ];
        let peers = Peers::new(&known, options);
        let preferred = peers.preferred().map(|peer| peer.uri.clone());
        assert_eq!(preferred.as_deref(), Some("https://127.0.0.1:2"));
        assert!(!peers.prefer_uri("http://127.0.0.1:3"), "a node's word");
        assert!(peers.prefer_uri("https://127.0.0.1:3"));

        let peers = Peers::new(&known, Options::default());
        let preferred = peers.preferred().map(|peer| peer.uri.clone());
        assert_eq!(preferred.as_deref(), Some("http://127.0.0.1:1"));
    }

    #[tokio::test]
    async fn so_many_nodes_are_known_and_no_more() {
        let uri = |port: usize| format!("http://127.0.0.1:{}", port + 1);
        let given: Vec<String> = (0..PEERS_MAX + 1).map(uri).collect();
        let peers = Peers::new(&given, Options::default());
        assert_eq!(peers.known().peers.len(), PEERS_MAX);
        assert!(peers.prefer_uri(&uri(PEERS_MAX - 1)), "it is known");
        assert!(!peers.prefer_uri(&uri(PEERS_MAX)), "it is one too many");

        let peers = Peers::new(&given[1..PEERS_MAX], Options::default());
        assert!(peers.prefer_uri(&uri(PEERS_MAX)), "there is a place");
        assert!(!peers.prefer_uri(&uri(PEERS_MAX + 1)));
    }
}
