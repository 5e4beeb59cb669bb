//! Accounts that are being deleted, and what they can still book.

use std::time::Duration;

use booking_core::Reason;
use futures::future::join;
use holdfast_types::{BookingState, ErrorCode, SeatState, UserId};
use sqlx::PgPool;

use super::{
    crashes::money,
    world::{World, code, deadline, id_of, paid, refunded, refused, user},
};
use crate::{
    app::closing_accounts::Standings,
    error::{Error, unavailable},
    store::closing_accounts::{self, Mark},
};

/// Each tries both at once.
const ROUNDS: usize = 20;

/// What identity-svc says when it is asked.
async fn open(_: Vec<UserId>) -> Result<Standings, Error> {
    Ok(Standings::default())
}

async fn closed(closed: Vec<UserId>) -> Result<Standings, Error> {
    let deleted = Vec::new();
    Ok(Standings { deleted, closed })
}

async fn deleted(deleted: Vec<UserId>) -> Result<Standings, Error> {
    let closed = Vec::new();
    Ok(Standings { deleted, closed })
}

async fn away(_: Vec<UserId>) -> Result<Standings, Error> {
    Err(unavailable().into())
}

impl World {
    async fn mark(&self, user_id: UserId) -> Option<Mark> {
        let mark = closing_accounts::of(&self.pool, user_id).await;
        mark.expect("reads")
    }

    async fn give_up(&self, user_id: UserId, hold: &str) {
        let released = self.app.release_hold(user_id, hold, deadline()).await;
        released.expect("releases");
    }

    /// Every mark is due, as after the time that it waits.
    async fn marks_are_due(&self) {
        sqlx::raw_sql(
            "UPDATE booking.closing_accounts SET due_at = now() WHERE due_at <> 'infinity'",
        )
        .execute(&self.pool)
        .await
        .expect("writes");
    }

    /// Seconds until the mark is looked at, from when it was made.
    async fn marked_for_s(&self) -> f64 {
        let span =
            "SELECT extract(epoch FROM due_at - marked_at)::float8 FROM booking.closing_accounts";
        let span = sqlx::query_scalar(span).fetch_one(&self.pool).await;
        span.expect("one mark")
    }
}

#[sqlx::test(migrations = false)]
async fn account_that_is_being_deleted_books_nothing_until_it_is_open_again(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    for _ in 0..2 {
        world.app.stop_bookings(user(1)).await.expect("marks");
    }
    let refusal = world.try_book(user(1), &hold, "key").await;
    let refusal = refusal.expect_err("is refused");
    assert_eq!(refusal.code(), ErrorCode::InvalidState);
    assert!(refusal.to_string().contains("being deleted"), "{refusal}");
    let written =
        "SELECT (SELECT count(*) FROM booking.bookings) + (SELECT count(*) FROM booking.directory)
        + (SELECT count(*) FROM booking.requests)";
    let written: i64 = sqlx::query_scalar(written)
        .fetch_one(&world.pool)
        .await
        .expect("counts");
    assert_eq!(written, 0);
    // Others aren't kept from anything, nor is the account from holding, which comes to nothing.
    world.buy(user(2), &[1]).await;
    world.hold(user(1), &[2]).await;

    for ask in [true, false] {
        let resumed = match ask {
            true => world.app.resume_bookings(user(1), closed).await,
            false => world.app.resume_bookings(user(1), away).await,
        };
        assert_eq!(resumed.is_ok(), ask);
        assert!(world.mark(user(1)).await.is_some());
    }
    for _ in 0..2 {
        let resumed = world.app.resume_bookings(user(1), open).await;
        resumed.expect("ends the mark");
        assert_eq!(world.mark(user(1)).await, None);
    }
    // The refusal left nothing behind.
    let booked = world.try_book(user(1), &hold, "key").await.expect("books");
    assert!(!booked.replayed);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn account_is_not_marked_while_a_booking_of_it_is_under_way(pool: PgPool) {
    let world = World::new(pool).await;
    let stop = async || world.app.stop_bookings(user(1)).await;
    let pending = world.book(user(1), &[0]).await;
    assert_eq!(code(stop().await), ErrorCode::InvalidState);
    assert_eq!(world.mark(user(1)).await, None);
    // Nor by whoever can't read it.
    let spoil = "UPDATE booking.bookings SET currency = '?'";
    sqlx::raw_sql(spoil)
        .execute(&world.pool)
        .await
        .expect("writes");
    assert_eq!(code(stop().await), ErrorCode::InvalidState);
    sqlx::raw_sql("UPDATE booking.bookings SET currency = 'EUR'")
        .execute(&world.pool)
        .await
        .expect("writes");

    // Late money that is being decided on is under way, too.
    world.expire(pending).await;
    world.die_before_asking(pending, money(pending, 1)).await;
    assert_eq!(code(stop().await), ErrorCode::InvalidState);
    world.recover().await;
    assert_eq!(world.state(pending).await, BookingState::Confirmed);
    stop()
        .await
        .expect("what is bought is no booking under way");
    world.audit().await;
}

/// Whoever is first is seen by the other.
#[sqlx::test(migrations = false)]
async fn mark_waits_for_a_booking_that_is_being_made(pool: PgPool) {
    let world = World::new(pool).await;
    // It adopts the lineage, so that the next one is written at once.
    world.book(user(2), &[9]).await;
    let hold = world.hold(user(1), &[0]).await;
    let mut lock = world.pool.begin().await.expect("begins");
    sqlx::query("SELECT FROM booking.seats WHERE seat_no = 0 FOR UPDATE")
        .execute(&mut *lock)
        .await
        .expect("locked");
    let stop = async {
        world.lock_waits(1).await;
        let unlock = async {
            world.lock_waits(2).await;
            lock.rollback().await.expect("unlocked");
        };
        let (stopped, ()) = join(world.app.stop_bookings(user(1)), unlock).await;
        stopped
    };
    let (booked, stopped) = join(world.try_book(user(1), &hold, "key"), stop).await;
    let booked = id_of(&booked.expect("was first"));
    assert_eq!(code(stopped), ErrorCode::InvalidState);
    assert_eq!(world.mark(user(1)).await, None);
    assert_eq!(world.state(booked).await, BookingState::PendingPayment);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn booking_waits_for_a_mark_that_is_being_made(pool: PgPool) {
    let world = World::new(pool).await;
    world.book(user(2), &[9]).await;
    for is_marked in [true, false] {
        let hold = world.hold(user(1), &[0]).await;
        let mut marking = world.pool.begin().await.expect("begins");
        let marked = closing_accounts::mark(&mut marking, user(1), Duration::ZERO).await;
        marked.expect("marks");
        let under_way = closing_accounts::is_booking_under_way(&mut marking, user(1)).await;
        assert!(!under_way.expect("looks"));
        let end = async {
            world.lock_waits(1).await;
            // Nobody else waits for it.
            world.book(user(3), &[if is_marked { 3 } else { 4 }]).await;
            match is_marked {
                true => marking.commit().await.expect("commits"),
                false => marking.rollback().await.expect("rolls back"),
            }
        };
        let (booked, ()) = join(world.try_book(user(1), &hold, "key"), end).await;
        if is_marked {
            assert_eq!(code(booked), ErrorCode::InvalidState);
            let resumed = world.app.resume_bookings(user(1), open).await;
            resumed.expect("ends the mark");
            world.give_up(user(1), &hold).await;
        } else {
            booked.expect("books");
        }
    }
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn of_a_booking_and_a_mark_at_once_one_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    world.book(user(2), &[9]).await;
    for round in 0..ROUNDS {
        let hold = world.hold(user(1), &[round % 8]).await;
        let key = round.to_string();
        let book = world.try_book(user(1), &hold, &key);
        // Later and later, so that it meets the booking at each of its steps.
        let stop = async {
            tokio::time::sleep(Duration::from_millis(round as u64)).await;
            world.app.stop_bookings(user(1)).await
        };
        let both = match round % 2 {
            0 => join(book, stop).await,
            _ => {
                let (stop, book) = join(stop, book).await;
                (book, stop)
            }
        };
        match both {
            (Ok(made), Err(stop)) => {
                assert_eq!(code(Err::<(), _>(stop)), ErrorCode::InvalidState);
                let cancelled = world.app.cancel_booking(user(1), id_of(&made), None);
                cancelled.await.expect("cancels");
            }
            (Err(refused), Ok(())) => {
                assert_eq!(refused.code(), ErrorCode::InvalidState);
                let resumed = world.app.resume_bookings(user(1), open).await;
                resumed.expect("ends the mark");
                world.give_up(user(1), &hold).await;
            }
            both => panic!("both, or neither: {both:?}"),
        }
    }
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn mark_ends_by_itself_as_the_account_stands(pool: PgPool) {
    let world = World::new(pool).await;
    let stop = async || world.app.stop_bookings(user(1)).await.expect("marks");
    stop().await;
    let marked_for = world.marked_for_s().await;
    assert!((119.0..121.0).contains(&marked_for), "{marked_for}");
    // Before its time nobody is asked.
    world.app.end_closing(away).await.expect("nothing is due");
    world.marks_are_due().await;
    assert_eq!(
        refused(world.app.end_closing(away).await).code(),
        ErrorCode::Unavailable
    );
    world.app.end_closing(closed).await.expect("looks");
    assert!(world.mark(user(1)).await.is_some(), "closed still");
    world.app.end_closing(away).await.expect("was put off");
    world.marks_are_due().await;
    world.app.end_closing(open).await.expect("looks");
    assert_eq!(world.mark(user(1)).await, None);

    // Made anew while it is asked: what is said is of before.
    stop().await;
    world.marks_are_due().await;
    let meanwhile = async |users: Vec<UserId>| {
        stop().await;
        open(users).await
    };
    world.app.end_closing(meanwhile).await.expect("looks");
    assert!(world.mark(user(1)).await.is_some());

    // Of an account that is gone it stays as long as tokens count.
    world.marks_are_due().await;
    world.app.end_closing(deleted).await.expect("looks");
    assert!(world.mark(user(1)).await.expect("is there").is_gone);
    let kept_for = world.marked_for_s().await;
    assert!(kept_for > 15.0 * 60.0 + 5.0, "{kept_for}");
    let resumed = world.app.resume_bookings(user(1), open).await;
    resumed.expect("changes nothing");
    let hold = world.hold(user(1), &[0]).await;
    let late = world.try_book(user(1), &hold, "key").await;
    assert_eq!(code(late), ErrorCode::InvalidState);
    world.marks_are_due().await;
    world.app.end_closing(away).await.expect("nobody is asked");
    assert_eq!(world.mark(user(1)).await, None);
}

#[sqlx::test(migrations = false)]
async fn late_money_of_an_account_that_is_gone_goes_back(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    let never_paid = world.book(user(1), &[2]).await;
    world.expire(id).await;
    world.expire(never_paid).await;
    world.app.stop_bookings(user(1)).await.expect("marks");
    // However late it comes: the mark stays while it may.
    for _ in 0..3 {
        world.marks_are_due().await;
        world.app.end_closing(deleted).await.expect("looks");
    }
    assert!(world.mark(user(1)).await.expect("is there").is_gone);
    for _ in 0..2 {
        world.tell(id, paid(id, 1, 2)).await;
    }
    let view = world.view(id).await;
    let how = (view.booking.state, view.booking.reason);
    assert_eq!(how, (BookingState::Failed, Some(Reason::PaidLate)));
    assert_eq!(view.refund_status(), "PENDING");
    assert_eq!(world.seats().await[..2], [SeatState::Available; 2]);
    world.tell(id, refunded(id, 1, 2)).await;
    assert_eq!(world.view(id).await.refund_status(), "REFUNDED");
    // Others' late money buys.
    let other = world.book(user(2), &[0]).await;
    world.expire(other).await;
    world.tell(other, paid(other, 1, 1)).await;
    assert_eq!(world.state(other).await, BookingState::Confirmed);
    world.audit().await;
}

/// The money was first: whoever marks the account sees the booking, and else the money sees the mark.
#[sqlx::test(migrations = false)]
async fn late_money_waits_for_a_mark_that_is_being_made(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.expire(id).await;
    let mut marking = world.pool.begin().await.expect("begins");
    let marked = closing_accounts::mark(&mut marking, user(1), Duration::ZERO).await;
    marked.expect("marks");
    let under_way = closing_accounts::is_booking_under_way(&mut marking, user(1)).await;
    assert!(!under_way.expect("looks"));
    let commit = async {
        world.lock_waits(1).await;
        marking.commit().await.expect("commits");
    };
    join(world.tell(id, paid(id, 1, 1)), commit).await;
    assert_eq!(world.state(id).await, BookingState::Failed);
    world.audit().await;
}
