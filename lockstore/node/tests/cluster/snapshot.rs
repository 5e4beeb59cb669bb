//! Snapshots that don't arrive as they were sent: the node goes on, and no file is left.

use std::{fs, path::PathBuf};

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
    let (leader, term) = (status.node_id, status.term);
    let mut others = cluster.ids().into_iter().filter(|id| *id != leader);
    let to = others.next().expect("three nodes");
    let whole = snapshot_of(&cluster, leader).await;
    let folder = cluster.data_dir(to).join("snapshots");

    let part = |part| pb::InstallSnapshotRequest { part: Some(part) };
    let header = header(&whole);
    let start = part(Part::Start(pb::InstallSnapshotStart {
        address: Some(pb::PeerAddress {
            cluster_id: status.cluster_id.clone(),
            lineage: 1,
            group_id: 0,
            from_node_id: leader,
            to_node_id: to,
        }),
        vote: Some(pb::RaftVote {
            term,
            node_id: leader,
            committed: true,
        }),
        last: header.last,
        membership: header.membership,
        length: whole.len() as u64,
        leader_time: None,
        quorum_age_ms: Some(0),
    }));
    let bytes = |bytes: &[u8]| part(Part::Bytes(bytes.to_vec().into()));
    let address = &cluster.config(to).members[usize::try_from(to - 1).expect("small")].peer_addr;
    let peer = PeerServiceClient::new(holdfast_mesh::client::channel(address).expect("an address"));
    let gone = || async {
        cluster
            .until("nothing is left of it", || async {
                files(&folder, ".unfinished").is_empty().then_some(())
            })
            .await;
    };

    for at in [HEADER_AT + 4, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let parts = stream::iter([start.clone(), bytes(&damaged)]);
        let status = send(&peer, parts).await.expect_err("damaged");
        assert_eq!(status.code(), Code::DataLoss, "byte {at}: {status}");
        gone().await;
    }
    let half = || stream::iter([start.clone(), bytes(&whole[..whole.len() / 2])]);
    let status = send(&peer, half()).await.expect_err("half of it");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    gone().await;

    let endless = half().chain(stream::pending());
    let sending = tokio::spawn({
        let peer = peer.clone();
        async move { send(&peer, endless).await }
    });
    cluster
        .until("it is being received", || async {
            (!files(&folder, ".unfinished").is_empty()).then_some(())
        })
        .await;
    let status = send(&peer, half()).await.expect_err("one at a time");
    assert_eq!(status.code(), Code::Aborted, "{status}");
    sending.abort();
    gone().await;

    // Nothing was wrong but the damage: it is taken, and not used, since the node has it all.
    cluster
        .until("the place is free again", || async {
            match send(&peer, stream::iter([start.clone(), bytes(&whole)])).await {
                Ok(()) => Some(()),
                Err(status) if status.code() == Code::Aborted => None,
                Err(status) => panic!("{status}"),
            }
        })
        .await;
    gone().await;
    cluster.hold(&show, &[20]).await;
    cluster.agrees().await;
}

async fn send(
    peer: &PeerServiceClient<Channel>,
    parts: impl Stream<Item = pb::InstallSnapshotRequest> + Send + 'static,
) -> Result<(), Status> {
    peer.clone().install_snapshot(parts).await.map(drop)
}
