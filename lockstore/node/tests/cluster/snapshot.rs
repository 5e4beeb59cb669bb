//! Snapshots that break off or don't arrive as they were sent: the node goes on, and no file is left.

use std::{fs, ops::Range, path::PathBuf};

use futures::{Stream, StreamExt, stream};
use holdfast_mesh::client::Channel;
use holdfast_proto::lockstore::v1::{self as pb, peer_service_client::PeerServiceClient};
use pb::{install_snapshot_request::Part, snapshot_record::Record};
use prost::Message;
use tonic::{Code, Status};

use crate::support::Cluster;

const TTL_MS: u64 = 600_000;
/// Magic and version, and a record's length and checksum, in front of the header.
const HEADER_AT: usize = 16;
/// Bytes of a chunk here; a node's own are larger than these snapshots.
const CHUNK: usize = 100;

/// The bytes of the snapshot that `node_id` has, once it has one.
async fn snapshot_of(cluster: &Cluster, node_id: u64) -> Vec<u8> {
    let folder = cluster.data_dir(node_id).join("snapshots");
    cluster
        .until("there is a snapshot", || async {
            let newest = files(&folder, ".snapshot").pop()?;
            // It may be replaced at this moment.
            fs::read(newest).ok()
        })
        .await
}

fn files(folder: &PathBuf, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort();
    files
}

fn header(bytes: &[u8]) -> pb::SnapshotHeader {
    let length = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
    let end = HEADER_AT + usize::try_from(length).expect("small");
    let record = pb::SnapshotRecord::decode(&bytes[HEADER_AT..end]).expect("a record");
    let Some(Record::Header(header)) = record.record else {
        panic!("{record:?}")
    };
    header
}

/// A snapshot, the leader that has it, and a node to send it to in its name.
struct Transfer {
    whole: Vec<u8>,
    start: pb::InstallSnapshotStart,
    peer: PeerServiceClient<Channel>,
    /// The node's snapshots.
    folder: PathBuf,
}

fn part(part: Part) -> pb::InstallSnapshotRequest {
    pb::InstallSnapshotRequest { part: Some(part) }
}

/// As release 0.1.0 sends it.
fn bytes(bytes: &[u8]) -> pb::InstallSnapshotRequest {
    part(Part::Bytes(bytes.to_vec().into()))
}

fn chunk(offset: usize, bytes: &[u8]) -> pb::InstallSnapshotRequest {
    part(Part::Chunk(pb::SnapshotChunk {
        offset: offset as u64,
        crc32c: crc32c::crc32c(bytes),
        bytes: bytes.to_vec().into(),
    }))
}

impl Transfer {
    /// Of the snapshot of `status`' node to node `to`, without checksums.
    async fn prepare(cluster: &Cluster, status: &pb::GetStatusResponse, to: u64) -> Self {
        let from = status.node_id;
        let whole = snapshot_of(cluster, from).await;
        let header = header(&whole);
        let start = pb::InstallSnapshotStart {
            address: Some(pb::PeerAddress {
                cluster_id: status.cluster_id.clone(),
                lineage: 1,
                group_id: 0,
                from_node_id: from,
                to_node_id: to,
            }),
            vote: Some(pb::RaftVote {
                term: status.term,
                node_id: from,
                committed: true,
            }),
            last: header.last,
            membership: header.membership,
            length: whole.len() as u64,
            leader_time: None,
            quorum_age_ms: Some(0),
            crc32c: None,
            offset: 0,
        };
        let slot = usize::try_from(to - 1).expect("small");
        let address = &cluster.config(to).members[slot].peer_addr;
        let channel = holdfast_mesh::client::channel(address).expect("an address");
        Self {
            whole,
            start,
            peer: PeerServiceClient::new(channel),
            folder: cluster.data_dir(to).join("snapshots"),
        }
    }

    /// The same with the file `whole`, and with checksums.
    fn checked(&self, whole: Vec<u8>) -> Self {
        let start = pb::InstallSnapshotStart {
            length: whole.len() as u64,
            crc32c: Some(crc32c::crc32c(&whole)),
            ..self.start.clone()
        };
        Self {
            whole,
            start,
            peer: self.peer.clone(),
            folder: self.folder.clone(),
        }
    }

    fn to(&self) -> u64 {
        self.start.address.as_ref().expect("one").to_node_id
    }

    fn start(&self) -> pb::InstallSnapshotRequest {
        part(Part::Start(self.start.clone()))
    }

    /// The start of a transfer that goes on at `offset`.
    fn start_at(&self, offset: usize) -> pb::InstallSnapshotRequest {
        part(Part::Start(pb::InstallSnapshotStart {
            offset: offset as u64,
            ..self.start.clone()
        }))
    }

    /// The chunks of a part of the file.
    fn chunks(&self, range: Range<usize>) -> Vec<pb::InstallSnapshotRequest> {
        let starts = range.clone().step_by(CHUNK);
        starts
            .map(|at| chunk(at, &self.whole[at..range.end.min(at + CHUNK)]))
            .collect()
    }

    async fn send(
        &self,
        parts: impl Stream<Item = pb::InstallSnapshotRequest> + Send + 'static,
    ) -> Result<(), Status> {
        self.peer.clone().install_snapshot(parts).await.map(drop)
    }

    /// Sends `length` bytes and then nothing, and breaks off when they are there; how many the node
    /// then says it has.
    async fn break_off(&self, cluster: &Cluster, length: usize) -> usize {
        let mut peer = self.peer.clone();
        let mut parts = vec![self.start()];
        parts.extend(self.chunks(0..length));
        let parts = stream::iter(parts).chain(stream::pending());
        let sending = tokio::spawn(async move { peer.install_snapshot(parts).await.map(drop) });
        cluster
            .until("it has come that far", || async {
                let file = files(&self.folder, ".unfinished").pop()?;
                let has = fs::metadata(file).ok()?.len();
                (has == length as u64).then_some(())
            })
            .await;
        sending.abort();
        let has = usize::try_from(self.progress(cluster).await).expect("small");
        // The last chunk may be there and not counted.
        assert!(has == length || has + CHUNK == length, "{has} of {length}");
        has
    }

    /// How much of the file the node says it has.
    async fn progress(&self, cluster: &Cluster) -> u64 {
        let request = pb::GetSnapshotProgressRequest {
            address: self.start.address.clone(),
            file: Some(pb::SnapshotFile {
                last: self.start.last,
                length: self.start.length,
                crc32c: self.start.crc32c.expect("with checksums"),
            }),
        };
        let ask = || async {
            let answer = self
                .peer
                .clone()
                .get_snapshot_progress(request.clone())
                .await;
            match answer {
                Ok(answer) => Some(answer.into_inner().offset),
                Err(status) if status.code() == Code::Aborted => None,
                Err(status) => panic!("{status}"),
            }
        };
        cluster.until("nothing is being received", ask).await
    }

    async fn gone(&self, cluster: &Cluster) {
        cluster
            .until("nothing is left of it", || async {
                files(&self.folder, ".unfinished").is_empty().then_some(())
            })
            .await;
    }
}

/// Entries may be few and long.
#[tokio::test(flavor = "multi_thread")]
async fn snapshot_is_taken_by_the_bytes_of_the_log_and_started_from() {
    /// A megabyte takes a hundred and thirty of them.
    const SHOWS_MAX: u32 = 400;
    const SEATS: u32 = 4_096;
    let mut cluster = Cluster::start(|config| config.snapshot_log_mb = 1).await;
    let mut shows = 0;
    let taken = loop {
        cluster.open_show(SEATS, TTL_MS).await;
        shows += 1;
        let status = cluster.agrees().await;
        if let Some(snapshot) = status.snapshot {
            assert!(shows > 100, "after {shows}");
            break snapshot.index;
        }
        assert!(shows < SHOWS_MAX, "none came");
    };
    assert!(taken < cluster.config(1).snapshot_logs_since_last);
    for node_id in cluster.ids() {
        cluster.stop_node(node_id).await;
    }
    for node_id in cluster.ids() {
        cluster.start_node(node_id);
    }
    let status = cluster.agrees().await;
    // Of whichever node leads now: each takes its own, at its own moment.
    let kept = status.snapshot.expect("kept").index;
    assert!(kept > 0, "started from {kept}, not from the beginning");
    cluster.open_show(SEATS, TTL_MS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_that_arrives_damaged_or_not_whole_changes_nothing() {
    let cluster = Cluster::start(|config| config.snapshot_logs_since_last = 10).await;
    let show = cluster.open_show(40, TTL_MS).await;
    for seat in 0..15 {
        cluster.hold(&show, &[seat]).await;
    }
    // Of one moment. It doesn't matter if another leads later: what is damaged is refused, and what
    // is whole is taken, in the name of an old leader too.
    let status = cluster.agrees().await;
    let leader = status.node_id;
    let mut others = cluster.ids().into_iter().filter(|id| *id != leader);
    let to = others.next().expect("three nodes");
    let old = Transfer::prepare(&cluster, &status, to).await;
    let whole = &old.whole;

    for at in [HEADER_AT + 4, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let parts = stream::iter([old.start(), bytes(&damaged)]);
        let status = old.send(parts).await.expect_err("damaged");
        assert_eq!(status.code(), Code::DataLoss, "byte {at}: {status}");
        old.gone(&cluster).await;
    }
    let half = || stream::iter([old.start(), bytes(&whole[..whole.len() / 2])]);
    let status = old.send(half()).await.expect_err("half of it");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    old.gone(&cluster).await;

    let endless = half().chain(stream::pending());
    let sending = tokio::spawn({
        let mut peer = old.peer.clone();
        async move { peer.install_snapshot(endless).await.map(drop) }
    });
    cluster
        .until("it is being received", || async {
            (!files(&old.folder, ".unfinished").is_empty()).then_some(())
        })
        .await;
    let status = old.send(half()).await.expect_err("one at a time");
    assert_eq!(status.code(), Code::Aborted, "{status}");
    sending.abort();
    old.gone(&cluster).await;

    // Nothing was wrong but the damage: it is taken, and not used, since the node has it all.
    cluster
        .until("the place is free again", || async {
            match old.send(stream::iter([old.start(), bytes(whole)])).await {
                Ok(()) => Some(()),
                Err(status) if status.code() == Code::Aborted => None,
                Err(status) => panic!("{status}"),
            }
        })
        .await;
    old.gone(&cluster).await;
    cluster.hold(&show, &[20]).await;
    cluster.agrees().await;
}

/// A cluster whose node `to` alone runs, lacks what the others have purged, and could be sent it.
async fn one_that_is_behind() -> (Cluster, Transfer) {
    let mut cluster = Cluster::start(|config| {
        config.snapshot_logs_since_last = 10;
        config.snapshot_logs_kept = 0;
    })
    .await;
    let show = cluster.open_show(100, TTL_MS).await;
    let to = cluster.follower().await;
    cluster.stop_node(to).await;
    for seat in 0..25 {
        cluster.hold(&show, &[seat]).await;
    }
    let leader = cluster.leader().await;
    let status = cluster.status_of(leader).await;
    let transfer = Transfer::prepare(&cluster, &status, to).await;
    for node_id in cluster.ids() {
        cluster.stop_node(node_id).await;
    }
    cluster.start_node(to);
    cluster.status_of(to).await;
    let checked = transfer.checked(transfer.whole.clone());
    (cluster, checked)
}

/// That the node has installed the snapshot, and agrees with the others when they are back.
async fn assert_installed(mut cluster: Cluster, snapshot: &Transfer) {
    snapshot.gone(&cluster).await;
    let to = snapshot.to();
    let status = cluster
        .until("it is installed", || async {
            let status = cluster.status(to).await.ok()?;
            (status.snapshot == snapshot.start.last).then_some(status)
        })
        .await;
    let own = status.members.iter().find(|member| member.node_id == to);
    // The file ends with it.
    let hash = &snapshot.whole[snapshot.whole.len() - 16..];
    assert_eq!(own.expect("itself").state_hash, hash);
    for node_id in cluster.ids() {
        if node_id != to {
            cluster.start_node(node_id);
        }
    }
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_that_broke_off_goes_on_where_it_was() {
    let (cluster, snapshot) = one_that_is_behind().await;
    let end = snapshot.whole.len();
    assert!(end > 7 * CHUNK, "{end} bytes");
    assert_eq!(snapshot.progress(&cluster).await, 0);
    let half = snapshot.break_off(&cluster, 5 * CHUNK).await;

    // Damaged on the way, or at another place.
    let next = &snapshot.whole[half..half + CHUNK];
    let mut damaged = chunk(half, next);
    if let Some(Part::Chunk(chunk)) = &mut damaged.part {
        chunk.crc32c ^= 1;
    }
    let wrong = [
        (damaged, Code::DataLoss),
        (chunk(half - 1, next), Code::InvalidArgument),
        (chunk(half, &[]), Code::InvalidArgument),
        (bytes(next), Code::InvalidArgument),
    ];
    for (wrong, code) in wrong {
        // At once: the stream doesn't end.
        let parts = stream::iter([snapshot.start_at(half), wrong]).chain(stream::pending());
        let status = snapshot.send(parts).await.expect_err("wrong");
        assert_eq!(status.code(), code, "{status}");
        if code == Code::DataLoss {
            assert!(status.message().contains(&half.to_string()), "{status}");
        }
        assert_eq!(snapshot.progress(&cluster).await, half as u64);
    }
    let elsewhere = stream::iter([snapshot.start_at(half + 1)]);
    let status = snapshot.send(elsewhere).await.expect_err("not there");
    assert_eq!(status.code(), Code::Aborted, "{status}");
    assert_eq!(snapshot.progress(&cluster).await, half as u64);

    // The rest is all that is sent.
    let mut rest = vec![snapshot.start_at(half)];
    rest.extend(snapshot.chunks(half..end));
    snapshot.send(stream::iter(rest)).await.expect("taken");
    assert_installed(cluster, &snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_two_snapshots_are_not_mixed() {
    let (cluster, one) = one_that_is_behind().await;
    let half = one.break_off(&cluster, 3 * CHUNK).await;

    // Of the same position and as long: as a node of another release might write it.
    let mut whole = one.whole.clone();
    let record = pb::SnapshotRecord {
        record: Some(Record::Header(pb::SnapshotHeader {
            wall_ms: header(&whole).wall_ms + 1,
            ..header(&whole)
        })),
    };
    let record = record.encode_to_vec();
    whole[HEADER_AT..HEADER_AT + record.len()].copy_from_slice(&record);
    whole[HEADER_AT - 4..HEADER_AT].copy_from_slice(&crc32c::crc32c(&record).to_le_bytes());
    let other = one.checked(whole);
    assert_eq!(other.start.length, one.start.length);
    assert_eq!(other.progress(&cluster).await, 0);
    let status = other
        .send(stream::iter([other.start_at(half)]))
        .await
        .expect_err("that is the first one's");
    assert_eq!(status.code(), Code::Aborted, "{status}");

    let more = other.break_off(&cluster, 5 * CHUNK).await;
    assert_eq!(one.progress(&cluster).await, 0, "it made way");
    assert_eq!(files(&other.folder, ".unfinished").len(), 1);

    let mut rest = vec![other.start_at(more)];
    rest.extend(other.chunks(more..other.whole.len()));
    other.send(stream::iter(rest)).await.expect("taken");
    let installed = files(&other.folder, ".snapshot").pop().expect("one");
    assert!(fs::read(installed).expect("read") == other.whole);
    assert_installed(cluster, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_is_another_than_was_said_is_not_kept() {
    let (cluster, snapshot) = one_that_is_behind().await;
    let other = pb::InstallSnapshotStart {
        crc32c: snapshot.start.crc32c.map(|crc| crc ^ 1),
        ..snapshot.start.clone()
    };
    let mut parts = vec![part(Part::Start(other))];
    parts.extend(snapshot.chunks(0..snapshot.whole.len()));
    let status = snapshot.send(stream::iter(parts)).await.expect_err("wrong");
    assert_eq!(status.code(), Code::DataLoss, "{status}");
    snapshot.gone(&cluster).await;
    let status = cluster.status_of(snapshot.to()).await;
    assert_ne!(status.snapshot, snapshot.start.last);

    // One that a restart finds is not gone on with.
    let (mut cluster, to) = (cluster, snapshot.to());
    snapshot.break_off(&cluster, 2 * CHUNK).await;
    cluster.stop_node(to).await;
    cluster.start_node(to);
    cluster.status_of(to).await;
    snapshot.gone(&cluster).await;
    assert_eq!(snapshot.progress(&cluster).await, 0);
}
