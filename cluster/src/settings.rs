//! The configuration of a process: one section a role, each the service's own type.

use std::net::{Ipv4Addr, SocketAddr};

use holdfast_mesh::{self as mesh, config::Secret};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;

use crate::{cli::Role, error::Error};

/// Everything that can be configured. Roles that don't run ignore their section.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// How to log.
    pub(crate) log: mesh::telemetry::LogConfig,
    /// Where traces go.
    pub(crate) trace: mesh::telemetry::TraceConfig,
    /// What operators ask the process.
    pub(crate) ops: Ops,
    /// One lock-store node.
    pub(crate) lockstore: lockstore_node::Config,
    /// Accounts.
    pub(crate) identity: identity_svc::Config,
    /// Venues to shows.
    pub(crate) catalog: catalog_svc::Config,
    /// Bookings.
    pub(crate) booking: booking_svc::Config,
    /// Money.
    pub(crate) payment: payment_svc::Config,
    /// Finding shows.
    pub(crate) search: search_svc::Config,
    /// The provider to try things with.
    pub(crate) sandbox: payment_svc::sandbox::Config,
    /// REST.
    pub(crate) gateway: gateway::Config,
}

/// `/healthz`, `/readyz` and `/metrics` of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ops {
    /// HTTP address.
    pub(crate) listen: SocketAddr,
    /// Allows an address other than loopback, in the clear.
    pub(crate) insecure: bool,
}

impl Default for Ops {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9401)),
            insecure: false,
        }
    }
}

impl Config {
    /// What `--insecure` means: every role may listen beyond loopback.
    pub(crate) fn allow_insecure(&mut self) {
        for flag in [
            &mut self.ops.insecure,
            &mut self.lockstore.insecure,
            &mut self.identity.insecure,
            &mut self.catalog.insecure,
            &mut self.booking.insecure,
            &mut self.payment.insecure,
            &mut self.search.insecure,
            &mut self.sandbox.insecure,
            &mut self.gateway.insecure,
        ] {
            *flag = true;
        }
    }

    /// Checks what `role` needs, before anything is bound.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key.
    pub(crate) fn check(&self, role: Role) -> Result<(), Error> {
        let bind = |key: &str, listen, insecure| {
            mesh::config::check_bind(listen, insecure)
                .map_err(|e| Error::Config(format!("{key}: {e}")))
        };
        let service = |section: &str, listen, insecure, url: &Secret| {
            bind(&format!("{section}.listen"), listen, insecure)?;
            let parsed: Result<PgConnectOptions, _> = url.expose().parse();
            if url.is_empty() || parsed.is_err() {
                let why = if url.is_empty() {
                    "is required"
                } else {
                    "not of the form postgres://user:password@host:port/database"
                };
                return Err(Error::Config(format!("{section}.database_url: {why}")));
            }
            Ok(())
        };
        let named = |section: &'static str| {
            move |(key, why): (&'static str, String)| {
                Error::Config(format!("{section}.{key}: {why}"))
            }
        };
        self.trace.check().map_err(named("trace"))?;
        bind("ops.listen", self.ops.listen, self.ops.insecure)?;
        match role {
            Role::Lockstore => {
                let node = &self.lockstore;
                bind("lockstore.listen_client", node.listen_client, node.insecure)?;
                bind("lockstore.listen_peer", node.listen_peer, node.insecure)?;
                node.validate().map_err(|e| Error::Config(e.to_string()))
            }
            Role::Identity => self.identity.check().map_err(named("identity")),
            Role::Catalog => self.catalog.check().map_err(named("catalog")),
            Role::Booking => {
                service(
                    "booking",
                    self.booking.listen,
                    self.booking.insecure,
                    &self.booking.database_url,
                )?;
                self.booking.check().map_err(named("booking"))
            }
            Role::Payment => {
                service(
                    "payment",
                    self.payment.listen,
                    self.payment.insecure,
                    &self.payment.database_url,
                )?;
                let checked = self.payment.check();
                checked.map_err(|e| named("payment")((e.key, e.why.to_owned())))
            }
            Role::Search => self.search.check().map_err(named("search")),
            Role::Sandbox => {
                service(
                    "sandbox",
                    self.sandbox.listen,
                    self.sandbox.insecure,
                    &self.sandbox.database_url,
                )?;
                let checked = self.sandbox.check();
                checked.map_err(|e| named("sandbox")((e.key, e.why.to_owned())))
            }
            Role::Gateway => self.gateway.check().map_err(named("gateway")),
            Role::All => Role::IN_ALL.iter().try_for_each(|role| self.check(*role)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_print_without_secrets_and_read_back() {
        let mut config = Config::default();
        config.booking.database_url = Secret::new("postgres://u:hunter2@h/d");
        let text = toml::to_string(&config).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("***"));
        insta::assert_snapshot!(toml::to_string(&Config::default()).unwrap());
        toml::from_str::<Config>(&text).unwrap();
    }

    #[test]
    fn bad_values_are_refused_by_key_for_the_role_that_needs_them() {
        let mut config = Config::default();
        config.booking.database_url = Secret::default();
        let text = config.check(Role::Booking).unwrap_err().to_string();
        assert!(text.contains("booking.database_url"), "{text}");
        config.check(Role::Gateway).unwrap();
        config.trace.sample_ratio = 2.0;
        let text = config.check(Role::Gateway).unwrap_err().to_string();
        assert!(text.contains("trace.sample_ratio"), "{text}");
        config.trace.sample_ratio = 1.0;
        config.gateway.listen = ([0, 0, 0, 0], 8080).into();
        let text = config.check(Role::Gateway).unwrap_err().to_string();
        assert!(text.contains("gateway.listen"), "{text}");
        config.allow_insecure();
        config.check(Role::Gateway).unwrap();
    }
}
