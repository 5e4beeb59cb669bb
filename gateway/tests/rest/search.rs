//! `search`: the question that goes on, the answer's shape, what is refused by name, and the
//! second for which a result is kept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use holdfast_mesh::Failure;
use holdfast_proto::search::v1 as pb;
use holdfast_types::ErrorCode;
use serde_json::{Value, json};

use crate::setup::{Gateway, cursor, send};

const ID: &str = "07070707-0707-0707-0707-070707070707";

fn show() -> pb::FoundShow {
    pb::FoundShow {
        show_id: vec![7; 16],
        event_id: vec![7; 16],
        title: "Concert".to_owned(),
        category: "music".to_owned(),
        venue_id: vec![7; 16],
        venue_name: "Stadium".to_owned(),
        city: "Berlin".to_owned(),
        country: "DE".to_owned(),
        latitude: 52.5,
        longitude: 13.25,
        time_zone: "Europe/Berlin".to_owned(),
        starts_at_ms: 1_784_138_400_000,
        state: "ON_SALE".to_owned(),
        currency: "EUR".to_owned(),
        price_from: Some(0),
        price_max: Some(900),
        performers: vec!["Queen".to_owned()],
        category_path: vec!["art".to_owned(), "music".to_owned()],
        distance_m: Some(12_345),
        highlights: vec![pb::Highlight {
            field: "title".to_owned(),
            parts: vec![part("Con", true), part("cert <b>", false)],
        }],
    }
}

fn part(text: &str, matched: bool) -> pb::Part {
    pb::Part {
        text: text.to_owned(),
        matched,
    }
}

fn show_json() -> Value {
    json!({
        "show_id": ID,
        "event_id": ID,
        "title": "Concert",
        "performers": ["Queen"],
        "category": "music",
        "category_path": ["art", "music"],
        "venue": {
            "venue_id": ID,
            "name": "Stadium",
            "city": "Berlin",
            "country": "DE",
            "latitude": 52.5,
            "longitude": 13.25,
        },
        "starts_at": "2026-07-15T20:00:00+02:00",
        "time_zone": "Europe/Berlin",
        "state": "ON_SALE",
        "price_from": {"amount": 0, "currency": "EUR"},
        "price_max": {"amount": 900, "currency": "EUR"},
        "distance_km": 12.3,
        "highlights": [{
            "field": "title",
            "parts": [
                {"text": "Con", "matched": true},
                {"text": "cert <b>", "matched": false},
            ],
        }],
    })
}

fn finds(gateway: &Gateway, shows: Vec<pb::FoundShow>, next_cursor: &'static str) {
    gateway
        .backend
        .on("search_shows", move |_: pb::SearchShowsRequest| {
            Ok(pb::SearchShowsResponse {
                shows: shows.clone(),
                next_cursor: next_cursor.to_owned(),
                total: 7,
                total_is_estimated: true,
                facets: vec![pb::Facet {
                    by: pb::FacetBy::City.into(),
                    values: vec![pb::FacetValue {
                        value: "Berlin".to_owned(),
                        shows: 3,
                    }],
                    more: true,
                }],
                ..pb::SearchShowsResponse::default()
            })
        });
}

fn asked(gateway: &Gateway) -> Vec<pb::SearchShowsRequest> {
    let seen = gateway.backend.take_seen();
    seen.iter()
        .map(|seen| seen.message::<pb::SearchShowsRequest>().clone())
        .collect()
}

#[tokio::test]
async fn all_that_is_asked_goes_on_and_what_is_found_comes_back() {
    let gateway = Gateway::start().await;
    finds(&gateway, vec![show()], "next");
    let path = "/api/v1/search?q=sumer%20night&city=Berlin&near=52.52,13.405&radius_km=7&category=music\
        &country=DE&currency=EUR&price_min=0&price_max=5000&on_sale=true&facets=city,state\
        &from=2026-07-01T00:00:00Z&to=2026-08-01T00:00:00Z&sort=distance&limit=3";
    let at = |at| cursor("/api/v1/search", at);
    let path = &format!("{path}&cursor={}", at("c"));
    let answer = send(gateway.get(path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({
            "items": [show_json()],
            "next_cursor": at("next"),
            "total": {"shows": 7, "exact": false},
            "facets": [{
                "facet": "city",
                "values": [{"value": "Berlin", "shows": 3}],
                "more": true,
            }],
            "loosened": null,
            "stale": false,
        })
    );
    assert_eq!(answer.header("warning"), None);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=1"));
    let expected = pb::SearchShowsRequest {
        q: "sumer night".to_owned(),
        category: "music".to_owned(),
        city: "Berlin".to_owned(),
        from_ms: Some(1_782_864_000_000),
        to_ms: Some(1_785_542_400_000),
        near: Some(pb::Near {
            latitude: 52.52,
            longitude: 13.405,
            radius_m: 7_000,
        }),
        sort: pb::Sort::Distance.into(),
        limit: 3,
        cursor: "c".to_owned(),
        country: "DE".to_owned(),
        from_date: String::new(),
        to_date: String::new(),
        currency: "EUR".to_owned(),
        price_min: Some(0),
        price_max: Some(5_000),
        on_sale: true,
        facets: vec![pb::FacetBy::City.into(), pb::FacetBy::State.into()],
        known_tag: Vec::new(),
    };
    assert_eq!(asked(&gateway), [expected]);

    let tag = answer.header("etag").unwrap().to_owned();
    let again = send(gateway.get(path).header("if-none-match", tag)).await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn how_loosely_words_were_taken_is_said() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("search_shows", |_: pb::SearchShowsRequest| {
            Ok(pb::SearchShowsResponse {
                shows: vec![show()],
                total: 1,
                loosened: Some(pb::Loosened {
                    without_words: vec!["Tickets".to_owned(), "for".to_owned()],
                    misspelt: true,
                }),
                ..Default::default()
            })
        });
    let answer = send(gateway.get("/api/v1/search?q=Tickets%20for%20Quuen")).await;
    assert_eq!(
        answer.json()["loosened"],
        json!({"without_words": ["Tickets", "for"], "misspelt": true})
    );
}

#[tokio::test]
async fn a_question_without_anything_is_one_for_all() {
    let gateway = Gateway::start().await;
    let bare = pb::FoundShow {
        price_from: None,
        price_max: None,
        distance_m: None,
        ..show()
    };
    finds(&gateway, vec![bare], "");
    let answer = send(gateway.get("/api/v1/search")).await;
    assert_eq!(asked(&gateway), [pb::SearchShowsRequest::default()]);
    let json = answer.json();
    assert_eq!(json["next_cursor"], Value::Null);
    assert_eq!(json["items"][0]["price_from"], Value::Null);
    assert_eq!(json["items"][0]["distance_km"], Value::Null);

    send(gateway.get("/api/v1/search?from=2027-01-30&to=2027-01-30&sort=price&currency=JPY")).await;
    let days = asked(&gateway).remove(0);
    assert_eq!((days.from_ms, days.to_ms), (None, None));
    assert_eq!(
        (days.from_date.as_str(), days.to_date.as_str()),
        ("2027-01-30", "2027-01-30"),
        "one day is a range"
    );
    assert_eq!(
        (days.sort(), days.currency.as_str()),
        (pb::Sort::Price, "JPY")
    );

    send(gateway.get("/api/v1/search?near=-1.5,%20180")).await;
    let near = asked(&gateway)[0].near.unwrap();
    assert_eq!(
        (near.latitude, near.longitude, near.radius_m),
        (-1.5, 180.0, 50_000)
    );
}

#[tokio::test]
async fn what_can_not_be_asked_is_refused_by_name() {
    let gateway = Gateway::start().await;
    let long = format!("q={}", "x".repeat(10_000));
    for (query, field) in [
        (long.as_str(), "q"),
        ("near=52.52", "near"),
        ("near=52.52,x", "near"),
        ("near=90.1,0", "near"),
        ("near=0,-180.5", "near"),
        ("near=nan,0", "near"),
        ("near=", "near"),
        ("near=1,1&radius_km=0", "radius_km"),
        ("near=1,1&radius_km=1001", "radius_km"),
        ("near=1,1&radius_km=x", "radius_km"),
        ("radius_km=5", "radius_km"),
        ("from=yesterday", "from"),
        ("to=2026-13-01T00:00:00Z", "to"),
        ("from=2026-07-02T00:00:00Z&to=2026-07-01T00:00:00Z", "to"),
        ("from=2026-7-2", "from"),
        ("from=2026-07-02&to=2026-07-01", "to"),
        ("sort=price", "sort"),
        ("sort=cheap", "sort"),
        ("price_min=5", "price_min"),
        ("price_max=-1&currency=EUR", "price_max"),
        ("price_max=2.5&currency=EUR", "price_max"),
        ("on_sale=yes", "on_sale"),
        ("facets=city,venue", "facets"),
        ("facets=city,", "facets"),
        ("facets=city,city", "facets"),
        ("sort=distance", "sort"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("q=a&q=b", "q"),
        ("query=a", "query"),
    ] {
        let answer = send(gateway.get(&format!("/api/v1/search?{query}"))).await;
        answer.invalid(field);
    }
    assert!(asked(&gateway).is_empty());
}

#[tokio::test]
async fn what_search_refuses_is_refused_by_the_same_name() {
    let gateway = Gateway::start().await;
    for field in ["cursor", "category", "city"] {
        gateway
            .backend
            .on("search_shows", move |_: pb::SearchShowsRequest| {
                Err::<pb::SearchShowsResponse, _>(Failure::invalid(field, "is wrong").into())
            });
        let value = match field {
            "cursor" => cursor("/api/v1/search", "x"),
            _ => "x".to_owned(),
        };
        let answer = send(gateway.get(&format!("/api/v1/search?{field}={value}"))).await;
        answer.invalid(field);
    }
    // Days and moments are one parameter here.
    for (theirs, ours) in [("from_date", "from"), ("to_ms", "to")] {
        gateway
            .backend
            .on("search_shows", move |_: pb::SearchShowsRequest| {
                Err::<pb::SearchShowsResponse, _>(Failure::invalid(theirs, "is wrong").into())
            });
        send(gateway.get("/api/v1/search?q=y")).await.invalid(ours);
    }
}

#[tokio::test]
async fn names_are_suggested_in_pieces() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("suggest_names", |_: pb::SuggestNamesRequest| {
            Ok(pb::SuggestNamesResponse {
                suggestions: vec![pb::Suggestion {
                    kind: "performer".to_owned(),
                    parts: vec![part("Que", true), part("en", false)],
                }],
            })
        });
    let answer = send(gateway.get("/api/v1/search/suggest?q=que&limit=3")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("public, max-age=1"));
    let expected = json!({
        "items": [{
            "kind": "performer",
            "text": "Queen",
            "parts": [
                {"text": "Que", "matched": true},
                {"text": "en", "matched": false},
            ],
        }],
        "stale": false,
    });
    assert_eq!(answer.json(), expected);
    let seen = gateway.backend.take_seen();
    let asked = seen[0].message::<pb::SuggestNamesRequest>();
    assert_eq!((asked.q.as_str(), asked.limit), ("que", 3));
    let long = format!("q={}", "x".repeat(301));
    for (query, field) in [
        (long.as_str(), "q"),
        ("q=x&limit=11", "limit"),
        ("q=x&kind=city", "kind"),
    ] {
        let answer = send(gateway.get(&format!("/api/v1/search/suggest?{query}"))).await;
        answer.invalid(field);
    }
}

#[tokio::test]
async fn while_search_is_down_the_last_answer_stands_in_and_says_so() {
    let gateway = Gateway::start().await;
    finds(&gateway, vec![show()], "next");
    let path = "/api/v1/search?q=hot";
    let first = send(gateway.get(path)).await.json();
    assert_eq!(first["stale"], false);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let down = move |_: pb::SearchShowsRequest| {
        count.fetch_add(1, Ordering::Relaxed);
        // Longer than anybody waits.
        let away = Failure::new(ErrorCode::Unavailable, "search is down; try again");
        let away = away.with_retry_after(Duration::from_secs(30));
        Err::<pb::SearchShowsResponse, _>(away.into())
    };
    gateway.backend.on("search_shows", down);
    // What is kept as fresh is, for its half second.
    let stale = async {
        loop {
            let answer = send(gateway.get(path)).await;
            assert_eq!(answer.status, 200);
            if answer.json()["stale"] == true {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stale = tokio::time::timeout(Duration::from_secs(20), stale)
        .await
        .unwrap();
    assert!(
        asked.load(Ordering::Relaxed) <= 1,
        "nobody waits until it is there again"
    );
    assert_eq!(stale.header("warning"), Some("110 - \"Response is Stale\""));
    let age: u64 = stale.header("age").unwrap().parse().unwrap();
    assert!((0..60).contains(&age), "{age}");
    let mut json = stale.json();
    json["stale"] = Value::Bool(false);
    assert_eq!(json, first, "all else is as it was");
    let tag = stale.header("etag").unwrap().to_owned();
    let kept = send(gateway.get(path).header("if-none-match", tag)).await;
    assert_eq!(
        kept.status, 304,
        "what is stale is told apart, and kept, too"
    );
    // Once call after call has failed, only one now and then asks.
    for _ in 0..20 {
        assert_eq!(send(gateway.get(path)).await.json()["stale"], true);
    }
    assert!(asked.load(Ordering::Relaxed) < 20);
    let other = send(gateway.get("/api/v1/search?q=never%20asked")).await;
    other.error(503, "UNAVAILABLE");

    finds(&gateway, Vec::new(), "");
    let found = async {
        loop {
            let answer = send(gateway.get(path)).await;
            if answer.json()["stale"] == false {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), found);
    let answer = found.await.unwrap();
    assert_eq!(answer.json()["items"], json!([]));
    assert_eq!(
        (answer.header("age"), answer.header("warning")),
        (None, None)
    );
}

#[tokio::test]
async fn without_search_there_is_503_and_the_rest_goes_on() {
    let gateway = Gateway::start_with(|config| {
        // Nobody listens there.
        config.search_uri = "http://127.0.0.1:1".to_owned();
    })
    .await;
    let answer = send(gateway.get("/api/v1/search?q=x")).await;
    answer.error(503, "UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), Some("3"));

    use holdfast_proto::catalog::v1 as catalog;
    gateway
        .backend
        .on("list_shows", |_: catalog::ListShowsRequest| {
            Ok(catalog::ListShowsResponse::default())
        });
    assert_eq!(send(gateway.get("/api/v1/shows")).await.status, 200);
}

#[tokio::test]
async fn a_hot_question_is_asked_once_a_second() {
    let gateway = Arc::new(Gateway::start().await);
    finds(&gateway, vec![show()], "");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let gateway = Arc::clone(&gateway);
        asking.spawn(async move { send(gateway.get("/api/v1/search?q=hot")).await.status });
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|status| *status == 200));
    // Twenty answers may take longer than a result is kept, on a busy machine.
    let calls = asked(&gateway).len();
    assert!((1..20).contains(&calls), "{calls}");

    finds(&gateway, Vec::new(), "");
    let found = || async {
        let answer = send(gateway.get("/api/v1/search?q=hot")).await;
        answer.json()["items"].as_array().unwrap().len()
    };
    let renewed = async {
        while found().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), renewed)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("search_shows", |_: pb::SearchShowsRequest| {
            let away = Failure::new(ErrorCode::Unavailable, "search is down; try again");
            Err::<pb::SearchShowsResponse, _>(away.into())
        });
    let answer = send(gateway.get("/api/v1/search?q=x")).await;
    answer.error(503, "UNAVAILABLE");
    finds(&gateway, vec![show()], "");
    assert_eq!(send(gateway.get("/api/v1/search?q=x")).await.status, 200);
}

#[tokio::test]
async fn what_search_says_is_unchanged_is_answered_again() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("search_shows", |request: pb::SearchShowsRequest| {
            let tag = b"of the first".to_vec();
            let unchanged = request.known_tag == tag;
            Ok(match unchanged {
                true => pb::SearchShowsResponse {
                    tag,
                    unchanged,
                    ..Default::default()
                },
                false => pb::SearchShowsResponse {
                    shows: vec![show()],
                    total: 1,
                    tag,
                    ..Default::default()
                },
            })
        });
    let path = "/api/v1/search?q=hot";
    let first = send(gateway.get(path)).await;
    assert_eq!(first.json()["items"], json!([show_json()]));
    assert!(asked(&gateway)[0].known_tag.is_empty());
    let mut looks = Vec::new();
    let looked_again = async {
        while looks.len() < 2 {
            let again = send(gateway.get(path)).await;
            assert_eq!(again.text(), first.text());
            assert_eq!(again.header("etag"), first.header("etag"));
            looks.extend(asked(&gateway).into_iter().map(|look| look.known_tag));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looked_again)
        .await
        .unwrap();
    assert!(looks.iter().all(|tag| tag == b"of the first"), "{looks:?}");

    // Nobody asked that before.
    gateway
        .backend
        .on("search_shows", |_: pb::SearchShowsRequest| {
            Ok(pb::SearchShowsResponse {
                unchanged: true,
                ..Default::default()
            })
        });
    let answer = send(gateway.get("/api/v1/search?q=other")).await;
    answer.error(500, "INTERNAL_ERROR");
}

#[tokio::test]
async fn results_are_compressed_for_those_who_accept_it() {
    use std::io::Read as _;

    let gateway = Gateway::start().await;
    finds(&gateway, vec![show()], "next");
    let path = "/api/v1/search?q=hot";
    let plain = send(gateway.get(path)).await;
    assert_eq!(plain.header("content-encoding"), None);
    for _ in 0..2 {
        let packed = send(gateway.get(path).header("accept-encoding", "gzip")).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.header("etag"), plain.header("etag"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, plain.text());
    }
    let tag = plain.header("etag").unwrap().to_owned();
    let kept = gateway.get(path).header("accept-encoding", "gzip");
    let kept = send(kept.header("if-none-match", tag)).await;
    assert_eq!((kept.status, kept.text().as_str()), (304, ""));
}
