//! Bounds of a node that only real nodes reach: the places it has for those who ask, and the size
//! of what they send. The numbers are those of its `limits`.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use holdfast_proto::lockstore::v1 as pb;
use lockstore_client::{
    Client, DurationMs, Error, LayoutSeat, OpenShow, SeatNo, ShowId, ShowRules,
};
use pb::peer_service_client::PeerServiceClient;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

use crate::{
    reason,
    support::{Cluster, new_id},
};

const TTL_MS: u64 = 600_000;
const WATCHERS_MAX: usize = 4_096;
const HOLD_STREAMS_MAX: usize = 1_024;
const READS_IN_FLIGHT_MAX: usize = 512;
const STATUSES_IN_FLIGHT_MAX: usize = 8;
const CLIENT_MESSAGE_BYTES_MAX: usize = 1 << 20;
const PEER_MESSAGE_BYTES_MAX: usize = 16 << 20;
const SNAPSHOT_BYTES_MAX: u64 = 64 << 30;
/// Fewer than a connection may carry at once.
const CALLS_PER_CONNECTION: usize = 64;

fn assert_overloaded(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(reason(status), "OVERLOADED");
}

/// `most` calls that stay, then one too many, then one when a place is free again.
async fn fill<T>(cluster: &Cluster, most: usize, call: impl AsyncFn(usize) -> Result<T, Status>) {
    let asked = stream::iter(0..most).map(|n| call(n));
    let mut open: Vec<_> = asked.buffer_unordered(CALLS_PER_CONNECTION).collect().await;
    assert!(open.iter().all(Result::is_ok), "there is a place for each");
    let beyond = call(most).await.map(drop).expect_err("one too many");
    assert_overloaded(&beyond);
    drop(open.pop());
    cluster
        .until("the place is free again", || async {
            call(most).await.ok()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_has_so_many_places_for_watchers_and_for_streams() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show_id = cluster.open_show(1, TTL_MS).await;
    let connections = WATCHERS_MAX / CALLS_PER_CONNECTION + 1;
    let clients: Vec<_> = (0..connections).map(|_| cluster.client(1)).collect();
    let client = |n: usize| clients[n / CALLS_PER_CONNECTION].clone();
    fill(&cluster, WATCHERS_MAX, async |n| {
        let request = pb::WatchRequest {
            show_id: show_id.clone(),
            changes_only: true,
            ..Default::default()
        };
        client(n).watch(request).await
    })
    .await;
    fill(&cluster, HOLD_STREAMS_MAX, async |n| {
        let (commands, outgoing) = mpsc::channel(1);
        let answers = client(n).hold_stream(ReceiverStream::new(outgoing)).await?;
        Ok((commands, answers))
    })
    .await;
    // None of them is in the way of a call.
    cluster.hold(&show_id, &[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_wait_for_a_quorum_have_so_many_places() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(1, TTL_MS).await;
    let leader = cluster.leader().await;
    let clients: Vec<_> = (0..2 * READS_IN_FLIGHT_MAX / CALLS_PER_CONNECTION)
        .map(|_| cluster.client(leader))
        .collect();
    for client in &clients {
        let request = pb::GetShowRequest {
            show_id: show_id.clone(),
            ..Default::default()
        };
        let connected = client.clone().get_show(request).await;
        connected.expect("it leads");
    }
    for node_id in cluster.ids() {
        if node_id != leader {
            cluster.kill_node(node_id);
        }
    }
    // Nobody confirms that it leads, and its lease isn't over yet: all of them wait.
    let reads = stream::iter(0..2 * READS_IN_FLIGHT_MAX).map(|n| {
        let mut client = clients[n / CALLS_PER_CONNECTION].clone();
        let show_id = show_id.clone();
        async move {
            let mut request = Request::new(pb::GetShowRequest {
                show_id,
                ..Default::default()
            });
            request.set_timeout(Duration::from_secs(10));
            client.get_show(request).await.expect_err("can't be sure")
        }
    });
    let refused: Vec<Status> = reads
        .buffer_unordered(2 * READS_IN_FLIGHT_MAX)
        .collect()
        .await;
    let (overloaded, waited): (Vec<_>, Vec<_>) = refused
        .into_iter()
        .partition(|status| status.code() == Code::ResourceExhausted);
    assert!(waited.len() >= READS_IN_FLIGHT_MAX, "{}", waited.len());
    assert!(!overloaded.is_empty());
    overloaded.iter().for_each(assert_overloaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_questions_have_so_many_places() {
    let mut cluster = Cluster::start(|_| {}).await;
    let silent = cluster.config(3).listen_peer;
    cluster.kill_node(3);
    // Takes connections, and never says a word: whoever asks it waits as long as it may.
    let listener = TcpListener::bind(silent).await.expect("its node is gone");
    let questions = (0..8 * STATUSES_IN_FLIGHT_MAX).map(|_| cluster.status(1));
    let answers = futures::future::join_all(questions).await;
    let (told, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(told.len() >= STATUSES_IN_FLIGHT_MAX, "{}", told.len());
    assert!(!refused.is_empty());
    for status in refused {
        assert_overloaded(&status.expect_err("refused"));
    }
    drop(listener);
    assert_eq!(cluster.status_of(1).await.node_id, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn message_that_is_too_large_is_refused_and_the_next_is_not() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show_id = cluster.open_show(2, TTL_MS).await;
    let now = cluster.now().await;
    let ask = async |bytes: usize| {
        let request = pb::HoldSeatsRequest {
            request: Some(pb::RequestInfo {
                id: new_id(),
                not_after_ms: now + 1,
            }),
            show_id: show_id.clone(),
            holder: Bytes::from(vec![0; bytes]),
            ..Default::default()
        };
        let refused = cluster.client(1).hold_seats(request).await;
        refused.expect_err("no holder has so long an id").code()
    };
    // The rest of the message is under 100 bytes.
    assert_eq!(
        ask(CLIENT_MESSAGE_BYTES_MAX - 100).await,
        Code::InvalidArgument
    );
    assert_eq!(ask(CLIENT_MESSAGE_BYTES_MAX).await, Code::OutOfRange);

    // A whole layout in one chunk: the client says what is wrong, and doesn't try it again.
    let seats = 50_000;
    let client = Client::connect(vec![cluster.client_addr(1).to_owned()]);
    let opened = client.open_show(
        OpenShow {
            show_id: ShowId::from_bytes([9; 16]),
            seat_count: seats,
            rules: ShowRules {
                hold_ttl: DurationMs::from_secs(600),
                hold_total_max: DurationMs::from_secs(600),
                seats_per_customer_max: 1,
                no_lone_seat: false,
            },
            first_seat_no: SeatNo(0),
            seats: (0..seats)
                .map(|row_no| LayoutSeat {
                    row_no,
                    rank: u16::MAX,
                    section_no: u16::MAX,
                    category_no: u16::MAX,
                    ..LayoutSeat::default()
                })
                .collect(),
            on_sale: true,
        },
        Duration::from_secs(30),
    );
    let refused = opened.await.expect_err("over a megabyte");
    assert!(matches!(refused, Error::Invalid(_)), "{refused}");

    let peer_addr = &cluster.config(1).members[0].peer_addr;
    let channel = holdfast_mesh::client::channel(peer_addr).expect("an address");
    let append = async |bytes: usize| {
        let request = pb::AppendEntriesRequest {
            entries: vec![Bytes::from(vec![0; bytes])],
            ..Default::default()
        };
        let mut peer = PeerServiceClient::new(channel.clone());
        let refused = peer.append_entries(request).await;
        refused.expect_err("it says not whom it is for").code()
    };
    assert_eq!(
        append(PEER_MESSAGE_BYTES_MAX - 100).await,
        Code::InvalidArgument
    );
    assert_eq!(append(PEER_MESSAGE_BYTES_MAX).await, Code::OutOfRange);
    cluster.hold(&show_id, &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_that_is_too_long_is_refused_before_any_of_it_is_written() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show_id = cluster.open_show(1, TTL_MS).await;
    let peer_addr = &cluster.config(1).members[0].peer_addr;
    let channel = holdfast_mesh::client::channel(peer_addr).expect("an address");
    let begin = async |length: u64| {
        let start = pb::InstallSnapshotStart {
            address: Some(pb::PeerAddress {
                cluster_id: cluster.config(1).cluster_id,
                lineage: 1,
                group_id: 0,
                from_node_id: 2,
                to_node_id: 1,
            }),
            vote: Some(pb::RaftVote {
                term: 1,
                node_id: 2,
                committed: true,
            }),
            membership: Some(pb::StoredMembership {
                position: None,
                membership: Some(pb::RaftMembership {
                    voters: vec![pb::VoterSet { node_ids: vec![1] }],
                    node_ids: vec![1],
                }),
            }),
            length,
            ..Default::default()
        };
        let part = pb::install_snapshot_request::Part::Start(start);
        let request = pb::InstallSnapshotRequest { part: Some(part) };
        let mut peer = PeerServiceClient::new(channel.clone());
        let sent = peer.install_snapshot(stream::iter([request])).await;
        sent.expect_err("nothing follows").message().to_owned()
    };
    let too_long = "the snapshot is too long";
    assert_ne!(begin(SNAPSHOT_BYTES_MAX).await, too_long);
    assert_eq!(begin(SNAPSHOT_BYTES_MAX + 1).await, too_long);
    cluster.hold(&show_id, &[0]).await;
}
