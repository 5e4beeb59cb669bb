//! Some tickets of a booking are given back.

use booking_core::{Input, part_refund_id};
use holdfast_mesh::Failure;
use holdfast_proto::events::v1;
use holdfast_types::{BookingId, BookingState, ErrorCode, SeatNo, SeatState, TicketState};
use prost::Message;
use sqlx::PgPool;

use super::world::{CANCEL, PRICE, World, code, label, opener, payment, refunded, user};
use crate::app::{cancel::wall_time, drive::Basis, read::BookingView};

/// What is asked for when the second seat is given back.
pub(super) fn second_seat() -> Input {
    Input::SeatsGivenBack {
        seats: vec![SeatNo(1)],
        amount: PRICE,
    }
}

/// Told when the first part of the booking's payment went.
pub(super) fn part_refunded(id: BookingId) -> (&'static str, Vec<u8>) {
    let (event, payload) = refunded(id, 1, 1);
    let mut told = v1::RefundSucceeded::decode(&*payload).expect("readable");
    told.refund_id = part_refund_id(payment(id, 1), 0).into_bytes().to_vec();
    (event, told.encode_to_vec())
}

impl World {
    async fn give_back(&self, id: BookingId, seats: &[usize]) -> Result<BookingView, Failure> {
        let seats: Vec<String> = seats.iter().map(|seat| label(*seat)).collect();
        let done = self.app.return_tickets(user(1), id, &seats, None).await;
        done.map_err(Failure::from)
    }

    async fn valid_tickets(&self, id: BookingId) -> Vec<String> {
        let (_, tickets) = self.app.list_tickets(user(1), id).await.expect("reads");
        let valid = tickets
            .into_iter()
            .filter(|(ticket, _)| ticket.state == TicketState::Valid);
        valid.map(|(_, label)| label).collect()
    }

    /// What was asked back, in the order of asking.
    async fn asked_back(&self, id: BookingId) -> Vec<i64> {
        let asked = "SELECT amount FROM booking.refunds WHERE booking_id = $1 ORDER BY asked_at";
        let asked = sqlx::query_scalar(asked).bind(id.as_uuid());
        asked.fetch_all(&self.pool).await.expect("reads")
    }
}

#[sqlx::test(migrations = false)]
async fn seat_that_is_given_back_is_refunded_and_sold_again_and_the_rest_is_kept(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1, 2]).await;
    for _ in 0..2 {
        let view = world.give_back(id, &[1]).await.expect("gives back");
        assert_eq!(view.booking.state, BookingState::Confirmed);
        assert_eq!(view.returned_seat_ids, [label(1)]);
        assert_eq!(view.refund_status(), "PENDING");
    }
    assert_eq!(world.valid_tickets(id).await, [label(0), label(2)]);
    assert_eq!(world.seats().await[1], SeatState::Available);
    assert_eq!(world.asked_back(id).await, [PRICE]);
    world.tell(id, part_refunded(id)).await;
    assert_eq!(world.view(id).await.refund_status(), "PARTLY_REFUNDED");
    world.audit().await;

    let other = world.buy(user(2), &[1]).await;
    let again = world.give_back(id, &[1]).await.expect("is told again");
    assert_eq!(again.returned_seat_ids, [label(1)]);
    assert_eq!(world.state(other).await, BookingState::Confirmed);
    assert_eq!(world.seats().await[1], SeatState::Sold, "it is another's");

    // What is left goes back with the last seats.
    let view = world.give_back(id, &[0, 2]).await.expect("cancels");
    assert_eq!(view.booking.state, BookingState::Cancelled);
    assert_eq!(world.asked_back(id).await, [PRICE, 2 * PRICE]);
    assert_eq!(world.seats().await[1], SeatState::Sold);
    world.tell(id, refunded(id, 1, 2)).await;
    assert_eq!(world.view(id).await.refund_status(), "REFUNDED");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn what_can_not_be_given_back_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let unpaid = world.book(user(1), &[5, 6]).await;
    let early = code(world.give_back(unpaid, &[5]).await);
    assert_eq!(early, ErrorCode::InvalidState);
    let id = world.buy(user(1), &[0, 1, 2]).await;
    for wrong in [&[][..], &[0, 0], &[3]] {
        let refused = code(world.give_back(id, wrong).await);
        assert_eq!(refused, ErrorCode::InvalidRequest);
    }
    let nowhere = code(world.give_back(id, &[77]).await);
    assert_eq!(nowhere, ErrorCode::SeatNotFound);
    let others = world
        .app
        .return_tickets(user(2), id, &[label(0)], None)
        .await;
    assert_eq!(code(others), ErrorCode::BookingNotFound);
    sqlx::query("UPDATE booking.tickets SET state = 'USED' WHERE seat_no = 2")
        .execute(&world.pool)
        .await
        .expect("writes");
    let used = code(world.give_back(id, &[1, 2]).await);
    assert_eq!(used, ErrorCode::InvalidState);
    assert_eq!(world.valid_tickets(id).await, [label(0), label(1)]);
    world.give_back(id, &[0]).await.expect("isn't used");
    let mixed = code(world.give_back(id, &[0, 1]).await);
    assert_eq!(mixed, ErrorCode::InvalidState);
    world.audit().await;
    let begun = world.begin_show().await;
    let late = begun.return_tickets(user(1), id, &[label(1)], None).await;
    assert_eq!(code(late), ErrorCode::InvalidState);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn seats_given_back_are_returned_through_crashes_and_late_answers(pool: PgPool) {
    let mut world = World::new(pool).await;
    for asked in [false, true] {
        world.open_another().await;
        let id = world.buy(user(1), &[0, 1]).await;
        if asked {
            world.die_after_asking(id, second_seat()).await;
        } else {
            world.die_before_asking(id, second_seat()).await;
        }
        world.recover().await;
        for _ in 0..2 {
            world.tell(id, part_refunded(id)).await;
        }
        world.recover().await;
        let view = world.view(id).await;
        assert_eq!(view.booking.state, BookingState::Confirmed);
        assert_eq!(view.refund_status(), "PARTLY_REFUNDED");
        assert_eq!(world.seats().await[1], SeatState::Available);
        world.audit().await;
    }

    // The customer cancels while the answer about one seat is under way.
    world.open_another().await;
    let id = world.buy(user(1), &[0, 1]).await;
    let answer = world.die_after_asking(id, second_seat()).await;
    world.die_before_asking(id, CANCEL).await;
    let decided = world
        .app
        .decide_once(id, answer, wall_time(), Basis::Word)
        .await;
    decided.expect("decides");
    assert_eq!(world.seats().await[0], SeatState::Sold);
    world.recover().await;
    assert_eq!(world.seats().await[..2], [SeatState::Available; 2]);
    assert_eq!(world.asked_back(id).await, [PRICE, PRICE]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn cancelled_show_refunds_what_was_not_given_back(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1, 2]).await;
    world.give_back(id, &[1]).await.expect("gives back");
    world.call_off().await;
    let progress = world.app.refund_show(opener(), world.show_id, false).await;
    let progress = progress.expect("begins");
    assert_eq!(progress.seats_left, 2);
    assert_eq!(progress.amount_left.amount, 2 * PRICE);
    world.app.refund_shows().await.expect("refunds");
    assert_eq!(world.asked_back(id).await, [PRICE, 2 * PRICE]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn both_halves_that_are_given_back_at_once_end_the_booking(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1]).await;
    let (first, second) = tokio::join!(world.give_back(id, &[0]), world.give_back(id, &[1]));
    for given_back in [first, second] {
        given_back.expect("gives back");
    }
    world.recover().await;
    assert_eq!(world.state(id).await, BookingState::Cancelled);
    assert!(world.asked_back(id).await.iter().sum::<i64>() == 2 * PRICE);
    assert_eq!(world.seats().await[..2], [SeatState::Available; 2]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn booking_that_is_not_paid_has_nothing_to_give_back(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    for seats in [&[0][..], &[0, 1]] {
        let refused = world.give_back(id, seats).await;
        assert_eq!(
            refused.expect_err("refused").code(),
            ErrorCode::InvalidState
        );
    }
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
}
