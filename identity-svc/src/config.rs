//! The `[identity]` section.

use std::{net::SocketAddr, str::FromStr};

use holdfast_mesh::{self as mesh, config::Secret};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;

/// What the service needs to know. Defaults: loopback port 7401, no operator token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where gRPC listens.
    pub listen: SocketAddr,
    /// Accepts a `listen` beyond loopback in the clear, where whoever reaches it may call everything.
    /// `--insecure` doesn't set it, and with `tls.dir` it isn't needed.
    pub insecure: bool,
    /// `postgres://` URL of a role that owns schema `identity`. Needed.
    pub database_url: Secret,
    /// Connections of the pool, at least 1.
    pub database_connections_max: u32,
    /// What the local CLI shows to act as an operator; empty turns that off.
    pub operator_token: Secret,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 7401).into(),
            insecure: false,
            database_url: Secret::default(),
            database_connections_max: 8,
            operator_token: Secret::default(),
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
        if self.database_connections_max == 0 {
            return Err(("database_connections_max", "must be at least 1".to_owned()));
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
