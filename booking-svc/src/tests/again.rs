//! What nobody said the end of is said and asked for again.

use holdfast_proto::events::v1;
use holdfast_types::{BookingId, BookingState};
use prost::Message;
use sqlx::PgPool;

use super::world::{LIMIT, PRICE, World, app, paid, paid_again, payment, refunded, tell, user};

impl World {
    /// What was said under the key of a booking's `n`th payment, in order.
    async fn said_of_payment(&self, booking_id: BookingId, n: u8) -> Vec<(String, Vec<u8>)> {
        let key = payment(booking_id, n).to_string();
        let said =
            "SELECT event_type, payload FROM booking.outbox WHERE key = $1 ORDER BY position";
        let said = sqlx::query_as(said).bind(key).fetch_all(&self.pool);
        said.await.expect("reads")
    }

    async fn refunds_are_due(&self) {
        let due = "UPDATE booking.refunds SET ask_at = now() WHERE ask_at IS NOT NULL";
        let due = sqlx::query(due).execute(&self.pool).await;
        due.expect("writes");
    }

    async fn ask_refunds_again(&self) -> usize {
        self.app.ask_refunds_again().await.expect("asks")
    }
}

fn events(said: &[(String, Vec<u8>)]) -> Vec<&str> {
    said.iter().map(|(event, _)| event.as_str()).collect()
}

#[sqlx::test(migrations = false)]
async fn refund_without_an_end_is_asked_for_again_until_the_money_went(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0]).await;
    let cancelled = world.app.cancel_booking(user(1), id, None).await;
    cancelled.expect("cancels");
    assert_eq!(world.ask_refunds_again().await, 0, "it has a minute");
    for _ in 0..2 {
        world.refunds_are_due().await;
        assert_eq!(world.ask_refunds_again().await, 1);
        assert_eq!(world.ask_refunds_again().await, 0, "it has twice as long");
    }
    let waits = "SELECT (ask_at - now() BETWEEN interval '200 seconds' AND interval '240 seconds')
                 FROM booking.refunds";
    let waits = sqlx::query_scalar::<_, bool>(waits).fetch_one(&world.pool);
    assert!(waits.await.expect("reads"));
    let said = world.said_of_payment(id, 1).await;
    assert_eq!(events(&said), ["RefundRequested"; 2]);
    let wanted = v1::RefundRequested::decode(&*said[1].1).expect("readable");
    let refund_id = booking_core::refund_id(payment(id, 1));
    assert_eq!(wanted.refund_id, refund_id.into_bytes());
    assert_eq!(wanted.amount.expect("an amount").amount, PRICE);
    assert_eq!((wanted.reason.as_str(), wanted.again), ("CANCELLED", true));

    world.tell(id, refunded(id, 1, 1)).await;
    world.refunds_are_due().await;
    assert_eq!(world.ask_refunds_again().await, 0);
    assert_eq!(world.view(id).await.refund_status(), "REFUNDED");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn payment_told_again_confirms_and_its_ending_is_said(pool: PgPool) {
    let world = World::new(pool).await;
    // All that was told first was lost.
    let id = world.book(user(1), &[0]).await;
    let away = app(&world.pool, "http://127.0.0.1:1", LIMIT).await;
    tell(&away, id, paid_again(id, 1, 1)).await;
    assert_eq!(
        events(&world.said_of_payment(id, 1).await),
        [""; 0],
        "undecided"
    );
    for _ in 0..2 {
        world.tell(id, paid_again(id, 1, 1)).await;
    }
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);
    let said = world.said_of_payment(id, 1).await;
    assert_eq!(events(&said), ["PaymentKept"; 2]);
    let kept = v1::PaymentKept::decode(&*said[0].1).expect("readable");
    assert_eq!(kept.booking_id, id.to_bytes());

    // A second one is on its way back, and stays asked for under one id.
    world.tell(id, paid(id, 2, 1)).await;
    world.tell(id, paid_again(id, 2, 1)).await;
    let said = world.said_of_payment(id, 2).await;
    assert_eq!(events(&said), ["RefundRequested"]);
    let refunds = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM booking.refunds");
    assert_eq!(refunds.fetch_one(&world.pool).await.expect("reads"), 1);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn confirmation_names_the_payment_that_is_kept(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    // Of another amount, so that it goes back.
    world.tell(id, paid(id, 1, 2)).await;
    world.tell(id, paid(id, 2, 1)).await;
    let payload = "SELECT payload FROM booking.outbox WHERE event_type = 'BookingConfirmed'";
    let payload = sqlx::query_scalar::<_, Vec<u8>>(payload).fetch_one(&world.pool);
    let told = v1::BookingConfirmed::decode(&*payload.await.expect("told")).expect("readable");
    assert_eq!(told.payment_id, payment(id, 2).to_bytes());
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn payment_of_a_booking_that_is_not_there_parks_nothing_when_it_is_told_again(pool: PgPool) {
    let world = World::new(pool).await;
    let nobody = BookingId::from_bytes([7; 16]);
    world.tell(nobody, paid_again(nobody, 1, 1)).await;
    assert_eq!(events(&world.said_of_payment(nobody, 1).await), [""; 0]);
}

#[sqlx::test(migrations = false)]
async fn audit_finds_a_refund_that_nobody_asks_for(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0]).await;
    let cancelled = world.app.cancel_booking(user(1), id, None).await;
    cancelled.expect("cancels");
    world.audit().await;
    let forgotten = sqlx::query("UPDATE booking.refunds SET ask_at = NULL");
    forgotten.execute(&world.pool).await.expect("writes");
    let found = crate::audit(&world.pool).await.expect("audits");
    let found: Vec<_> = found.iter().map(|f| (f.invariant, f.booking_id)).collect();
    assert_eq!(found, [("BK-2", Some(id))]);
}
