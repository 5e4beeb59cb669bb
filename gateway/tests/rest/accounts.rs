//! An account's letters, password and sign-ins; and where a request came from.

use holdfast_mesh::Failure;
use holdfast_proto::identity::v1 as pb;
use holdfast_types::ErrorCode;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::setup::{Answer, Gateway, send, user};

async fn gateway() -> Gateway {
    let gateway = Gateway::start().await;
    let backend = &gateway.backend;
    backend.on("verify_email", |request: pb::VerifyEmailRequest| {
        if request.token == "good" {
            let email = "ada@example.org".to_owned();
            return Ok(pb::VerifyEmailResponse { email });
        }
        let refused = Failure::new(ErrorCode::InvalidRequest, "token: was used");
        Err(refused.and_field("token", "was used").into())
    });
    backend.on("resend_verification", |_: pb::ResendVerificationRequest| {
        Ok(pb::ResendVerificationResponse {})
    });
    backend.on(
        "request_password_reset",
        |_: pb::RequestPasswordResetRequest| Ok(pb::RequestPasswordResetResponse {}),
    );
    backend.on("reset_password", |_: pb::ResetPasswordRequest| {
        Ok(pb::ResetPasswordResponse {})
    });
    backend.on("change_password", |request: pb::ChangePasswordRequest| {
        if request.old_password == "correct horse" {
            return Ok(pb::ChangePasswordResponse {});
        }
        Err(Failure::new(ErrorCode::Forbidden, "the password is wrong").into())
    });
    backend.on("list_sessions", |_: pb::ListSessionsRequest| {
        let session = pb::Session {
            session_id: user().to_bytes().to_vec(),
            created_at_ms: 1_784_138_400_250,
            last_used_at_ms: 1_784_138_400_250,
            expires_at_ms: 1_784_138_400_250,
            client_address: String::new(),
            current: true,
        };
        let there = pb::Session {
            client_address: "192.0.2.1".to_owned(),
            current: false,
            ..session.clone()
        };
        let sessions = vec![session, there];
        Ok(pb::ListSessionsResponse { sessions })
    });
    backend.on("end_session", |_: pb::EndSessionRequest| {
        Ok(pb::EndSessionResponse {})
    });
    backend.on("end_all_sessions", |_: pb::EndAllSessionsRequest| {
        Ok(pb::EndAllSessionsResponse {})
    });
    gateway
}

async fn post(gateway: &Gateway, path: &str, body: serde_json::Value) -> Answer {
    send(gateway.post(path).json(&body)).await
}

#[tokio::test]
async fn letters_are_asked_for_and_answered() {
    let gateway = gateway().await;
    let good = post(&gateway, "/api/v1/auth/verify", json!({"token": "good"})).await;
    assert_eq!(
        (good.status, good.json()),
        (200, json!({"email": "ada@example.org"}))
    );
    let bad = post(&gateway, "/api/v1/auth/verify", json!({"token": "bad"})).await;
    let bad = bad.error(400, "INVALID_REQUEST");
    assert_eq!(bad["details"]["fields"][0]["message"], "was used");
    let address = json!({"email": "ada@example.org"});
    for path in ["/api/v1/auth/verify/resend", "/api/v1/auth/password/forgot"] {
        let answer = post(&gateway, path, address.clone()).await;
        assert_eq!((answer.status, answer.bytes.len()), (202, 0), "{path}");
        post(&gateway, path, json!({}))
            .await
            .error(400, "INVALID_REQUEST");
    }
    let new = json!({"token": "t", "password": "battery staple"});
    let answer = post(&gateway, "/api/v1/auth/password/reset", new).await;
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));
}

#[tokio::test]
async fn a_password_is_changed_and_sign_ins_are_listed_and_ended() {
    let gateway = gateway().await;
    let ask = |method, path: &str| gateway.as_customer(method, path);
    let change = |old: &str| {
        let body = json!({"old_password": old, "new_password": "battery staple"});
        ask(Method::POST, "/api/v1/me/password").json(&body)
    };
    assert_eq!(send(change("correct horse")).await.status, 204);
    send(change("wrong")).await.error(403, "FORBIDDEN");
    let listed = send(ask(Method::GET, "/api/v1/me/sessions")).await.json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items[0]["current"], true);
    assert!(items[0].get("client_address").is_none());
    assert_eq!(items[1]["client_address"], "192.0.2.1");
    let one = format!("/api/v1/me/sessions/{}", user());
    assert_eq!(send(ask(Method::DELETE, &one)).await.status, 204);
    let none = ask(Method::DELETE, "/api/v1/me/sessions/x");
    send(none).await.error(400, "INVALID_REQUEST");
    assert_eq!(
        send(ask(Method::DELETE, "/api/v1/me/sessions"))
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn a_service_is_told_the_address_that_counts_and_no_client_can_say_another() {
    let gateway = gateway().await;
    let lying = |request: RequestBuilder| {
        request
            .header("holdfast-client-address", "198.51.100.7")
            .header("x-forwarded-for", "198.51.100.7")
    };
    let body = json!({"token": "good"});
    send(lying(gateway.post("/api/v1/auth/verify").json(&body))).await;
    send(lying(
        gateway.as_customer(Method::DELETE, "/api/v1/me/sessions"),
    ))
    .await;
    let seen = gateway.backend.take_seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.header("holdfast-client-address"), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn ten_megabytes_of_password_reach_no_service() {
    let gateway = gateway().await;
    let long = "a".repeat(10 * 1024 * 1024);
    for path in [
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/session",
    ] {
        let body = json!({"email": "ada@example.org", "password": long});
        let request = gateway.post(path).header("sec-fetch-site", "same-origin");
        send(request.json(&body))
            .await
            .error(413, "PAYLOAD_TOO_LARGE");
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn opening_a_link_changes_nothing_and_its_button_does() {
    let gateway = gateway().await;
    let page = send(gateway.get("/account/verify?token=%22%3E%3Cscript%3E")).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let text = page.text();
    assert!(
        text.contains("value=\"&quot;&gt;&lt;script&gt;\""),
        "{text}"
    );
    assert!(!text.contains("<script"), "{text}");
    for path in ["/account/reset?token=t", "/account/forgot"] {
        let page = send(gateway.get(path)).await;
        assert!(page.status == 200 && !page.text().contains("://"), "{path}");
    }
    assert!(
        gateway.backend.take_seen().is_empty(),
        "links are opened by programs, too"
    );

    let fill = |path: &str, fields: &[(&str, &str)]| gateway.post(path).form(fields);
    let done = send(fill("/account/verify", &[("token", "good")])).await;
    assert_eq!(done.status, 200);
    assert!(
        done.text().contains("ada@example.org is confirmed"),
        "{}",
        done.text()
    );
    let used = send(fill("/account/verify", &[("token", "bad")])).await;
    assert_eq!(used.status, 400);
    assert!(used.text().contains("token: was used"), "{}", used.text());
    let set = [("token", "t"), ("password", "battery staple")];
    assert_eq!(send(fill("/account/reset", &set)).await.status, 200);
    let asked = send(fill("/account/forgot", &[("email", "ada@example.org")])).await;
    assert_eq!(asked.status, 202);
    assert_eq!(
        send(fill("/account/reset", &[("token", "t")])).await.status,
        400
    );
    let seen = gateway.backend.take_seen();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method).collect();
    let forms = [
        "verify_email",
        "verify_email",
        "reset_password",
        "request_password_reset",
    ];
    assert_eq!(methods, forms);
}
