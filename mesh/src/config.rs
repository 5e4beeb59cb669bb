//! Typed configuration: a TOML file, then `HOLDFAST__SECTION__KEY` of the environment.
//!
//! Always holds: what no field takes is refused, and the error names the key; a secret can't be
//! printed. Leaves to others: command-line flags (the binary sets them on the loaded struct),
//! and checks between fields.

use std::{ffi::OsString, fmt, net::SocketAddr, path::Path};

use ::config::{Config, File, FileFormat, Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// What every variable starts with. `HOLDFAST_DATA_DIR` and the like, with one underscore, are
/// no configuration keys.
pub const ENV_PREFIX: &str = "HOLDFAST__";

/// What stands between section and key in a variable's name.
const ENV_SEPARATOR: &str = "__";

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("configuration file {path}: {error}")]
    File {
        /// The file asked for.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file isn't TOML. Its text isn't repeated: it has secrets.
    #[error("configuration file {path}, line {line}, column {column}: {why}")]
    Toml {
        /// The file asked for.
        path: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// A key that nothing reads, a value of the wrong type, a missing value. The text names it.
    #[error("configuration: {0}")]
    Invalid(::config::ConfigError),
    /// A variable whose name is no key.
    #[error("environment variable {name} names no configuration key")]
    Variable {
        /// The variable.
        name: String,
    },
    /// A variable whose value isn't UTF-8.
    #[error("environment variable {name} isn't UTF-8")]
    NotUtf8 {
        /// The variable.
        name: String,
    },
    /// An address that other machines can reach, without TLS.
    #[error(
        "bind address {addr} isn't loopback and traffic isn't encrypted; `insecure = true` in the same \
         section accepts that, and --insecure does for plain HTTP"
    )]
    NotLoopback {
        /// The address.
        addr: SocketAddr,
    },
}

/// Loads `T` from `file` (where given, it must exist) and the environment, which wins.
///
/// A variable's value is text, read as the field's type; one that starts with `[` and is a TOML
/// array is a list. `T` should be `#[serde(deny_unknown_fields)]` all the way down.
///
/// # Errors
/// [`Error`], naming the key.
pub fn load<T: DeserializeOwned>(file: Option<&Path>) -> Result<T, Error> {
    load_from(file, std::env::vars_os())
}

/// [`load`] with the environment given.
///
/// # Errors
/// [`Error`], naming the key.
pub fn load_from<T: DeserializeOwned>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, Error> {
    let mut builder = Config::builder();
    if let Some(path) = file {
        // Looked at first: the library's own error would show the line that is wrong.
        check_toml(path)?;
        builder = builder.add_source(File::from(path).format(FileFormat::Toml).required(true));
    }
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        let Some(key) = name.strip_prefix(ENV_PREFIX) else {
            continue;
        };
        let Ok(value) = value.into_string() else {
            return Err(Error::NotUtf8 {
                name: name.to_owned(),
            });
        };
        let key = key.to_lowercase().replace(ENV_SEPARATOR, ".");
        builder = builder
            .set_override(key, env_value(name, value))
            .map_err(|_| Error::Variable {
                name: name.to_owned(),
            })?;
    }
    builder
        .build()
        .and_then(Config::try_deserialize)
        .map_err(Error::Invalid)
}

fn check_toml(file: &Path) -> Result<(), Error> {
    let path = || file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Error::File {
        path: path(),
        error,
    })?;
    if let Err(error) = toml::from_str::<toml::Table>(&text) {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        return Err(Error::Toml {
            path: path(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            why: error.message().to_owned(),
        });
    }
    Ok(())
}

/// Text stays text (the field's type decides how it is read, so a secret of digits keeps its
/// leading zeros), except a TOML array.
fn env_value(name: &str, text: String) -> Value {
    let origin = name.to_owned();
    if text.trim_start().starts_with('[')
        && let Ok(toml::Value::Array(items)) = toml::from_str::<toml::Table>(&format!("v = {text}"))
            .map(|mut table| table.remove("v").unwrap_or(toml::Value::Boolean(false)))
        && let Some(items) = items
            .into_iter()
            .map(|item| match item {
                toml::Value::String(text) => {
                    Some(Value::new(Some(&origin), ValueKind::String(text)))
                }
                toml::Value::Integer(number) => {
                    Some(Value::new(Some(&origin), ValueKind::I64(number)))
                }
                toml::Value::Boolean(flag) => {
                    Some(Value::new(Some(&origin), ValueKind::Boolean(flag)))
                }
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
    {
        return Value::new(Some(&origin), ValueKind::Array(items));
    }
    Value::new(Some(&origin), ValueKind::String(text))
}

/// Refuses an address that other machines can reach, unless `insecure`: nothing here is encrypted.
///
/// # Errors
/// [`Error::NotLoopback`].
pub fn check_bind(addr: SocketAddr, insecure: bool) -> Result<(), Error> {
    if insecure || addr.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(Error::NotLoopback { addr })
    }
}

/// A value that is read but never shown: `Debug` and `Serialize` print `***`. Empty by default.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Hides `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value. Name it nowhere but where it is used.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether nothing was configured.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new("")
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        listen: SocketAddr,
        password: Secret,
        part: Part,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self {
                listen: ([127, 0, 0, 1], 1).into(),
                password: Secret::default(),
                part: Part::default(),
            }
        }
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Part {
        size: u32,
        on: bool,
        peers: Vec<String>,
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs
            .iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("write");
        file
    }

    #[test]
    fn environment_wins_over_the_file_and_the_file_over_the_default() {
        let file = file("listen = '127.0.0.1:5'\n[part]\nsize = 3\non = true\n");
        let loaded: Sample = load_from(
            Some(file.path()),
            env(&[
                ("HOLDFAST__PART__SIZE", "4"),
                ("HOLDFAST__PASSWORD", "007"),
                ("HOLDFAST__PART__PEERS", r#"["a:1", "b:2"]"#),
                ("HOLDFAST_DATA_DIR", "ignored"),
            ]),
        )
        .expect("loads");
        assert_eq!(loaded.listen, ([127, 0, 0, 1], 5).into());
        assert_eq!(loaded.part.size, 4);
        assert!(loaded.part.on);
        assert_eq!(loaded.part.peers, ["a:1", "b:2"]);
        assert_eq!(loaded.password.expose(), "007");
    }

    #[test]
    fn unknown_keys_are_refused_and_named() {
        let broken = file("lisen = '127.0.0.1:5'\n");
        let error = load_from::<Sample>(Some(broken.path()), env(&[])).expect_err("refused");
        assert!(error.to_string().contains("lisen"), "{error}");

        let error =
            load_from::<Sample>(None, env(&[("HOLDFAST__PART__SISE", "4")])).expect_err("refused");
        assert!(
            error.to_string().contains("sise") && error.to_string().contains("part"),
            "{error}"
        );

        let error = load_from::<Sample>(None, env(&[("HOLDFAST__", "4")])).expect_err("refused");
        assert!(error.to_string().contains("HOLDFAST__"), "{error}");
    }

    #[test]
    fn wrong_values_and_broken_files_are_refused_and_named() {
        let error = load_from::<Sample>(None, env(&[("HOLDFAST__PART__SIZE", "many")]))
            .expect_err("refused");
        assert!(error.to_string().contains("part.size"), "{error}");

        let error = load_from::<Sample>(None, env(&[("HOLDFAST__LISTEN", "nowhere")]))
            .expect_err("refused");
        assert!(error.to_string().contains("listen"), "{error}");

        let broken = file("listen = '127.0.0.1:5'\npassword = 'hunter2\n");
        let error = load_from::<Sample>(Some(broken.path()), env(&[])).expect_err("refused");
        let shown = format!("{error} {error:?}");
        let place = format!("{}, line 2, column 20", broken.path().display());
        assert!(shown.contains(&place), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");

        let missing = Path::new("/nonexistent/holdfast.toml");
        let error = load_from::<Sample>(Some(missing), env(&[])).expect_err("refused");
        assert!(
            error.to_string().contains("/nonexistent/holdfast.toml"),
            "{error}"
        );
    }

    #[test]
    fn secrets_are_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(
            serde_json::to_string(&secret).expect("serialises"),
            "\"***\""
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn only_loopback_binds_without_insecure() {
        for addr in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(
                check_bind(addr.parse().expect("address"), false).is_ok(),
                "{addr}"
            );
        }
        for addr in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
            let addr = addr.parse().expect("address");
            assert!(
                matches!(check_bind(addr, false), Err(Error::NotLoopback { .. })),
                "{addr}"
            );
            assert!(check_bind(addr, true).is_ok(), "{addr}");
        }
    }
}
