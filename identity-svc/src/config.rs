//! The `[identity]` section.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use holdfast_mesh::{self as mesh, config::Secret};
use http::Uri;
use lettre::{
    AsyncSmtpTransport, Tokio1Executor,
    message::Mailbox,
    transport::smtp::{
        AsyncSmtpTransportBuilder,
        client::{Certificate, Tls, TlsParameters},
    },
};
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
    /// Mail about accounts.
    pub mail: Mail,
}

/// Where mail about accounts goes: to an SMTP server, or else into a folder. With neither nobody gets any.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// The server: `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for one that
    /// begins in the clear. Without TLS on this machine only. Empty: none.
    pub smtp_url: Secret,
    /// PEM file of authorities that may have signed the server's certificate, besides Mozilla's, which are built in:
    /// a company's own, or the machine's, e.g. `/etc/ssl/certs/ca-certificates.crt`. Empty: none.
    pub smtp_ca_file: PathBuf,
    /// Where there is no server: the folder that letters are written to as files, the newest 500.
    pub folder: PathBuf,
    /// Whom letters are from.
    pub from: String,
    /// What links in letters begin with: where people find the gateway's pages, e.g.
    /// `https://tickets.example`.
    pub links: String,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            smtp_url: Secret::default(),
            smtp_ca_file: PathBuf::new(),
            folder: PathBuf::new(),
            from: "Holdfast <no-reply@localhost>".to_owned(),
            links: "http://127.0.0.1:8080".to_owned(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 7401).into(),
            insecure: false,
            database_url: Secret::default(),
            database_connections_max: 8,
            operator_token: Secret::default(),
            mail: Mail::default(),
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
        self.mail.check()
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

const CA_FILE: &str = "mail.smtp_ca_file";

/// What each certificate of a PEM file begins with.
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

impl Mail {
    fn check(&self) -> Result<(), (&'static str, String)> {
        self.from()?;
        self.smtp()?;
        let links: Option<Uri> = self.links.parse().ok();
        let web = links.is_some_and(|links| {
            matches!(links.scheme_str(), Some("http" | "https")) && links.query().is_none()
        });
        if !web || self.links.ends_with('/') {
            let why = "must be like https://tickets.example, without a / at its end";
            return Err(("mail.links", why.to_owned()));
        }
        Ok(())
    }

    pub(crate) fn from(&self) -> Result<Mailbox, (&'static str, String)> {
        let parsed = self.from.parse();
        parsed.map_err(|error| ("mail.from", format!("{:?}: {error}", self.from)))
    }

    /// The way to the server, where one is named.
    pub(crate) fn smtp(&self) -> Result<Option<AsyncSmtpTransportBuilder>, (&'static str, String)> {
        let url = self.smtp_url.expose();
        if url.is_empty() {
            return Ok(None);
        }
        // Errors may repeat the URL, which has a password.
        let refuse = |why: &str| ("mail.smtp_url", why.to_owned());
        let is_none = || refuse("must be like smtps://user:password@host");
        let parsed: Uri = url.parse().map_err(|_| is_none())?;
        let host = parsed.host().ok_or_else(is_none)?;
        let tls = parsed.scheme_str() == Some("smtps")
            || parsed.query().is_some_and(|query| query == "tls=required");
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let own = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        if !tls && !own {
            return Err(refuse(
                "tokens aren't sent in the clear to another machine; write smtps:// or ?tls=required",
            ));
        }
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        let transport = transport.map_err(|_| is_none())?;
        if self.smtp_ca_file.as_os_str().is_empty() {
            return Ok(Some(transport));
        }
        if !tls {
            let why = "is of no use to mail.smtp_url, which is without TLS";
            return Err((CA_FILE, why.to_owned()));
        }
        let parameters = self.trusting(host)?;
        Ok(Some(transport.tls(match parsed.scheme_str() {
            Some("smtps") => Tls::Wrapper(parameters),
            _ => Tls::Required(parameters),
        })))
    }

    /// How to know the server of that name, with the authorities of the file.
    fn trusting(&self, host: &str) -> Result<TlsParameters, (&'static str, String)> {
        let named = self.smtp_ca_file.display();
        let pem = fs::read(&self.smtp_ca_file);
        let pem = pem.map_err(|error| (CA_FILE, format!("{named}: {error}")))?;
        if !String::from_utf8_lossy(&pem).contains(PEM_BEGIN) {
            return Err((CA_FILE, format!("{named} has no certificate in PEM")));
        }
        let unusable = |error| (CA_FILE, format!("{named}: {error}"));
        let authorities = Certificate::from_pem(&pem).map_err(unusable)?;
        TlsParameters::builder(host.to_owned())
            .add_root_certificate(authorities)
            .build()
            .map_err(unusable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(mail: &Mail) -> Option<&'static str> {
        mail.check().err().map(|(key, _)| key)
    }

    #[test]
    fn mail_goes_in_the_clear_on_this_machine_only() {
        let with = |url: &str| Mail {
            smtp_url: url.into(),
            ..Mail::default()
        };
        for good in [
            "",
            "smtp://127.0.0.1:2525",
            "smtp://localhost",
            "smtps://user:secret@mail.example",
            "smtp://user:secret@mail.example:587?tls=required",
        ] {
            assert_eq!(key(&with(good)), None, "{good}");
        }
        for bad in [
            "mail.example",
            "http://mail.example",
            "smtp://mail.example",
            "smtp://mail.example?tls=opportunistic",
            "smtp://127.0.0.1.example",
            "smtp:///",
        ] {
            let refused = with(bad).check().expect_err(bad);
            assert_eq!(refused.0, "mail.smtp_url", "{bad}");
            assert!(!refused.1.contains("secret"));
        }
    }

    #[test]
    fn a_file_of_authorities_has_some_and_is_for_tls() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |text: &str| {
            let path = folder.path().join("ca.pem");
            fs::write(&path, text).expect("writes");
            path
        };
        let with = |url: &str, smtp_ca_file| Mail {
            smtp_url: url.into(),
            smtp_ca_file,
            ..Mail::default()
        };
        let tls = "smtps://mail.example";
        assert_eq!(
            key(&with("", PathBuf::from("/nowhere"))),
            None,
            "isn't used"
        );
        for (url, path) in [
            (tls, PathBuf::from("/nowhere")),
            (tls, file("no certificate")),
            (
                tls,
                file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ),
            ("smtp://127.0.0.1", file("")),
        ] {
            assert_eq!(key(&with(url, path)), Some(CA_FILE), "{url}");
        }
    }

    #[test]
    fn senders_and_links_are_checked_before_anything_is_bound() {
        let from = |from: &str| Mail {
            from: from.to_owned(),
            ..Mail::default()
        };
        assert_eq!(key(&from("Tickets <no-reply@tickets.example>")), None);
        for bad in ["", "Tickets", "a@b\r\nBcc: c@d"] {
            assert_eq!(key(&from(bad)), Some("mail.from"), "{bad:?}");
        }
        let links = |links: &str| Mail {
            links: links.to_owned(),
            ..Mail::default()
        };
        assert_eq!(key(&links("https://tickets.example/shop")), None);
        for bad in [
            "",
            "tickets.example",
            "https://tickets.example/",
            "https://a?b",
        ] {
            assert_eq!(key(&links(bad)), Some("mail.links"), "{bad:?}");
        }
    }
}
