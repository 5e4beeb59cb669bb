//! House seats, and what an organiser is told of sales.

use futures::future::join_all;
use holdfast_types::{BookingId, BookingState, ErrorCode, SeatState, ShowId, TicketState, UserId};
use sqlx::PgPool;

use super::world::{SEATS, World, code, deadline, label, opener, user};
use crate::app::{
    check_in::{CheckInResult, CheckedIn, Doorkeeper},
    rights::Actor,
};

pub(super) fn labels(seats: &[usize]) -> Vec<String> {
    seats.iter().map(|seat| label(*seat)).collect()
}

pub(super) fn staff() -> UserId {
    user(9)
}

impl World {
    pub(super) async fn block(
        &self,
        actor: Actor,
        seats: &[usize],
    ) -> Result<u32, crate::error::Error> {
        let blocked = self
            .app
            .block_seats(actor, staff(), self.show_id, &labels(seats), deadline())
            .await;
        blocked.map(|changed| changed.seats)
    }

    pub(super) async fn unblock(&self, seats: &[usize]) -> u32 {
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

fn anywhere() -> Doorkeeper {
    Doorkeeper {
        user_id: staff(),
        of: None,
    }
}

impl World {
    /// The first ticket of a booking.
    async fn code_of(&self, booking_id: BookingId) -> String {
        let code = sqlx::query_scalar(
            "SELECT qr_payload FROM booking.tickets WHERE booking_id = $1 ORDER BY seat_no LIMIT 1",
        );
        let code = code.bind(booking_id.as_uuid()).fetch_one(&self.pool);
        code.await.expect("has a ticket")
    }

    async fn scan(&self, text: &str, key: &str) -> Result<CheckedIn, crate::error::Error> {
        self.app
            .check_in(anywhere(), text, Some(self.show_id), key)
            .await
    }
}

#[sqlx::test(migrations = false)]
async fn a_ticket_lets_in_once_by_one_scan(pool: PgPool) {
    let world = World::new(pool).await;
    let booking_id = world.buy(user(1), &[3, 1]).await;
    let text = world.code_of(booking_id).await;
    let keys = ["a", "b", "c", "d"];
    let scans = join_all(keys.map(|key| world.scan(&text, key))).await;
    let scans: Vec<CheckedIn> = scans
        .into_iter()
        .map(|scan| scan.expect("is told"))
        .collect();
    let admitted: Vec<_> = keys
        .into_iter()
        .zip(&scans)
        .filter(|(_, scan)| scan.result == CheckInResult::Admitted)
        .collect();
    let [(first, scan)] = admitted[..] else {
        panic!("{scans:?}");
    };
    assert_eq!(
        (scan.code.seat_id.as_str(), scan.code.show_id),
        (label(1).as_str(), world.show_id)
    );
    for key in keys {
        let again = world.scan(&text, key).await.expect("is told");
        let wanted = match key == first {
            true => CheckInResult::Admitted,
            false => CheckInResult::AlreadyUsed,
        };
        assert_eq!(
            (again.result, again.used_at),
            (wanted, scan.used_at),
            "{key}"
        );
    }
    let other = sqlx::query_scalar::<_, String>(
        "SELECT qr_payload FROM booking.tickets WHERE booking_id = $1 ORDER BY seat_no DESC LIMIT 1",
    );
    let other = other.bind(booking_id.as_uuid()).fetch_one(&world.pool);
    let other = other.await.expect("has another ticket");
    let refused = world.scan(&other, first).await;
    assert_eq!(code(refused), ErrorCode::IdempotencyKeyReused);
    let scan = world.scan(&other, "e").await.expect("is told");
    assert_eq!(scan.result, CheckInResult::Admitted);
    // Its seat isn't given back any more.
    let refused = world.app.cancel_booking(user(1), booking_id, None).await;
    assert_eq!(code(refused), ErrorCode::InvalidState);
    world.audit().await;
}

/// Two members of the organisation whose show it is work at its doors.
#[sqlx::test(migrations = false)]
async fn a_scans_key_is_the_accounts_own_in_whosever_name_it_scans(pool: PgPool) {
    let world = World::new(pool).await;
    let first = world.buy(user(1), &[1]).await;
    let second = world.buy(user(2), &[3]).await;
    let scan = async |n, booking_id| {
        let door = Doorkeeper {
            user_id: user(n),
            of: Some(opener()),
        };
        let text = world.code_of(booking_id).await;
        world.app.check_in(door, &text, None, "k").await
    };
    for (n, booking_id) in [(8, first), (9, second), (8, first)] {
        let scanned = scan(n, booking_id).await.expect("is told");
        assert_eq!(scanned.result, CheckInResult::Admitted);
    }
    let refused = code(scan(9, first).await);
    assert_eq!(refused, ErrorCode::IdempotencyKeyReused);
}

#[sqlx::test(migrations = false)]
async fn whoever_gave_a_ticket_back_does_not_come_in(pool: PgPool) {
    let world = World::new(pool).await;
    let booking_id = world.buy(user(1), &[1]).await;
    let text = world.code_of(booking_id).await;
    let cancelled = world.app.cancel_booking(user(1), booking_id, None).await;
    cancelled.expect("is called off");
    let scan = world.scan(&text, "a").await.expect("is told");
    assert_eq!((scan.result, scan.used_at), (CheckInResult::Void, None));
}

#[sqlx::test(migrations = false)]
async fn doors_take_their_own_shows_codes_from_those_who_may(pool: PgPool) {
    let world = World::new(pool).await;
    let booking_id = world.buy(user(1), &[1]).await;
    let text = world.code_of(booking_id).await;
    let app = &world.app;
    let elsewhere = Some(ShowId::from_bytes([9; 16]));
    let scan = app.check_in(anywhere(), &text, elsewhere, "a").await;
    assert_eq!(scan.expect("is told").result, CheckInResult::OtherShow);
    let stranger = Doorkeeper {
        of: Some(Actor::Organiser(user(77))),
        ..anywhere()
    };
    let refused = app.check_in(stranger, &text, None, "a").await;
    assert_eq!(code(refused), ErrorCode::Forbidden);
    let altered = format!("{}A{}", &text[..60], &text[61..]);
    let altered = if altered == text {
        format!("{}B{}", &text[..60], &text[61..])
    } else {
        altered
    };
    for (text, key, wanted) in [
        ("", "a", ErrorCode::InvalidRequest),
        ("AQ", "a", ErrorCode::InvalidRequest),
        (altered.as_str(), "a", ErrorCode::InvalidRequest),
        (text.as_str(), "", ErrorCode::IdempotencyKeyRequired),
    ] {
        assert_eq!(code(world.scan(text, key).await), wanted, "{text}");
    }
    world.call_off().await;
    assert_eq!(code(world.scan(&text, "a").await), ErrorCode::InvalidState);
}
