//! Whose data a directory holds: written once, before anything else is promised.
//!
//! Always holds: a directory is used only by the node, cluster, lineage and format that made it;
//! a directory that has an identity and no log has lost its log and is refused. The incarnation
//! is random, so that a node that lost its disk can be told from the one it was.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use holdfast_proto::lockstore::v1 as pb;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    config::Config,
    limits,
    raft::{log_store::LogStore, snapshot::sync_folder},
};

const FILE: &str = "identity.json";
/// The layout of a data directory.
const FORMAT_VERSION: u32 = 1;
/// What is lost when a directory has an identity and no log of that identity.
const LOG: &str = "its log";
/// In the log: the incarnation that the log belongs to.
pub(crate) const NOTE_INCARNATION: &str = "incarnation";
/// In the log: that there is a watermark.
pub(crate) const NOTE_WATERMARK: &str = "watermark";
/// In the log: who founded the cluster.
pub(crate) const NOTE_FOUNDING: &str = "founding";
/// The folder of the log in a data directory.
const LOG_FOLDER: &str = "raft";
/// The folder of snapshots in a data directory.
const SNAPSHOT_FOLDER: &str = "snapshots";

/// Who a data directory belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    format_version: u32,
    cluster_id: String,
    lineage: u8,
    group_id: u32,
    node_id: u64,
    /// 16 random bytes, in hexadecimal.
    incarnation: String,
}

impl Identity {
    /// Reads the identity of the data directory; `None` if it has none yet.
    ///
    /// # Errors
    /// [`Error::ForeignState`], [`Error::MissingState`] or [`Error::Io`].
    pub(crate) fn read(config: &Config) -> Result<Option<Self>, Error> {
        let folder = &config.data_dir;
        fs::create_dir_all(folder).map_err(at(folder))?;
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let identity: Self =
            serde_json::from_str(&text).map_err(|error| at(&path)(io::Error::other(error)))?;
        let expected = Self::of(config, identity.incarnation.clone());
        if identity != expected {
            return Err(Error::ForeignState {
                path: folder.clone(),
                found: identity.describe(),
                expected: expected.describe(),
            });
        }
        if !log_folder(folder).exists() {
            return Err(missing(config, LOG));
        }
        Ok(Some(identity))
    }

    /// Compares what [`Identity::read`] found with the log, and makes what an interrupted first
    /// start has not.
    ///
    /// # Errors
    /// [`Error::MissingState`] if one of them is gone, or [`Error::Io`].
    pub(crate) async fn settle(
        found: Option<Self>,
        config: &Config,
        log: &LogStore,
    ) -> Result<Self, Error> {
        let folder = &config.data_dir;
        let opened = |error| Error::Log {
            path: log_folder(folder),
            source: Box::new(error),
        };
        let noted: Option<pb::Founder> = log.note(NOTE_INCARNATION).map_err(opened)?;
        let founding: Option<pb::Founding> = log.note(NOTE_FOUNDING).map_err(opened)?;
        let unused = log.is_pristine() && founding.is_none();
        match (found, noted) {
            (Some(identity), Some(noted)) if noted.incarnation == identity.incarnation() => {
                Ok(identity)
            }
            (Some(_), _) => Err(missing(config, LOG)),
            (None, _) if !unused => Err(missing(config, FILE)),
            (None, noted) => {
                // The log notes it first, so that an identity without a note is a lost log.
                let incarnation = match noted {
                    Some(noted) => String::from_utf8_lossy(&noted.incarnation).into_owned(),
                    None => format!("{:032x}", rand::random::<u128>()),
                };
                let identity = Self::of(config, incarnation);
                let note = pb::Founder {
                    node_id: config.node_id,
                    incarnation: identity.incarnation(),
                };
                log.set_note(NOTE_INCARNATION, &note)
                    .await
                    .map_err(at(folder))?;
                identity.write(folder)?;
                Ok(identity)
            }
        }
    }

    /// The incarnation, as peers compare it.
    pub(crate) fn incarnation(&self) -> bytes::Bytes {
        self.incarnation.clone().into()
    }

    fn of(config: &Config, incarnation: String) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            cluster_id: config.cluster_id.clone(),
            lineage: config.lineage,
            group_id: limits::GROUP_ID,
            node_id: config.node_id,
            incarnation,
        }
    }

    fn describe(&self) -> String {
        format!(
            "node {} of cluster {:?}, lineage {}, group {}, format {}",
            self.node_id, self.cluster_id, self.lineage, self.group_id, self.format_version
        )
    }

    fn write(&self, folder: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| at(&folder.join(FILE))(error.into()))?;
        text.push('\n');
        replace_file(folder, FILE, text.as_bytes())
    }
}

/// Puts `bytes` in the place of the file `name`, as a whole and durably, or not at all. Blocks.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn replace_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let (path, unfinished) = (folder.join(name), folder.join(format!("{name}.unfinished")));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_folder(folder)
    };
    write().map_err(at(&path))
}

pub(crate) fn missing(config: &Config, lost: &'static str) -> Error {
    Error::MissingState {
        path: config.data_dir.clone(),
        lost,
    }
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        path: path.clone(),
        source,
    }
}

/// Where the log is.
pub(crate) fn log_folder(data_dir: &Path) -> PathBuf {
    data_dir.join(LOG_FOLDER)
}

/// Where the snapshots are.
pub(crate) fn snapshot_folder(data_dir: &Path) -> PathBuf {
    data_dir.join(SNAPSHOT_FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data_dir: &Path) -> Config {
        Config {
            data_dir: data_dir.to_owned(),
            ..Config::default()
        }
    }

    async fn open(config: &Config) -> Result<Identity, Error> {
        let found = Identity::read(config)?;
        let (log, closed) = LogStore::open(&log_folder(&config.data_dir), 1 << 20).expect("opens");
        let settled = Identity::settle(found, config, &log).await;
        drop(log);
        closed.await.expect_err("the thread ends without a word");
        settled
    }

    #[tokio::test]
    async fn directory_keeps_its_identity_and_refuses_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let mine = config(folder.path());
        let first = open(&mine).await.expect("made");
        assert_eq!(open(&mine).await.expect("read"), first);
        let foreign = [
            Config {
                node_id: 2,
                ..mine.clone()
            },
            Config {
                cluster_id: "other".to_owned(),
                ..mine.clone()
            },
            Config {
                lineage: 2,
                ..mine.clone()
            },
        ];
        for config in foreign {
            let error = open(&config).await.expect_err("refused");
            assert!(matches!(error, Error::ForeignState { .. }), "{error}");
        }
    }

    #[test]
    fn identity_has_the_text_it_always_had() {
        let identity = Identity::of(&Config::default(), "0123abcd".to_owned());
        let folder = tempfile::tempdir().expect("a folder");
        identity.write(folder.path()).expect("written");
        let text = fs::read_to_string(folder.path().join(FILE)).expect("read");
        let expected = r#"{
  "format_version": 1,
  "cluster_id": "holdfast",
  "lineage": 1,
  "group_id": 0,
  "node_id": 1,
  "incarnation": "0123abcd"
}
"#;
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn directory_that_lost_its_log_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mine = config(folder.path());
        open(&mine).await.expect("made");
        fs::remove_dir_all(log_folder(folder.path())).expect("removed");
        let error = open(&mine).await.expect_err("refused");
        assert!(
            matches!(error, Error::MissingState { lost: LOG, .. }),
            "{error}"
        );
        fs::create_dir(log_folder(folder.path())).expect("made");
        let error = open(&mine)
            .await
            .expect_err("an empty log is a lost one too");
        assert!(
            matches!(error, Error::MissingState { lost: LOG, .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn first_start_that_was_interrupted_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mine = config(folder.path());
        let first = open(&mine).await.expect("made");
        fs::remove_file(folder.path().join(FILE)).expect("as if it had not been written yet");
        assert_eq!(open(&mine).await.expect("goes on"), first);
    }
}
