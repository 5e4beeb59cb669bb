//! Expiry, and money that comes after it.

use holdfast_types::{
    BookingState, DurationMs, ErrorCode, LateMoney, SeatState, ShowId, ShowState,
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::metrics;

use super::world::{World, code, deadline, opener, opening, paid, refunded, tell, user};

#[sqlx::test(migrations = false)]
async fn unpaid_booking_expires_and_its_seats_are_sold_to_another(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.expire(id).await;
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingEnded"]);
    assert_eq!(
        code(world.app.cancel_booking(user(1), id, None).await),
        ErrorCode::InvalidState
    );
    world.buy(user(2), &[0]).await;
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn booking_that_is_not_due_is_not_swept(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.app.sweep().await.expect("sweeps");
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
    assert_eq!(world.seats().await[0], SeatState::Held);
}

#[sqlx::test(migrations = false)]
async fn late_money_is_confirmed_when_the_seats_are_free(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    world.expire(id).await;
    for _ in 0..2 {
        world.tell(id, paid(id, 1, 2)).await;
    }
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    assert_eq!(
        world.told(id).await,
        ["BookingCreated", "BookingEnded", "BookingConfirmed"]
    );
    let on_time = world.buy(user(2), &[2]).await;
    assert_eq!(world.state(on_time).await, BookingState::Confirmed);
    let confirmed = |label| world.counted(metrics::ENDINGS, label);
    assert_eq!(confirmed("reason=\"LATE_MONEY\""), 1);
    assert_eq!(confirmed("reason=\"IN_TIME\""), 1);
    assert_eq!(confirmed("reason=\"PAYMENT_TIMEOUT\""), 1);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn late_money_is_refunded_when_another_has_a_seat(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    world.expire(id).await;
    let other = world.buy(user(2), &[1]).await;
    for _ in 0..2 {
        world.tell(id, paid(id, 1, 2)).await;
    }
    let view = world.view(id).await;
    assert_eq!(view.booking.state, BookingState::Failed);
    assert_eq!(view.refund_status(), "PENDING");
    let refunds = world
        .told(id)
        .await
        .into_iter()
        .filter(|told| told == "RefundRequested");
    assert_eq!(refunds.count(), 1);
    assert_eq!(world.state(other).await, BookingState::Confirmed);
    assert_eq!(world.seats().await[0], SeatState::Available);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn late_money_is_refunded_when_the_show_was_cancelled(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    let cancelled =
        world
            .app
            .change_show(opener(), world.show_id, ShowState::Cancelled, deadline());
    assert_eq!(cancelled.await.expect("cancels"), ShowState::Cancelled);
    world.tell(id, paid(id, 1, 1)).await;
    let view = world.view(id).await;
    assert_eq!(
        (view.booking.state, view.refund_status()),
        (BookingState::Failed, "PENDING")
    );
    let again = code(
        world
            .app
            .change_show(opener(), world.show_id, ShowState::OnSale, deadline())
            .await,
    );
    assert_eq!(again, ErrorCode::InvalidState);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn late_money_is_refunded_when_the_show_has_begun(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.expire(id).await;
    let begun = world.begin_show().await;
    for _ in 0..2 {
        tell(&begun, id, paid(id, 1, 1)).await;
    }
    let view = world.view(id).await;
    assert_eq!(
        (view.booking.state, view.booking.reason),
        (BookingState::Failed, Some(booking_core::Reason::ShowOver))
    );
    assert_eq!(view.refund_status(), "PENDING");
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
async fn money_for_seats_still_held_confirms_after_the_show_began(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    let begun = world.begin_show().await;
    tell(&begun, id, paid(id, 1, 1)).await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn late_money_is_refunded_at_once_where_the_show_says_so(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.show_id = ShowId::from_uuid(Uuid::now_v7());
    let mut request = opening(world.show_id, DurationMs::from_secs(600));
    request.late_money = LateMoney::Refund;
    let open = world
        .app
        .open_inventory(opener(), request.clone(), deadline());
    open.await.expect("opens");
    request.late_money = LateMoney::Rebook;
    let other = world.app.open_inventory(opener(), request, deadline());
    assert_eq!(code(other.await), ErrorCode::AlreadyExists);

    let id = world.book(user(1), &[0, 1]).await;
    world.expire(id).await;
    for _ in 0..2 {
        world.tell(id, paid(id, 1, 2)).await;
    }
    let view = world.view(id).await;
    assert_eq!(
        (view.booking.state, view.booking.reason),
        (BookingState::Failed, Some(booking_core::Reason::PaidLate))
    );
    assert_eq!(view.refund_status(), "PENDING");
    assert_eq!(world.seats().await[..2], [SeatState::Available; 2]);
    world.tell(id, refunded(id, 1, 2)).await;
    assert_eq!(world.view(id).await.refund_status(), "REFUNDED");
    // Money in time buys.
    world.buy(user(2), &[0, 1]).await;
    world.audit().await;
}
