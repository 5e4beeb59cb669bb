//! The gateway's settings. Always holds: a `Config` that passed [`Config::check`] can be served.

use std::{net::SocketAddr, time::Duration};

use axum::http::{HeaderValue, Uri};
use holdfast_mesh as mesh;
use serde::{Deserialize, Serialize};

/// A key, and why its value can't be used.
type Problem = (&'static str, String);

/// Shortest and longest time a request may be given. Below, nothing finishes; above, a stuck
/// service would hold the gateway's request slots for too long.
const REQUEST_TIMEOUT_MS_MIN: u64 = 10;
const REQUEST_TIMEOUT_MS_MAX: u64 = 120_000;

/// Where the gateway listens and whom it calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// HTTP address.
    pub listen: SocketAddr,
    /// Allows an address other than loopback, in the clear, as `--insecure` does.
    pub insecure: bool,
    /// gRPC addresses, e.g. `http://127.0.0.1:7401`.
    pub identity_uri: String,
    /// As `identity_uri`.
    pub catalog_uri: String,
    /// As `identity_uri`.
    pub booking_uri: String,
    /// As `identity_uri`.
    pub payment_uri: String,
    /// Client planes of the lock store's nodes: which seats are free is followed there.
    pub lockstore: Vec<String>,
    /// As `identity_uri`.
    pub search_uri: String,
    /// Origins whose pages may call the API from a browser, e.g. `https://tickets.example`. None
    /// by default: only pages of the gateway's own origin may.
    pub cors_origins: Vec<String>,
    /// How long a request may be worked on, from when its head was read to the head of its answer.
    pub request_timeout_ms: u64,
    /// Whether a caller's `traceparent` says if its trace is recorded. Where strangers call it
    /// shouldn't: their traces go on under their ids, and `trace.sample_ratio` says how many are
    /// recorded; none, where the gateway records nothing.
    pub trust_sampled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            insecure: false,
            identity_uri: "http://127.0.0.1:7401".to_owned(),
            catalog_uri: "http://127.0.0.1:7402".to_owned(),
            booking_uri: "http://127.0.0.1:7403".to_owned(),
            payment_uri: "http://127.0.0.1:7404".to_owned(),
            lockstore: (1..=3)
                .map(|node| format!("http://127.0.0.1:710{node}"))
                .collect(),
            search_uri: "http://127.0.0.1:7405".to_owned(),
            cors_origins: Vec::new(),
            request_timeout_ms: 10_000,
            trust_sampled: false,
        }
    }
}

impl Config {
    /// Checks what the types can't, for a process that has an identity (`tls`) or none.
    ///
    /// # Errors
    /// The first key that can't be used, and why.
    pub fn check(&self, tls: bool) -> Result<(), Problem> {
        mesh::config::check_bind(self.listen, self.insecure)
            .map_err(|error| ("listen", error.to_string()))?;
        let peers = [
            ("identity_uri", &self.identity_uri),
            ("catalog_uri", &self.catalog_uri),
            ("booking_uri", &self.booking_uri),
            ("payment_uri", &self.payment_uri),
            ("search_uri", &self.search_uri),
        ];
        if self.lockstore.is_empty() {
            return Err(("lockstore", "must name at least one node".to_owned()));
        }
        let nodes = self.lockstore.iter().map(|uri| ("lockstore", uri));
        for (key, uri) in nodes.chain(peers) {
            mesh::client::check(uri, tls).map_err(|error| (key, error.to_string()))?;
        }
        let range = REQUEST_TIMEOUT_MS_MIN..=REQUEST_TIMEOUT_MS_MAX;
        if !range.contains(&self.request_timeout_ms) {
            let why = format!("must be {} to {}", range.start(), range.end());
            return Err(("request_timeout_ms", why));
        }
        self.origins().map(|_| ())
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// The origins as a browser writes them.
    pub(crate) fn origins(&self) -> Result<Vec<HeaderValue>, Problem> {
        self.cors_origins.iter().map(|text| origin(text)).collect()
    }
}

fn origin(text: &str) -> Result<HeaderValue, Problem> {
    let refuse = || {
        let why = format!(
            "{text:?} is no origin; write scheme, host and port, e.g. https://tickets.example"
        );
        ("cors_origins", why)
    };
    let uri: Uri = text.parse().map_err(|_| refuse())?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    if !web
        || uri.authority().is_none()
        || text.ends_with('/')
        || uri.path() != "/"
        || uri.query().is_some()
    {
        return Err(refuse());
    }
    HeaderValue::from_str(text).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port_only() {
        let config = |origin: &str| Config {
            cors_origins: vec![origin.to_owned()],
            ..Config::default()
        };
        for good in ["https://tickets.example", "http://127.0.0.1:3000"] {
            assert!(config(good).check(false).is_ok(), "{good}");
        }
        for bad in [
            "*",
            "",
            "tickets.example",
            "https://tickets.example/",
            "https://a.example/x",
            "ftp://a.example",
        ] {
            assert_eq!(config(bad).check(false).expect_err(bad).0, "cors_origins");
        }
    }

    #[test]
    fn addresses_are_checked_before_anything_is_bound() {
        let nowhere = || "nowhere".to_owned();
        let config = Config::default;
        let open = ([0, 0, 0, 0], 8080).into();
        #[rustfmt::skip]
        let cases = [
            ("listen", Config { listen: open, ..config() }),
            ("identity_uri", Config { identity_uri: nowhere(), ..config() }),
            ("catalog_uri", Config { catalog_uri: nowhere(), ..config() }),
            ("booking_uri", Config { booking_uri: nowhere(), ..config() }),
            ("payment_uri", Config { payment_uri: nowhere(), ..config() }),
            ("lockstore", Config { lockstore: vec![nowhere()], ..config() }),
            ("lockstore", Config { lockstore: Vec::new(), ..config() }),
            ("search_uri", Config { search_uri: nowhere(), ..config() }),
        ];
        for (key, config) in cases {
            assert_eq!(config.check(false).expect_err(key).0, key);
        }
        config().check(false).expect("the defaults are good");
    }

    #[test]
    fn a_timeout_out_of_range_is_refused_by_key() {
        for request_timeout_ms in [0, 9, 120_001] {
            let config = Config {
                request_timeout_ms,
                ..Config::default()
            };
            let (key, _) = config.check(false).expect_err("out of range");
            assert_eq!(key, "request_timeout_ms");
        }
    }
}
