//! The configuration of a process: one section a role, each the service's own type.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use holdfast_mesh::{self as mesh, config::Secret, tls::Identity};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;

use crate::{certs::describe, cli::Role, error::Error};

/// Who each role is to others, by its name.
pub(crate) type Identities = BTreeMap<&'static str, Identity>;

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
    /// Who the process is to others.
    pub(crate) tls: Tls,
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
    /// Allows an address other than loopback, in the clear, as `--insecure` does.
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

/// Certificates for gRPC between processes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// The folder with `ca.pem` and for each role of this process `NAME.pem` and `NAME.key`, as
    /// `holdfast certs` makes them. Every gRPC address is `https` then. Empty: gRPC is in the clear,
    /// on loopback, unless a part's own `insecure` says otherwise.
    pub(crate) dir: PathBuf,
}

impl Config {
    /// Whether gRPC is over TLS.
    fn tls(&self) -> bool {
        !self.tls.dir.as_os_str().is_empty()
    }

    /// The certificate of each of `roles` that has one.
    ///
    /// # Errors
    /// [`Error::Config`] names `tls.dir` and the file.
    pub(crate) fn identities(&self, roles: &[Role]) -> Result<Identities, Error> {
        let mut identities = Identities::new();
        for name in roles.iter().filter_map(|role| role.identity()) {
            if self.tls() {
                let identity = Identity::load(&self.tls.dir, name)
                    .map_err(|error| Error::Config(format!("tls.dir: {}", describe(error))))?;
                identities.insert(name, identity);
            }
        }
        Ok(identities)
    }

    /// What `--insecure` means: plain HTTP may be reached from elsewhere. gRPC in the clear does what
    /// anybody asks, so that each part's own key must say so.
    pub(crate) fn allow_insecure(&mut self) {
        for flag in [
            &mut self.ops.insecure,
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
        let tls = self.tls();
        let database = |section: &str, url: &Secret| {
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
                let open = node.insecure || tls;
                bind("lockstore.listen_client", node.listen_client, open)?;
                bind("lockstore.listen_peer", node.listen_peer, open)?;
                node.validate(tls).map_err(|e| Error::Config(e.to_string()))
            }
            Role::Identity => self.identity.check(tls).map_err(named("identity")),
            Role::Catalog => self.catalog.check(tls).map_err(named("catalog")),
            Role::Booking => {
                database("booking", &self.booking.database_url)?;
                self.booking.check(tls).map_err(named("booking"))
            }
            Role::Payment => {
                database("payment", &self.payment.database_url)?;
                let checked = self.payment.check(tls);
                checked.map_err(|e| named("payment")((e.key, e.why)))
            }
            Role::Search => self.search.check(tls).map_err(named("search")),
            Role::Sandbox => {
                bind("sandbox.listen", self.sandbox.listen, self.sandbox.insecure)?;
                database("sandbox", &self.sandbox.database_url)?;
                let checked = self.sandbox.check();
                checked.map_err(|e| named("sandbox")((e.key, e.why)))
            }
            Role::Gateway => self.gateway.check(tls).map_err(named("gateway")),
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

    #[test]
    fn the_flag_opens_plain_http_and_no_grpc() {
        let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7000));
        let url = || Secret::new("postgres://u@h/d");
        let mut config = Config::default();
        (config.booking.database_url, config.catalog.database_url) = (url(), url());
        (config.search.database_url, config.payment.database_url) = (url(), url());
        (config.identity.database_url, config.sandbox.database_url) = (url(), url());
        config.payment.webhook_secret = Secret::new("s");
        config.payment.sandbox_api_key = Secret::new("k");
        for listen in [
            &mut config.ops.listen,
            &mut config.identity.listen,
            &mut config.catalog.listen,
            &mut config.booking.listen,
            &mut config.payment.listen,
            &mut config.search.listen,
            &mut config.lockstore.listen_client,
            &mut config.gateway.listen,
        ] {
            *listen = anywhere;
        }
        config.allow_insecure();
        config.check(Role::Gateway).unwrap();
        for (role, key) in [
            (Role::Identity, "identity.listen"),
            (Role::Catalog, "catalog.listen"),
            (Role::Booking, "booking.listen"),
            (Role::Payment, "payment.listen"),
            (Role::Search, "search.listen"),
            (Role::Lockstore, "lockstore.listen_client"),
        ] {
            let text = config.check(role).unwrap_err().to_string();
            assert!(text.contains(key) && text.contains("loopback"), "{text}");
        }
        config.identity.insecure = true;
        config.check(Role::Identity).unwrap();
    }

    #[test]
    fn with_certificates_grpc_may_be_reached_from_elsewhere_and_plain_http_may_not() {
        let mut config = Config::default();
        config.tls.dir = "certificates".into();
        config.catalog.database_url = Secret::new("postgres://u@h/d");
        config.catalog.listen = ([0, 0, 0, 0], 7402).into();
        config.catalog.identity = "https://identity:7401".to_owned();
        config.catalog.booking = "https://booking:7403".to_owned();
        config.check(Role::Catalog).unwrap();
        config.ops.listen = ([0, 0, 0, 0], 9401).into();
        let text = config.check(Role::Catalog).unwrap_err().to_string();
        assert!(text.contains("ops.listen"), "{text}");
    }

    #[test]
    fn addresses_of_the_wrong_scheme_are_refused_by_key() {
        let key_of = |config: &Config, role| config.check(role).unwrap_err().to_string();
        let mut config = Config::default();
        config.tls.dir = "certificates".into();
        let url = || Secret::new("postgres://u@h/d");
        (config.booking.database_url, config.catalog.database_url) = (url(), url());
        (config.search.database_url, config.payment.database_url) = (url(), url());
        config.payment.sandbox_api_key = Secret::new("k");
        config.payment.webhook_secret = Secret::new("s");
        for (role, key) in [
            (Role::Gateway, "gateway.lockstore"),
            (Role::Booking, "booking.lockstore"),
            (Role::Catalog, "catalog.identity"),
            (Role::Payment, "payment.identity"),
            (Role::Search, "search.identity"),
            (Role::Lockstore, "lockstore.members"),
        ] {
            let text = key_of(&config, role);
            assert!(text.contains(key) && text.contains("https"), "{text}");
        }
        config.gateway.lockstore = vec!["https://node:7101".to_owned()];
        assert!(key_of(&config, Role::Gateway).contains("gateway.identity_uri"));
        config.tls.dir = PathBuf::new();
        let text = key_of(&config, Role::Gateway);
        assert!(
            text.contains("gateway.lockstore") && text.contains("tls.dir"),
            "{text}"
        );
    }

    #[test]
    fn a_certificate_that_can_not_be_used_is_refused_by_key_and_file() {
        let temp = tempfile::tempdir().unwrap();
        let folder = crate::certs::Folder::new(temp.path().to_owned());
        folder.ensure().unwrap();
        let mut config = Config::default();
        assert!(config.identities(&Role::IN_ALL).unwrap().is_empty());
        config.tls.dir = temp.path().to_owned();
        let of_all = config.identities(&Role::IN_ALL).unwrap();
        let names: Vec<_> = of_all.keys().copied().collect();
        assert_eq!(
            names,
            [
                "booking", "catalog", "gateway", "identity", "payment", "search"
            ]
        );
        std::fs::remove_file(temp.path().join("search.key")).unwrap();
        let text = config.identities(&Role::IN_ALL).unwrap_err().to_string();
        assert!(text.contains("tls.dir: can't read"), "{text}");
        assert!(text.contains("search.key"), "{text}");
        config.identities(&[Role::Booking]).unwrap();
    }
}
