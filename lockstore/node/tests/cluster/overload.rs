//! Nodes whose clients ask for more than they can do.

use std::time::Duration;

use holdfast_proto::lockstore::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Cluster, new_id};

const TTL_MS: u64 = 600_000;
/// Followers stand three to four of these after a leader's last word.
const ELECTION_MS: u64 = 1_500;
/// Longer than that.
const STALL: Duration = Duration::from_millis(6 * ELECTION_MS);
const STREAMS: u64 = 4;
/// Commands of one stream, and of one message.
const COMMANDS: u64 = 4_096;
const MESSAGE: u64 = 512;

/// All ask for the same seat.
async fn flood(cluster: &Cluster, node_id: u64, show_id: &bytes::Bytes) -> (u64, u64) {
    let (messages, outgoing) = mpsc::channel(1);
    let not_after_ms = cluster.now().await + 50_000;
    let opened = cluster
        .client(node_id)
        .hold_stream(ReceiverStream::new(outgoing))
        .await;
    let mut answers = opened.expect("any node takes streams").into_inner();
    let command = |tag| pb::StreamedCommand {
        tag,
        wait_ms: 45_000,
        command: Some(pb::streamed_command::Command::HoldSeats(
            pb::HoldSeatsRequest {
                request: Some(pb::RequestInfo {
                    id: new_id(),
                    not_after_ms,
                }),
                show_id: show_id.clone(),
                holder: new_id(),
                seat_nos: vec![0],
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    let sending = async {
        for first in (0..COMMANDS).step_by(MESSAGE as usize) {
            let commands = (first..first + MESSAGE).map(command).collect();
            let message = pb::HoldStreamRequest { commands };
            messages.send(message).await.expect("it is open");
        }
    };
    let reading = async {
        let (mut judged, mut refused) = (0, 0);
        while judged + refused < COMMANDS {
            let message = answers.message().await.expect("it stays open");
            for answer in message.expect("it stays open").answers {
                match answer.answer.expect("an answer") {
                    pb::streamed_answer::Answer::Failure(_) => refused += 1,
                    _ => judged += 1,
                }
            }
        }
        (judged, refused)
    };
    let ((), counts) = tokio::join!(sending, reading);
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_whose_clients_keep_it_busy_leads_on() {
    let cluster = Cluster::start(|config| config.election_timeout_ms_min = ELECTION_MS).await;
    let show = cluster.open_show(4, TTL_MS).await;
    let status = cluster.agrees().await;
    let leader = status.node_id;
    // What is read, decided and answered for clients waits; what is sent to followers doesn't.
    let stalled = cluster.stall(leader);
    tokio::time::sleep(STALL).await;
    drop(stalled);
    let floods = (0..STREAMS).map(|_| flood(&cluster, leader, &show));
    let counts = futures::future::join_all(floods).await;
    let judged: u64 = counts.iter().map(|(judged, _)| judged).sum();
    assert!(judged > 0, "{counts:?}");
    let after = cluster.agrees().await;
    assert_eq!((after.node_id, after.term), (leader, status.term));
    assert_eq!(cluster.seats(&show).await, "HAAA");
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_whose_clients_keep_them_busy_still_make_a_majority() {
    let cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(4, TTL_MS).await;
    let status = cluster.agrees().await;
    let others = cluster.ids().into_iter().filter(|id| *id != status.node_id);
    let not_after_ms = cluster.now().await + 50_000;
    let stalled: Vec<_> = others.map(|node_id| cluster.stall(node_id)).collect();
    let mut request = tonic::Request::new(pb::HoldSeatsRequest {
        request: Some(pb::RequestInfo {
            id: new_id(),
            not_after_ms,
        }),
        show_id: show.clone(),
        holder: new_id(),
        seat_nos: vec![0],
        ..Default::default()
    });
    request.set_timeout(Duration::from_secs(20));
    let answer = cluster.client(status.node_id).hold_seats(request).await;
    let outcome = answer.expect("decided").into_inner().outcome;
    assert!(
        matches!(outcome, Some(pb::hold_seats_response::Outcome::Held(_))),
        "{outcome:?}"
    );
    drop(stalled);
    cluster.agrees().await;
}
