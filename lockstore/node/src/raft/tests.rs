//! The storage, by openraft's own suite and by ours.

mod options;

use std::{collections::BTreeSet, fs, path::Path};

use holdfast_types::Lineage;
use openraft::{
    EntryPayload, RaftLogReader, StorageError,
    storage::{IOFlushed, RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::identity::{NOTE_FOUNDING, NOTE_INCARNATION};

use super::{
    convert,
    types::{Entry, LogId, Vote},
    *,
};

const TAIL: usize = 1 << 20;

struct Stores;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Stores {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, _closed) = LogStore::open(&folder.path().join("raft"), TAIL).expect("opens");
        let machine = state_machine(folder.path(), "test");
        Ok((folder, log, machine))
    }
}

/// One with so much free, that should have `floor_mb` at least.
fn disk(floor_mb: u64, free: u64) -> Disk {
    let config = Config {
        free_space_min_mb: floor_mb,
        ..Config::default()
    };
    Disk::new(&config, Arc::new(move |_| Ok(free)))
}

pub(super) fn state_machine(folder: &Path, cluster: &str) -> StateMachine {
    let lineage = Lineage(1);
    let snapshots = Snapshots::open(folder.join("snapshots"), cluster.to_owned(), lineage);
    StateMachine::new(
        Arc::new(Machine::new(lineage)),
        Arc::new(snapshots.expect("opens")),
        Arc::new(disk(0, u64::MAX)),
    )
}

#[tokio::test]
async fn snapshot_that_can_wait_waits_for_disk_space() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut machine = state_machine(folder.path(), "test");
    machine.disk = Arc::new(disk(2, 2 << 20));
    machine.disk.look().await;
    assert!(machine.try_create_snapshot_builder(false).await.is_some());
    let mut builder = machine.get_snapshot_builder().await;
    builder.build_snapshot().await.expect("written");
    // With what was just written once more less than the floor would be left.
    assert!(machine.try_create_snapshot_builder(false).await.is_none());
    let forced = machine.try_create_snapshot_builder(true).await;
    assert!(forced.is_some(), "a follower needs it");
    machine.disk = Arc::new(disk(2, 3 << 20));
    machine.disk.look().await;
    assert!(machine.try_create_snapshot_builder(false).await.is_some());
}

#[test]
fn stores_pass_the_suite_of_openraft() {
    TypeConfig::run(async { Suite::test_all(Stores).await }).expect("every case passes");
}

pub(super) fn log_id(term: u64, index: u64) -> LogId {
    convert::log_id_from_pb(&pb::LogPosition { term, index })
}

pub(super) fn entry(index: u64) -> Entry {
    let payload = EntryPayload::Normal(Batch(
        vec![u8::try_from(index % 251).expect("small"); 100].into(),
    ));
    Entry {
        log_id: log_id(1, index),
        payload,
    }
}

pub(super) async fn append(log: &mut LogStore, entries: impl IntoIterator<Item = Entry> + Send) {
    let (done, written) = TypeConfig::oneshot();
    let entries: Vec<Entry> = entries.into_iter().collect();
    log.append(entries, IOFlushed::signal(done))
        .await
        .expect("appended");
    written.await.expect("told").expect("durable");
}

async fn reopen(
    log: LogStore,
    closed: oneshot::Receiver<()>,
    path: &Path,
    tail: usize,
) -> Result<(LogStore, oneshot::Receiver<()>), log_db::OpenError> {
    drop(log);
    closed.await.expect_err("the thread ends without a word");
    LogStore::open(path, tail)
}

#[tokio::test]
async fn entries_beyond_memory_are_read_from_disk_and_survive_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, closed) = LogStore::open(folder.path(), 1_000).expect("opens");
    let all: Vec<Entry> = (0..100).map(entry).collect();
    for entry in all.clone() {
        append(&mut log, [entry]).await;
    }
    log.save_vote(&Vote::new_committed(1, 2))
        .await
        .expect("saved");
    assert_eq!(log.try_get_log_entries(0..100).await.expect("read"), all);
    assert_eq!(
        log.try_get_log_entries(3..7).await.expect("read"),
        all[3..7]
    );
    log.truncate_after(Some(log_id(1, 89)))
        .await
        .expect("truncated");
    log.purge(log_id(1, 9)).await.expect("purged");
    let (mut log, _closed) = reopen(log, closed, folder.path(), 1_000)
        .await
        .expect("opens");
    assert_eq!(
        log.try_get_log_entries(..).await.expect("read"),
        all[10..90]
    );
    assert_eq!(
        log.read_vote().await.expect("read"),
        Some(Vote::new_committed(1, 2))
    );
    let state = log.get_log_state().await.expect("read");
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 9)));
    assert_eq!(state.last_log_id, Some(log_id(1, 89)));
    append(&mut log, [entry(90)]).await;
    assert_eq!(log.try_get_log_entries(88..).await.expect("read").len(), 3);
}

#[tokio::test]
async fn append_to_a_peer_is_limited_but_never_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _closed) = LogStore::open(folder.path(), 1 << 30).expect("opens");
    let large = |index| Entry {
        log_id: log_id(1, index),
        payload: EntryPayload::Normal(Batch(vec![0; limits::APPEND_BYTES_MAX].into())),
    };
    append(&mut log, [large(0), large(1)]).await;
    assert_eq!(
        log.limited_get_log_entries(0, 2).await.expect("read").len(),
        1
    );
}

/// Puts a value straight into the log's column family.
pub(super) fn tamper(path: &Path, index: u64, change: impl Fn(&mut Vec<u8>)) {
    let families = rocksdb::DB::list_cf(&rocksdb::Options::default(), path).expect("listed");
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), path, families).expect("opens");
    let log = db.cf_handle(log_writer::CF_LOG).expect("there");
    let mut value = db
        .get_cf(log, index.to_be_bytes())
        .expect("read")
        .expect("there");
    change(&mut value);
    if value.is_empty() {
        db.delete_cf(log, index.to_be_bytes()).expect("removed");
    } else {
        db.put_cf(log, index.to_be_bytes(), value).expect("written");
    }
}

#[tokio::test]
async fn damaged_or_missing_entry_refuses_to_open() {
    use log_db::OpenError;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, closed) = LogStore::open(folder.path(), TAIL).expect("opens");
    append(&mut log, (0..10).map(entry)).await;
    drop(log);
    closed.await.expect_err("the thread ends without a word");

    let error = |path| LogStore::open(path, TAIL).map(|_| ()).expect_err("refused");
    tamper(folder.path(), 4, |value| value[20] ^= 1);
    assert!(matches!(
        error(folder.path()),
        OpenError::Entry { index: 4, .. }
    ));
    tamper(folder.path(), 4, |value| value[20] ^= 1);
    tamper(folder.path(), 4, |value| value[0] = 2);
    assert!(matches!(
        error(folder.path()),
        OpenError::Entry { index: 4, .. }
    ));
    tamper(folder.path(), 4, Vec::clear);
    assert!(matches!(
        error(folder.path()),
        OpenError::Hole { last: 3, found: 5 }
    ));
}

#[tokio::test]
async fn log_without_its_beginning_refuses_to_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, closed) = LogStore::open(folder.path(), TAIL).expect("opens");
    append(&mut log, (0..10).map(entry)).await;
    drop(log);
    closed.await.expect_err("the thread ends without a word");
    tamper(folder.path(), 0, Vec::clear);
    let error = LogStore::open(folder.path(), TAIL)
        .map(|_| ())
        .expect_err("refused");
    let begins = log_db::OpenError::Headless { first: 0, found: 1 };
    assert_eq!(error.to_string(), begins.to_string());
}

#[tokio::test]
async fn snapshot_survives_reopening_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut machine = state_machine(folder.path(), "test");
    let blank = Entry {
        log_id: log_id(1, 0),
        payload: EntryPayload::Blank,
    };
    machine
        .apply(futures::stream::iter([Ok((blank, None))]))
        .await
        .expect("applied");
    let mut builder = machine
        .try_create_snapshot_builder(true)
        .await
        .expect("made");
    let built = builder.build_snapshot().await.expect("built");
    drop(machine);

    let mut machine = state_machine(folder.path(), "test");
    let current = machine
        .get_current_snapshot()
        .await
        .expect("read")
        .expect("there");
    assert_eq!(current.meta, built.meta);
    machine
        .install_snapshot(&current.meta, current.snapshot)
        .await
        .expect("installed");
    assert_eq!(
        machine.applied_state().await.expect("read").0,
        Some(log_id(1, 0))
    );

    let path = fs::read_dir(folder.path().join("snapshots"))
        .expect("read")
        .map(|entry| entry.expect("an entry").path())
        .next()
        .expect("one snapshot");
    let whole = fs::read(&path).expect("read");
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, damaged).expect("written");
        let snapshots = Snapshots::open(
            folder.path().join("snapshots"),
            "test".to_owned(),
            Lineage(1),
        );
        let refused = match snapshots {
            Err(_) => true,
            Ok(snapshots) => snapshots.load(&snapshots.get().expect("one").1).is_err(),
        };
        assert!(refused, "byte {at}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).expect("written");
    let snapshots = Snapshots::open(
        folder.path().join("snapshots"),
        "test".to_owned(),
        Lineage(1),
    )
    .expect("its header is whole");
    assert!(snapshots.load(&snapshots.get().expect("one").1).is_err());
}

/// The bytes of version 1. A change here breaks every snapshot there is: take the next version.
#[tokio::test]
async fn snapshot_version_1_starts_as_it_always_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut machine = state_machine(folder.path(), "test");
    let voters = vec![BTreeSet::from([1, 2, 3])];
    let nodes: BTreeMap<u64, EmptyNode> = [1, 2, 3].map(|id| (id, EmptyNode::new())).into();
    let membership = openraft::Membership::new(voters, nodes).expect("voters are nodes");
    let first = Entry {
        log_id: log_id(0, 0),
        payload: EntryPayload::Membership(membership),
    };
    let second = Entry {
        log_id: log_id(2, 1),
        payload: EntryPayload::Blank,
    };
    let entries = [first, second].map(|entry| Ok((entry, None)));
    machine
        .apply(futures::stream::iter(entries))
        .await
        .expect("applied");
    let mut builder = machine
        .try_create_snapshot_builder(true)
        .await
        .expect("made");
    let built = builder.build_snapshot().await.expect("built");
    let bytes = built.snapshot.chunk(0).expect("read");
    let header = usize::from(bytes[8]);
    let text: String = bytes[..16 + header]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        text,
        "4846534e4150010022000000519f1e000a2012047465737418012204080210012a100a00120c0a050a030102031203010203"
    );
}

/// The bytes of version 1. A change here breaks every node there is: take the next version.
#[tokio::test]
async fn metadata_of_the_log_has_the_bytes_it_always_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, closed) = LogStore::open(folder.path(), TAIL).expect("opens");
    let founder = |node_id: u64, incarnation: &'static [u8]| pb::Founder {
        node_id,
        incarnation: incarnation.into(),
    };
    log.set_note(NOTE_INCARNATION, &founder(1, b"0123abcd"))
        .await
        .expect("kept");
    let founding = pb::Founding {
        founders: vec![founder(1, b"0123abcd"), founder(2, b"4567cdef")],
    };
    log.set_note(NOTE_FOUNDING, &founding).await.expect("kept");
    append(&mut log, (0..10).map(entry)).await;
    log.save_committed(Some(log_id(1, 8))).await.expect("saved");
    log.purge(log_id(1, 4)).await.expect("purged");
    log.save_vote(&Vote::new_committed(3, 2))
        .await
        .expect("saved");
    drop(log);
    closed.await.expect_err("the thread ends without a word");
    let db = log_db::open(folder.path()).expect("opens");
    let family = db.cf_handle(log_writer::CF_META).expect("there");
    let lines = db
        .iterator_cf(family, rocksdb::IteratorMode::Start)
        .map(|item| {
            let (key, value) = item.expect("read");
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} {hex}\n", String::from_utf8_lossy(&key))
        });
    assert_eq!(lines.collect::<String>(), include_str!("golden_meta.txt"));
}
