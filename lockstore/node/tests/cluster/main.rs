//! Three real nodes over real ports: what clients and operators may count on.

mod behaves;
#[path = "../../../core/tests/behaviour/mod.rs"]
mod behaviour;
mod choosing;
mod client;
mod disk;
mod fail_stop;
mod limits;
mod operating;
mod overload;
mod reading;
mod snapshot;
mod stream;
mod support;
mod traps;
mod versions;
mod watch;

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_proto::lockstore::v1 as pb;
use lockstore_node::Error;
use support::{Cluster, ELECTION_TIMEOUT_MS_SHORT, new_id};
use tonic::{Code, Status};
use tonic_types::StatusExt;

const TTL_MS: u64 = 600_000;
/// Election timeout where the leadership must be handed over.
const HAND_OVER_ELECTION_MS: u64 = 3_000;
/// A leader that is there within this time after the old one was told to stop was not elected:
/// nobody votes for another within twice the election timeout after the last leader's word, and it
/// gives its word until it has stopped.
const HAND_OVER_MAX: Duration = Duration::from_millis(2 * HAND_OVER_ELECTION_MS);
/// How often a folder is copied that changes meanwhile. It does at a few moments only.
const COPIES_MAX: u32 = 10;

fn reason(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_are_held_extended_sold_and_returned() {
    let cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(6, TTL_MS).await;
    let first = cluster.hold(&show, &[0, 1]).await;
    assert_eq!(cluster.seats(&show).await, "HHAAAA");

    let refusal = cluster
        .try_hold(&show, &[1, 2])
        .await
        .expect_err("one is taken");
    assert_eq!(refusal.reason(), pb::RefusalReason::Conflict);
    assert_eq!(refusal.seats.len(), 1);
    assert_eq!(
        (refusal.seats[0].seat_no, refusal.seats[0].state()),
        (1, pb::SeatState::Held)
    );

    let later = first.hold.expires_at_ms + 60_000;
    assert_eq!(cluster.extend(&first, later).await.expires_at_ms, later);
    let booking = new_id();
    let sold = cluster.commit(&first, &booking).await;
    assert_eq!((sold.seat_nos, sold.already), (vec![0, 1], false));
    assert!(cluster.commit(&first, &booking).await.already);

    let second = cluster.hold(&show, &[4]).await;
    assert!(second.hold.fence > first.hold.fence);
    cluster.release(&second).await;
    assert_eq!(cluster.seats(&show).await, "SSAAAA");
    assert_eq!(cluster.give_back(&first, &booking).await.seat_nos, [0, 1]);
    assert_eq!(cluster.seats(&show).await, "AAAAAA");
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_customers_never_share_a_seat() {
    let cluster = Arc::new(Cluster::start(|_| {}).await);
    let show = cluster.open_show(5, TTL_MS).await;
    let customers: Vec<_> = (0..50_u32)
        .map(|customer| {
            let (cluster, show) = (Arc::clone(&cluster), show.clone());
            tokio::spawn(async move { cluster.try_hold(&show, &[customer % 5]).await })
        })
        .collect();
    let mut winners = Vec::new();
    for customer in customers {
        if let Ok(held) = customer.await.expect("no panic") {
            winners.extend(held.hold.seat_nos);
        }
    }
    assert_eq!(winners.len(), 5);
    assert_eq!(winners.into_iter().collect::<BTreeSet<_>>().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leader_goes_on_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(|config| {
        config.election_timeout_ms_min = HAND_OVER_ELECTION_MS;
    })
    .await;
    let show = cluster.open_show(8, TTL_MS).await;
    let held = cluster.hold(&show, &[0, 1, 2]).await;
    cluster.agrees().await;
    let (before, old) = (cluster.time().await, cluster.leader().await);
    let told = Instant::now();
    cluster.stop_node(old).await;
    assert_ne!(cluster.leader().await, old);
    assert!(
        told.elapsed() < HAND_OVER_MAX,
        "it was elected after {:?}, and not handed the leadership",
        told.elapsed()
    );
    assert_eq!(cluster.seats(&show).await, "HHHAAAAA");
    before.assert_went_on_to(cluster.time().await);
    cluster.commit(&held, &new_id()).await;
    cluster.hold(&show, &[7]).await;
    assert_eq!(cluster.seats(&show).await, "SSSAAAAH");

    cluster.start_node(old);
    cluster.agrees().await;
    assert_eq!(cluster.seats(&show).await, "SSSAAAAH");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(|config| {
        config.election_timeout_ms_min = ELECTION_TIMEOUT_MS_SHORT;
    })
    .await;
    let show = cluster.open_show(8, TTL_MS).await;
    let held = cluster.hold(&show, &[0, 1]).await;
    let (before, old) = (cluster.time().await, cluster.leader().await);
    cluster.kill_node(old);
    assert_eq!(cluster.seats(&show).await, "HHAAAAAA");
    before.assert_went_on_to(cluster.time().await);
    cluster.commit(&held, &new_id()).await;
    assert_eq!(cluster.seats(&show).await, "SSAAAAAA");
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_node_catches_up_by_log() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(20, TTL_MS).await;
    let follower = cluster.follower().await;
    cluster.stop_node(follower).await;
    for seat in 0..20 {
        cluster.hold(&show, &[seat]).await;
    }
    cluster.start_node(follower);
    let status = cluster.agrees().await;
    assert_eq!(status.purged, None, "the log was whole, so it was used");
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_node_catches_up_by_snapshot() {
    let mut cluster = Cluster::start(|config| {
        config.snapshot_logs_since_last = 10;
        config.snapshot_logs_kept = 0;
    })
    .await;
    let show = cluster.open_show(100, TTL_MS).await;
    // Two are a majority for a show: the third may have nothing of it yet.
    let status = cluster.agrees().await;
    let follower = cluster.follower().await;
    cluster.stop_node(follower).await;
    // What it got between the two, as from another leader, only makes this too low a bound.
    let lacks = status.last_log.expect("has a show").index;
    for seat in 0..40 {
        let held = cluster.hold(&show, &[seat]).await;
        if seat % 3 == 0 {
            cluster.commit(&held, &new_id()).await;
        }
    }
    // Whoever leads then: the log can't help any more.
    for node_id in cluster.ids() {
        if node_id != follower {
            cluster
                .until("the others purged what the follower lacks", || async {
                    let status = cluster.status(node_id).await.ok()?;
                    status.purged.filter(|purged| purged.index > lacks)
                })
                .await;
        }
    }
    cluster.start_node(follower);
    cluster.agrees().await;
    let status = cluster.status_of(follower).await;
    assert!(status.snapshot.expect("was installed").index > lacks);

    cluster.restart_elsewhere().await;
    cluster.agrees().await;
    assert_eq!(&cluster.seats(&show).await[..4], "SHHS");
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_cluster_restarted_on_other_addresses_keeps_everything() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(4, TTL_MS).await;
    let held = cluster.hold(&show, &[0]).await;
    let sold = cluster.hold(&show, &[1]).await;
    cluster.commit(&sold, &new_id()).await;
    let before = cluster.time().await;
    cluster.restart_elsewhere().await;
    assert_eq!(cluster.seats(&show).await, "HSAA");
    before.assert_went_on_to(cluster.time().await);
    let next = cluster.hold(&show, &[2]).await;
    assert!(next.hold.fence > sold.hold.fence);
    cluster.release(&held).await;
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_ends_by_itself_and_not_before_its_time() {
    let cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(2, 1_000).await;
    let held = cluster.hold(&show, &[0]).await;
    let ended_by = cluster
        .until("the hold has ended", || async {
            let answer = cluster.show(&show).await;
            let free = answer.seat_states[0] == pb::SeatState::Available as u8;
            free.then(|| answer.info.expect("info").cluster_time_ms)
        })
        .await;
    assert!(
        ended_by >= held.hold.expires_at_ms,
        "ended at {ended_by}: {held:?}"
    );
    let (last, still) = cluster
        .until("one leader answers for a while", || async {
            let before = cluster.agrees().await;
            for _ in 0..20 {
                cluster.now().await;
            }
            let after = cluster.agrees().await;
            // A new leader writes that it leads.
            (before.term == after.term).then_some((before.last_log, after.last_log))
        })
        .await;
    assert_eq!(still, last, "with nothing due nothing is written");
    let again = cluster.hold(&show, &[0]).await;
    assert!(again.hold.fence > held.hold.fence);
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_names_the_leader_and_bad_fields_are_named() {
    let cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(1, TTL_MS).await;
    let status = cluster
        .until("a follower names the leader", || async {
            let (leader, request) = (
                cluster.leader().await,
                pb::GetShowRequest {
                    show_id: show_id.clone(),
                    ..Default::default()
                },
            );
            let follower = cluster.ids().into_iter().find(|id| *id != leader)?;
            let answer = cluster.client(follower).get_show(request).await;
            // It may have become the leader itself.
            let status = answer.err()?;
            let details = status.get_error_details();
            let named = details.error_info()?.metadata.get("leader_addr")?;
            (named == cluster.client_addr(leader)).then_some(status)
        })
        .await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "NOT_LEADER")
    );

    let malformed = pb::HoldSeatsRequest {
        request: Some(pb::RequestInfo {
            id: new_id(),
            not_after_ms: 1,
        }),
        show_id,
        holder: vec![1, 2, 3].into(),
        ..Default::default()
    };
    let status = cluster
        .until("the leader finds the bad field", || async {
            let mut leader = cluster.client(cluster.leader().await);
            let answer = leader.hold_seats(malformed.clone()).await;
            let status = answer.expect_err("malformed");
            (status.code() == Code::InvalidArgument).then_some(status)
        })
        .await;
    assert_eq!(reason(&status), "INVALID_REQUEST");
    let details = status.get_error_details();
    assert_eq!(
        details.bad_request().expect("fields").field_violations[0].field,
        "holder"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_is_decided_or_read() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(1, TTL_MS).await;
    let leader = cluster.leader().await;
    for node_id in cluster.ids() {
        if node_id != leader {
            cluster.stop_node(node_id).await;
        }
    }
    // It may have to notice first that nobody follows, or that another leader, that was elected
    // meanwhile, is gone too. Till then it may say other things, but never answer.
    cluster
        .until("a read is refused for want of a quorum", || async {
            let request = pb::GetShowRequest {
                show_id: show_id.clone(),
                ..Default::default()
            };
            let read = cluster.client(leader).get_show(request).await;
            (reason(&read.expect_err("can't be sure")) == "NO_QUORUM").then_some(())
        })
        .await;
    cluster
        .until("a write is not decided", || async {
            let mut request = tonic::Request::new(pb::HoldSeatsRequest {
                request: Some(pb::RequestInfo {
                    id: new_id(),
                    not_after_ms: u64::MAX,
                }),
                show_id: show_id.clone(),
                holder: new_id(),
                seat_nos: vec![0],
                ..Default::default()
            });
            request.set_timeout(Duration::from_secs(2));
            let answer = cluster.client(leader).hold_seats(request).await;
            let status = answer.expect_err("can't be decided");
            let known = ["NO_QUORUM", "OUTCOME_UNKNOWN"].contains(&reason(&status).as_str());
            (status.code() == Code::Unavailable && known).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_behind_a_lost_quorum_are_told_so_and_the_node_is_not_ready() {
    const WRITES: usize = 40;
    let mut cluster = Cluster::start(|config| config.election_timeout_ms_min = 500).await;
    let show_id = cluster.open_show(1, TTL_MS).await;
    let leader = cluster.leader().await;
    assert!(cluster.is_ready(leader));
    for node_id in cluster.ids() {
        if node_id != leader {
            cluster.kill_node(node_id);
        }
    }
    // The first become entries, more than may be in flight, before the leader knows; all others
    // wait behind them.
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..WRITES {
        let mut client = cluster.client(leader);
        let mut request = tonic::Request::new(pb::HoldSeatsRequest {
            request: Some(pb::RequestInfo {
                id: new_id(),
                not_after_ms: u64::MAX,
            }),
            show_id: show_id.clone(),
            holder: new_id(),
            seat_nos: vec![0],
            ..Default::default()
        });
        request.set_timeout(Duration::from_secs(10));
        writes.spawn(
            async move { reason(&client.hold_seats(request).await.expect_err("undecided")) },
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reasons = writes.join_all().await;
    // Those in flight stay unknown, to the end of their time.
    let told = reasons.iter().filter(|reason| *reason == "NO_QUORUM");
    assert!(told.count() >= WRITES / 2, "{reasons:?}");
    assert!(
        !reasons.iter().any(|reason| reason == "OVERLOADED"),
        "{reasons:?}"
    );
    cluster
        .until("the node is not ready", || async {
            (!cluster.is_ready(leader)).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_lost_its_disk_is_refused_under_its_old_id() {
    let mut cluster = Cluster::start(|_| {}).await;
    for node_id in [3, 1] {
        cluster.stop_node(node_id).await;
        fs::rename(cluster.data_dir(node_id), cluster.data_dir(node_id + 10)).expect("lost");
        let error = cluster.refusal(node_id).await;
        assert!(
            matches!(*error, Error::LostState { node_id: id, .. } if id == node_id),
            "{error}"
        );
        fs::remove_dir_all(cluster.data_dir(node_id)).expect("removed");
        fs::rename(cluster.data_dir(node_id + 10), cluster.data_dir(node_id)).expect("found");
        cluster.start_node(node_id);
        cluster.agrees().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_is_not_founded_before_all_its_members_are_there() {
    let mut cluster = Cluster::prepare(3, |_| {});
    cluster.start_node(1);
    cluster.start_node(2);
    let config = cluster.config(2);
    let channel = holdfast_mesh::client::channel(&config.members[1].peer_addr);
    let mut peer = pb::peer_service_client::PeerServiceClient::new(channel.expect("an address"));
    let address = |to_node_id| {
        Some(pb::PeerAddress {
            cluster_id: config.cluster_id.clone(),
            lineage: 1,
            group_id: 0,
            from_node_id: 1,
            to_node_id,
        })
    };
    let waiting = cluster
        .until("node 2 answers its peers", || {
            let (mut peer, address) = (peer.clone(), address(2));
            async move {
                let request = pb::GetPeerStatusRequest { address };
                peer.get_peer_status(request).await.ok()
            }
        })
        .await
        .into_inner();
    assert_eq!(waiting.role(), pb::NodeRole::Pristine);
    assert!(waiting.founders.is_empty());
    let vote = pb::VoteRequest {
        address: address(2),
        vote: Some(pb::RaftVote {
            term: 9,
            node_id: 1,
            committed: false,
        }),
        ..Default::default()
    };
    assert_eq!(
        peer.vote(vote).await.expect_err("takes no part").code(),
        Code::Unavailable
    );
    let foreign = pb::GetPeerStatusRequest {
        address: address(3),
    };
    let status = peer.get_peer_status(foreign).await.expect_err("not for it");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let other_life = pb::GetPeerStatusRequest {
        address: address(2).map(|address| pb::PeerAddress {
            lineage: 2,
            ..address
        }),
    };
    let status = peer
        .get_peer_status(other_life)
        .await
        .expect_err("nobody is founded with a peer of another lineage");
    assert_eq!(status.code(), Code::FailedPrecondition);

    cluster.start_node(3);
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_as_a_crash_leaves_it_has_everything_acknowledged() {
    let cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(30, TTL_MS).await;
    for seat in 0..20 {
        let held = cluster.hold(&show, &[seat]).await;
        if seat % 2 == 0 {
            cluster.commit(&held, &new_id()).await;
        }
    }
    // Copied from under the running nodes: nothing was closed, flushed or told to stop. It is what
    // a crash of the processes leaves. What a loss of power leaves it can't show, since the copy
    // reads what was written and not yet synced too: that every write is synced before anybody is
    // told is the test of the log's writer alone.
    let mut crashed = cluster.twin();
    for node_id in cluster.ids() {
        copy(&cluster.data_dir(node_id), &crashed.data_dir(node_id));
    }
    for node_id in crashed.ids() {
        crashed.start_node(node_id);
    }
    assert_eq!(crashed.seats(&show).await, "SHSHSHSHSHSHSHSHSHSHAAAAAAAAAA");
    crashed.agrees().await;
}

/// What `leader` says that `node_id` has acknowledged to it.
async fn acknowledged(
    cluster: &Cluster,
    node_id: u64,
    leader: u64,
) -> Option<Option<pb::LogPosition>> {
    let config = cluster.config(leader);
    let member = config
        .members
        .iter()
        .find(|member| member.node_id == leader);
    let channel = holdfast_mesh::client::channel(&member?.peer_addr).expect("an address");
    let mut peer = pb::peer_service_client::PeerServiceClient::new(channel);
    let address = Some(pb::PeerAddress {
        cluster_id: config.cluster_id,
        lineage: config.lineage.into(),
        group_id: 0,
        from_node_id: node_id,
        to_node_id: leader,
    });
    let answer = peer.get_peer_status(pb::GetPeerStatusRequest { address });
    answer
        .await
        .ok()
        .map(|status| status.into_inner().acknowledged)
}

#[tokio::test(flavor = "multi_thread")]
async fn node_whose_whole_directory_was_put_back_is_refused_while_the_leader_stays() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(20, TTL_MS).await;
    let follower = cluster.follower().await;
    cluster.agrees().await;
    cluster.stop_node(follower).await;
    let old = cluster.data_dir(follower + 10);
    copy(&cluster.data_dir(follower), &old);
    cluster.start_node(follower);
    cluster.hold(&show, &[1]).await;
    // A follower may apply what others have before the leader has its own word for it.
    let before = cluster
        .until("the leader has the follower's word for the end", || async {
            let before = cluster.agrees().await;
            let asked = acknowledged(&cluster, follower, before.node_id).await?;
            (asked == before.last_log).then_some(before)
        })
        .await;
    cluster.stop_node(follower).await;
    let newest = cluster.data_dir(follower + 20);
    fs::rename(cluster.data_dir(follower), &newest).expect("kept");
    copy(&old, &cluster.data_dir(follower));
    let now = cluster.status_of(before.node_id).await;
    if (now.role(), now.term) != (pb::NodeRole::Leader, before.term) {
        // Another leads meanwhile: nobody can know.
        return;
    }
    let error = cluster.refusal(follower).await;
    assert!(matches!(*error, Error::RolledBack { .. }), "{error}");
    fs::remove_dir_all(cluster.data_dir(follower)).expect("removed");
    fs::rename(newest, cluster.data_dir(follower)).expect("put back");
    cluster.start_node(follower);
    cluster.agrees().await;
}

/// Copies a running node's folder; anew if a file is gone between being listed and being copied,
/// as when the log's database replaces one.
fn copy(from: &Path, to: &Path) {
    for _ in 0..COPIES_MAX {
        match try_copy(from, to) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::remove_dir_all(to).expect("removed");
            }
            Err(error) => panic!("{}: {error}", from.display()),
        }
    }
    panic!("{} didn't keep still {COPIES_MAX} times", from.display());
}

/// Files first: the watermark must not be newer than the log.
fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut folders = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            folders.push((entry.path(), target));
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    folders
        .iter()
        .try_for_each(|(folder, target)| try_copy(folder, target))
}

#[tokio::test(flavor = "multi_thread")]
async fn single_node_serves_alone() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show = cluster.open_show(3, TTL_MS).await;
    cluster.hold(&show, &[1]).await;
    cluster.restart_elsewhere().await;
    assert_eq!(cluster.seats(&show).await, "AHA");
}
