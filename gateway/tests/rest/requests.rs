//! What every request has: an id, a deadline, headers, a place in the metrics.

use gateway::Config;
use holdfast_proto::catalog::v1 as pb;
use reqwest::Method;

use crate::setup::{Gateway, send};

async fn gateway() -> Gateway {
    gateway_with(|_| {}).await
}

async fn gateway_with(change: impl FnOnce(&mut Config)) -> Gateway {
    let gateway = Gateway::start_with(change).await;
    gateway
        .backend
        .on("list_events", |_: pb::ListEventsRequest| {
            Ok(pb::ListEventsResponse::default())
        });
    gateway
}

#[tokio::test]
async fn a_request_id_is_taken_over_or_made_and_passed_on() {
    let gateway = gateway().await;
    let answer = send(
        gateway
            .get("/api/v1/events")
            .header("x-request-id", "my-id.1_A"),
    )
    .await;
    assert_eq!(answer.header("x-request-id"), Some("my-id.1_A"));
    assert_eq!(
        gateway.backend.take_seen()[0].header("x-request-id"),
        Some("my-id.1_A")
    );

    let mut made = Vec::new();
    for sent in ["", "a b", &"x".repeat(65), "<script>"] {
        let answer = send(gateway.get("/api/v1/events").header("x-request-id", sent)).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_ne!(id, sent);
        assert_eq!(
            gateway.backend.take_seen()[0].header("x-request-id"),
            Some(id.as_str())
        );
        made.push(id);
    }
    made.dedup();
    assert_eq!(made.len(), 4);
}

#[tokio::test]
async fn a_trace_context_is_passed_on_and_a_malformed_one_is_none() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let gateway = gateway_with(|config| config.trust_sampled = true).await;
    let request = gateway.get("/api/v1/events");
    let request = request.header("traceparent", PARENT);
    send(request.header("tracestate", "vendor=1")).await;
    let seen = gateway.backend.take_seen();
    assert_eq!(seen[0].header("traceparent"), Some(PARENT));
    assert_eq!(seen[0].header("tracestate"), Some("vendor=1"));
    for sent in ["", "00-0-0-01", &PARENT.to_uppercase()] {
        send(gateway.get("/api/v1/events").header("traceparent", sent)).await;
        let seen = gateway.backend.take_seen();
        assert_eq!(seen[0].header("traceparent"), None, "{sent}");
    }
}

#[tokio::test]
async fn a_stranger_makes_nobody_record_its_trace() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";
    // It records nothing itself.
    let gateway = gateway().await;
    let request = gateway.get("/api/v1/events");
    send(request.header("traceparent", format!("{PARENT}1"))).await;
    let seen = gateway.backend.take_seen();
    let goes_on = format!("{PARENT}0");
    assert_eq!(seen[0].header("traceparent"), Some(goes_on.as_str()));
}

#[tokio::test]
async fn what_is_left_of_the_deadline_goes_with_the_call() {
    let gateway = gateway().await;
    send(gateway.get("/api/v1/events")).await;
    let seen = gateway.backend.take_seen();
    let timeout = seen[0].header("grpc-timeout").unwrap();
    let (digits, unit) = timeout.split_at(timeout.len() - 1);
    let us = digits.parse::<u64>().unwrap()
        * match unit {
            "S" => 1_000_000,
            "m" => 1_000,
            "u" => 1,
            other => panic!("unit {other}"),
        };
    assert!((5_000_000..=10_000_000).contains(&us), "{timeout}");
}

#[tokio::test]
async fn answers_carry_security_headers() {
    let gateway = gateway().await;
    for path in ["/api/v1/events", "/nothing", "/", "/api/v1/docs/"] {
        let answer = send(gateway.get(path)).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            Some("same-origin"),
            "{path}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_call_only_where_configured() {
    let preflight = |gateway: &Gateway, origin: &str| {
        let request = gateway
            .request(Method::OPTIONS, "/api/v1/holds")
            .header("origin", origin);
        request
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,idempotency-key",
            )
    };
    let closed = gateway().await;
    let answer = send(preflight(&closed, "https://tickets.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);

    let open = Gateway::start_with(|config| {
        config.cors_origins = vec!["https://tickets.example".to_owned()]
    })
    .await;
    let answer = send(preflight(&open, "https://tickets.example")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://tickets.example")
    );
    let allowed = answer.header("access-control-allow-headers").unwrap();
    for header in ["idempotency-key", "traceparent", "tracestate"] {
        assert!(allowed.contains(header), "{allowed}");
    }
    assert_eq!(
        send(preflight(&open, "https://other.example"))
            .await
            .header("access-control-allow-origin"),
        None
    );

    let answer = send(
        open.get("/nothing")
            .header("origin", "https://tickets.example"),
    )
    .await;
    answer.error(404, "NOT_FOUND");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://tickets.example")
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .unwrap()
            .contains("x-request-id")
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_not_by_path() {
    let gateway = gateway().await;
    send(gateway.get("/api/v1/shows/no-such-path-in-metrics"))
        .await
        .invalid("show_id");
    let answer = send(gateway.get("/metrics")).await;
    let text = answer.text();
    let counted = |line: &&str| {
        line.starts_with("gateway_http_requests_total{")
            && line.contains(r#"route="/api/v1/shows/{show_id}""#)
            && line.contains(r#"method="GET""#)
            && line.contains(r#"status="400""#)
    };
    assert!(text.lines().any(|line| counted(&line)), "{text}");
    assert!(
        text.contains("gateway_http_request_seconds_bucket"),
        "{text}"
    );
    assert!(!text.contains("no-such-path-in-metrics"), "{text}");
}

#[tokio::test]
async fn health_and_readiness_are_told_and_no_more() {
    let gateway = gateway().await;
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = send(gateway.get(path)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, text));
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        send(gateway.post(path))
            .await
            .error(405, "METHOD_NOT_ALLOWED");
    }
    gateway
        .readiness
        .set_not_ready("database", "down at 10.0.0.7");
    let answer = send(gateway.get("/readyz")).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, "not ready\n")
    );
}
