//! What earlier releases left in the books is put right.

use payment_svc::{MIGRATOR, check_ledger};
use sqlx::{PgPool, migrate::Migrator};
use uuid::Uuid;

use holdfast_proto::events::v1;
use prost::Message;

use crate::system::{System, until};

/// The schema as it was with its first `count` migrations.
async fn migrate_to(pool: &PgPool, count: i64) {
    let earlier = MIGRATOR.iter().filter(|one| one.version <= count);
    let mut migrator = Migrator::with_migrations(earlier.cloned().collect());
    migrator.create_schema("payment");
    migrator.dangerous_set_table_name("payment._sqlx_migrations");
    migrator.run(pool).await.unwrap();
}

/// A payment of EUR 25.00 that was captured before endings were in the books.
async fn captured(pool: &PgPool, payment_id: Uuid) {
    sqlx::query(
        "INSERT INTO payment.payments (payment_id, booking_id, attempt, user_id, show_id, state,
             amount, currency, description, pay_until, provider, session_id, captured_amount,
             captured_currency)
         VALUES ($1, $1, 1, $1, $1, 'SUCCEEDED', 2500, 'EUR', 'd', now(), 'sandbox', $1::text,
             2500, 'EUR')",
    )
    .bind(payment_id)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "WITH journal AS (
             INSERT INTO payment.journal (kind, payment_id) VALUES ('CAPTURE', $1)
             RETURNING journal_id)
         INSERT INTO payment.entries (journal_id, account, amount, currency)
         SELECT journal_id, account, amount, 'EUR' FROM journal,
             (VALUES ('provider:sandbox', 2500), ('bookings', -2500)) AS leg (account, amount)",
    )
    .bind(payment_id)
    .execute(pool)
    .await
    .unwrap();
}

#[sqlx::test(migrations = false)]
async fn money_from_before_endings_is_told_of_until_it_has_one_and_a_lost_dispute_is_posted(
    pool: PgPool,
) {
    migrate_to(&pool, 3).await;
    let (sold, disputed, asked_back) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    for payment_id in [sold, disputed, asked_back] {
        captured(&pool, payment_id).await;
    }
    sqlx::query(
        "INSERT INTO payment.refunds (refund_id, payment_id, amount, reason, state)
         VALUES (gen_random_uuid(), $1, 2500, 'r', 'REQUESTED')",
    )
    .bind(asked_back)
    .execute(&pool)
    .await
    .unwrap();
    migrate_to(&pool, 5).await;
    sqlx::query("UPDATE payment.payments SET dispute = 'LOST' WHERE payment_id = $1")
        .bind(disputed)
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(migrated(&pool).await, (0, 0));

    let system = System::start(&pool).await;
    assert_eq!(check_ledger(&pool).await.unwrap(), []);
    assert_eq!(migrated(&pool).await, (2, 2_500));
    until("booking-svc to be told", async || {
        let told = system.all_told(sold).await;
        let again = |payload: &[u8]| v1::PaymentSucceeded::decode(payload).unwrap().again;
        told.iter().any(|(_, payload)| again(payload))
    })
    .await;
    for payment_id in [sold, disputed] {
        let kept = v1::PaymentKept {
            booking_id: payment_id.into_bytes().to_vec(),
            payment_id: payment_id.into_bytes().to_vec(),
        };
        system.tell_under(payment_id, "PaymentKept", &kept).await;
    }
    system.caught_up().await;
    assert_eq!(migrated(&pool).await, (0, 2_500));
    assert_eq!(system.balance("bookings").await, -5_000);
    assert_eq!(system.balance("refunds").await, -2_500);
    assert_eq!(check_ledger(&pool).await.unwrap(), []);
    system.end_all().await;
}

/// How many payments are told of again, and what is posted of disputes.
async fn migrated(pool: &PgPool) -> (i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM payment.payments WHERE tell_at IS NOT NULL),
                (SELECT coalesce(sum(amount), 0)::bigint FROM payment.entries
                 WHERE account = 'disputes')",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = false)]
async fn lost_dispute_that_an_earlier_release_did_not_post_is_posted(pool: PgPool) {
    migrate_to(&pool, 7).await;
    let payment_id = Uuid::new_v4();
    captured(&pool, payment_id).await;
    sqlx::query("UPDATE payment.payments SET dispute = 'LOST'")
        .execute(&pool)
        .await
        .unwrap();
    let system = System::start(&pool).await;
    assert_eq!(check_ledger(&pool).await.unwrap(), []);
    assert_eq!(migrated(&pool).await, (0, 2_500));
    system.end_all().await;
}
