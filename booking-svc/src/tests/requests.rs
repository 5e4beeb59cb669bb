//! What an `Idempotency-Key` promises.

use std::time::Duration;

use futures::future::join_all;
use holdfast_mesh::deadline::Deadline;
use holdfast_proto::booking::v1 as pb;
use holdfast_types::{BookingId, BookingState, ErrorCode, SeatState, UserId};
use sqlx::PgPool;

use super::{
    crashes::money,
    world::{CANCEL, LIMIT, World, app, code, deadline, id_of, label, paid, refused, user},
};
use crate::{
    app::{
        answer::Answer,
        book::Book,
        cancel::wall_time,
        drive::{Basis, Outcome},
        requests::named,
    },
    error::Error,
    store::requests::{Named, Route},
};

/// Short, so that a test doesn't wait for long.
fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(400))
}

fn book(user_id: UserId, hold_id: &str, key: &str) -> Book {
    Book {
        user_id,
        hold_id: hold_id.to_owned(),
        idempotency_key: key.to_owned(),
    }
}

fn cancellation(id: BookingId, key: &str) -> Named {
    let body: &[&[u8]] = &[&id.to_bytes()];
    let named = named(user(1), key.to_owned(), Route::CancelBooking, body);
    named.expect("a key").expect("is one")
}

fn giving_back(id: BookingId, seats: &[usize], key: &str) -> (Named, Vec<String>) {
    let labels: Vec<String> = seats.iter().map(|seat| label(*seat)).collect();
    let id = id.to_bytes();
    let mut body: Vec<&[u8]> = vec![&id];
    body.extend(labels.iter().map(String::as_bytes));
    let named = named(user(1), key.to_owned(), Route::ReturnTickets, &body);
    (named.expect("a key").expect("is one"), labels)
}

impl World {
    /// As the call does.
    async fn cancel(&self, id: BookingId, key: &str) -> Result<Answer, Error> {
        let named = cancellation(id, key);
        let work = self.app.cancel_booking(user(1), id, Some(&named));
        self.app.once(Some(&named), deadline(), work).await
    }

    async fn give_back_as(
        &self,
        id: BookingId,
        seats: &[usize],
        key: &str,
    ) -> Result<Answer, Error> {
        let (named, labels) = giving_back(id, seats, key);
        let work = self.app.return_tickets(user(1), id, &labels, Some(&named));
        self.app.once(Some(&named), deadline(), work).await
    }

    /// Requests that are remembered, and those of them that have an answer.
    async fn remembered(&self) -> (i64, i64) {
        let count = "SELECT count(*), count(answer) FROM booking.requests";
        let count = sqlx::query_as(count).fetch_one(&self.pool);
        count.await.expect("reads")
    }

    async fn bookings(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM booking.bookings");
        count.fetch_one(&self.pool).await.expect("reads")
    }
}

fn replayed(first: &Answer, again: &Answer) {
    assert!(again.replayed);
    assert_eq!(first.booking, again.booking, "the very body");
}

#[sqlx::test(migrations = false)]
async fn booking_is_answered_as_it_first_was_whatever_became_of_it(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0, 1]).await;
    let first = world.try_book(user(1), &hold, "k").await.expect("books");
    assert!(!first.replayed);
    let again = || world.try_book(user(1), &hold, "k");
    replayed(&first, &again().await.expect("replays"));
    let id = id_of(&first);
    world.tell(id, paid(id, 1, 2)).await;
    replayed(&first, &again().await.expect("replays"));
    world.give_back_as(id, &[1], "r").await.expect("gives back");
    replayed(&first, &again().await.expect("replays"));
    world.cancel(id, "c").await.expect("cancels");
    replayed(&first, &again().await.expect("replays"));
    assert_eq!(first.booking.status, "PENDING_PAYMENT");
    assert_eq!(world.bookings().await, 1);
}

#[sqlx::test(migrations = false)]
async fn key_stands_for_one_user_one_call_and_one_body(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0, 1, 2]).await;
    let id = id_of(&world.try_book(user(1), &hold, "k").await.expect("books"));
    let reused = ErrorCode::IdempotencyKeyReused;
    let other = world.hold(user(1), &[3]).await;
    assert_eq!(code(world.try_book(user(1), &other, "k").await), reused);
    assert_eq!(code(world.try_book(user(1), "nonsense", "k").await), reused);
    assert_eq!(code(world.cancel(id, "k").await), reused);
    world.tell(id, paid(id, 1, 3)).await;
    world.give_back_as(id, &[1], "r").await.expect("gives back");
    assert_eq!(code(world.give_back_as(id, &[2], "r").await), reused);
    assert_eq!(code(world.cancel(id, "r").await), reused);
    assert_eq!(world.view(id).await.returned_seat_ids, [label(1)]);
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    // Another customer's is another key.
    let theirs = world.hold(user(2), &[4]).await;
    let theirs = world.try_book(user(2), &theirs, "k").await.expect("books");
    assert!(!theirs.replayed && id_of(&theirs) != id);
    let none = world.try_book(user(1), &hold, "").await;
    assert_eq!(code(none), ErrorCode::IdempotencyKeyRequired);
    let long = world.try_book(user(1), &hold, &"k".repeat(256)).await;
    assert_eq!(code(long), ErrorCode::InvalidRequest);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn cancelling_and_giving_back_are_answered_as_they_first_were(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1, 2]).await;
    let first = world.give_back_as(id, &[1], "r").await.expect("gives back");
    world.give_back_as(id, &[2], "s").await.expect("gives back");
    let again = world.give_back_as(id, &[1], "r").await.expect("replays");
    replayed(&first, &again);
    assert_eq!(first.booking.returned_seat_ids, [label(1)]);
    let cancelled = world.cancel(id, "c").await.expect("cancels");
    assert_eq!(cancelled.booking.refund_status, "PENDING");
    world.tell(id, super::given_back::part_refunded(id)).await;
    replayed(&cancelled, &world.cancel(id, "c").await.expect("replays"));
    let again = world.give_back_as(id, &[1], "r").await.expect("replays");
    replayed(&first, &again);
    // Without a key it is told as it stands.
    let plain = world.app.cancel_booking(user(1), id, None).await;
    assert_eq!(
        plain.expect("is told").booking.state,
        BookingState::Cancelled
    );
    assert_eq!(world.remembered().await, (4, 4));
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn refused_request_is_judged_anew(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    let (kept, answered) = world.remembered().await;
    let early = code(world.give_back_as(id, &[1], "k").await);
    assert_eq!(early, ErrorCode::InvalidState);
    let no_hold = code(world.try_book(user(1), "nonsense", "k").await);
    assert_eq!(no_hold, ErrorCode::HoldNotFound);
    assert_eq!(
        world.remembered().await,
        (kept, answered),
        "nothing is kept"
    );
    world.tell(id, paid(id, 1, 2)).await;
    let done = world.give_back_as(id, &[1], "k").await.expect("gives back");
    assert!(!done.replayed);
    // A used ticket refuses in the middle of a transaction.
    sqlx::query("UPDATE booking.tickets SET state = 'USED' WHERE seat_no = 0")
        .execute(&world.pool)
        .await
        .expect("writes");
    let used = code(world.cancel(id, "c").await);
    assert_eq!(used, ErrorCode::InvalidState);
    assert_eq!(world.remembered().await, (kept + 1, answered + 1));
    sqlx::query("UPDATE booking.tickets SET state = 'VALID' WHERE seat_no = 0")
        .execute(&world.pool)
        .await
        .expect("writes");
    world.cancel(id, "c").await.expect("cancels");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn outage_poisons_no_key(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let away = app(&world.pool, "http://127.0.0.1:1", LIMIT).await;
    let soon = Deadline::after(Duration::from_secs(1));
    let failure = refused(away.book(book(user(1), &hold, "k"), soon).await);
    assert_eq!(failure.code(), ErrorCode::Unavailable);
    let first = world.try_book(user(1), &hold, "k").await.expect("books");
    assert!(!first.replayed);
    let id = id_of(&first);

    // The cancellation is noted with its key, and can't be finished.
    let named = cancellation(id, "c");
    let work = away.cancel_booking(user(1), id, Some(&named));
    let failure = refused(away.once(Some(&named), deadline(), work).await);
    assert_eq!(failure.code(), ErrorCode::Unavailable);
    assert_eq!(world.remembered().await, (2, 1));
    let other = code(world.give_back_as(id, &[0], "c").await);
    assert_eq!(other, ErrorCode::IdempotencyKeyReused);
    world.recover().await;
    let done = world.cancel(id, "c").await.expect("goes on");
    assert_eq!(done.booking.status, "CANCELLED");
    assert_eq!(world.remembered().await, (2, 2));
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn crash_anywhere_in_a_booking_leaves_its_key_free_or_answered(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let request = book(user(1), &hold, "k");
    // After the store extended the hold.
    let token = hold.parse().expect("a token");
    let inventory = world.app.inventories.get(world.show_id).await;
    let inventory = inventory.expect("is there");
    let extend = || {
        world
            .app
            .extend_for_payment(user(1), token, &inventory, deadline())
    };
    extend().await.expect("extends");
    // In the middle of the transaction: its connection goes, and with it all that was written.
    let mut seats = world.pool.begin().await.expect("begins");
    sqlx::query("SELECT FROM booking.seats FOR UPDATE")
        .execute(&mut *seats)
        .await
        .expect("locked");
    {
        let writing = world.app.book(request.clone(), deadline());
        tokio::select! {
            told = writing => panic!("the seats are locked: {told:?}"),
            () = world.lock_waits(1) => {}
        }
    }
    seats.rollback().await.expect("unlocked");
    assert_eq!(
        (world.remembered().await, world.bookings().await),
        ((0, 0), 0)
    );
    // After the commit: the answer is lost, and is there.
    let first = world.app.book(request.clone(), deadline()).await;
    let first = first.expect("books");
    assert!(!first.replayed);
    let restarted = app(&world.pool, &world.lockstore, LIMIT).await;
    let again = restarted.book(request, deadline()).await;
    replayed(&first, &again.expect("replays"));
    assert_eq!(world.told(id_of(&first)).await, ["BookingCreated"]);
    world.audit().await;
}

/// Dies after so many steps: before the store is asked, after it was, before the answer is kept.
async fn cancel_and_die(world: &World, id: BookingId, key: &str, steps: usize) {
    let named = cancellation(id, key);
    let decided = world
        .app
        .decide_once(id, CANCEL, wall_time(), Basis::Request(&named));
    let Outcome::Decided(booking, Some(call)) = decided.await.expect("decides").expect("is there")
    else {
        panic!("a question was expected");
    };
    if steps == 0 {
        return;
    }
    world.app.ask(&booking, call).await.expect("is answered");
    if steps == 1 {
        return;
    }
    world.recover().await;
}

#[sqlx::test(migrations = false)]
async fn crash_anywhere_in_a_cancellation_is_gone_on_with_under_its_key(pool: PgPool) {
    let mut world = World::new(pool).await;
    for is_paid in [false, true] {
        for steps in 0..3 {
            world.open_another().await;
            let id = world.book(user(1), &[0, 1]).await;
            if is_paid {
                world.tell(id, paid(id, 1, 2)).await;
            }
            let key = format!("{is_paid} {steps}");
            cancel_and_die(&world, id, &key, steps).await;
            // From when it has an effect the key stands for it.
            let reused = code(world.give_back_as(id, &[0], &key).await);
            assert_eq!(reused, ErrorCode::IdempotencyKeyReused);
            let mut told = world.cancel(id, &key).await;
            if told.is_err() {
                // What is open is somebody's until its lease has run out.
                assert_eq!(code(told), ErrorCode::Unavailable);
                world.recover().await;
                told = world.cancel(id, &key).await;
            }
            let told = told.expect("goes on");
            assert_eq!(told.booking.status, "CANCELLED");
            replayed(&told, &world.cancel(id, &key).await.expect("replays"));
            for _ in 0..2 {
                world.recover().await;
            }
            let refunds = world.told(id).await;
            let refunds = refunds.iter().filter(|told| *told == "RefundRequested");
            assert_eq!(refunds.count(), usize::from(is_paid));
            assert_eq!(world.seats().await[..2], [SeatState::Available; 2]);
        }
    }
    assert_eq!(crate::audit(&world.pool).await.expect("audits"), []);
}

#[sqlx::test(migrations = false)]
async fn crash_after_seats_were_given_back_is_gone_on_with_under_its_key(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0, 1, 2]).await;
    let (named, _) = giving_back(id, &[1], "r");
    let decided = world.app.decide_once(
        id,
        super::given_back::second_seat(),
        wall_time(),
        Basis::Request(&named),
    );
    decided.await.expect("decides");
    let other = code(world.give_back_as(id, &[2], "r").await);
    assert_eq!(other, ErrorCode::IdempotencyKeyReused);
    let told = world.give_back_as(id, &[1], "r").await.expect("goes on");
    assert_eq!(told.booking.returned_seat_ids, [label(1)]);
    world.recover().await;
    let again = world.give_back_as(id, &[1], "r").await.expect("replays");
    replayed(&told, &again);
    assert_eq!(world.seats().await[1], SeatState::Available);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn copies_at_once_are_one_booking_and_are_told_the_same(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let other = app(&world.pool, &world.lockstore, LIMIT).await;
    let copies = (0..6).map(|n| {
        let app = if n % 2 == 0 { &world.app } else { &other };
        app.book(book(user(1), &hold, "k"), deadline())
    });
    let told = join_all(copies).await;
    let told: Vec<Answer> = told
        .into_iter()
        .map(|told| told.expect("is told"))
        .collect();
    assert_eq!(told.iter().filter(|told| !told.replayed).count(), 1);
    assert!(told.iter().all(|one| one.booking == told[0].booking));
    assert_eq!(world.told(id_of(&told[0])).await, ["BookingCreated"]);
    assert_eq!(world.remembered().await, (1, 1));
}

#[sqlx::test(migrations = false)]
async fn copy_waits_for_the_first_and_is_in_progress_if_that_takes_too_long(pool: PgPool) {
    let world = World::new(pool).await;
    // The very first booking waits for nobody, but all others for it.
    world.book(user(3), &[9]).await;
    let hold = world.hold(user(1), &[0]).await;
    let other = app(&world.pool, &world.lockstore, LIMIT).await;
    let mut seats = world.pool.begin().await.expect("begins");
    sqlx::query("SELECT FROM booking.seats FOR UPDATE")
        .execute(&mut *seats)
        .await
        .expect("locked");
    let first = world.app.book(book(user(1), &hold, "k"), deadline());
    let copies = async {
        world.lock_waits(1).await;
        // In the same process, and in another.
        for app in [&world.app, &other] {
            let told = app.book(book(user(1), &hold, "k"), soon()).await;
            let failure = refused(told);
            assert_eq!(failure.code(), ErrorCode::InProgress);
            assert!(failure.retry_after().is_some());
        }
        // Another key of the customer's is not in its way, and neither is another hold's booking.
        let reused = other
            .book(book(user(1), "nonsense", "k2"), deadline())
            .await;
        assert_eq!(code(reused), ErrorCode::HoldNotFound);
        // One that has time is told what the first is told.
        let waiting = world.app.book(book(user(1), &hold, "k"), deadline());
        let unlock = async {
            seats.rollback().await.expect("unlocked");
        };
        tokio::join!(waiting, unlock).0
    };
    let (first, copy) = tokio::join!(first, copies);
    replayed(&first.expect("books"), &copy.expect("replays"));
    assert_eq!(world.bookings().await, 2);
}

#[sqlx::test(migrations = false)]
async fn copy_goes_on_when_the_first_is_broken_off(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let mut seats = world.pool.begin().await.expect("begins");
    sqlx::query("SELECT FROM booking.seats FOR UPDATE")
        .execute(&mut *seats)
        .await
        .expect("locked");
    let mut first = Box::pin(world.app.book(book(user(1), &hold, "k"), deadline()));
    tokio::select! {
        told = &mut first => panic!("the seats are locked: {told:?}"),
        () = world.lock_waits(1) => {}
    }
    let copy = world.app.book(book(user(1), &hold, "k"), deadline());
    let break_off = async {
        // As a server does when the connection is gone.
        drop(first);
        seats.rollback().await.expect("unlocked");
    };
    let (told, ()) = tokio::join!(copy, break_off);
    assert!(!told.expect("books").replayed);
    assert_eq!(world.bookings().await, 1);
}

#[sqlx::test(migrations = false)]
async fn copy_that_looked_before_the_first_was_written_is_told_the_same(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let first = world.try_book(user(1), &hold, "k").await.expect("books");
    let id = id_of(&first);
    let token = hold.parse().ok();
    let unseen = |request: Book| {
        let app = &world.app;
        async move { app.book_unseen(&request.named(), token, deadline()).await }
    };
    for state in [BookingState::PendingPayment, BookingState::Confirmed] {
        assert_eq!(world.state(id).await, state);
        let told = unseen(book(user(1), &hold, "k")).await.expect("replays");
        replayed(&first, &told);
        world.tell(id, paid(id, 1, 1)).await;
    }
    let other_key = refused(unseen(book(user(1), &hold, "other")).await);
    assert_eq!(other_key.code(), ErrorCode::InvalidState);
    assert_eq!(other_key.metadata()["booking_id"], id.to_string());
    let stranger = refused(unseen(book(user(2), &hold, "k")).await);
    assert_eq!(stranger.code(), ErrorCode::HoldNotFound);
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);
    assert_eq!(world.remembered().await, (1, 1));
}

#[sqlx::test(migrations = false)]
async fn cancellations_at_once_under_one_key_refund_once_and_are_told_the_same(pool: PgPool) {
    let world = World::new(pool).await;
    let other = app(&world.pool, &world.lockstore, LIMIT).await;
    let id = world.buy(user(1), &[0, 1]).await;
    let named = cancellation(id, "c");
    let copies = (0..4).map(|n| {
        let app = if n % 2 == 0 { &world.app } else { &other };
        let work = app.cancel_booking(user(1), id, Some(&named));
        app.once(Some(&named), deadline(), work)
    });
    let told = join_all(copies).await;
    let told: Vec<_> = told
        .into_iter()
        .map(|told| told.expect("is told").booking)
        .collect();
    assert!(told.iter().all(|one| *one == told[0]));
    assert_eq!(
        world.told(id).await,
        [
            "BookingCreated",
            "BookingConfirmed",
            "RefundRequested",
            "BookingEnded"
        ]
    );
    world.recover().await;
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn payment_meanwhile_refuses_a_cancellation_and_the_same_key_asks_once_more(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    // Sold, and the answer is lost; then the customer cancels what looks unpaid.
    world.die_after_asking(id, money(id, 1)).await;
    let told = code(world.cancel(id, "c").await);
    assert_eq!(told, ErrorCode::InvalidState, "it was paid meanwhile");
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    let done = world.cancel(id, "c").await.expect("cancels");
    assert_eq!(
        (
            done.booking.status.as_str(),
            done.booking.refund_status.as_str()
        ),
        ("CANCELLED", "PENDING")
    );
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn requests_are_forgotten_after_a_day_in_batches(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let first = world.try_book(user(1), &hold, "k").await.expect("books");
    let fresh = world.hold(user(1), &[1]).await;
    world
        .try_book(user(1), &fresh, "fresh")
        .await
        .expect("books");
    let others =
        "INSERT INTO booking.requests (user_id, idempotency_key, route, body_hash, asked_at)
         SELECT gen_random_uuid(), 'k', 'CANCEL_BOOKING', '', now() - make_interval(hours => 25)
         FROM generate_series(1, 2700)";
    sqlx::raw_sql(others)
        .execute(&world.pool)
        .await
        .expect("writes");
    for left in [202, 2] {
        world.app.forget_requests().await.expect("forgets");
        assert_eq!(world.remembered().await.0, left);
    }
    let aged =
        "UPDATE booking.requests SET asked_at = now() - make_interval(hours => 24, secs => 1)
                WHERE idempotency_key = 'k'";
    sqlx::raw_sql(aged)
        .execute(&world.pool)
        .await
        .expect("writes");
    world.app.forget_requests().await.expect("forgets");
    assert_eq!(world.remembered().await.0, 1);
    let late = world.try_book(user(1), &hold, "k").await.expect("is told");
    assert!(late.replayed, "as it stands now");
    assert_eq!(id_of(&late), id_of(&first));
}

/// A booking has its key in the directory, which says no answer.
#[sqlx::test(migrations = false)]
async fn booking_whose_request_is_forgotten_is_told_as_it_stands_and_then_kept(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let id = id_of(&world.try_book(user(1), &hold, "k").await.expect("books"));
    sqlx::query("DELETE FROM booking.requests")
        .execute(&world.pool)
        .await
        .expect("writes");
    let other = world.hold(user(1), &[1]).await;
    let reused = world.try_book(user(1), &other, "k").await;
    assert_eq!(code(reused), ErrorCode::IdempotencyKeyReused);
    world.tell(id, paid(id, 1, 1)).await;
    let told: pb::Booking = {
        let told = world.try_book(user(1), &hold, "k").await.expect("is told");
        assert!(told.replayed);
        told.booking
    };
    assert_eq!(told.status, "CONFIRMED");
    world.cancel(id, "c").await.expect("cancels");
    let again = world.try_book(user(1), &hold, "k").await.expect("replays");
    assert_eq!(again.booking, told);
}
