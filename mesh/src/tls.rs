//! Who this process is to others, proved by mutual TLS: one certificate a service name, all from one
//! authority.
//!
//! Always holds: a name is good for every address, since a client asks for the name it wants and not
//! for a host; a private key is never printed. Leaves to others: who may call what, and making
//! certificates.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tonic::transport::{Certificate, ClientTlsConfig, Identity as KeyPair};

/// What follows a service's name in its certificate: `booking.holdfast.internal`.
pub const DOMAIN: &str = "holdfast.internal";

/// The file of the authority's certificate in a folder of certificates.
pub const CA_FILE: &str = "ca.pem";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("can't read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A service's certificate and key, and the authority that it believes.
#[derive(Clone)]
pub struct Identity {
    name: &'static str,
    ca: Certificate,
    key_pair: KeyPair,
}

impl Identity {
    /// Reads `<name>.pem`, `<name>.key` and [`CA_FILE`] of `dir`, all PEM.
    ///
    /// # Errors
    /// [`Error`] names the file.
    pub fn load(dir: &Path, name: &'static str) -> Result<Self, Error> {
        let read = |file: String| {
            let path = dir.join(file);
            std::fs::read(&path).map_err(|source| Error::File { path, source })
        };
        Ok(Self {
            name,
            ca: Certificate::from_pem(read(CA_FILE.to_owned())?),
            key_pair: KeyPair::from_pem(read(format!("{name}.pem"))?, read(format!("{name}.key"))?),
        })
    }

    /// Whose it is.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How to connect as this identity to the service named `peer`, and to nobody else.
    pub fn client_config(&self, peer: &str) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(self.ca.clone())
            .identity(self.key_pair.clone())
            .domain_name(format!("{peer}.{DOMAIN}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
