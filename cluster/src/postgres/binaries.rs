//! Finds installed Postgres binaries: the newest for a new data folder, the fitting major version
//! for an old one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

/// Where Debian's packages put each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The oldest major version that is tested.
const MAJOR_MIN: u32 = 15;

/// One installed Postgres.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    /// The folder with `postgres` and `initdb`.
    pub(crate) bin: PathBuf,
    /// E.g. 15.
    pub(crate) major: u32,
}

impl Binaries {
    /// The ones to use for the data in `data`, which may not exist yet.
    ///
    /// # Errors
    /// None installed, too old, or none that fits the data; with advice.
    pub(crate) fn find(data: &Path) -> anyhow::Result<Self> {
        let mut found = Self::installed();
        found.retain(|b| b.major >= MAJOR_MIN);
        found.sort_by_key(|b| b.major);
        let version = data.join("PG_VERSION");
        match fs::read_to_string(&version) {
            Ok(text) => {
                let major: u32 = text
                    .trim()
                    .parse()
                    .with_context(|| format!("{} is damaged", version.display()))?;
                found.into_iter().find(|b| b.major == major).with_context(|| {
                    format!("{} was made by Postgres {major}, which is not installed: apt install postgresql-{major}", data.display())
                })
            }
            Err(_) => match found.pop() {
                Some(newest) => Ok(newest),
                None => bail!(
                    "no Postgres {MAJOR_MIN} or later in {DEBIAN}/*/bin or on PATH: apt install postgresql, or name a server in DATABASE_URL"
                ),
            },
        }
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    fn installed() -> Vec<Self> {
        let debian = fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin"));
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
        debian
            .chain(on_path)
            .filter_map(|bin| Self::in_folder(&bin))
            .collect()
    }

    fn in_folder(bin: &Path) -> Option<Self> {
        if !bin.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(bin.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self {
            bin: bin.to_owned(),
            major,
        })
    }
}

/// 15 of `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split_whitespace().nth(2)?;
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_version_is_read_from_what_postgres_says() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("postgres"), None);
    }

    #[test]
    fn data_of_a_version_that_is_not_installed_is_refused_with_advice() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("PG_VERSION"), "9999\n").unwrap();
        let text = Binaries::find(data.path()).unwrap_err().to_string();
        assert!(text.contains("apt install postgresql-9999"), "{text}");
    }
}
