//! What operators set for the whole store, and what the store sets by itself when a clock is wrong.

use std::time::Duration;

use holdfast_mesh::client::Channel;
use holdfast_proto::lockstore::v1 as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{Cluster, POLL, new_id};

const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// The shortest there is, and its padding.
const TTL_MS: u64 = 1_000;
const OVERDUE: Duration = Duration::from_millis(TTL_MS + TTL_MS / 100 + 1);

type Admin = pb::admin_service_client::AdminServiceClient<Channel>;

/// Asks whoever leads.
async fn ask<T, F>(cluster: &Cluster, ask: impl Fn(Admin) -> F) -> T
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    cluster
        .until("the leader answers an operator", || async {
            for node_id in cluster.ids() {
                match ask(cluster.admin(node_id)).await {
                    Ok(answer) => return Some(answer.into_inner()),
                    Err(status) if status.code() == Code::InvalidArgument => {
                        panic!("node {node_id}: {status}")
                    }
                    Err(_) => {}
                }
            }
            None
        })
        .await
}

async fn request(cluster: &Cluster) -> Option<pb::RequestInfo> {
    Some(pb::RequestInfo {
        id: new_id(),
        not_after_ms: cluster.now().await + 50_000,
    })
}

async fn note(cluster: &Cluster, text: &str) -> u64 {
    let request = pb::AdminRecordRequest {
        request: request(cluster).await,
        operator: "ada".to_owned(),
        text: text.to_owned(),
    };
    let recorded = ask(cluster, |mut admin| {
        let request = request.clone();
        async move { admin.admin_record(request).await }
    })
    .await;
    match recorded.outcome.expect("an outcome") {
        pb::admin_record_response::Outcome::Recorded(recorded) => recorded.revision,
        pb::admin_record_response::Outcome::Refusal(refusal) => panic!("refused: {refusal:?}"),
    }
}

async fn set_expiry(cluster: &Cluster, expiry: pb::ExpiryState) -> pb::ConfigSet {
    let request = pb::SetConfigRequest {
        request: request(cluster).await,
        operator: "ada".to_owned(),
        reason: "a drill".to_owned(),
        expiry: expiry.into(),
    };
    let set = ask(cluster, |mut admin| {
        let request = request.clone();
        async move { admin.set_config(request).await }
    })
    .await;
    match set.outcome.expect("an outcome") {
        pb::set_config_response::Outcome::Set(set) => set,
        pb::set_config_response::Outcome::Refusal(refusal) => panic!("refused: {refusal:?}"),
    }
}

async fn acts(cluster: &Cluster, before_revision: u64, limit: u32) -> Vec<pb::OperatorAct> {
    let request = pb::ListActsRequest {
        before_revision,
        limit,
    };
    let listed = ask(cluster, |mut admin| async move {
        admin.list_acts(request).await
    });
    listed.await.acts
}

/// Until so much of the store's time has passed.
async fn pass(cluster: &Cluster, span: Duration) {
    let until = cluster.now().await + millis(span);
    while cluster.now().await < until {
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_is_paused_and_resumed_and_who_did_it_is_kept() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(2, TTL_MS).await;
    let noted = note(&cluster, "a drill begins").await;
    let paused = set_expiry(&cluster, pb::ExpiryState::Paused).await;
    assert!(!paused.already && paused.expiry() == pb::ExpiryState::Paused);
    cluster.hold(&show, &[0]).await;
    pass(&cluster, OVERDUE).await;
    // What is paused stays so over a restart of all.
    cluster.restart_elsewhere().await;
    cluster.hold(&show, &[1]).await;
    assert_eq!(cluster.seats(&show).await, "HH");
    let status = cluster.agrees().await;
    assert_eq!(status.expiry(), pb::ExpiryState::Paused);

    let resumed = set_expiry(&cluster, pb::ExpiryState::Running).await;
    assert!(!resumed.already && resumed.expiry() == pb::ExpiryState::Running);
    let again = set_expiry(&cluster, pb::ExpiryState::Running).await;
    assert!(again.already);
    cluster
        .until("the holds end", || async {
            (cluster.seats(&show).await == "AA").then_some(())
        })
        .await;
    let all = acts(&cluster, 0, 100).await;
    let said: Vec<_> = all
        .iter()
        .map(|act| (act.operator.as_str(), act.text.as_str(), act.expiry()))
        .collect();
    assert_eq!(
        said,
        [
            ("ada", "a drill", pb::ExpiryState::Running),
            ("ada", "a drill", pb::ExpiryState::Paused),
            ("ada", "a drill begins", pb::ExpiryState::Unspecified),
        ]
    );
    assert_eq!(all[2].revision, noted);
    assert_eq!(acts(&cluster, all[1].revision, 100).await, all[2..]);
    assert_eq!(acts(&cluster, 0, 1).await, all[..1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_that_wakes_with_a_wrong_wall_clock_pauses_expiry_until_an_operator_resumes_it() {
    tokio::join!(wakes_with(31 * DAY_MS), wakes_with(-60_000));
}

async fn wakes_with(wall_ahead_ms: i64) {
    let mut cluster = Cluster::start(|_| {}).await;
    // Longer than it takes to stop all nodes.
    let ttl = Duration::from_secs(8);
    let show = cluster.open_show(2, millis(ttl)).await;
    // From here on the log has what pausing needs.
    note(&cluster, "all members are of one release").await;
    cluster.hold(&show, &[0]).await;
    cluster.wall_ahead_ms = wall_ahead_ms;
    let before = cluster.time().await;
    cluster.restart_elsewhere().await;
    let act = cluster
        .until("expiry is paused", || async {
            let newest = acts(&cluster, 0, 1).await.remove(0);
            (newest.expiry() == pb::ExpiryState::Paused).then_some(newest)
        })
        .await;
    assert_eq!(act.operator, "lockstore");
    pass(&cluster, ttl + ttl / 50).await;
    before.assert_did_not_jump_to(cluster.time().await);
    assert_eq!(cluster.seats(&show).await, "HA");
    cluster.hold(&show, &[1]).await;
    set_expiry(&cluster, pb::ExpiryState::Running).await;
    cluster
        .until("the holds end", || async {
            (cluster.seats(&show).await == "AA").then_some(())
        })
        .await;
    // Once, and not again by the next leader.
    assert_eq!(cluster.agrees().await.expiry(), pb::ExpiryState::Running);
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("short")
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_fields_of_operators_are_named() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    cluster.leader().await;
    let named = |status: Status| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let details = status.get_error_details();
        let fields = details.bad_request().expect("names a field");
        fields.field_violations[0].field.clone()
    };
    let list = |before_revision, limit| pb::ListActsRequest {
        before_revision,
        limit,
    };
    for (request, field) in [
        (list(0, 0), "limit"),
        (list(0, 101), "limit"),
        (list(1 << 63, 1), "before_revision"),
    ] {
        let refused = cluster.admin(1).list_acts(request).await;
        assert_eq!(named(refused.expect_err("refused")), field);
    }
    let foreign = cluster.admin(1).list_acts(list(2 << 55, 1)).await;
    let foreign = foreign.expect_err("of another life");
    assert_eq!(crate::reason(&foreign), "LINEAGE_CHANGED");
    let good = pb::SetConfigRequest {
        request: request(&cluster).await,
        operator: "ada".to_owned(),
        reason: "a drill".to_owned(),
        expiry: pb::ExpiryState::Paused.into(),
    };
    let bad = [
        (
            pb::SetConfigRequest {
                request: None,
                ..good.clone()
            },
            "request",
        ),
        (
            pb::SetConfigRequest {
                operator: String::new(),
                ..good.clone()
            },
            "operator",
        ),
        (
            pb::SetConfigRequest {
                reason: "two\nlines".to_owned(),
                ..good.clone()
            },
            "reason",
        ),
        (
            pb::SetConfigRequest {
                expiry: 0,
                ..good.clone()
            },
            "expiry",
        ),
    ];
    for (request, field) in bad {
        let refused = cluster.admin(1).set_config(request).await;
        assert_eq!(named(refused.expect_err("refused")), field);
    }
    let status = cluster.status_of(1).await;
    assert_eq!(status.expiry(), pb::ExpiryState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_show_is_inspected_at_the_leader_with_all_its_claims() {
    let cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(3, 60_000).await;
    let sold = cluster.hold(&show, &[0, 2]).await;
    let booking = new_id();
    cluster.commit(&sold, &booking).await;
    let held = cluster.hold(&show, &[1]).await;
    let inspect = async |show_id: bytes::Bytes| {
        ask(&cluster, |mut admin| {
            let show_id = show_id.clone();
            async move { admin.inspect_show(pb::InspectShowRequest { show_id }).await }
        })
        .await
    };
    let found = inspect(show).await;
    assert!(found.found && found.state() == pb::ShowState::OnSale && found.seat_count == 3);
    assert_eq!(found.violations, []);
    let claims: Vec<_> = found
        .claims
        .iter()
        .map(|claim| (claim.fence, &claim.booking_id[..], &claim.seat_nos[..]))
        .collect();
    assert_eq!(
        claims,
        [
            (sold.hold.fence, &booking[..], &[0, 2][..]),
            (held.hold.fence, &[][..], &[1][..]),
        ]
    );
    assert!(found.info.is_some_and(|info| info.lineage == 1));
    assert!(!inspect(new_id()).await.found);

    let follower = cluster.follower().await;
    let asked = cluster
        .admin(follower)
        .inspect_show(pb::InspectShowRequest { show_id: new_id() })
        .await;
    assert_eq!(
        asked.expect_err("it doesn't lead").code(),
        Code::Unavailable
    );
    let bad = pb::InspectShowRequest {
        show_id: bytes::Bytes::from_static(b"short"),
    };
    let refused = cluster.admin(follower).inspect_show(bad).await;
    let refused = refused.expect_err("a bad id");
    assert_eq!(refused.code(), Code::InvalidArgument);
}
