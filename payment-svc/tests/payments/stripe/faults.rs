//! Requests and answers break on the way to Stripe and back: no money goes twice, and none is lost.

use holdfast_proto::events::v1;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    refunds::wanted,
    system::{Fault, Kind, System, until},
};

const FAULTS: [Fault; 8] = [
    Fault::Broken,
    Fault::AnswerLost,
    Fault::AnswerCut,
    Fault::AnswerReplaced,
    Fault::Twice,
    Fault::InProgress,
    Fault::TooMany,
    Fault::Late(30),
];

/// Numbers that a seed decides (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[sqlx::test(migrations = false)]
async fn every_fault_at_every_request_sends_no_money_twice_and_loses_none(pool: PgPool) {
    let system = System::start_on(&pool, Kind::Stripe, 100).await;
    let mut bookings = 0;
    for fault in FAULTS {
        // Of a refund the requests are: the session, its intent, the refunds there are, the refund.
        for nth in 0..4 {
            system.fail_next([fault]);
            let (booking_id, url) = system.book_to_pay().await;
            system.press(&url, &[("action", "pay")]).await;
            let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
            let mut faults = vec![Fault::None; nth];
            faults.push(fault);
            system.fail_next(faults);
            let refund = wanted(booking_id, &told.payment_id, 2_500);
            system.tell(booking_id, "RefundRequested", &refund).await;
            let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
            bookings += 1;
        }
    }
    let double = system.double();
    assert_eq!(double.captured(), bookings * 2_500);
    assert_eq!(double.refunded(), bookings * 2_500);
    assert_eq!(i64::try_from(double.refunds()).unwrap(), bookings);
    assert_eq!(system.balance("refunds").await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn seeded_storm_of_faults_ends_with_each_money_in_one_place(pool: PgPool) {
    for seed in [1, 2] {
        storm(&pool, seed).await;
        sqlx::raw_sql(
            "DROP SCHEMA booking, payment, eventlog CASCADE; DROP SCHEMA IF EXISTS sandbox CASCADE",
        )
        .execute(&pool)
        .await
        .unwrap();
    }
}

async fn storm(pool: &PgPool, seed: u64) {
    const BOOKINGS: usize = 12;
    let system = System::start_on(pool, Kind::Stripe, 50).await;
    let mut dice = Dice(seed);
    let faults = std::iter::repeat_with(|| match dice.below(32) {
        nth @ 0..8 => FAULTS[usize::try_from(nth).unwrap()],
        _ => Fault::None,
    });
    system.fail_next(faults.take(200).collect::<Vec<_>>());
    let mut booked = Vec::new();
    for _ in 0..BOOKINGS {
        booked.push(system.book_to_pay().await);
    }
    let mut dice = Dice(seed + 1_000);
    let mut paid = 0;
    for (booking_id, url) in &booked {
        if dice.below(3) == 0 {
            system.lose_webhooks(dice.below(2) == 0);
        }
        match dice.below(3) {
            0 => system.end(*booking_id).await,
            1 => {
                system.end(*booking_id).await;
                system.press(url, &[("action", "pay")]).await;
            }
            _ => system.press(url, &[("action", "pay")]).await,
        }
        let session = url.rsplit('/').next().unwrap();
        paid += i64::from(system.double().stands(session).1);
    }
    system.lose_webhooks(false);
    for (booking_id, url) in &booked {
        let session = url.rsplit('/').next().unwrap();
        until("an end that is the provider's", async || {
            let payment = system.payments(*booking_id).await.remove(0);
            let captured = system.double().stands(session).1;
            match payment.state.as_str() {
                "SUCCEEDED" => captured,
                "CANCELLED" | "FAILED" => !captured,
                _ => false,
            }
        })
        .await;
    }
    assert_eq!(system.double().charges(), paid, "seed {seed}");
    assert_eq!(system.double().sessions_open(), 0, "seed {seed}");
    refund_all(&system, booked.iter().map(|(booking_id, _)| *booking_id)).await;
    let double = system.double();
    assert_eq!(double.captured(), paid * 2_500, "seed {seed}");
    assert_eq!(double.refunded(), paid * 2_500, "seed {seed}");
    assert_eq!(
        i64::try_from(double.refunds()).unwrap(),
        paid,
        "seed {seed}"
    );
    assert_eq!(system.balance("refunds").await, 0, "seed {seed}");
    system.stop().await;
}

/// Everything that was captured goes back.
async fn refund_all(system: &System, bookings: impl Iterator<Item = Uuid>) {
    for booking_id in bookings {
        let payment = system.payments(booking_id).await.remove(0);
        if payment.state == "SUCCEEDED" {
            let refund = wanted(booking_id, &payment.payment_id, payment.captured);
            system.tell(booking_id, "RefundRequested", &refund).await;
        }
    }
    until("all refunds to have gone", async || {
        system
            .execute("UPDATE payment.refunds SET try_at = now() WHERE state = 'REQUESTED'")
            .await;
        system.caught_up().await;
        let left = "SELECT count(*) FROM payment.refunds WHERE state = 'REQUESTED'";
        system.count(left).await == 0
    })
    .await;
}
