//! A payer goes to the bank.

use holdfast_proto::events::v1;
use prost::Message;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    refunds::wanted,
    system::{System, until},
};

impl System {
    /// What was told of a booking's dispute, in order.
    async fn told_of_dispute(&self, booking_id: Uuid) -> Vec<String> {
        let told = self.all_told(booking_id).await;
        let told = told.iter().filter(|(event, _)| event == "PaymentDisputed");
        let state = |payload: &[u8]| v1::PaymentDisputed::decode(payload).unwrap().state;
        told.map(|(_, payload)| state(payload)).collect()
    }

    async fn dispute(&self, url: &str, action: &str, states: &[&str], booking_id: Uuid) {
        self.press(url, &[("action", action)]).await;
        until("the dispute to be told", async || {
            self.told_of_dispute(booking_id).await == states
        })
        .await;
    }

    async fn sent_back(&self) -> i64 {
        let sent = "SELECT coalesce(sum(amount), 0)::bigint FROM sandbox.refunds";
        self.count(sent).await
    }

    /// Refunds are tried again until each was, `times` more.
    async fn refunds_are_tried(&self, times: i64) {
        self.execute("UPDATE payment.refunds SET try_at = now(), tries = 0")
            .await;
        for tries in 1..=times {
            let tried = "SELECT coalesce(min(tries), 0)::bigint FROM payment.refunds";
            until("it to be tried", async || self.count(tried).await >= tries).await;
            self.execute("UPDATE payment.refunds SET try_at = now()")
                .await;
        }
    }
}

#[sqlx::test(migrations = false)]
async fn disputed_payment_is_told_of_once_and_its_refund_waits_until_it_is_won(pool: PgPool) {
    let mut system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system
        .press(&url, &[("action", "pay"), ("duplicate", "true")])
        .await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system.dispute(&url, "dispute", &["OPEN"], booking_id).await;
    assert_eq!(system.payments(booking_id).await[0].dispute, "OPEN");

    let refund = wanted(booking_id, &told.payment_id, 2_500);
    for _ in 0..2 {
        system.tell(booking_id, "RefundRequested", &refund).await;
    }
    system.caught_up().await;
    // Neither does the sweep send it, nor a process that starts anew.
    system.refunds_are_tried(2).await;
    system.stop_payment().await;
    system.start_payment().await;
    system.refunds_are_tried(2).await;
    assert_eq!(system.sent_back().await, 0);
    assert_eq!(holdfast_eventlog::parked(&pool).await.unwrap(), []);

    system
        .dispute(&url, "dispute_won", &["OPEN", "WON"], booking_id)
        .await;
    system
        .execute("UPDATE payment.refunds SET try_at = now()")
        .await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.sent_back().await, 2_500);
    let received = "SELECT count(*) FROM payment.webhook_events";
    assert_eq!(system.count(received).await, 3, "each came twice");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn lost_dispute_sends_no_money_twice(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system.dispute(&url, "dispute", &["OPEN"], booking_id).await;
    system
        .dispute(&url, "dispute_lost", &["OPEN", "LOST"], booking_id)
        .await;
    // Decided is decided.
    system.press(&url, &[("action", "dispute_won")]).await;
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    system.refunds_are_tried(2).await;
    assert_eq!(system.sent_back().await, 0);
    assert_eq!(system.told_of_dispute(booking_id).await, ["OPEN", "LOST"]);
    assert_eq!(system.payments(booking_id).await[0].dispute, "LOST");
    let disputes = "holdfast_payment_disputes_total";
    assert_eq!(system.shown(disputes, ""), 2);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn dispute_whose_news_overtakes_the_payments_is_noted_with_the_money(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.lose_webhooks(true);
    system.press(&url, &[("action", "pay")]).await;
    system.press(&url, &[("action", "dispute")]).await;
    // The later one comes first, the earlier long after it.
    system
        .execute(
            "UPDATE sandbox.webhook_deliveries SET next_at = now() + CASE
                 WHEN convert_from(body, 'UTF8') LIKE '%session.disputed%' THEN interval '0'
                 ELSE interval '1 hour' END",
        )
        .await;
    system.lose_webhooks(false);
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.told_of_dispute(booking_id).await, ["OPEN"]);
    system
        .execute("UPDATE sandbox.webhook_deliveries SET next_at = now() WHERE delivered_at IS NULL")
        .await;
    until("both webhooks", async || {
        let received = "SELECT count(*) FROM payment.webhook_events";
        system.count(received).await == 2
    })
    .await;
    assert_eq!(system.told_of_dispute(booking_id).await, ["OPEN"]);
    assert_eq!(system.tally(booking_id).await["PaymentSucceeded"], 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn dispute_that_is_told_after_it_was_won_is_not_open_again(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system.lose_webhooks(true);
    system.press(&url, &[("action", "dispute")]).await;
    system.press(&url, &[("action", "dispute_won")]).await;
    system
        .execute(
            "UPDATE sandbox.webhook_deliveries SET next_at = now() + CASE
                 WHEN convert_from(body, 'UTF8') LIKE '%session.disputed%' THEN interval '1 hour'
                 ELSE interval '0' END
             WHERE delivered_at IS NULL",
        )
        .await;
    system.lose_webhooks(false);
    until("the decision to be told", async || {
        system.told_of_dispute(booking_id).await == ["WON"]
    })
    .await;
    system
        .execute("UPDATE sandbox.webhook_deliveries SET next_at = now() WHERE delivered_at IS NULL")
        .await;
    until("all webhooks", async || {
        let received = "SELECT count(*) FROM payment.webhook_events";
        system.count(received).await == 3
    })
    .await;
    assert_eq!(system.payments(booking_id).await[0].dispute, "WON");
    assert_eq!(system.told_of_dispute(booking_id).await, ["WON"]);
    system.stop().await;
}
