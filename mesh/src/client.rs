//! Channels to other services.
//!
//! Always holds: a channel has several connections, which are made when first used and again after
//! they broke; HTTP/2 settings are explicit (the library's documented defaults aren't what it does); a
//! peer that went silent is found out by pings; over TLS it talks only to a peer that shows the name it
//! was made for. A call is given up when its answer hasn't begun by its deadline; a peer that doesn't answer is given a rest (`breaker`);
//! what may safely be said twice is, within a budget (`call`).
//! Leaves to others: deadlines, which differ from call to call.

mod breaker;
mod budget;
mod call;
mod connections;
mod contract;
mod destination;
mod kept;

use std::{
    error::Error as StdError,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tonic::{
    body::Body,
    transport::{self, Endpoint},
};
use tower::Service;

pub use self::contract::Contract;
use self::{breaker::Breaker, budget::Budget, connections::Connections, destination::Destination};
use crate::{sparse::Sparse, tls};

/// Longest wait for a connection. Peers are one hop away.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long a peer may be silent before it is pinged, and how long the answer may take.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_ANSWER_MAX: Duration = Duration::from_secs(5);

/// What a peer is called that nobody named.
const UNNAMED: &str = "peer";

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not `http://host:port` or `https://host:port`.
    #[error("peer address {uri:?} isn't of the form https://host:port or http://host:port")]
    Address {
        /// What was given.
        uri: String,
    },
    /// An `https` address, and nothing to show there.
    #[error("peer address {uri:?} needs tls.dir, the folder with this process's certificates")]
    NoIdentity {
        /// What was given.
        uri: String,
    },
    /// An `http` address, though this process has certificates.
    #[error("peer address {uri:?} must start with https, since tls.dir is set")]
    Plain {
        /// What was given.
        uri: String,
    },
    /// The connection can't be set up with these certificates.
    #[error("peer address {uri:?}: TLS can't be set up")]
    Tls {
        /// What was given.
        uri: String,
        /// Why.
        #[source]
        source: transport::Error,
    },
}

/// A peer gave no answer to a call. What was asked may have happened.
#[derive(Debug, thiserror::Error)]
#[error("{peer} at {address} gave no answer")]
pub struct NoAnswer {
    peer: Arc<str>,
    address: Arc<str>,
    #[source]
    source: Box<dyn StdError + Send + Sync>,
}

/// The way to one service, shared by all clones.
#[derive(Debug, Clone)]
pub struct Channel {
    to: Arc<Destination>,
}

/// A channel in the clear to `uri` (`http://host:port`), which repeats nothing. Nothing is sent before
/// its first call, so the peer need not be there yet. Must be called within a Tokio runtime.
///
/// # Errors
/// [`Error::Address`] if `uri` isn't of that form.
pub fn channel(uri: &str) -> Result<Channel, Error> {
    connect(uri, UNNAMED, None, &Contract::default())
}

/// A channel to the service `peer` at `uri`: in the clear, or as an identity. `contract` says what may
/// be repeated.
pub(crate) fn connect(
    uri: &str,
    peer: &str,
    identity: Option<&tls::Identity>,
    contract: &Contract,
) -> Result<Channel, Error> {
    let mut endpoint = endpoint(uri, identity.is_some())?;
    if let Some(identity) = identity {
        endpoint = endpoint
            .tls_config(identity.client_config(peer))
            .map_err(|source| Error::Tls {
                uri: uri.to_owned(),
                source,
            })?;
    }
    let endpoint = endpoint
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .initial_stream_window_size(crate::server::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(crate::server::CONNECTION_WINDOW_BYTES)
        .max_frame_size(crate::server::FRAME_BYTES)
        .http2_max_header_list_size(crate::server::HEADER_BYTES_MAX)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_ANSWER_MAX)
        .keep_alive_while_idle(true);
    let address = endpoint.uri().authority().map_or("", |name| name.as_str());
    let to = Destination {
        peer: peer.into(),
        address: address.into(),
        contract: contract.clone(),
        connections: Connections::new(|| endpoint.connect_lazy()),
        breaker: Breaker::new(),
        budget: Budget::new(),
        said: Mutex::new(Sparse::new()),
    };
    Ok(Channel { to: Arc::new(to) })
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAnswer>> + Send>>;

    /// Always ready: a call itself waits for its connection, within its deadline.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let to = Arc::clone(&self.to);
        Box::pin(async move { call::call(&to, request).await })
    }
}

/// Whether `uri` has the form of a peer's address, for a process that has an identity (`tls`) or
/// none; needs no runtime.
///
/// # Errors
/// [`Error`], but for [`Error::Tls`].
pub fn check(uri: &str, tls: bool) -> Result<(), Error> {
    endpoint(uri, tls).map(drop)
}

fn endpoint(uri: &str, tls: bool) -> Result<Endpoint, Error> {
    let address = || Error::Address {
        uri: uri.to_owned(),
    };
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(|_| address())?;
    if endpoint.uri().port().is_none() {
        return Err(address());
    }
    let uri = || uri.to_owned();
    match (endpoint.uri().scheme_str(), tls) {
        (Some("https"), true) | (Some("http"), false) => Ok(endpoint),
        (Some("https"), false) => Err(Error::NoIdentity { uri: uri() }),
        (Some("http"), true) => Err(Error::Plain { uri: uri() }),
        _ => Err(address()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_another_form_are_refused() {
        for bad in [
            "",
            "127.0.0.1:1",
            "ftp://127.0.0.1:1",
            "http://127.0.0.1",
            "http://a b:1",
        ] {
            for tls in [true, false] {
                let refused = check(bad, tls).expect_err(bad);
                assert!(matches!(refused, Error::Address { .. }), "{refused}");
            }
        }
    }

    #[test]
    fn addresses_must_fit_whether_there_is_an_identity() {
        assert!(check("http://127.0.0.1:1", false).is_ok());
        assert!(check("https://127.0.0.1:1", true).is_ok());
        assert!(matches!(
            check("http://127.0.0.1:1", true),
            Err(Error::Plain { .. })
        ));
        assert!(matches!(
            check("https://127.0.0.1:1", false),
            Err(Error::NoIdentity { .. })
        ));
    }

    #[test]
    fn https_address_without_certificates_is_refused() {
        let refused = channel("https://127.0.0.1:1").expect_err("refused");
        assert!(matches!(refused, Error::NoIdentity { .. }), "{refused}");
    }
}
