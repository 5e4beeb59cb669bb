//! What is retried, how, and what is said when it doesn't help.

use std::time::{Duration, Instant};

use holdfast_types::ShowId;
use lockstore_client::{Client, Error, HoldOutcome, Options};
use tokio::net::TcpListener;

use crate::node::{Node, Say, a_hold, nowhere};

const WAIT: Duration = Duration::from_secs(10);
/// For calls that end without an answer: what comes before their tries, which is to connect and to
/// ask for the time, is done before, and there is time for some tries on a busy machine.
const SHORT: Duration = Duration::from_secs(2);
/// How late a call may end on a busy machine.
const LATE_MAX: Duration = Duration::from_secs(1);

#[tokio::test]
async fn every_try_carries_the_same_request() {
    let troubles = [
        Say::OutcomeUnknown,
        Say::NoQuorum,
        Say::NotLeader(None),
        Say::Overloaded(Duration::from_millis(5)),
    ];
    let node = Node::start(&troubles, Say::Yes).await;
    let answer = node
        .client()
        .hold(a_hold(), WAIT)
        .await
        .expect("it answers in the end");
    assert!(matches!(answer.outcome, HoldOutcome::Held { .. }));
    let holds = node.holds();
    assert_eq!(holds.len(), 5);
    assert!(holds.iter().all(|hold| *hold == holds[0]));
    assert_eq!(
        holds[0].request.clone().expect("it is named").id,
        vec![1; 16]
    );
}

#[tokio::test]
async fn calls_work_from_spawned_tasks_and_clones() {
    let node = Node::start(&[], Say::Yes).await;
    let client = node.client();
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.hold(a_hold(), WAIT).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no panic").expect("it answers");
    }
    assert_eq!(node.holds().len(), 20);
}

#[tokio::test]
async fn store_without_quorum_is_unavailable_by_the_deadline() {
    let node = Node::start(&[], Say::NoQuorum).await;
    let client = node.client();
    client.time(WAIT).await.expect("it answers");
    let mut answered = 0;
    // A try that the machine doesn't let end by the deadline may have taken effect, for all that
    // the client knows.
    let (result, took) = loop {
        let start = Instant::now();
        let before = node.holds().len();
        let result = client.hold(a_hold(), SHORT).await;
        answered += 1;
        if result != Err(Error::OutcomeUnknown) || answered == 3 {
            break (result, (start.elapsed(), node.holds().len() - before));
        }
    };
    assert_eq!(result, Err(Error::Unavailable));
    let (elapsed, tries) = took;
    assert!(elapsed < SHORT + LATE_MAX);
    // The pauses, of at least half of 10 ms, doubled up to 500 ms, leave time for no more.
    assert!((2..=14).contains(&tries), "{tries} tries in {SHORT:?}");
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let nobody = [nowhere(), nowhere()];
    let client = Client::connect(nobody.iter().map(|none| none.uri.clone()).collect());
    assert_eq!(client.hold(a_hold(), SHORT).await, Err(Error::Unavailable));
    let client = Client::connect(vec!["not a uri".to_owned()]);
    assert!(matches!(
        client.hold(a_hold(), SHORT).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn unknown_outcome_is_not_hidden_by_what_comes_after() {
    let node = Node::start(&[Say::OutcomeUnknown], Say::NoQuorum).await;
    let client = node.client();
    client.time(WAIT).await.expect("it answers");
    assert_eq!(
        client.hold(a_hold(), SHORT).await,
        Err(Error::OutcomeUnknown)
    );
    assert!(node.holds().len() > 1);
}

#[tokio::test]
async fn failed_read_is_unavailable_whatever_happened() {
    let node = Node::start(&[], Say::OutcomeUnknown).await;
    let answer = node.client().show(ShowId::from_bytes([2; 16]), SHORT).await;
    assert_eq!(answer, Err(Error::Unavailable));
}

#[tokio::test]
async fn stream_that_breaks_leaves_the_outcome_unknown() {
    let node = Node::start(&[Say::Breaks], Say::NoQuorum).await;
    let client = node.client();
    client.time(WAIT).await.expect("it answers");
    let held = client.hold(a_hold(), SHORT).await;
    assert_eq!(held, Err(Error::OutcomeUnknown));
    assert!(node.holds().len() >= 2, "it was sent again");
}

#[tokio::test]
async fn node_of_a_release_without_streams_is_called_command_by_command() {
    let node = Node::start(&[], Say::Yes).await;
    node.forget_streams();
    let client = node.client();
    for _ in 0..2 {
        client.hold(a_hold(), WAIT).await.expect("held");
    }
    assert_eq!(node.holds().len(), 2);
}

#[tokio::test]
async fn what_no_stream_was_opened_for_was_not_done() {
    let node = Node::start(&[], Say::NotLeader(None)).await;
    let client = node.client();
    client.time(WAIT).await.expect("it answers");
    // The leader accepts connections and drops them.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let uri = format!("http://{}", listener.local_addr().expect("it is bound"));
    let dropper = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    node.say_next(Say::NotLeader(Some(uri)));
    assert_eq!(client.hold(a_hold(), SHORT).await, Err(Error::Unavailable));
    dropper.abort();
}

#[tokio::test]
async fn overload_is_retried_when_it_says_and_told_in_the_end() {
    let delay = Duration::from_millis(50);
    let node = Node::start(&[Say::Overloaded(delay)], Say::Yes).await;
    let start = Instant::now();
    node.client()
        .hold(a_hold(), WAIT)
        .await
        .expect("it answers in the end");
    assert!(start.elapsed() >= delay);

    let delay = 2 * SHORT;
    let node = Node::start(&[], Say::Overloaded(delay)).await;
    let client = node.client();
    client.time(WAIT).await.expect("it answers");
    let start = Instant::now();
    let answer = client.hold(a_hold(), SHORT).await;
    assert_eq!(answer, Err(Error::Overloaded { retry_after: delay }));
    assert!(
        start.elapsed() < SHORT,
        "waiting past the deadline helps nobody"
    );
}

#[tokio::test]
async fn leader_without_disk_space_is_passed_over_and_told_in_the_end() {
    let with_space = Node::start(&[], Say::Yes).await;
    let full = Node::start(&[], Say::OutOfSpace).await;
    let client = Client::connect(vec![full.uri.clone(), with_space.uri.clone()]);
    client.hold(a_hold(), WAIT).await.expect("another leads");

    let follower = Node::start(&[], Say::NotLeader(Some(full.uri.clone()))).await;
    let client = Client::connect(vec![full.uri.clone(), follower.uri.clone()]);
    let (show, hold) = (ShowId::from_bytes([7; 16]), a_hold());
    drop(client.show(show, SHORT).await);
    assert_eq!(client.hold(hold, SHORT).await, Err(Error::OutOfSpace));
}

#[tokio::test]
async fn malformed_requests_and_answers_are_not_retried() {
    let node = Node::start(&[], Say::Invalid).await;
    let answer = node.client().hold(a_hold(), WAIT).await;
    assert_eq!(
        answer,
        Err(Error::Invalid("show_id: not 16 bytes".to_owned()))
    );
    assert_eq!(node.holds().len(), 1);

    let node = Node::start(&[], Say::Nonsense).await;
    assert!(matches!(
        node.client().hold(a_hold(), WAIT).await,
        Err(Error::Malformed(_))
    ));
    assert_eq!(node.holds().len(), 1);
}

#[tokio::test]
async fn node_that_hangs_costs_a_part_of_the_deadline() {
    let hung = Node::start(&[], Say::Silence).await;
    let good = Node::start(&[], Say::Yes).await;
    let client = Client::connect(vec![hung.uri.clone(), good.uri.clone()]);
    client
        .hold(a_hold(), WAIT)
        .await
        .expect("the other one answers");
    assert_eq!((hung.holds().len(), good.holds().len()), (1, 1));
}

#[tokio::test]
async fn silence_to_the_end_leaves_the_outcome_unknown() {
    let node = Node::start(&[], Say::Silence).await;
    let client = node.client();
    client.time(WAIT).await.expect("it answers");
    assert_eq!(
        client.hold(a_hold(), SHORT).await,
        Err(Error::OutcomeUnknown)
    );
}

#[tokio::test]
async fn every_try_carries_what_it_is_decorated_with() {
    let node = Node::start(&[Say::NoQuorum], Say::Yes).await;
    let options = Options {
        decorate: Some(|metadata| {
            metadata.insert("traceparent", "of-the-caller".parse().expect("metadata"));
        }),
        ..Options::default()
    };
    let client = Client::connect_with(vec![node.uri.clone()], options);
    client.hold(a_hold(), WAIT).await.expect("held");
    node.client().hold(a_hold(), WAIT).await.expect("held");
    let decorated = Some("of-the-caller".to_owned());
    assert_eq!(node.traces(), [decorated.clone(), decorated, None]);
}
