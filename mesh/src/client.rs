//! Channels to other services.
//!
//! Always holds: a channel connects when first used and again after it broke; HTTP/2 settings
//! are explicit (the library's documented defaults aren't what it does); a peer that went silent is found
//! out by pings. Leaves to others: deadlines and retries, which differ from call to call.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// Longest wait for a connection. Peers are one hop away.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long a peer may be silent before it is pinged, and how long the answer may take.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not `http://host:port`.
    #[error("peer address {uri:?} isn't of the form http://host:port")]
    Address {
        /// What was given.
        uri: String,
    },
}

/// A channel to `uri` (`http://host:port`). Nothing is sent before its first call, so the peer
/// need not be there yet. Must be called within a Tokio runtime.
///
/// # Errors
/// [`Error::Address`] if `uri` isn't of that form.
pub fn channel(uri: &str) -> Result<Channel, Error> {
    Ok(endpoint(uri)?
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .initial_stream_window_size(crate::server::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(crate::server::CONNECTION_WINDOW_BYTES)
        .max_frame_size(crate::server::FRAME_BYTES)
        .http2_max_header_list_size(crate::server::HEADER_BYTES_MAX)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_ANSWER_MAX)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// Whether [`channel`] takes `uri`; needs no runtime.
///
/// # Errors
/// As [`channel`].
pub fn check(uri: &str) -> Result<(), Error> {
    endpoint(uri).map(drop)
}

fn endpoint(uri: &str) -> Result<Endpoint, Error> {
    let address = || Error::Address {
        uri: uri.to_owned(),
    };
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(|_| address())?;
    if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().port().is_none() {
        return Err(address());
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_another_form_are_refused() {
        for bad in [
            "",
            "127.0.0.1:1",
            "https://127.0.0.1:1",
            "http://127.0.0.1",
            "http://a b:1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check("http://127.0.0.1:1").is_ok());
    }
}
