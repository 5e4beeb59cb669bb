//! How payments end when nobody simply pays.

use std::time::Duration;

use holdfast_proto::events::v1;
use sqlx::PgPool;

use crate::system::{System, until};

#[sqlx::test(migrations = false)]
async fn an_ended_booking_cancels_its_session(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.end(booking_id).await;
    system.end(booking_id).await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    system.caught_up().await;
    assert_eq!(system.payments(booking_id).await[0].state, "CANCELLED");
    system.press(&url, &[("action", "pay")]).await;
    assert_eq!(
        system.count("SELECT count(*) FROM sandbox.charges").await,
        0
    );
    assert_eq!(system.tally(booking_id).await["PaymentFailed"], 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn paid_against_cancelled_ends_as_the_provider_says(pool: PgPool) {
    const RACES: usize = 12;
    let system = System::start(&pool).await;
    let mut races = Vec::new();
    for _ in 0..RACES {
        races.push(system.book_to_pay().await);
    }
    for (nth, (booking_id, url)) in races.iter().enumerate() {
        let pay = async {
            // Spread over what the cancelling takes, so that both win some.
            tokio::time::sleep(Duration::from_millis(nth as u64 * 2)).await;
            system.press(url, &[("action", "pay")]).await;
        };
        tokio::join!(pay, system.end(*booking_id));
    }
    system.caught_up().await;
    let mut paid = 0;
    for (booking_id, url) in &races {
        until("an end", async || {
            system.all_told(*booking_id).await.len() == 2
        })
        .await;
        let session_id = url.rsplit('/').next().unwrap();
        let status: String =
            sqlx::query_scalar("SELECT status FROM sandbox.sessions WHERE session_id = $1")
                .bind(session_id)
                .fetch_one(&pool)
                .await
                .unwrap();
        let (state, event) = match status.as_str() {
            "PAID" => ("SUCCEEDED", "PaymentSucceeded"),
            _ => ("CANCELLED", "PaymentFailed"),
        };
        assert_eq!(system.payments(*booking_id).await[0].state, state);
        assert_eq!(system.tally(*booking_id).await.get(event), Some(&1));
        paid += i64::from(status == "PAID");
    }
    assert_eq!(
        system.count("SELECT count(*) FROM sandbox.charges").await,
        paid
    );
    assert_eq!(
        system.count("SELECT count(*) FROM payment.journal").await,
        paid
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_booking_that_was_paid_before_it_ended_stays_paid(pool: PgPool) {
    let system = System::start(&pool).await;
    system.lose_webhooks(true);
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    system.end(booking_id).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.payments(booking_id).await[0].state, "SUCCEEDED");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_slow_payment_under_way_is_not_cancelled_and_its_money_is_told(pool: PgPool) {
    let mut system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system
        .press(&url, &[("action", "pay"), ("delay_s", "600")])
        .await;
    system.end(booking_id).await;
    system.caught_up().await;
    assert_eq!(
        system.payments(booking_id).await[0].state,
        "SESSION_CREATED"
    );
    // The provider remembers over a restart, during which its time comes.
    system.stop_sandbox().await;
    system
        .execute("UPDATE sandbox.sessions SET settles_at = now()")
        .await;
    system.start_sandbox().await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.tally(booking_id).await.get("PaymentFailed"), None);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_slow_payment_can_fail_in_the_end(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system
        .press(&url, &[("action", "decline"), ("delay_s", "0.1")])
        .await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    assert_eq!(system.payments(booking_id).await[0].state, "FAILED");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_declined_try_leaves_the_session_open(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "decline")]).await;
    let page = system
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("role=\"alert\"") && page.contains("<button"),
        "{page}"
    );
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.tally(booking_id).await.get("PaymentFailed"), None);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_session_ends_at_its_time(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    assert_eq!(
        system.payments(booking_id).await[0].state,
        "SESSION_CREATED"
    );
    system
        .execute("UPDATE sandbox.sessions SET expires_at = now()")
        .await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    system.press(&url, &[("action", "pay")]).await;
    assert_eq!(
        system.count("SELECT count(*) FROM sandbox.charges").await,
        0
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_session_that_the_provider_forgot_is_over_and_parks_nothing(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, _) = system.book_to_pay().await;
    system.execute("DELETE FROM sandbox.sessions").await;
    system.end(booking_id).await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    system.caught_up().await;
    assert_eq!(system.payments(booking_id).await[0].state, "CANCELLED");
    assert_eq!(holdfast_eventlog::parked(&pool).await.unwrap(), []);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_refused_cancel_is_settled_by_how_the_session_stands(pool: PgPool) {
    let system = System::start(&pool).await;
    system.lose_webhooks(true);
    system.refuse(true);
    let (paid, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let (open, _) = system.book_to_pay().await;
    system.end(paid).await;
    system.end(open).await;
    let _: v1::PaymentSucceeded = system.told(paid, "PaymentSucceeded").await;
    system.caught_up().await;
    assert_eq!(system.payments(open).await[0].state, "SESSION_CREATED");
    assert_eq!(holdfast_eventlog::parked(&pool).await.unwrap(), []);
    system.stop().await;
}
