//! What an operator sets.

use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use holdfast_mesh::{self as mesh, config::Secret};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;

/// Fewest connections: one is kept while booking-svc is asked, and the service must go on reading.
const CONNECTIONS_MIN: u32 = 2;

/// Configuration of the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where gRPC is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Accepts a `listen` beyond loopback in the clear, where whoever reaches it may call everything.
    /// `--insecure` doesn't set it, and with `tls.dir` it isn't needed.
    pub insecure: bool,
    /// `postgres://` URL; the role owns schema `catalog` or may create it.
    pub database_url: Secret,
    /// Connections to Postgres, at least 2.
    pub database_connections_max: u32,
    /// identity-svc, `http://host:port`.
    pub identity: String,
    /// booking-svc, `http://host:port`.
    pub booking: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 7402).into(),
            insecure: false,
            database_url: Secret::default(),
            database_connections_max: 10,
            identity: "http://127.0.0.1:7401".to_owned(),
            booking: "http://127.0.0.1:7403".to_owned(),
        }
    }
}

impl Config {
    /// Checks what the types can't, for a process that has an identity (`tls`) or none.
    ///
    /// # Errors
    /// The first key that can't be used, and why.
    pub fn check(&self, tls: bool) -> Result<(), (&'static str, String)> {
        mesh::config::check_bind(self.listen, self.insecure || tls)
            .map_err(|error| ("listen", error.to_string()))?;
        self.database()?;
        if self.database_connections_max < CONNECTIONS_MIN {
            let why = format!("must be at least {CONNECTIONS_MIN}");
            return Err(("database_connections_max", why));
        }
        for (key, uri) in [("identity", &self.identity), ("booking", &self.booking)] {
            mesh::client::check(uri, tls).map_err(|error| (key, error.to_string()))?;
        }
        Ok(())
    }

    pub(crate) fn database(&self) -> Result<PgConnectOptions, (&'static str, String)> {
        let url = self.database_url.expose();
        // The library reads any scheme. Its errors may repeat the URL, which has a password.
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        PgConnectOptions::from_str(url)
            .ok()
            .filter(|_| is_postgres)
            .ok_or_else(|| ("database_url", "must be a postgres:// URL".to_owned()))
    }
}
