//! Who this process is to others, proved by mutual TLS: one certificate a service name, all from one
//! authority.
//!
//! Always holds: a name is good for every address, since a client asks for the name it wants and not
//! for a host; an identity that was loaded would be taken by a peer that believes the same authority;
//! a private key is never printed. Leaves to others: who may call what, and making certificates.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{WebPkiServerVerifier, danger::HandshakeSignatureValid, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity as KeyPair};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::metrics;

/// What follows a service's name in its certificate: `booking.holdfast.internal`.
pub const DOMAIN: &str = "holdfast.internal";

/// The file of the authority's certificate in a folder of certificates.
pub const CA_FILE: &str = "ca.pem";

/// Longest handshake of a client. Peers are one hop away, and calls that wait for it all fail with it,
/// so that the next make another.
const HANDSHAKE_MAX: Duration = Duration::from_secs(2);

/// HTTP/2, as a handshake names it.
const ALPN_H2: &[u8] = b"h2";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that was read is no good.
    #[error("{} {why}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A service's certificate and key, and the authority that it believes.
#[derive(Clone)]
pub struct Identity {
    name: &'static str,
    ca: Certificate,
    key_pair: KeyPair,
    /// When the first of its certificate and its authority's ends, and which file that is.
    expires: SystemTime,
    first_to_end: String,
    shown: Arc<dyn ResolvesServerCert>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Identity {
    /// Reads `<name>.pem`, `<name>.key` and [`CA_FILE`] of `dir`, all PEM, and checks that they belong
    /// together and are good now.
    ///
    /// # Errors
    /// [`Error`] names the file: it isn't there, is no PEM, has expired, is of another authority or
    /// name, or the key is of another certificate.
    pub fn load(dir: &Path, name: &'static str) -> Result<Self, Error> {
        let ca_path = dir.join(CA_FILE);
        let certificate_path = dir.join(format!("{name}.pem"));
        let key_path = dir.join(format!("{name}.key"));
        let (ca_pem, ca) = read_certificates(&ca_path)?;
        let (certificate_pem, chain) = read_certificates(&certificate_path)?;
        let key_pem = read(&key_path)?;
        let unusable = |path: &Path, why: String| Error::Unusable {
            path: path.to_owned(),
            why,
        };

        let leaf = chain.first().and_then(expiry_of);
        let mut expires = leaf.ok_or_else(|| {
            unusable(
                &certificate_path,
                "says no time of its end that can be read".to_owned(),
            )
        })?;
        let mut first_to_end = format!("{name}.pem");
        let mut roots = RootCertStore::empty();
        for certificate in ca {
            // A chain's check doesn't ask how old its authority is.
            if let Some(at) = expiry_of(&certificate) {
                if at <= SystemTime::now() {
                    return Err(unusable(&ca_path, "has expired".to_owned()));
                }
                if at < expires {
                    (expires, first_to_end) = (at, CA_FILE.to_owned());
                }
            }
            roots
                .add(certificate)
                .map_err(|error| unusable(&ca_path, format!("is no authority: {error}")))?;
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| unusable(&ca_path, format!("is no authority: {error}")))?;
        check(&chain, roots, clients.as_ref(), name)
            .map_err(|error| unusable(&certificate_path, reason(&error, name)))?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|_| unusable(&key_path, "is no private key as PEM".to_owned()))?;
        let shown = CertifiedKey::from_der(chain, key, &provider()).map_err(|_| {
            let why = format!("isn't the key of {}", certificate_path.display());
            unusable(&key_path, why)
        })?;
        Ok(Self {
            name,
            ca: Certificate::from_pem(ca_pem),
            key_pair: KeyPair::from_pem(certificate_pem, key_pem),
            expires,
            first_to_end,
            shown: Arc::new(SingleCertAndKey::from(shown)),
            clients,
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
            .timeout(HANDSHAKE_MAX)
    }

    /// When it ends: its certificate, or its authority's if that is earlier.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// The name of the file whose end that is.
    pub fn first_to_end(&self) -> &str {
        &self.first_to_end
    }

    /// Records when it ends; to be called when the process has its metrics.
    pub fn record_expiry(&self) {
        let at = self.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        ::metrics::gauge!(metrics::CERTIFICATE_EXPIRY, "name" => self.name).set(at.as_secs_f64());
    }

    /// How to answer one connection: with TLS 1.3, and only to a client whose certificate is of the
    /// same authority. The name that it claims is put into `claimed` before it is believed.
    /// No session is kept: connections last, and each proves itself.
    pub(crate) fn server_config(&self, claimed: Arc<OnceLock<String>>) -> ServerConfig {
        let clients = NotingClaims {
            inner: Arc::clone(&self.clients),
            claimed,
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring has cipher suites of TLS 1.3")
            .with_client_cert_verifier(Arc::new(clients))
            .with_cert_resolver(Arc::clone(&self.shown));
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// When the certificate of a PEM file ends.
///
/// # Errors
/// [`Error`] if it can't be told.
pub fn expiry(path: &Path) -> Result<SystemTime, Error> {
    let (_, certificates) = read_certificates(path)?;
    let at = certificates.first().and_then(expiry_of);
    at.ok_or_else(|| Error::Unusable {
        path: path.to_owned(),
        why: "says no time of its end that can be read".to_owned(),
    })
}

/// The service that a certificate names: exactly one in [`DOMAIN`], and nothing beside it.
pub(crate) fn name_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::DNSName(name)] => {
            let name = name.strip_suffix(DOMAIN)?.strip_suffix('.')?;
            Some(name.to_owned())
        }
        _ => None,
    }
}

/// The one provider of cryptography: ring.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

/// A file's text, and the certificates in it; at least one.
fn read_certificates(path: &Path) -> Result<(Vec<u8>, Vec<CertificateDer<'static>>), Error> {
    let pem = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .unwrap_or_default();
    if certificates.is_empty() {
        return Err(Error::Unusable {
            path: path.to_owned(),
            why: "is no certificate as PEM".to_owned(),
        });
    }
    Ok((pem, certificates))
}

fn expiry_of(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let seconds = certificate.validity().not_after.timestamp();
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Looks at a certificate as peers will, both as a server's and as a client's.
fn check(
    chain: &[CertificateDer<'_>],
    roots: Arc<RootCertStore>,
    clients: &dyn ClientCertVerifier,
    name: &str,
) -> Result<(), rustls::Error> {
    let (leaf, rest) = chain
        .split_first()
        .ok_or(rustls::Error::NoCertificatesPresented)?;
    let now = UnixTime::now();
    let wanted = ServerName::try_from(format!("{name}.{DOMAIN}"))
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let servers = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    servers.verify_server_cert(leaf, rest, &wanted, &[], now)?;
    clients.verify_client_cert(leaf, rest, now)?;
    if name_in(leaf).as_deref() != Some(name) {
        return Err(CertificateError::NotValidForName.into());
    }
    Ok(())
}

/// What a certificate's owner can do something about.
fn reason(error: &rustls::Error, name: &str) -> String {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "isn't valid yet; is the clock right?".to_owned()
        }
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            format!("is of another authority than {CA_FILE} beside it")
        }
        rustls::Error::InvalidCertificate(
            Bad::NotValidForName | Bad::NotValidForNameContext { .. },
        ) => format!("must name {name}.{DOMAIN}, and nothing else"),
        other => format!("can't be used: {other}"),
    }
}

/// Checks clients as `inner` does, and remembers who each said it was.
#[derive(Debug)]
struct NotingClaims {
    inner: Arc<dyn ClientCertVerifier>,
    claimed: Arc<OnceLock<String>>,
}

impl ClientCertVerifier for NotingClaims {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if let Some(name) = name_in(end_entity) {
            let _ = self.claimed.set(name);
        }
        self.inner
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
