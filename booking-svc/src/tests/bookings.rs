//! From hold to ticket, and back.

use std::time::{Duration, Instant};

use chrono::Utc;
use holdfast_mesh::deadline::Deadline;
use holdfast_proto::events::v1;
use holdfast_types::{BookingState, ClusterTime, ErrorCode, SeatState, ShowState};
use prost::Message;
use sqlx::PgPool;

use super::world::{
    LIMIT, PRICE, World, app, code, deadline, failed, opener, paid, payment, refunded, refused,
    user,
};
use crate::{
    TicketCode,
    app::{answer::booking_message, changes, read::BookingView},
    metrics,
    store::{
        bookings::NewBooking,
        requests::{Named, Route},
    },
};

#[sqlx::test(migrations = false)]
async fn paid_hold_becomes_a_confirmed_booking_with_a_signed_ticket_per_seat(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[3, 4]).await;
    let created = v1::PaymentSessionCreated {
        payment_id: payment(id, 1).to_bytes().to_vec(),
        booking_id: id.to_bytes().to_vec(),
        payment_url: "http://pay/1".to_owned(),
    };
    world
        .tell(id, ("PaymentSessionCreated", created.encode_to_vec()))
        .await;
    let pending = world.view(id).await;
    assert_eq!(
        pending.booking.session.expect("a session").url,
        "http://pay/1"
    );
    assert_eq!(pending.seat_ids, ["A-4", "A-5"]);
    assert_eq!(pending.booking.total.amount, 2 * PRICE);

    world.tell(id, paid(id, 1, 2)).await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    let (_, tickets) = world.app.list_tickets(user(1), id).await.expect("tickets");
    let key = sqlx::query_scalar!("SELECT public_key FROM booking.ticket_keys")
        .fetch_one(&world.pool)
        .await
        .expect("a key");
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.try_into().expect("32 bytes"));
    let key = key.expect("a key");
    let seats: Vec<_> = tickets
        .iter()
        .map(|(ticket, _)| {
            TicketCode::read(&ticket.qr_payload, &key)
                .expect("signed")
                .seat_id
        })
        .collect();
    assert_eq!(seats, ["A-4", "A-5"]);
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn whoever_waits_for_a_change_hears_of_it_and_of_another_processs_too(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[3]).await;
    let version = |view: &BookingView| booking_message(view.clone()).version;
    let seen = version(&world.view(id).await);
    let hour = Duration::from_secs(3_600);
    let limit = Deadline::after(LIMIT);
    let wait = |longest| {
        let wait = (longest, limit);
        let app = &world.app;
        app.wait_booking(user(1), id, wait, |view| version(view) != seen)
    };
    let in_vain = wait(Duration::from_millis(1)).await.expect("answered");
    assert_eq!(version(&in_vain), seen);
    let hidden = world
        .app
        .wait_booking(user(2), id, (hour, limit), |_| false)
        .await;
    assert_eq!(code(hidden), ErrorCode::BookingNotFound);

    let (heard, ()) = tokio::join!(wait(hour), world.tell(id, paid(id, 1, 1)));
    let heard = heard.expect("answered");
    assert_ne!(version(&heard), seen);

    // A process of its own, so that nobody tells the one that waits.
    let other = app(&world.pool, &world.lockstore, LIMIT).await;
    let confirmed = version(&world.view(id).await);
    let refunded = |view: &BookingView| version(view) != confirmed;
    let waiting = world.app.wait_booking(user(1), id, (hour, limit), refunded);
    let cancelling = async {
        let cancelled = other.cancel_booking(user(1), id, None).await;
        cancelled.expect("cancels");
    };
    let looking = async {
        loop {
            let Ok(()) = world.app.look_for_changes().await;
            tokio::time::sleep(changes::PERIOD).await;
        }
    };
    let (found, ()) = tokio::join!(
        async {
            tokio::select! {
                found = waiting => found,
                () = looking => unreachable!("never ends"),
            }
        },
        cancelling
    );
    let found = found.expect("answered").booking.state;
    assert_eq!(found, BookingState::Cancelled);
}

#[sqlx::test(migrations = false)]
async fn time_to_pay_is_told_by_the_wall_clock_however_far_the_clusters_is_behind(pool: PgPool) {
    let world = World::new(pool).await;
    let app = &world.app;
    let token = world.hold(user(1), &[0]).await.parse().expect("a token");
    let inventory = app.inventories.get(world.show_id).await.expect("is there");
    let extended = app.extend_for_payment(user(1), token, &inventory, deadline());
    let mut extended = extended.await.expect("extends");
    let two_hours_ms = 7_200_000;
    extended.booking.expires_at = ClusterTime(extended.booking.expires_at.0 - two_hours_ms);
    let named = Named {
        user_id: user(1),
        idempotency_key: "k".to_owned(),
        route: Route::CreateBooking,
        body_hash: [0; 32],
    };
    let new = NewBooking {
        booking: &extended.booking,
        named: &named,
        answer: &[],
        price_version: extended.price_version,
        created_at: Utc::now(),
        pay_until: extended.pay_until,
        revision: extended.revision,
        lineage: extended.lineage,
    };
    let written = app.write_booking(new, &inventory).await;
    written.expect("books");
    let id = extended.booking.id;

    let payload = sqlx::query_scalar!("SELECT payload FROM booking.outbox")
        .fetch_one(&world.pool)
        .await
        .expect("one event");
    let told = v1::BookingCreated::decode(payload.as_slice()).expect("readable");
    let pay_until_ms = extended.pay_until.timestamp_millis();
    assert_eq!(told.pay_until_ms, pay_until_ms);
    let seen = booking_message(world.view(id).await);
    assert_eq!(seen.expires_at_ms, pay_until_ms);
}

#[sqlx::test(migrations = false)]
async fn events_that_come_again_change_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    for _ in 0..2 {
        world.tell(id, paid(id, 1, 1)).await;
        world.tell(id, failed(id, 1)).await;
    }
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn second_payment_goes_back_once(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0]).await;
    for _ in 0..2 {
        world.tell(id, paid(id, 2, 1)).await;
    }
    let told = world.told(id).await;
    assert_eq!(
        told,
        ["BookingCreated", "BookingConfirmed", "RefundRequested"]
    );
    assert_eq!(world.view(id).await.refund_status(), "PENDING");
    world.tell(id, refunded(id, 2, 1)).await;
    assert_eq!(world.view(id).await.refund_status(), "REFUNDED");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn another_amount_goes_back_and_the_right_one_confirms(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.tell(id, paid(id, 1, 2)).await;
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
    world.tell(id, paid(id, 2, 1)).await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    let told = world.told(id).await;
    assert_eq!(
        told,
        ["BookingCreated", "RefundRequested", "BookingConfirmed"]
    );
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn declined_payment_frees_the_seats(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.tell(id, failed(id, 1)).await;
    let view = world.view(id).await;
    assert_eq!(view.booking.state, BookingState::Failed);
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingEnded"]);
    assert_eq!(world.seats().await[0], SeatState::Available);
    world.buy(user(2), &[0]).await;
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn cancelling_an_unpaid_booking_frees_its_seats_and_money_after_it_goes_back(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    for _ in 0..2 {
        let view = world
            .app
            .cancel_booking(user(1), id, None)
            .await
            .expect("cancels");
        assert_eq!(view.booking.state, BookingState::Cancelled);
    }
    assert_eq!(world.seats().await[0], SeatState::Available);
    world.tell(id, paid(id, 1, 2)).await;
    assert_eq!(world.state(id).await, BookingState::Cancelled);
    assert_eq!(
        world.told(id).await,
        ["BookingCreated", "BookingEnded", "RefundRequested"]
    );
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn cancelling_a_confirmed_booking_refunds_it_and_sells_its_seats_anew(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1]).await;
    let view = world
        .app
        .cancel_booking(user(1), id, None)
        .await
        .expect("cancels");
    assert_eq!(view.booking.state, BookingState::Cancelled);
    assert_eq!(view.refund_status(), "PENDING");
    assert_eq!(world.seats().await[..2], [SeatState::Available; 2]);
    let refused = code(world.app.list_tickets(user(1), id).await);
    assert_eq!(refused, ErrorCode::InvalidState);
    world.buy(user(2), &[1, 0]).await;
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn booking_with_a_used_ticket_is_not_cancelled(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1]).await;
    sqlx::query!("UPDATE booking.tickets SET state = 'USED' WHERE seat_no = 0")
        .execute(&world.pool)
        .await
        .expect("writes");
    assert_eq!(
        code(world.app.cancel_booking(user(1), id, None).await),
        ErrorCode::InvalidState
    );
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn confirmed_booking_is_not_cancelled_once_the_show_began_unless_it_was_called_off(
    pool: PgPool,
) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1]).await;
    let app = world.begin_show().await;
    assert_eq!(
        code(app.cancel_booking(user(1), id, None).await),
        ErrorCode::InvalidState
    );
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    app.change_show(opener(), world.show_id, ShowState::Cancelled, deadline())
        .await
        .expect("called off");
    let view = app
        .cancel_booking(user(1), id, None)
        .await
        .expect("cancels");
    assert_eq!(view.booking.state, BookingState::Cancelled);
    assert_eq!(view.refund_status(), "PENDING");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn lists_go_newest_first_page_by_page(pool: PgPool) {
    let world = World::new(pool).await;
    let mut ids = Vec::new();
    for seat in 0..3 {
        ids.push(world.book(user(1), &[seat]).await);
    }
    world.book(user(2), &[4]).await;
    ids.reverse();
    let first = world.app.list_bookings(user(1), 2, "").await;
    let first = first.expect("lists");
    // What is booked meanwhile is on neither page, and moves nothing from one to the other.
    let newer = world.book(user(1), &[5]).await;
    let rest = world.app.list_bookings(user(1), 2, &first.next_cursor);
    let rest = rest.await.expect("lists");
    let both = first.bookings.iter().chain(&rest.bookings);
    let listed: Vec<_> = both.map(|view| view.booking.id).collect();
    assert_eq!((&listed, rest.next_cursor.as_str()), (&ids, ""));
    let newest = world.app.list_bookings(user(1), 1, "").await;
    let newest = newest.expect("lists").bookings;
    assert_eq!(newest[0].booking.id, newer);
    assert_eq!(
        code(world.app.list_bookings(user(1), 101, "").await),
        ErrorCode::InvalidRequest
    );
    for cursor in ["x", "3", "0191c2a4"] {
        let bad = refused(world.app.list_bookings(user(1), 1, cursor).await);
        assert_eq!(bad.code(), ErrorCode::InvalidRequest);
        assert_eq!(bad.fields()[0].field, "cursor");
    }
}

/// Wherever it stands on a page, also where the page is of nothing else.
#[sqlx::test(migrations = false)]
async fn booking_that_can_not_be_read_has_its_place_in_the_list(pool: PgPool) {
    let world = World::new(pool).await;
    let mut ids = Vec::new();
    for seat in 0..5 {
        ids.push(world.book(user(1), &[seat]).await);
    }
    ids.reverse();
    // The last of the first page, the first of the second, and the last of all.
    let spoilt = [ids[1], ids[2], ids[4]];
    for (id, what) in spoilt.iter().zip(["currency", "reason", "payment_fate"]) {
        let sql = match what {
            "currency" => "UPDATE booking.bookings SET currency = '?' WHERE booking_id = $1",
            "reason" => "UPDATE booking.bookings SET reason = 'NEW' WHERE booking_id = $1",
            _ => {
                "INSERT INTO booking.booking_payments
                     (show_id, booking_id, payment_id, position, amount, currency, fate)
                 SELECT show_id, booking_id, booking_id, 0, 1, '?', 'PENDING'
                 FROM booking.bookings WHERE booking_id = $1"
            }
        };
        let written = sqlx::query(sql).bind(id.as_uuid()).execute(&world.pool);
        assert_eq!(written.await.expect("writes").rows_affected(), 1, "{what}");
    }
    for limit in 1..=6 {
        let (mut listed, mut lost, mut cursor) = (Vec::new(), Vec::new(), String::new());
        for page in 1.. {
            let answer = world.app.list_bookings(user(1), limit, &cursor).await;
            let answer = answer.expect("lists");
            let of_page = answer.bookings.len() + answer.unreadable.len();
            let is_last = answer.next_cursor.is_empty();
            let before = (page - 1) * limit as usize;
            assert_eq!(of_page, (limit as usize).min(5 - before), "{limit}");
            listed.extend(answer.bookings.iter().map(|view| view.booking.id));
            lost.extend(answer.unreadable.iter().map(|key| key.booking_id));
            cursor = answer.next_cursor;
            if is_last {
                break;
            }
        }
        assert_eq!(listed, [ids[0], ids[3]], "{limit}");
        assert_eq!(lost, spoilt, "{limit}");
    }
    assert_eq!(world.counted(metrics::UNREADABLE, ""), 3, "each once");
    // The sweep still tries those that nobody but their owner met.
    assert_eq!(world.app.unreadable.left_out(Instant::now()), []);
}
