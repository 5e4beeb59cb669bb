//! A show is called off, and whoever bought is refunded.

use std::time::Duration;

use booking_core::Reason;
use holdfast_types::{BookingState, ErrorCode};
use sqlx::PgPool;

use super::{
    crashes::money,
    world::{PRICE, World, code, opener, refunded, user},
};
use crate::{
    app::rights::Actor,
    store::show_refunds::{self, Progress},
};

impl World {
    async fn refund_show(&self, dry_run: bool) -> Progress {
        let asked = self.app.refund_show(opener(), self.show_id, dry_run).await;
        asked.expect("is there")
    }

    /// One round, as if every wait and lease had run out.
    async fn refund_shows(&self) {
        let due = sqlx::query("UPDATE booking.show_refunds SET due_at = now()");
        due.execute(&self.pool).await.expect("writes");
        self.app.refund_shows().await.expect("refunds");
    }

    async fn set_tickets(&self, from: &str, to: &str) {
        let set = "UPDATE booking.tickets SET state = $2 WHERE state = $1 AND seat_no = 2";
        let set = sqlx::query(set).bind(from).bind(to);
        let set = set.execute(&self.pool).await.expect("writes");
        assert_eq!(set.rows_affected(), 1);
    }
}

/// `(bookings, left, seats left, money left, refunds under way)`
fn numbers(progress: &Progress) -> (u32, u32, u32, i64, u32) {
    (
        progress.bookings,
        progress.bookings_left,
        progress.seats_left,
        progress.amount_left.amount,
        progress.refunds_under_way,
    )
}

#[sqlx::test(migrations = false)]
async fn cancelled_show_refunds_everybody_but_those_who_were_let_in(pool: PgPool) {
    let world = World::new(pool).await;
    let one = world.buy(user(1), &[0, 1]).await;
    let inside = world.buy(user(2), &[2]).await;
    let other = world.buy(user(3), &[3]).await;
    let unpaid = world.book(user(4), &[4]).await;
    world.set_tickets("VALID", "USED").await;

    let dry = world.refund_show(true).await;
    assert!(!dry.asked);
    assert_eq!(numbers(&dry), (0, 3, 4, 4 * PRICE, 0));
    let asked = world.app.refund_show(opener(), world.show_id, false).await;
    assert_eq!(code(asked), ErrorCode::InvalidState, "it is on sale");
    world.call_off().await;
    let stranger = Actor::Organiser(user(9));
    for dry_run in [true, false] {
        let asked = world
            .app
            .refund_show(stranger, world.show_id, dry_run)
            .await;
        assert_eq!(code(asked), ErrorCode::Forbidden);
    }
    world.refund_shows().await;
    assert!(!world.refund_show(true).await.asked, "nobody asked yet");
    assert_eq!(world.state(one).await, BookingState::Confirmed);

    let begun = world.refund_show(false).await;
    assert!((begun.asked, begun.finished) == (true, false));
    assert_eq!(numbers(&begun), (3, 3, 4, 4 * PRICE, 0));
    world.refund_shows().await;
    let done = world.refund_show(true).await;
    assert!(done.finished);
    assert_eq!(numbers(&done), (3, 1, 1, PRICE, 2));
    for id in [one, other] {
        let view = world.view(id).await;
        assert_eq!(view.booking.reason, Some(Reason::ShowCancelled));
        assert_eq!(view.refund_status(), "PENDING");
    }
    assert_eq!(world.state(inside).await, BookingState::Confirmed);
    assert_ne!(world.state(unpaid).await, BookingState::Confirmed);

    world.tell(one, refunded(one, 1, 2)).await;
    assert_eq!(world.refund_show(true).await.refunds_under_way, 1);
    // Once more, for the one who was let in by mistake.
    world.set_tickets("USED", "VALID").await;
    assert!(!world.refund_show(false).await.finished);
    world.refund_shows().await;
    let done = world.refund_show(false).await;
    assert!(done.finished, "nothing is left to begin anew for");
    assert_eq!(numbers(&done), (3, 0, 0, 0, 2));
    let told = world.told(one).await;
    let refunds = told.iter().filter(|told| *told == "RefundRequested");
    assert_eq!(refunds.count(), 1);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn refunding_goes_on_where_a_crash_left_it(pool: PgPool) {
    let world = World::new(pool).await;
    let mut ids = Vec::new();
    for seat in 0..4 {
        ids.push(world.buy(user(1), &[seat]).await);
    }
    world.call_off().await;
    world.refund_show(false).await;
    // It has a page, works off half of it, dies in the middle of one, and has recorded nothing.
    let lease = Duration::from_secs(60);
    let run = show_refunds::take_run(&world.pool, lease)
        .await
        .expect("reads");
    let run = run.expect("is due");
    let page = show_refunds::confirmed(&world.pool, run, 2)
        .await
        .expect("reads");
    assert_eq!(page, ids[..2]);
    let ends = booking_core::Input::ShowCancelled;
    world.die_before_asking(ids[0], ends).await;
    world.app.refund_shows().await.expect("looks");
    assert_eq!(world.state(ids[1]).await, BookingState::Confirmed, "leased");

    world.refund_shows().await;
    world.recover().await;
    let done = world.refund_show(true).await;
    assert!(done.finished);
    assert_eq!(numbers(&done), (4, 0, 0, 0, 4));
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn booking_that_is_confirmed_behind_a_pass_is_found_by_the_next(pool: PgPool) {
    let world = World::new(pool).await;
    let sold = world.book(user(1), &[0]).await;
    world.buy(user(2), &[1]).await;
    // Sold in the store, and the answer is lost.
    world.die_after_asking(sold, money(sold, 1)).await;
    world.call_off().await;
    world.refund_show(false).await;
    world.refund_shows().await;
    assert!(
        !world.refund_show(true).await.finished,
        "one may be confirmed yet"
    );
    world.recover().await;
    assert_eq!(world.state(sold).await, BookingState::Confirmed);
    world.refund_shows().await;
    assert!(world.refund_show(true).await.finished);
    let view = world.view(sold).await;
    assert_eq!(view.booking.reason, Some(Reason::ShowCancelled));
    world.audit().await;
}
