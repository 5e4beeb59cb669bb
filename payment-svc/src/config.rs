//! What an operator can set.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

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
    /// What the provider signs webhooks with; of Stripe the endpoint's signing secret, `whsec_…`.
    pub webhook_secret: Secret,
    /// Stripe's API: `https`, or `http` on loopback.
    pub stripe_url: String,
    /// A secret key (`sk_…`), or a restricted one (`rk_…`) that may write Checkout Sessions and refunds
    /// and read PaymentIntents, charges, balance transactions, disputes and events. Whether it is a live
    /// or a test key decides which webhooks are taken.
    pub stripe_secret_key: Secret,
    /// Where a customer comes back to who paid at Stripe; `{CHECKOUT_SESSION_ID}` in it becomes the
    /// session's id.
    pub stripe_success_url: String,
    /// Where a customer comes back to who left Stripe's page.
    pub stripe_cancel_url: String,
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
    /// Stripe, with Checkout.
    Stripe,
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
            stripe_url: "https://api.stripe.com".to_owned(),
            stripe_secret_key: Secret::default(),
            stripe_success_url: String::new(),
            stripe_cancel_url: String::new(),
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
        required("webhook_secret", self.webhook_secret.expose())?;
        match self.provider {
            ProviderName::Sandbox => {
                required("sandbox_url", &self.sandbox_url)?;
                required("sandbox_api_key", self.sandbox_api_key.expose())?;
            }
            ProviderName::Stripe => self.check_stripe()?,
        }
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

    fn check_stripe(&self) -> Result<(), Invalid> {
        for (key, url) in [
            ("stripe_url", &self.stripe_url),
            ("stripe_success_url", &self.stripe_success_url),
            ("stripe_cancel_url", &self.stripe_cancel_url),
        ] {
            required(key, url)?;
            check_url(url).map_err(|why| Invalid {
                key,
                why: why.to_owned(),
            })?;
        }
        let secret_key = self.stripe_secret_key.expose();
        required("stripe_secret_key", secret_key)?;
        let known = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];
        let word = secret_key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !word || !known.iter().any(|start| secret_key.starts_with(start)) {
            return Err(Invalid {
                key: "stripe_secret_key",
                why: "must be a secret or restricted key: sk_ or rk_, then test_ or live_"
                    .to_owned(),
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

/// `https`, or `http` to this machine: what travels there is a key, or a customer.
fn check_url(url: &str) -> Result<(), &'static str> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("must be an http or https URL")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    if host.is_empty() || authority.contains('@') || url.contains(char::is_whitespace) {
        return Err("must be a URL with a host, and without a user");
    }
    let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if here => Ok(()),
        "http" => Err("must be https, unless it is on loopback"),
        _ => Err("must be an http or https URL"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stripe() -> Config {
        Config {
            database_url: "postgres://u@h/d".into(),
            provider: ProviderName::Stripe,
            webhook_secret: "whsec_x".into(),
            stripe_secret_key: "sk_test_x".into(),
            stripe_success_url: "https://shop.example/done?s={CHECKOUT_SESSION_ID}".to_owned(),
            stripe_cancel_url: "http://[::1]:8080/".to_owned(),
            ..Config::default()
        }
    }

    fn refused(change: impl FnOnce(&mut Config)) -> &'static str {
        let mut config = stripe();
        change(&mut config);
        config.check(false).expect_err("refused").key
    }

    #[test]
    fn stripe_needs_its_own_settings_and_not_the_sandboxs() {
        stripe().check(false).expect("enough");
        let key = refused(|config| config.stripe_secret_key = Secret::default());
        assert_eq!(key, "stripe_secret_key");
        for wrong in ["pk_live_x", "sk_x", "sk_test_x\r\n", "sk_live_ä"] {
            let key = refused(|config| config.stripe_secret_key = wrong.into());
            assert_eq!(key, "stripe_secret_key", "{wrong}");
        }
        let key = refused(|config| config.stripe_success_url.clear());
        assert_eq!(key, "stripe_success_url");
        let key = refused(|config| config.webhook_secret = Secret::default());
        assert_eq!(key, "webhook_secret");
    }

    #[test]
    fn keys_and_customers_travel_over_tls_unless_they_stay_here() {
        for (url, taken) in [
            ("https://api.stripe.com", true),
            ("http://127.0.0.1:12111", true),
            ("http://localhost/x", true),
            ("http://api.stripe.com", false),
            ("http://localhost.example", false),
            ("http://127.0.0.1@evil.example", false),
            ("ftp://127.0.0.1", false),
            ("api.stripe.com", false),
            ("https://", false),
        ] {
            assert_eq!(check_url(url).is_ok(), taken, "{url}");
        }
        let key = refused(|config| config.stripe_url = "http://api.stripe.com".to_owned());
        assert_eq!(key, "stripe_url");
        let key = refused(|config| config.stripe_cancel_url = "javascript:alert(1)".to_owned());
        assert_eq!(key, "stripe_cancel_url");
    }
}
