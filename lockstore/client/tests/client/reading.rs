//! Reads that any node may answer: whom they go to, and what is said when none can.

use std::time::{Duration, Instant};

use holdfast_proto::lockstore::v1::read_consistency::Level;
use holdfast_types::{HoldId, Lineage, Revision, ShowId, UserId};
use lockstore_client::{Client, Consistency, Error, GetHoldOutcome};

use crate::node::{Node, Say, nowhere};

const WAIT: Duration = Duration::from_secs(10);
/// For calls that end without an answer.
const SHORT: Duration = Duration::from_secs(1);
/// How late a call may end on a busy machine.
const LATE_MAX: Duration = Duration::from_secs(1);
const SHOW: ShowId = ShowId::from_bytes([2; 16]);
/// That of every answer.
const SEEN: Revision = Revision::new(Lineage(1), 9, 0);
const AT_LEAST: Consistency = Consistency::AtLeast(SEEN);
const STALE: Consistency = Consistency::Stale {
    max_age: Duration::from_millis(1_500),
};

async fn nodes<const N: usize>(says: [Say; N]) -> (Vec<Node>, Client) {
    let mut nodes = Vec::new();
    for say in says {
        nodes.push(Node::start(&[], say).await);
    }
    let client = Client::connect(nodes.iter().map(|node| node.uri.clone()).collect());
    (nodes, client)
}

#[tokio::test]
async fn reads_that_any_node_answers_are_spread_over_all_and_say_what_they_ask() {
    let (nodes, client) = nodes([Say::Yes, Say::Yes, Say::Yes]).await;
    for (reads, level) in [
        (AT_LEAST, Level::AtLeastRevision(SEEN.as_u64())),
        (STALE, Level::StaleMaxAgeMs(1_500)),
    ] {
        let reading = client.reading(reads);
        for _ in 0..3 {
            let answer = reading.show(SHOW, WAIT).await.expect("it answers");
            assert!(answer.outcome.is_some());
        }
        let (hold_id, holder) = (HoldId::from_bytes([1; 16]), UserId::from_bytes([3; 16]));
        for _ in 0..3 {
            let answer = reading.get_hold(SHOW, hold_id, holder, WAIT).await;
            let outcome = answer.expect("it answers").outcome;
            assert!(matches!(outcome, GetHoldOutcome::Live(_)), "{outcome:?}");
        }
        for _ in 0..3 {
            reading.time(WAIT).await.expect("it answers");
        }
        for node in &nodes {
            assert_eq!(node.reads().len() % 3, 0);
            let last = node.reads().split_off(node.reads().len() - 3);
            assert_eq!(last, [Some(level); 3]);
        }
    }
    // The client itself reads as before.
    for _ in 0..3 {
        client.show(SHOW, WAIT).await.expect("it answers");
    }
    let mut linearizable: Vec<usize> = nodes.iter().map(|node| node.reads().len() - 6).collect();
    linearizable.sort_unstable();
    assert_eq!(linearizable, [0, 0, 3]);
}

#[tokio::test]
async fn node_that_is_behind_or_gone_is_left_for_another_and_left_alone_for_a_while() {
    let (nodes, _) = nodes([Say::Behind, Say::Yes]).await;
    let gone = nowhere();
    let uris = [&gone.uri, &nodes[0].uri, &nodes[1].uri];
    let client = Client::connect(uris.map(String::clone).to_vec()).reading(AT_LEAST);
    for _ in 0..20 {
        client.show(SHOW, WAIT).await.expect("one node has it");
    }
    assert_eq!(nodes[1].reads().len(), 20);
    let asked = nodes[0].reads().len();
    assert!((1..10).contains(&asked), "{asked}");
}

#[tokio::test]
async fn node_that_hangs_leaves_time_for_another() {
    let (nodes, client) = nodes([Say::Silence, Say::Yes]).await;
    let client = client.reading(STALE);
    for _ in 0..2 {
        client.show(SHOW, 2 * SHORT).await.expect("one answers");
    }
    assert_eq!(nodes[1].reads().len(), 2);
}

#[tokio::test]
async fn no_node_that_is_so_fresh_is_unavailable_by_the_deadline() {
    let (nodes, client) = nodes([Say::Behind, Say::Behind]).await;
    for reads in [AT_LEAST, STALE] {
        let begun = Instant::now();
        let answer = client.reading(reads).show(SHOW, SHORT).await;
        assert_eq!(answer, Err(Error::Unavailable));
        assert!(begun.elapsed() < SHORT + LATE_MAX);
    }
    let asked: Vec<usize> = nodes.iter().map(|node| node.reads().len()).collect();
    // Each of both once before each pause, as writes have.
    assert!(
        asked.iter().all(|asked| (2..=28).contains(asked)),
        "{asked:?}"
    );
}

#[tokio::test]
async fn node_without_a_place_is_left_for_another_and_told_if_all_are() {
    let delay = Duration::from_millis(50);
    let (nodes, client) = nodes([Say::Overloaded(delay), Say::Yes]).await;
    for _ in 0..2 {
        let answer = client.reading(AT_LEAST).show(SHOW, WAIT).await;
        answer.expect("one has a place");
    }
    assert_eq!(nodes[1].reads().len(), 2);
    let (_nodes, client) = self::nodes([Say::Overloaded(delay)]).await;
    let answer = client.reading(AT_LEAST).show(SHOW, SHORT).await;
    assert_eq!(answer, Err(Error::Overloaded { retry_after: delay }));
}

#[tokio::test]
async fn revision_of_an_earlier_lineage_is_told_and_a_node_of_one_is_passed_over() {
    let (nodes, client) = nodes([Say::OtherLineage(2)]).await;
    let answer = client.reading(AT_LEAST).show(SHOW, WAIT).await;
    let lineage = Lineage(2);
    assert_eq!(answer, Err(Error::LineageChanged { lineage }));
    assert_eq!(nodes[0].reads().len(), 1);

    let (nodes, client) = self::nodes([Say::OtherLineage(0), Say::Yes]).await;
    for _ in 0..2 {
        let answer = client.reading(AT_LEAST).show(SHOW, WAIT).await;
        answer.expect("the other one is of the lineage");
    }
    assert_eq!(nodes[1].reads().len(), 2);
}

#[tokio::test]
async fn node_that_does_not_know_what_is_asked_is_not_believed() {
    // It answers as of now, with its own revision and lineage.
    let (_nodes, client) = nodes([Say::Yes]).await;
    let later = Consistency::AtLeast(Revision::new(Lineage(1), 10, 0));
    let answer = client.reading(later).show(SHOW, WAIT).await;
    assert!(matches!(answer, Err(Error::Malformed(_))), "{answer:?}");
    let other = Consistency::AtLeast(Revision::new(Lineage(2), 1, 0));
    let answer = client.reading(other).show(SHOW, WAIT).await;
    let lineage = Lineage(1);
    assert_eq!(answer, Err(Error::LineageChanged { lineage }));

    // Or names the leader, which does so.
    let leader = Node::start(&[], Say::Yes).await;
    let follower = Node::start(&[], Say::NotLeader(Some(leader.uri.clone()))).await;
    let client = follower.client().reading(AT_LEAST);
    client.show(SHOW, WAIT).await.expect("the leader answers");
    assert_eq!((follower.reads().len(), leader.reads().len()), (1, 1));
}
