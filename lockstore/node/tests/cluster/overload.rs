//! Nodes whose clients ask for more than they can do.

use std::time::Duration;

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use pb::hold_seats_request::Choice;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Cluster, new_id};

const TTL_MS: u64 = 600_000;
/// Followers stand three to four of these after a leader's last word.
const ELECTION_MS: u64 = 1_500;
/// Longer than that.
const STALL: Duration = Duration::from_millis(6 * ELECTION_MS);
const STREAMS: u64 = 4;
/// Commands of one stream, and of one message.
const COMMANDS: u64 = 4_096;
const MESSAGE: u64 = 512;
/// Choices of one stream: twice what one entry takes.
const CHOICES: u64 = 128;
/// Seats that one hold may ask for.
const SEATS_PER_HOLD_MAX: u32 = 64;
/// A hall made to be hard to choose in: as many pairs of section and price category as may be, each with
/// one seat that nobody sits beside.
const HALL_SECTIONS: u32 = 64;
const HALL_CATEGORIES: u32 = 32;
const HALL_SEATS: u32 = HALL_SECTIONS * HALL_CATEGORIES;

/// What each command of a flood asks for.
#[derive(Clone, Copy)]
enum Asked {
    /// The same seat as all others.
    Seat,
    /// As many of the best as may be asked for, wherever they are.
    Choice,
}

impl Asked {
    fn of(self, show_id: &Bytes) -> pb::HoldSeatsRequest {
        let (seat_nos, choice) = match self {
            Self::Seat => (vec![0], None),
            Self::Choice => {
                let best = pb::BestAvailable {
                    count: SEATS_PER_HOLD_MAX,
                    section_nos: (0..HALL_SECTIONS).collect(),
                    ..Default::default()
                };
                (Vec::new(), Some(Choice::BestAvailable(best)))
            }
        };
        pb::HoldSeatsRequest {
            show_id: show_id.clone(),
            holder: new_id(),
            seat_nos,
            choice,
            ..Default::default()
        }
    }
}

/// So many commands on one stream: how many of them were judged, and how many refused before.
async fn flood(
    cluster: &Cluster,
    node_id: u64,
    show_id: &Bytes,
    asked: Asked,
    count: u64,
) -> (u64, u64) {
    let (messages, outgoing) = mpsc::channel(1);
    let not_after_ms = cluster.now().await + 50_000;
    let opened = cluster
        .client(node_id)
        .hold_stream(ReceiverStream::new(outgoing))
        .await;
    let mut answers = opened.expect("any node takes streams").into_inner();
    let command = |tag| pb::StreamedCommand {
        tag,
        wait_ms: 45_000,
        command: Some(pb::streamed_command::Command::HoldSeats(
            pb::HoldSeatsRequest {
                request: Some(pb::RequestInfo {
                    id: new_id(),
                    not_after_ms,
                }),
                ..asked.of(show_id)
            },
        )),
        ..Default::default()
    };
    let sending = async {
        for first in (0..count).step_by(MESSAGE as usize) {
            let commands = (first..count.min(first + MESSAGE)).map(command).collect();
            let message = pb::HoldStreamRequest { commands };
            messages.send(message).await.expect("it is open");
        }
    };
    let reading = async {
        let (mut judged, mut refused) = (0, 0);
        while judged + refused < count {
            let message = answers.message().await.expect("it stays open");
            for answer in message.expect("it stays open").answers {
                match answer.answer.expect("an answer") {
                    pb::streamed_answer::Answer::Failure(_) => refused += 1,
                    _ => judged += 1,
                }
            }
        }
        (judged, refused)
    };
    let ((), counts) = tokio::join!(sending, reading);
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_whose_clients_keep_it_busy_leads_on() {
    let cluster = Cluster::start(|config| config.election_timeout_ms_min = ELECTION_MS).await;
    let show = cluster.open_show(4, TTL_MS).await;
    let status = cluster.agrees().await;
    let leader = status.node_id;
    // What is read, decided and answered for clients waits; what is sent to followers doesn't.
    let stalled = cluster.stall(leader);
    tokio::time::sleep(STALL).await;
    drop(stalled);
    let flood = || flood(&cluster, leader, &show, Asked::Seat, COMMANDS);
    let floods = (0..STREAMS).map(|_| flood());
    let counts = futures::future::join_all(floods).await;
    let judged: u64 = counts.iter().map(|(judged, _)| judged).sum();
    assert!(judged > 0, "{counts:?}");
    let after = cluster.agrees().await;
    assert_eq!((after.node_id, after.term), (leader, status.term));
    assert_eq!(cluster.seats(&show).await, "HAAA");
}

/// Opens it and says its id.
async fn open_hall(cluster: &Cluster) -> Bytes {
    let show_id = new_id();
    let seat = |n: u32| pb::LayoutSeat {
        row_no: n,
        rank: n,
        section_no: n / HALL_CATEGORIES,
        category_no: n % HALL_CATEGORIES,
        ..Default::default()
    };
    let request = pb::OpenShowRequest {
        request: Some(pb::RequestInfo {
            id: new_id(),
            not_after_ms: cluster.now().await + 50_000,
        }),
        show_id: show_id.clone(),
        seat_count: HALL_SEATS,
        rules: Some(pb::ShowRules {
            hold_ttl_ms: TTL_MS,
            hold_total_ms_max: TTL_MS,
            seats_per_customer_max: SEATS_PER_HOLD_MAX,
            no_lone_seat: true,
        }),
        seats: (0..HALL_SEATS).map(seat).collect(),
        on_sale: true,
        ..Default::default()
    };
    let ask = |mut client: crate::support::Client| {
        let request = request.clone();
        async move { client.open_show(request).await }
    };
    let outcome = cluster.ask(ask).await.outcome;
    assert!(
        matches!(outcome, Some(pb::open_show_response::Outcome::Opened(_))),
        "{outcome:?}"
    );
    show_id
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_whose_clients_ask_for_choices_leads_on() {
    let cluster = Cluster::start(|config| config.election_timeout_ms_min = ELECTION_MS).await;
    let hall = open_hall(&cluster).await;
    let show = cluster.open_show(4, TTL_MS).await;
    let status = cluster.agrees().await;
    let leader = status.node_id;
    let choices = (0..STREAMS).map(|_| flood(&cluster, leader, &hall, Asked::Choice, CHOICES));
    let choices = futures::future::join_all(choices);
    let cheap = flood(&cluster, leader, &show, Asked::Seat, COMMANDS);
    let (choices, cheap) = tokio::join!(choices, cheap);
    let judged: u64 = choices.iter().map(|(judged, _)| judged).sum();
    assert!(judged > 0 && cheap.0 > 0, "{choices:?}, {cheap:?}");
    let after = cluster.agrees().await;
    assert_eq!((after.node_id, after.term), (leader, status.term));
    assert_eq!(cluster.seats(&show).await, "HAAA");
    let held = cluster.seats(&hall).await.matches('H').count();
    let most = u64::from(HALL_SEATS.min(SEATS_PER_HOLD_MAX * u32::try_from(judged).expect("few")));
    assert_eq!(held as u64, most);
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_whose_clients_keep_them_busy_still_make_a_majority() {
    let cluster = Cluster::start(|_| {}).await;
    let show = cluster.open_show(4, TTL_MS).await;
    let status = cluster.agrees().await;
    let others = cluster.ids().into_iter().filter(|id| *id != status.node_id);
    let not_after_ms = cluster.now().await + 50_000;
    let stalled: Vec<_> = others.map(|node_id| cluster.stall(node_id)).collect();
    let mut request = tonic::Request::new(pb::HoldSeatsRequest {
        request: Some(pb::RequestInfo {
            id: new_id(),
            not_after_ms,
        }),
        show_id: show.clone(),
        holder: new_id(),
        seat_nos: vec![0],
        ..Default::default()
    });
    request.set_timeout(Duration::from_secs(20));
    let answer = cluster.client(status.node_id).hold_seats(request).await;
    let outcome = answer.expect("decided").into_inner().outcome;
    assert!(
        matches!(outcome, Some(pb::hold_seats_response::Outcome::Held(_))),
        "{outcome:?}"
    );
    drop(stalled);
    cluster.agrees().await;
}
