//! Finding and following the leader, and knowing the time.

use std::time::Duration;

use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{
    ClusterTime, DurationMs, Fence, HoldId, Lineage, Revision, SeatNo, SeatState, ShowId, UserId,
};
use lockstore_client::{
    Client, Error, ExtendHold, ExtendOutcome, HoldOutcome, RefusalReason, ShowState, Until,
};

use crate::node::{Node, Say, TIME, a_hold, nowhere};

const WAIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn answer_carries_what_the_store_said() {
    let node = Node::start(&[], Say::Yes).await;
    let answer = node
        .client()
        .hold(a_hold(), WAIT)
        .await
        .expect("it answers");
    assert_eq!(answer.lineage, Lineage(1));
    assert_eq!(answer.revision, Revision::new(Lineage(1), 9, 0));
    assert_eq!(answer.cluster_time, ClusterTime(TIME));
    let HoldOutcome::Held {
        hold,
        replayed: true,
    } = answer.outcome
    else {
        panic!("the node said so")
    };
    assert_eq!(
        (hold.hold_id, hold.fence.index()),
        (HoldId::from_bytes([1; 16]), 9)
    );
    assert_eq!(hold.seat_nos, [SeatNo(4), SeatNo(5)]);
    assert_eq!(hold.expires_at, ClusterTime(TIME + 600_000));
    let sent = &node.holds()[0];
    assert_eq!(
        (&sent.show_id[..], &sent.holder[..]),
        (&[2; 16][..], &[3; 16][..])
    );
    assert_eq!((sent.seat_nos.clone(), sent.price_version), (vec![4, 5], 6));
}

#[tokio::test]
async fn refusal_is_an_answer() {
    let node = Node::start(&[], Say::No(pb::RefusalReason::Conflict)).await;
    let answer = node
        .client()
        .hold(a_hold(), WAIT)
        .await
        .expect("a refusal is an answer");
    let HoldOutcome::Refused(refusal) = answer.outcome else {
        panic!("the node refuses")
    };
    assert_eq!(
        (refusal.reason, refusal.limit),
        (RefusalReason::Conflict, 7)
    );
    assert_eq!(refusal.seats[0].state, Some(SeatState::Sold));
    assert_eq!(node.holds().len(), 1);
}

#[tokio::test]
async fn show_is_read_with_every_seat() {
    let node = Node::start(&[], Say::Yes).await;
    let answer = node
        .client()
        .show(ShowId::from_bytes([2; 16]), WAIT)
        .await
        .expect("it answers");
    let show = answer.outcome.expect("it is there");
    assert_eq!(show.state, ShowState::OnSale);
    assert_eq!(show.rules.seats_per_customer_max, 3);
    let all = [
        SeatState::Available,
        SeatState::Held,
        SeatState::Sold,
        SeatState::Blocked,
    ];
    assert_eq!(show.seat_states, all);
}

#[tokio::test]
async fn hint_is_followed_and_the_leader_is_remembered() {
    let leader = Node::start(&[], Say::Yes).await;
    let follower = Node::start(&[], Say::NotLeader(Some(leader.uri.clone()))).await;
    // The client was never told of the leader.
    let client = follower.client();
    for _ in 0..3 {
        client
            .hold(a_hold(), WAIT)
            .await
            .expect("the leader answers");
    }
    assert_eq!(follower.holds().len(), 1);
    assert_eq!(leader.holds().len(), 3);
}

#[tokio::test]
async fn endpoint_that_is_down_is_passed_over() {
    let node = Node::start(&[], Say::Yes).await;
    let nobody = nowhere();
    let client = Client::connect(vec![
        nobody.uri.clone(),
        "not a uri".to_owned(),
        node.uri.clone(),
    ]);
    client.hold(a_hold(), WAIT).await.expect("one node is up");
    assert_eq!(node.holds().len(), 1);
}

#[tokio::test]
async fn new_leader_is_found_when_the_old_one_steps_down() {
    let old = Node::start(&[Say::Yes], Say::NotLeader(None)).await;
    let new = Node::start(&[], Say::Yes).await;
    let client = Client::connect(vec![old.uri.clone(), new.uri.clone()]);
    client
        .hold(a_hold(), WAIT)
        .await
        .expect("the old one leads");
    client
        .hold(a_hold(), WAIT)
        .await
        .expect("the new one leads");
    client
        .hold(a_hold(), WAIT)
        .await
        .expect("the new one leads");
    assert_eq!((old.holds().len(), new.holds().len()), (2, 2));
}

#[tokio::test]
async fn nodes_that_point_at_each_other_make_no_busy_loop() {
    let a = Node::start(&[], Say::NotLeader(None)).await;
    let b = Node::start(&[], Say::NotLeader(Some(a.uri.clone()))).await;
    for _ in 0..1_000 {
        a.say_next(Say::NotLeader(Some(b.uri.clone())));
    }
    let client = Client::connect(vec![a.uri.clone(), b.uri.clone()]);
    client.time(WAIT).await.expect("it answers");
    let error = client
        .hold(a_hold(), Duration::from_secs(1))
        .await
        .expect_err("nobody leads");
    assert_eq!(error, Error::Unavailable);
    let tries = a.holds().len() + b.holds().len();
    // The pauses, of at least half of 10 ms, doubled up to 500 ms, leave time for ten tries, and
    // two hints are followed before each.
    assert!((3..=30).contains(&tries), "{tries} tries in a second");
}

#[tokio::test]
async fn node_that_is_always_overloaded_is_passed_over() {
    let cut_off = Node::start(&[], Say::Overloaded(Duration::from_millis(5))).await;
    let leader = Node::start(&[], Say::Yes).await;
    let client = Client::connect(vec![cut_off.uri.clone(), leader.uri.clone()]);
    client
        .hold(a_hold(), WAIT)
        .await
        .expect("the leader answers");
    assert_eq!((cut_off.holds().len(), leader.holds().len()), (2, 1));
}

#[tokio::test]
async fn leader_that_is_overloaded_for_a_while_is_found_again() {
    let busy = Say::Overloaded(Duration::from_millis(5));
    let leader = Node::start(&[busy.clone(), busy.clone(), busy], Say::Yes).await;
    let follower = Node::start(&[], Say::NotLeader(Some(leader.uri.clone()))).await;
    let client = Client::connect(vec![leader.uri.clone(), follower.uri.clone()]);
    client
        .hold(a_hold(), WAIT)
        .await
        .expect("the leader answers in the end");
    assert_eq!((leader.holds().len(), follower.holds().len()), (4, 1));
}

#[tokio::test]
async fn time_is_asked_once_and_names_the_deadline() {
    const DEADLINE_MS: u64 = 10_000;
    const DEADLINE: Duration = Duration::from_millis(DEADLINE_MS);
    let node = Node::start(&[], Say::Yes).await;
    let client = node.client();
    for _ in 0..3 {
        client.hold(a_hold(), DEADLINE).await.expect("it answers");
    }
    assert_eq!(node.times_asked(), 1);
    for sent in node.holds() {
        let not_after = sent.request.expect("it is named").not_after_ms;
        assert!(
            (TIME + 1..=TIME + 2 * DEADLINE_MS).contains(&not_after),
            "{not_after}"
        );
    }
    client
        .hold(a_hold(), Duration::from_secs(3_600))
        .await
        .expect("it answers");
    let far = node.holds()[3]
        .request
        .clone()
        .expect("it is named")
        .not_after_ms;
    assert!(far <= TIME + 60_000 + 5_000, "{far} is refused as too far");
}

#[tokio::test]
async fn deadline_named_from_old_knowledge_is_named_again() {
    let node = Node::start(&[], Say::Yes).await;
    let client = node.client();
    client.time(WAIT).await.expect("it answers");
    node.say_next(Say::TooLate(TIME + 500_000));
    let answer = client
        .hold(a_hold(), WAIT)
        .await
        .expect("the second copy is in time");
    assert!(matches!(answer.outcome, HoldOutcome::Held { .. }));
    let sent: Vec<_> = node
        .holds()
        .into_iter()
        .map(|hold| hold.request.expect("it is named"))
        .collect();
    assert_eq!(sent[0].id, sent[1].id);
    assert!(sent[1].not_after_ms > TIME + 500_000);
    // A store that insists is believed.
    node.say_next(Say::TooLate(TIME + 900_000));
    node.say_next(Say::TooLate(TIME + 1_900_000));
    let answer = client
        .hold(a_hold(), WAIT)
        .await
        .expect("a refusal is an answer");
    let HoldOutcome::Refused(refusal) = answer.outcome else {
        panic!("the node refuses")
    };
    assert_eq!(refusal.reason, RefusalReason::DeadlinePassed);
}

#[tokio::test]
async fn store_whose_time_went_back_is_believed_within_the_call() {
    const BEFORE: u64 = TIME + 10_000_000;
    let node = Node::start(&[Say::TooLate(BEFORE)], Say::ByDeadline(BEFORE)).await;
    let client = node.client();
    let held = client.hold(a_hold(), WAIT).await.expect("it answers");
    assert!(matches!(held.outcome, HoldOutcome::Held { .. }));

    for _ in 0..2 {
        node.say_next(Say::ByDeadline(TIME));
    }
    let held = client.hold(a_hold(), WAIT).await.expect("it answers");
    assert!(
        matches!(held.outcome, HoldOutcome::Held { .. }),
        "{:?}",
        held.outcome
    );
    let sent: Vec<_> = node
        .holds()
        .into_iter()
        .map(|hold| hold.request.expect("it is named"))
        .collect();
    assert_eq!(sent.len(), 4);
    assert_eq!(sent[2].id, sent[3].id);
    assert!(sent[2].not_after_ms > TIME + 60_000);
    // What was learned stays: the next write is named right at once.
    node.say_next(Say::ByDeadline(TIME));
    client.hold(a_hold(), WAIT).await.expect("it answers");
    assert_eq!(node.holds().len(), 5);
}

#[tokio::test]
async fn extension_from_now_is_named_in_cluster_time() {
    let node = Node::start(&[], Say::Yes).await;
    let request = ExtendHold {
        show_id: ShowId::from_bytes([2; 16]),
        holder: UserId::from_bytes([3; 16]),
        hold_id: HoldId::from_bytes([1; 16]),
        fence: Fence::new(Lineage(1), 9, 0),
        until: Until::FromNow(DurationMs(900_000)),
    };
    let answer = node
        .client()
        .extend(request, WAIT)
        .await
        .expect("it answers");
    let ExtendOutcome::Extended(hold) = answer.outcome else {
        panic!("the node said so")
    };
    let until = node.extensions()[0].until_ms;
    assert_eq!(hold.expires_at, ClusterTime(until));
    assert!(
        (TIME + 900_000..=TIME + 905_000).contains(&until),
        "{until}"
    );
}
