//! What an operator sets.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use holdfast_mesh::{self as mesh, config::Secret};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;

type Problem = (&'static str, String);

/// Longest name of an index: Meilisearch takes 400 bytes, of which some are ours.
const NAME_BYTES_MAX: usize = 100;

/// Configuration of the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where gRPC is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Accepts a `listen` beyond loopback in the clear, where whoever reaches it may call everything.
    /// `--insecure` doesn't set it, and with `tls.dir` it isn't needed.
    pub insecure: bool,
    /// `postgres://` URL; the role was granted `eventlog`, where the place in the stream is kept.
    pub database_url: Secret,
    /// identity-svc, `http://host:port`.
    pub identity: String,
    /// catalog-svc, `http://host:port`.
    pub catalog: String,
    /// Keeps the index up to date, and builds it where there is none. Of several processes with one
    /// Meilisearch, one does; the others only answer searches.
    pub feed: bool,
    /// Name of the place in the stream. Each index that is fed has its own.
    pub consumer: String,
    /// Where the embedded index lives, this process's own folder; made where it is missing.
    pub data_dir: PathBuf,
    /// A Meilisearch server to use in its place, `http://host:port`; empty for the embedded index.
    /// An index there that was not fed for a while must be built anew (`holdfast search rebuild`).
    pub meili_url: String,
    /// A key of that server that may search, write and manage the indexes; empty for none.
    pub meili_api_key: Secret,
    /// A key of that server that may search these indexes and nothing else: what customers ask goes
    /// with it. Empty for the key above.
    pub meili_search_key: Secret,
    /// Name of the index there; `<name>_next` is used, too.
    pub meili_index: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 7405).into(),
            insecure: false,
            database_url: Secret::default(),
            identity: "http://127.0.0.1:7401".to_owned(),
            catalog: "http://127.0.0.1:7402".to_owned(),
            feed: true,
            consumer: "search".to_owned(),
            data_dir: PathBuf::from("search"),
            meili_url: String::new(),
            meili_api_key: Secret::default(),
            meili_search_key: Secret::default(),
            meili_index: "shows".to_owned(),
        }
    }
}

impl Config {
    /// Checks what the types can't, for a process that has an identity (`tls`) or none.
    ///
    /// # Errors
    /// The first key that can't be used, and why.
    pub fn check(&self, tls: bool) -> Result<(), Problem> {
        mesh::config::check_bind(self.listen, self.insecure || tls)
            .map_err(|error| ("listen", error.to_string()))?;
        self.database()?;
        for (key, uri) in [("identity", &self.identity), ("catalog", &self.catalog)] {
            mesh::client::check(uri, tls).map_err(|error| (key, error.to_string()))?;
        }
        if !is_name(&self.consumer) {
            return Err(("consumer", must_be_a_name()));
        }
        if self.meili_url.is_empty() {
            return self.check_embedded();
        }
        self.check_meili()
    }

    fn check_embedded(&self) -> Result<(), Problem> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(("data_dir", "is required".to_owned()));
        }
        if !self.feed {
            let why = "an embedded index that nothing feeds stays empty; name a Meilisearch";
            return Err(("feed", why.to_owned()));
        }
        Ok(())
    }

    fn check_meili(&self) -> Result<(), Problem> {
        if self.meili_url.starts_with("https://") {
            let why = "https isn't built in; put Meilisearch beside this process or behind a local TLS client";
            return Err(("meili_url", why.to_owned()));
        }
        let is_base = reqwest::Url::parse(&self.meili_url).is_ok_and(|url| {
            url.scheme() == "http" && url.has_host() && url.path() == "/" && url.query().is_none()
        });
        if !is_base {
            return Err(("meili_url", "must be http://host:port".to_owned()));
        }
        for (name, key) in [
            ("meili_api_key", &self.meili_api_key),
            ("meili_search_key", &self.meili_search_key),
        ] {
            if !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
                return Err((name, "must be visible ASCII characters".to_owned()));
            }
        }
        if !is_name(&self.meili_index) {
            return Err(("meili_index", must_be_a_name()));
        }
        Ok(())
    }

    pub(crate) fn database(&self) -> Result<PgConnectOptions, Problem> {
        let url = self.database_url.expose();
        // The library reads any scheme. Its errors may repeat the URL, which has a password.
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        PgConnectOptions::from_str(url)
            .ok()
            .filter(|_| is_postgres)
            .ok_or_else(|| ("database_url", "must be a postgres:// URL".to_owned()))
    }
}

fn must_be_a_name() -> String {
    format!("must be 1 to {NAME_BYTES_MAX} letters, digits, - and _")
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Config {
        Config {
            database_url: "postgres://u:p@127.0.0.1/d".into(),
            ..Config::default()
        }
    }

    #[test]
    fn settings_out_of_bounds_are_refused_by_key() {
        good().check(false).expect("the defaults are good");
        let meili = |url: &str| Config {
            meili_url: url.to_owned(),
            feed: false,
            ..good()
        };
        meili("http://127.0.0.1:7700")
            .check(false)
            .expect("is good");
        #[rustfmt::skip]
        let cases = [
            ("listen", Config { listen: ([0, 0, 0, 0], 1).into(), ..good() }),
            ("database_url", Config { database_url: "mysql:x".into(), ..good() }),
            ("identity", Config { identity: "nowhere".into(), ..good() }),
            ("catalog", Config { catalog: String::new(), ..good() }),
            ("consumer", Config { consumer: "a b".into(), ..good() }),
            ("data_dir", Config { data_dir: PathBuf::new(), ..good() }),
            ("feed", Config { feed: false, ..good() }),
            ("meili_url", meili("https://search.example")),
            ("meili_url", meili("search.example:7700")),
            ("meili_url", meili("http://127.0.0.1:7700/path")),
            ("meili_api_key", Config { meili_api_key: "a\nb".into(), ..meili("http://127.0.0.1:7700") }),
            ("meili_search_key", Config { meili_search_key: "é".into(), ..meili("http://127.0.0.1:7700") }),
            ("meili_index", Config { meili_index: "a/b".into(), ..meili("http://127.0.0.1:7700") }),
        ];
        for (key, config) in cases {
            assert_eq!(config.check(false).expect_err(key).0, key);
        }
    }
}
