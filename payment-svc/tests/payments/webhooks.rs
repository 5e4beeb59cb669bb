//! What the provider tells, twice, forged, late or not at all.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use holdfast_mesh::{
    Failure,
    trace::{self, FutureExt},
};
use holdfast_proto::{
    events::v1,
    payment::v1::{ReceiveWebhookRequest, ReceiveWebhookResponse},
};
use holdfast_types::ErrorCode;
use sha2::Sha256;
use sqlx::PgPool;
use uuid::Uuid;

use crate::system::{System, WEBHOOK_SECRET, until};

/// Signs as the provider does, written down a second time on purpose.
fn sign(body: &[u8], age: Duration) -> String {
    let sent = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        - age;
    let time = sent.as_secs().to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    mac.update([time.as_bytes(), b".", body].concat().as_slice());
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn flip_last_digit(signature: &str) -> String {
    let (start, last) = signature.split_at(signature.len() - 1);
    format!("{start}{}", if last == "0" { "1" } else { "0" })
}

async fn send(
    system: &System,
    provider: &str,
    signature: String,
    body: &[u8],
) -> Result<ReceiveWebhookResponse, ErrorCode> {
    let provider = provider.to_owned();
    let request = ReceiveWebhookRequest {
        provider,
        signature,
        body: body.to_vec(),
    };
    let answer = system.client().await.receive_webhook(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| Failure::from_status(&status).code())
}

#[sqlx::test(migrations = false)]
async fn a_webhook_that_comes_twice_counts_once(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system
        .press(&url, &[("action", "pay"), ("duplicate", "true")])
        .await;
    until("both copies to arrive", async || {
        system
            .count("SELECT count(*) FROM sandbox.webhook_deliveries WHERE delivered_at IS NOT NULL")
            .await
            == 2
    })
    .await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await,
        1
    );
    assert_eq!(system.tally(booking_id).await["PaymentSucceeded"], 1);
    assert_eq!(
        system.count("SELECT count(*) FROM payment.journal").await,
        1
    );

    let body: Vec<u8> = sqlx::query_scalar("SELECT body FROM payment.webhook_events")
        .fetch_one(&pool)
        .await
        .unwrap();
    let again = send(&system, "sandbox", sign(&body, Duration::ZERO), &body).await;
    assert_eq!(again, Ok(ReceiveWebhookResponse { duplicate: true }));
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn forged_and_stale_webhooks_change_nothing(pool: PgPool) {
    let system = System::start(&pool).await;
    system.lose_webhooks(true);
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let body: Vec<u8> = sqlx::query_scalar("SELECT body FROM sandbox.webhook_deliveries")
        .fetch_one(&pool)
        .await
        .unwrap();
    let good = sign(&body, Duration::ZERO);
    let refused = [
        ("no signature", String::new(), body.clone()),
        (
            "another body",
            good.clone(),
            [body.as_slice(), b" "].concat(),
        ),
        ("a wrong signature", flip_last_digit(&good), body.clone()),
        (
            "a stale one",
            sign(&body, Duration::from_secs(3_600)),
            body.clone(),
        ),
    ];
    for (what, signature, body) in refused {
        let answer = send(&system, "sandbox", signature, &body).await;
        assert_eq!(answer, Err(ErrorCode::Unauthorized), "{what}");
    }
    let answer = send(&system, "stripe", good.clone(), &body).await;
    assert_eq!(answer, Err(ErrorCode::NotFound));
    let answer = send(&system, "sandbox", sign(b"{}", Duration::ZERO), b"{}").await;
    assert_eq!(answer, Err(ErrorCode::InvalidRequest));
    assert_eq!(
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await,
        0
    );
    assert_eq!(
        system.payments(booking_id).await[0].state,
        "SESSION_CREATED"
    );

    let answer = send(&system, "sandbox", good, &body).await;
    assert_eq!(answer, Ok(ReceiveWebhookResponse { duplicate: false }));
    assert_eq!(system.payments(booking_id).await[0].state, "SUCCEEDED");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_webhook_about_somebody_elses_payment_is_taken_and_ignored(pool: PgPool) {
    let system = System::start(&pool).await;
    let body = format!(
        r#"{{"id":"evt_1","type":"session.paid","session":{{"id":"cs_1","url":"http://x/",
            "status":"paid","amount":1,"currency":"EUR","reference":"{}","expires_at_ms":1}}}}"#,
        Uuid::new_v4()
    );
    let signature = sign(body.as_bytes(), Duration::ZERO);
    let answer = send(&system, "sandbox", signature, body.as_bytes()).await;
    assert_eq!(answer, Ok(ReceiveWebhookResponse { duplicate: false }));
    assert_eq!(
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await,
        1
    );
    // The relay may have moved what was told.
    assert_eq!(
        system
            .count(
                "SELECT count(*) FROM payment.outbox
                 UNION ALL SELECT count(*) FROM eventlog.events
                 UNION ALL SELECT count(*) FROM payment.payments
                 UNION ALL SELECT count(*) FROM payment.journal"
            )
            .await,
        0
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_lost_webhook_is_found_out_by_asking(pool: PgPool) {
    let system = System::start_asking_after(&pool, 100).await;
    system.lose_webhooks(true);
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await,
        0
    );

    // The webhook that comes after all changes nothing.
    system.lose_webhooks(false);
    until("the late webhook", async || {
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await
            == 1
    })
    .await;
    assert_eq!(system.tally(booking_id).await["PaymentSucceeded"], 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_the_provider_does_not_answer_stays_unknown(pool: PgPool) {
    let mut system = System::start_asking_after(&pool, 50).await;
    let (booking_id, _) = system.book_to_pay().await;
    system.stop_sandbox().await;
    until("several questions", async || {
        system
            .count("SELECT asks::bigint FROM payment.payments")
            .await
            >= 3
    })
    .await;
    assert_eq!(
        system.payments(booking_id).await[0].state,
        "SESSION_CREATED"
    );
    assert_eq!(system.all_told(booking_id).await.len(), 1);
    system.start_sandbox().await;
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn money_that_was_not_asked_for_is_recorded_told_and_can_go_back(pool: PgPool) {
    let system = System::start(&pool).await;
    system.lose_webhooks(true);
    let (booking_id, url) = system.book_to_pay().await;
    // The provider captures EUR 26.00 where 25.00 were asked for.
    system
        .execute("UPDATE sandbox.sessions SET amount = 2600")
        .await;
    system.press(&url, &[("action", "pay")]).await;
    let body: Vec<u8> = sqlx::query_scalar("SELECT body FROM sandbox.webhook_deliveries")
        .fetch_one(&pool)
        .await
        .unwrap();
    let answer = send(&system, "sandbox", sign(&body, Duration::ZERO), &body).await;
    assert_eq!(answer, Ok(ReceiveWebhookResponse { duplicate: false }));
    let captured = v1::Money {
        amount: 2_600,
        currency: "EUR".into(),
    };
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(told.amount, Some(captured.clone()));
    let payment = system.payments(booking_id).await.remove(0);
    assert_eq!(payment.state, "SUCCEEDED");
    assert_eq!((payment.amount, payment.captured), (2_500, 2_600));

    let refund = v1::RefundRequested {
        refund_id: Uuid::new_v4().into_bytes().to_vec(),
        booking_id: booking_id.into_bytes().to_vec(),
        payment_id: told.payment_id,
        amount: Some(captured.clone()),
        reason: "mismatch".into(),
        again: false,
    };
    system.tell(booking_id, "RefundRequested", &refund).await;
    let told: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(told.amount, Some(captured));
    let left = "SELECT coalesce(sum(amount), 0)::bigint FROM payment.entries
                WHERE account = 'provider:sandbox'";
    assert_eq!(system.count(left).await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_webhook_that_meets_a_stopping_database_is_to_be_sent_again(pool: PgPool) {
    let system = System::start(&pool).await;
    let body = format!(
        r#"{{"id":"evt_1","type":"session.paid","session":{{"id":"cs_1","url":"http://x/",
            "status":"paid","amount":1,"currency":"EUR","reference":"{}","expires_at_ms":1}}}}"#,
        Uuid::new_v4()
    );
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE payment.webhook_events")
        .execute(&mut *lock)
        .await
        .unwrap();
    let signature = sign(body.as_bytes(), Duration::ZERO);
    let answer = send(&system, "sandbox", signature, body.as_bytes());
    let cut = async {
        loop {
            system.cut_waiting().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answer = tokio::select! {
        answer = answer => answer,
        never = cut => never,
    };
    assert_eq!(answer, Err(ErrorCode::Unavailable));
    lock.rollback().await.unwrap();
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn old_webhooks_are_forgotten_on_both_sides(pool: PgPool) {
    let mut system = System::start(&pool).await;
    for _ in 0..2 {
        system.book_and_pay().await;
    }
    until("the deliveries to be over", async || {
        system
            .count("SELECT count(*) FROM sandbox.webhook_deliveries WHERE delivered_at IS NOT NULL")
            .await
            == 2
    })
    .await;
    system.stop_payment().await;
    system.stop_sandbox().await;
    system
        .execute(
            "UPDATE payment.webhook_events SET received_at = now() - interval '31 days'
             WHERE event_id = (SELECT min(event_id) FROM payment.webhook_events);
             UPDATE sandbox.webhook_deliveries SET created_at = now() - interval '8 days'
             WHERE delivery_id = (SELECT min(delivery_id) FROM sandbox.webhook_deliveries)",
        )
        .await;
    system.start_sandbox().await;
    system.start_payment().await;
    until("one to be left on each side", async || {
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await
            == 1
            && system
                .count("SELECT count(*) FROM sandbox.webhook_deliveries")
                .await
                == 1
    })
    .await;
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_the_provider_says_goes_on_in_the_trace_that_asked_for_the_payment(pool: PgPool) {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let system = System::start(&pool).await;
    let booked = system
        .book_to_pay()
        .with_context(trace::of_text(Some(PARENT)));
    let (booking_id, url) = booked.await;
    system.press(&url, &[("action", "pay")]).await;
    until("the payment to be told of", async || {
        let traces: Vec<Option<String>> = sqlx::query_scalar(
            "SELECT traceparent FROM eventlog.events
             WHERE key = $1 AND event_type = 'PaymentSucceeded'",
        )
        .bind(booking_id.to_string())
        .fetch_all(&system.pool)
        .await
        .unwrap();
        assert!(traces.iter().all(|trace| trace.as_deref() == Some(PARENT)));
        !traces.is_empty()
    })
    .await;
    system.stop().await;
}
