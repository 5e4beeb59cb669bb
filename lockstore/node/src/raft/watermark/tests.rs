//! What a node finds when it starts: less than there was, or damage.

use std::collections::BTreeMap;

use holdfast_types::Lineage;
use openraft::{
    EntryPayload, RaftLogReader, RaftSnapshotBuilder,
    storage::{RaftLogStorage, RaftStateMachine},
};
use tokio::sync::oneshot;

use super::*;
use crate::{
    identity::{Identity, snapshot_folder},
    raft::{
        tests::{append, entry, log_id, tamper},
        types::Entry,
    },
};

const TAIL: usize = 1 << 20;
/// Bits flipped in each file, over its whole length.
const FLIPS_PER_FILE: usize = 24;

fn config(data_dir: &Path) -> Config {
    Config {
        data_dir: data_dir.to_owned(),
        ..Config::default()
    }
}

/// What a node has when it has accepted its data directory.
struct Opened {
    watermark: Watermark,
    log: LogStore,
    closed: oneshot::Receiver<()>,
    snapshots: Snapshots,
}

/// Accepts a data directory as a node does that starts.
async fn open(folder: &Path) -> Result<Opened, Error> {
    let config = config(folder);
    let found = Identity::read(&config)?;
    let path = log_folder(folder);
    let (log, closed) = LogStore::open(&path, TAIL).map_err(|source| Error::Log {
        path,
        source: Box::new(source),
    })?;
    let settle = async {
        let identity = Identity::settle(found, &config, &log).await?;
        let (cluster, lineage) = (config.cluster_id.clone(), Lineage(config.lineage));
        let snapshots = Snapshots::open(snapshot_folder(folder), cluster, lineage)?;
        let watermark =
            Watermark::settle(&config, identity.incarnation(), &log, &snapshots).await?;
        Ok((watermark, snapshots))
    };
    match settle.await {
        Ok((watermark, snapshots)) => Ok(Opened {
            watermark,
            log,
            closed,
            snapshots,
        }),
        Err(error) => {
            drop(log);
            closed.await.expect_err("the thread ends without a word");
            Err(error)
        }
    }
}

impl Opened {
    /// As a node that is told to stop.
    async fn close(self) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.watermark.keep(stop).await.expect("noted");
        drop(self.log);
        self.closed
            .await
            .expect_err("the thread ends without a word");
    }

    async fn vote(&mut self, term: u64) {
        let vote = Vote::new_committed(term, 1);
        self.log.save_vote(&vote).await.expect("saved");
    }

    /// Appends `indexes`, all of them committed.
    async fn commit(&mut self, indexes: std::ops::Range<u64>) {
        let last = indexes.end - 1;
        append(&mut self.log, indexes.map(entry)).await;
        let committed = Some(log_id(1, last));
        self.log.save_committed(committed).await.expect("saved");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

async fn refusal(folder: &Path) -> Error {
    let error = open(folder).await.map(|_| ()).expect_err("refused");
    let text = error.to_string();
    let path = folder.to_string_lossy();
    assert!(text.contains(&*path), "it names the place: {text}");
    assert!(text.contains("keep the others running"), "{text}");
    error
}

#[tokio::test]
async fn log_that_was_put_back_from_an_older_copy_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let older = tempfile::tempdir().expect("a folder");
    let mut node = open(at).await.expect("new");
    node.vote(2).await;
    node.commit(0..10).await;
    node.close().await;
    copy(&log_folder(at), &older.path().join("votes"));

    let mut node = open(at).await.expect("as it was");
    node.vote(3).await;
    node.close().await;
    copy(&log_folder(at), &older.path().join("entries"));

    let mut node = open(at).await.expect("as it was");
    node.commit(10..20).await;
    node.close().await;
    copy(&log_folder(at), &older.path().join("newest"));

    for (which, says) in [("votes", "term 2"), ("entries", "entries up to 9")] {
        fs::remove_dir_all(log_folder(at)).expect("removed");
        copy(&older.path().join(which), &log_folder(at));
        let error = refusal(at).await;
        assert!(
            matches!(&error, Error::RolledBack { found, .. } if found.contains(says)),
            "{which}: {error}"
        );
    }
    fs::remove_dir_all(log_folder(at)).expect("removed");
    copy(&older.path().join("newest"), &log_folder(at));
    open(at).await.expect("put back whole").close().await;
}

#[tokio::test]
async fn log_with_another_history_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = open(folder.path()).await.expect("new");
    node.commit(0..10).await;
    node.close().await;
    let other = convert::entry_to_disk(&Entry {
        log_id: log_id(2, 9),
        payload: EntryPayload::Blank,
    });
    tamper(&log_folder(folder.path()), 9, |value| {
        *value = other.clone()
    });
    let error = refusal(folder.path()).await;
    assert!(
        matches!(&error, Error::RolledBack { found, .. } if found == "entry 9 of term 2"),
        "{error}"
    );
}

#[tokio::test]
async fn end_that_a_new_leader_truncated_is_not_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = open(folder.path()).await.expect("new");
    node.commit(0..6).await;
    append(&mut node.log, (6..10).map(entry)).await;
    node.watermark.advance().await.expect("noted");
    let kept = Some(log_id(1, 5));
    node.log.truncate_after(kept).await.expect("truncated");
    node.close().await;
    let node = open(folder.path()).await.expect("nothing is lost");
    assert_eq!(node.log.last(), kept);
    assert_eq!(node.watermark.mark.committed, kept);
}

#[tokio::test]
async fn only_what_is_on_disk_is_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = open(folder.path()).await.expect("new");
    node.commit(0..6).await;
    // A majority of others has the next one, and this disk not yet.
    let ahead = Some(log_id(1, 6));
    node.log.save_committed(ahead).await.expect("saved");
    node.watermark.advance().await.expect("noted");
    assert_eq!(node.watermark.mark.committed, Some(log_id(1, 5)));
}

#[tokio::test]
async fn purged_log_without_its_snapshot_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = open(folder.path()).await.expect("new");
    node.commit(0..10).await;
    node.log.purge(log_id(1, 4)).await.expect("purged");
    node.close().await;
    let error = refusal(folder.path()).await;
    assert!(
        matches!(error, Error::MissingState { lost: SNAPSHOT, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn watermark_that_is_gone_or_of_another_directory_is_refused() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    for folder in &folders {
        open(folder.path()).await.expect("new").close().await;
    }
    let [mine, other] = folders.each_ref().map(|folder| folder.path().join(FILE));
    fs::copy(other, &mine).expect("copied");
    let error = refusal(folders[0].path()).await;
    assert!(matches!(error, Error::Watermark { .. }), "{error}");
    fs::remove_file(&mine).expect("removed");
    let error = refusal(folders[0].path()).await;
    assert!(
        matches!(
            error,
            Error::MissingState {
                lost: WATERMARK,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn directory_of_an_older_release_gets_a_watermark() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let (mut log, closed) = LogStore::open(&log_folder(folder.path()), TAIL).expect("opens");
    Identity::settle(None, &config, &log).await.expect("made");
    append(&mut log, (0..10).map(entry)).await;
    let committed = Some(log_id(1, 9));
    log.save_committed(committed).await.expect("saved");
    drop(log);
    closed.await.expect_err("the thread ends without a word");
    let node = open(folder.path()).await.expect("accepted once");
    assert_eq!(node.watermark.mark.committed, committed);
    node.close().await;
    fs::remove_file(folder.path().join(FILE)).expect("removed");
    refusal(folder.path()).await;
}

/// The bytes of version 1. A change here breaks every node there is: take the next version.
#[tokio::test]
async fn watermark_has_the_bytes_it_always_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, _closed) = LogStore::open(&log_folder(folder.path()), TAIL).expect("opens");
    let watermark = Watermark {
        folder: folder.path().to_owned(),
        incarnation: Bytes::from_static(b"0123abcd"),
        log,
        mark: Mark {
            vote: Some(Vote::new_committed(3, 2)),
            committed: Some(log_id(3, 300)),
        },
    };
    watermark.write().await.expect("written");
    let bytes = fs::read(folder.path().join(FILE)).expect("read");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "0156aa82550a08303132336162636412060803100218011a05080310ac02"
    );
    let read = read(folder.path(), &watermark.incarnation).expect("read");
    assert_eq!(read, Some(watermark.mark));
}

/// Everything that a node would go on with.
async fn state(node: &mut Opened) -> Result<String, Error> {
    let entries = node.log.try_get_log_entries(..).await;
    let entries = entries.map_err(at(&node.watermark.folder))?;
    let vote = node.log.read_vote().await.expect("in memory");
    let snapshot = match node.snapshots.get() {
        Some((meta, file)) => {
            let (_, view) = node.snapshots.load(&file)?;
            Some((meta, view.applied, view.state.hash()))
        }
        None => None,
    };
    let purged = node.log.purged();
    Ok(format!("{vote:?} {purged:?} {entries:?} {snapshot:?}"))
}

/// A data directory with every kind of file that a node has.
async fn well_used(folder: &Path) -> String {
    let mut node = open(folder).await.expect("new");
    node.vote(1).await;
    node.commit(0..20).await;
    let mut machine = crate::raft::tests::state_machine(folder, "holdfast");
    let blank = |index| {
        let entry = Entry {
            log_id: log_id(1, index),
            payload: EntryPayload::Blank,
        };
        Ok((entry, None))
    };
    machine
        .apply(futures::stream::iter((0..10).map(blank)))
        .await
        .expect("applied");
    let builder = machine.try_create_snapshot_builder(true).await;
    let built = builder.expect("made").build_snapshot().await;
    built.expect("built");
    node.log.purge(log_id(1, 4)).await.expect("purged");
    node.close().await;
    // Opened anew, the database makes files of what its write-ahead log had.
    let mut node = open(folder).await.expect("as it was");
    node.vote(2).await;
    node.commit(20..40).await;
    let state = state(&mut node).await.expect("whole");
    node.close().await;
    state
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("read") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("known").is_dir() {
            files.extend(self::files(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

fn kind(path: &Path) -> &'static str {
    let name = path.file_name().expect("named").to_string_lossy();
    let kinds = ["CURRENT", "MANIFEST", "snapshot", "identity", "watermark"];
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("log") => "WAL",
        Some("sst") => "SST",
        _ => kinds
            .into_iter()
            .find(|kind| name.contains(kind))
            .unwrap_or("other"),
    }
}

/// Damages each file in each of some ways, `None` being to remove it, and starts a node with it: it
/// must be refused or have exactly what it had. Of each kind of file some damage must be refused.
async fn damage_each(ways: impl Fn(&[u8]) -> Vec<Option<Vec<u8>>>) {
    let whole = tempfile::tempdir().expect("a folder");
    let expected = well_used(whole.path()).await;
    let mut refused = BTreeMap::new();
    for file in files(whole.path()) {
        let bytes = fs::read(&file).expect("read");
        let name = file.strip_prefix(whole.path()).expect("inside");
        let refusals: &mut u32 = refused.entry(kind(&file)).or_default();
        for (way, damage) in ways(&bytes).into_iter().enumerate() {
            let damaged = tempfile::tempdir().expect("a folder");
            copy(whole.path(), damaged.path());
            let path = damaged.path().join(name);
            match damage {
                Some(bytes) => fs::write(path, bytes).expect("written"),
                None => fs::remove_file(path).expect("removed"),
            }
            let started = match open(damaged.path()).await {
                Ok(mut node) => {
                    let state = state(&mut node).await;
                    drop((node.watermark, node.log));
                    node.closed
                        .await
                        .expect_err("the thread ends without a word");
                    state
                }
                Err(error) => Err(error),
            };
            match started {
                Ok(found) => assert_eq!(found, expected, "{}, way {way}", name.display()),
                Err(_) => *refusals += 1,
            }
        }
    }
    let kinds = [
        "WAL",
        "SST",
        "CURRENT",
        "MANIFEST",
        "snapshot",
        "identity",
        "watermark",
    ];
    for kind in kinds {
        assert!(
            refused.get(kind).is_some_and(|count| *count > 0),
            "{kind}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn flipped_bit_in_any_file_is_refused_or_changes_nothing() {
    damage_each(|bytes| {
        let flips = FLIPS_PER_FILE.min(bytes.len());
        let flip = |number: usize| {
            let mut bytes = bytes.to_vec();
            // The first and the last byte are among them.
            let place = number * (bytes.len() - 1) / (flips - 1).max(1);
            bytes[place] ^= 1 << (number % 8);
            Some(bytes)
        };
        (0..flips).map(flip).collect()
    })
    .await;
}

#[tokio::test]
async fn file_that_lost_its_end_or_is_gone_is_refused_or_changes_nothing() {
    damage_each(|bytes| {
        let length = bytes.len();
        let lengths = [length.saturating_sub(1), length * 9 / 10, length / 2, 0];
        let cut = |length: usize| Some(bytes[..length].to_vec());
        lengths.into_iter().map(cut).chain([None]).collect()
    })
    .await;
}
