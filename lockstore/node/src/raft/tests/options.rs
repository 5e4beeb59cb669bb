//! What openraft and RocksDB are told that isn't their default, because a default loses data or a
//! leader: see `docs/lock-store-traps.md`.

use std::path::PathBuf;

use super::*;

#[test]
fn consensus_is_told_what_its_defaults_get_wrong() {
    let told = raft_config(&Config::default())
        .validate()
        .expect("it is valid");
    // A node that was cut off comes back without ending a leader's term.
    assert_eq!(told.enable_pre_vote, Some(true));
    // A leader that restarts is elected again: its clock has stood still.
    assert_eq!(told.enable_leader_restore, Some(false));
    // A follower with less than it acknowledged is never taken for one that is behind.
    assert_eq!(told.allow_log_reversion, None);
    // A leader that only some hear makes way, though its heartbeats reach them.
    let probe = told.quorum_loss_probe_interval.expect("it looks");
    assert!(probe >= told.election_timeout_max, "after its lease");
    assert_eq!(told.max_payload_entries, limits::APPEND_ENTRIES_MAX);
    let whole = limits::SNAPSHOT_TRANSFER_TIMEOUT.as_millis();
    assert_eq!(u128::from(told.install_snapshot_timeout), whole);
    // A slow follower isn't one that is gone: its stream stays.
    let patience = limits::APPEND_STALL_MAX.as_millis();
    assert!(patience >= 10_000, "{patience}");
    assert!(patience > u128::from(told.election_timeout_max));
}

/// The one file that entries are in as long as RocksDB has made no other.
fn write_ahead_log(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("read");
    let mut logs = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|name| name == "log"));
    let log = logs.next().expect("there is one");
    assert_eq!(logs.next(), None);
    log
}

/// A folder with 50 entries, each written and synced alone, and then closed.
async fn written() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, closed) = LogStore::open(folder.path(), TAIL).expect("opens");
    for index in 0..50 {
        append(&mut log, [entry(index)]).await;
    }
    drop(log);
    closed.await.expect_err("the thread ends without a word");
    folder
}

#[tokio::test]
async fn log_that_is_damaged_before_its_end_is_refused_and_not_cut_there() {
    let folder = written().await;
    let path = write_ahead_log(folder.path());
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    let refused = log_db::open(folder.path()).expect_err("entries after it were acknowledged");
    assert!(matches!(refused, log_db::OpenError::Rocks(_)), "{refused}");
}

#[tokio::test]
async fn write_that_was_cut_off_at_the_end_is_as_if_it_had_not_been() {
    let folder = written().await;
    let path = write_ahead_log(folder.path());
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("there");
    let length = file.metadata().expect("read").len();
    file.set_len(length - 3).expect("cut");
    let db = log_db::open(folder.path()).expect("opens");
    let mut found = 0;
    log_db::scan(&db, 0, u64::MAX, |_, _| {
        found += 1;
        true
    })
    .expect("all others are whole");
    assert_eq!(found, 49);
}
