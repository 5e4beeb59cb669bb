//! House seats, and what an organiser is told of sales.

use holdfast_types::{BookingState, ErrorCode, SeatState, TicketState, UserId};
use sqlx::PgPool;

use super::world::{SEATS, World, code, deadline, label, opener, user};
use crate::app::rights::Actor;

fn labels(seats: &[usize]) -> Vec<String> {
    seats.iter().map(|seat| label(*seat)).collect()
}

fn staff() -> UserId {
    user(9)
}

impl World {
    async fn block(&self, actor: Actor, seats: &[usize]) -> Result<u32, crate::error::Error> {
        let blocked = self
            .app
            .block_seats(actor, staff(), self.show_id, &labels(seats), deadline())
            .await;
        blocked.map(|changed| changed.seats)
    }

    async fn unblock(&self, seats: &[usize]) -> u32 {
        let unblocked = self
            .app
            .unblock_seats(opener(), staff(), self.show_id, &labels(seats), deadline())
            .await;
        unblocked.expect("unblocks").seats
    }
}

#[sqlx::test(migrations = false)]
async fn house_seats_are_sold_to_nobody_until_they_are_put_back(pool: PgPool) {
    let world = World::new(pool).await;
    assert_eq!(world.block(opener(), &[0, 1]).await.expect("blocks"), 2);
    assert_eq!(world.block(opener(), &[0, 1, 2]).await.expect("blocks"), 1);
    assert_eq!(world.seats().await[..3], [SeatState::Blocked; 3]);
    let refused = code(world.try_hold(user(1), &[1], "k").await);
    assert_eq!(refused, ErrorCode::SeatNotAvailable);
    assert_eq!(world.unblock(&[1, 3]).await, 1);
    world.hold(user(1), &[1]).await;
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn nobodys_seats_are_taken_for_the_house(pool: PgPool) {
    let world = World::new(pool).await;
    world.hold(user(1), &[0]).await;
    world.buy(user(2), &[1]).await;
    for (seats, wanted) in [
        (&[0, 4][..], ErrorCode::SeatLocked),
        (&[1, 4], ErrorCode::SeatNotAvailable),
        (&[4, 4], ErrorCode::InvalidRequest),
        (&[], ErrorCode::InvalidRequest),
        (&[SEATS + 1], ErrorCode::SeatNotFound),
    ] {
        let refused = code(world.block(opener(), seats).await);
        assert_eq!(refused, wanted, "{seats:?}");
    }
    let stranger = Actor::Organiser(user(77));
    let refused = code(world.block(stranger, &[4]).await);
    assert_eq!(refused, ErrorCode::Forbidden);
    assert_eq!(world.seats().await[4], SeatState::Available);
}

#[sqlx::test(migrations = false)]
async fn sales_are_what_was_confirmed_and_attendees_who_may_come_in(pool: PgPool) {
    let world = World::new(pool).await;
    let kept = world.buy(user(1), &[3, 1]).await;
    let called_off = world.buy(user(2), &[2]).await;
    world.book(user(3), &[0]).await;
    world
        .app
        .cancel_booking(user(2), called_off, None)
        .await
        .expect("is called off");
    let list = async |limit, cursor: &str| {
        let listed = world.app.list_sales(opener(), world.show_id, limit, cursor);
        listed.await.expect("are told")
    };
    let (first, next) = list(1, "").await;
    assert_eq!(first[0].row.booking_id, kept);
    assert_eq!(first[0].seat_ids, labels(&[1, 3]));
    let (second, end) = list(1, &next).await;
    assert_eq!(second[0].row.booking_id, called_off);
    assert_eq!(second[0].row.state, BookingState::Cancelled);
    assert_eq!((second.len(), end.as_str()), (1, ""));

    let attend = async |limit, cursor: &str| {
        let app = &world.app;
        let listed = app.list_attendees(opener(), world.show_id, limit, cursor);
        listed.await.expect("are told")
    };
    let (first, next) = attend(1, "").await;
    let (second, end) = attend(1, &next).await;
    let told = [&first[0], &second[0]].map(|one| (one.seat_id.clone(), one.row.user_id));
    assert_eq!(told, [(label(1), user(1)), (label(3), user(1))]);
    assert_eq!(first[0].row.state, TicketState::Valid);
    assert_eq!(end, "");

    let stranger = Actor::Organiser(user(77));
    let refused = world.app.list_sales(stranger, world.show_id, 0, "").await;
    assert_eq!(code(refused), ErrorCode::Forbidden);
    for (limit, cursor) in [(1_001, ""), (0, "x")] {
        let app = &world.app;
        let refused = app.list_attendees(opener(), world.show_id, limit, cursor);
        assert_eq!(code(refused.await), ErrorCode::InvalidRequest);
    }
}
