//! Channels to other services.
//!
//! Always holds: a channel connects when first used and again after it broke; HTTP/2 settings
//! are explicit (the library's documented defaults aren't what it does); a peer that went silent is found
//! out by pings; over TLS it talks only to a peer that shows the name it was made for.
//! Leaves to others: deadlines, which differ from call to call.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tonic::{
    body::Body,
    transport::{self, Endpoint, channel::ResponseFuture},
};
use tower::Service;

use crate::tls;

/// Longest wait for a connection. Peers are one hop away.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long a peer may be silent before it is pinged, and how long the answer may take.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_ANSWER_MAX: Duration = Duration::from_secs(5);

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

/// Connections to one service, shared by all clones.
#[derive(Debug, Clone)]
pub struct Channel {
    connection: transport::Channel,
}

/// A channel in the clear to `uri` (`http://host:port`). Nothing is sent before its first call, so the
/// peer need not be there yet. Must be called within a Tokio runtime.
///
/// # Errors
/// [`Error::Address`] if `uri` isn't of that form.
pub fn channel(uri: &str) -> Result<Channel, Error> {
    connect(uri, None)
}

/// A channel to `uri`: in the clear, or as an identity to the service of a name.
pub(crate) fn connect(
    uri: &str,
    identity: Option<(&tls::Identity, &str)>,
) -> Result<Channel, Error> {
    let mut endpoint = endpoint(uri, identity.is_some())?;
    if let Some((identity, peer)) = identity {
        endpoint = endpoint
            .tls_config(identity.client_config(peer))
            .map_err(|source| Error::Tls {
                uri: uri.to_owned(),
                source,
            })?;
    }
    let connection = endpoint
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .initial_stream_window_size(crate::server::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(crate::server::CONNECTION_WINDOW_BYTES)
        .max_frame_size(crate::server::FRAME_BYTES)
        .http2_max_header_list_size(crate::server::HEADER_BYTES_MAX)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_ANSWER_MAX)
        .keep_alive_while_idle(true)
        .connect_lazy();
    Ok(Channel { connection })
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = transport::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.connection.call(request)
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
