//! Money going back, and the books.

use std::time::Duration;

use holdfast_proto::events::v1;
use holdfast_types::{Money, PaymentId};
use payment_svc::{captured, check_ledger, missing_refunds};
use sqlx::PgPool;
use uuid::Uuid;

use crate::system::{System, until};

pub(crate) fn wanted(booking_id: Uuid, payment_id: &[u8], amount: i64) -> v1::RefundRequested {
    v1::RefundRequested {
        refund_id: Uuid::new_v4().into_bytes().to_vec(),
        booking_id: booking_id.into_bytes().to_vec(),
        payment_id: payment_id.to_vec(),
        amount: Some(v1::Money {
            amount,
            currency: "EUR".into(),
        }),
        reason: "test".into(),
        again: false,
    }
}

#[sqlx::test(migrations = false)]
async fn a_refund_asked_for_twice_sends_money_once(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.tell(booking_id, "RefundRequested", &refund).await;
    system.caught_up().await;
    let told: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(
        (told.refund_id, told.amount),
        (refund.refund_id, refund.amount)
    );
    assert_eq!(system.tally(booking_id).await["RefundSucceeded"], 1);
    assert_eq!(
        system.count("SELECT amount FROM sandbox.refunds").await,
        2_500
    );
    assert_eq!(system.payments(booking_id).await[0].refunded, 2_500);
    let left = "SELECT coalesce(sum(amount), 0)::bigint FROM payment.entries
                WHERE account = 'provider:sandbox'";
    assert_eq!(system.count(left).await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_crash_between_the_refund_and_its_record_sends_no_second_one(pool: PgPool) {
    let mut system = System::start(&pool).await;
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
        system.count("SELECT count(*) FROM sandbox.refunds").await == 1
    })
    .await;
    system.stop_payment().await;
    system.execute("DROP TRIGGER fail ON payment.refunds").await;
    system.start_payment().await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(
        system.count("SELECT amount FROM sandbox.refunds").await,
        1_000
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn parts_can_go_back_but_never_more_than_came(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    for amount in [1_000, 1_500] {
        let refund = wanted(booking_id, &payment_id, amount);
        system.tell(booking_id, "RefundRequested", &refund).await;
    }
    until("both parts", async || {
        system.tally(booking_id).await.get("RefundSucceeded") == Some(&2)
    })
    .await;
    system
        .tell(
            booking_id,
            "RefundRequested",
            &wanted(booking_id, &payment_id, 1),
        )
        .await;
    until("the third to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    let parked = holdfast_eventlog::parked(&pool).await.unwrap();
    assert!(
        parked[0].error.contains("more than is left"),
        "{}",
        parked[0].error
    );
    assert_eq!(
        system.count("SELECT amount FROM sandbox.refunds").await,
        2_500
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn only_the_bookings_own_captured_money_goes_back(pool: PgPool) {
    let system = System::start(&pool).await;
    let (_, payment_id) = system.book_and_pay().await;
    let (other, _) = system.book_to_pay().await;
    system
        .tell(other, "RefundRequested", &wanted(other, &payment_id, 1))
        .await;
    until("it to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(
        system.count("SELECT count(*) FROM payment.refunds").await,
        0
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn the_books_refuse_what_does_not_balance_and_the_check_finds_what_is_missing(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    system
        .tell(
            booking_id,
            "RefundRequested",
            &wanted(booking_id, &payment_id, 500),
        )
        .await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(check_ledger(&pool).await.unwrap(), []);

    let lopsided = sqlx::query(
        "INSERT INTO payment.entries (journal_id, account, amount, currency)
         SELECT min(journal_id), 'bookings', 1, 'EUR' FROM payment.journal",
    );
    assert!(lopsided.execute(&pool).await.is_err());
    let nowhere = sqlx::query(
        "INSERT INTO payment.entries (journal_id, account, amount, currency)
         SELECT min(journal_id), account, amount, 'EUR'
         FROM payment.journal, (VALUES ('bookings', 1), ('nowhere', -1)) AS e (account, amount)
         GROUP BY account, amount",
    );
    let refused = nowhere.execute(&pool).await.expect_err("no such account");
    assert!(
        refused.to_string().contains("no account nowhere"),
        "{refused}"
    );
    let changed = sqlx::query("UPDATE payment.entries SET amount = amount + 1 WHERE amount > 0");
    assert!(changed.execute(&pool).await.is_err());

    let mut tampered = pool.begin().await.unwrap();
    sqlx::raw_sql("DELETE FROM payment.entries; DELETE FROM payment.journal")
        .execute(&mut *tampered)
        .await
        .unwrap();
    tampered.commit().await.unwrap();
    let mut kinds: Vec<_> = check_ledger(&pool)
        .await
        .unwrap()
        .into_iter()
        .map(|finding| finding.kind)
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["CAPTURE_NOT_POSTED", "REFUND_NOT_POSTED"]);
    // Put the books right again for the check at the end.
    system
        .execute("DELETE FROM payment.refunds; UPDATE payment.payments SET state = 'FAILED'")
        .await;
    system.end_all().await;
}

#[sqlx::test(migrations = false)]
async fn captures_and_refunds_can_be_compared_with_what_bookings_know(pool: PgPool) {
    let system = System::start(&pool).await;
    system.book_to_pay().await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let euros = |amount| Money {
        amount,
        currency: "EUR".parse().unwrap(),
    };
    let nil = PaymentId::from_uuid(Uuid::nil());
    let payment = PaymentId::from_slice(&payment_id).unwrap();
    let found = captured(&pool, nil, Duration::ZERO, 10).await.unwrap();
    let shows = "SELECT show_id FROM payment.payments WHERE payment_id = $1";
    let show = sqlx::query_scalar::<_, Uuid>(shows).bind(payment.as_uuid());
    let show = show.fetch_one(&pool).await.unwrap();
    assert_eq!(found, [(payment, show.into(), euros(2_500))]);
    let later = captured(&pool, payment, Duration::ZERO, 10).await.unwrap();
    assert_eq!(later, []);
    let hour = Duration::from_secs(3_600);
    assert_eq!(captured(&pool, nil, hour, 10).await.unwrap(), []);

    let refund = wanted(booking_id, &payment_id, 1_000);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    let known = Uuid::from_slice(&refund.refund_id).unwrap();
    let unknown = Uuid::new_v4();
    let asked = [(known, euros(1_000)), (unknown, euros(1_000))];
    assert_eq!(missing_refunds(&pool, &asked).await.unwrap(), [unknown]);
    let more = [(known, euros(1_001))];
    assert_eq!(missing_refunds(&pool, &more).await.unwrap(), [known]);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_refund_whose_event_was_parked_is_sent_by_the_sweep(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    system.refuse(true);
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    system.refuse(false);
    system
        .execute("UPDATE payment.refunds SET try_at = now()")
        .await;
    let told: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    assert_eq!(told.refund_id, refund.refund_id);
    assert_eq!(
        system.count("SELECT amount FROM sandbox.refunds").await,
        2_500
    );
    // The event, let go on, finds it done.
    let key = booking_id.to_string();
    assert!(
        holdfast_eventlog::replay(&pool, "payment", &key)
            .await
            .unwrap()
    );
    system.caught_up().await;
    assert_eq!(system.tally(booking_id).await["RefundSucceeded"], 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn the_age_of_unfinished_money_is_right_after_a_restart(pool: PgPool) {
    const OLDEST: &str = "holdfast_payment_oldest_unfinished_seconds";
    let mut system = System::start(&pool).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let (open, _) = system.book_to_pay().await;
    system.refuse(true);
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be parked", async || {
        !holdfast_eventlog::parked(&pool).await.unwrap().is_empty()
    })
    .await;
    system.stop_payment().await;
    system
        .execute(
            "UPDATE payment.refunds SET created_at = now() - interval '2 hours';
             UPDATE payment.payments SET created_at = now() - interval '1 hour'",
        )
        .await;
    system.start_payment().await;
    let ages = || {
        let kinds = ["kind=\"refund\"", "kind=\"payment\""];
        kinds.map(|kind| system.shown(OLDEST, kind) / 3_600)
    };
    until("both ages to be shown", async || ages() == [2, 1]).await;

    system.refuse(false);
    system
        .execute("UPDATE payment.refunds SET try_at = now()")
        .await;
    system.end(open).await;
    until("nothing to be unfinished", async || ages() == [0, 0]).await;
    system.stop().await;
}
