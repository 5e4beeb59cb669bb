//! Seats as they change: the WebSocket, and availability from memory.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{SinkExt, StreamExt};
use holdfast_mesh::Failure;
use holdfast_proto::{booking::v1 as booking, catalog::v1 as catalog};
use holdfast_types::{ErrorCode, Lineage, Revision, ShowId};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, protocol::CloseFrame},
};

use crate::{
    catalogue,
    setup::{Answer, Gateway, send},
    store::at,
};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn show() -> ShowId {
    ShowId::from_bytes([9; 16])
}

fn live(query: &str) -> String {
    format!("/api/v1/shows/{}/live{query}", show())
}

fn availability(query: &str) -> String {
    format!("/api/v1/shows/{}/availability{query}", show())
}

struct Viewer(WebSocketStream<TcpStream>);

impl Viewer {
    async fn open(gateway: &Gateway, path: &str) -> Self {
        let viewer = Self::try_open(gateway, path, None).await;
        viewer.unwrap_or_else(|answer| panic!("{}", answer.text()))
    }

    /// With a receive buffer of that many bytes; the answer, if it isn't let in.
    async fn try_open(gateway: &Gateway, path: &str, buffer: Option<u32>) -> Result<Self, Answer> {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(gateway.address).await.unwrap();
        let url = format!("ws://{}{path}", gateway.address);
        match client_async(url, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                let headers = parts.headers.iter();
                let headers = headers.map(|(name, value)| (name.clone(), value.clone()));
                Err(Answer {
                    status: parts.status.as_u16(),
                    headers: headers.collect::<HeaderMap>(),
                    bytes: body.unwrap_or_default(),
                })
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message that is no bookmark; why it was closed, if it was.
    async fn next(&mut self) -> Result<Value, CloseFrame> {
        let waiting = async {
            loop {
                let message = self.next_of_all().await?;
                if message["type"] != "bookmark" {
                    return Ok(message);
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap()
    }

    /// The same, bookmarks too.
    async fn next_of_all(&mut self) -> Result<Value, CloseFrame> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await;
            match message.unwrap().unwrap().unwrap() {
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => return Err(frame.unwrap()),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A gateway whose catalogue has announced every show.
async fn start() -> Gateway {
    let gateway = Gateway::start().await;
    let announced = |_: catalog::GetShowRequest| {
        let show = Some(catalogue::show());
        Ok(catalog::GetShowResponse { show })
    };
    gateway.backend.on("get_show", announced);
    gateway
}

/// The gateway with a show of `seats` seats that is followed and known at log index 5.
async fn followed(seats: usize) -> Gateway {
    let gateway = start().await;
    gateway.store.open(5, seats);
    // Whoever looks makes it followed.
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    assert_eq!(viewer.next().await.unwrap()["type"], "snapshot");
    gateway
}

fn seat_map(seats: u32) -> catalog::GetSeatMapResponse {
    let seat = |seat_no| catalog::Seat {
        seat_no,
        label: format!("A-{seat_no}"),
        section: if seat_no % 2 == 0 { "EVEN" } else { "ODD" }.to_owned(),
        ..catalog::Seat::default()
    };
    catalog::GetSeatMapResponse {
        show_id: show().to_bytes().to_vec(),
        currency: "EUR".to_owned(),
        seats: (0..seats).map(seat).collect(),
        ..catalog::GetSeatMapResponse::default()
    }
}

/// What the store says by way of booking-svc: one seat, sold, at log index `index`.
fn read_of_the_store(gateway: &Gateway, index: u64) {
    let answer = move |request: booking::GetAvailabilityRequest| {
        Ok(booking::GetAvailabilityResponse {
            show_id: request.show_id,
            revision: at(index).as_u64(),
            show_state: "ON_SALE".to_owned(),
            seats: vec![booking::SeatAvailability {
                seat_id: "A-0".to_owned(),
                state: "SOLD".to_owned(),
            }],
        })
    };
    gateway.backend.on("get_availability", answer);
}

fn asked(gateway: &Gateway) -> Vec<&'static str> {
    let seen = gateway.backend.take_seen();
    seen.iter().map(|seen| seen.method).collect()
}

fn delta(revision: u64, previous: u64, seat_no: u32, state: &str) -> Value {
    json!({
        "type": "delta",
        "revision": at(revision).to_string(),
        "previous_revision": at(previous).to_string(),
        "changes": [{"seat_no": seat_no, "state": state}],
    })
}

#[tokio::test]
async fn viewers_are_sent_what_changes_and_cost_the_store_one_watch() {
    let gateway = start().await;
    gateway.store.open(5, 6);
    let mut first = Viewer::open(&gateway, &live("")).await;
    let snapshot = json!({
        "type": "snapshot",
        "show_id": show().to_string(),
        "revision": at(5).to_string(),
        "show_state": "ON_SALE",
        "seat_count": 6,
        "bitmap": "AAA=",
    });
    assert_eq!(first.next().await.unwrap(), snapshot);
    gateway.store.hold(6, [2]);
    assert_eq!(first.next().await.unwrap(), delta(6, 5, 2, "HELD"));
    let mut second = Viewer::open(&gateway, &live("")).await;
    let begun = second.next().await.unwrap();
    assert_eq!(
        STANDARD.decode(begun["bitmap"].as_str().unwrap()).unwrap(),
        [0b01_00_00, 0]
    );
    gateway.store.free(8, [2]);
    for viewer in [&mut first, &mut second] {
        assert_eq!(viewer.next().await.unwrap(), delta(8, 6, 2, "AVAILABLE"));
    }
    assert_eq!(gateway.store.watched().len(), 1);
    assert_eq!(asked(&gateway), ["get_show"], "once, if there is one");
}

#[tokio::test]
async fn viewer_that_comes_back_misses_nothing() {
    let gateway = followed(6).await;
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    viewer.next().await.unwrap();
    for index in [6, 7, 9] {
        gateway
            .store
            .hold(index, [u32::try_from(index).unwrap() - 6]);
    }
    let first = viewer.next().await.unwrap();
    assert_eq!(
        first,
        delta(6, 5, 0, "HELD"),
        "what is first is told at once"
    );
    let since = first["revision"].as_str().unwrap().to_owned();
    drop(viewer);
    let mut back = Viewer::open(&gateway, &live(&format!("?since={since}"))).await;
    let resumed = json!({"type": "resumed", "revision": since});
    assert_eq!(back.next().await.unwrap(), resumed);
    let mut map = Map::at(6, 6);
    map.follow(&mut back, at(9)).await;
    assert_eq!(
        map.changes,
        [(1, "HELD".to_owned()), (3, "HELD".to_owned())]
    );
    // One that another gateway told more is waited for, and turned away if nothing comes; one of
    // an earlier life begins anew.
    let ahead = live(&format!("?since={}", at(12)));
    let (mut ahead, ()) = tokio::join!(Viewer::open(&gateway, &ahead), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.store.hold(12, [4]);
    });
    assert_eq!(ahead.next().await.unwrap()["type"], "resumed");
    for never in [at(13), Revision::new(Lineage(2), 1, 0)] {
        let path = live(&format!("?since={never}"));
        let refused = Viewer::try_open(&gateway, &path, None).await;
        refused.err().unwrap().error(503, "UNAVAILABLE");
    }
    let other_life = Revision::new(Lineage(0), 1, 0);
    let other_life = live(&format!("?since={other_life}"));
    let mut anew = Viewer::open(&gateway, &other_life).await;
    let anew = anew.next().await.unwrap();
    assert_eq!(
        (&anew["type"], &anew["revision"]),
        (&json!("snapshot"), &json!(at(12).to_string()))
    );
}

#[tokio::test]
async fn what_can_not_be_viewed_is_refused_before_it_is_a_websocket() {
    let gateway = start().await;
    for since in ["x", "-1", "9223372036854775808", ""] {
        let path = live(&format!("?since={since}"));
        let refused = Viewer::try_open(&gateway, &path, None).await;
        refused.err().unwrap().invalid("since");
        send(gateway.get(&path)).await.invalid("since");
    }
    send(gateway.get(&live("?form=1"))).await.invalid("form");
    send(gateway.get(&live(""))).await.invalid("Upgrade");
    send(gateway.get("/api/v1/shows/x/live"))
        .await
        .invalid("show_id");
    // The catalogue has announced it, the store doesn't have it.
    let unopened = Viewer::try_open(&gateway, &live(""), None).await;
    unopened.err().unwrap().error(409, "SHOW_NOT_ON_SALE");
}

#[tokio::test]
async fn show_that_nobody_announced_is_not_followed() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("get_show", |_: catalog::GetShowRequest| {
            let unknown = Failure::new(ErrorCode::ShowNotFound, "no such show");
            Err::<catalog::GetShowResponse, _>(unknown.into())
        });
    let unknown = Viewer::try_open(&gateway, &live(""), None).await;
    unknown.err().unwrap().error(404, "SHOW_NOT_FOUND");
    assert!(gateway.store.watched().is_empty());
}

#[tokio::test]
async fn seats_are_watched_while_the_catalogue_is_away_or_hangs() {
    type Answer = catalog::GetShowResponse;
    let gateway = Gateway::start().await;
    gateway.store.open(5, 6);
    gateway
        .backend
        .stall::<catalog::GetShowRequest, Answer>("get_show");
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    assert_eq!(viewer.next().await.unwrap()["type"], "snapshot");
    let gateway = Gateway::start().await;
    gateway.store.open(5, 6);
    gateway
        .backend
        .on("get_show", |_: catalog::GetShowRequest| {
            let away = Failure::new(ErrorCode::Unavailable, "the catalogue is away");
            Err::<Answer, _>(away.into())
        });
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    assert_eq!(viewer.next().await.unwrap()["type"], "snapshot");
}

#[tokio::test]
async fn show_that_is_not_known_now_is_not_called_missing() {
    let gateway = start().await;
    gateway.store.be_quiet();
    let unknown = Viewer::try_open(&gateway, &live(""), None).await;
    unknown.err().unwrap().error(503, "UNAVAILABLE");
    // Nor is it shown before a node says that it is as new as that.
    let gateway = start().await;
    gateway.store.be_quiet();
    gateway.store.open(5, 6);
    let unconfirmed = Viewer::try_open(&gateway, &live(""), None).await;
    unconfirmed.err().unwrap().error(503, "UNAVAILABLE");
}

#[tokio::test]
async fn viewers_are_told_to_come_back_when_the_gateway_stops() {
    let gateway = followed(6).await;
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    viewer.next().await.unwrap();
    gateway.store.hold(6, [0]);
    viewer.next().await.unwrap();
    gateway.shutdown();
    let close = viewer.next().await.unwrap_err();
    let since = close.reason.rsplit_once("since=").unwrap().1;
    assert_eq!(u16::from(close.code), 1001);
    assert!(since.parse::<Revision>().unwrap() >= at(6), "{close:?}");
}

#[tokio::test]
async fn viewer_that_has_something_to_say_is_closed() {
    let gateway = followed(6).await;
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    viewer.next().await.unwrap();
    viewer.0.send(Message::text("hello")).await.unwrap();
    assert_eq!(u16::from(viewer.next().await.unwrap_err().code), 1008);
}

/// What a viewer makes of what it is sent.
struct Map {
    states: Vec<String>,
    at: Revision,
    messages: u32,
    /// One by one, as they came.
    changes: Vec<(usize, String)>,
}

impl Map {
    /// Free seats as of a log index.
    fn at(index: u64, seats: usize) -> Self {
        Self {
            states: vec!["AVAILABLE".to_owned(); seats],
            at: at(index),
            messages: 0,
            changes: Vec::new(),
        }
    }

    /// Takes deltas, each of which follows on what came before, until all up to `end` is known.
    async fn follow(&mut self, viewer: &mut Viewer, end: Revision) {
        while self.at < end {
            let message = viewer.next_of_all().await.expect("it isn't closed");
            if message["type"] == "bookmark" {
                assert!(self.at <= revision(&message), "{message}");
                self.at = revision(&message);
                continue;
            }
            assert_eq!(message["type"], "delta", "{message}");
            let previous = message["previous_revision"].as_str().unwrap();
            let previous: Revision = previous.parse().unwrap();
            let revision = revision(&message);
            assert!(previous <= self.at && self.at < revision, "{message}");
            for change in message["changes"].as_array().unwrap() {
                let seat = usize::try_from(change["seat_no"].as_u64().unwrap()).unwrap();
                let state = change["state"].as_str().unwrap().to_owned();
                self.states[seat].clone_from(&state);
                self.changes.push((seat, state));
            }
            self.at = revision;
            self.messages += 1;
        }
    }
}

/// The changes of a rush: large ones at first, then many small ones, as fast as they are made; the
/// map that they end with.
async fn rush(gateway: &Gateway) -> (Revision, Vec<&'static str>) {
    const LARGE: u64 = 120;
    const SMALL: u64 = 600;
    let mut states = vec!["AVAILABLE"; RUSH_SEATS as usize];
    for index in 6..6 + LARGE + SMALL {
        let seats = if index < 6 + LARGE {
            0..RUSH_SEATS
        } else {
            let seat = u32::try_from(index).unwrap() % 7;
            seat..seat + 1
        };
        let range = seats.start as usize..seats.end as usize;
        if states[range.start] == "HELD" {
            gateway.store.free(index, seats);
            states[range].fill("AVAILABLE");
        } else {
            gateway.store.hold(index, seats);
            states[range].fill("HELD");
        }
        // Thousands a second, and more than one burst.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (at(5 + LARGE + SMALL), states)
}

/// Large changes are of so many seats.
const RUSH_SEATS: u32 = 2_000;

#[tokio::test]
async fn viewer_in_a_rush_is_sent_four_messages_a_second_and_ends_with_the_right_map() {
    /// What the route promises.
    const GATHER_MS: u128 = 250;
    const BOOKMARK_MS: u128 = 1_000;
    let gateway = followed(RUSH_SEATS as usize).await;
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    viewer.next().await.unwrap();
    let begun = Instant::now();
    let (end, states) = rush(&gateway).await;
    let mut map = Map::at(5, RUSH_SEATS as usize);
    map.follow(&mut viewer, end).await;
    let took_ms = begun.elapsed().as_millis();
    assert_eq!(map.states, states);
    // The first comes at once, and what is gathered goes before a bookmark.
    let most = 1 + took_ms / GATHER_MS + 1 + took_ms / BOOKMARK_MS;
    assert!(
        u128::from(map.messages) <= most,
        "{} messages in {took_ms} ms",
        map.messages
    );
}

#[tokio::test]
async fn viewer_that_reads_nothing_during_a_rush_is_sent_all_of_it_afterwards() {
    let gateway = followed(RUSH_SEATS as usize).await;
    // What its line holds is little, and one message a change would fill it and the queue.
    let mut slow = Viewer::try_open(&gateway, &live(""), Some(4_096))
        .await
        .ok()
        .unwrap();
    let (end, states) = rush(&gateway).await;
    assert_eq!(slow.next().await.unwrap()["type"], "snapshot");
    let mut map = Map::at(5, RUSH_SEATS as usize);
    map.follow(&mut slow, end).await;
    assert_eq!(map.states, states);
}

fn revision(message: &Value) -> Revision {
    message["revision"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn first_look_reads_the_store_and_the_next_one_memory() {
    let gateway = start().await;
    gateway.store.open(5, 5);
    read_of_the_store(&gateway, 5);
    gateway
        .backend
        .on("get_seat_map", |_: catalog::GetSeatMapRequest| {
            Ok(seat_map(5))
        });
    let first = send(gateway.get(&availability("?format=bitmap"))).await;
    let of_the_store = json!({
        "show_id": show().to_string(),
        "revision": at(5).to_string(),
        "show_state": "ON_SALE",
        "seat_count": 1,
        "bitmap": "Ag==",
    });
    assert_eq!(first.json(), of_the_store);
    assert_eq!(first.header("cache-control"), Some("no-store"));
    from_memory(&gateway).await;
    let mut viewer = Viewer::open(&gateway, &live("")).await;
    viewer.next().await.unwrap();
    asked(&gateway);

    gateway.store.hold(7, [1, 2]);
    assert_eq!(revision(&viewer.next().await.unwrap()), at(7));
    let now = format!("min_revision={}", at(7));
    let whole = send(gateway.get(&availability(&format!("?{now}")))).await;
    let seats = json!([
        {"seat_id": "A-0", "state": "AVAILABLE"},
        {"seat_id": "A-1", "state": "HELD"},
        {"seat_id": "A-2", "state": "HELD"},
        {"seat_id": "A-3", "state": "AVAILABLE"},
        {"seat_id": "A-4", "state": "AVAILABLE"},
    ]);
    assert_eq!(whole.json()["seats"], seats);
    assert_eq!(whole.json()["revision"], json!(at(7).to_string()));
    assert_eq!(whole.header("cache-control"), Some("no-store"));
    let odd = send(gateway.get(&availability(&format!("?section=ODD&{now}")))).await;
    let seats = json!([
        {"seat_id": "A-1", "state": "HELD"},
        {"seat_id": "A-3", "state": "AVAILABLE"},
    ]);
    assert_eq!(odd.json()["seats"], seats);
    let query = format!("?section=ODD&format=bitmap&{now}");
    let packed = send(gateway.get(&availability(&query))).await.json();
    assert_eq!(
        (&packed["seat_count"], &packed["bitmap"]),
        (&json!(2), &json!("AQ=="))
    );
    let packed = send(gateway.get(&availability(&format!("?format=bitmap&{now}"))))
        .await
        .json();
    assert_eq!(
        (&packed["seat_count"], &packed["bitmap"]),
        (&json!(5), &json!("FAA="))
    );
    assert_eq!(asked(&gateway), ["get_seat_map"], "once, for the labels");
}

#[tokio::test]
async fn free_seats_are_told_the_same_before_the_routes_and_by_them() {
    let gateway = followed(5).await;
    gateway
        .backend
        .on("get_seat_map", |_: catalog::GetSeatMapRequest| {
            Ok(seat_map(5))
        });
    for query in ["", "?format=bitmap", "?format=list"] {
        for coding in ["gzip", "identity"] {
            let ask = || {
                let path = availability(query);
                gateway.get(&path).header("accept-encoding", coding)
            };
            assert_eq!(send(ask()).await.status, 200);
            catalogue::check_before_the_routes(ask).await;
        }
    }
}

/// Waits until the show is known in memory.
async fn from_memory(gateway: &Gateway) {
    let looking = async {
        loop {
            asked(gateway);
            send(gateway.get(&availability("?format=bitmap"))).await;
            if asked(gateway).is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap();
}

#[tokio::test]
async fn own_hold_is_seen_by_its_revision_wherever_it_is_known_first() {
    let gateway = followed(5).await;
    from_memory(&gateway).await;
    // Memory is a moment behind.
    let path = availability(&format!("?format=bitmap&min_revision={}", at(9)));
    let (answer, ()) = tokio::join!(send(gateway.get(&path)), async {
        gateway.store.hold(9, [0]);
    });
    assert_eq!(answer.json()["bitmap"], "AQA=");
    assert!(asked(&gateway).is_empty());
    // It stays behind: the store is read.
    read_of_the_store(&gateway, 20);
    let path = availability(&format!("?min_revision={}", at(20)));
    assert_eq!(
        send(gateway.get(&path)).await.json()["revision"],
        at(20).to_string()
    );
    // What hasn't happened, or not in this life, is nobody's.
    for never in [
        at(21),
        Revision::new(Lineage(2), 1, 0),
        Revision::new(Lineage(0), 1, 0),
    ] {
        let path = availability(&format!("?min_revision={never}"));
        send(gateway.get(&path)).await.invalid("min_revision");
    }
    send(gateway.get(&availability("?min_revision=1.5")))
        .await
        .invalid("min_revision");
    send(gateway.get(&availability("?format=csv")))
        .await
        .invalid("format");
}

#[tokio::test]
async fn memory_that_nobody_confirms_is_not_shown() {
    let gateway = followed(5).await;
    from_memory(&gateway).await;
    gateway.store.be_quiet();
    read_of_the_store(&gateway, 6);
    let looking = async {
        while send(gateway.get(&availability("?format=bitmap")))
            .await
            .json()["seat_count"]
            != 1
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .expect("the store is read");
}

#[tokio::test]
async fn list_is_answered_while_the_catalogue_hangs() {
    let gateway = followed(5).await;
    from_memory(&gateway).await;
    type Map = catalog::GetSeatMapResponse;
    gateway
        .backend
        .stall::<catalog::GetSeatMapRequest, Map>("get_seat_map");
    read_of_the_store(&gateway, 6);
    let list = send(gateway.get(&availability(""))).await;
    let seats = json!([{"seat_id": "A-0", "state": "SOLD"}]);
    assert_eq!(list.json()["seats"], seats);
}

#[tokio::test]
async fn announced_show_has_no_seats_and_is_called_not_on_sale() {
    let gateway = start().await;
    let unknown = |_: booking::GetAvailabilityRequest| {
        let unknown = Failure::new(ErrorCode::ShowNotFound, "no such show");
        Err::<booking::GetAvailabilityResponse, _>(unknown.into())
    };
    gateway.backend.on("get_availability", unknown);
    for query in ["", "?format=bitmap"] {
        let answer = send(gateway.get(&availability(query))).await;
        answer.error(409, "SHOW_NOT_ON_SALE");
    }
    // One that nobody announced isn't there, and one that can't be looked up is as booking-svc says.
    for code in [ErrorCode::ShowNotFound, ErrorCode::Unavailable] {
        let gateway = Gateway::start().await;
        gateway.backend.on("get_availability", unknown);
        gateway
            .backend
            .on("get_show", move |_: catalog::GetShowRequest| {
                let failure = Failure::new(code, "not now");
                Err::<catalog::GetShowResponse, _>(failure.into())
            });
        let answer = send(gateway.get(&availability(""))).await;
        answer.error(404, "SHOW_NOT_FOUND");
    }
}
