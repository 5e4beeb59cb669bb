//! The bytes of snapshot files and of what carries them, and who doesn't wait for their writing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc,
    time::Duration,
};

use futures::FutureExt;
use lockstore_core::State;
use openraft::EmptyNode;
use tokio::sync::Semaphore;

use super::{
    super::{
        transfer::{self, Receiving},
        types::{LogId, Membership, StoredMembership},
    },
    *,
};
use crate::machine::Machine;

const GOLDEN: [(&str, &str); 2] = [
    (
        include_str!("../golden_snapshot.txt"),
        include_str!("../../codec/golden_records.txt"),
    ),
    (
        include_str!("../golden_snapshot_1.txt"),
        include_str!("../../codec/golden_records_1.txt"),
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The state that records, one a line, are of.
fn state(lines: &str) -> State {
    let mut builder = StateBuilder::new();
    for line in lines.lines() {
        let record = pb::SnapshotRecord::decode(bytes(line).as_slice()).expect("a record");
        let record = codec::record_from_pb(&record.record.expect("of a kind")).expect("decodes");
        builder.push(record).expect("fits");
    }
    builder.finish().expect("complete")
}

fn log_id(term: u64, index: u64) -> LogId {
    convert::log_id_from_pb(&pb::LogPosition { term, index })
}

fn meta(last: LogId) -> SnapshotMeta {
    let voters = vec![BTreeSet::from([1, 2, 3])];
    let nodes: BTreeMap<u64, EmptyNode> = [1, 2, 3].map(|id| (id, EmptyNode::new())).into();
    let membership = Membership::new(voters, nodes).expect("voters are nodes");
    SnapshotMeta {
        last_log_id: Some(last),
        last_membership: StoredMembership::new(Some(log_id(0, 0)), membership),
    }
}

fn snapshots(folder: &Path) -> Snapshots {
    Snapshots::open(folder.to_owned(), "test".to_owned(), Lineage(1)).expect("opens")
}

/// Files of version 1, whole, one record a line, of behaviours 0 and 1. A change here breaks every
/// snapshot there is: take the next version, and keep reading these.
#[test]
fn snapshot_of_version_1_is_read_and_written_as_it_always_was() {
    for (behaviour, (file, records)) in (0..).zip(GOLDEN) {
        let golden = bytes(&file.replace('\n', ""));
        let folder = tempfile::tempdir().expect("a folder");
        let snapshots = snapshots(folder.path());
        let unfinished = snapshots.unfinished();
        fs::write(unfinished.path(), &golden).expect("written");
        let read = SnapshotFile::open_unfinished(unfinished).expect("opens");
        let (meta, view) = snapshots.load(&read).expect("is read");
        assert_eq!(meta, super::tests::meta(log_id(2, 9)));
        assert_eq!(
            (view.wall_ms, view.behaviour),
            (1_700_000_000_000, behaviour)
        );
        assert_eq!(view.state.hash(), state(records).hash());
        assert_eq!(view.state.recompute_hash(), view.state.hash());
        // The last record of the file says it.
        let hash = &golden[golden.len() - 16..];
        assert_eq!(view.state.hash().0.to_be_bytes(), hash);

        let written = snapshots.write(&meta, &view).expect("written");
        assert_eq!(hex(&written.chunk(0).expect("read")), hex(&golden));
    }
}

/// What a snapshot travels in. A change here breaks transfers between releases.
#[test]
fn messages_of_a_transfer_have_the_bytes_they_always_had() {
    use pb::install_snapshot_request::Part;
    let last = Some(pb::LogPosition { term: 2, index: 9 });
    let address = Some(pb::PeerAddress {
        cluster_id: "test".to_owned(),
        lineage: 1,
        group_id: 0,
        from_node_id: 1,
        to_node_id: 2,
    });
    let of_0_1_0 = pb::InstallSnapshotStart {
        address: address.clone(),
        vote: Some(pb::RaftVote {
            term: 2,
            node_id: 1,
            committed: true,
        }),
        last,
        membership: Some(convert::stored_membership_to_pb(
            &meta(log_id(2, 9)).last_membership,
        )),
        length: 4_096,
        leader_time: Some(pb::LeaderTime {
            term: 2,
            time_ms: 5,
            age_ms: 0,
            jump: None,
        }),
        quorum_age_ms: Some(0),
        crc32c: None,
        offset: 0,
    };
    let start = pb::InstallSnapshotStart {
        crc32c: Some(0x0102_0304),
        offset: 1 << 20,
        ..of_0_1_0.clone()
    };
    let chunk = pb::SnapshotChunk {
        offset: 1 << 20,
        crc32c: 0x0102_0304,
        bytes: Bytes::from_static(b"abc"),
    };
    let part = |part| pb::InstallSnapshotRequest { part: Some(part) }.encode_to_vec();
    let ask = pb::GetSnapshotProgressRequest {
        address,
        file: Some(pb::SnapshotFile {
            last,
            length: 4_096,
            crc32c: 0x0102_0304,
        }),
    };
    let answer = pb::GetSnapshotProgressResponse { offset: 1 << 20 };
    let messages = [
        part(Part::Start(of_0_1_0)),
        part(Part::Bytes(Bytes::from_static(b"abc"))),
        part(Part::Start(start)),
        part(Part::Chunk(chunk)),
        ask.encode_to_vec(),
        answer.encode_to_vec(),
    ];
    let lines: String = messages.iter().map(|bytes| hex(bytes) + "\n").collect();
    assert_eq!(lines, include_str!("../golden_transfer.txt"));
}

/// A transfer of `whole`, whose file is `of`, from `offset` on.
fn receive(
    snapshots: &Arc<Snapshots>,
    places: &Arc<Semaphore>,
    of: pb::SnapshotFile,
    offset: u64,
) -> Receiving {
    let start = pb::InstallSnapshotStart {
        last: of.last,
        length: of.length,
        crc32c: Some(of.crc32c),
        offset,
        ..Default::default()
    };
    let place = Arc::clone(places).try_acquire_owned().expect("a place");
    Receiving::begin(Arc::clone(snapshots), &start, place).expect("begins")
}

/// Ends a transfer when it is to be verified, and waits until that is over.
async fn cut_off(receiving: Receiving, wanted: SnapshotMeta, places: &Arc<Semaphore>) {
    let (open, opening) = mpsc::channel::<()>();
    let gate = tokio::task::spawn_blocking(move || opening.recv());
    let mut finishing = Box::pin(receiving.finish(wanted));
    assert!(finishing.as_mut().now_or_never().is_none(), "it waits");
    drop(finishing);
    drop(open);
    assert!(gate.await.expect("no panic").is_err());
    let place = Arc::clone(places).acquire_owned();
    let place = tokio::time::timeout(Duration::from_secs(30), place).await;
    drop(place.expect("free in time"));
}

#[test]
fn transfer_that_breaks_off_while_it_is_verified_has_come_whole() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_time()
        .build();
    runtime
        .expect("a runtime")
        .block_on(break_off_while_verified());
}

async fn break_off_while_verified() {
    let whole = bytes(&GOLDEN[1].0.replace('\n', ""));
    let last = pb::LogPosition { term: 2, index: 9 };
    let (length, crc32c) = (whole.len() as u64, crc32c::crc32c(&whole));
    let of = pb::SnapshotFile {
        last: Some(last),
        length,
        crc32c,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = Arc::new(snapshots(folder.path()));
    let places = Arc::new(Semaphore::new(1));
    let mut receiving = receive(&snapshots, &places, of, 0);
    let chunk = pb::SnapshotChunk {
        offset: 0,
        crc32c,
        bytes: whole.clone().into(),
    };
    let part = pb::install_snapshot_request::Part::Chunk(chunk);
    receiving.take(part).await.expect("taken");
    cut_off(receiving, meta(log_id(2, 9)), &places).await;
    assert_eq!(transfer::progress(&snapshots, &of), length);

    // What goes on sends nothing more.
    let receiving = receive(&snapshots, &places, of, length);
    let file = receiving.finish(meta(log_id(2, 9))).await.expect("whole");
    assert_eq!(transfer::progress(&snapshots, &of), 0);
    let adopted = snapshots.adopt(&meta(log_id(2, 9)), file).expect("adopted");
    assert_eq!(adopted.chunk(0).expect("read"), whole);

    // What isn't what it was said to be isn't kept, whoever waits.
    let folder = tempfile::tempdir().expect("a folder");
    let other = Arc::new(super::tests::snapshots(folder.path()));
    let mut receiving = receive(&other, &places, of, 0);
    let chunk = pb::SnapshotChunk {
        offset: 0,
        crc32c,
        bytes: whole.into(),
    };
    let part = pb::install_snapshot_request::Part::Chunk(chunk);
    receiving.take(part).await.expect("taken");
    cut_off(receiving, meta(log_id(2, 8)), &places).await;
    assert_eq!(transfer::progress(&other, &of), 0);
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0);
}

/// Stops at its first byte until it is told to go on.
struct Gate {
    reached: mpsc::Sender<()>,
    open: mpsc::Receiver<()>,
    written: Vec<u8>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.is_empty() {
            self.reached.send(()).map_err(io::Error::other)?;
            self.open.recv().map_err(io::Error::other)?;
        }
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn entries_are_applied_and_snapshots_told_while_one_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = snapshots(folder.path());
    let machine = Machine::new(Lineage(1));
    drop(machine.replace(View {
        state: state(GOLDEN[1].1),
        ..View::new(Lineage(1))
    }));
    machine.pass(pb::LogPosition { term: 2, index: 9 });
    let view = machine.view();
    let hash = view.state.hash();
    let (reached, reaching) = mpsc::channel();
    let (open, opening) = mpsc::channel();
    let written = std::thread::scope(|scope| {
        let (snapshots, meta) = (&snapshots, meta(log_id(2, 9)));
        let writing = scope.spawn(move || {
            let mut gate = Gate {
                reached,
                open: opening,
                written: Vec::new(),
            };
            snapshots
                .write_records(&mut gate, &meta, &view)
                .map(|()| gate.written)
        });
        reaching.recv().expect("it began");
        let (applied, applying) = mpsc::channel();
        let machine = &machine;
        scope.spawn(move || {
            for index in 10..20 {
                let tick = pb::CommandBatch {
                    stamp_ms: 1_000_000_000 + index,
                    commands: vec![pb::LogCommand {
                        command: Some(codec::Body::Tick(pb::Tick {})),
                    }],
                    ..Default::default()
                };
                let position = pb::LogPosition { term: 2, index };
                let replies = machine.apply(position, tick.encode_to_vec().into());
                assert_eq!(replies.expect("applied").len(), 1);
            }
            applied.send(snapshots.get().is_none())
        });
        // It would be never.
        let told = applying.recv_timeout(Duration::from_secs(30));
        open.send(()).expect("it waits");
        assert_eq!(
            told,
            Ok(true),
            "nothing waits for it, and there is none yet"
        );
        writing.join().expect("no panic").expect("written")
    });
    assert_eq!(machine.view().applied.expect("some").index, 19);
    assert_ne!(machine.view().state.hash(), hash, "holds have ended");

    let unfinished = snapshots.unfinished();
    fs::write(unfinished.path(), written).expect("written");
    let file = SnapshotFile::open_unfinished(unfinished).expect("opens");
    let (_, read) = snapshots.load(&file).expect("is read");
    assert_eq!(read.state.hash(), hash, "as it was when it began");
}
