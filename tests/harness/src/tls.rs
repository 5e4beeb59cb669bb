//! Certificates of a system, read as a program of somebody else's would: gRPC calls as a part, as the
//! operator, or as somebody from elsewhere.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// What follows a part's name in its certificate.
const DOMAIN: &str = "holdfast.internal";

/// A folder of certificates.
#[derive(Debug, Clone)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// Those in `dir`, as `holdfast certs` makes them.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// How to connect as `name` to the part `peer`.
    ///
    /// # Errors
    /// A file that isn't there.
    pub fn of(&self, name: &str, peer: &str) -> Result<ClientTlsConfig> {
        let identity = Identity::from_pem(
            self.read(&format!("{name}.pem"))?,
            self.read(&format!("{name}.key"))?,
        );
        Ok(self.of_nobody(peer)?.identity(identity))
    }

    /// How to connect to the part `peer` without a certificate.
    ///
    /// # Errors
    /// A file that isn't there.
    pub fn of_nobody(&self, peer: &str) -> Result<ClientTlsConfig> {
        let authority = Certificate::from_pem(self.read("ca.pem")?);
        Ok(ClientTlsConfig::new()
            .ca_certificate(authority)
            .domain_name(format!("{peer}.{DOMAIN}")))
    }

    /// A channel that connects when it is first used, to `uri` as `name`.
    ///
    /// # Errors
    /// A file that isn't there; no address.
    pub fn channel(&self, uri: &str, name: &str, peer: &str) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(uri.to_owned())?;
        Ok(endpoint.tls_config(self.of(name, peer)?)?.connect_lazy())
    }

    fn read(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(file);
        fs::read(&path).with_context(|| format!("can't read {}", path.display()))
    }
}
