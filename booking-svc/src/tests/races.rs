//! Everything at once on one booking.

use std::time::{Duration, Instant};

use booking_core::{Input, Step};
use futures::{FutureExt, future::join_all};
use holdfast_types::{BookingState, Money};
use sqlx::PgPool;

use super::world::{CANCEL, LIMIT, PRICE, World, paid, payment, user};
use crate::app::{cancel::wall_time, drive::Basis};

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
        let begun = Instant::now();
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&world.pool)
            .await
            .expect("reads")
            < 2
        {
            assert!(begun.elapsed() < LIMIT, "never at once");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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
