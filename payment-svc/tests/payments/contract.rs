//! What holds on every provider: each fact is asked of the sandbox and of Stripe's double.

use std::time::Duration;

use holdfast_proto::events::v1;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    refunds::wanted,
    system::{Kind, System, created, until},
};

/// Runs each test on both providers, with sessions that are silent for so long asked about.
macro_rules! on_both {
    ($($name:ident after $after_ms:literal),* $(,)?) => {
        mod sandbox {
            use super::{Kind, PgPool, System};
            $(#[sqlx::test(migrations = false)]
            async fn $name(pool: PgPool) {
                super::$name(System::start_on(&pool, Kind::Sandbox, $after_ms).await).await;
            })*
        }
        mod stripe {
            use super::{Kind, PgPool, System};
            $(#[sqlx::test(migrations = false)]
            async fn $name(pool: PgPool) {
                super::$name(System::start_on(&pool, Kind::Stripe, $after_ms).await).await;
            })*
        }
    };
}

on_both! {
    booking_is_paid_and_told_once after 3_600_000,
    same_event_twice_makes_one_session after 3_600_000,
    answer_lost_at_a_crash_is_given_again after 3_600_000,
    ended_booking_can_not_be_paid after 3_600_000,
    paid_against_cancelled_ends_as_the_provider_says after 3_600_000,
    declined_try_leaves_the_session_open after 3_600_000,
    slow_payment_under_way_is_not_cancelled_and_its_money_is_told after 3_600_000,
    slow_payment_can_fail_in_the_end after 3_600_000,
    booking_that_is_too_late_fails_its_payment after 3_600_000,
    webhook_that_comes_twice_counts_once after 3_600_000,
    lost_webhook_is_found_out_by_asking after 100,
    session_of_a_booking_whose_end_nobody_told_is_ended after 100,
    session_is_made_when_the_provider_comes_back after 3_600_000,
    refund_asked_for_twice_sends_money_once after 3_600_000,
    crash_between_the_refund_and_its_record_sends_no_second_one after 3_600_000,
    parts_go_back_and_never_more_than_came after 3_600_000,
    refund_waits_for_a_dispute_and_goes_when_it_is_won after 3_600_000,
    refund_whose_answer_was_lost_before_a_dispute_is_found after 3_600_000,
    session_is_looked_at_when_the_time_to_pay_is_over after 3_600_000,
    lost_dispute_is_in_the_books_and_sends_no_money_twice after 3_600_000,
    dispute_whose_webhook_is_lost_is_heard_by_asking after 3_600_000,
}

impl System {
    async fn state(&self, booking_id: Uuid) -> String {
        self.payments(booking_id).await[0].state.clone()
    }

    async fn dispute_is(&self, booking_id: Uuid, state: &str) {
        until("the dispute to be noted", async || {
            self.payments(booking_id).await[0].dispute == state
        })
        .await;
    }

    /// What the provider holds for us is what the books say.
    async fn provider_balances(&self) -> i64 {
        self.balance(&format!("provider:{}", self.kind.name()))
            .await
            + self.balance(&format!("fees:{}", self.kind.name())).await
    }
}

async fn booking_is_paid_and_told_once(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    assert_eq!(system.state(booking_id).await, "SESSION_CREATED");
    system.press(&url, &[("action", "pay")]).await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    let amount = told.amount.unwrap();
    assert_eq!((amount.amount, amount.currency.as_str()), (2_500, "EUR"));
    assert_eq!(system.state(booking_id).await, "SUCCEEDED");
    assert_eq!(system.charges_there().await, 1);
    assert_eq!(system.provider_balances().await, 2_500);
    system.stop().await;
}

async fn same_event_twice_makes_one_session(system: System) {
    let booking_id = Uuid::new_v4();
    let event = created(booking_id);
    system.tell(booking_id, "BookingCreated", &event).await;
    system.tell(booking_id, "BookingCreated", &event).await;
    system.caught_up().await;
    assert_eq!(system.sessions_there().await, 1);
    let _: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    assert_eq!(system.all_told(booking_id).await.len(), 1);
    system.stop().await;
}

async fn answer_lost_at_a_crash_is_given_again(mut system: System) {
    system
        .execute(
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
             CREATE TRIGGER fail BEFORE UPDATE ON payment.payments
             FOR EACH ROW EXECUTE FUNCTION public.fail()",
        )
        .await;
    let booking_id = system.book().await;
    until("the provider to have the session", async || {
        system.sessions_there().await == 1
    })
    .await;
    system.stop_payment().await;
    system
        .execute("DROP TRIGGER fail ON payment.payments")
        .await;
    system.start_payment().await;
    let _: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    assert_eq!(system.sessions_there().await, 1);
    system.stop().await;
}

async fn ended_booking_can_not_be_paid(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    system.end(booking_id).await;
    system.end(booking_id).await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    system.caught_up().await;
    assert_eq!(system.state(booking_id).await, "CANCELLED");
    system.press(&url, &[("action", "pay")]).await;
    assert_eq!(system.charges_there().await, 0);
    assert_eq!(system.tally(booking_id).await["PaymentFailed"], 1);
    system.stop().await;
}

async fn paid_against_cancelled_ends_as_the_provider_says(system: System) {
    const RACES: u64 = 12;
    let mut races = Vec::new();
    for _ in 0..RACES {
        races.push(system.book_to_pay().await);
    }
    for (nth, (booking_id, url)) in (0..).zip(&races) {
        let pay = async {
            // Spread over what the cancelling takes, so that both win some.
            tokio::time::sleep(Duration::from_millis(nth * 2)).await;
            system.press(url, &[("action", "pay")]).await;
        };
        tokio::join!(pay, system.end(*booking_id));
    }
    system.caught_up().await;
    let mut paid = 0;
    for (booking_id, _) in &races {
        until("an end", async || {
            system.all_told(*booking_id).await.len() == 2
        })
        .await;
        let tally = system.tally(*booking_id).await;
        let captured = system.state(*booking_id).await == "SUCCEEDED";
        assert_eq!(tally.contains_key("PaymentSucceeded"), captured);
        assert_eq!(tally.contains_key("PaymentFailed"), !captured);
        paid += i64::from(captured);
    }
    assert_eq!(system.charges_there().await, paid);
    assert_eq!(system.provider_balances().await, paid * 2_500);
    system.stop().await;
}

async fn declined_try_leaves_the_session_open(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "decline")]).await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.tally(booking_id).await.get("PaymentFailed"), None);
    system.stop().await;
}

async fn slow_payment_under_way_is_not_cancelled_and_its_money_is_told(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    let slow = [("action", "pay"), ("delay_s", "600")];
    system.press(&url, &slow).await;
    system.end(booking_id).await;
    system.caught_up().await;
    assert_eq!(system.state(booking_id).await, "SESSION_CREATED");
    system.settle_slow(true).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.tally(booking_id).await.get("PaymentFailed"), None);
    system.stop().await;
}

async fn slow_payment_can_fail_in_the_end(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    let action = match system.kind {
        Kind::Sandbox => "decline",
        // How it ends is said later.
        Kind::Stripe => "pay",
    };
    let slow = [("action", action), ("delay_s", "600")];
    system.press(&url, &slow).await;
    system.settle_slow(false).await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    assert_eq!(system.state(booking_id).await, "FAILED");
    assert_eq!(system.provider_balances().await, 0);
    system.stop().await;
}

async fn booking_that_is_too_late_fails_its_payment(system: System) {
    let booking_id = Uuid::new_v4();
    let late = v1::BookingCreated {
        pay_until_ms: 1,
        ..created(booking_id)
    };
    system.tell(booking_id, "BookingCreated", &late).await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    assert_eq!(system.state(booking_id).await, "FAILED");
    system.stop().await;
}

async fn webhook_that_comes_twice_counts_once(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    let twice = [("action", "pay"), ("duplicate", "true")];
    system.press(&url, &twice).await;
    let duplicates = "holdfast_payment_webhooks_total";
    until("both copies", async || {
        system.shown(duplicates, "duplicate") == 1
    })
    .await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.tally(booking_id).await["PaymentSucceeded"], 1);
    assert_eq!(system.provider_balances().await, 2_500);
    system.stop().await;
}

async fn lost_webhook_is_found_out_by_asking(system: System) {
    system.lose_webhooks(true);
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    let received = "SELECT count(*) FROM payment.webhook_events";
    assert_eq!(system.count(received).await, 0);
    // The webhook that comes after all changes nothing.
    system.lose_webhooks(false);
    until("the late webhook", async || {
        system.count(received).await == 1
    })
    .await;
    assert_eq!(system.tally(booking_id).await["PaymentSucceeded"], 1);
    system.stop().await;
}

async fn session_of_a_booking_whose_end_nobody_told_is_ended(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    // The provider would still take money.
    system
        .execute("UPDATE payment.payments SET pay_until = now() - interval '1 minute'")
        .await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    assert_eq!(system.state(booking_id).await, "CANCELLED");
    system.press(&url, &[("action", "pay")]).await;
    assert_eq!(system.charges_there().await, 0);
    system.stop().await;
}

async fn session_is_made_when_the_provider_comes_back(mut system: System) {
    system.cut_provider(true).await;
    let booking_id = system.book().await;
    until("the failed try", async || {
        let troubled = "SELECT count(*) FROM eventlog.troubled_keys";
        system.count(troubled).await == 1
    })
    .await;
    system.cut_provider(false).await;
    let _: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    system.stop().await;
}

async fn refund_asked_for_twice_sends_money_once(system: System) {
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    let told: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(told.refund_id, refund.refund_id);
    assert_eq!(system.tally(booking_id).await["RefundSucceeded"], 1);
    assert_eq!(system.refunded_there().await, 2_500);
    assert_eq!(system.provider_balances().await, 0);
    system.stop().await;
}

async fn crash_between_the_refund_and_its_record_sends_no_second_one(mut system: System) {
    let (booking_id, payment_id) = system.book_and_pay().await;
    system
        .execute(
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
             CREATE TRIGGER fail BEFORE UPDATE ON payment.refunds
             FOR EACH ROW EXECUTE FUNCTION public.fail()",
        )
        .await;
    let refund = wanted(booking_id, &payment_id, 1_000);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("the provider to have sent it", async || {
        system.refunded_there().await == 1_000
    })
    .await;
    system.stop_payment().await;
    system.execute("DROP TRIGGER fail ON payment.refunds").await;
    system.start_payment().await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.refunded_there().await, 1_000);
    system.stop().await;
}

async fn parts_go_back_and_never_more_than_came(system: System) {
    let (booking_id, payment_id) = system.book_and_pay().await;
    for amount in [1_000, 1_500, 1] {
        let refund = wanted(booking_id, &payment_id, amount);
        system.tell(booking_id, "RefundRequested", &refund).await;
    }
    until("the third to be parked", async || {
        let parked = holdfast_eventlog::parked(&system.pool).await.unwrap();
        parked.len() == 1 && parked[0].error.contains("more than is left")
    })
    .await;
    until("both to be told", async || {
        system.tally(booking_id).await.get("RefundSucceeded") == Some(&2)
    })
    .await;
    assert_eq!(system.refunded_there().await, 2_500);
    system.stop().await;
}

async fn refund_waits_for_a_dispute_and_goes_when_it_is_won(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system.press(&url, &[("action", "dispute")]).await;
    system.dispute_is(booking_id, "OPEN").await;
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    assert_eq!(system.refunded_there().await, 0);
    system.press(&url, &[("action", "dispute_won")]).await;
    system.dispute_is(booking_id, "WON").await;
    system
        .execute("UPDATE payment.refunds SET try_at = now()")
        .await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.refunded_there().await, 2_500);
    system.stop().await;
}

async fn refund_whose_answer_was_lost_before_a_dispute_is_found(mut system: System) {
    let (booking_id, payment_id) = system.book_and_pay().await;
    system
        .execute(
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
             CREATE TRIGGER fail BEFORE UPDATE ON payment.refunds
             FOR EACH ROW EXECUTE FUNCTION public.fail()",
        )
        .await;
    let refund = wanted(booking_id, &payment_id, 1_000);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("the provider to have sent it", async || {
        system.refunded_there().await == 1_000
    })
    .await;
    system.stop_payment().await;
    system
        .execute(
            "DROP TRIGGER fail ON payment.refunds;
             UPDATE payment.payments SET dispute = 'OPEN'",
        )
        .await;
    system.start_payment().await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    // One that wasn't sent before is not sent now.
    let other = wanted(booking_id, &payment_id, 500);
    system.tell(booking_id, "RefundRequested", &other).await;
    system.caught_up().await;
    assert_eq!(system.refunded_there().await, 1_000);
    system.stop().await;
}

async fn session_is_looked_at_when_the_time_to_pay_is_over(system: System) {
    system.book_to_pay().await;
    system
        .execute(
            "UPDATE payment.payments SET asks = 12, ask_at = now(),
                 pay_until = now() + interval '1 minute'",
        )
        .await;
    let asked = "SELECT count(*) FROM payment.payments WHERE asks = 13";
    until("it to be asked about", async || {
        system.count(asked).await == 1
    })
    .await;
    let next = "SELECT count(*) FROM payment.payments
                WHERE ask_at = pay_until + interval '30 seconds'";
    assert_eq!(system.count(next).await, 1);
    system.stop().await;
}

async fn lost_dispute_is_in_the_books_and_sends_no_money_twice(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    let part = wanted(booking_id, &told.payment_id, 500);
    system.tell(booking_id, "RefundRequested", &part).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    system.press(&url, &[("action", "dispute")]).await;
    system.dispute_is(booking_id, "OPEN").await;
    assert_eq!(system.balance("disputes").await, 0);
    system.press(&url, &[("action", "dispute_lost")]).await;
    system.dispute_is(booking_id, "LOST").await;
    assert_eq!(system.balance("disputes").await, 2_000);
    assert_eq!(system.provider_balances().await, 0);

    let rest = wanted(booking_id, &told.payment_id, 2_000);
    system.tell(booking_id, "RefundRequested", &rest).await;
    system.caught_up().await;
    assert_eq!(system.refunded_there().await, 500);
    system.stop().await;
}

async fn dispute_whose_webhook_is_lost_is_heard_by_asking(system: System) {
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system.lose_webhooks(true);
    system.press(&url, &[("action", "dispute")]).await;
    system.press(&url, &[("action", "dispute_lost")]).await;
    system.drop_webhooks().await;
    for _ in 0..2 {
        system.ask_for_news().await;
        system.dispute_is(booking_id, "LOST").await;
    }
    let _: v1::PaymentDisputed = system.told(booking_id, "PaymentDisputed").await;
    assert_eq!(system.balance("disputes").await, 2_500);
    system.stop().await;
}
