//! The sandbox provider's own manners.

use axum::http::StatusCode;
use holdfast_proto::events::v1;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::system::{API_KEY, System, in_ms, until};

async fn post(system: &System, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
    let answer = system
        .http
        .post(format!("http://{}{path}", system.sandbox_address))
        .bearer_auth(API_KEY)
        .header("idempotency-key", key)
        .json(body)
        .send()
        .await
        .unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn session(amount: i64) -> Value {
    json!({
        "amount": amount, "currency": "EUR", "description": "d", "reference": "r",
        "expires_at_ms": in_ms(std::time::Duration::from_secs(60)),
    })
}

#[sqlx::test(migrations = false)]
async fn an_idempotency_key_opens_one_session(pool: PgPool) {
    let system = System::start(&pool).await;
    let body = session(100);
    let (status, first) = post(&system, "/v1/sessions", "k", &body).await;
    assert_eq!(
        (status, first["status"].as_str()),
        (StatusCode::OK, Some("open"))
    );
    assert_eq!(
        post(&system, "/v1/sessions", "k", &body).await,
        (StatusCode::OK, first)
    );
    let (status, refusal) = post(&system, "/v1/sessions", "k", &session(101)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refusal["code"], "idempotency_key_reused");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refunds_need_money_and_a_key_sends_one(pool: PgPool) {
    let system = System::start(&pool).await;
    let (_, opened) = post(&system, "/v1/sessions", "k", &session(100)).await;
    let refund = json!({ "session_id": opened["id"], "amount": 60 });
    let (status, _) = post(&system, "/v1/refunds", "r1", &refund).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "not paid yet");
    system
        .press(opened["url"].as_str().unwrap(), &[("action", "pay")])
        .await;
    let (status, first) = post(&system, "/v1/refunds", "r1", &refund).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        post(&system, "/v1/refunds", "r1", &refund).await,
        (StatusCode::OK, first)
    );
    let (status, _) = post(&system, "/v1/refunds", "r2", &refund).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "40 are left");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refunds_at_once_send_no_more_than_came_in(pool: PgPool) {
    let system = System::start(&pool).await;
    let (_, opened) = post(&system, "/v1/sessions", "k", &session(100)).await;
    system
        .press(opened["url"].as_str().unwrap(), &[("action", "pay")])
        .await;
    // Both have looked for the session and wait for it when it is free.
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM sandbox.sessions FOR UPDATE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let refund = json!({ "session_id": opened["id"], "amount": 60 });
    let unlock = async {
        until("both refunds to wait", async || {
            system
                .count(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'",
                )
                .await
                == 2
        })
        .await;
        lock.rollback().await.unwrap();
    };
    let (first, second, ()) = tokio::join!(
        post(&system, "/v1/refunds", "r1", &refund),
        post(&system, "/v1/refunds", "r2", &refund),
        unlock,
    );
    let mut answers = [first.0, second.0];
    answers.sort();
    assert_eq!(
        answers,
        [StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY],
        "40 are left"
    );
    assert_eq!(system.count("SELECT amount FROM sandbox.refunds").await, 60);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn bad_calls_are_refused_and_change_nothing(pool: PgPool) {
    let system = System::start(&pool).await;
    let base = format!("http://{}", system.sandbox_address);
    let answer = system
        .http
        .get(format!("{base}/v1/sessions/x"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let request = system
        .http
        .get(format!("{base}/v1/sessions/x"))
        .bearer_auth("wrong");
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let request = system
        .http
        .get(format!("{base}/v1/sessions/x"))
        .bearer_auth(API_KEY);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    for (key, body) in [
        ("", session(1)),
        ("k", session(0)),
        ("k", json!({})),
        ("k", json!({ "amount": "1" })),
    ] {
        let (status, _) = post(&system, "/v1/sessions", key, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{key:?} {body}");
    }
    let mut late = session(1);
    late["expires_at_ms"] = json!(1);
    let (status, _) = post(&system, "/v1/sessions", "k", &late).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        system.count("SELECT count(*) FROM sandbox.sessions").await,
        0
    );

    let (_, opened) = post(&system, "/v1/sessions", "k", &session(1)).await;
    let url = opened["url"].as_str().unwrap();
    for form in [
        &[("action", "steal")][..],
        &[][..],
        &[("action", "pay"), ("delay_s", "-1")][..],
    ] {
        let answer = system.http.post(url).form(form).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{form:?}");
    }
    let answer = system
        .http
        .get(format!("{base}/pay/nowhere"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        system
            .count("SELECT count(*) FROM sandbox.sessions WHERE status = 'OPEN'")
            .await,
        1
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_webhook_is_sent_again_until_it_is_taken(pool: PgPool) {
    let mut system = System::start(&pool).await;
    system.lose_webhooks(true);
    let (_, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    until("a failed try", async || {
        system
            .count("SELECT count(*) FROM sandbox.webhook_deliveries WHERE last_error IS NOT NULL")
            .await
            == 1
    })
    .await;
    system.stop_sandbox().await;
    system.lose_webhooks(false);
    system.start_sandbox().await;
    until("the webhook, from the provider's next life", async || {
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await
            == 1
    })
    .await;
    assert!(
        system
            .count("SELECT attempts::bigint FROM sandbox.webhook_deliveries")
            .await
            > 1
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn ids_that_were_never_given_lead_nowhere(pool: PgPool) {
    let system = System::start(&pool).await;
    let base = format!("http://{}", system.sandbox_address);
    for id in [
        "%00",
        "cs_%00",
        "cs_0123456789abcdef0123456789abcde%00",
        "%C3%A4",
    ] {
        let shown = system.http.get(format!("{base}/pay/{id}")).send().await;
        assert_eq!(shown.unwrap().status(), StatusCode::NOT_FOUND, "{id}");
        let asked = system.http.get(format!("{base}/v1/sessions/{id}"));
        let asked = asked.bearer_auth(API_KEY).send().await;
        assert_eq!(asked.unwrap().status(), StatusCode::NOT_FOUND, "{id}");
    }
    let refund = json!({ "session_id": "\0", "amount": 1 });
    let (status, _) = post(&system, "/v1/refunds", "r", &refund).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let mut with_nul = session(1);
    with_nul["description"] = json!("\0");
    let (status, _) = post(&system, "/v1/sessions", "k", &with_nul).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn while_the_database_is_away_the_provider_says_try_again(pool: PgPool) {
    let system = System::start(&pool).await;
    let (_, url) = system.book_to_pay().await;
    let id = url.rsplit('/').next().unwrap();
    let api = format!("http://{}/v1/sessions/{id}", system.sandbox_address);
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE sandbox.sessions")
        .execute(&mut *lock)
        .await
        .unwrap();
    for request in [
        system.http.get(&url),
        system.http.post(&url).form(&[("action", "pay")]),
        system.http.get(&api).bearer_auth(API_KEY),
    ] {
        let cut = async {
            loop {
                system.cut_waiting().await;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let answer = tokio::select! {
            answer = request.send() => answer.unwrap(),
            never = cut => never,
        };
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    lock.rollback().await.unwrap();
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_payment_whose_answer_is_lost_and_whose_webhook_is_late_is_found_out_about(pool: PgPool) {
    // The dispute's webhook overtakes that of the payment it is about.
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    let late = [
        ("action", "pay"),
        ("webhook_delay_s", "2"),
        ("lose_answer", "true"),
    ];
    let answer = system.http.post(&url).form(&late).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    system.press(&url, &[("action", "dispute")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(told.amount.unwrap().amount, 2_500);
    until("both webhooks to be delivered", async || {
        system
            .count("SELECT count(*) FROM sandbox.webhook_deliveries WHERE delivered_at IS NULL")
            .await
            == 0
    })
    .await;
    assert_eq!(system.tally(booking_id).await["PaymentSucceeded"], 1);
    let order: Vec<String> =
        sqlx::query_scalar("SELECT event_type FROM payment.webhook_events ORDER BY received_at")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(order, ["session.disputed", "session.paid"]);
    system.stop().await;
}
