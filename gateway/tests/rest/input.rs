//! Bad input: refused here, by name, before any service is asked.

use reqwest::Method;
use serde_json::{Value, json};

use crate::setup::{Gateway, send};

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
            json!({"show_id": SHOW, "area": {"name": "Floor", "count": 2}}),
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
    let answer = send(
        gateway
            .post_hold()
            .json(&json!({"show_id": SHOW, "area": {}})),
    )
    .await;
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("not offered yet")
    );
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
