//! Who asks too often is told to wait, by address and by account.

use gateway::Config;
use holdfast_proto::{catalog::v1 as catalog, identity::v1 as identity, payment::v1 as payment};
use reqwest::Method;

use crate::setup::{Gateway, send, send_unchecked, user};

/// One proxy in front, on this machine, and nobody is free of limits.
async fn gateway(change: impl FnOnce(&mut Config)) -> Gateway {
    let gateway = Gateway::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".to_owned()];
        config.rate_limits.unlimited = Vec::new();
        // Longer than any test.
        config.rate_limits.window_s = 3_600;
        change(config);
    })
    .await;
    gateway
        .backend
        .on("list_events", |_: catalog::ListEventsRequest| {
            Ok(catalog::ListEventsResponse::default())
        });
    gateway.backend.on("get_me", |_: identity::GetMeRequest| {
        Ok(identity::GetMeResponse {
            user_id: user().to_bytes().to_vec(),
            ..Default::default()
        })
    });
    gateway
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_to_wait_and_others_are_not() {
    let gateway = gateway(|config| config.rate_limits.address_browsing = 2).await;
    let ask = |from: &str| {
        gateway
            .get("/api/v1/nothing")
            .header("x-forwarded-for", from)
    };
    for left in ["1", "0"] {
        let answer = send(ask("198.51.100.7")).await;
        answer.error(404, "NOT_FOUND");
        let policy = answer.header("ratelimit-policy");
        assert_eq!(policy, Some("\"browsing-address\";q=2;w=3600"));
        let said = answer.header("ratelimit").unwrap();
        let start = format!("\"browsing-address\";r={left};t=");
        assert!(said.starts_with(&start), "{said}");
    }
    // What a client wrote itself before the proxy added its address changes nothing.
    for from in [
        "198.51.100.7",
        "192.0.2.1, 198.51.100.7",
        "::ffff:198.51.100.7",
    ] {
        let answer = send(ask(from)).await;
        answer.error(429, "RATE_LIMITED");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=1_800).contains(&wait), "{wait}");
        let said = answer.header("ratelimit").unwrap();
        assert!(said.starts_with("\"browsing-address\";r=0;t="), "{said}");
    }
    send(ask("198.51.100.8")).await.error(404, "NOT_FOUND");
    // Not where what it asks for is another class.
    let other = gateway.get("/api/v1/shows/x/availability");
    send(other.header("x-forwarded-for", "198.51.100.7"))
        .await
        .invalid("show_id");
    let metrics = send(gateway.get("/metrics")).await.text();
    assert!(metrics.contains(r#"gateway_rate_limited_total{class="browsing",by="address"}"#));
}

#[tokio::test]
async fn households_of_ipv6_are_counted_as_one() {
    let gateway = gateway(|config| config.rate_limits.address_browsing = 1).await;
    let ask = |from: &str| {
        gateway
            .get("/api/v1/nothing")
            .header("x-forwarded-for", from)
    };
    send(ask("2001:db8:1:2::1")).await.error(404, "NOT_FOUND");
    send(ask("2001:db8:1:2:ffff::"))
        .await
        .error(429, "RATE_LIMITED");
    send(ask("2001:db8:1:3::1")).await.error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_header_of_somebody_who_is_no_proxy_of_ours_says_nothing() {
    let gateway = gateway(|config| {
        config.trusted_proxies = Vec::new();
        config.rate_limits.address_browsing = 1;
    })
    .await;
    let ask = |from: &str| {
        gateway
            .get("/api/v1/nothing")
            .header("x-forwarded-for", from)
    };
    send(ask("198.51.100.7")).await.error(404, "NOT_FOUND");
    send(ask("198.51.100.8")).await.error(429, "RATE_LIMITED");
}

#[tokio::test]
async fn an_account_that_asks_too_often_is_told_to_wait_from_wherever_it_asks() {
    let gateway = gateway(|config| config.rate_limits.user_personal = 2).await;
    let ask = |from: &str| {
        let request = gateway.as_customer(Method::GET, "/api/v1/me");
        request.header("x-forwarded-for", from)
    };
    let answer = send(ask("198.51.100.1")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"personal-address\";q=1000;w=3600, \"personal-user\";q=2;w=3600")
    );
    assert_eq!(send(ask("198.51.100.2")).await.status, 200);
    let refused = send(ask("198.51.100.3")).await;
    refused.error(429, "RATE_LIMITED");
    assert!(refused.header("retry-after").is_some());
    let said = refused.header("ratelimit").unwrap();
    assert!(said.contains("\"personal-user\";r=0;t="), "{said}");
    // A token that doesn't count is nobody's.
    let nobody = gateway.get("/api/v1/me").bearer_auth("x");
    send(nobody).await.error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn answers_that_caches_keep_say_nothing_of_who_asked_first() {
    let gateway = gateway(|_| {}).await;
    let answer = send(gateway.get("/api/v1/events")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("ratelimit"), None);
    assert_eq!(answer.header("ratelimit-policy"), None);
}

#[tokio::test]
async fn health_and_webhooks_are_not_limited_and_all_is_off_where_that_is_configured() {
    let strict = |config: &mut Config| {
        config.rate_limits.address_browsing = 1;
        config.rate_limits.address_sign_in = 1;
        config.rate_limits.address_personal = 1;
    };
    let gateway = gateway(strict).await;
    gateway
        .backend
        .on("receive_webhook", |_: payment::ReceiveWebhookRequest| {
            Ok(payment::ReceiveWebhookResponse::default())
        });
    for _ in 0..3 {
        assert_eq!(send(gateway.get("/healthz")).await.status, 200);
        let webhook = gateway.post("/api/v1/payments/webhooks/sandbox").body("x");
        assert_eq!(send_unchecked(webhook).await.status, 204);
    }
    let off = Gateway::start_with(|config| {
        config.rate_limits.unlimited = Vec::new();
        strict(config);
        config.rate_limits.enabled = false;
    })
    .await;
    for _ in 0..3 {
        let answer = send(off.get("/nothing")).await;
        answer.error(404, "NOT_FOUND");
        assert_eq!(answer.header("ratelimit"), None);
    }
}

#[tokio::test]
async fn programs_of_the_machine_itself_are_not_limited_by_address_unless_that_is_configured() {
    let gateway = Gateway::start_with(|config| config.rate_limits.address_browsing = 1).await;
    for _ in 0..3 {
        send(gateway.get("/nothing")).await.error(404, "NOT_FOUND");
    }
}
