//! Captured money has an ending in the books, or somebody is told again and again.

use holdfast_proto::events::v1;
use prost::Message;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    refunds::wanted,
    system::{System, until},
};

impl System {
    /// What is in an account, as far as we owe it.
    async fn owed(&self, account: &'static str) -> i64 {
        sqlx::query_scalar(
            "SELECT coalesce(-sum(amount), 0)::bigint FROM payment.entries WHERE account = $1",
        )
        .bind(account)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    async fn is_due(&self, table: &'static str) {
        let due = match table {
            "payments" => "UPDATE payment.payments SET tell_at = now() WHERE tell_at IS NOT NULL",
            _ => "UPDATE payment.refunds SET try_at = now()",
        };
        self.execute(due).await;
    }

    /// How often booking-svc was told again of a payment.
    async fn told_again(&self, payment_id: &[u8]) -> usize {
        let key = Uuid::from_slice(payment_id).unwrap();
        let told = self.all_told(key).await;
        let again = |payload: &[u8]| v1::PaymentSucceeded::decode(payload).unwrap().again;
        told.iter()
            .filter(|(event, payload)| event == "PaymentSucceeded" && again(payload))
            .count()
    }
}

fn confirmed(booking_id: Uuid, payment_id: &[u8]) -> v1::BookingConfirmed {
    v1::BookingConfirmed {
        booking_id: booking_id.into_bytes().to_vec(),
        payment_id: payment_id.to_vec(),
        ..v1::BookingConfirmed::default()
    }
}

fn kept(booking_id: Uuid, payment_id: &[u8]) -> v1::PaymentKept {
    v1::PaymentKept {
        booking_id: booking_id.into_bytes().to_vec(),
        payment_id: payment_id.to_vec(),
    }
}

#[sqlx::test(migrations = false)]
async fn captured_money_without_an_ending_is_told_again_until_it_has_one(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    assert_eq!(system.owed("undecided").await, 2_500);
    // It is due within a minute of its capture.
    let soon = "SELECT count(*) FROM payment.payments
                WHERE tell_at BETWEEN updated_at AND updated_at + interval '55 seconds'";
    assert_eq!(system.count(soon).await, 1);
    for times in 1..=2 {
        system.is_due("payments").await;
        until("it to be told again", async || {
            system.told_again(&payment_id).await == times
        })
        .await;
    }
    let backed_off = "SELECT count(*) FROM payment.payments
                      WHERE tell_at > now() + interval '100 seconds'";
    assert_eq!(system.count(backed_off).await, 1);
    let again = "holdfast_payment_again_total";
    assert_eq!(system.shown(again, "kind=\"undecided\""), 2);

    let key = Uuid::from_slice(&payment_id).unwrap();
    for _ in 0..2 {
        let kept = kept(booking_id, &payment_id);
        system.tell_under(key, "PaymentKept", &kept).await;
    }
    system.caught_up().await;
    assert_eq!(system.owed("undecided").await, 0);
    assert_eq!(system.owed("bookings").await, 2_500);
    let watched = "SELECT count(*) FROM payment.payments WHERE tell_at IS NOT NULL";
    assert_eq!(system.count(watched).await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn sale_and_refund_have_their_accounts_in_whatever_order_they_are_told(pool: PgPool) {
    let system = System::start(&pool).await;
    let (sold_first, payment_id) = system.book_and_pay().await;
    let sale = confirmed(sold_first, &payment_id);
    for _ in 0..2 {
        system.tell(sold_first, "BookingConfirmed", &sale).await;
    }
    system.caught_up().await;
    assert_eq!(system.owed("undecided").await, 0);
    assert_eq!(system.owed("bookings").await, 2_500);
    let part = wanted(sold_first, &payment_id, 1_000);
    for _ in 0..2 {
        system.tell(sold_first, "RefundRequested", &part).await;
    }
    let _: v1::RefundSucceeded = system.told(sold_first, "RefundSucceeded").await;
    assert_eq!(system.owed("bookings").await, 1_500);

    let (back_first, payment_id) = system.book_and_pay().await;
    let all = wanted(back_first, &payment_id, 2_500);
    system.tell(back_first, "RefundRequested", &all).await;
    let sale = confirmed(back_first, &payment_id);
    system.tell(back_first, "BookingConfirmed", &sale).await;
    let _: v1::RefundSucceeded = system.told(back_first, "RefundSucceeded").await;
    system.caught_up().await;
    assert_eq!(system.owed("undecided").await, 0);
    assert_eq!(system.owed("bookings").await, 1_500);
    assert_eq!(system.owed("refunds").await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn money_that_is_to_go_back_is_owed_until_it_went(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    system.refuse(true);
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be recorded", async || {
        system.owed("refunds").await == 2_500
    })
    .await;
    assert_eq!(system.owed("undecided").await, 0);
    // Refused, again and again: each time after a longer wait.
    let tries = "SELECT coalesce(min(tries), 0)::bigint FROM payment.refunds
                 WHERE try_at > now() + make_interval(secs => 50 * 2 ^ tries)";
    for times in 1..=2 {
        system.is_due("refunds").await;
        until("it to be tried", async || {
            system.count(tries).await == times
        })
        .await;
    }
    system.refuse(false);
    system.is_due("refunds").await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.owed("refunds").await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_asked_for_again_is_done_past_a_parked_key_and_told_again(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let too_much = wanted(booking_id, &payment_id, 2_501);
    system.tell(booking_id, "RefundRequested", &too_much).await;
    until("it to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    let mut refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    let refunds = "SELECT count(*) FROM payment.refunds";
    assert_eq!(system.count(refunds).await, 0, "it waits behind the other");

    refund.again = true;
    let key = Uuid::from_slice(&payment_id).unwrap();
    for times in 1..=2 {
        system.tell_under(key, "RefundRequested", &refund).await;
        until("it to be told", async || {
            let told = system.all_told(key).await;
            let told = told.iter().filter(|(event, _)| event == "RefundSucceeded");
            told.count() == times
        })
        .await;
    }
    let sent = "SELECT amount FROM sandbox.refunds";
    assert_eq!(system.count(sent).await, 2_500);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_is_said_again_of_a_payment_that_is_not_there_parks_nothing(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let nobody = Uuid::new_v4();
    let unknown = kept(booking_id, nobody.as_bytes());
    system.tell_under(nobody, "PaymentKept", &unknown).await;
    let another = kept(nobody, &payment_id);
    system.tell_under(nobody, "PaymentKept", &another).await;
    let mut refund = wanted(booking_id, nobody.as_bytes(), 1);
    refund.again = true;
    system.tell_under(nobody, "RefundRequested", &refund).await;
    system.caught_up().await;
    assert_eq!(holdfast_eventlog::parked(&pool).await.unwrap(), []);
    assert_eq!(system.owed("undecided").await, 2_500);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn session_that_was_asked_for_and_has_no_answer_is_asked_for_again(pool: PgPool) {
    let system = System::start(&pool).await;
    let booking_id = Uuid::new_v4();
    // As a process leaves it that dies, and whose event is parked.
    sqlx::query(
        "INSERT INTO payment.payments (payment_id, booking_id, attempt, user_id, show_id, state,
             amount, currency, description, pay_until, provider, ask_at)
         VALUES (gen_random_uuid(), $1, 1, gen_random_uuid(), gen_random_uuid(),
             'CREATING_SESSION', 2500, 'EUR', 'd', now() + interval '10 minutes', 'sandbox', now())",
    )
    .bind(booking_id)
    .execute(&pool)
    .await
    .unwrap();
    let told: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    system.press(&told.payment_url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.tally(booking_id).await["PaymentSessionCreated"], 1);
    let again = "holdfast_payment_again_total";
    assert_eq!(system.shown(again, "kind=\"session\""), 1);
    system.stop().await;
}
