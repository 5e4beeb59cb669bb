//! What the disk surely had a moment ago, kept beside the log.
//!
//! Always holds: what the file says was on disk before it was written, and never goes back: a vote
//! only grows, and a committed entry stays, in the log or in a snapshot. So a log that has less is
//! an older copy, or has lost its end, and the node that has it is refused. Where the directory was
//! put back as a whole, this file included, only a leader that stayed can tell, and is asked.

use std::{
    cmp::Ordering,
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use prost::Message;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    convert,
    log_store::LogStore,
    snapshot::Snapshots,
    types::{LogId, Vote},
};
use crate::{
    Error,
    config::Config,
    frame,
    identity::{self, NOTE_WATERMARK, at, log_folder, missing},
    limits,
    peers::Peers,
};

const FILE: &str = "watermark";
const VERSION: u8 = 1;
/// What is lost when the log says that there was one.
const WATERMARK: &str = "its watermark";
/// What is lost when the log begins later than it should.
const SNAPSHOT: &str = "the snapshot that its log goes on from";

/// What is known to be on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mark {
    vote: Option<Vote>,
    committed: Option<LogId>,
}

/// The watermark of one data directory.
pub(crate) struct Watermark {
    folder: PathBuf,
    incarnation: Bytes,
    log: LogStore,
    mark: Mark,
}

impl Watermark {
    /// Compares what was found in the data directory with its watermark, and makes one where an
    /// older release, or a first start, left none.
    ///
    /// # Errors
    /// [`Error::RolledBack`], [`Error::MissingState`], [`Error::Watermark`], or what reading gave.
    pub(crate) async fn settle(
        config: &Config,
        incarnation: Bytes,
        log: &LogStore,
        snapshots: &Snapshots,
    ) -> Result<Self, Error> {
        let folder = config.data_dir.clone();
        let opened = |error| Error::Log {
            path: log_folder(&folder),
            source: Box::new(error),
        };
        let noted: Option<pb::Watermark> = log.note(NOTE_WATERMARK).map_err(opened)?;
        let found = read(&folder, &incarnation)?;
        if noted.is_some() && found.is_none() {
            return Err(missing(config, WATERMARK));
        }
        let snapshot = snapshots.get().and_then(|(meta, _)| meta.last_log_id);
        if log.purged() > snapshot {
            return Err(missing(config, SNAPSHOT));
        }
        let mark = found.unwrap_or_default();
        check(&folder, mark, log, snapshot)?;
        let mut watermark = Self {
            folder: folder.clone(),
            incarnation,
            log: log.clone(),
            mark,
        };
        watermark.advance().await?;
        if noted.is_none() {
            // After the file, so that a crash between the two leaves what starts again.
            if found.is_none() {
                watermark.write().await?;
            }
            log.set_note(NOTE_WATERMARK, &pb::Watermark::default())
                .await
                .map_err(at(&folder))?;
        }
        Ok(watermark)
    }

    /// Keeps it up with the log until `stop`, and once more then.
    ///
    /// # Errors
    /// [`Error::Io`]: a disk that doesn't take a small file takes no log.
    pub(crate) async fn keep(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut period = tokio::time::interval(limits::WATERMARK_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => self.advance().await?,
                () = stop.cancelled() => return self.advance().await,
            }
        }
    }

    /// Notes what the log has now, if that is more.
    ///
    /// # Errors
    /// [`Error::Io`].
    async fn advance(&mut self) -> Result<(), Error> {
        let (vote, committed) = self.log.settled();
        let next = Mark {
            vote,
            committed: committed.max(self.mark.committed),
        };
        if next == self.mark {
            return Ok(());
        }
        self.mark = next;
        self.write().await
    }

    async fn write(&self) -> Result<(), Error> {
        let message = pb::Watermark {
            incarnation: self.incarnation.clone(),
            vote: self.mark.vote.as_ref().map(convert::vote_to_pb),
            committed: self.mark.committed.as_ref().map(convert::log_id_to_pb),
        };
        let bytes = frame::seal(VERSION, &message.encode_to_vec());
        let (folder, path) = (self.folder.clone(), self.folder.join(FILE));
        tokio::task::spawn_blocking(move || identity::replace_file(&folder, FILE, &bytes))
            .await
            .map_err(|error| at(&path)(io::Error::other(error)))?
    }
}

/// Asks the leader, if there is one, what this node has acknowledged to it: a data directory that was
/// put back as a whole, watermark included, has less.
///
/// # Errors
/// [`Error::RolledBack`].
pub(crate) async fn ask_leader(
    folder: &Path,
    log: &LogStore,
    snapshots: &Snapshots,
    peers: &Peers,
) -> Result<(), Error> {
    let snapshot = snapshots.get().and_then(|(meta, _)| meta.last_log_id);
    let (vote, last) = (log.settled().0, log.last().max(snapshot));
    let term = vote.map_or(0, |vote| convert::vote_to_pb(&vote).term);
    for (peer_id, answer) in peers.statuses().await {
        let Ok(peer) = answer else { continue };
        // A leader that was replaced may know of entries that its successor has truncated here.
        let counts = peer.role() == pb::NodeRole::Leader && peer.term >= term;
        if let Some(had) = peer.acknowledged.filter(|_| counts)
            && last.map(|last| last.index) < Some(had.index)
        {
            let had = says_last(Some(convert::log_id_from_pb(&had)));
            return Err(Error::RolledBack {
                path: folder.to_owned(),
                found: says_last(last),
                expected: format!("{had}, which it has acknowledged to node {peer_id}"),
            });
        }
    }
    Ok(())
}

/// Reads the file; `None` if there is none.
fn read(folder: &Path, incarnation: &Bytes) -> Result<Option<Mark>, Error> {
    let path = folder.join(FILE);
    let framed = match fs::read(&path) {
        Ok(framed) => framed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(&path)(error)),
    };
    let unusable = |problem: String| Error::Watermark {
        path: path.clone(),
        problem,
    };
    let body = frame::open(VERSION, &framed).map_err(|error| unusable(error.to_string()))?;
    let message = pb::Watermark::decode(body).map_err(|error| unusable(error.to_string()))?;
    if message.incarnation != *incarnation {
        return Err(unusable(format!(
            "it is of incarnation {}, and this directory of {}",
            String::from_utf8_lossy(&message.incarnation),
            String::from_utf8_lossy(incarnation)
        )));
    }
    let vote = message
        .vote
        .map(|vote| convert::vote_from_pb(Some(&vote)))
        .transpose()
        .map_err(|error| unusable(error.to_string()))?;
    let committed = message.committed.as_ref().map(convert::log_id_from_pb);
    Ok(Some(Mark { vote, committed }))
}

/// Whether log and snapshot have at least what `mark` says.
fn check(folder: &Path, mark: Mark, log: &LogStore, snapshot: Option<LogId>) -> Result<(), Error> {
    let rolled_back = |found: String, expected: String| {
        Err(Error::RolledBack {
            path: folder.to_owned(),
            found,
            expected,
        })
    };
    let (vote, _) = log.settled();
    // Two votes of one term for different nodes are neither more nor less than each other.
    if vote.partial_cmp(&mark.vote).is_none_or(Ordering::is_lt) {
        return rolled_back(says_vote(vote), says_vote(mark.vote));
    }
    let Some(committed) = mark.committed else {
        return Ok(());
    };
    let last = log.last().max(snapshot);
    if last.map(|last| last.index) < Some(committed.index) {
        return rolled_back(says_last(last), says_last(Some(committed)));
    }
    let found = log.position(committed.index).map_err(|error| Error::Log {
        path: log_folder(folder),
        source: Box::new(error),
    })?;
    match found {
        Some(found) if found != committed => rolled_back(says_entry(found), says_entry(committed)),
        // Or a snapshot has it.
        Some(_) | None => Ok(()),
    }
}

fn says_vote(vote: Option<Vote>) -> String {
    vote.map_or_else(
        || "no vote".to_owned(),
        |vote| {
            let vote = convert::vote_to_pb(&vote);
            format!("voted for node {} in term {}", vote.node_id, vote.term)
        },
    )
}

fn says_last(last: Option<LogId>) -> String {
    last.map_or_else(
        || "no entry".to_owned(),
        |last| format!("entries up to {}", last.index),
    )
}

fn says_entry(entry: LogId) -> String {
    let term = entry.leader_id.term;
    format!("entry {} of term {term}", entry.index)
}

#[cfg(test)]
mod tests;
