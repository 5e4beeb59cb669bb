//! Sessions of browsers: tokens in cookies, and who may use them.

use gateway::Config;
use holdfast_mesh::Failure;
use holdfast_proto::{booking::v1 as booking, identity::v1 as identity};
use holdfast_types::ErrorCode;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::setup::{Answer, Gateway, send, token, user};

const OWN: &str = "https://tickets.example";
const SHOP: &str = "https://shop.tickets.example";
const EVIL: &str = "https://evil.example";

async fn gateway() -> Gateway {
    let gateway = Gateway::start_with(|config: &mut Config| {
        config.public_url = OWN.to_owned();
        config.cors_origins = vec![SHOP.to_owned()];
    })
    .await;
    let backend = &gateway.backend;
    backend.on("login", |_: identity::LoginRequest| {
        Ok(identity::LoginResponse {
            tokens: tokens("r1"),
        })
    });
    backend.on("refresh", |request: identity::RefreshRequest| {
        if request.refresh_token == "r1" {
            Ok(identity::RefreshResponse {
                tokens: tokens("r2"),
            })
        } else {
            Err(Failure::new(ErrorCode::Unauthorized, "no").into())
        }
    });
    backend.on("logout", |_: identity::LogoutRequest| {
        Ok(identity::LogoutResponse {})
    });
    backend.on("get_me", |_: identity::GetMeRequest| {
        Ok(identity::GetMeResponse {
            user_id: user().to_bytes().to_vec(),
            ..Default::default()
        })
    });
    backend.on("release_hold", |_: booking::ReleaseHoldRequest| {
        Ok(booking::ReleaseHoldResponse::default())
    });
    gateway
}

fn tokens(refresh: &str) -> Option<identity::Tokens> {
    Some(identity::Tokens {
        access_token: token(),
        refresh_token: refresh.to_owned(),
        expires_in_s: 900,
    })
}

/// As the gateway's own page sends it.
fn ours(request: RequestBuilder) -> RequestBuilder {
    request
        .header("sec-fetch-site", "same-origin")
        .header("origin", OWN)
}

fn credentials() -> serde_json::Value {
    json!({"email": "ada@example.org", "password": "correct horse"})
}

/// Name, value and attributes of each cookie that is set.
fn set(answer: &Answer) -> Vec<(String, String, String)> {
    let lines = answer.headers.get_all("set-cookie").iter();
    let cookies = lines.map(|line| {
        let (pair, attributes) = line.to_str().unwrap().split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.to_owned(), attributes.to_owned())
    });
    cookies.collect()
}

#[tokio::test]
async fn a_browser_signs_in_uses_renews_and_ends_its_session() {
    let gateway = gateway().await;
    let answer = send(ours(gateway.post("/api/v1/auth/session")).json(&credentials())).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"expires_in": 900}))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let cookies = set(&answer);
    let kept = "Path=/; Secure; HttpOnly; SameSite=Lax";
    assert_eq!(cookies.len(), 2);
    let (name, access, attributes) = &cookies[0];
    assert_eq!(name, "__Host-holdfast-access");
    assert_eq!(attributes, &format!("Max-Age=900; {kept}"));
    let (name, refresh, attributes) = &cookies[1];
    assert_eq!(
        (name.as_str(), refresh.as_str()),
        ("__Host-holdfast-refresh", "r1")
    );
    assert_eq!(attributes, &format!("Max-Age=2592000; {kept}"));

    let sent = format!("other=1; __Host-holdfast-access={access}; __Host-holdfast-refresh=r1");
    let me = gateway.get("/api/v1/me").header("cookie", &sent);
    assert_eq!(send(me).await.status, 200);
    let release = gateway.request(Method::DELETE, "/api/v1/holds/h_1");
    assert_eq!(
        send(ours(release).header("cookie", &sent)).await.status,
        204
    );
    let authorization = format!("Bearer {access}");
    for seen in &gateway.backend.take_seen()[1..] {
        assert_eq!(seen.header("authorization"), Some(authorization.as_str()));
    }

    let refresh = ours(gateway.post("/api/v1/auth/session/refresh"));
    let answer = send(refresh.header("cookie", &sent)).await;
    assert_eq!((answer.status, set(&answer)[1].1.as_str()), (200, "r2"));

    let end = ours(gateway.request(Method::DELETE, "/api/v1/auth/session"));
    let answer = send(end.header("cookie", "__Host-holdfast-refresh=r2")).await;
    assert_eq!(answer.status, 204);
    for (_, value, attributes) in set(&answer) {
        assert_eq!(
            (value.as_str(), attributes),
            ("", format!("Max-Age=0; {kept}"))
        );
    }
    let seen = gateway.backend.take_seen();
    let logout = seen.last().unwrap().message::<identity::LogoutRequest>();
    assert_eq!(logout.refresh_token, "r2");
}

#[tokio::test]
async fn a_session_that_is_over_is_taken_away() {
    let gateway = gateway().await;
    let refresh = || ours(gateway.post("/api/v1/auth/session/refresh"));
    send(refresh()).await.error(401, "UNAUTHORIZED");
    let answer = send(refresh().header("cookie", "__Host-holdfast-refresh=stolen")).await;
    answer.error(401, "UNAUTHORIZED");
    assert!(set(&answer).iter().all(|(_, value, _)| value.is_empty()));
    assert_eq!(set(&answer).len(), 2);
    // Nobody was signed in.
    let end = ours(gateway.request(Method::DELETE, "/api/v1/auth/session"));
    let answer = send(end).await;
    assert_eq!((answer.status, set(&answer).len()), (204, 2));
    let methods: Vec<_> = gateway
        .backend
        .take_seen()
        .iter()
        .map(|s| s.method)
        .collect();
    assert_eq!(methods, ["refresh"]);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_with_a_session() {
    let gateway = gateway().await;
    let cookies = format!(
        "__Host-holdfast-access={}; __Host-holdfast-refresh=r1",
        token()
    );
    let attempts: [&[(&str, &str)]; 7] = [
        // What says nothing of where it comes from: no browser, or one that is too old.
        &[],
        &[("sec-fetch-site", "cross-site"), ("origin", EVIL)],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.tickets.example"),
        ],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("origin", EVIL)],
        &[("origin", "http://tickets.example")],
        // A form, whose browser sends no Origin.
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ],
    ];
    let targets = [
        (Method::POST, "/api/v1/auth/session"),
        (Method::POST, "/api/v1/auth/session/refresh"),
        (Method::DELETE, "/api/v1/auth/session"),
        (Method::DELETE, "/api/v1/holds/h_1"),
        (
            Method::POST,
            "/api/v1/bookings/00000000-0000-4000-8000-000000000001/cancel",
        ),
        (Method::POST, "/api/v1/holds"),
    ];
    for headers in attempts {
        for (method, path) in &targets {
            let mut request = gateway
                .request(method.clone(), path)
                .header("cookie", &cookies);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.header("idempotency-key", "k");
            let answer = send(request.json(&credentials())).await;
            answer.error(403, "FORBIDDEN");
            assert!(set(&answer).is_empty(), "{headers:?} {path}");
        }
    }
    assert!(gateway.backend.take_seen().is_empty());
    // A token in the header is nobody's browser's doing.
    let release = gateway.as_customer(Method::DELETE, "/api/v1/holds/h_1");
    assert_eq!(send(release.header("cookie", &cookies)).await.status, 204);
    // And where there is one, the cookie isn't looked at.
    let both = gateway
        .get("/api/v1/me")
        .header("cookie", &cookies)
        .bearer_auth("x");
    send(both).await.error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_configured_origin_of_the_same_site_uses_a_session_and_reads_the_answers() {
    let gateway = gateway().await;
    let preflight = |origin: &str, method: &Method| {
        let request = gateway.request(Method::OPTIONS, "/api/v1/holds/h_1");
        let request = request.header("origin", origin);
        request.header("access-control-request-method", method.as_str())
    };
    let answer = send(preflight(SHOP, &Method::DELETE)).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP));
    assert_eq!(
        answer.header("access-control-allow-credentials"),
        Some("true")
    );
    // Nobody else, and never all.
    for origin in [EVIL, "null", "*"] {
        let answer = send(preflight(origin, &Method::DELETE)).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{origin}"
        );
    }
    // Every method that there is.
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    for operations in document["paths"].as_object().unwrap().values() {
        for method in operations.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = send(preflight(SHOP, &method)).await;
            let allowed = answer.header("access-control-allow-methods").unwrap();
            assert!(allowed.contains(method.as_str()), "{method}: {allowed}");
        }
    }
    let cookies = format!("__Host-holdfast-access={}", token());
    let release = gateway.request(Method::DELETE, "/api/v1/holds/h_1");
    let release = release.header("cookie", cookies).header("origin", SHOP);
    let answer = send(release.header("sec-fetch-site", "same-site")).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP));
    assert!(answer.header("vary").unwrap().contains("origin"));
}

#[tokio::test]
async fn browsers_are_told_to_come_by_tls_only_where_it_stands_in_front() {
    let hsts = async |public_url: &str| {
        let gateway = Gateway::start_with(|config| config.public_url = public_url.to_owned()).await;
        let answer = send(gateway.get("/")).await;
        answer
            .header("strict-transport-security")
            .map(str::to_owned)
    };
    assert_eq!(hsts(OWN).await.as_deref(), Some("max-age=31536000"));
    assert_eq!(hsts("http://tickets.example").await, None);
    assert_eq!(hsts("").await, None);
}
