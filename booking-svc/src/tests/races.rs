//! Everything at once on one booking.

use std::time::{Duration, Instant};

use booking_core::{Booking, Call, Input, Session, Step};
use chrono::Utc;
use futures::{FutureExt, future::join_all};
use holdfast_types::{BookingId, BookingState, ErrorCode, Lineage, Money, SeatState};
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::{
    crashes::money,
    world::{CANCEL, LIMIT, PRICE, World, code, deadline, paid, payment, user},
};
use crate::{
    app::{
        ask::Answered,
        cancel::wall_time,
        drive::{Basis, Grounds},
    },
    error::Error,
    store::{
        bookings::{self, AtOnce, Change, NewBooking, Version},
        lineage,
        requests::{Named, Route},
    },
};

/// Each begins with another input.
const ROUNDS: usize = 25;

/// Takeovers until nothing is open; one is enough where nothing goes wrong.
const TAKEOVERS_MAX: usize = 5;

#[sqlx::test(migrations = false)]
async fn inputs_at_once_leave_money_and_seats_in_one_place(pool: PgPool) {
    let world = World::new(pool).await;
    for round in 0..ROUNDS {
        let id = world.book(user(1), &[0, 1]).await;
        world.run_out(id).await;
        let pay = || world.tell(id, paid(id, 1, 2)).boxed_local();
        let mut inputs = [
            pay(),
            // Refused where the payment is faster.
            world
                .app
                .cancel_booking(user(1), id, None)
                .map(drop)
                .boxed_local(),
            world
                .app
                .sweep()
                .map(|swept| swept.expect("sweeps"))
                .boxed_local(),
            world.recover().boxed_local(),
            pay(),
        ];
        let first = round % inputs.len();
        inputs.rotate_left(first);
        join_all(inputs).await;
        for _ in 0..TAKEOVERS_MAX {
            world.recover().await;
        }

        let booking = world.view(id).await.booking;
        assert_eq!((booking.step, booking.payments.len()), (Step::Idle, 1));
        let told = world.told(id).await;
        let refunds = told.iter().filter(|told| *told == "RefundRequested");
        let confirmed = booking.state == BookingState::Confirmed;
        assert_eq!(refunds.count(), usize::from(!confirmed), "{told:?}");
        world.audit().await;
        if confirmed {
            let cancelled = world.app.cancel_booking(user(1), id, None).await;
            cancelled.expect("the seats are free for the next round");
        }
    }
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn decisions_on_one_booking_wait_for_each_other(pool: PgPool) {
    let world = World::new(pool).await;
    let app = &world.app;
    let id = world.book(user(1), &[0]).await;
    // The money goes back once the hold is let go, which two processes ask for.
    let money = Input::PaymentSucceeded {
        payment_id: payment(id, 1),
        amount: Money {
            amount: PRICE,
            currency: "EUR".parse().expect("valid"),
        },
    };
    for input in [CANCEL, money] {
        let decided = app.decide_once(id, input, wall_time(), Basis::Word).await;
        decided.expect("decides");
    }
    let mut lock = world.pool.begin().await.expect("begins");
    sqlx::query("SELECT FROM booking.seats FOR UPDATE")
        .execute(&mut *lock)
        .await
        .expect("locked");
    // Both have their answer: one waits for the seats, the other for the booking.
    let unlock = async {
        world.lock_waits(2).await;
        lock.rollback().await.expect("unlocked");
    };
    let resume = || app.drive(id, Input::Resume, wall_time());
    let (first, second, ()) = tokio::join!(resume(), resume(), unlock);
    for driven in [first, second] {
        driven.expect("drives");
    }
    let told = world.told(id).await;
    assert_eq!(told, ["BookingCreated", "RefundRequested", "BookingEnded"]);
    world.audit().await;
}

/// What a decision builds on is what it read, or nothing is written; and who wrote knows the version.
#[sqlx::test(migrations = false)]
async fn what_was_read_before_another_change_writes_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    let read = async || {
        let read = bookings::read(&world.pool, id.into()).await;
        read.expect("reads").expect("is there")
    };
    let (before, old) = read().await;
    let after = Booking {
        session: Some(Session {
            payment_id: payment(id, 1),
            url: "http://pay/1".to_owned(),
        }),
        ..before.clone()
    };
    let write = async |version: &Version, lineage: Option<Lineage>| {
        let all = AtOnce {
            change: Change {
                before: &before,
                after: &after,
                entries: &[],
                revision: None,
            },
            version,
            lineage,
            sold: None,
            tickets: &[],
            payment: None,
            news: None,
        };
        let written = bookings::save_at_once(&world.pool, all, 8.0).await;
        written.expect("answers")
    };
    let current = crate::current_lineage(&world.pool).await.expect("reads");
    let current = current.expect("the first booking adopted it");
    assert_eq!(write(&old, Some(Lineage(current.0 + 1))).await, None);
    assert_eq!(read().await, (before.clone(), old.clone()));
    let new = write(&old, Some(current)).await.expect("nobody else wrote");
    assert_ne!(new, old);
    assert_eq!(read().await, (after.clone(), new.clone()));
    assert_eq!(write(&old, None).await, None, "as of before");
    assert!(write(&new, None).await.is_some());

    // What is noted of a dispute changes nothing else, and is a change.
    let (_, version) = read().await;
    let noted = world.app.note_dispute(id, payment(id, 1), "OPEN").await;
    assert!(noted.expect("notes"));
    assert_eq!(
        write(&version, None).await,
        None,
        "as of before the dispute"
    );

    // Another's change that isn't committed yet is waited for, and then stands.
    let (_, version) = read().await;
    let mut other = world.pool.begin().await.expect("begins");
    sqlx::query("UPDATE booking.bookings SET payment_url = 'http://pay/2'")
        .execute(&mut *other)
        .await
        .expect("writes");
    let commit = async {
        world.lock_waits(1).await;
        other.commit().await.expect("commits");
    };
    let (written, ()) = tokio::join!(write(&version, None), commit);
    assert_eq!(written, None);
    let (now, _) = read().await;
    assert_eq!(now.session.expect("is there").url, "http://pay/2");
    world.audit().await;
}

impl World {
    /// Feeds an answer that was under way for long to the booking; the store is asked what follows.
    async fn late_answer(&self, id: BookingId, answered: Answered) {
        let inventory = self.app.inventories.get(self.show_id).await;
        let grounds = Grounds {
            lineage: answered.lineage,
            revision: answered.revision,
            inventory: inventory.expect("is there"),
        };
        let basis = Basis::Answer(&grounds);
        let decided = self
            .app
            .decide_once(id, answered.input, wall_time(), basis)
            .await;
        decided.expect("decides");
    }

    async fn asked(&self, (booking, call): &(Booking, Call)) -> Answered {
        let answered = self.app.ask(booking, *call).await;
        answered.expect("the store answers")
    }
}

/// The sweep lets the hold go while the webhook comes in: whoever asks the store first is right, and
/// the other's answer, which comes later, changes nothing.
#[sqlx::test(migrations = false)]
async fn sweep_against_webhook(pool: PgPool) {
    let mut world = World::new(pool).await;
    for sweep_asks_first in [true, false] {
        world.open_another().await;
        let id = world.book(user(1), &[0, 1]).await;
        world.run_out(id).await;
        let sweep = world.die_before_asking(id, Input::ExpiryDue).await;
        let webhook = world.die_before_asking(id, money(id, 2)).await;
        let (released, committed) = if sweep_asks_first {
            let released = world.asked(&sweep).await;
            (released, world.asked(&webhook).await)
        } else {
            let committed = world.asked(&webhook).await;
            (world.asked(&sweep).await, committed)
        };
        world.late_answer(id, released).await;
        assert_eq!(world.state(id).await, BookingState::PendingPayment);
        world.late_answer(id, committed).await;
        world.recover().await;
        assert_eq!(world.state(id).await, BookingState::Confirmed);
        assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);
        let attempt = world.view(id).await.booking.hold.attempt;
        assert_eq!(attempt, u32::from(sweep_asks_first), "held again");
        assert_eq!(world.seats().await[..2], [SeatState::Sold; 2]);
        assert_eq!(crate::audit(&world.pool).await.expect("audits"), []);
    }
}

/// The customer cancels between the webhook and the store's sale, or before both.
#[sqlx::test(migrations = false)]
async fn cancel_against_commit(pool: PgPool) {
    let mut world = World::new(pool).await;
    // The sale is asked for, and then cancelled: what is paid is told so, and refunded if it is asked
    // once more.
    let id = world.book(user(1), &[0]).await;
    let webhook = world.die_before_asking(id, money(id, 1)).await;
    let committed = world.asked(&webhook).await;
    let refused = code(world.app.cancel_booking(user(1), id, None).await);
    assert_eq!(refused, ErrorCode::InvalidState);
    world.late_answer(id, committed).await;
    assert_eq!(world.state(id).await, BookingState::Confirmed);
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);

    // The cancellation is first, and the store's answer is under way when the money comes.
    world.open_another().await;
    let id = world.book(user(1), &[0]).await;
    let cancel = world.die_before_asking(id, CANCEL).await;
    let released = world.asked(&cancel).await;
    let (booking, call) = world.die_before_asking(id, money(id, 1)).await;
    assert!(
        matches!(call, Call::Release { .. }),
        "the customer was first"
    );
    world.late_answer(id, released).await;
    assert_eq!(world.state(id).await, BookingState::Cancelled);
    let again = world.asked(&(booking, call)).await;
    world.late_answer(id, again).await;
    let told = world.told(id).await;
    assert_eq!(told, ["BookingCreated", "RefundRequested", "BookingEnded"]);
    assert_eq!(world.seats().await[0], SeatState::Available);
    assert_eq!(crate::audit(&world.pool).await.expect("audits"), []);
}

/// A process that was about to ask for the sale wakes up when the booking is cancelled and its seats
/// are returned, or sold to somebody else.
#[sqlx::test(migrations = false)]
async fn return_against_a_redelivered_commit(pool: PgPool) {
    let mut world = World::new(pool).await;
    for is_resold in [false, true] {
        world.open_another().await;
        let id = world.book(user(1), &[0, 1]).await;
        let asleep = world.die_before_asking(id, money(id, 2)).await;
        let returning = {
            world.recover().await;
            assert_eq!(world.state(id).await, BookingState::Confirmed);
            world.die_before_asking(id, CANCEL).await
        };
        // Before the return the seats are still this booking's at the store.
        let sold = world.asked(&asleep).await;
        world.late_answer(id, sold).await;
        assert_eq!(world.state(id).await, BookingState::Cancelled);
        let returned = world.asked(&returning).await;
        if is_resold {
            world.buy(user(2), &[0, 1]).await;
        }
        let gone = world.asked(&asleep).await;
        world.late_answer(id, gone).await;
        world.late_answer(id, returned).await;
        world.tell(id, paid(id, 1, 2)).await;
        world.recover().await;
        let booking = world.view(id).await.booking;
        assert_eq!(
            (booking.state, booking.step),
            (BookingState::Cancelled, Step::Idle)
        );
        let state = if is_resold {
            SeatState::Sold
        } else {
            SeatState::Available
        };
        assert_eq!(world.seats().await[..2], [state; 2]);
        let refunds = world.told(id).await;
        let refunds = refunds.iter().filter(|told| *told == "RefundRequested");
        assert_eq!(refunds.count(), 1);
        assert_eq!(crate::audit(&world.pool).await.expect("audits"), []);
    }
}

/// Two deliveries of one payment, and two payments, wait for the same booking.
#[sqlx::test(migrations = false)]
async fn two_webhooks_at_once(pool: PgPool) {
    let mut world = World::new(pool).await;
    for payments in [1, 2] {
        world.open_another().await;
        let id = world.book(user(1), &[0]).await;
        let mut lock = world.pool.begin().await.expect("begins");
        sqlx::query("SELECT FROM booking.bookings FOR UPDATE")
            .execute(&mut *lock)
            .await
            .expect("locked");
        let unlock = async {
            world.lock_waits(2).await;
            lock.rollback().await.expect("unlocked");
        };
        let first = world.tell(id, paid(id, 1, 1));
        let second = world.tell(id, paid(id, payments, 1));
        tokio::join!(first, second, unlock);
        for _ in 0..TAKEOVERS_MAX {
            world.recover().await;
        }
        let booking = world.view(id).await.booking;
        assert_eq!(booking.state, BookingState::Confirmed);
        assert_eq!(booking.payments.len(), usize::from(payments));
        let timeline = world.timeline(id).await;
        let count = |what: &str| timeline.iter().filter(|told| *told == what).count();
        assert_eq!(count("PAID"), usize::from(payments));
        assert_eq!(count("CONFIRMED"), 1);
        assert_eq!(count("REFUND_REQUESTED"), usize::from(payments) - 1);
        assert_eq!(crate::audit(&world.pool).await.expect("audits"), []);
    }
}

/// The store's life ends between its answer and what is to be built on it; and no life ends while
/// something is being built on an answer.
#[sqlx::test(migrations = false)]
async fn lineage_change_between_hold_and_booking(pool: PgPool) {
    let world = World::new(pool).await;
    world.book(user(3), &[9]).await;
    let hold = world.hold(user(1), &[0]).await;
    let token = hold.parse().expect("a token");
    let inventory = world.app.inventories.get(world.show_id).await;
    let inventory = inventory.expect("is there");
    let extend = world
        .app
        .extend_for_payment(user(1), token, &inventory, deadline());
    let extended = extend.await.expect("extends");

    let building = lineage::begin(&world.pool).await.expect("begins");
    let raising = async {
        let raised = crate::raise_lineage(&world.pool).await.expect("raises");
        assert_eq!(raised, Some(Lineage(2)));
    };
    let end = async {
        world.lock_waits(1).await;
        building.rollback().await.expect("ends");
    };
    tokio::join!(raising, end);

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
    let written = world.app.write_booking(new, &inventory).await;
    assert!(
        matches!(written, Err(Error::ForeignLineage { .. })),
        "{written:?}"
    );
    let rows =
        "SELECT (SELECT count(*) FROM booking.bookings), (SELECT count(*) FROM booking.requests)";
    let rows: (i64, i64) = sqlx::query_as(rows)
        .fetch_one(&world.pool)
        .await
        .expect("reads");
    assert_eq!(rows, (1, 1), "nothing was written of it");
}

/// A sale that ends while another booking waits for its seats is not in its way: rows are judged as
/// they are once they are locked.
#[sqlx::test(migrations = false)]
async fn seats_that_become_free_while_they_are_waited_for_are_booked(pool: PgPool) {
    let world = World::new(pool).await;
    world.book(user(3), &[9]).await;
    let hold = world.hold(user(1), &[0, 1]).await;
    let change = "UPDATE booking.seats SET state = $1, booking_id = $2 WHERE seat_no = 1";
    let sold = Some(uuid::Uuid::now_v7());
    let sell = sqlx::query(change).bind("SOLD").bind(sold);
    sell.execute(&world.pool).await.expect("writes");
    let mut ending = world.pool.begin().await.expect("begins");
    let free = sqlx::query(change)
        .bind("AVAILABLE")
        .bind(None::<uuid::Uuid>);
    free.execute(&mut *ending).await.expect("writes");
    let end = async {
        world.lock_waits(1).await;
        ending.commit().await.expect("ends");
    };
    let (booked, ()) = tokio::join!(world.try_book(user(1), &hold, "k"), end);
    booked.expect("they are free by then");
    world.audit().await;
}

/// A call that is broken off while it waits to begin leaves no transaction open on a connection that others
/// get.
#[sqlx::test(migrations = false)]
async fn transaction_whose_beginning_is_broken_off_is_ended(pool: PgPool) {
    let world = World::new(pool).await;
    // A pool that keeps its connections, as the service's does.
    let options = (*world.pool.connect_options()).clone();
    let kept = PgPoolOptions::new().connect_with(options).await;
    let kept = kept.expect("connects");
    let mut raising = world.pool.begin().await.expect("begins");
    lineage::lock_alone(&mut raising).await.expect("locks");
    tokio::select! {
        begun = lineage::begin(&kept) => panic!("it is being raised: {begun:?}"),
        () = world.lock_waits(1) => {}
    }
    raising.commit().await.expect("ends");
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND state <> 'idle'";
    let begun = Instant::now();
    loop {
        let left = sqlx::query_scalar::<_, i64>(open).fetch_one(&world.pool);
        if left.await.expect("reads") == 0 {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "it stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let raised = crate::raise_lineage(&world.pool).await.expect("raises");
    assert!(raised.is_some());
}
