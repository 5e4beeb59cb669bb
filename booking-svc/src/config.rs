//! What an operator can set.

use std::{net::SocketAddr, time::Duration};

use holdfast_mesh::config::Secret;
use serde::{Deserialize, Serialize};

/// `[booking]` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Accepts a `listen` beyond loopback in the clear, where whoever reaches it may call everything.
    /// `--insecure` doesn't set it, and with `tls.dir` it isn't needed.
    pub insecure: bool,
    /// Postgres, schema `booking`, with the rights of a service on schema `eventlog`.
    pub database_url: Secret,
    /// Connections in the pool, at least 7; the stream takes three more.
    pub database_connections_max: u32,
    /// identity-svc, for the keys that tokens are checked with.
    pub identity: String,
    /// Client planes of the lock store's nodes.
    pub lockstore: Vec<String>,
    /// How long a customer has to pay, within the show's longest hold.
    pub payment_window_ms: u64,
    /// How often bookings past their end are looked for, and unfinished steps taken over.
    pub sweep_period_ms: u64,
}

/// The background loops take their turns with one each, and calls need some too.
pub const DATABASE_CONNECTIONS_MIN: u32 = 7;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7403)),
            insecure: false,
            database_url: Secret::new("postgres://booking@127.0.0.1:5432/holdfast"),
            database_connections_max: 24,
            identity: "http://127.0.0.1:7401".to_owned(),
            lockstore: (1..=3)
                .map(|node| format!("http://127.0.0.1:710{node}"))
                .collect(),
            payment_window_ms: 15 * 60 * 1000,
            sweep_period_ms: 1_000,
        }
    }
}

impl Config {
    /// Checks what the types can't, for a process that has an identity (`tls`) or none.
    ///
    /// # Errors
    /// The first key that can't be used, and why.
    pub fn check(&self, tls: bool) -> Result<(), (&'static str, String)> {
        holdfast_mesh::config::check_bind(self.listen, self.insecure || tls)
            .map_err(|error| ("listen", error.to_string()))?;
        if self.database_connections_max < DATABASE_CONNECTIONS_MIN {
            let why = format!("must be at least {DATABASE_CONNECTIONS_MIN}");
            return Err(("database_connections_max", why));
        }
        if self.lockstore.is_empty() {
            return Err(("lockstore", "must name at least one node".to_owned()));
        }
        let stores = self.lockstore.iter().map(|uri| ("lockstore", uri));
        for (key, uri) in stores.chain([("identity", &self.identity)]) {
            holdfast_mesh::client::check(uri, tls).map_err(|error| (key, error.to_string()))?;
        }
        for (key, span_ms) in [
            ("payment_window_ms", self.payment_window_ms),
            ("sweep_period_ms", self.sweep_period_ms),
        ] {
            if span_ms == 0 {
                return Err((key, "must be positive".to_owned()));
            }
        }
        Ok(())
    }

    pub(crate) fn sweep_period(&self) -> Duration {
        Duration::from_millis(self.sweep_period_ms)
    }
}
