//! What an operator can set.

use std::{net::SocketAddr, time::Duration};

use holdfast_mesh::{self as mesh, config::Secret};
use serde::{Deserialize, Serialize};

/// Settings of payment-svc.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Accepts a `listen` beyond loopback in the clear, where whoever reaches it may call everything.
    /// `--insecure` doesn't set it, and with `tls.dir` it isn't needed.
    pub insecure: bool,
    /// Postgres, as the role that owns schema `payment` and was granted `eventlog`.
    pub database_url: Secret,
    /// Connections in the pool; the stream takes three more.
    pub database_connections_max: u32,
    /// identity-svc, `http://host:port`: where the keys of access tokens come from.
    pub identity: String,
    /// Who collects the money.
    pub provider: ProviderName,
    /// The sandbox provider's base URL.
    pub sandbox_url: String,
    /// What payment-svc authenticates itself with at the sandbox.
    pub sandbox_api_key: Secret,
    /// What the provider signs webhooks with.
    pub webhook_secret: Secret,
    /// How long a session may be silent before the provider is asked; doubles with each time.
    pub reconcile_after_ms: u64,
    /// How often silent sessions are looked for.
    pub reconcile_period_ms: u64,
}

/// The providers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderName {
    /// The embedded one: a hosted page with buttons, and no real money.
    Sandbox,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 7404).into(),
            insecure: false,
            database_url: Secret::default(),
            database_connections_max: 16,
            identity: "http://127.0.0.1:7401".to_owned(),
            provider: ProviderName::Sandbox,
            sandbox_url: "http://127.0.0.1:8081".to_owned(),
            sandbox_api_key: Secret::default(),
            webhook_secret: Secret::default(),
            reconcile_after_ms: 15_000,
            reconcile_period_ms: 5_000,
        }
    }
}

impl Config {
    /// Checks what types can't say, for a process that has an identity (`tls`) or none.
    ///
    /// # Errors
    /// [`Invalid`], naming the key.
    pub fn check(&self, tls: bool) -> Result<(), Invalid> {
        let invalid = |key, why| Invalid { key, why };
        mesh::config::check_bind(self.listen, self.insecure || tls)
            .map_err(|error| invalid("listen", error.to_string()))?;
        required("database_url", self.database_url.expose())?;
        required("identity", &self.identity)?;
        mesh::client::check(&self.identity, tls)
            .map_err(|error| invalid("identity", error.to_string()))?;
        required("sandbox_url", &self.sandbox_url)?;
        required("sandbox_api_key", self.sandbox_api_key.expose())?;
        required("webhook_secret", self.webhook_secret.expose())?;
        if self.database_connections_max == 0 {
            return Err(Invalid {
                key: "database_connections_max",
                why: "must be at least 1".to_owned(),
            });
        }
        if self.reconcile_after_ms == 0 || self.reconcile_period_ms == 0 {
            let key = "reconcile_after_ms, reconcile_period_ms";
            return Err(Invalid {
                key,
                why: "must be at least 1".to_owned(),
            });
        }
        Ok(())
    }

    pub(crate) fn reconcile_after(&self) -> Duration {
        Duration::from_millis(self.reconcile_after_ms)
    }

    pub(crate) fn reconcile_period(&self) -> Duration {
        Duration::from_millis(self.reconcile_period_ms)
    }
}

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration key {key}: {why}")]
pub struct Invalid {
    /// Which.
    pub key: &'static str,
    /// Why not.
    pub why: String,
}

pub(crate) fn required(key: &'static str, value: &str) -> Result<(), Invalid> {
    if value.is_empty() {
        Err(Invalid {
            key,
            why: "is required".to_owned(),
        })
    } else {
        Ok(())
    }
}
