//! Keys begin with the show, rows from before included, and the release before changes nothing any more.

use holdfast_types::{BookingId, ErrorCode};
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::world::{World, user};
use crate::error::Error;

/// Tables whose every key begins with the show.
const BY_SHOW: [&str; 10] = [
    "bookings",
    "booking_payments",
    "house_checks",
    "house_seats",
    "refunds",
    "seats",
    "show_refunds",
    "shows",
    "tickets",
    "timeline",
];
/// And with the user.
const BY_USER: [&str; 2] = ["directory", "requests"];

/// What the release before wrote for a booking (its first statement of `POST bookings`, without the lock).
const AS_BEFORE: &str = "WITH timeline AS (
         INSERT INTO booking.timeline (booking_id, position, happened, revision, fence)
         SELECT $1, e.position, e.happened, 7, $4
         FROM (VALUES (1, 'HOLD_EXTENDED'), (2, 'CREATED')) AS e (position, happened)
     )
     INSERT INTO booking.bookings (booking_id, user_id, idempotency_key, body_hash, show_id,
         seat_nos, amount, currency, price_version, state, hold_id, fence, expires_at,
         pay_until, created_at)
     SELECT $1, $2, 'k', sha256('h'), $3, '{0}', 2500, 'EUR', 1, 'PENDING_PAYMENT', $1, $4, now(), now(),
         now()";

#[sqlx::test(migrations = false)]
async fn every_key_begins_with_what_rows_are_kept_together_by(pool: PgPool) {
    crate::migrate(&pool).await.expect("migrates");
    let keys = sqlx::query(
        "SELECT c.relname::text AS of, i.indexrelid::regclass::text AS key, a.attname::text AS first
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'booking'::regnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
         WHERE i.indisunique",
    );
    let keys = keys.fetch_all(&pool).await.expect("reads");
    let mut seen = 0;
    for key in keys {
        let (of, first): (String, String) = (key.get("of"), key.get("first"));
        let wanted = if BY_SHOW.contains(&of.as_str()) {
            "show_id"
        } else if BY_USER.contains(&of.as_str()) {
            "user_id"
        } else {
            continue;
        };
        seen += 1;
        let key = key.get::<String, _>("key");
        // It ends with the show: see the migration.
        if key == "booking.bookings_one_per_hold" {
            assert_eq!(first, "hold_id");
            continue;
        }
        assert_eq!(first, wanted, "{key}");
    }
    assert!(seen >= BY_SHOW.len() + BY_USER.len(), "{seen}");
}

#[sqlx::test(migrations = false)]
async fn rows_from_before_get_their_show_and_a_place_in_the_directory(pool: PgPool) {
    sqlx::raw_sql("CREATE SCHEMA booking")
        .execute(&pool)
        .await
        .expect("makes");
    let (before, after): (Vec<_>, Vec<_>) =
        crate::MIGRATOR.iter().partition(|step| step.version < 9);
    for step in before {
        let step = sqlx::raw_sql(step.sql.clone()).execute(&pool).await;
        step.expect("migrates");
    }
    let id = |n: u128| Uuid::from_u128(n);
    sqlx::raw_sql(
        "INSERT INTO booking.shows (show_id, title, starts_at, currency, price_version, hold_ttl_ms,
             hold_total_ms_max, seats_per_customer_max, seat_count, layout_hash, state)
         SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 't', now(), 'EUR', 1, 1, 1, 1, 1, '',
             'ON_SALE' FROM generate_series(1, 2) AS n;
         INSERT INTO booking.seats (show_id, seat_no, label, section, row_no, gap_after, category, price)
         SELECT show_id, 0, 'A', 'A', 0, false, 'A', 2500 FROM booking.shows",
    )
    .execute(&pool)
    .await
    .expect("writes");
    for show in 1..=2 {
        sqlx::query(AS_BEFORE)
            .bind(id(10 + show))
            .bind(id(20 + show))
            .bind(id(show))
            .bind(i64::try_from(show).expect("small"))
            .execute(&pool)
            .await
            .expect("writes");
    }
    sqlx::raw_sql(
        "INSERT INTO booking.booking_payments
             (payment_id, booking_id, position, amount, currency, fate, refund_id)
         SELECT booking_id, booking_id, 0, 2500, 'EUR', 'REFUNDED', user_id FROM booking.bookings;
         INSERT INTO booking.refunds (refund_id, booking_id, payment_id, amount, currency, reason)
         SELECT user_id, booking_id, booking_id, 2500, 'EUR', 'r' FROM booking.bookings;
         INSERT INTO booking.tickets (ticket_id, booking_id, show_id, seat_no, state, qr_payload)
         SELECT booking_id, booking_id, show_id, 0, 'VOID', 'q' FROM booking.bookings",
    )
    .execute(&pool)
    .await
    .expect("writes");
    for step in after {
        let step = sqlx::raw_sql(step.sql.clone()).execute(&pool).await;
        step.expect("migrates");
    }
    for table in [
        "timeline",
        "booking_payments",
        "refunds",
        "tickets",
        "directory",
    ] {
        let wrong = format!(
            "SELECT count(*) FROM booking.{table} t FULL JOIN booking.bookings b USING (booking_id)
             WHERE b.show_id IS DISTINCT FROM t.show_id"
        );
        let wrong = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(wrong));
        assert_eq!(wrong.fetch_one(&pool).await.expect("reads"), 0, "{table}");
    }
    let booking_id = BookingId::from_uuid(id(11));
    let user_id = holdfast_types::UserId::from_uuid(id(21));
    let found = crate::store::bookings::of_user(&pool, user_id, booking_id).await;
    let found = found.expect("reads").expect("is there").booking;
    assert_eq!(found.show_id.as_uuid(), id(1));
    assert_eq!(found.payments.len(), 1);
    let listed = crate::store::bookings::list(&pool, user_id, None, 10).await;
    assert_eq!(listed.expect("reads").len(), 1);
    assert_eq!(crate::audit(&pool).await.expect("audits"), []);
}

#[sqlx::test(migrations = false)]
async fn process_of_the_release_before_changes_nothing_and_is_told_why(pool: PgPool) {
    let world = World::new(pool).await;
    let booked = world.book(user(1), &[0]).await;
    let show_id = world.show_id.as_uuid();
    let insert = sqlx::query(AS_BEFORE)
        .bind(Uuid::now_v7())
        .bind(user(2).as_uuid())
        .bind(show_id)
        .bind(i64::MAX)
        .execute(&world.pool)
        .await
        .expect_err("is refused");
    let decide = sqlx::query(
        "WITH timeline AS (
             INSERT INTO booking.timeline (booking_id, position, happened, fence)
             SELECT $1, last.position + 1, 'EXPIRED', 1
             FROM (SELECT max(position) AS position FROM booking.timeline WHERE booking_id = $1) AS last
         )
         UPDATE booking.bookings SET state = 'EXPIRED' WHERE booking_id = $1",
    )
    .bind(booked.as_uuid())
    .execute(&world.pool)
    .await
    .expect_err("is refused");
    let refund = sqlx::query(
        "INSERT INTO booking.refunds (refund_id, booking_id, payment_id, amount, currency, reason, ask_at)
         VALUES ($1, $2, $3, 2500, 'EUR', 'SEATS_GONE', now())",
    )
    .bind(Uuid::now_v7())
    .bind(booked.as_uuid())
    .bind(Uuid::now_v7())
    .execute(&world.pool)
    .await
    .expect_err("is refused");
    for error in [insert, decide, refund] {
        let told = error.to_string();
        assert!(told.contains("upgrade it"), "{told}");
        // It takes it for an outage: customers are told to come again, and no event's key is parked.
        let error = Error::Database(error);
        assert!(error.is_outage(), "{told}");
        assert_eq!(error.code(), ErrorCode::Unavailable);
    }
    let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM booking.bookings");
    assert_eq!(count.fetch_one(&world.pool).await.expect("reads"), 1);
    world.audit().await;
}
