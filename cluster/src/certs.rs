//! A folder of certificates: the authority that all of them are from, and one for each part.
//!
//! Always holds: keys are ECDSA P-256 and 0600; a file is replaced whole, and a renewed certificate
//! keeps its key, so that the two fit at every moment; nothing is signed by a key that isn't the
//! authority's, and nothing is good for longer than that. Leaves to others: which of them a process shows, and copying them to other machines.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use holdfast_mesh::tls::{self, CA_FILE, DOMAIN, Identity};
use holdfast_proto::part;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SerialNumber,
};

use crate::{
    data_dir::{write_private, write_public},
    error::Error,
};

/// How long an authority is good: replacing it means replacing everything at once.
const CA_LIFE: Duration = days(3650);
/// How long a certificate is good: a yearly renewal with a month to spare.
const LEAF_LIFE: Duration = days(397);
/// How much of its life a certificate has left when `up` renews it: half, since a process shows what it
/// read when it started, and has as long to be started again.
const RENEWED_BEFORE: Duration = days(198);
/// How far another machine's clock may be behind when a certificate is new.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);
/// The authority's key.
const CA_KEY_FILE: &str = "ca.key";

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 3600)
}

/// A folder with certificates, or one for them.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    dir: PathBuf,
}

/// How a part's certificate is.
#[derive(Debug)]
pub(crate) enum State {
    /// A process could use it.
    Good,
    /// There is none.
    Missing,
    /// It has run out; everything else may be right.
    Expired,
    /// A process would refuse it.
    Broken(tls::Error),
}

impl Folder {
    /// The folder `dir`, which need not be there yet.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether there is an authority.
    pub(crate) fn has_authority(&self) -> bool {
        self.dir.join(CA_FILE).exists()
    }

    /// Makes the authority.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is one; a file that can't be written.
    pub(crate) fn init(&self) -> Result<(), Error> {
        if self.has_authority() {
            return Err(Error::Refused(format!(
                "{} is there already: another authority would make every certificate of this one worthless",
                self.dir.join(CA_FILE).display()
            )));
        }
        self.make_authority(CA_LIFE)
    }

    fn make_authority(&self, life: Duration) -> Result<(), Error> {
        let key = self.key(CA_KEY_FILE)?;
        let mut params = params(life, Vec::new(), &authority_name())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .context("can't sign the authority")?;
        write_public(&self.dir.join(CA_FILE), certificate.pem().as_bytes())?;
        Ok(())
    }

    /// Makes a certificate for a part, in place of whatever is there. It ends with the authority at the
    /// latest.
    ///
    /// # Errors
    /// [`Error::Refused`] without an authority, or with one whose key isn't here; a file that can't
    /// be read or written.
    pub(crate) fn issue(&self, name: &str) -> Result<(), Error> {
        self.issue_for(name, LEAF_LIFE)
    }

    fn issue_for(&self, name: &str, life: Duration) -> Result<(), Error> {
        let authority = self.authority()?;
        let key = self.key(&format!("{name}.key"))?;
        let full_name = format!("{name}.{DOMAIN}");
        let mut params = params(life, vec![full_name.clone()], &full_name)?;
        let authority_ends = self
            .expiry("ca")
            .context("can't tell when the authority ends")?;
        params.not_after = params.not_after.min(authority_ends.into());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params
            .signed_by(&key, &authority)
            .with_context(|| format!("can't sign the certificate of {name}"))?;
        let path = self.certificate_file(name);
        write_public(&path, certificate.pem().as_bytes())?;
        Ok(())
    }

    /// How a part's certificate is.
    pub(crate) fn state(&self, name: &'static str) -> State {
        let path = self.certificate_file(name);
        if !path.exists() {
            return State::Missing;
        }
        match tls::expiry(&path) {
            Ok(at) if at <= SystemTime::now() => return State::Expired,
            Ok(_) => {}
            Err(error) => return State::Broken(error),
        }
        match Identity::load(&self.dir, name) {
            Ok(_) => State::Good,
            Err(error) => State::Broken(error),
        }
    }

    /// When a part's certificate ends; of the authority's, with the name `ca`.
    ///
    /// # Errors
    /// It can't be told.
    pub(crate) fn expiry(&self, name: &str) -> Result<SystemTime, tls::Error> {
        tls::expiry(&self.certificate_file(name))
    }

    /// Makes everything that is missing, and renews what has less than half of its life left.
    ///
    /// # Errors
    /// [`Error::Config`] names a file that is no good, and what to do.
    pub(crate) fn ensure(&self) -> Result<(), Error> {
        let unusable = |why: String| {
            Error::Config(format!(
                "the certificates of this system: {why}; delete the folder {}, and new ones are made",
                self.dir.display()
            ))
        };
        if !self.has_authority() {
            self.init()?;
        }
        for name in part::ALL {
            let ends_soon = || {
                let soon = SystemTime::now() + RENEWED_BEFORE;
                let ends = self.expiry(name).ok();
                // One that ends with its authority can't be made to end later.
                ends.is_some_and(|at| at < soon) && ends < self.expiry("ca").ok()
            };
            match self.state(name) {
                State::Good if !ends_soon() => continue,
                State::Good | State::Missing | State::Expired => {}
                State::Broken(error) => return Err(unusable(describe(error))),
            }
            self.issue(name)
                .map_err(|error| unusable(error.to_string()))?;
            if let State::Broken(error) = self.state(name) {
                return Err(unusable(describe(error)));
            }
        }
        Ok(())
    }

    fn certificate_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    /// The key in a file; made and written down where there is none.
    fn key(&self, file: &str) -> Result<KeyPair, Error> {
        let path = self.dir.join(file);
        match fs::read_to_string(&path) {
            Ok(pem) => Ok(KeyPair::from_pem(&pem)
                .with_context(|| format!("{} is no private key as PEM", path.display()))?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                    .context("can't make a key")?;
                write_private(&path, key.serialize_pem().as_bytes())?;
                Ok(key)
            }
            Err(e) => Err(anyhow::Error::from(e)
                .context(format!("can't read {}", path.display()))
                .into()),
        }
    }

    fn authority(&self) -> Result<Issuer<'static, KeyPair>, Error> {
        let (certificate_path, key_path) = (self.dir.join(CA_FILE), self.dir.join(CA_KEY_FILE));
        for path in [&certificate_path, &key_path] {
            if !path.exists() {
                return Err(Error::Refused(format!(
                    "there is no {}: certificates are made where the authority and its key are, which `holdfast certs init` makes",
                    path.display()
                )));
            }
        }
        let key = self.key(CA_KEY_FILE)?;
        let pem = fs::read_to_string(&certificate_path)
            .with_context(|| format!("can't read {}", certificate_path.display()))?;
        let is_its_key = x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .ok()
            .and_then(|(_, pem)| {
                let certificate = pem.parse_x509().ok()?;
                Some(certificate.public_key().raw == key.subject_public_key_info())
            });
        match is_its_key {
            Some(true) => {}
            Some(false) => {
                return Err(Error::Refused(format!(
                    "{} isn't the key of {}",
                    key_path.display(),
                    certificate_path.display()
                )));
            }
            None => {
                return Err(Error::Refused(format!(
                    "{} is no certificate as PEM",
                    certificate_path.display()
                )));
            }
        }
        let issuer = Issuer::from_ca_cert_pem(&pem, key)
            .with_context(|| format!("{} is no authority", certificate_path.display()))?;
        Ok(issuer)
    }
}

/// An error with its causes, on a line.
pub(crate) fn describe(error: tls::Error) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

/// Told apart from other authorities by chance, not only by its key.
fn authority_name() -> String {
    format!("Holdfast authority {:08x}", rand::random::<u32>())
}

fn params(life: Duration, names: Vec<String>, subject: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).context("no name of a service")?;
    let mut dn = DistinguishedName::new();
    dn.push(DnType::CommonName, subject);
    params.distinguished_name = dn;
    params.serial_number = Some(SerialNumber::from(rand::random::<[u8; 16]>().to_vec()));
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SLACK).into();
    params.not_after = (now + life).into();
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn made() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path().join("tls"));
        folder.ensure().unwrap();
        (temp, folder)
    }

    #[test]
    fn every_part_gets_a_good_certificate_and_keys_are_private() {
        let (_temp, folder) = made();
        for name in part::ALL {
            assert!(matches!(folder.state(name), State::Good), "{name}");
            let left = folder
                .expiry(name)
                .unwrap()
                .duration_since(SystemTime::now());
            assert_eq!(left.unwrap().as_secs() / (24 * 3600), 396, "{name}");
        }
        for name in part::ALL.iter().copied().chain(["ca"]) {
            let key = folder.dir().join(format!("{name}.key"));
            let mode = fs::metadata(key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let left = folder
            .expiry("ca")
            .unwrap()
            .duration_since(SystemTime::now());
        assert!(left.unwrap() > days(3600));
    }

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_made() {
        let (_temp, folder) = made();
        let read = |name: &str| fs::read(folder.dir().join(name)).unwrap();
        let (ca, booking) = (read("ca.pem"), read("booking.pem"));
        fs::remove_file(folder.dir().join("search.pem")).unwrap();
        folder.ensure().unwrap();
        assert_eq!((read("ca.pem"), read("booking.pem")), (ca, booking));
        assert!(matches!(folder.state(part::SEARCH), State::Good));
    }

    #[test]
    fn a_certificate_that_has_run_out_is_renewed_with_its_key() {
        let (_temp, folder) = made();
        let key = fs::read(folder.dir().join("booking.key")).unwrap();
        let old = params(Duration::ZERO, vec![format!("booking.{DOMAIN}")], "old").unwrap();
        let signed = old
            .signed_by(
                &folder.key("booking.key").unwrap(),
                &folder.authority().unwrap(),
            )
            .unwrap();
        fs::write(folder.dir().join("booking.pem"), signed.pem()).unwrap();
        assert!(matches!(folder.state(part::BOOKING), State::Expired));
        folder.ensure().unwrap();
        assert!(matches!(folder.state(part::BOOKING), State::Good));
        assert_eq!(fs::read(folder.dir().join("booking.key")).unwrap(), key);
    }

    #[test]
    fn a_certificate_is_renewed_when_half_of_its_life_is_over() {
        let (_temp, folder) = made();
        let ends = |name: &str| folder.expiry(name).unwrap();
        folder
            .issue_for("booking", LEAF_LIFE / 2 - days(1))
            .unwrap();
        folder.issue_for("search", LEAF_LIFE / 2 + days(1)).unwrap();
        let before = (ends("booking"), ends("search"));
        folder.ensure().unwrap();
        assert!(ends("booking") > before.0 + days(190), "is renewed");
        assert_eq!(ends("search"), before.1, "stays");
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path().to_owned());
        folder.make_authority(days(100)).unwrap();
        folder.ensure().unwrap();
        let made = fs::read(folder.certificate_file("booking")).unwrap();
        let ends = |name: &str| folder.expiry(name).unwrap();
        assert_eq!(ends("booking"), ends("ca"));
        folder.ensure().unwrap();
        let kept = fs::read(folder.certificate_file("booking")).unwrap();
        assert_eq!(kept, made, "another would be good for no longer");
    }

    #[test]
    fn a_broken_folder_is_refused_by_the_name_of_the_file_with_what_to_do() {
        let (_other_temp, other) = made();
        let copy = |name: &'static str| {
            move |folder: &Folder, other: &Folder| {
                fs::copy(other.dir().join(name), folder.dir().join(name)).unwrap();
            }
        };
        let spoil = |name: &'static str| {
            move |folder: &Folder, _: &Folder| {
                fs::write(folder.dir().join(name), "nothing").unwrap();
            }
        };
        let remove_key = |folder: &Folder, _: &Folder| {
            fs::remove_file(folder.dir().join("booking.key")).unwrap();
        };
        type Change<'a> = &'a dyn Fn(&Folder, &Folder);
        let cases: [(&str, Change<'_>); 6] = [
            ("booking.pem", &copy("booking.pem")),
            ("booking.key", &copy("booking.key")),
            ("booking.pem", &spoil("booking.pem")),
            ("booking.key", &spoil("booking.key")),
            ("ca.pem", &spoil("ca.pem")),
            ("booking.key", &remove_key),
        ];
        for (file, change) in cases {
            let (_temp, folder) = made();
            change(&folder, &other);
            let error = folder.ensure().unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains(file), "{file}: {text}");
            let advice = format!("delete the folder {}", folder.dir().display());
            assert!(text.contains(&advice), "{text}");
        }
    }

    #[test]
    fn nothing_is_signed_with_a_key_that_is_not_the_authoritys() {
        let (_other_temp, other) = made();
        let (_temp, folder) = made();
        fs::copy(other.dir().join("ca.key"), folder.dir().join("ca.key")).unwrap();
        let before = fs::read(folder.dir().join("booking.pem")).unwrap();
        let error = folder.issue(part::BOOKING).unwrap_err().to_string();
        assert!(error.contains("ca.key isn't the key of"), "{error}");
        assert_eq!(fs::read(folder.dir().join("booking.pem")).unwrap(), before);
        fs::remove_file(folder.dir().join("ca.key")).unwrap();
        let error = folder.issue(part::BOOKING).unwrap_err().to_string();
        assert!(error.contains("certs init"), "{error}");
        let error = folder.init().unwrap_err().to_string();
        assert!(error.contains("ca.pem is there already"), "{error}");
    }
}
