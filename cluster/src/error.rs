//! What can end a `holdfast` command, and the exit code each has.
//!
//! Exit codes are part of the CLI's contract: 0 ok, 1 failed, 2 wrong usage (clap's own), 3 the
//! running system can't be reached, 64 a configuration that can't be used.

use std::{path::PathBuf, process::ExitCode};

use holdfast_mesh as mesh;

/// The exit code of [`Error::Unreachable`].
pub(crate) const EXIT_UNREACHABLE: u8 = 3;
/// The exit code of [`Error::Config`] (`EX_USAGE` of sysexits, as services do).
pub(crate) const EXIT_CONFIG: u8 = 64;

/// Why a command ended without doing what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A key of the configuration can't be used; the text names it.
    #[error("configuration: {}", .0.trim_start_matches("configuration: "))]
    Config(String),
    /// Nothing runs where the command looked.
    #[error("can't reach {what}: {why}")]
    Unreachable {
        /// What was looked for.
        what: String,
        /// Why it wasn't found, with advice.
        why: String,
    },
    /// A service refused; the text is made for people.
    #[error("{0}")]
    Refused(String),
    /// Another `up` has this data directory.
    #[error("{} is in use by another `holdfast up`{}", dir.display(), pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
        /// Who has it, where known.
        pid: Option<u32>,
    },
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Error {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(EXIT_CONFIG),
            Self::Unreachable { .. } => ExitCode::from(EXIT_UNREACHABLE),
            Self::Refused(_) | Self::DataDirInUse { .. } | Self::Failed(_) => ExitCode::FAILURE,
        }
    }

    /// A service's answer, readable: code, message and each field that was wrong. No answer at
    /// all is [`Error::Unreachable`].
    pub(crate) fn from_status(what: &str, status: &tonic::Status) -> Self {
        let failure = mesh::Failure::from_status(status);
        if failure.code() == holdfast_types::ErrorCode::Unavailable {
            return Self::Unreachable {
                what: what.to_owned(),
                why: failure.message().to_owned(),
            };
        }
        let mut text = format!(
            "{what}: {} ({})",
            failure.message(),
            failure.code().as_str()
        );
        for violation in failure.fields() {
            text.push_str(&format!("\n  {}: {}", violation.field, violation.why));
        }
        Self::Refused(text)
    }
}

impl From<mesh::config::Error> for Error {
    fn from(error: mesh::config::Error) -> Self {
        Self::Config(error.to_string())
    }
}
