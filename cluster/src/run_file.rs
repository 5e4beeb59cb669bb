//! `run.json`: where the running system is, for the CLI, for tests and for people.
//!
//! Always holds: no secret in it; written whole at every change; removed when `up` has stopped.
//! After a crash it is stale, which a reader tells by the pid in it.

use std::{collections::BTreeMap, fs, io};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};
use serde::{Deserialize, Serialize};

use crate::{
    data_dir::{DataDir, write_public},
    error::Error,
};

/// The layout; a reader refuses another.
const VERSION: u32 = 1;

/// What runs where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    /// Layout of this file.
    pub(crate) version: u32,
    /// `starting`, then `ready` when the first ticket can be bought.
    pub(crate) state: RunState,
    /// The `holdfast up` process.
    pub(crate) up_pid: u32,
    /// The REST API, e.g. `http://127.0.0.1:8080`.
    pub(crate) api_url: String,
    /// The sandbox provider.
    pub(crate) sandbox_url: String,
    /// gRPC address of each service, e.g. `https://127.0.0.1:7401`, by name.
    pub(crate) services: BTreeMap<String, String>,
    /// gRPC address of each lock-store node's client plane, in order of node.
    pub(crate) lockstore: Vec<String>,
    /// `127.0.0.1:port` of the private Postgres; none where `DATABASE_URL` names another.
    pub(crate) postgres: Option<String>,
    /// The demo show's id, once it is loaded.
    pub(crate) demo_show_id: Option<String>,
    /// Each process: its pid and where it answers `/healthz`, `/readyz`, `/metrics`.
    pub(crate) processes: BTreeMap<String, RunProcess>,
}

/// How far `up` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunState {
    /// Not everything answers yet.
    Starting,
    /// All is up.
    Ready,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunProcess {
    /// None between a death and the restart.
    pub(crate) pid: Option<u32>,
    /// How often it was started again after it died, since `up` started.
    pub(crate) restarts: u32,
    /// None for Postgres.
    pub(crate) ops_url: Option<String>,
}

impl RunFile {
    /// A file of the present layout with nothing in it yet.
    pub(crate) fn new(api_url: String, sandbox_url: String) -> Self {
        Self {
            version: VERSION,
            state: RunState::Starting,
            up_pid: std::process::id(),
            api_url,
            sandbox_url,
            services: BTreeMap::new(),
            lockstore: Vec::new(),
            postgres: None,
            demo_show_id: None,
            processes: BTreeMap::new(),
        }
    }

    /// What runs in `dir`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where no `up` has written one, or the one that did is gone;
    /// [`Error::Failed`] for another layout.
    pub(crate) fn read(dir: &DataDir) -> Result<Self, Error> {
        let path = dir.run_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Unreachable {
                    what: "a running system".into(),
                    why: match dir.running_elsewhere() {
                        Some(other) => format!(
                            "{} is not there, but one runs in root's data directory: --data-dir {}",
                            path.display(),
                            other.root().display()
                        ),
                        None => format!(
                            "{} is not there; start one with `holdfast up`, or name its data directory with --data-dir",
                            path.display()
                        ),
                    },
                });
            }
            Err(e) => {
                return Err(anyhow::Error::from(e)
                    .context(format!("can't read {}", path.display()))
                    .into());
            }
        };
        let run: Self = serde_json::from_str(&text).map_err(|e| {
            anyhow::Error::from(e).context(format!("can't understand {}", path.display()))
        })?;
        if run.version != VERSION {
            return Err(anyhow::anyhow!(
                "{} has layout {}, this program reads {VERSION}",
                path.display(),
                run.version
            )
            .into());
        }
        if !is_alive(run.up_pid) {
            return Err(Error::Unreachable {
                what: "a running system".into(),
                why: format!(
                    "the `holdfast up` of {} (pid {}) was killed; start it again",
                    path.display(),
                    run.up_pid
                ),
            });
        }
        Ok(run)
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn write(&self, dir: &DataDir) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_public(&dir.run_file(), &text)
    }
}

/// Whether there is such a process, whoever's it is.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_file_round_trips_and_an_absent_one_is_unreachable() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::choose(Some(temp.path().to_owned())).unwrap();
        assert!(matches!(
            RunFile::read(&dir),
            Err(Error::Unreachable { .. })
        ));
        let mut run = RunFile::new(
            "http://127.0.0.1:8080".into(),
            "http://127.0.0.1:8081".into(),
        );
        run.processes.insert(
            "all".into(),
            RunProcess {
                pid: Some(7),
                restarts: 0,
                ops_url: None,
            },
        );
        run.write(&dir).unwrap();
        assert_eq!(RunFile::read(&dir).unwrap(), run);

        let mut gone = std::process::Command::new("true").spawn().unwrap();
        run.up_pid = gone.id();
        gone.wait().unwrap();
        run.write(&dir).unwrap();
        let text = RunFile::read(&dir).unwrap_err().to_string();
        assert!(text.contains("was killed"), "{text}");
    }
}
