//! Accounts and tokens.

use holdfast_proto::identity::v1 as pb;
use reqwest::Method;
use serde_json::json;

use crate::setup::{Gateway, KEY, KEY_ID, OTHER_KEY, send, token, token_with, user};

#[tokio::test]
async fn every_personal_route_refuses_a_request_without_a_token() {
    let gateway = Gateway::start().await;
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut personal = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["security"] == json!([]) {
                continue;
            }
            personal += 1;
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = send(gateway.request(method, path)).await;
            answer.error(401, "UNAUTHORIZED");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
        }
    }
    assert_eq!(personal, 72);
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn expired_forged_and_foreign_tokens_are_refused_alike() {
    let gateway = Gateway::start().await;
    let mut altered = token();
    altered.insert(altered.find('.').unwrap() + 2, 'A');
    let unsigned = "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.eyJzdWIiOiJ4In0.";
    let tokens = [
        token_with(KEY, KEY_ID, -60),
        token_with(OTHER_KEY, KEY_ID, 900),
        token_with(OTHER_KEY, "k2", 900),
        altered,
        unsigned.to_owned(),
        "x".to_owned(),
        "é".to_owned(),
    ];
    for token in tokens {
        let answer = send(
            gateway
                .get("/api/v1/me")
                .header("authorization", format!("Bearer {token}")),
        )
        .await;
        let body = answer.error(401, "UNAUTHORIZED");
        assert!(body["details"].as_object().unwrap().is_empty());
    }
    for header in ["", "Bearer", "Bearer ", "Basic YTpi", token().as_str()] {
        send(gateway.get("/api/v1/me").header("authorization", header))
            .await
            .error(401, "UNAUTHORIZED");
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn a_good_token_goes_on_to_the_service() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_me", |_: pb::GetMeRequest| {
        Ok(pb::GetMeResponse {
            user_id: user().to_bytes().to_vec(),
            email: "ada@example.org".to_owned(),
            roles: vec!["customer".to_owned()],
            created_at_ms: 1_784_138_400_250,
            email_verified: true,
        })
    });
    let token = token();
    let answer = send(gateway.get("/api/v1/me").bearer_auth(&token)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.json(),
        json!({
            "user_id": user().to_string(),
            "email": "ada@example.org",
            "roles": ["customer"],
            "created_at": "2026-07-15T18:00:00.250Z",
            "email_verified": true,
        })
    );
    let seen = gateway.backend.take_seen();
    assert_eq!(
        seen[0].header("authorization"),
        Some(format!("Bearer {token}").as_str())
    );
}

#[tokio::test]
async fn sign_in_is_unavailable_while_the_keys_cannot_be_had() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_jwks", |_: pb::GetJwksRequest| {
        Err::<pb::GetJwksResponse, _>(tonic::Status::unavailable("down"))
    });
    let answer = send(gateway.as_customer(Method::GET, "/api/v1/me")).await;
    answer.error(503, "UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn an_account_is_made_and_signed_in_and_out() {
    let gateway = Gateway::start().await;
    let tokens = || {
        Some(pb::Tokens {
            access_token: "a".to_owned(),
            refresh_token: "r".to_owned(),
            expires_in_s: 900,
        })
    };
    gateway
        .backend
        .on("register", |request: pb::RegisterRequest| {
            Ok(pb::RegisterResponse {
                user_id: user().to_bytes().to_vec(),
                email: request.email,
            })
        });
    gateway.backend.on("login", move |_: pb::LoginRequest| {
        Ok(pb::LoginResponse { tokens: tokens() })
    });
    gateway.backend.on("refresh", move |_: pb::RefreshRequest| {
        Ok(pb::RefreshResponse { tokens: tokens() })
    });
    gateway
        .backend
        .on("logout", |_: pb::LogoutRequest| Ok(pb::LogoutResponse {}));

    let credentials = json!({"email": "ada@example.org", "password": "correct horse"});
    let answer = send(gateway.post("/api/v1/auth/register").json(&credentials)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.json(),
        json!({"user_id": user().to_string(), "email": "ada@example.org"})
    );

    let pair = json!({"access_token": "a", "refresh_token": "r", "expires_in": 900});
    let answer = send(gateway.post("/api/v1/auth/login").json(&credentials)).await;
    assert_eq!((answer.status, answer.json()), (200, pair.clone()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let refresh = json!({"refresh_token": "r"});
    let answer = send(gateway.post("/api/v1/auth/refresh").json(&refresh)).await;
    assert_eq!((answer.status, answer.json()), (200, pair));

    let answer = send(gateway.post("/api/v1/auth/logout").json(&refresh)).await;
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));

    let seen = gateway.backend.take_seen();
    assert_eq!(
        seen[1].message::<pb::LoginRequest>().password,
        "correct horse"
    );
    assert_eq!(seen[3].message::<pb::LogoutRequest>().refresh_token, "r");
}

#[tokio::test]
async fn keys_of_tokens_are_where_programs_look_for_them() {
    let gateway = Gateway::start().await;
    let path = "/.well-known/jwks.json";
    let answer = send(gateway.get(path)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    // As long as our own services keep them: a new key signs after twice that.
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    let token = token();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(keys[0]["kid"].as_str(), header.kid.as_deref());
    let tag = answer.header("etag").unwrap();
    let known = send(gateway.get(path).header("if-none-match", tag)).await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    gateway.backend.on("get_jwks", |_: pb::GetJwksRequest| {
        Err::<pb::GetJwksResponse, _>(tonic::Status::unavailable("down"))
    });
    send(gateway.get(path)).await.error(503, "UNAVAILABLE");
}
