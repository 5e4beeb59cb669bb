//! Reads that any node answers: as of a revision, or as of an age.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{Lineage, Revision, SeatState, ShowId};
use lockstore_client::{Client, Consistency, Error};
use pb::{read_consistency::Level, streamed_answer::Answer, streamed_command::Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::{
    reason,
    support::{Cluster, Held, new_id},
};

const TTL_MS: u64 = 600_000;
/// As the node's limits have them.
const STALE_MS_MAX: u64 = 60_000;
const READS_WAITING_MAX: usize = 512;
/// What a node allows that is there and hears its leader, on a busy machine.
const FRESH_MS: u64 = 5_000;

pub(crate) fn stale(max_age_ms: u64) -> Level {
    Level::StaleMaxAgeMs(max_age_ms)
}

pub(crate) async fn show(
    cluster: &Cluster,
    node_id: u64,
    show_id: &Bytes,
    level: Level,
) -> Result<pb::GetShowResponse, Status> {
    let request = pb::GetShowRequest {
        show_id: show_id.clone(),
        consistency: Some(pb::ReadConsistency { level: Some(level) }),
    };
    let answer = cluster.client(node_id).get_show(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn hold(
    cluster: &Cluster,
    node_id: u64,
    held: &Held,
    level: Level,
) -> Result<pb::GetHoldResponse, Status> {
    let request = pb::GetHoldRequest {
        show_id: held.show_id.clone(),
        hold_id: held.hold.hold_id.clone(),
        holder: held.holder.clone(),
        consistency: Some(pb::ReadConsistency { level: Some(level) }),
    };
    let answer = cluster.client(node_id).get_hold(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn time(cluster: &Cluster, node_id: u64, level: Level) -> Result<pb::AnswerInfo, Status> {
    let request = pb::GetTimeRequest {
        consistency: Some(pb::ReadConsistency { level: Some(level) }),
    };
    let answer = cluster.client(node_id).get_time(request).await?;
    Ok(answer.into_inner().info.expect("info"))
}

/// The answer of a node that may be behind for longer than it waits, on a busy machine.
async fn until_there<T>(cluster: &Cluster, ask: impl AsyncFn() -> Result<T, Status>) -> T {
    let ask = &ask;
    cluster
        .until("the node has come so far", || async move {
            match ask().await {
                Ok(answer) => Some(answer),
                Err(status) if reason(&status) == "BEHIND" => None,
                Err(status) => panic!("{status}"),
            }
        })
        .await
}

fn assert_behind(status: &Status) {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::Unavailable, "BEHIND"),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_reads_what_was_written_just_before_by_its_revision() {
    let cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(10, TTL_MS).await;
    for seat in 0..10 {
        let held = cluster.hold(&show_id, &[seat]).await;
        let level = Level::AtLeastRevision(held.hold.fence);
        for node_id in cluster.ids() {
            let read = until_there(&cluster, async || {
                show(&cluster, node_id, &show_id, level).await
            })
            .await;
            let info = read.info.expect("info");
            assert!(
                info.lineage == 1 && info.revision >= held.hold.fence,
                "{info:?}"
            );
            assert!(info.cluster_time_ms >= held.hold.granted_at_ms, "{info:?}");
            let state = i32::from(read.seat_states[seat as usize]);
            assert_eq!(state, i32::from(pb::SeatState::Held), "node {node_id}");

            let read = until_there(&cluster, async || {
                hold(&cluster, node_id, &held, level).await
            })
            .await;
            let Some(pb::get_hold_response::Outcome::Hold(found)) = read.outcome else {
                panic!("node {node_id}: {read:?}")
            };
            assert_eq!(found, held.hold);

            let info = until_there(&cluster, async || time(&cluster, node_id, level).await).await;
            assert!(info.revision >= held.hold.fence, "{info:?}");
            assert!(info.cluster_time_ms >= held.hold.granted_at_ms, "{info:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_reads_what_was_decided_within_the_age_that_is_allowed() {
    let cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(3, TTL_MS).await;
    let held = cluster.hold(&show_id, &[1]).await;
    tokio::time::sleep(Duration::from_millis(FRESH_MS)).await;
    let before = cluster.now().await;
    for node_id in cluster.ids() {
        let level = stale(FRESH_MS);
        let read = until_there(&cluster, async || {
            show(&cluster, node_id, &show_id, level).await
        })
        .await;
        assert_eq!(read.seat_states.as_ref(), [1, 2, 1], "node {node_id}");
        let read = until_there(&cluster, async || {
            hold(&cluster, node_id, &held, level).await
        })
        .await;
        let found = pb::get_hold_response::Outcome::Hold(held.hold.clone());
        assert_eq!(read.outcome, Some(found), "node {node_id}");
        // Nothing was written meanwhile, and its time went on all the same.
        let info = until_there(&cluster, async || time(&cluster, node_id, level).await).await;
        assert!(
            info.cluster_time_ms + FRESH_MS >= before,
            "{info:?} at {before}"
        );
        assert!(info.cluster_time_ms > held.hold.granted_at_ms, "{info:?}");
    }
    // One that is alone is always its own majority.
    let mut alone = Cluster::prepare(1, |_| {});
    alone.start_node(1);
    let show_id = alone.open_show(1, TTL_MS).await;
    let read = show(&alone, 1, &show_id, stale(1)).await;
    assert!(read.expect("it leads").found);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_lost_the_others_answers_what_it_knows_and_says_what_it_does_not() {
    let cluster = Cluster::start(|_| {}).await;
    let left = cluster.follower().await;
    lose_the_others(cluster, left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_lost_the_others_does_so_too() {
    let cluster = Cluster::start(|_| {}).await;
    let left = cluster.leader().await;
    lose_the_others(cluster, left).await;
}

async fn lose_the_others(mut cluster: Cluster, left: u64) {
    let show_id = cluster.open_show(3, TTL_MS).await;
    let held = cluster.hold(&show_id, &[1]).await;
    let seen = Level::AtLeastRevision(held.hold.fence);
    until_there(&cluster, async || {
        show(&cluster, left, &show_id, seen).await
    })
    .await;
    let others = cluster.ids().into_iter().filter(|id| *id != left);
    for node_id in others.clone().collect::<Vec<_>>() {
        cluster.kill_node(node_id);
    }
    cluster
        .until("it doesn't know any more that its state is new", || async {
            let read = show(&cluster, left, &show_id, stale(1_000)).await;
            read.err().map(|status| assert_behind(&status))
        })
        .await;
    let status = time(&cluster, left, stale(1_000)).await;
    assert_behind(&status.expect_err("it hears nobody"));
    let status = hold(&cluster, left, &held, stale(1)).await;
    assert_behind(&status.expect_err("it hears nobody"));
    // What its reader has seen is there, and so is what was there within a minute.
    for level in [seen, stale(STALE_MS_MAX)] {
        let read = show(&cluster, left, &show_id, level).await.expect("known");
        assert_eq!(read.seat_states.as_ref(), [1, 2, 1]);
    }
    // A later revision is waited for, not for ever and not past the deadline.
    let later = Revision::from_u64(held.hold.fence).expect("a revision");
    let later = Revision::new(later.lineage(), later.index() + 1_000, 0);
    let later = Level::AtLeastRevision(later.as_u64());
    let status = show(&cluster, left, &show_id, later).await;
    assert_behind(&status.expect_err("nobody wrote it"));
    let mut request = Request::new(pb::GetTimeRequest {
        consistency: Some(pb::ReadConsistency { level: Some(later) }),
    });
    request.set_timeout(Duration::from_millis(300));
    let status = cluster.client(left).get_time(request).await;
    assert_behind(&status.expect_err("nobody wrote it"));

    // With the others back it has what they decide.
    for node_id in others {
        cluster.start_node(node_id);
    }
    let held = cluster.hold(&show_id, &[2]).await;
    let seen = Level::AtLeastRevision(held.hold.fence);
    for level in [seen, stale(FRESH_MS)] {
        let read = until_there(&cluster, async || {
            show(&cluster, left, &show_id, level).await
        })
        .await;
        if level == seen {
            assert_eq!(read.seat_states.as_ref(), [1, 2, 2]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_reads_what_it_has_seen_and_reads_on_while_nobody_leads() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(10, TTL_MS).await;
    let uris = cluster.ids().into_iter();
    let uris = uris.map(|id| cluster.client_addr(id).to_owned());
    let client = Client::connect(uris.collect());
    let id = ShowId::from_slice(&show_id).expect("16 bytes");
    let wait = Duration::from_secs(30);
    let mut seen = Revision::ZERO;
    for seat in 0..9 {
        let held = cluster.hold(&show_id, &[seat]).await;
        seen = Revision::from_u64(held.hold.fence).expect("a revision");
        let reading = client.reading(Consistency::AtLeast(seen));
        let answer = reading.show(id, wait).await.expect("one has it");
        assert!(answer.revision >= seen);
        let states = answer.outcome.expect("is there").seat_states;
        assert_eq!(states[seat as usize], SeatState::Held);
    }
    let left = cluster.follower().await;
    until_there(&cluster, async || {
        let level = Level::AtLeastRevision(seen.as_u64());
        show(&cluster, left, &show_id, level).await
    })
    .await;
    for node_id in cluster.ids() {
        if node_id != left {
            cluster.kill_node(node_id);
        }
    }
    let max_age = Duration::from_millis(STALE_MS_MAX);
    for reads in [Consistency::Stale { max_age }, Consistency::AtLeast(seen)] {
        let answer = client.reading(reads).show(id, wait).await;
        let states = answer.expect("one knows it").outcome.expect("is there");
        assert_eq!(states.seat_states[8], SeatState::Held);
    }
    let answer = client.show(id, Duration::from_secs(1)).await;
    assert_eq!(answer, Err(Error::Unavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_of_another_lineage_is_refused_by_every_node() {
    let cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(1, TTL_MS).await;
    let held = cluster.hold(&show_id, &[0]).await;
    for node_id in cluster.ids() {
        for lineage in [0, 2, 127] {
            let level = Level::AtLeastRevision(Revision::new(Lineage(lineage), 1, 0).as_u64());
            let refused = [
                show(&cluster, node_id, &show_id, level).await.map(drop),
                hold(&cluster, node_id, &held, level).await.map(drop),
                time(&cluster, node_id, level).await.map(drop),
            ];
            for status in refused {
                let status = status.expect_err("of another life");
                assert_eq!(
                    (status.code(), reason(&status).as_str()),
                    (Code::FailedPrecondition, "LINEAGE_CHANGED")
                );
                let details = status.get_error_details();
                let info = details.error_info().expect("info");
                assert_eq!(info.metadata.get("lineage").map(String::as_str), Some("1"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn level_that_is_out_of_bounds_is_named() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show_id = cluster.open_show(1, TTL_MS).await;
    let held = cluster.hold(&show_id, &[0]).await;
    let (revision, age) = (
        "consistency.at_least_revision",
        "consistency.stale_max_age_ms",
    );
    for (level, field) in [
        (Level::AtLeastRevision(0), revision),
        (Level::AtLeastRevision(1 << 63), revision),
        (Level::AtLeastRevision(u64::MAX), revision),
        (stale(0), age),
        (stale(STALE_MS_MAX + 1), age),
        (stale(u64::MAX), age),
    ] {
        let refused = [
            show(&cluster, 1, &show_id, level).await.map(drop),
            hold(&cluster, 1, &held, level).await.map(drop),
            time(&cluster, 1, level).await.map(drop),
        ];
        for status in refused {
            let status = status.expect_err("out of bounds");
            assert_eq!(status.code(), Code::InvalidArgument, "{level:?}");
            let details = status.get_error_details();
            let violations = &details.bad_request().expect("fields").field_violations;
            assert_eq!(violations[0].field, field, "{level:?}");
        }
    }
    for level in [stale(1), stale(STALE_MS_MAX)] {
        show(&cluster, 1, &show_id, level).await.expect("in bounds");
    }
    // No level is as none of the message.
    let request = pb::GetTimeRequest {
        consistency: Some(pb::ReadConsistency { level: None }),
    };
    let answer = cluster.client(1).get_time(request).await;
    answer.expect("linearizable");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_on_a_stream_is_linearizable_or_refused() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show_id = cluster.open_show(1, TTL_MS).await;
    let held = cluster.hold(&show_id, &[0]).await;
    let wanted = |level| {
        Command::GetHold(pb::GetHoldRequest {
            show_id: show_id.clone(),
            hold_id: held.hold.hold_id.clone(),
            holder: held.holder.clone(),
            consistency: level,
        })
    };
    let refused = pb::ReadConsistency {
        level: Some(stale(FRESH_MS)),
    };
    let commands = [None, Some(refused)].into_iter().zip(0..);
    let commands = commands.map(|(level, tag)| pb::StreamedCommand {
        tag,
        wait_ms: 10_000,
        command: Some(wanted(level)),
        ..Default::default()
    });
    let (messages, outgoing) = mpsc::channel(1);
    let mut client = cluster.client(1);
    let opened = client.hold_stream(ReceiverStream::new(outgoing)).await;
    let mut answers = opened.expect("opens").into_inner();
    let message = pb::HoldStreamRequest {
        commands: commands.collect(),
    };
    messages.send(message).await.expect("it is open");
    let mut found = Vec::new();
    while found.len() < 2 {
        let message = answers.message().await.expect("it stays open");
        found.extend(message.expect("it stays open").answers);
    }
    for answer in found {
        match (answer.tag, answer.answer.expect("an answer")) {
            (0, Answer::GetHold(answer)) => assert!(answer.outcome.is_some()),
            (1, Answer::Failure(failure)) => {
                assert_eq!(failure.code, i32::from(Code::InvalidArgument));
                assert!(failure.message.contains("consistency"), "{failure:?}");
            }
            (tag, answer) => panic!("{tag}: {answer:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_wait_for_a_revision_have_so_many_places_and_take_none_of_others() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show_id = cluster.open_show(1, TTL_MS).await;
    let never = Revision::new(Lineage(1), Revision::INDEX_MAX, 0).as_u64();
    let clients: Vec<_> = (0..16).map(|_| cluster.client(1)).collect();
    let flood = || async {
        let reads = stream::iter(0..2 * READS_WAITING_MAX).map(|n| {
            let mut client = clients[n % clients.len()].clone();
            let request = pb::GetShowRequest {
                show_id: new_id(),
                consistency: Some(pb::ReadConsistency {
                    level: Some(Level::AtLeastRevision(never)),
                }),
            };
            async move { client.get_show(request).await.expect_err("nobody wrote it") }
        });
        let reads = reads.buffer_unordered(2 * READS_WAITING_MAX).collect();
        let (refused, now): (Vec<Status>, _) = tokio::join!(reads, cluster.show(&show_id));
        assert!(now.found, "it has a place");
        let (overloaded, waited): (Vec<_>, Vec<_>) = refused
            .into_iter()
            .partition(|status| status.code() == Code::ResourceExhausted);
        waited.iter().for_each(assert_behind);
        for status in &overloaded {
            assert_eq!(reason(status), "OVERLOADED");
        }
        // Those that came first are gone when the last come, if the machine is busy enough.
        (waited.len() >= READS_WAITING_MAX && !overloaded.is_empty()).then_some(())
    };
    cluster
        .until("more wait than there are places for", flood)
        .await;
}
