//! What a channel makes of a peer in trouble, and what of its callers' requests reaches that peer.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::join_all, stream};
use holdfast_mesh::{self as mesh, Failure, client::Channel, deadline::Deadline};
use holdfast_types::ErrorCode;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tonic::{Code, Request, Response, Status};

use crate::{
    LIMIT,
    relay::{Relay, Way},
    text_service::{call, contract, read, start},
};

/// Failures in a row that open a breaker, and tries of one call.
const FAILURES_MAX: usize = 5;
const TRIES_MAX: usize = 4;

/// More than the least time after which a peer is blamed for giving no answer.
const SHORT: Duration = Duration::from_millis(80);

/// A channel that knows the service's contract; metrics know it as `peer`.
fn channel(to: SocketAddr, peer: &str) -> Channel {
    mesh::metrics::install();
    let context = mesh::Context {
        contract: contract(),
        ..mesh::Context::new()
    };
    let made = context.channel(&format!("http://{to}"), peer);
    made.expect("a channel")
}

fn text(words: &str, deadline: Duration) -> Request<String> {
    let mut request = Request::new(words.to_owned());
    request.set_timeout(deadline);
    request
}

/// What `/metrics` says of a series.
fn metric(name: &str, labels: &str) -> Option<u64> {
    let text = mesh::metrics::install().render();
    let line = format!("{name}{{{labels}}} ");
    let value = text.lines().find_map(|is| is.strip_prefix(&line))?;
    Some(value.parse().expect("a whole number"))
}

async fn in_time<F: Future>(work: F) -> F::Output {
    timeout(LIMIT, work).await.expect("in time")
}

/// Whether the breaker said no.
fn is_refused(answer: &Result<Response<String>, Status>) -> bool {
    answer.as_ref().is_err_and(|status| {
        let failure = Failure::from_status(status);
        failure.code() == ErrorCode::Unavailable && failure.metadata().contains_key("peer")
    })
}

/// Calls until the breaker is open.
async fn open(channel: &Channel) {
    let calls = (0..FAILURES_MAX).map(|_| call(channel, text("", SHORT)));
    for answer in in_time(join_all(calls)).await {
        answer.expect_err("nobody answers");
    }
    let refused = in_time(call(channel, text("", LIMIT))).await;
    assert!(is_refused(&refused), "{refused:?}");
}

#[tokio::test]
async fn calls_at_the_same_time_spread_over_several_connections() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = start({
        let (gate, seen) = (gate.clone(), seen.clone());
        move |request| {
            let (gate, seen) = (gate.clone(), seen.clone());
            async move {
                if seen.fetch_add(1, Ordering::Relaxed) + 1 == 8 {
                    gate.close();
                }
                let _ = gate.acquire().await;
                let peer = request.extensions().get::<mesh::server::Peer>();
                let from = peer.and_then(|peer| peer.address);
                Ok(from.expect("a connection").to_string())
            }
        }
    })
    .await;
    let calls = (0..8).map(|_| call(&server.channel, text("", LIMIT)));
    let mut connections = BTreeMap::new();
    for answer in in_time(join_all(calls)).await {
        let from = answer.expect("answers").into_inner();
        *connections.entry(from).or_insert(0) += 1;
    }
    let calls: Vec<u32> = connections.into_values().collect();
    assert_eq!(calls, [4, 4]);
}

#[tokio::test]
async fn a_peer_that_is_away_is_refused_at_once_then_tried_by_one_call_and_used_again() {
    let (gate, (began, mut begins)) = (Arc::new(Semaphore::new(0)), mpsc::unbounded_channel());
    let server = start({
        let gate = gate.clone();
        move |_| {
            let (gate, began) = (gate.clone(), began.clone());
            async move {
                began.send(()).expect("the test listens");
                let _ = gate.acquire().await;
                Ok("here".to_owned())
            }
        }
    })
    .await;
    let address = Relay::nowhere().await;
    // Without a contract: every call is one try.
    let channel = mesh::client::channel(&format!("http://{address}")).expect("a channel");
    for _ in 0..FAILURES_MAX {
        let answer = in_time(call(&channel, text("", LIMIT))).await;
        let status = answer.as_ref().expect_err("nobody is there");
        assert!(!is_refused(&answer), "{status:?}");
        assert_eq!(Failure::from_status(status).code(), ErrorCode::Unavailable);
    }
    let refused = in_time(call(&channel, text("", LIMIT))).await;
    assert!(is_refused(&refused), "{refused:?}");
    let status = refused.expect_err("is refused");
    assert_eq!(status.code(), Code::Unavailable);
    let failure = Failure::from_status(&status);
    assert!(failure.retry_after().is_some(), "{failure:?}");
    assert!(!failure.message().contains(&address.to_string()));

    let _relay = Relay::start_at(address, Way::To(server.address)).await;
    let trial = tokio::spawn(async move {
        loop {
            let answer = call(&channel, text("", LIMIT)).await;
            if !is_refused(&answer) {
                break (channel, answer);
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    in_time(begins.recv())
        .await
        .expect("the trial came through");
    gate.close();
    let (channel, answer) = in_time(trial).await.expect("no panic");
    assert_eq!(answer.expect("answers").into_inner(), "here");
    let answer = in_time(call(&channel, text("", LIMIT))).await;
    answer.expect("the breaker is closed");
}

#[tokio::test]
async fn while_a_trial_is_under_way_others_are_refused() {
    let address = Relay::nowhere().await;
    let channel = channel(address, "one-trial");
    open(&channel).await;
    assert_eq!(
        metric("grpc_client_breakers_open", r#"peer="one-trial""#),
        Some(1)
    );
    let _mute = Relay::start_at(address, Way::Mute).await;
    let calls = || (0..10).map(|_| call(&channel, text("", LIMIT)).boxed());
    in_time(async {
        loop {
            let mut calls: Vec<_> = calls().collect();
            let answers: Vec<_> = calls.iter_mut().map(|call| call.now_or_never()).collect();
            let waiting = answers.iter().filter(|answer| answer.is_none()).count();
            assert!(waiting <= 1, "{waiting} at once");
            let refused = answers.iter().flatten().filter(|answer| is_refused(answer));
            assert_eq!(refused.count(), 10 - waiting);
            if waiting == 1 {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn opening_and_closing_are_counted() {
    let server = start(|_| async { Ok(String::new()) }).await;
    let address = Relay::nowhere().await;
    let channel = channel(address, "flapping");
    open(&channel).await;
    let changes = |to| {
        let labels = format!(r#"peer="flapping",to="{to}""#);
        metric("grpc_client_breaker_changes_total", &labels)
    };
    assert_eq!((changes("open"), changes("closed")), (Some(1), None));
    let _relay = Relay::start_at(address, Way::To(server.address)).await;
    in_time(async {
        while call(&channel, text("", LIMIT)).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!((changes("open"), changes("closed")), (Some(1), Some(1)));
    let labels = r#"peer="flapping""#;
    assert_eq!(metric("grpc_client_breakers_open", labels), Some(0));
    assert!(metric("grpc_client_refused_total", labels) >= Some(1));
}

#[tokio::test]
async fn a_peer_that_never_answers_is_not_asked_after_a_few_deadlines() {
    let mute = Relay::start(Way::Mute).await;
    open(&channel(mute.address, "mute")).await;
}

#[tokio::test]
async fn callers_that_give_up_at_their_deadline_open_the_breaker_too() {
    let mute = Relay::start(Way::Mute).await;
    let channel = channel(mute.address, "mute-to-droppers");
    // Of these some may not count, where this machine was too slow to drop them near their deadline.
    for _ in 0..4 * FAILURES_MAX {
        let deadline = Deadline::after(SHORT);
        let mut request = Request::new(String::new());
        deadline.apply(&mut request);
        // Ahead of the channel's own timer, as a server does that still has to answer.
        let ahead = deadline.at() - Duration::from_millis(15);
        let answer = tokio::time::timeout_at(ahead, call(&channel, request)).await;
        if answer.is_ok_and(|answer| is_refused(&answer)) {
            return;
        }
    }
    panic!("it is asked all the same");
}

#[tokio::test]
async fn callers_that_go_away_early_say_nothing_about_the_peer() {
    let mute = Relay::start(Way::Mute).await;
    let channel = channel(mute.address, "left-early");
    for _ in 0..10 * FAILURES_MAX {
        let answer = call(&channel, text("", LIMIT)).now_or_never();
        assert!(answer.is_none(), "is under way: {answer:?}");
    }
}

#[tokio::test]
async fn a_status_never_opens_the_breaker() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Err(Status::unavailable("no quorum")) }
    })
    .await;
    let channel = channel(server.address, "without-quorum");
    for _ in 0..10 * FAILURES_MAX {
        let answer = in_time(call(&channel, text("", LIMIT))).await;
        let status = answer.expect_err("refuses");
        assert_eq!(status.message(), "no quorum");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 10 * FAILURES_MAX);
}

#[tokio::test]
async fn what_may_have_been_done_is_sent_again_only_if_that_is_safe() {
    let seen = Arc::new(AtomicUsize::new(0));
    let dying = Relay::start(Way::BreakOff(b"hello", seen.clone())).await;
    let unsafe_to_repeat = channel(dying.address, "dying-1");
    let answer = in_time(call(&unsafe_to_repeat, text("hello", LIMIT))).await;
    answer.expect_err("nobody answers");
    assert_eq!(seen.swap(0, Ordering::Relaxed), 1, "sent once");

    let safe = channel(dying.address, "dying-2");
    let answer = in_time(read(&safe, text("hello", LIMIT))).await;
    let status = answer.expect_err("nobody answers");
    assert_eq!(Failure::from_status(&status).code(), ErrorCode::Unavailable);
    assert_eq!(seen.load(Ordering::Relaxed), TRIES_MAX);
}

#[tokio::test]
async fn what_never_left_is_sent_again_whatever_it_is() {
    let channel = channel(Relay::nowhere().await, "nowhere");
    let answer = in_time(call(&channel, text("hello", LIMIT))).await;
    answer.expect_err("nobody is there");
    let labels = r#"peer="nowhere",outcome="failed""#;
    let retries = metric("grpc_client_retries_total", labels);
    assert_eq!(retries, Some(TRIES_MAX as u64 - 1));
}

#[tokio::test]
async fn a_read_survives_connections_that_break_under_it() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (began, mut begins) = mpsc::unbounded_channel();
    let server = start(move |request| {
        let (first, began) = (calls.fetch_add(1, Ordering::Relaxed) == 0, began.clone());
        async move {
            if first {
                began.send(()).expect("the test listens");
                std::future::pending::<()>().await;
            }
            Ok(format!("{}, again", request.get_ref()))
        }
    })
    .await;
    let relay = Relay::start(Way::To(server.address)).await;
    let channel = channel(relay.address, "breaking");
    let under_way = tokio::spawn(async move { read(&channel, text("hello", LIMIT)).await });
    in_time(begins.recv()).await.expect("the call came through");
    relay.cut();
    let answer = in_time(under_way).await.expect("no panic");
    assert_eq!(answer.expect("answers").into_inner(), "hello, again");
    let labels = r#"peer="breaking",outcome="answered""#;
    assert_eq!(metric("grpc_client_retries_total", labels), Some(1));
}

#[tokio::test]
async fn a_restart_costs_reads_nothing_but_the_time_it_takes() {
    let server = start(|_| async { Ok("here".to_owned()) }).await;
    let relay = Relay::start(Way::To(server.address)).await;
    let (address, way) = (relay.address, Way::To(server.address));
    let channel = channel(address, "restarting");
    for _ in 0..3 {
        let answer = in_time(read(&channel, text("", LIMIT))).await;
        answer.expect("answers");
    }
    relay.stop().await;
    let answer = in_time(read(&channel, text("", LIMIT))).await;
    let status = answer.expect_err("nobody is there");
    assert_eq!(Failure::from_status(&status).code(), ErrorCode::Unavailable);
    let _relay = Relay::start_at(address, way).await;
    // Fewer failures than open the breaker: the first read after the restart is answered.
    let answer = in_time(read(&channel, text("", LIMIT))).await;
    assert_eq!(answer.expect("answers").into_inner(), "here");
}

#[tokio::test]
async fn the_budget_stops_a_storm_of_retries() {
    const CALLS: usize = 400;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Err(Status::unavailable("no quorum")) }
    })
    .await;
    let channel = channel(server.address, "stormy");
    let calls = stream::iter(0..CALLS).map(|_| read(&channel, text("", LIMIT)));
    let failed = calls.buffer_unordered(50).filter(|answer| {
        let failed = answer.is_err();
        async move { failed }
    });
    assert_eq!(in_time(failed.count()).await, CALLS);
    let retries = asked.load(Ordering::Relaxed) - CALLS;
    assert!((20..=20 + CALLS / 5).contains(&retries), "{retries}");
    let labels = r#"peer="stormy",outcome="over_budget""#;
    assert!(metric("grpc_client_retries_total", labels) > Some(0));
}

#[tokio::test]
async fn a_peer_that_says_when_to_come_again_is_obeyed_and_told_what_time_is_left() {
    let wait = Duration::from_millis(100);
    let (calls, first_left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU32::new(0)));
    let server = start(move |request| {
        let left = u32::try_from(Deadline::of(&request).remaining().as_millis()).expect("is small");
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        let first_left = first_left.clone();
        async move {
            if is_first {
                first_left.store(left, Ordering::Relaxed);
                let failure = Failure::new(ErrorCode::Unavailable, "an election");
                return Err(failure.with_retry_after(wait).into());
            }
            Ok((first_left.load(Ordering::Relaxed) - left).to_string())
        }
    })
    .await;
    let channel = channel(server.address, "electing");
    let answer = in_time(read(&channel, text("", LIMIT))).await;
    let spent_ms: u128 = answer
        .expect("answers")
        .into_inner()
        .parse()
        .expect("a number");
    assert!(spent_ms + 1 >= wait.as_millis(), "{spent_ms} ms");
}

#[tokio::test]
async fn a_wait_that_does_not_fit_the_deadline_is_not_begun() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let failure = Failure::new(ErrorCode::Unavailable, "an hour of repairs");
        async { Err(failure.with_retry_after(Duration::from_secs(3600)).into()) }
    })
    .await;
    let channel = channel(server.address, "in-repair");
    let answer = in_time(read(&channel, text("", LIMIT))).await;
    let failure = Failure::from_status(&answer.expect_err("refuses"));
    assert_eq!(failure.message(), "an hour of repairs");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_call_ends_by_its_deadline_even_while_it_connects() {
    // Takes no connection: its queue is full once it has as many as it may keep waiting.
    let full = tokio::net::TcpSocket::new_v4().expect("a socket");
    full.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let full = full.listen(1).expect("listens");
    let address = full.local_addr().expect("an address");
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(SHORT, tokio::net::TcpStream::connect(address)).await {
        waiting.push(stream.expect("waits in the queue"));
    }
    let channel = channel(address, "full");
    let answer = in_time(read(&channel, text("", SHORT))).await;
    let status = answer.expect_err("nobody answers");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(Failure::from_status(&status).code(), ErrorCode::Unavailable);
}
