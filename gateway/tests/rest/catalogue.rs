//! Events, shows and seat maps: shapes, times, filters, entity tags.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use futures::future::join_all;
use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{ErrorCode, EventId, PlanId, ShowId, VenueId};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::setup::{Answer, Gateway, cursor, send, token};

/// How long a page may be given out after it was asked for.
const KEPT: Duration = Duration::from_secs(1);
const CACHED: &str = "public, max-age=5, stale-while-revalidate=30";

fn show_id() -> ShowId {
    ShowId::from_bytes([7; 16])
}

fn event() -> pb::Event {
    pb::Event {
        event_id: EventId::from_bytes([1; 16]).to_bytes().to_vec(),
        title: "Concert".to_owned(),
        description: "Loud".to_owned(),
        category: "music".to_owned(),
        classification: Some(pb::Classification {
            segment: "Music".to_owned(),
            genre: "Rock".to_owned(),
            sub_genre: String::new(),
        }),
        performers: vec![pb::Performer {
            performer_id: [4; 16].to_vec(),
            name: "The Band".to_owned(),
            ..pb::Performer::default()
        }],
        version: "e-1".to_owned(),
        image_url: "https://images.example/1.jpg".to_owned(),
        category_path: vec!["music".to_owned()],
    }
}

pub(crate) fn show() -> pb::Show {
    pb::Show {
        show_id: show_id().to_bytes().to_vec(),
        event: Some(event()),
        venue: Some(pb::Venue {
            venue_id: VenueId::from_bytes([2; 16]).to_bytes().to_vec(),
            name: "Stadium".to_owned(),
            address: "Road 1".to_owned(),
            city: "Berlin".to_owned(),
            country: "DE".to_owned(),
            latitude: 52.5,
            longitude: 13.25,
            time_zone: "Europe/Berlin".to_owned(),
            postal_code: "14053".to_owned(),
            region: String::new(),
            version: "v-1".to_owned(),
        }),
        plan_id: PlanId::from_bytes([3; 16]).to_bytes().to_vec(),
        starts_at_ms: 1_784_138_400_000,
        state: "ON_SALE".to_owned(),
        currency: "EUR".to_owned(),
        prices: vec![pb::Price {
            category: "Stalls".to_owned(),
            amount: 5_500,
            ..pb::Price::default()
        }],
        rules: Some(pb::ShowRules {
            hold_ttl_ms: 600_000,
            hold_total_ms_max: 1_800_000,
            seats_per_customer_max: 10,
            ..pb::ShowRules::default()
        }),
        seat_count: 738,
        fees: vec![pb::Fee {
            name: "Order fee".to_owned(),
            amount: 99,
            per_ticket: false,
        }],
        price_version: 1,
        sale_starts_at_ms: Some(1_768_500_000_000),
        price_range: Some(pb::PriceRange {
            min: 5_500,
            max: 5_500,
        }),
        ..Default::default()
    }
}

fn event_json() -> Value {
    json!({
        "event_id": EventId::from_bytes([1; 16]).to_string(),
        "title": "Concert",
        "description": "Loud",
        "category": "music",
        "category_path": ["music"],
        "classification": {"segment": "Music", "genre": "Rock", "sub_genre": null},
        "performers": [{"performer_id": EventId::from_bytes([4; 16]).to_string(), "name": "The Band"}],
        "image_url": "https://images.example/1.jpg",
    })
}

fn show_json() -> Value {
    json!({
        "show_id": show_id().to_string(),
        "event": event_json(),
        "venue": {
            "venue_id": VenueId::from_bytes([2; 16]).to_string(),
            "name": "Stadium",
            "address": "Road 1",
            "city": "Berlin",
            "postal_code": "14053",
            "region": null,
            "country": "DE",
            "latitude": 52.5,
            "longitude": 13.25,
            "time_zone": "Europe/Berlin",
        },
        "starts_at": "2026-07-15T20:00:00+02:00",
        "time_zone": "Europe/Berlin",
        "time_to_be_announced": false,
        "sale_starts_at": "2026-01-15T19:00:00+01:00",
        "sale_ends_at": null,
        "price_range": {
            "min": {"amount": 5_500, "currency": "EUR"},
            "max": {"amount": 5_500, "currency": "EUR"},
        },
        "state": "ON_SALE",
        "currency": "EUR",
        "prices": [{"category": "Stalls", "price": {"amount": 5_500, "currency": "EUR"}}],
        "fees": [{"name": "Order fee", "per": "booking", "amount": 99, "currency": "EUR"}],
        "rules": {"hold_ttl_s": 600, "hold_total_s_max": 1_800, "seats_per_customer_max": 10, "late_money": "rebook", "no_lone_seat": false},
        "seat_count": 738,
    })
}

#[tokio::test]
async fn a_show_starts_in_its_venues_time() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_show", |_: pb::GetShowRequest| {
        Ok(pb::GetShowResponse { show: Some(show()) })
    });
    let answer = send(gateway.get(&format!("/api/v1/shows/{}", show_id()))).await;
    assert_eq!((answer.status, answer.json()), (200, show_json()));
    assert_eq!(answer.header("cache-control"), Some(CACHED));
    assert_eq!(
        gateway.backend.take_seen()[0]
            .message::<pb::GetShowRequest>()
            .show_id,
        show_id().to_bytes()
    );
}

#[tokio::test]
async fn a_page_that_the_client_has_is_304_until_it_changes() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_show", |_: pb::GetShowRequest| {
        Ok(pb::GetShowResponse { show: Some(show()) })
    });
    let path = format!("/api/v1/shows/{}", show_id());
    let tag = send(gateway.get(&path))
        .await
        .header("etag")
        .unwrap()
        .to_owned();

    let answer = send(gateway.get(&path).header("if-none-match", &tag)).await;
    assert_eq!((answer.status, answer.bytes.len()), (304, 0));
    assert_eq!(
        (answer.header("etag"), answer.header("cache-control")),
        (Some(tag.as_str()), Some(CACHED))
    );

    gateway.backend.on("get_show", |_: pb::GetShowRequest| {
        Ok(pb::GetShowResponse {
            show: Some(pb::Show {
                state: "PAUSED".to_owned(),
                ..show()
            }),
        })
    });
    tokio::time::sleep(KEPT).await;
    let answer = send(gateway.get(&path).header("if-none-match", &tag)).await;
    assert_eq!(
        (answer.status, &answer.json()["state"]),
        (200, &json!("PAUSED"))
    );
    assert_ne!(answer.header("etag"), Some(tag.as_str()));
}

#[tokio::test]
async fn public_pages_never_depend_on_who_asks() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_show", |_: pb::GetShowRequest| {
        Ok(pb::GetShowResponse { show: Some(show()) })
    });
    let path = format!("/api/v1/shows/{}", show_id());
    for request in [
        gateway.get(&path).bearer_auth(token()),
        gateway.get(&path).bearer_auth("forged"),
    ] {
        assert_eq!(send(request).await.status, 200);
    }
    assert!(
        gateway
            .backend
            .take_seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}

#[tokio::test]
async fn shows_are_filtered_and_come_in_pages() {
    let gateway = Gateway::start().await;
    gateway.backend.on("list_shows", |_: pb::ListShowsRequest| {
        Ok(pb::ListShowsResponse {
            shows: vec![show()],
            next_cursor: "c2".to_owned(),
        })
    });
    let at = |at| cursor("/api/v1/shows", at);
    let query = "category=music&city=Berlin&from=2026-07-15T20:00:00%2B02:00&to=2026-07-16T00:00:00Z&limit=5";
    let path = format!("/api/v1/shows?{query}&cursor={}", at("c1"));
    let answer = send(gateway.get(&path)).await;
    assert_eq!(
        answer.json(),
        json!({"items": [show_json()], "next_cursor": at("c2")})
    );
    assert_eq!(answer.header("cache-control"), Some(CACHED));
    send(gateway.get("/api/v1/shows")).await;
    send(gateway.get("/api/v1/shows?from=1970-01-01T00:00:00Z")).await;

    let seen = gateway.backend.take_seen();
    let expected = pb::ListShowsRequest {
        category: "music".to_owned(),
        city: "Berlin".to_owned(),
        from_ms: Some(1_784_138_400_000),
        to_ms: Some(1_784_160_000_000),
        limit: 5,
        cursor: "c1".to_owned(),
    };
    assert_eq!(*seen[0].message::<pb::ListShowsRequest>(), expected);
    assert_eq!(
        *seen[1].message::<pb::ListShowsRequest>(),
        pb::ListShowsRequest::default()
    );
    let since_1970 = pb::ListShowsRequest {
        from_ms: Some(0),
        ..pb::ListShowsRequest::default()
    };
    assert_eq!(*seen[2].message::<pb::ListShowsRequest>(), since_1970);
}

#[tokio::test]
async fn an_event_comes_with_its_shows_and_events_in_pages() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_event", |_: pb::GetEventRequest| {
        Ok(pb::GetEventResponse {
            event: Some(event()),
            shows: vec![show()],
        })
    });
    gateway
        .backend
        .on("list_events", |_: pb::ListEventsRequest| {
            Ok(pb::ListEventsResponse {
                events: vec![event()],
                next_cursor: String::new(),
            })
        });
    let mut expected = event_json();
    expected["shows"] = json!([show_json()]);
    let answer =
        send(gateway.get(&format!("/api/v1/events/{}", EventId::from_bytes([1; 16])))).await;
    assert_eq!((answer.status, answer.json()), (200, expected));
    let answer = send(gateway.get("/api/v1/events?limit=2")).await;
    assert_eq!(
        answer.json(),
        json!({"items": [event_json()], "next_cursor": null})
    );
}

fn large_map(seats: u32) -> pb::GetSeatMapResponse {
    let seat = |seat_no: u32| pb::Seat {
        seat_no,
        label: format!("GROUND-3-A-{seat_no}"),
        section: "GROUND-3".to_owned(),
        row: "A".to_owned(),
        number: seat_no.to_string(),
        x: 1.5,
        y: 2.0,
        category: "Stalls".to_owned(),
        price: (seat_no == 1).then_some(9_000),
        kind: String::new(),
    };
    pb::GetSeatMapResponse {
        show_id: show_id().to_bytes().to_vec(),
        currency: "EUR".to_owned(),
        width: 100.0,
        height: 50.0,
        categories: vec![pb::Category {
            name: "Stalls".to_owned(),
            color: "#F44336".to_owned(),
            price: 5_500,
        }],
        seats: (0..seats).map(seat).collect(),
        areas: Vec::new(),
    }
}

/// A gateway before a catalogue with the show as of a version of its prices, and a map of `seats`.
async fn with_map(seats: u32) -> Gateway {
    let gateway = Gateway::start().await;
    priced(&gateway, 1);
    gateway
        .backend
        .on("get_seat_map", move |_: pb::GetSeatMapRequest| {
            Ok(large_map(seats))
        });
    gateway
}

fn priced(gateway: &Gateway, price_version: u32) {
    gateway
        .backend
        .on("get_show", move |_: pb::GetShowRequest| {
            let show = pb::Show {
                price_version,
                ..show()
            };
            Ok(pb::GetShowResponse { show: Some(show) })
        });
}

fn map_path() -> String {
    format!("/api/v1/shows/{}/seatmap", show_id())
}

/// How often the catalogue was asked what since this was asked last.
fn asked(gateway: &Gateway, method: &str) -> usize {
    let seen = gateway.backend.take_seen();
    seen.iter().filter(|seen| seen.method == method).count()
}

#[tokio::test]
async fn many_who_ask_at_once_cost_the_catalogue_one_question() {
    const MANY: usize = 64;
    let gateway = with_map(738).await;
    let maps = join_all((0..MANY).map(|_| send(gateway.get(&map_path())))).await;
    assert!(maps.iter().all(|map| map.bytes == maps[0].bytes));
    assert_eq!(asked(&gateway, "get_seat_map"), 1);

    // What changes within a second is asked for as often.
    gateway.backend.on("get_event", |_: pb::GetEventRequest| {
        Ok(pb::GetEventResponse {
            event: Some(event()),
            shows: vec![show()],
        })
    });
    for (path, method) in [
        (format!("/api/v1/shows/{}", show_id()), "get_show"),
        (
            format!("/api/v1/events/{}", EventId::from_bytes([1; 16])),
            "get_event",
        ),
    ] {
        let begun = Instant::now();
        let pages = join_all((0..MANY).map(|_| send(gateway.get(&path)))).await;
        let most = 1 + begun.elapsed().as_secs() / KEPT.as_secs();
        assert!(pages.iter().all(|page| page.status == 200));
        assert!(asked(&gateway, method) as u64 <= most, "{path}");
    }
}

#[tokio::test]
async fn a_seat_map_is_kept_until_its_show_has_another_version() {
    let gateway = with_map(2).await;
    let first = send(gateway.get(&map_path())).await;
    let tag = first.header("etag").unwrap().to_owned();
    tokio::time::sleep(KEPT).await;
    let known = send(gateway.get(&map_path()).header("if-none-match", &tag)).await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    let headers = ["etag", "cache-control"].map(|name| known.header(name));
    assert_eq!(headers, [Some(tag.as_str()), Some(CACHED)]);
    assert_eq!(asked(&gateway, "get_seat_map"), 1);

    priced(&gateway, 2);
    gateway
        .backend
        .on("get_seat_map", |_: pb::GetSeatMapRequest| {
            let mut map = large_map(2);
            map.categories[0].price = 6_000;
            Ok(map)
        });
    tokio::time::sleep(KEPT).await;
    let changed = send(gateway.get(&map_path()).header("if-none-match", &tag)).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["categories"][0]["price"]["amount"], 6_000);
    assert_eq!(asked(&gateway, "get_seat_map"), 1);
}

/// Checks that what is answered before the routes is what they answer: they continue a trace.
pub(crate) async fn check_before_the_routes(ask: impl Fn() -> RequestBuilder) {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let ask = || ask().header("x-request-id", "id-1");
    let traced = ask().header("traceparent", trace);
    let (before, by) = tokio::join!(send(ask()), send(traced));
    let told = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        for changing in ["age", "date"] {
            headers.remove(changing);
        }
        (answer.status, headers, answer.bytes.len())
    };
    assert_eq!(told(&before), told(&by));
}

#[tokio::test]
async fn before_the_routes_and_by_them_the_same_is_answered() {
    let origins = vec!["https://tickets.example".to_owned()];
    let gateway = Gateway::start_with(|config| config.cors_origins = origins).await;
    priced(&gateway, 1);
    gateway
        .backend
        .on("get_seat_map", |_: pb::GetSeatMapRequest| {
            Ok(large_map(300))
        });
    gateway.backend.on("get_event", |_: pb::GetEventRequest| {
        Ok(pb::GetEventResponse {
            event: Some(event()),
            shows: vec![show()],
        })
    });
    let event = format!("/api/v1/events/{}", EventId::from_bytes([1; 16]));
    for path in [event, format!("/api/v1/shows/{}", show_id()), map_path()] {
        let tag = send(gateway.get(&path)).await;
        let tag = tag.header("etag").unwrap().to_owned();
        for (name, value) in [
            ("accept-encoding", "gzip"),
            ("accept-encoding", "identity"),
            ("accept-encoding", "*"),
            ("if-none-match", tag.as_str()),
        ] {
            check_before_the_routes(|| gateway.get(&path).header(name, value)).await;
        }
    }
    let text = send(gateway.get("/metrics")).await.text();
    let event = "gateway_http_requests_total{route=\"/api/v1/events/{event_id}\"";
    assert!(text.contains(event), "{text}");
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let gateway = with_map(2).await;
    for code in [ErrorCode::ShowNotFound, ErrorCode::Unavailable] {
        gateway
            .backend
            .on("get_show", move |_: pb::GetShowRequest| {
                Err::<pb::GetShowResponse, _>(Failure::new(code, "not now").into())
            });
        let failed = send(gateway.get(&map_path())).await;
        failed.error(code.http(), code.as_str());
    }
    priced(&gateway, 1);
    assert_eq!(send(gateway.get(&map_path())).await.status, 200);
}

#[tokio::test]
async fn a_page_that_was_long_in_coming_is_not_kept_for_longer() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_show", |_: pb::GetShowRequest| {
        std::thread::sleep(KEPT);
        Ok(pb::GetShowResponse { show: Some(show()) })
    });
    let path = format!("/api/v1/shows/{}", show_id());
    for _ in 0..2 {
        assert_eq!(send(gateway.get(&path)).await.status, 200);
    }
    assert_eq!(asked(&gateway, "get_show"), 2);
}

#[tokio::test]
async fn the_last_page_stands_in_while_the_catalogue_is_away_and_only_then() {
    let gateway = with_map(2).await;
    let event_path = format!("/api/v1/events/{}", EventId::from_bytes([1; 16]));
    gateway.backend.on("get_event", |_: pb::GetEventRequest| {
        Ok(pb::GetEventResponse {
            event: Some(event()),
            shows: vec![show()],
        })
    });
    let paths = [
        event_path,
        format!("/api/v1/shows/{}", show_id()),
        map_path(),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(send(gateway.get(path)).await.bytes);
    }
    let failing = |event: ErrorCode, show: ErrorCode| {
        let failure = |code| Failure::new(code, "not now").into();
        gateway
            .backend
            .on("get_event", move |_: pb::GetEventRequest| {
                Err::<pb::GetEventResponse, _>(failure(event))
            });
        gateway
            .backend
            .on("get_show", move |_: pb::GetShowRequest| {
                Err::<pb::GetShowResponse, _>(failure(show))
            });
        [event, show, show]
    };
    failing(ErrorCode::Unavailable, ErrorCode::Unavailable);
    tokio::time::sleep(KEPT).await;
    for (path, before) in paths.iter().zip(&before) {
        let answer = send(gateway.get(path)).await;
        assert_eq!((answer.status, &answer.bytes), (200, before), "{path}");
        let age: u64 = answer.header("age").unwrap().parse().unwrap();
        assert!(age >= KEPT.as_secs(), "{age}");
    }
    // What the catalogue says isn't there doesn't come back when it is away again.
    for (event, show) in [
        (ErrorCode::EventNotFound, ErrorCode::ShowNotFound),
        (ErrorCode::Unavailable, ErrorCode::Unavailable),
    ] {
        for (path, code) in paths.iter().zip(failing(event, show)) {
            let answer = send(gateway.get(path)).await;
            answer.error(code.http(), code.as_str());
        }
    }
}

#[tokio::test]
async fn a_seat_map_names_seats_as_holds_take_them() {
    let gateway = with_map(1).await;
    gateway
        .backend
        .on("get_seat_map", |_: pb::GetSeatMapRequest| {
            let mut map = large_map(3);
            map.seats[2].kind = "STANDING".to_owned();
            map.areas.push(pb::Area {
                name: "FLOOR".to_owned(),
                display_name: "Floor".to_owned(),
                first_seat_no: 2,
                capacity: 1,
                category: "Stalls".to_owned(),
                x: 1.0,
                y: 2.0,
                width: 30.0,
                height: 20.0,
            });
            Ok(map)
        });
    let answer = send(gateway.get(&map_path())).await;
    assert_eq!(
        answer.json(),
        json!({
            "show_id": show_id().to_string(),
            "currency": "EUR",
            "width": 100.0,
            "height": 50.0,
            "categories": [{"name": "Stalls", "color": "#F44336", "price": {"amount": 5_500, "currency": "EUR"}}],
            "seats": [{
                "seat_id": "GROUND-3-A-0",
                "seat_no": 0,
                "section": "GROUND-3",
                "row": "A",
                "number": "0",
                "x": 1.5,
                "y": 2.0,
                "category": "Stalls",
                "kind": "standard",
            }, {
                "seat_id": "GROUND-3-A-1",
                "seat_no": 1,
                "section": "GROUND-3",
                "row": "A",
                "number": "1",
                "x": 1.5,
                "y": 2.0,
                "category": "Stalls",
                "price": {"amount": 9_000, "currency": "EUR"},
                "kind": "standard",
            }],
            "areas": [{
                "name": "FLOOR",
                "display_name": "Floor",
                "capacity": 1,
                "first_seat_no": 2,
                "category": "Stalls",
                "x": 1.0,
                "y": 2.0,
                "width": 30.0,
                "height": 20.0,
            }],
        })
    );
    assert_eq!(answer.header("cache-control"), Some(CACHED));
}

#[tokio::test]
async fn the_largest_seat_map_fits_and_is_compressed_for_those_who_ask() {
    let gateway = with_map(100_000).await;
    let path = map_path();
    let plain = send(gateway.get(&path)).await;
    assert_eq!(plain.json()["seats"].as_array().unwrap().len(), 100_000);
    let packed = send(gateway.get(&path).header("accept-encoding", "gzip")).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(
        packed.bytes.len() < plain.bytes.len() / 4,
        "{} of {}",
        packed.bytes.len(),
        plain.bytes.len()
    );
    assert_eq!(packed.header("etag"), plain.header("etag"));
    assert_eq!(packed.header("vary"), Some("accept-encoding"));
    let mut unpacked = Vec::new();
    let mut decoder = GzDecoder::new(packed.bytes.as_slice());
    decoder.read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain.bytes, "the same page");
}

#[tokio::test]
async fn categories_are_a_tree_that_caches_may_keep() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("list_categories", |_: pb::ListCategoriesRequest| {
            let category = |slug: &str, parent: &str, name: &str| pb::EventCategory {
                slug: slug.to_owned(),
                parent: parent.to_owned(),
                name: name.to_owned(),
            };
            Ok(pb::ListCategoriesResponse {
                categories: vec![
                    category("music", "", "Music"),
                    category("music-rock", "music", "Rock"),
                ],
            })
        });
    let first = send(gateway.get("/api/v1/categories")).await;
    let rock = json!({"slug": "music-rock", "name": "Rock", "children": []});
    let music = json!({"slug": "music", "name": "Music", "children": [rock]});
    assert_eq!(first.json(), json!({"categories": [music]}));
    assert_eq!(first.header("cache-control"), Some(CACHED));
    let tag = first.header("etag").unwrap().to_owned();
    let again = gateway
        .get("/api/v1/categories")
        .header("if-none-match", tag);
    assert_eq!(send(again).await.status, 304);
    assert_eq!(gateway.backend.take_seen().len(), 1);
}
