//! A process dies between an effect and its record, or the store is away; recovery is the same
//! code.

use std::time::Duration;

use booking_core::{Booking, Call, Input, Step};
use holdfast_eventlog::{HandleError, Handler};
use holdfast_types::{BookingId, BookingState, ErrorCode, Money, SeatState, ShowId};
use sqlx::PgPool;
use uuid::Uuid;

use super::world::{
    CANCEL, LIMIT, PRICE, World, app, event, failed, paid, payment, refunded, refused, tell, user,
};
use crate::{
    app::{
        cancel::wall_time,
        drive::{Basis, Outcome},
    },
    tasks::payments::Payments,
};

impl World {
    /// Decides and commits, but doesn't ask: what the process would have asked, had it lived.
    pub(super) async fn die_before_asking(&self, id: BookingId, input: Input) -> (Booking, Call) {
        let decided = self
            .app
            .decide_once(id, input, wall_time(), Basis::Word)
            .await;
        match decided.expect("decides").expect("is there") {
            Outcome::Decided(booking, Some(call)) => (*booking, call),
            _ => panic!("a question was expected"),
        }
    }

    /// As before, but the store was asked, and its answer is lost.
    pub(super) async fn die_after_asking(&self, id: BookingId, input: Input) -> Input {
        let (booking, call) = self.die_before_asking(id, input).await;
        self.app
            .ask(&booking, call)
            .await
            .expect("the store answers")
            .input
    }
}

pub(super) fn money(id: BookingId, seats: i64) -> Input {
    let currency = "EUR".parse().expect("valid");
    let amount = Money {
        amount: seats * PRICE,
        currency,
    };
    Input::PaymentSucceeded {
        payment_id: payment(id, 1),
        amount,
    }
}

#[sqlx::test(migrations = false)]
async fn sale_whose_answer_was_lost_is_confirmed_by_recovery(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    world.die_after_asking(id, money(id, 2)).await;
    assert_eq!(world.seats().await[0], SeatState::Sold);
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
    for _ in 0..2 {
        world.recover().await;
    }
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn sale_whose_answer_was_lost_is_confirmed_by_redelivery(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.die_after_asking(id, money(id, 1)).await;
    world.tell(id, paid(id, 1, 1)).await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn open_step_is_left_to_its_owner_for_a_while(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.die_before_asking(id, money(id, 1)).await;
    // A lease of some seconds, here lengthened by what a busy machine may take.
    let leased = sqlx::query_scalar!(
        r#"UPDATE booking.bookings SET step_due_at = step_due_at + make_interval(mins => 10)
           RETURNING step_due_at - updated_at > make_interval(mins => 10, secs => 5) AS "leased!""#
    );
    assert!(leased.fetch_one(&world.pool).await.expect("writes"));
    world.app.recover().await.expect("recovers");
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
    world.recover().await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
}

#[sqlx::test(migrations = false)]
async fn late_hold_whose_answer_was_lost_is_found_again(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.expire(id).await;
    let gone = world.die_after_asking(id, money(id, 1)).await;
    world.die_after_asking(id, gone).await;
    assert_eq!(world.seats().await[0], SeatState::Held);
    world.recover().await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn cancellation_whose_return_was_lost_returns_the_seats_by_recovery(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1]).await;
    world.die_before_asking(id, CANCEL).await;
    assert_eq!(world.seats().await[0], SeatState::Sold, "not returned yet");
    assert_eq!(world.state(id).await, BookingState::Cancelled);
    for _ in 0..2 {
        world.recover().await;
    }
    assert_eq!(world.seats().await[0], SeatState::Available);
    let refunds = world
        .told(id)
        .await
        .into_iter()
        .filter(|told| told == "RefundRequested");
    assert_eq!(refunds.count(), 1);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn release_whose_answer_was_lost_ends_the_booking_by_recovery(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.die_after_asking(id, CANCEL).await;
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
    world.recover().await;
    assert_eq!(world.state(id).await, BookingState::Cancelled);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn payment_that_nobody_decides_on_is_noticed(pool: PgPool) {
    let world = World::new(pool).await;
    let open = world.book(user(1), &[0]).await;
    world.die_before_asking(open, money(open, 1)).await;
    world.buy(user(2), &[1]).await;
    sqlx::query!(
        "UPDATE booking.booking_payments SET fate_since = now() - make_interval(mins => 2)"
    )
    .execute(&world.pool)
    .await
    .expect("writes");
    let stuck = || world.app.watch_payments();
    assert_eq!(stuck().await.expect("reads"), 0, "one is open, one decided");
    sqlx::query!("UPDATE booking.bookings SET step = 'IDLE'")
        .execute(&world.pool)
        .await
        .expect("writes");
    assert_eq!(stuck().await.expect("reads"), 1);
}

#[sqlx::test(migrations = false)]
async fn money_that_is_under_way_too_long_is_noticed(pool: PgPool) {
    let world = World::new(pool).await;
    let paid_late = world.book(user(1), &[0]).await;
    world
        .die_before_asking(paid_late, money(paid_late, 1))
        .await;
    let refunding = world.buy(user(2), &[1]).await;
    let cancelled = world.app.cancel_booking(user(2), refunding, None).await;
    cancelled.expect("cancels");
    world.buy(user(3), &[2]).await;
    let age = async |mins: i32| {
        let since = "UPDATE booking.booking_payments
                     SET fate_since = now() - make_interval(mins => $1)";
        let aged = sqlx::query(since).bind(mins).execute(&world.pool).await;
        aged.expect("writes");
        let stuck = world.app.watch_payments().await.expect("reads");
        let mut found: Vec<_> = crate::audit(&world.pool)
            .await
            .expect("audits")
            .iter()
            .map(|finding| (finding.invariant, finding.booking_id))
            .collect();
        found.sort_unstable();
        (stuck, found)
    };
    assert_eq!(age(14).await, (0, vec![]));
    let mut expected = vec![("BK-2", Some(paid_late)), ("BK-2", Some(refunding))];
    expected.sort_unstable();
    assert_eq!(age(16).await, (2, expected));

    world.recover().await;
    world.tell(refunding, refunded(refunding, 1, 1)).await;
    assert_eq!(world.app.watch_payments().await.expect("reads"), 0);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn payment_svcs_money_is_compared_with_ours(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0]).await;
    let cancelled = world.app.cancel_booking(user(1), id, None).await;
    cancelled.expect("cancels");
    let euros = |amount| Money {
        amount,
        currency: "EUR".parse().expect("valid"),
    };
    let captured = [
        (payment(id, 1), world.show_id, euros(PRICE)),
        (payment(id, 2), world.show_id, euros(PRICE)),
    ];
    let missing = crate::missing_payments(&world.pool, &captured).await;
    assert_eq!(missing.expect("reads"), [payment(id, 2)]);
    let other = [(payment(id, 1), world.show_id, euros(PRICE + 1))];
    let missing = crate::missing_payments(&world.pool, &other).await;
    assert_eq!(missing.expect("reads"), [payment(id, 1)]);

    let refund_id = booking_core::refund_id(payment(id, 1));
    let refund = (world.show_id, refund_id, euros(PRICE));
    let first = (ShowId::from_uuid(Uuid::nil()), Uuid::nil());
    let last = (world.show_id, refund_id);
    let refunds = async |after, age| {
        let refunds = crate::refunds(&world.pool, after, age, 10).await;
        refunds.expect("reads")
    };
    assert_eq!(refunds(first, Duration::ZERO).await, [refund]);
    assert_eq!(refunds(last, Duration::ZERO).await, []);
    assert_eq!(refunds(first, Duration::from_secs(60)).await, []);
}

#[sqlx::test(migrations = false)]
async fn failed_payment_waits_for_the_stores_time(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    let away = app(&world.pool, "http://127.0.0.1:1", LIMIT).await;
    let told = Payments { app: away }
        .handle(&event(id, failed(id, 1)))
        .await;
    assert!(matches!(told, Err(HandleError::Unavailable(_))), "{told:?}");
    assert_eq!(world.view(id).await.booking.step, Step::Idle);
    world.tell(id, failed(id, 1)).await;
    assert_eq!(world.state(id).await, BookingState::Failed);
}

#[sqlx::test(migrations = false)]
async fn without_the_store_nothing_is_half_done_and_paid_bookings_go_on_later(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    let hold = world.hold(user(2), &[1]).await;
    let away = app(&world.pool, "http://127.0.0.1:1", LIMIT).await;
    let book = crate::app::book::Book {
        user_id: user(2),
        hold_id: hold.clone(),
        idempotency_key: "k".to_owned(),
    };
    let soon = holdfast_mesh::deadline::Deadline::after(Duration::from_secs(2));
    let failure = refused(away.book(book, soon).await);
    assert_eq!(failure.code(), ErrorCode::Unavailable);
    assert!(failure.retry_after().is_some());

    tell(&away, id, paid(id, 1, 1)).await;
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
    assert!(
        world.view(id).await.booking.pending_payment().is_some(),
        "it is on record"
    );
    world.recover().await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    world
        .try_book(user(2), &hold, "k")
        .await
        .expect("the same key, later");
    world.audit().await;
}
