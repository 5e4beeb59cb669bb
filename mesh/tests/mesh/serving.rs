//! A gRPC server as its callers see it: deadlines, request ids, panics, health, drain.

use std::{future::pending, sync::Arc, time::Duration};

use holdfast_mesh::{self as mesh, Failure, client::Channel, deadline::Deadline, request_id};
use holdfast_types::ErrorCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
    time::timeout,
};
use tonic::{Code, Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    LIMIT,
    text_service::{Server, call, start},
};

fn text(words: &str) -> Request<String> {
    Request::new(words.to_owned())
}

async fn health(channel: &Channel) -> ServingStatus {
    let answer = HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await;
    answer.expect("answers").into_inner().status()
}

/// What the last of two hops sees of the trace that the first is called with.
async fn trace_after_two_hops(parent: Option<&str>) -> String {
    let inner = start(|request| async move {
        let of = |name| {
            let value = request.metadata().get(name);
            value.map_or("none", |value| value.to_str().expect("text"))
        };
        Ok(format!("{} {}", of("traceparent"), of("tracestate")))
    })
    .await;
    let next = inner.channel.clone();
    let outer = start(move |request| {
        let next = next.clone();
        async move {
            let mut onward = text("");
            Deadline::of(&request).apply(&mut onward);
            Ok(call(&next, onward).await?.into_inner())
        }
    })
    .await;
    let mut request = text("");
    if let Some(parent) = parent {
        let metadata = request.metadata_mut();
        metadata.insert("traceparent", parent.parse().expect("metadata"));
        metadata.insert("tracestate", "vendor=1".parse().expect("metadata"));
    }
    let answer = call(&outer.channel, request).await.expect("answers");
    answer.into_inner()
}

#[tokio::test]
async fn trace_context_travels_over_two_hops_though_nothing_is_exported() {
    for flags in ["00", "01"] {
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let seen = trace_after_two_hops(Some(&parent)).await;
        assert_eq!(seen, format!("{parent} vendor=1"));
    }
}

#[tokio::test]
async fn no_trace_context_and_a_malformed_one_stay_none() {
    assert_eq!(trace_after_two_hops(None).await, "none none");
    let seen = trace_after_two_hops(Some("00-nothing-like-it-01")).await;
    assert_eq!(seen, "none none");
}

#[tokio::test]
async fn deadline_and_request_id_travel_over_two_hops() {
    let inner = start(|request| async move {
        let id = request_id::current().expect("the server gave one");
        Ok(format!(
            "{} {id}",
            Deadline::of(&request).remaining().as_millis()
        ))
    })
    .await;
    let next = inner.channel.clone();
    let outer = start(move |request| {
        let next = next.clone();
        async move {
            let mut onward = text("");
            Deadline::of(&request).apply(&mut onward);
            Ok(call(&next, onward).await?.into_inner())
        }
    })
    .await;

    let mut request = text("");
    request.set_timeout(Duration::from_secs(3));
    request.metadata_mut().insert(
        request_id::HEADER,
        "from-the-caller".parse().expect("metadata"),
    );
    let answer = call(&outer.channel, request).await.expect("answers");
    assert_eq!(
        answer.metadata().get(request_id::HEADER).expect("echoed"),
        "from-the-caller"
    );
    let words = answer.into_inner();
    let (left_ms, id) = words.split_once(' ').expect("two words");
    let left_ms: u64 = left_ms.parse().expect("a number");
    assert!((1..=3000).contains(&left_ms), "{left_ms} ms");
    assert_eq!(id, "from-the-caller");

    let answer = call(&outer.channel, text("")).await.expect("answers");
    let made = answer
        .metadata()
        .get(request_id::HEADER)
        .expect("made")
        .to_str()
        .expect("text");
    assert!(answer.get_ref().ends_with(made), "one id over both hops");
}

/// Tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_handler_ends_when_its_deadline_passes() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let server = start(move |_| {
        let ended = Dropped(ended.clone());
        async move {
            let _ended = ended;
            pending().await
        }
    })
    .await;
    // Connecting isn't what is timed.
    health(&server.channel).await;
    let mut request = text("");
    request.set_timeout(Duration::from_millis(200));
    let status = timeout(LIMIT, call(&server.channel, request))
        .await
        .expect("in time")
        .expect_err("too late");
    // The server's answer or the caller's own timer, whichever is first.
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    assert_eq!(Failure::from_status(&status).code(), ErrorCode::Unavailable);
    timeout(LIMIT, ends.recv())
        .await
        .expect("in time")
        .expect("the handler was dropped");
}

#[tokio::test]
async fn failures_reach_the_caller_whole() {
    let sent = Failure::invalid("seat_ids[1]", "repeated")
        .and_field("seat_ids[2]", "unknown")
        .with_metadata("limit", "4")
        .with_retry_after(Duration::from_millis(250));
    let answer = sent.clone();
    let server = start(move |_| {
        let answer = answer.clone();
        async move { Err(answer.into()) }
    })
    .await;
    let status = call(&server.channel, text("")).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(Failure::from_status(&status), sent);
}

#[tokio::test]
async fn a_panic_is_one_calls_internal_error_and_shows_nothing() {
    let server = start(|request| async move {
        assert!(request.get_ref() != "panic", "secret words");
        Ok("fine".to_owned())
    })
    .await;
    let status = call(&server.channel, text("panic"))
        .await
        .expect_err("fails");
    assert_eq!(
        Failure::from_status(&status),
        Failure::new(ErrorCode::InternalError, "internal error")
    );
    assert_eq!(
        call(&server.channel, text(""))
            .await
            .expect("answers")
            .into_inner(),
        "fine"
    );
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let server = start(|request| async move { Ok(request.into_inner().len().to_string()) }).await;
    let fits = 4 * 1024 * 1024;
    let answer = call(&server.channel, text(&"a".repeat(fits)))
        .await
        .expect("fits");
    assert_eq!(answer.into_inner(), fits.to_string());
    call(&server.channel, text(&"a".repeat(fits + 1)))
        .await
        .expect_err("refused");
}

#[tokio::test]
async fn an_address_that_is_not_loopback_is_refused_without_insecure() {
    let options = mesh::server::Options {
        name: "text",
        listen: ([0, 0, 0, 0], 0).into(),
        insecure: false,
        descriptor_set: &[],
    };
    let context = mesh::Context::new();
    let refused =
        mesh::server::serve_grpc(options, tonic::service::Routes::default(), &context).await;
    assert!(
        matches!(
            refused,
            Err(mesh::server::Error::Config(
                mesh::config::Error::NotLoopback { .. }
            ))
        ),
        "{refused:?}"
    );
    assert!(!context.readiness.is_ready());
}

#[tokio::test]
async fn a_taken_port_is_reported_with_its_address() {
    let server = start(|_| async { Ok(String::new()) }).await;
    let taken = mesh::server::bind("other", server.address, false)
        .await
        .expect_err("taken");
    assert!(
        taken.to_string().contains(&server.address.to_string()),
        "{taken}"
    );
}

#[tokio::test]
async fn health_follows_readiness() {
    let server = start(|_| async { Ok(String::new()) }).await;
    assert!(server.context.readiness.is_ready());
    let turns = |to: ServingStatus| {
        let channel = server.channel.clone();
        timeout(LIMIT, async move {
            while health(&channel).await != to {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    turns(ServingStatus::Serving).await.expect("serves");
    server.context.readiness.set_not_ready("text", "no quorum");
    turns(ServingStatus::NotServing)
        .await
        .expect("doesn't serve");
    server.context.readiness.set_ready("text");
    turns(ServingStatus::Serving).await.expect("serves again");
}

#[tokio::test]
async fn a_drain_finishes_the_call_in_flight_and_takes_no_other() {
    let gate = Arc::new(Notify::new());
    let (started, mut starts) = mpsc::unbounded_channel();
    let held = gate.clone();
    let Server {
        context,
        address,
        channel,
        ended,
    } = start(move |_| {
        let (held, started) = (held.clone(), started.clone());
        async move {
            started.send(()).expect("the test listens");
            held.notified().await;
            Ok("finished".to_owned())
        }
    })
    .await;
    let in_flight = tokio::spawn(async move { call(&channel, text("")).await });
    timeout(LIMIT, starts.recv())
        .await
        .expect("in time")
        .expect("started");

    context.shutdown.cancel();
    timeout(LIMIT, async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("stops accepting");
    assert!(!context.readiness.is_ready());
    assert!(!ended.is_finished(), "waits for the call in flight");

    gate.notify_one();
    let answer = timeout(LIMIT, in_flight)
        .await
        .expect("in time")
        .expect("no panic");
    assert_eq!(answer.expect("answers").into_inner(), "finished");
    timeout(LIMIT, ended)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("drained");
}

/// Empty SETTINGS, then GOAWAY of stream 0 with INTERNAL_ERROR (RFC 9113 §6.5, §6.8).
const GOES_AWAY: [u8; 26] = [
    0, 0, 0, 4, 0, 0, 0, 0, 0, // SETTINGS
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // GOAWAY
];

#[tokio::test]
async fn a_peer_that_dies_mid_call_is_unavailable() {
    for last_words in [&[][..], &GOES_AWAY] {
        let listener = mesh::server::bind("dying", ([127, 0, 0, 1], 0).into(), false)
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let dying = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut seen = Vec::new();
            while !seen.windows(5).any(|words| words == b"hello") {
                stream.read_buf(&mut seen).await.expect("the call");
            }
            stream.write_all(last_words).await.expect("is read");
        });
        let channel = mesh::client::channel(&format!("http://{address}")).expect("a channel");
        let status = timeout(LIMIT, call(&channel, text("hello")))
            .await
            .expect("in time")
            .expect_err("nobody answers");
        dying.await.expect("no panic");
        assert_eq!(
            Failure::from_status(&status).code(),
            ErrorCode::Unavailable,
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_peer_answers_unavailable_within_the_deadline() {
    // Nobody listens on port 1.
    let channel = mesh::client::channel("http://127.0.0.1:1").expect("a channel");
    let mut request = text("");
    Deadline::after(Duration::from_secs(5)).apply(&mut request);
    let status: Status = timeout(LIMIT, call(&channel, request))
        .await
        .expect("in time")
        .expect_err("nobody is there");
    assert_eq!(Failure::from_status(&status).code(), ErrorCode::Unavailable);
}
