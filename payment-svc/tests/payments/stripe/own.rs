//! What Stripe does and the sandbox doesn't.

use holdfast_proto::events::v1;
use payment_svc::{check_ledger, refunds_waiting, settle_refund};
use prost::Message;
use sqlx::PgPool;
use uuid::Uuid;

use super::double::FEE;
use crate::{
    refunds::wanted,
    system::{Fault, Kind, System, created, until},
};

impl System {
    /// How often it told of a refund that went.
    async fn refunds_told(&self, booking_id: Uuid) -> usize {
        let tally = self.tally(booking_id).await;
        tally.get("RefundSucceeded").copied().unwrap_or_default()
    }

    async fn retry_refunds(&self) {
        self.execute("UPDATE payment.refunds SET try_at = now()")
            .await;
    }

    async fn failures(&self) -> i64 {
        self.shown("holdfast_payment_refunds_failed_total", "")
    }
}

#[sqlx::test(migrations = false)]
async fn key_whose_first_use_broke_within_stripe_is_followed_by_another(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().break_next();
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system.double().break_next();
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.double().refunded(), 2_500);
    assert_eq!(system.double().sessions(), 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_that_was_refused_for_a_time_goes_though_stripe_remembers_that(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    system.double().lack_money(true);
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    let waiting = refunds_waiting(&pool).await.unwrap().remove(0);
    assert_eq!(waiting.why, "REFUSED");
    let refusal = waiting.refusal.unwrap();
    assert!(refusal.contains("balance_insufficient"), "{refusal}");
    system.double().lack_money(false);
    system.retry_refunds().await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.double().refunds(), 1);
    assert_eq!(refunds_waiting(&pool).await.unwrap(), []);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_sent_before_stripe_forgot_its_key_is_not_sent_again(pool: PgPool) {
    let mut system = System::start_on_stripe(&pool).await;
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
    until("Stripe to have sent it", async || {
        system.double().refunded() == 1_000
    })
    .await;
    system.stop_payment().await;
    system.double().forget_keys();
    system.execute("DROP TRIGGER fail ON payment.refunds").await;
    system.start_payment().await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.double().refunds(), 1);
    assert_eq!(system.double().refunded(), 1_000);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_on_its_way_counts_when_it_has_arrived(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().refunds_stand("pending");
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let taken = "SELECT count(*) FROM payment.refunds
                 WHERE state = 'REQUESTED' AND provider_refund_id IS NOT NULL";
    until("it to be on its way", async || {
        system.count(taken).await == 1
    })
    .await;
    system
        .execute("UPDATE payment.refunds SET created_at = now() - interval '2 hours'")
        .await;
    let oldest = "holdfast_payment_oldest_unfinished_seconds";
    until("its age to be shown", async || {
        let kinds = ["kind=\"refund\"", "kind=\"refund_pending\""];
        kinds.map(|kind| system.shown(oldest, kind) / 3_600) == [0, 2]
    })
    .await;
    // Asked about, it is no second one.
    system.retry_refunds().await;
    until("it to be asked about", async || {
        let asked = "SELECT count(*) FROM payment.refunds
                     WHERE tries > 0 AND try_at > now() + interval '50 minutes'";
        system.count(asked).await == 1
    })
    .await;
    assert_eq!(system.refunds_told(booking_id).await, 0);
    assert_eq!(system.balance("refunds").await, -2_500);
    assert_eq!(system.double().refunds(), 1);

    system.double().refunds_become("pending", "succeeded");
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.balance("refunds").await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_that_came_back_is_owed_and_sent_again(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.balance("refunds").await, 0);

    system.double().refunds_become("succeeded", "failed");
    until("it to be owed", async || {
        system.balance("refunds").await == -2_500
    })
    .await;
    // Told of twice (`refund.failed` and `charge.refund.updated`), it failed once.
    until("both webhooks", async || {
        system.double().webhooks_left() == 0
    })
    .await;
    assert_eq!(system.failures().await, 1);
    system.retry_refunds().await;
    until("it to have gone", async || {
        system.refunds_told(booking_id).await == 2
    })
    .await;
    assert_eq!(system.balance("refunds").await, 0);
    assert_eq!(
        (system.double().refunds(), system.double().refunded()),
        (2, 2_500)
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_whose_failure_nobody_told_is_heard_of_by_asking(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    system.lose_webhooks(true);
    system.double().refunds_become("succeeded", "failed");
    system.drop_webhooks().await;
    system.ask_for_news().await;
    until("it to be owed", async || {
        system.balance("refunds").await == -2_500
    })
    .await;
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn news_that_nobody_can_follow_up_keep_back_no_other(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (disputed, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(disputed, "PaymentSucceeded").await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    system.lose_webhooks(true);
    system.press(&url, &[("action", "dispute")]).await;
    let session = url.rsplit('/').next().unwrap();
    system.double().forget_session(session);
    system.double().refunds_become("succeeded", "failed");
    system.drop_webhooks().await;
    system.ask_for_news().await;
    until("the later news to be heard", async || {
        system.balance("refunds").await == -2_500
    })
    .await;
    let seen = "SELECT count(*) FROM payment.news WHERE seen_until > now() - interval '1 minute'
                    AND ask_at > now()";
    until("it to count as heard", async || {
        system.count(seen).await == 1
    })
    .await;
    assert_eq!(system.payments(disputed).await[0].dispute, "");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_that_can_not_be_paid_out_is_given_up_loudly(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().refunds_stand("failed");
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    for times in 1..=3 {
        until("it to fail", async || system.failures().await == times).await;
        system.retry_refunds().await;
    }
    until("it to be given up", async || {
        system.shown("holdfast_payment_refunds_given_up", "") == 1
    })
    .await;
    // Asked for again, it isn't sent either; it stays owed.
    let mut again = refund.clone();
    again.again = true;
    system.tell(booking_id, "RefundRequested", &again).await;
    system.caught_up().await;
    assert_eq!(system.double().refunds(), 3);
    assert_eq!(system.balance("refunds").await, -2_500);
    assert_eq!(system.balance("provider:stripe").await, 2_500);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_stripe_keeps_is_posted_once_it_says_so(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().hold_fees(true);
    let (booking_id, _) = system.book_and_pay().await;
    let ask = "UPDATE payment.payments SET fee_at = now() WHERE fee_at IS NOT NULL";
    let asked = "SELECT sum(fee_asks) FROM payment.payments";
    system.execute(ask).await;
    until("it to be asked for", async || {
        system.count(asked).await == 1
    })
    .await;
    assert_eq!(system.balance("fees:stripe").await, 0);
    assert_eq!(system.balance("provider:stripe").await, 2_500);

    system.double().hold_fees(false);
    system.execute(ask).await;
    until("it to be posted", async || {
        system.balance("fees:stripe").await == FEE
    })
    .await;
    assert_eq!(system.balance("provider:stripe").await, 2_500 - FEE);
    let open = "SELECT count(*) FROM payment.payments WHERE fee_at IS NOT NULL";
    assert_eq!(system.count(open).await, 0);
    assert_eq!(system.tally(booking_id).await["PaymentSucceeded"], 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_is_sent_again_while_a_question_about_a_fee_has_no_answer(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().hold_fees(true);
    let (booking_id, payment_id) = system.book_and_pay().await;
    system.refuse(true);
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    system.refuse(false);
    system.fail_next([Fault::Late(60_000)]);
    system
        .execute("UPDATE payment.payments SET fee_at = now() WHERE fee_at IS NOT NULL")
        .await;
    until("the question", async || system.late() == 1).await;
    system.retry_refunds().await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.late(), 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn sandbox_can_keep_a_fee_too(pool: PgPool) {
    let mut system = System::start(&pool).await;
    system.stop_sandbox().await;
    system.keep_fee(30);
    system.start_sandbox().await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    assert_eq!(system.balance("fees:sandbox").await, 30);
    assert_eq!(system.balance("provider:sandbox").await, 2_470);
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.balance("provider:sandbox").await, -30);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn webhooks_in_any_order_lead_to_the_same_end(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().hold_webhooks();
    let (booking_id, url) = system.book_to_pay().await;
    let slow = [("action", "pay"), ("delay_s", "600")];
    system.press(&url, &slow).await;
    system.settle_slow(true).await;
    system.press(&url, &[("action", "dispute")]).await;
    system.press(&url, &[("action", "dispute_won")]).await;
    assert_eq!(system.double().webhooks_left(), 4);
    system.double().send_reversed();
    until("all of them", async || {
        system
            .count("SELECT count(*) FROM payment.webhook_events")
            .await
            == 4
    })
    .await;
    let payment = system.payments(booking_id).await.remove(0);
    assert_eq!(
        (payment.state.as_str(), payment.dispute.as_str()),
        ("SUCCEEDED", "WON")
    );
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    let _: v1::PaymentDisputed = system.told(booking_id, "PaymentDisputed").await;
    let tally = system.tally(booking_id).await;
    assert_eq!(
        (tally["PaymentSucceeded"], tally["PaymentDisputed"]),
        (1, 1)
    );
    assert_eq!(system.balance("fees:stripe").await, FEE);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn dispute_of_a_part_that_is_lost_takes_that_part(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let part = [("action", "dispute"), ("part", "700")];
    system.press(&url, &part).await;
    system.press(&url, &[("action", "dispute_lost")]).await;
    until("the bank's word", async || {
        system.payments(booking_id).await[0].dispute == "LOST"
    })
    .await;
    assert_eq!(system.balance("disputes").await, 700);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn lost_dispute_of_what_went_back_before_is_in_the_books(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    let all = [("action", "dispute"), ("part", "2500")];
    system.press(&url, &all).await;
    system.press(&url, &[("action", "dispute_lost")]).await;
    until("what the bank took", async || {
        system.balance("disputes").await == 2_500
    })
    .await;
    // The refund comes back: the customer has the bank's money, and ours is owed no more.
    system.double().refunds_become("succeeded", "failed");
    until("it to be owed", async || {
        system.balance("refunds").await == -2_500
    })
    .await;
    assert_eq!(check_ledger(&pool).await.unwrap(), []);
    let refund_id = Uuid::from_slice(&refund.refund_id).unwrap();
    settle_refund(&pool, refund_id, "Ada: the bank paid")
        .await
        .unwrap();
    for account in ["refunds", "disputes", "outside"] {
        assert_eq!(system.balance(account).await, 0, "{account}");
    }
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_on_its_way_when_a_dispute_is_lost_goes_beside_what_the_bank_took(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    system.double().refunds_stand("pending");
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let taken = "SELECT count(*) FROM payment.refunds WHERE provider_refund_id IS NOT NULL";
    until("it to be on its way", async || {
        system.count(taken).await == 1
    })
    .await;
    let all = [("action", "dispute"), ("part", "2500")];
    system.press(&url, &all).await;
    system.press(&url, &[("action", "dispute_lost")]).await;
    until("what the bank took", async || {
        system.balance("disputes").await == 2_500
    })
    .await;
    system.double().refunds_become("pending", "succeeded");
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.balance("provider:stripe").await, -2_500 - FEE);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn lost_dispute_that_was_noted_and_not_posted_is_posted_when_it_is_told(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    system
        .execute("UPDATE payment.payments SET dispute = 'LOST'")
        .await;
    system.press(&url, &[("action", "dispute")]).await;
    system.press(&url, &[("action", "dispute_lost")]).await;
    until("what the bank took", async || {
        system.balance("disputes").await == 2_500
    })
    .await;
    assert_eq!(system.tally(booking_id).await.get("PaymentDisputed"), None);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn dispute_after_one_that_was_won_holds_refunds_again(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    for (action, stands) in [
        ("dispute", "OPEN"),
        ("dispute_won", "WON"),
        ("dispute", "OPEN"),
    ] {
        system.press(&url, &[("action", action)]).await;
        until("it to be noted", async || {
            system.payments(booking_id).await[0].dispute == stands
        })
        .await;
    }
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    let waiting = refunds_waiting(&pool).await.unwrap().remove(0);
    assert_eq!((&*waiting.why, waiting.refusal), ("DISPUTE_OPEN", None));
    system.press(&url, &[("action", "dispute_lost")]).await;
    until("what the bank took", async || {
        system.balance("disputes").await == 2_500
    })
    .await;
    until("each to be told", async || {
        system.tally(booking_id).await["PaymentDisputed"] == 4
    })
    .await;
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn amount_that_stripe_does_not_take_ends_the_payment_with_the_reason(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    for (amount, currency, why) in [
        (49, "EUR", "at least 50 cents"),
        (5_124, "KWD", "the last digit to be 0"),
    ] {
        let booking_id = Uuid::new_v4();
        let currency = currency.to_owned();
        let booked = v1::BookingCreated {
            total: Some(v1::Money { amount, currency }),
            ..created(booking_id)
        };
        system.tell(booking_id, "BookingCreated", &booked).await;
        let told: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
        assert!(told.reason.contains(why), "{}", told.reason);
    }
    assert_eq!(system.double().sessions(), 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn session_is_open_no_longer_than_stripe_makes_it_be(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    let session: serde_json::Value = {
        let shown = system.http.get(&url).send().await.unwrap();
        shown.json().await.unwrap()
    };
    let pay_until = "SELECT floor(extract(epoch FROM pay_until))::bigint FROM payment.payments";
    let pay_until = system.count(pay_until).await;
    assert_eq!(session["expires_at"], pay_until + 31 * 60);
    assert_eq!(
        session["client_reference_id"],
        session["metadata"]["payment_id"]
    );
    // One that ended by itself ends the payment, too.
    system.double().end_sessions();
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;

    // Somebody who may pay for longer than a session can live gets one for a day.
    let booking_id = Uuid::new_v4();
    let long = v1::BookingCreated {
        pay_until_ms: crate::system::in_ms(std::time::Duration::from_secs(3 * 24 * 3_600)),
        ..created(booking_id)
    };
    system.tell(booking_id, "BookingCreated", &long).await;
    let _: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn key_of_another_account_ends_nothing_and_swallows_nothing(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (open, _) = system.book_to_pay().await;
    let (paid, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: v1::PaymentSucceeded = system.told(paid, "PaymentSucceeded").await;
    system.double().be_elsewhere(true);
    system.end(open).await;
    system.caught_up().await;
    assert_eq!(system.payments(open).await[0].state, "SESSION_CREATED");
    assert_eq!(holdfast_eventlog::parked(&pool).await.unwrap(), []);
    system.press(&url, &[("action", "dispute")]).await;
    until("the webhook to be refused", async || {
        system.double().untaken() > 0
    })
    .await;

    system.double().be_elsewhere(false);
    until("the dispute to be noted", async || {
        system.payments(paid).await[0].dispute == "OPEN"
    })
    .await;
    system
        .execute(
            "UPDATE payment.payments SET pay_until = now() - interval '1 minute', ask_at = now()
             WHERE state = 'SESSION_CREATED'",
        )
        .await;
    let _: v1::PaymentFailed = system.told(open, "PaymentFailed").await;
    assert_eq!(system.payments(open).await[0].state, "CANCELLED");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn inquiry_holds_no_refund(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    let inquiry = [("action", "dispute"), ("stands", "warning_needs_response")];
    system.press(&url, &inquiry).await;
    until("the webhook", async || {
        system.double().webhooks_left() == 0
            && system
                .count("SELECT count(*) FROM payment.webhook_events")
                .await
                == 2
    })
    .await;
    assert_eq!(system.payments(booking_id).await[0].dispute, "");
    let refund = wanted(booking_id, &told.payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(system.double().refunded(), 2_500);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn news_are_heard_though_a_clock_was_ahead_and_pages_are_long(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    system.lose_webhooks(true);
    system.double().refunds_become("succeeded", "failed");
    system.drop_webhooks().await;
    // Two events, of which one fits into an answer.
    system.double().pad_events(600 * 1_024);
    until("the first look", async || {
        system.count("SELECT count(*) FROM payment.news").await == 1
    })
    .await;
    system
        .execute("UPDATE payment.news SET seen_until = now() + interval '1 hour'")
        .await;
    system.ask_for_news().await;
    until("it to be owed", async || {
        system.balance("refunds").await == -2_500
    })
    .await;
    let ahead = "SELECT count(*) FROM payment.news WHERE seen_until > now()";
    until("nothing to come to count as heard", async || {
        system.count(ahead).await == 0
    })
    .await;
    system
        .execute("UPDATE payment.news SET seen_until = now() - interval '2 hours', ask_at = now() + interval '1 hour'")
        .await;
    until("their age to be shown", async || {
        system.shown("holdfast_payment_news_age_seconds", "") / 3_600 == 2
    })
    .await;
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_another_provider_has_is_not_asked_of_this_one(pool: PgPool) {
    let mut system = System::start_on(&pool, Kind::Sandbox, 100).await;
    let (paid, payment_id) = system.book_and_pay().await;
    let (open, _) = system.book_to_pay().await;
    system.refuse(true);
    let refund = wanted(paid, &payment_id, 2_500);
    system.tell(paid, "RefundRequested", &refund).await;
    until("it to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    system.stop_payment().await;
    system.refuse(false);
    system.use_stripe().await;
    system.start_payment().await;
    system.end(open).await;
    system
        .execute(
            "UPDATE payment.refunds SET try_at = now();
             UPDATE payment.payments SET ask_at = now() WHERE ask_at IS NOT NULL",
        )
        .await;
    system.caught_up().await;
    let (stripe, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(stripe, "PaymentSucceeded").await;
    assert_eq!(told.amount.unwrap().encode_to_vec().len(), 8);
    let payments = system.payments(open).await;
    assert_eq!(payments[0].state, "SESSION_CREATED");
    let tries = "SELECT tries::bigint FROM payment.refunds";
    assert_eq!(system.count(tries).await, 0);
    system.stop().await;
}
