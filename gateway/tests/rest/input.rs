//! Bad input: refused here, by name, before any service is asked.

use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::setup::{Gateway, cursor, send};

const SHOW: &str = "07070707-0707-0707-0707-070707070707";

#[tokio::test]
async fn holds_name_the_field_that_is_wrong() {
    let gateway = Gateway::start().await;
    let many: Vec<String> = (0..65).map(|n| format!("A-{n}")).collect();
    let cases: Vec<(Value, &str)> = vec![
        (json!({"show_id": SHOW, "seat_ids": []}), "seat_ids"),
        (json!({"show_id": SHOW}), "seat_ids"),
        (
            json!({"show_id": SHOW, "seat_ids": ["A-1", "A-2", "A-1"]}),
            "seat_ids[2]",
        ),
        (json!({"show_id": SHOW, "seat_ids": many}), "seat_ids"),
        (json!({"show_id": SHOW, "seat_ids": [1]}), "seat_ids[0]"),
        (json!({"show_id": SHOW, "seat_ids": "A-1"}), "seat_ids"),
        (json!({"show_id": "x", "seat_ids": ["A-1"]}), "show_id"),
        (
            json!({"show_id": SHOW.replace('-', ""), "seat_ids": ["A-1"]}),
            "show_id",
        ),
        (json!({"seat_ids": ["A-1"]}), "show_id"),
        (
            json!({"show_id": SHOW, "seat_ids": ["A-1"], "colour": 1}),
            "colour",
        ),
        (
            json!({"show_id": SHOW, "area": {"name": "FLOOR", "count": 65}}),
            "area.count",
        ),
        (
            json!({"show_id": SHOW, "seat_ids": ["A-1"], "area": {"name": "FLOOR", "count": 2}}),
            "seat_ids",
        ),
        (
            json!({"show_id": SHOW, "area": {"name": "FLOOR", "count": 2}, "best_available": {"count": 2}}),
            "area",
        ),
        (
            json!({"show_id": SHOW, "best_available": {"count": 0}}),
            "best_available.count",
        ),
        (
            json!({"show_id": SHOW, "seat_ids": ["A-1"], "best_available": {"count": 2}}),
            "seat_ids",
        ),
        (
            json!({"show_id": SHOW, "best_available": {"count": 2, "colour": 1}}),
            "best_available.colour",
        ),
        (json!([]), "body"),
        (json!([SHOW, ["A-1"]]), "body"),
        (json!(null), "body"),
        (json!("A-1"), "body"),
    ];
    for (body, field) in cases {
        let answer = send(gateway.post_hold().json(&body)).await;
        answer.invalid(field);
        assert!(!answer.text().contains("struct"), "{}", answer.text());
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let gateway = Gateway::start().await;
    let post = |body: &'static str, kind: &'static str| {
        gateway
            .post("/api/v1/auth/login")
            .header("content-type", kind)
            .body(body)
    };
    for body in [
        "",
        "{",
        "{\"email\": \"a\",}",
        "nope",
        "5 {",
        "[1,",
        "{\"email\": \"a\", \"password\": \"\u{1}\"}",
    ] {
        send(post(body, "application/json")).await.invalid("body");
    }
    let twice = "{\"email\": \"a\", \"password\": \"b\"} {}";
    send(post(twice, "application/json; charset=utf-8"))
        .await
        .invalid("body");
    let repeated = "{\"email\": \"a\", \"email\": \"b\", \"password\": \"c\"}";
    send(post(repeated, "application/json"))
        .await
        .invalid("email");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "",
    ] {
        send(post("{}", kind))
            .await
            .error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    send(gateway.post("/api/v1/auth/login").body("{}"))
        .await
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_on_every_route_that_reads_one() {
    let gateway = Gateway::start().await;
    let body = format!("{{\"email\": \"{}\"}}", "a".repeat(64 * 1024));
    for path in ["/api/v1/auth/login", "/api/v1/payments/webhooks/sandbox"] {
        let request = gateway
            .post(path)
            .header("content-type", "application/json")
            .body(body.clone());
        send(request).await.error(413, "PAYLOAD_TOO_LARGE");
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn holds_and_bookings_need_a_key_of_visible_ascii() {
    let gateway = Gateway::start().await;
    let routes = [
        (
            "/api/v1/holds",
            json!({"show_id": SHOW, "seat_ids": ["A-1"]}),
        ),
        ("/api/v1/bookings", json!({"hold_id": "h_1"})),
    ];
    for (path, body) in routes {
        let post = || gateway.as_customer(Method::POST, path).json(&body);
        send(post()).await.error(400, "IDEMPOTENCY_KEY_REQUIRED");
        for key in ["", "a b", &"k".repeat(256), "é"] {
            send(post().header("idempotency-key", key))
                .await
                .invalid("Idempotency-Key");
        }
        send(
            post()
                .header("idempotency-key", "a")
                .header("idempotency-key", "b"),
        )
        .await
        .invalid("Idempotency-Key");
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn bookings_name_the_field_that_is_wrong() {
    let gateway = Gateway::start().await;
    let post = || {
        gateway
            .as_customer(Method::POST, "/api/v1/bookings")
            .header("idempotency-key", "k")
    };
    send(post().json(&json!({}))).await.invalid("hold_id");
    send(post().json(&json!({"hold_id": 7})))
        .await
        .invalid("hold_id");
    send(post().json(&json!({"hold_id": "h_1", "tip": 5})))
        .await
        .invalid("tip");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_words_of_json_and_not_repeated() {
    let gateway = Gateway::start().await;
    let secret = "correct horse, expected nothing";
    for (body, field, why) in [
        (
            json!({"show_id": SHOW, "seat_ids": secret}),
            "seat_ids",
            "a list",
        ),
        (
            json!({"show_id": SHOW, "best_available": secret}),
            "best_available",
            "an object",
        ),
        (
            json!({"show_id": SHOW, "best_available": {"count": secret}}),
            "best_available.count",
            "a whole number within its bounds",
        ),
        (
            json!({"show_id": SHOW, "best_available": {"count": -1}}),
            "best_available.count",
            "a whole number within its bounds",
        ),
        (
            json!({"show_id": SHOW, "best_available": {"count": 1, "adjacent": secret}}),
            "best_available.adjacent",
            "true or false",
        ),
        (json!({"show_id": 7}), "show_id", "a string"),
    ] {
        let answer = send(gateway.post_hold().json(&body)).await;
        answer.invalid(field);
        let told = answer.json()["details"]["fields"][0]["message"].clone();
        assert_eq!(told, format!("must be {why}"));
        assert!(!answer.text().contains("correct horse"));
    }
    // Names that nobody knows are said again, and not all of a long one.
    let name = "n".repeat(10_000);
    let answer = send(gateway.post_hold().json(&json!({&name: 1}))).await;
    answer.invalid(&name[..256]);
    assert!(answer.text().len() < 2_000);
    let path = format!("/api/v1/shows?{name}=1");
    send(gateway.get(&path)).await.invalid(&name[..256]);
}

#[tokio::test]
async fn path_and_query_parameters_are_named() {
    let gateway = Gateway::start().await;
    let cases = [
        ("/api/v1/shows/x", "show_id"),
        ("/api/v1/shows/%FF", "path"),
        ("/api/v1/shows/x/seatmap", "show_id"),
        ("/api/v1/shows/x/availability", "show_id"),
        ("/api/v1/events/x", "event_id"),
        ("/api/v1/shows?limit=0", "limit"),
        ("/api/v1/shows?limit=101", "limit"),
        ("/api/v1/shows?limit=x", "limit"),
        ("/api/v1/shows?limit=1&limit=2", "limit"),
        ("/api/v1/shows?from=tomorrow", "from"),
        ("/api/v1/shows?to=2026-11-22", "to"),
        ("/api/v1/shows?from=1969-12-31T23:59:59Z", "from"),
        ("/api/v1/shows?to=9999-01-01T00:00:00Z", "to"),
        (
            "/api/v1/shows?from=2026-11-22T00:00:00Z&to=2026-11-22T01:00:00%2B01:00",
            "to",
        ),
        ("/api/v1/shows?ctiy=Berlin", "ctiy"),
        ("/api/v1/events?offset=3", "offset"),
        (
            &format!("/api/v1/shows/{SHOW}/availability?sections=A"),
            "sections",
        ),
    ];
    for (path, name) in cases {
        send(gateway.get(path)).await.invalid(name);
    }
    for path in ["/api/v1/bookings/x", "/api/v1/bookings/x/tickets"] {
        send(gateway.as_customer(Method::GET, path))
            .await
            .invalid("booking_id");
    }
    send(gateway.as_customer(Method::GET, "/api/v1/bookings?limit=-1"))
        .await
        .invalid("limit");
    send(gateway.as_customer(Method::GET, "/api/v1/me/bookings?limit=1000"))
        .await
        .invalid("limit");
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn unknown_routes_and_methods_get_the_same_body() {
    let gateway = Gateway::start().await;
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v1/shows/",
        "/api/v1/docs/nothing",
    ] {
        send(gateway.get(path)).await.error(404, "NOT_FOUND");
    }
    let answer = send(gateway.request(Method::PUT, "/api/v1/holds")).await;
    answer.error(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), Some("POST"));
    send(gateway.request(Method::OPTIONS, "/api/v1/shows"))
        .await
        .error(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_cursor_that_its_list_did_not_give_out_goes_no_further() {
    let gateway = Gateway::start().await;
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let lists: Vec<&String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| {
            let parameters = item["get"]["parameters"].as_array();
            parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "cursor"))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(lists.len() >= 6, "{lists:?}");
    for route in lists {
        let path = route
            .split('/')
            .map(|part| if part.starts_with('{') { SHOW } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let given = cursor(route, "e1");
        for forged in [
            "e1",
            "6",
            "' OR 1=1 --",
            &"A".repeat(4_000),
            &given[1..],
            &format!("{given}A"),
            &cursor("/api/v1/other", "e1"),
        ] {
            let request = gateway.as_customer(Method::GET, &path);
            let answer = send(request.query(&[("cursor", forged)])).await;
            answer.invalid("cursor");
        }
        let request = gateway.as_customer(Method::GET, &path);
        send(request.query(&[("cursor", &given), ("cursor", &given)]))
            .await
            .invalid("cursor");
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn packed_and_deep_bodies_are_refused_before_they_are_unpacked() {
    let gateway = Gateway::start().await;
    let post = |body: Vec<u8>| {
        let request = gateway.post("/api/v1/auth/login");
        request
            .header("content-type", "application/json")
            .body(body)
    };
    // A thousand times as large when it is unpacked, which nobody does.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..16 {
        bomb.write_all(&[b' '; 1024 * 1024]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 32 * 1024);
    for coding in ["gzip", "br", "deflate", "identity, gzip"] {
        let request = post(bomb.clone()).header("content-encoding", coding);
        send(request).await.error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    for (open, close) in [("[", "]"), ("{\"email\":", "}")] {
        let deep = format!(
            "{{\"email\": {}1{}}}",
            open.repeat(5_000),
            close.repeat(5_000)
        );
        let answer = send(post(deep.into_bytes())).await;
        answer.error(400, "INVALID_REQUEST");
    }
    let plain = post(b"{}".to_vec()).header("content-encoding", "identity");
    send(plain).await.invalid("email");
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let gateway = Gateway::start_with(|config| config.request_timeout_ms = 300).await;
    let mut line = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\n\
        connection: close\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"email\":";
    line.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(line).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("x-request-id:") && answer.contains("REQUEST_TIMEOUT"),
        "{answer}"
    );
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http_are_refused_and_their_connections_closed() {
    let gateway = Gateway::start().await;
    let many: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(1024 * 1024));
    for (head, status) in [
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{long}\r\n"), "431"),
        (
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(70_000)),
            "414",
        ),
        (
            "GET / HTTP/1.1\r\nhost: x\r\nbad header: y\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: x\r\n\r\n".to_owned(),
            "400",
        ),
        ("NONSENSE\r\n\r\n".to_owned(), "400"),
    ] {
        let mut line = TcpStream::connect(gateway.address).await.unwrap();
        // It may be closed before all is written.
        let _ = line.write_all(head.as_bytes()).await;
        let answer = read_all(line).await;
        let start = format!("HTTP/1.1 {status} ");
        let what = &head[..head.len().min(60)];
        // Closed with so much unread, a connection is reset before its answer was read.
        let reset = answer.is_empty() && head.len() > 1024 * 1024;
        assert!(answer.starts_with(&start) || reset, "{what}: {answer}");
    }
    assert_eq!(send(gateway.get("/healthz")).await.status, 200);
}

/// All that comes until the other side closes.
async fn read_all(mut line: TcpStream) -> String {
    let mut read = Vec::new();
    // A reset ends it, too.
    let reading = line.read_to_end(&mut read);
    let _ = tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("it is closed, or answered");
    String::from_utf8_lossy(&read).into_owned()
}
