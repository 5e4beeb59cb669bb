//! What is charged besides what seats cost.

use booking_core::Input;
use futures::future::{join, join_all};
use holdfast_proto::events::v1;
use holdfast_types::{BookingId, BookingState, DurationMs, ErrorCode, ShowId};
use prost::Message;
use sqlx::PgPool;
use uuid::Uuid;

use super::world::{CANCEL, PRICE, World, code, deadline, label, opener, opening, payment, user};
use crate::{
    app::{TAKINGS_AT_ONCE_MAX, cancel::wall_time, open_inventory::OpenInventory, rights::Actor},
    store::{
        sales::{ShowTakings, Takings},
        shows::Fee,
    },
};

const PER_TICKET: i64 = 150;
const PER_BOOKING: i64 = 99;
/// Of two seats.
const TOTAL: i64 = 2 * (PRICE + PER_TICKET) + PER_BOOKING;

fn fee(name: &str, amount: i64, per_ticket: bool) -> Fee {
    Fee {
        name: name.to_owned(),
        amount,
        per_ticket,
    }
}

fn opening_with_fees(show_id: ShowId) -> OpenInventory {
    let mut request = opening(show_id, DurationMs::from_secs(600));
    request.fees = vec![
        fee("Service fee", PER_TICKET, true),
        fee("Order fee", PER_BOOKING, false),
    ];
    request
}

/// With a show that has fees.
async fn world(pool: PgPool) -> World {
    let mut world = World::new(pool).await;
    world.show_id = ShowId::from_uuid(Uuid::now_v7());
    let request = opening_with_fees(world.show_id);
    let open = world.app.open_inventory(opener(), request, deadline());
    open.await.expect("opens");
    world
}

async fn pay(world: &World, booking_id: BookingId, amount: i64, n: u8) {
    let event = v1::PaymentSucceeded {
        payment_id: payment(booking_id, n).to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        amount: Some(v1::Money {
            amount,
            currency: "EUR".to_owned(),
        }),
        again: false,
    };
    let told = ("PaymentSucceeded", event.encode_to_vec());
    world.tell(booking_id, told).await;
}

/// What goes back of a booking's money, in order.
async fn refunds(world: &World, booking_id: BookingId) -> Vec<i64> {
    let amounts = sqlx::query_scalar(
        "SELECT amount FROM booking.refunds WHERE booking_id = $1 ORDER BY asked_at, amount",
    );
    let amounts = amounts.bind(booking_id.as_uuid()).fetch_all(&world.pool);
    amounts.await.expect("reads")
}

async fn bought(world: &World, n: u8, seats: &[usize]) -> BookingId {
    let booking_id = world.book(user(n), seats).await;
    pay(world, booking_id, TOTAL, 1).await;
    assert_eq!(world.state(booking_id).await, BookingState::Confirmed);
    booking_id
}

#[sqlx::test(migrations = false)]
async fn fees_are_told_charged_and_go_back_with_what_they_are_for(pool: PgPool) {
    let world = world(pool).await;
    let (hold, _) = world.try_hold(user(1), &[0, 1], "k").await.expect("holds");
    assert_eq!(hold.cost.total().amount, TOTAL);
    let answer = world
        .try_book(user(1), &hold.token.to_string(), "b")
        .await
        .expect("books");
    let message = &answer.booking;
    let amount = |money: &Option<holdfast_proto::booking::v1::Money>| {
        money.as_ref().expect("is told").amount
    };
    assert_eq!(
        (amount(&message.total), amount(&message.seats_total)),
        (TOTAL, 2 * PRICE)
    );
    let told: Vec<_> = message
        .fees
        .iter()
        .map(|fee| (fee.name.as_str(), fee.amount))
        .collect();
    assert_eq!(
        told,
        [("Service fee", 2 * PER_TICKET), ("Order fee", PER_BOOKING)]
    );
    let booking_id = super::world::id_of(&answer);

    // The seats alone don't pay for it.
    pay(&world, booking_id, 2 * PRICE, 2).await;
    assert_eq!(world.state(booking_id).await, BookingState::PendingPayment);
    assert_eq!(refunds(&world, booking_id).await, [2 * PRICE]);
    pay(&world, booking_id, TOTAL, 1).await;
    assert_eq!(world.state(booking_id).await, BookingState::Confirmed);

    let seats = [label(1)];
    let returned = world
        .app
        .return_tickets(user(1), booking_id, &seats, None)
        .await;
    assert_eq!(returned.expect("goes back").booking.total.amount, TOTAL);
    let part = PRICE + PER_TICKET;
    assert_eq!(refunds(&world, booking_id).await, [2 * PRICE, part]);
    world.audit().await;
    // With the last of its tickets all of it goes back.
    world
        .app
        .drive(booking_id, CANCEL, wall_time())
        .await
        .expect("cancels");
    assert_eq!(
        refunds(&world, booking_id).await,
        [2 * PRICE, part, TOTAL - part]
    );
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn all_of_it_goes_back_where_all_is_refunded(pool: PgPool) {
    let world = world(pool).await;
    let cancelled = bought(&world, 1, &[0, 1]).await;
    world
        .app
        .drive(cancelled, CANCEL, wall_time())
        .await
        .expect("cancels");
    assert_eq!(refunds(&world, cancelled).await, [TOTAL]);

    let late = world.book(user(2), &[2, 3]).await;
    world.expire(late).await;
    world.hold(user(3), &[2]).await;
    pay(&world, late, TOTAL, 1).await;
    assert_eq!(world.state(late).await, BookingState::Failed);
    assert_eq!(refunds(&world, late).await, [TOTAL]);

    let called_off = bought(&world, 4, &[4, 5]).await;
    world.call_off().await;
    let input = Input::ShowCancelled;
    world
        .app
        .drive(called_off, input, wall_time())
        .await
        .expect("refunds");
    assert_eq!(refunds(&world, called_off).await, [TOTAL]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn fees_are_part_of_what_a_show_is_opened_with(pool: PgPool) {
    let world = world(pool).await;
    let open = |request: OpenInventory| world.app.open_inventory(opener(), request, deadline());
    let request = opening_with_fees(ShowId::from_uuid(Uuid::now_v7()));
    for _ in 0..2 {
        open(request.clone()).await.expect("opens");
    }
    let mut other = request;
    other.fees[0].per_ticket = false;
    assert_eq!(code(open(other).await), ErrorCode::AlreadyExists);
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    for bad in [
        vec![fee("", 1, true)],
        vec![fee("Free", 0, true)],
        vec![fee("Fee", 1, true); 6],
        vec![fee(&"f".repeat(61), 1, false)],
    ] {
        let mut request = opening_with_fees(show_id);
        request.fees = bad;
        assert_eq!(code(open(request).await), ErrorCode::InvalidRequest);
    }
}

/// A sum over rows of the show.
async fn sum(world: &World, sql: &'static str) -> i64 {
    let sum = sqlx::query_scalar(sql).bind(world.show_id.as_uuid());
    sum.fetch_one(&world.pool).await.expect("reads")
}

#[sqlx::test(migrations = false)]
async fn takings_are_what_was_paid_and_what_goes_back(pool: PgPool) {
    let world = world(pool).await;
    let kept = bought(&world, 1, &[0, 1]).await;
    let in_part = bought(&world, 2, &[2, 3]).await;
    let returned = world
        .app
        .return_tickets(user(2), in_part, &[label(3)], None)
        .await;
    returned.expect("goes back");
    let cancelled = bought(&world, 3, &[4, 5]).await;
    let driven = world.app.drive(cancelled, CANCEL, wall_time()).await;
    driven.expect("cancels");
    // Money that no ticket was ever for: twice, too little, and of a booking that isn't paid.
    pay(&world, kept, TOTAL, 2).await;
    let unpaid = world.book(user(4), &[6]).await;
    pay(&world, unpaid, PRICE, 1).await;

    let sums = world.app.takings(opener(), world.show_id).await;
    let sums = sums.expect("are told");
    let part = PRICE + PER_TICKET;
    let total = Takings {
        gross: 3 * TOTAL,
        fees: 6 * PER_TICKET + 3 * PER_BOOKING,
        refunded: part + TOTAL,
    };
    assert_eq!(sums.takings.total, total);
    let seats = Takings {
        gross: 6 * part,
        fees: 6 * PER_TICKET,
        refunded: 3 * part,
    };
    let categories: Vec<_> = sums.takings.categories.iter().map(|(_, of)| *of).collect();
    assert_eq!(categories, [seats]);
    let per_booking = Takings {
        gross: 3 * PER_BOOKING,
        fees: 3 * PER_BOOKING,
        refunded: PER_BOOKING,
    };
    assert_eq!(sums.per_booking, per_booking);

    // So say the rows of payments: those that stood for tickets, and what goes back of them.
    let stood = "SELECT sum(p.amount)::bigint FROM booking.booking_payments p
         WHERE p.show_id = $1 AND (p.fate = 'KEPT' OR EXISTS (SELECT FROM booking.refunds r
             WHERE r.show_id = $1 AND r.payment_id = p.payment_id AND r.reason = 'CANCELLED'))";
    assert_eq!(sum(&world, stood).await, total.gross);
    let kept_now = "SELECT sum(CASE p.fate WHEN 'KEPT' THEN p.amount
             - (SELECT coalesce(sum(part), 0) FROM unnest(p.parts) AS part) ELSE 0 END)::bigint
         FROM booking.booking_payments p WHERE p.show_id = $1";
    assert_eq!(
        sum(&world, kept_now).await,
        total.gross - total.refunded,
        "net is what is kept"
    );

    // And the list of sales, added up.
    let listed = world.app.list_sales(opener(), world.show_id, 0, "").await;
    let (sales, _) = listed.expect("are told");
    let listed = Takings {
        gross: sales.iter().map(|sale| sale.row.total.amount).sum(),
        fees: sales.iter().map(|sale| sale.fees.amount).sum(),
        refunded: sales.iter().map(|sale| sale.row.refunded).sum(),
    };
    assert_eq!((listed, sales.len()), (total, 3));

    // Of refunds from before reasons were recorded those of bookings that have ended count.
    let recorded = sqlx::query(
        "UPDATE booking.refunds SET reason = 'NOT_RECORDED' WHERE reason <> 'SEATS_GIVEN_BACK'",
    );
    recorded.execute(&world.pool).await.expect("writes");
    let sums = world.app.takings(opener(), world.show_id).await;
    assert_eq!(sums.expect("are told").takings.total, total);
    let listed = world.app.list_sales(opener(), world.show_id, 0, "").await;
    let (sales, _) = listed.expect("are told");
    let refunded = sales.iter().map(|sale| sale.row.refunded).sum::<i64>();
    assert_eq!(refunded, total.refunded);

    let stranger = Actor::Organiser(user(77));
    let refused = world.app.takings(stranger, world.show_id).await;
    assert_eq!(code(refused), ErrorCode::Forbidden);
}

/// They are long reads on the connections of purchases.
#[sqlx::test(migrations = false)]
async fn takings_of_few_are_added_up_at_once(pool: PgPool) {
    let world = world(pool).await;
    let mut slow = world.pool.begin().await.expect("begins");
    sqlx::query("LOCK TABLE booking.refunds")
        .execute(&mut *slow)
        .await
        .expect("locks");
    let asked =
        join_all((0..TAKINGS_AT_ONCE_MAX + 2).map(|_| world.app.takings(opener(), world.show_id)));
    let freed = async {
        world.lock_waits(2).await;
        assert_eq!(world.app.takings.available_permits(), 0);
        slow.rollback().await.expect("ends");
    };
    let (answers, ()) = join(asked, freed).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.app.takings.available_permits(), TAKINGS_AT_ONCE_MAX);
}

#[sqlx::test(migrations = false)]
async fn of_a_show_that_sold_nothing_nothing_was_taken(pool: PgPool) {
    let world = world(pool).await;
    world.book(user(1), &[0]).await;
    let sums = world.app.takings(opener(), world.show_id).await;
    let sums = sums.expect("are told");
    assert_eq!(sums.takings, ShowTakings::default());
    assert_eq!(sums.per_booking, Takings::default());
}
