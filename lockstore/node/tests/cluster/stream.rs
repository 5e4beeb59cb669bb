//! Many commands on one stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use pb::{
    lock_store_service_client::LockStoreServiceClient, streamed_answer::Answer,
    streamed_command::Command,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use crate::support::{Cluster, new_id};

const TTL_MS: u64 = 600_000;
const WAIT_MS: u32 = 20_000;
/// As many as a message may carry.
const COMMANDS_MAX: u32 = 512;

/// A stream to one node.
struct Stream {
    messages: mpsc::Sender<pb::HoldStreamRequest>,
    answers: Streaming<pb::HoldStreamResponse>,
}

impl Stream {
    async fn open(cluster: &Cluster, node_id: u64) -> Self {
        let (messages, outgoing) = mpsc::channel(8);
        let opened = cluster
            .client(node_id)
            .hold_stream(ReceiverStream::new(outgoing))
            .await;
        Self {
            messages,
            answers: opened.expect("any node takes streams").into_inner(),
        }
    }

    async fn send(&self, commands: Vec<pb::StreamedCommand>) {
        let message = pb::HoldStreamRequest { commands };
        self.messages.send(message).await.expect("it is open");
    }

    /// The next `count` answers, by tag.
    async fn answers(&mut self, count: usize) -> BTreeMap<u64, Answer> {
        let mut found = BTreeMap::new();
        while found.len() < count {
            let message = self.answers.message().await.expect("it stays open");
            for answer in message.expect("it stays open").answers {
                let before = found.insert(answer.tag, answer.answer.expect("an answer"));
                assert!(before.is_none(), "{} was answered twice", answer.tag);
            }
        }
        found
    }
}

async fn hold(cluster: &Cluster, show_id: &Bytes, tag: u64, seat: u32) -> pb::StreamedCommand {
    let request = pb::HoldSeatsRequest {
        request: Some(pb::RequestInfo {
            id: new_id(),
            not_after_ms: cluster.now().await + 30_000,
        }),
        show_id: show_id.clone(),
        holder: new_id(),
        seat_nos: vec![seat],
        ..Default::default()
    };
    pb::StreamedCommand {
        tag,
        wait_ms: WAIT_MS,
        command: Some(Command::HoldSeats(request)),
        ..Default::default()
    }
}

/// As many as fit a message, each for a seat of its own, tagged from 1,000 on.
fn of_each_seat(first: &pb::StreamedCommand) -> Vec<pb::StreamedCommand> {
    let of = |n: u32| {
        let mut command = first.clone();
        command.tag = 1_000 + u64::from(n);
        if let Some(Command::HoldSeats(request)) = &mut command.command {
            request.request.as_mut().expect("named").id = new_id();
            request.holder = new_id();
            request.seat_nos = vec![n];
        }
        command
    };
    (0..COMMANDS_MAX).map(of).collect()
}

fn held(answer: &Answer) -> bool {
    use pb::hold_seats_response::Outcome;
    let Answer::HoldSeats(answer) = answer else {
        panic!("another answer: {answer:?}");
    };
    matches!(answer.outcome, Some(Outcome::Held(_)))
}

fn status(answer: &Answer) -> Status {
    let Answer::Failure(failure) = answer else {
        panic!("no failure: {answer:?}");
    };
    Status::with_details(
        Code::from_i32(failure.code),
        failure.message.clone(),
        failure.details.clone(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_of_a_stream_is_answered_under_its_tag_and_a_bad_one_alone_fails() {
    let cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(COMMANDS_MAX, TTL_MS).await;
    let mut stream = Stream::open(&cluster, cluster.leader().await).await;
    let first = hold(&cluster, &show_id, 0, 0).await;
    let mut commands = of_each_seat(&first);
    // Seat 7 is asked for twice, seat 8 by nobody.
    if let Some(Command::HoldSeats(request)) = &mut commands[8].command {
        request.seat_nos = vec![7];
    }
    let bad = 3;
    if let Some(Command::HoldSeats(request)) = &mut commands[bad].command {
        request.holder = vec![1].into();
    }
    stream.send(commands).await;
    let answers = stream.answers(COMMANDS_MAX as usize).await;
    for (tag, answer) in &answers {
        match *tag {
            1_003 => {
                let status = status(answer);
                assert_eq!(status.code(), Code::InvalidArgument);
                let details = status.get_error_details();
                let fields = &details.bad_request().expect("fields").field_violations;
                assert_eq!(fields[0].field, "holder");
            }
            1_007 | 1_008 => {}
            _ => assert!(held(answer), "{tag}: {answer:?}"),
        }
    }
    assert!(
        held(&answers[&1_007]) != held(&answers[&1_008]),
        "one of two gets a seat"
    );
    let seats = cluster.seats(&show_id).await;
    assert!(seats.starts_with("HHHAHHHHAHHH"), "{seats}");
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_to_a_follower_is_told_who_leads_and_too_large_a_message_ends_a_stream() {
    let cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(4, TTL_MS).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let mut stream = Stream::open(&cluster, follower).await;
    stream
        .send(vec![hold(&cluster, &show_id, 5, 0).await])
        .await;
    let answers = stream.answers(1).await;
    let status = status(&answers[&5]);
    let details = status.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!(info.reason, "NOT_LEADER");
    assert_eq!(info.metadata["leader_addr"], cluster.client_addr(leader));

    let command = hold(&cluster, &show_id, 6, 1).await;
    stream.send(vec![command; COMMANDS_MAX as usize + 1]).await;
    let ended = stream.answers.message().await.expect_err("refused");
    assert_eq!(ended.code(), Code::InvalidArgument, "{ended}");
    assert_eq!(cluster.seats(&show_id).await, "AAAA");
}

/// Of a node that can decide nothing: it takes so many commands of a stream, and then reads no further,
/// so that one client can't take the places of all others.
#[tokio::test(flavor = "multi_thread")]
async fn stream_with_too_many_unanswered_commands_is_not_read_and_overloads_nobody() {
    // More than a node takes from all clients together.
    const MESSAGES: u32 = 100;
    let mut cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(COMMANDS_MAX, TTL_MS).await;
    let leader = cluster.leader().await;
    let mut stream = Stream::open(&cluster, leader).await;
    let command = hold(&cluster, &show_id, 0, 0).await;
    for node_id in cluster.ids() {
        if node_id != leader {
            cluster.kill_node(node_id);
        }
    }
    let messages = stream.messages.clone();
    let sending = tokio::spawn(async move {
        for n in 0..MESSAGES {
            let mut commands = of_each_seat(&command);
            for command in &mut commands {
                command.tag += u64::from(n * COMMANDS_MAX);
            }
            let message = pb::HoldStreamRequest { commands };
            if messages.send(message).await.is_err() {
                return;
            }
        }
    });
    // Until the leader knows that nobody follows, nothing is answered.
    let first = stream.answers(1).await;
    for answer in first.values() {
        let status = status(answer);
        let details = status.get_error_details();
        let reason = &details.error_info().expect("a reason").reason;
        assert_ne!(reason, "OVERLOADED", "{status}");
    }
    sending.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_node_stops_is_answered_before_its_stream_ends() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(COMMANDS_MAX, TTL_MS).await;
    let leader = cluster.leader().await;
    let mut stream = Stream::open(&cluster, leader).await;
    let command = hold(&cluster, &show_id, 0, 0).await;
    stream.send(of_each_seat(&command)).await;
    let answers = tokio::spawn(async move {
        let answers = stream.answers(COMMANDS_MAX as usize).await;
        // Ended, by a word or by the connection.
        let after = stream.answers.message().await;
        assert!(matches!(after, Ok(None) | Err(_)), "{after:?}");
        answers
    });
    cluster.stop_node(leader).await;
    let answers = answers.await.expect("each is answered");
    let held_there = answers
        .values()
        .filter(|answer| matches!(answer, Answer::HoldSeats(_)) && held(answer));
    let held_there = held_there.count();
    // The others were told that it leads no more.
    let seats = cluster.seats(&show_id).await;
    assert_eq!(seats.matches('H').count(), held_there, "{seats}");
}

/// Reads of one client that it never takes the answers of.
const UNREAD: u64 = 4_096;

#[tokio::test(flavor = "multi_thread")]
async fn client_that_does_not_read_its_answers_takes_no_place_of_other_readers() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show_id = cluster.open_show(4, TTL_MS).await;
    let held = cluster.hold(&show_id, &[0]).await;
    let wanted = pb::GetHoldRequest {
        show_id: show_id.clone(),
        hold_id: held.hold.hold_id.clone(),
        holder: held.holder.clone(),
        ..Default::default()
    };
    let channel = tonic::transport::Endpoint::from_shared(cluster.client_addr(1).to_owned())
        .expect("an address")
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .connect()
        .await
        .expect("connects");
    let (messages, outgoing) = mpsc::channel(1);
    let _unread = LockStoreServiceClient::new(channel)
        .hold_stream(ReceiverStream::new(outgoing))
        .await
        .expect("opens");
    for tag in 0..UNREAD {
        let command = pb::StreamedCommand {
            tag,
            wait_ms: 60_000,
            command: Some(Command::GetHold(wanted.clone())),
            ..Default::default()
        };
        let commands = vec![command];
        let sent = messages.send(pb::HoldStreamRequest { commands }).await;
        sent.expect("the stream is open");
    }
    // Once those before have got as far as they do, others are served.
    cluster
        .until("others read", || async {
            for _ in 0..10 {
                let answer = cluster.client(1).get_hold(wanted.clone()).await;
                answer.ok()?;
            }
            Some(())
        })
        .await;
}
