//! The gateway's settings. Always holds: a `Config` that passed [`Config::check`] can be served.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use axum::http::{HeaderValue, Uri};
use holdfast_mesh as mesh;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A key, and why its value can't be used.
type Problem = (&'static str, String);

/// Shortest and longest time a request may be given. Below, nothing finishes; above, a stuck
/// service would hold the gateway's request slots for too long.
const REQUEST_TIMEOUT_MS_MIN: u64 = 10;
const REQUEST_TIMEOUT_MS_MAX: u64 = 120_000;

/// Shortest key that cursors are signed with: 256 bits of URL-safe text have 43 characters.
const CURSOR_KEY_BYTES_MIN: usize = 32;

/// Longest window of a rate limit: a day, for typing errors.
const WINDOW_S_MAX: u32 = 86_400;

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
    /// Origins whose pages may call the API from a browser, e.g. `https://shop.example`, with a
    /// session's cookies too where browsers send them there (the same site). None by default: only
    /// pages of the gateway's own origin may.
    pub cors_origins: Vec<String>,
    /// Where browsers find the gateway, e.g. `https://tickets.example`, so that its own pages are known
    /// from others' when something is asked with a session's cookies; empty, the `Host` they send says
    /// it. With `https` browsers are told to come by nothing else (HSTS).
    pub public_url: String,
    /// How long a request may be worked on, from when its head was read to the head of its answer;
    /// importing a plan and publishing a show may take a minute at least.
    pub request_timeout_ms: u64,
    /// Whether a caller's `traceparent` says if its trace is recorded. Where strangers call it
    /// shouldn't: their traces go on under their ids, and `trace.sample_ratio` says how many are
    /// recorded; none, where the gateway records nothing.
    pub trust_sampled: bool,
    /// Reverse proxies and load balancers in front, by address or network, e.g. `10.0.0.0/8`: what
    /// they say of whom they serve is believed, and nobody else's word.
    pub trusted_proxies: Vec<String>,
    /// The header in which they say it, `x-forwarded-for` or `forwarded` (RFC 7239). The other one is
    /// not read: a proxy that doesn't write it lets a client's own through.
    pub forwarded_header: ForwardedHeader,
    /// What cursors of lists are signed with: the same for every gateway, 32 characters or more of
    /// chance. Empty, this process has a key of its own, and its cursors end with it.
    pub cursor_key: mesh::config::Secret,
    /// Shows the letters of this folder (`identity.mail.folder`) at `/mail`, to try things: tokens that set
    /// passwords are in them, so `listen` must be on loopback, whatever `insecure` says. Empty: none are shown.
    pub mail_folder: PathBuf,
    /// How often one caller may ask.
    pub rate_limits: RateLimits,
}

/// In which header trusted proxies say whom they serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForwardedHeader {
    /// The one of habit.
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// The one of RFC 7239.
    #[serde(rename = "forwarded")]
    Forwarded,
}

/// How often one caller may ask: so many requests at once, and as many again in each `window_s`,
/// spread evenly. 0 is no limit. Each gateway counts for itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Whether anybody is limited.
    pub enabled: bool,
    /// Networks and addresses that aren't limited by address; their accounts are all the same. Loopback
    /// by default: programs of the machine itself, or a proxy that `trusted_proxies` doesn't name.
    pub unlimited: Vec<String>,
    /// Seconds of a window.
    pub window_s: u32,
    /// Requests of one address (of IPv6 a /64) in a window for what is public: catalogue, search,
    /// pages. Many people may be behind one.
    pub address_browsing: u32,
    /// The same for which seats are free, WebSockets included.
    pub address_seats: u32,
    /// Seat maps that one address may have open at once.
    pub address_viewers: u32,
    /// The same as `address_seats` for making accounts and signing in.
    pub address_sign_in: u32,
    /// And for what needs a token or renews one, whoever's.
    pub address_personal: u32,
    /// Requests of one account in a window, for what needs a token.
    pub user_personal: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            unlimited: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            window_s: 10,
            // A school or a mobile network's gateway: hundreds of people who each open a page of a few
            // requests every few seconds.
            address_browsing: 2_000,
            address_seats: 1_000,
            address_viewers: 1_000,
            // Each costs a tenth of a second of a core.
            address_sign_in: 100,
            address_personal: 1_000,
            // Nobody buys by hand at twenty requests a second.
            user_personal: 200,
        }
    }
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
            public_url: String::new(),
            request_timeout_ms: 10_000,
            trust_sampled: false,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            cursor_key: mesh::config::Secret::default(),
            mail_folder: PathBuf::new(),
            rate_limits: RateLimits::default(),
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
        self.own_origin()?;
        let key_bytes = self.cursor_key.expose().len();
        if (1..CURSOR_KEY_BYTES_MIN).contains(&key_bytes) {
            let why = format!("must have {CURSOR_KEY_BYTES_MIN} characters or more");
            return Err(("cursor_key", why));
        }
        let shows_mail = !self.mail_folder.as_os_str().is_empty();
        if shows_mail && !self.listen.ip().to_canonical().is_loopback() {
            let why = "mail is shown on loopback only";
            return Err(("mail_folder", why.to_owned()));
        }
        if shows_mail && !(self.public_url.is_empty() && self.trusted_proxies.is_empty()) {
            let why = "mail isn't shown where others come by a proxy (public_url, trusted_proxies)";
            return Err(("mail_folder", why.to_owned()));
        }
        self.proxies()?;
        self.rate_limits.check()?;
        self.origins().map(|_| ())
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// The origins as a browser writes them.
    pub(crate) fn origins(&self) -> Result<Vec<HeaderValue>, Problem> {
        let origin = |text: &String| origin("cors_origins", text);
        self.cors_origins.iter().map(origin).collect()
    }

    /// The origin of its own pages, where it was told.
    pub(crate) fn own_origin(&self) -> Result<Option<HeaderValue>, Problem> {
        match self.public_url.as_str() {
            "" => Ok(None),
            text => origin("public_url", text).map(Some),
        }
    }

    /// Who may say whom they serve.
    pub(crate) fn proxies(&self) -> Result<Vec<IpNet>, Problem> {
        networks("trusted_proxies", &self.trusted_proxies)
    }
}

impl RateLimits {
    fn check(&self) -> Result<(), Problem> {
        if !(1..=WINDOW_S_MAX).contains(&self.window_s) {
            let why = format!("must be 1 to {WINDOW_S_MAX}");
            return Err(("rate_limits.window_s", why));
        }
        self.unlimited().map(|_| ())
    }

    /// Who isn't limited by address.
    pub(crate) fn unlimited(&self) -> Result<Vec<IpNet>, Problem> {
        networks("rate_limits.unlimited", &self.unlimited)
    }
}

fn networks(key: &'static str, texts: &[String]) -> Result<Vec<IpNet>, Problem> {
    let network = |text: &String| {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| {
            let why = format!("{text:?} is no address and no network such as 10.0.0.0/8");
            (key, why)
        })
    };
    texts.iter().map(network).collect()
}

fn origin(key: &'static str, text: &str) -> Result<HeaderValue, Problem> {
    let refuse = || {
        let why = format!(
            "{text:?} is no origin; write scheme, host and port, e.g. https://tickets.example"
        );
        (key, why)
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
        let own = |public_url: &str| Config {
            public_url: public_url.to_owned(),
            ..Config::default()
        };
        own("https://tickets.example").check(false).expect("is one");
        let refused = own("https://tickets.example/shop").check(false);
        assert_eq!(refused.expect_err("has a path").0, "public_url");
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
    fn networks_and_windows_that_cannot_be_used_are_refused_by_key() {
        let config = Config::default;
        let limits = |window_s, unlimited: &[&str]| RateLimits {
            window_s,
            unlimited: unlimited.iter().map(|text| (*text).to_owned()).collect(),
            ..RateLimits::default()
        };
        let with = |rate_limits| Config {
            rate_limits,
            ..config()
        };
        let proxies = |text: &str| Config {
            trusted_proxies: vec![text.to_owned()],
            ..config()
        };
        for (key, config) in [
            ("trusted_proxies", proxies("proxy.example")),
            ("trusted_proxies", proxies("10.0.0.0/33")),
            ("rate_limits.unlimited", with(limits(10, &["all"]))),
            ("rate_limits.window_s", with(limits(0, &[]))),
            (
                "cursor_key",
                Config {
                    cursor_key: "short".into(),
                    ..config()
                },
            ),
            ("rate_limits.window_s", with(limits(86_401, &[]))),
            (
                "mail_folder",
                Config {
                    listen: ([0, 0, 0, 0], 8080).into(),
                    insecure: true,
                    mail_folder: "mail".into(),
                    ..config()
                },
            ),
            (
                "mail_folder",
                Config {
                    public_url: "https://tickets.example".to_owned(),
                    mail_folder: "mail".into(),
                    ..config()
                },
            ),
        ] {
            assert_eq!(config.check(false).expect_err(key).0, key);
        }
        for good in ["10.0.0.1", "10.0.0.0/8", "2001:db8::/32", "::1"] {
            proxies(good).check(false).expect(good);
        }
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
