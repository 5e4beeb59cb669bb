//! `secrets.toml` of the data directory: passwords and tokens that `up` generates once, and which
//! cluster and database the data is of.
//!
//! Always holds: a generated value stays for the life of the data directory; the file is 0600; a
//! name that a later version needs is added when first asked for.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::data_dir::{DataDir, write_private};

/// Random bytes in a secret: 256 bits, past guessing.
const SECRET_BYTES: usize = 32;

/// The operator token, which the CLI trades for an access token.
pub(crate) const OPERATOR_TOKEN: &str = "operator_token";
/// The lock-store cluster's name: no secret, but made once and kept like one.
pub(crate) const CLUSTER_ID: &str = "cluster_id";
/// Which database this data belongs with; as little a secret.
pub(crate) const DATABASE_ID: &str = "database_id";
/// Which life of the lock-store cluster the nodes' data is of; as little a secret.
pub(crate) const LINEAGE: &str = "lineage";
/// The superuser of the private Postgres.
pub(crate) const DATABASE_ADMIN_PASSWORD: &str = "database_admin_password";
/// What payment-svc shows the sandbox provider.
pub(crate) const SANDBOX_API_KEY: &str = "sandbox_api_key";
/// What the sandbox provider signs webhooks with.
pub(crate) const SANDBOX_WEBHOOK_SECRET: &str = "sandbox_webhook_secret";

/// What the gateway signs cursors of lists with.
pub(crate) const CURSOR_KEY: &str = "cursor_key";

/// The name of a service's database password.
pub(crate) fn database_password(service: &str) -> String {
    format!("database_password_{service}")
}

/// The values, by name.
pub(crate) struct Secrets {
    dir: DataDir,
    values: BTreeMap<String, String>,
}

impl Secrets {
    /// Reads the file; an absent one holds nothing yet.
    ///
    /// # Errors
    /// A file that can't be read or is no TOML table of strings.
    pub(crate) fn open(dir: &DataDir) -> anyhow::Result<Self> {
        let path = dir.secrets_file();
        let values = match fs::read_to_string(&path) {
            Ok(text) => {
                toml::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(e).with_context(|| format!("can't read {}", path.display())),
        };
        Ok(Self {
            dir: dir.clone(),
            values,
        })
    }

    /// A value that is there already.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A value, generated and written down before it is given out where it is missing. URL-safe
    /// text.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn get_or_make(&mut self, name: &str) -> anyhow::Result<String> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        let value = random_text();
        self.set(name, value.clone())?;
        Ok(value)
    }

    /// Writes a value down.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn set(&mut self, name: &str, value: String) -> anyhow::Result<()> {
        self.values.insert(name.to_owned(), value);
        let text = toml::to_string(&self.values).context("secrets can't be written as TOML")?;
        write_private(&self.dir.secrets_file(), text.as_bytes())
    }
}

/// 256 random bits as URL-safe text.
pub(crate) fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_keeps_its_value_over_reopening() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::choose(Some(temp.path().to_owned())).unwrap();
        let first = Secrets::open(&dir).unwrap().get_or_make("a").unwrap();
        let mut again = Secrets::open(&dir).unwrap();
        assert_eq!(again.get_or_make("a").unwrap(), first);
        assert_ne!(again.get_or_make("b").unwrap(), first);
        assert_eq!(Secrets::open(&dir).unwrap().get("a"), Some(first.as_str()));
    }
}
