//! Nodes of two releases in one cluster: behaviour 0 is what release 0.1.0 knows, and choosing seats
//! needs 1.

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use lockstore_node::Error;
use pb::hold_seats_request::Choice;
use tonic::Status;
use tonic_types::StatusExt;

use crate::{
    reason,
    support::{Cluster, new_id},
};

const TTL_MS: u64 = 600_000;
/// How often another node may happen to be elected in the middle.
const LEADERS_MAX: u32 = 5;

/// Asks `node_id` for any seat.
async fn choose(cluster: &Cluster, node_id: u64, show_id: &Bytes) -> Result<u32, Status> {
    let request = pb::HoldSeatsRequest {
        request: Some(pb::RequestInfo {
            id: new_id(),
            not_after_ms: cluster.now().await + 30_000,
        }),
        show_id: show_id.clone(),
        holder: new_id(),
        choice: Some(Choice::BestAvailable(pb::BestAvailable {
            count: 1,
            ..Default::default()
        })),
        ..Default::default()
    };
    let answer = cluster.client(node_id).hold_seats(request).await?;
    match answer.into_inner().outcome.expect("an outcome") {
        pb::hold_seats_response::Outcome::Held(hold) => Ok(hold.seat_nos[0]),
        pb::hold_seats_response::Outcome::Refusal(refusal) => panic!("refused: {refusal:?}"),
    }
}

/// What whoever leads answers to that, once it is anything but that there is no leader.
async fn choose_anywhere(cluster: &Cluster, show_id: &Bytes) -> Result<u32, String> {
    let judged = judged_anywhere(cluster, show_id).await;
    judged.map_err(|status| reason(&status))
}

async fn judged_anywhere(cluster: &Cluster, show_id: &Bytes) -> Result<u32, Status> {
    cluster
        .until("the leader judges", || async {
            for node_id in cluster.ids() {
                match choose(cluster, node_id, show_id).await {
                    Ok(seat) => return Some(Ok(seat)),
                    Err(status) if reason(&status) == "UPGRADING" => return Some(Err(status)),
                    Err(_) => {}
                }
            }
            None
        })
        .await
}

fn assert_says_to_upgrade(error: &Error) {
    assert!(matches!(error, Error::Raft(_)), "{error}");
    let said = error.to_string();
    assert!(said.contains("needs behaviour 2"), "{said}");
    assert!(said.contains("run a newer release"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_behaviour_waits_for_the_last_node_and_then_stays() {
    let mut cluster = Cluster::prepare(3, |_| {});
    cluster.older.insert(3, 0);
    for node_id in cluster.ids() {
        cluster.start_node(node_id);
    }
    let show = cluster.open_show(20, TTL_MS).await;
    // With an old node what it knows goes on, and nothing else.
    for seat in 0..5 {
        cluster.hold(&show, &[seat]).await;
        let refused = choose_anywhere(&cluster, &show).await;
        assert_eq!(refused, Err("UPGRADING".to_owned()));
    }
    let status = cluster.agrees().await;
    let known: Vec<_> = status
        .members
        .iter()
        .map(|member| member.behaviour)
        .collect();
    assert!(known[0] >= Some(1) && known[1] >= Some(1), "{known:?}");
    assert_eq!(known[2], Some(0), "{known:?}");
    let refused = cluster
        .until("the leader has heard of all", || async {
            let status = judged_anywhere(&cluster, &show).await.expect_err("too old");
            let details = status.get_error_details();
            let metadata = details.error_info().expect("info").metadata.clone();
            (!metadata.contains_key("unheard")).then_some((status, metadata))
        })
        .await;
    assert_eq!(
        (
            refused.1["behaviour"].as_str(),
            refused.1["too_old"].as_str()
        ),
        ("1", "3")
    );
    assert!(refused.0.message().ends_with("too old: 3"), "{}", refused.0);

    // Nor while it is away, since it may come back as it was.
    cluster.stop_node(3).await;
    let refused = choose_anywhere(&cluster, &show).await;
    assert_eq!(refused, Err("UPGRADING".to_owned()));
    cluster.hold(&show, &[5]).await;

    // Upgraded, its answers say so; that counts while it is away, too. A leader that was elected
    // since then has not heard it.
    cluster.older.clear();
    let mut outcome = refused;
    for _ in 0..LEADERS_MAX {
        cluster.start_node(3);
        cluster.agrees().await;
        cluster.stop_node(3).await;
        outcome = choose_anywhere(&cluster, &show).await;
        if outcome.is_ok() {
            break;
        }
    }
    assert!(outcome.is_ok(), "{outcome:?}");

    // Put back to the old release, it stops at what it doesn't know, whenever it is started.
    cluster.older.insert(3, 0);
    for _ in 0..2 {
        let error = cluster.refusal(3).await;
        assert_says_to_upgrade(&error);
    }

    // What the log has once is used, whoever is away and whoever leads.
    for node_id in [1, 2] {
        cluster.stop_node(node_id).await;
        cluster.start_node(node_id);
    }
    let outcome = choose_anywhere(&cluster, &show).await;
    assert!(outcome.is_ok(), "{outcome:?}");

    cluster.older.clear();
    cluster.start_node(3);
    cluster.agrees().await;
    let held = cluster.seats(&show).await.matches('H').count();
    assert!(held >= 8, "{held}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_node_knew_is_used_on_when_one_is_lost_and_the_others_restart() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(20, TTL_MS).await;
    cluster.agrees().await;
    // A command that needs no newer behaviour, when all have said what they know.
    cluster.hold(&show, &[0]).await;
    cluster.agrees().await;
    cluster.stop_node(3).await;
    for node_id in [1, 2] {
        cluster.stop_node(node_id).await;
    }
    for node_id in [1, 2] {
        cluster.start_node(node_id);
    }
    let outcome = choose_anywhere(&cluster, &show).await;
    assert_eq!(outcome, Ok(1));
}
