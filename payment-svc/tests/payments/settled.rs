//! People end refunds that nothing sends.

use holdfast_proto::events::v1;
use payment_svc::{NotSettled, refunds_waiting, settle_refund};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    refunds::wanted,
    system::{System, until},
};

impl System {
    /// The last try of each refund was long ago, and the next is far off.
    async fn refunds_rest(&self) {
        self.execute(
            "UPDATE payment.refunds SET tried_at = now() - interval '61 seconds',
                 try_at = now() + interval '1 hour'",
        )
        .await;
    }

    async fn waiting(&self) -> Vec<(Uuid, String)> {
        let waiting = refunds_waiting(&self.pool).await.unwrap();
        waiting
            .into_iter()
            .map(|one| (one.refund_id, one.why))
            .collect()
    }
}

#[sqlx::test(migrations = false)]
async fn refund_that_a_lost_dispute_holds_ends_by_command_with_the_banks_money(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system.press(&url, &[("action", "dispute")]).await;
    until("the dispute", async || {
        system.payments(booking_id).await[0].dispute == "OPEN"
    })
    .await;
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    let refund_id = Uuid::from_slice(&refund.refund_id).unwrap();
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    assert_eq!(
        system.waiting().await,
        [(refund_id, "DISPUTE_OPEN".to_owned())]
    );
    let early = settle_refund(&pool, refund_id, "too early").await;
    assert!(matches!(early, Err(NotSettled::Sent)), "{early:?}");

    system.press(&url, &[("action", "dispute_lost")]).await;
    until("the bank's word", async || {
        system.payments(booking_id).await[0].dispute == "LOST"
    })
    .await;
    assert_eq!(
        system.waiting().await,
        [(refund_id, "DISPUTE_LOST".to_owned())]
    );
    for note in ["", " ", &"x".repeat(501)] {
        let refused = settle_refund(&pool, refund_id, note).await;
        assert!(matches!(refused, Err(NotSettled::Note)), "{refused:?}");
    }
    let nobodys = settle_refund(&pool, Uuid::new_v4(), "n").await;
    assert!(matches!(nobodys, Err(NotSettled::Unknown)), "{nobodys:?}");
    settle_refund(&pool, refund_id, "Ada: the bank paid")
        .await
        .unwrap();
    let again = settle_refund(&pool, refund_id, "Ada: the bank paid").await;
    assert!(matches!(again, Err(NotSettled::Gone)), "{again:?}");

    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    for account in ["refunds", "disputes", "provider:sandbox", "outside"] {
        assert_eq!(system.balance(account).await, 0, "{account}");
    }
    // booking-svc, which may ask again, is told again; nothing is sent.
    let mut asked = refund.clone();
    asked.again = true;
    let key = Uuid::from_slice(&told.payment_id).unwrap();
    system.tell_under(key, "RefundRequested", &asked).await;
    until("it to be told again", async || {
        system.tally(key).await.get("RefundSucceeded") == Some(&1)
    })
    .await;
    assert_eq!(system.refunded_there().await, 0);
    assert_eq!(system.waiting().await, []);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_that_could_not_be_paid_out_ends_by_command_with_money_from_outside(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().refunds_stand("failed");
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    let refund_id = Uuid::from_slice(&refund.refund_id).unwrap();
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be given up", async || {
        system
            .execute("UPDATE payment.refunds SET try_at = now()")
            .await;
        system.waiting().await == [(refund_id, "NOT_PAID_OUT".to_owned())]
    })
    .await;
    settle_refund(&pool, refund_id, "Ada: by bank transfer")
        .await
        .unwrap();
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.balance("refunds").await, 0);
    assert_eq!(system.balance("outside").await, -2_500);
    // What Stripe says of its attempts later changes nothing.
    system.double().refunds_become("failed", "canceled");
    until("all webhooks", async || {
        system.double().webhooks_left() == 0
    })
    .await;
    assert_eq!(system.balance("refunds").await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_that_the_provider_refuses_for_good_ends_by_command_and_is_not_sent_then(
    pool: PgPool,
) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    system.double().refund_by_hand();
    let refund = wanted(booking_id, &payment_id, 2_500);
    let refund_id = Uuid::from_slice(&refund.refund_id).unwrap();
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to wait for people", async || {
        system.waiting().await == [(refund_id, "REFUSED".to_owned())]
    })
    .await;
    let waiting = refunds_waiting(&pool).await.unwrap().remove(0);
    let refusal = waiting.refusal.unwrap();
    assert!(refusal.contains("charge_already_refunded"), "{refusal}");
    // Another try may be under way.
    system.caught_up().await;
    let early = settle_refund(&pool, refund_id, "too early").await;
    assert!(matches!(early, Err(NotSettled::Sent)), "{early:?}");
    system.refunds_rest().await;
    settle_refund(&pool, refund_id, "Ada: sent by hand")
        .await
        .unwrap();
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.balance("refunds").await, 0);
    assert_eq!(system.waiting().await, []);
    let key = booking_id.to_string();
    let replayed = holdfast_eventlog::replay(&pool, "payment", &key).await;
    assert!(replayed.unwrap());
    system.caught_up().await;
    assert_eq!(system.double().refunds(), 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_of_another_provider_waits_for_people(pool: PgPool) {
    let mut system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    system.refuse(true);
    let refund = wanted(booking_id, &payment_id, 2_500);
    let refund_id = Uuid::from_slice(&refund.refund_id).unwrap();
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    assert_eq!(system.waiting().await, [(refund_id, "REFUSED".to_owned())]);
    system.stop_payment().await;
    system.use_stripe().await;
    system.start_payment().await;
    until("it to be another's", async || {
        system.waiting().await == [(refund_id, "OTHER_PROVIDER".to_owned())]
    })
    .await;
    system.refunds_rest().await;
    settle_refund(&pool, refund_id, "Ada: by bank transfer")
        .await
        .unwrap();
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.balance("outside").await, -2_500);
    system.stop().await;
}
