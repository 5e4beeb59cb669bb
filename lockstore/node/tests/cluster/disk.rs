//! A disk that fills up: others go on, or clients are told; with space all is as before.

use std::time::Duration;

use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{DurationMs, HoldId, SeatNo, ShowId, UserId};
use lockstore_client::{Client, Error, HoldOutcome, HoldSeats, Selection};
use tonic::Code;

use crate::{
    reason,
    support::{Cluster, ELECTION_TIMEOUT_MS_SHORT, new_id},
};

const TTL_MS: u64 = 600_000;
const MB: u64 = 1 << 20;
const FLOOR_MB: u64 = 100;
const TOO_LITTLE: u64 = FLOOR_MB * MB - 1;
const ENOUGH: u64 = 2 * FLOOR_MB * MB;
const DEADLINE: Duration = Duration::from_secs(30);
/// For calls that are refused to the end.
const SHORT: Duration = Duration::from_secs(2);

async fn start() -> Cluster {
    Cluster::start(|config| {
        config.free_space_min_mb = FLOOR_MB;
        config.election_timeout_ms_min = ELECTION_TIMEOUT_MS_SHORT;
    })
    .await
}

fn client(cluster: &Cluster) -> Client {
    let uris = cluster.ids().into_iter();
    Client::connect(uris.map(|id| cluster.client_addr(id).to_owned()).collect())
}

async fn hold(client: &Client, show_id: ShowId, seat: u32, wait: Duration) -> Result<(), Error> {
    let id = || new_id().as_ref().try_into().expect("16 bytes");
    let request = HoldSeats {
        hold_id: HoldId::from_bytes(id()),
        show_id,
        holder: UserId::from_bytes(id()),
        selection: Selection::Seats(vec![SeatNo(seat)]),
        ttl: DurationMs(0),
        price_version: 1,
        late_money: false,
    };
    let answer = client.hold(request, wait).await?;
    assert!(matches!(answer.outcome, HoldOutcome::Held { .. }));
    Ok(())
}

async fn until_short(cluster: &Cluster, node_id: u64) {
    cluster
        .until("the node knows that it is short of space", || async {
            let status = cluster.status(node_id).await.ok()?;
            let own = status
                .members
                .iter()
                .find(|member| member.node_id == node_id)?;
            own.short_of_space.then_some(())
        })
        .await;
    // Reads are answered, and nobody but a leader is asked for writes.
    cluster
        .until("the node is ready all the same", || async {
            cluster.is_ready(node_id).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_is_short_of_space_hands_over_and_others_go_on() {
    let cluster = start().await;
    let show = cluster.open_show(10, TTL_MS).await;
    let show_id = ShowId::from_slice(&show).expect("16 bytes");
    let client = client(&cluster);
    hold(&client, show_id, 0, DEADLINE).await.expect("held");

    let full = cluster.leader().await;
    cluster.set_free(full, TOO_LITTLE);
    until_short(&cluster, full).await;
    cluster
        .until("another leads", || async {
            (cluster.leader().await != full).then_some(())
        })
        .await;
    for seat in 1..4 {
        hold(&client, show_id, seat, DEADLINE).await.expect("held");
    }
    // It follows all the same, and keeps what it gets.
    cluster.agrees().await;

    cluster.set_free(full, ENOUGH);
    cluster
        .until("it knows that it has space again", || async {
            let status = cluster.status(full).await.ok()?;
            let mut members = status.members.iter();
            let own = members.find(|member| member.node_id == full)?;
            (!own.short_of_space).then_some(())
        })
        .await;
    hold(&client, show_id, 4, DEADLINE).await.expect("held");
    assert_eq!(cluster.seats(&show).await, "HHHHHAAAAA");
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_stops_hands_over_to_a_node_with_disk_space() {
    let mut cluster = Cluster::start(|config| config.free_space_min_mb = FLOOR_MB).await;
    cluster.open_show(1, TTL_MS).await;
    let leader = cluster.leader().await;
    let mut others = cluster.ids().into_iter().filter(|id| *id != leader);
    // Who has as much of the log is taken by its number: the last.
    let (able, full) = others.next().zip(others.next()).expect("three nodes");
    cluster.set_free(full, TOO_LITTLE);
    until_short(&cluster, full).await;
    let before = cluster.agrees().await;
    assert_eq!(before.node_id, leader);
    cluster.stop_node(leader).await;
    let after = cluster
        .until("another leads", || async {
            let status = cluster.status(able).await.ok()?;
            (status.leader_id != 0 && status.leader_id != leader).then_some(status)
        })
        .await;
    // Nobody led in between.
    assert_eq!((after.leader_id, after.term), (able, before.term + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_whose_disk_hangs_stops_when_it_is_told_to() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    cluster.open_show(1, TTL_MS).await;
    cluster.hang_disk(1).await;
    cluster.stop_node(1).await;
    // Nor does it keep one from it that just starts.
    cluster.start_node(1);
    cluster.stop_node(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_disk_short_writes_are_refused_by_reason_and_reads_answered() {
    let cluster = start().await;
    let show = cluster.open_show(10, TTL_MS).await;
    let show_id = ShowId::from_slice(&show).expect("16 bytes");
    let client = client(&cluster);
    hold(&client, show_id, 0, DEADLINE).await.expect("held");

    for node_id in cluster.ids() {
        cluster.set_free(node_id, TOO_LITTLE);
    }
    for node_id in cluster.ids() {
        until_short(&cluster, node_id).await;
    }
    let status = cluster
        .until("the leader says why it takes no write", || async {
            let request = pb::ChangeShowRequest {
                request: Some(pb::RequestInfo {
                    id: new_id(),
                    not_after_ms: cluster.now().await + 1_000,
                }),
                show_id: show.clone(),
                state: pb::ShowState::Paused.into(),
                ..Default::default()
            };
            let mut leader = cluster.client(cluster.leader().await);
            let status = leader.change_show(request).await.expect_err("no write");
            (reason(&status) == "OUT_OF_SPACE").then_some(status)
        })
        .await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    // On a stream as well. The leadership may move at this moment.
    cluster
        .until("the client says so", || async {
            let refused = hold(&client, show_id, 1, SHORT)
                .await
                .expect_err("no write");
            (refused == Error::OutOfSpace).then_some(())
        })
        .await;
    assert_eq!(cluster.seats(&show).await, "HAAAAAAAAA", "reads go on");

    cluster.set_free(cluster.leader().await, ENOUGH);
    cluster
        .until("one with space leads, and writes go on", || async {
            hold(&client, show_id, 2, SHORT).await.ok()
        })
        .await;
    for node_id in cluster.ids() {
        cluster.set_free(node_id, ENOUGH);
    }
    cluster.agrees().await;
}
