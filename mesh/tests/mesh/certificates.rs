//! Certificates of a test's own authorities.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use holdfast_mesh::tls::{CA_FILE, DOMAIN};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const HOUR: Duration = Duration::from_secs(3600);

/// Makes certificates that believe each other.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::good_for(24 * HOUR)
    }

    pub(crate) fn good_for(life: Duration) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.not_after = (SystemTime::now() + life).into();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Writes the authority and a good certificate for each of `names` into `dir`.
    pub(crate) fn fill(&self, dir: &Path, names: &[&str]) {
        fs::write(dir.join(CA_FILE), &self.pem).expect("written");
        for name in names {
            self.issue(dir, name, &[&format!("{name}.{DOMAIN}")], HOUR);
        }
    }

    /// Writes a certificate that ran out an hour ago.
    pub(crate) fn issue_expired(&self, dir: &Path, name: &str) {
        self.issue(dir, name, &[&format!("{name}.{DOMAIN}")], Duration::ZERO);
    }

    /// Writes a certificate for `dns_names`, as that of `name`. It ran out where `life` is nothing.
    pub(crate) fn issue(&self, dir: &Path, name: &str, dns_names: &[&str], life: Duration) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let now = SystemTime::now();
        params.not_before = (now - 3 * HOUR).into();
        params.not_after = if life.is_zero() {
            (now - HOUR).into()
        } else {
            (now + life).into()
        };
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        fs::write(dir.join(format!("{name}.pem")), signed.pem()).expect("written");
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}
