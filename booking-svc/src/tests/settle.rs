//! Many holds end at once, and their bookings with them: together, by the store's word, by index.

use std::time::{Duration, Instant};

use booking_core::Step;
use holdfast_types::{
    BookingId, BookingState, Fence, HoldId, HoldToken, Revision, SeatState, ShowId,
};
use lockstore_client::{CommitHold, ReleaseHold};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::world::{LIMIT, World, id_of, paid, user};
use crate::{
    app::settle::{BATCH_MAX, Cause, Over},
    error::Error,
    metrics,
    store::{bookings, settle},
};

/// Of a large on-sale; enough for a planner to see that indexes pay.
const MANY: i32 = 20_000;

impl World {
    /// A booking, and its hold.
    async fn booked(&self, n: u8, seats: &[usize]) -> (BookingId, HoldToken) {
        let hold = self.hold(user(n), seats).await;
        let booked = self.try_book(user(n), &hold, "k").await.expect("books");
        (id_of(&booked), hold.parse().expect("a token"))
    }

    /// The store lets go of a hold, and says so.
    async fn let_go(&self, n: u8, hold: HoldToken) -> Over {
        let release = ReleaseHold {
            show_id: hold.show_id,
            holder: user(n),
            hold_id: hold.hold_id,
            fence: hold.fence,
        };
        let answer = self.app.lock_store.release(release, LIMIT).await;
        let revision = answer.expect("answers").revision;
        Over { hold, revision }
    }

    async fn settle(&self, over: &[Over]) -> usize {
        let batch = self.app.settle(over, Cause::HoldEnded).await;
        let batch = batch.expect("settles");
        assert_eq!(batch.left, []);
        batch.settled.len()
    }
}

#[sqlx::test(migrations = false)]
async fn bookings_of_holds_that_ended_end_together_and_are_told_as_ever(pool: PgPool) {
    let world = World::new(pool).await;
    let bought = world.buy(user(9), &[9]).await;
    let (mut booked, mut over) = (Vec::new(), Vec::new());
    for n in 0..4 {
        let (id, hold) = world
            .booked(n, &[2 * usize::from(n), 2 * usize::from(n) + 1])
            .await;
        booked.push(id);
        over.push(world.let_go(n, hold).await);
    }
    let unbooked = world.hold(user(8), &[8]).await.parse().expect("a token");
    over.push(world.let_go(8, unbooked).await);
    // What is told twice, or again, changes nothing more.
    over.push(over[0]);
    assert_eq!(world.settle(&over).await, 4);
    assert_eq!(world.settle(&over).await, 0);
    for id in &booked {
        let booking = world.view(*id).await.booking;
        assert_eq!(
            (booking.state, booking.step),
            (BookingState::Expired, Step::Idle)
        );
        assert_eq!(world.told(*id).await, ["BookingCreated", "BookingEnded"]);
        let timeline = world.timeline(*id).await;
        let ending = ["HOLD_ENDED", "HOLD_RELEASED", "EXPIRED"];
        assert_eq!(timeline[2..], ending);
    }
    let expired = world.entry(booked[1], "EXPIRED").await;
    assert_eq!(expired.reason.as_deref(), Some("PAYMENT_TIMEOUT"));
    assert_eq!(expired.revision, Some(over[1].revision));
    let transactions =
        "SELECT count(DISTINCT xmin::text) FROM booking.bookings WHERE state = 'EXPIRED'";
    let transactions = sqlx::query_scalar::<_, i64>(transactions).fetch_one(&world.pool);
    assert_eq!(transactions.await.expect("reads"), 1);
    let timeouts = world.counted(metrics::ENDINGS, "reason=\"PAYMENT_TIMEOUT\"");
    assert_eq!(timeouts, 4);
    assert_eq!(world.state(bought).await, BookingState::Confirmed);
    world.buy(user(5), &[0, 1, 8]).await;
    world.audit().await;
}

/// Whoever decides on a booking has it locked; the others end without waiting for him.
#[sqlx::test(migrations = false)]
async fn money_that_comes_meanwhile_goes_first_or_after(pool: PgPool) {
    let world = World::new(pool).await;
    let (first, hold) = world.booked(1, &[0]).await;
    let (other, others) = world.booked(2, &[1]).await;
    let over = [world.let_go(1, hold).await, world.let_go(2, others).await];
    let mut at_work = world.pool.begin().await.expect("begins");
    let locked = bookings::lock(&mut at_work, first.into()).await;
    assert!(locked.expect("locks").is_some());
    assert_eq!(world.settle(&over).await, 1);
    assert_eq!(world.state(other).await, BookingState::Expired);
    at_work.rollback().await.expect("ends");
    // First: the store's word finds it paid, and it has had its seats held again.
    world.tell(first, paid(first, 1, 1)).await;
    assert_eq!(world.settle(&over).await, 0);
    assert_eq!(world.state(first).await, BookingState::Confirmed);
    // After: late money.
    world.tell(other, paid(other, 1, 1)).await;
    assert_eq!(world.state(other).await, BookingState::Confirmed);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn overdue_bookings_end_by_page_and_what_was_sold_meanwhile_is_returned(pool: PgPool) {
    let world = World::new(pool).await;
    let (unpaid, _) = world.booked(1, &[0, 1]).await;
    let (sold, hold) = world.booked(2, &[2]).await;
    let (due, _) = world.booked(3, &[3]).await;
    let commit = CommitHold {
        show_id: world.show_id,
        hold_id: hold.hold_id,
        fence: hold.fence,
        seat_nos: world.view(sold).await.booking.seats,
        booking_id: sold,
    };
    let committed = world.app.lock_store.commit(commit, LIMIT).await;
    committed.expect("answers");
    for id in [unpaid, sold] {
        world.run_out(id).await;
    }
    world.app.sweep().await.expect("sweeps");
    for id in [unpaid, sold] {
        assert_eq!(world.state(id).await, BookingState::Expired);
    }
    assert_eq!(world.state(due).await, BookingState::PendingPayment);
    assert_eq!(world.counted(metrics::ALARMS, "sold_unpaid"), 1);
    let seats = world.seats().await;
    assert_eq!(seats[..3], [SeatState::Available; 3]);
    world.audit().await;
}

/// One that can't be read is at the head of the index in every round.
#[sqlx::test(migrations = false)]
async fn booking_that_can_not_be_read_keeps_no_other_from_ending_with_others(pool: PgPool) {
    let world = World::new(pool).await;
    let spoil = async |sql: &'static str, id: BookingId| {
        let spoilt = sqlx::query(sql).bind(id.as_uuid()).execute(&world.pool);
        spoilt.await.expect("writes");
    };
    let (currency, _) = world.booked(1, &[0]).await;
    let (payment, _) = world.booked(2, &[1]).await;
    let (fence, _) = world.booked(3, &[2]).await;
    spoil(
        "UPDATE booking.bookings SET currency = 'none' WHERE booking_id = $1",
        currency,
    )
    .await;
    spoil(
        "INSERT INTO booking.booking_payments (show_id, payment_id, booking_id, position, amount, currency, fate)
         SELECT show_id, booking_id, booking_id, 0, 1, 'none', 'PENDING' FROM booking.bookings
         WHERE booking_id = $1",
        payment,
    )
    .await;
    spoil(
        "UPDATE booking.bookings SET fence = -1 WHERE booking_id = $1",
        fence,
    )
    .await;
    for id in [currency, payment, fence] {
        world.run_out(id).await;
    }
    for n in 4..7 {
        let (first, _) = world.booked(n, &[usize::from(n)]).await;
        let (second, _) = world.booked(n + 10, &[usize::from(n) + 3]).await;
        for id in [first, second] {
            world.run_out(id).await;
        }
        world.app.sweep().await.expect("sweeps");
        for id in [first, second] {
            assert_eq!(world.state(id).await, BookingState::Expired);
        }
        let transactions = "SELECT count(DISTINCT xmin::text) FROM booking.bookings
             WHERE booking_id = ANY($1)";
        let transactions = sqlx::query_scalar::<_, i64>(transactions)
            .bind([first.as_uuid(), second.as_uuid()])
            .fetch_one(&world.pool);
        assert_eq!(transactions.await.expect("reads"), 1, "together");
        assert_eq!(world.counted(metrics::UNREADABLE, ""), 3, "each once");
    }
}

/// A page that nothing can be ended of hides none behind it.
#[sqlx::test(migrations = false)]
async fn bookings_behind_a_page_that_can_not_be_read_end(pool: PgPool) {
    let world = World::new(pool).await;
    let (behind, _) = world.booked(1, &[0]).await;
    for sql in [
        "UPDATE booking.bookings SET expires_at = '1970-01-02' WHERE $1 > 0",
        "INSERT INTO booking.bookings (show_id, booking_id, user_id, seat_nos, amount, currency,
             price_version, state, hold_id, fence, expires_at, pay_until)
         SELECT show_id, md5(n || 'b')::uuid, user_id, seat_nos, 2500, 'EUR', 1, 'PENDING_PAYMENT',
             md5(n || 'h')::uuid, -1, 'epoch', now()
         FROM booking.bookings, generate_series(1, $1) AS n",
    ] {
        let written = sqlx::query(sql).bind(i64::try_from(BATCH_MAX).expect("few"));
        written.execute(&world.pool).await.expect("writes");
    }
    world.app.sweep().await.expect("sweeps");
    assert_eq!(world.state(behind).await, BookingState::Expired);
    let told = world.counted(metrics::UNREADABLE, "");
    assert_eq!(told.unsigned_abs(), BATCH_MAX as u64);
}

/// Nor a page of which the store says that it can't say yet.
#[sqlx::test(migrations = false)]
async fn bookings_behind_a_page_of_a_show_that_the_store_lacks_end(pool: PgPool) {
    let world = World::new(pool).await;
    let (behind, _) = world.booked(1, &[0]).await;
    for sql in [
        "UPDATE booking.bookings SET expires_at = '1970-01-02' WHERE $1 > 0",
        "INSERT INTO booking.shows SELECT (jsonb_populate_record(s, jsonb_build_object(
             'show_id', md5('lost')::uuid))).* FROM booking.shows s WHERE $1 > 0",
        "INSERT INTO booking.bookings (show_id, booking_id, user_id, seat_nos, amount, currency,
             price_version, state, hold_id, fence, expires_at, pay_until)
         SELECT md5('lost')::uuid, md5(n || 'b')::uuid, user_id, seat_nos, 2500, 'EUR', 1,
             'PENDING_PAYMENT', md5(n || 'h')::uuid, n, 'epoch', now()
         FROM booking.bookings, generate_series(1, $1) AS n",
    ] {
        let written = sqlx::query(sql).bind(i64::try_from(BATCH_MAX + 1).expect("few"));
        written.execute(&world.pool).await.expect("writes");
    }
    world.app.sweep().await.expect("sweeps");
    assert_eq!(world.state(behind).await, BookingState::Expired);
    let waiting = "SELECT count(*) FROM booking.bookings WHERE state = 'PENDING_PAYMENT'";
    let waiting = sqlx::query_scalar::<_, i64>(waiting).fetch_one(&world.pool);
    let waiting = waiting.await.expect("reads").unsigned_abs();
    assert_eq!(waiting, BATCH_MAX as u64 + 1, "they are asked about again");
}

#[sqlx::test(migrations = false)]
async fn booking_that_could_not_be_read_is_met_again_after_a_while(pool: PgPool) {
    let world = World::new(pool).await;
    let (id, _) = world.booked(1, &[0]).await;
    world.run_out(id).await;
    let spoilt = sqlx::query("UPDATE booking.bookings SET currency = 'none'");
    spoilt.execute(&world.pool).await.expect("writes");
    world.app.sweep().await.expect("sweeps");
    assert_eq!(world.counted(metrics::UNREADABLE, ""), 1);
    let mended = sqlx::query("UPDATE booking.bookings SET currency = 'EUR'");
    mended.execute(&world.pool).await.expect("writes");
    world.app.sweep().await.expect("sweeps");
    assert_eq!(
        world.state(id).await,
        BookingState::PendingPayment,
        "it isn't looked at"
    );
    let later = Instant::now() + Duration::from_secs(600);
    assert_eq!(world.app.unreadable.left_out(later), []);
    world.app.sweep().await.expect("sweeps");
    assert_eq!(world.state(id).await, BookingState::Expired);
}

#[sqlx::test(migrations = false)]
async fn word_of_another_life_of_the_store_ends_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let (id, hold) = world.booked(1, &[0]).await;
    let revision = Revision::new(holdfast_types::Lineage(2), 7, 0);
    let settled = world
        .app
        .settle(&[Over { hold, revision }], Cause::HoldEnded)
        .await;
    assert!(
        matches!(settled, Err(Error::ForeignLineage { .. })),
        "{settled:?}"
    );
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
}

/// A show's worth of seats, each booked by another, beside the history of as many that have ended.
async fn on_sale(world: &World) -> Vec<Over> {
    let show_id = Uuid::now_v7();
    for statement in [
        "INSERT INTO booking.shows SELECT (jsonb_populate_record(s, jsonb_build_object(
             'show_id', $1, 'seat_count', $2))).* FROM booking.shows s",
        "INSERT INTO booking.bookings (show_id, booking_id, user_id, seat_nos, amount, currency,
             price_version, state, hold_id, fence, expires_at, pay_until)
         SELECT $1, md5(n || 'b')::uuid, md5(n || 'u')::uuid, ARRAY[n % $2], 2500, 'EUR', 1,
             CASE WHEN n < $2 THEN 'PENDING_PAYMENT' ELSE 'EXPIRED' END, md5(n || 'h')::uuid, n + 1,
             now() - make_interval(secs => 1), now()
         FROM generate_series(0, 2 * $2 - 1) AS n",
        "INSERT INTO booking.directory (user_id, booking_id, show_id, idempotency_key, body_hash)
         SELECT user_id, booking_id, $1, 'k' || $2, '' FROM booking.bookings WHERE show_id = $1",
        "INSERT INTO booking.timeline (show_id, booking_id, position, happened, fence)
         SELECT $1, booking_id, position, CASE position WHEN 3 THEN 'EXPIRED' ELSE 'CREATED' END, fence
         FROM booking.bookings, generate_series(1, CASE state WHEN 'EXPIRED' THEN 3 ELSE 2 END) AS position
         WHERE show_id = $1 AND $2 > 0",
        "INSERT INTO booking.seats (show_id, seat_no, label, section, row_no, gap_after, category, price,
             state, fence, booking_id, expires_at)
         SELECT $1, n, 'S-' || n, 'S', 0, false, 'A', 2500, 'HELD', n + 1, md5(n || 'b')::uuid, now()
         FROM generate_series(0, $2 - 1) AS n",
    ] {
        sqlx::query(AssertSqlSafe(statement.replace("$1", &format!("'{show_id}'::uuid")).replace("$2", &MANY.to_string())))
            .execute(&world.pool)
            .await
            .expect("writes");
    }
    sqlx::raw_sql("ANALYZE")
        .execute(&world.pool)
        .await
        .expect("analyses");
    let holds = sqlx::query(
        "SELECT hold_id, fence FROM booking.bookings
         WHERE show_id = $1 AND state = 'PENDING_PAYMENT' ORDER BY booking_id",
    );
    let holds = holds
        .bind(show_id)
        .fetch_all(&world.pool)
        .await
        .expect("reads");
    let over = holds.iter().map(|row| Over {
        hold: HoldToken {
            show_id: ShowId::from_uuid(show_id),
            hold_id: HoldId::from_uuid(row.get(0)),
            fence: Fence::from_i64(row.get(1)).expect("is one"),
        },
        revision: Revision::new(holdfast_types::Lineage(1), 1_000_000, 0),
    });
    over.collect()
}

#[sqlx::test(migrations = false)]
async fn large_on_sale_ends_in_few_transactions(pool: PgPool) {
    let world = World::new(pool).await;
    let over = on_sale(&world).await;
    let before = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM booking.bookings WHERE state = 'EXPIRED'",
    );
    assert_eq!(
        before.fetch_one(&world.pool).await.expect("reads"),
        i64::from(MANY)
    );
    // As the watch tells of them.
    world.app.end_with_holds(&over).await.expect("ends them");
    let show_id = over[0].hold.show_id.as_uuid();
    let ended = sqlx::query(
        "SELECT count(DISTINCT xmin::text), count(*) FROM booking.bookings
         WHERE show_id = $1 AND state = 'EXPIRED' AND reason = 'PAYMENT_TIMEOUT'",
    );
    let ended = ended
        .bind(show_id)
        .fetch_one(&world.pool)
        .await
        .expect("reads");
    let batches = over.len().div_ceil(BATCH_MAX);
    assert_eq!(ended.get::<i64, _>(0).unsigned_abs(), batches as u64);
    assert_eq!(ended.get::<i64, _>(1), i64::from(MANY));
    for (what, sql) in [
        ("seats held", "SELECT count(*) FROM booking.seats WHERE show_id = $1 AND state <> 'AVAILABLE'"),
        ("events too few", "SELECT 20000 - count(DISTINCT key) FROM booking.outbox WHERE event_type = 'BookingEnded' AND $1 IS NOT NULL"),
        ("timelines that don't end", "SELECT count(*) FROM booking.bookings b WHERE show_id = $1 AND NOT EXISTS (
            SELECT FROM booking.timeline t WHERE t.show_id = b.show_id AND t.booking_id = b.booking_id AND happened = 'EXPIRED')"),
    ] {
        let count = sqlx::query_scalar::<_, i64>(sql).bind(show_id);
        assert_eq!(count.fetch_one(&world.pool).await.expect("reads"), 0, "{what}");
    }
    assert_eq!(crate::audit(&world.pool).await.expect("audits"), []);
}

/// What a plan reads of the tables: every scan of one by an index, with what it looks for.
fn assert_by_index(plan: &Value, of: &str) {
    let node = plan["Node Type"].as_str().unwrap_or_default();
    assert!(
        !node.contains("Hash") && !node.contains("Merge Join"),
        "{of}: {plan:#}"
    );
    assert_ne!(node, "Seq Scan", "{of}: {plan:#}");
    if node.contains("Index") && node != "Index Scan Backward" {
        let walks_in_order = of == "settle_overdue";
        assert!(
            plan["Index Cond"].is_string() || walks_in_order,
            "{of}: {plan:#}"
        );
    }
    for below in plan["Plans"].as_array().into_iter().flatten() {
        assert_by_index(below, of);
    }
}

async fn explain(
    connection: &mut PgConnection,
    sql: &str,
    types: &[&str],
    batch: &[Vec<String>],
) -> Value {
    let mut sql = format!("EXPLAIN (FORMAT JSON) {sql}");
    // Backwards: $1 is the beginning of $10.
    for (n, (kind, values)) in types.iter().zip(batch).enumerate().rev() {
        let value = match kind.strip_suffix("[]") {
            Some(_) => format!("'{{{}}}'", values.join(",")),
            None => format!("'{}'::{kind}", values[0]),
        };
        sql = sql.replace(&format!("${}", n + 1), &value);
    }
    let plan = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await;
    let plan = plan.expect("explains").get_unchecked::<String, _>(0);
    let plan: Value = serde_json::from_str(&plan).expect("is JSON");
    plan[0]["Plan"].clone()
}

#[sqlx::test(migrations = false)]
async fn nothing_that_settles_reads_a_table_through(pool: PgPool) {
    let world = World::new(pool).await;
    let over = on_sale(&world).await;
    let over = &over[..BATCH_MAX];
    let shows: Vec<String> = over
        .iter()
        .map(|over| over.hold.show_id.to_string())
        .collect();
    let holds = over
        .iter()
        .map(|over| over.hold.hold_id.to_string())
        .collect();
    let fences: Vec<String> = over
        .iter()
        .map(|over| over.hold.fence.as_i64().to_string())
        .collect();
    let numbers: Vec<String> = (0..over.len()).map(|n| n.to_string()).collect();
    let ids: Vec<String> =
        sqlx::query_scalar::<_, Uuid>("SELECT booking_id FROM booking.bookings LIMIT $1")
            .bind(i64::try_from(over.len()).expect("few"))
            .fetch_all(&world.pool)
            .await
            .expect("reads")
            .iter()
            .map(Uuid::to_string)
            .collect();
    let text: Vec<String> = over.iter().map(|_| "X".to_owned()).collect();
    let mut transaction = world.pool.begin().await.expect("begins");
    settle::by_key(&mut transaction).await.expect("is set");
    let of = shows.clone();
    let statements = [
        (
            "settle_lock",
            include_str!("../store/settle_lock.sql"),
            vec!["uuid[]", "uuid[]", "bigint[]"],
            vec![of.clone(), holds, fences.clone()],
        ),
        (
            "settle_bookings",
            include_str!("../store/settle_bookings.sql"),
            vec!["uuid[]", "uuid[]", "text[]", "text[]"],
            vec![of.clone(), ids.clone(), text.clone(), text.clone()],
        ),
        (
            "settle_seats",
            include_str!("../store/settle_seats.sql"),
            vec!["uuid[]", "int[]", "uuid[]", "bigint[]"],
            vec![of.clone(), numbers.clone(), ids.clone(), fences.clone()],
        ),
        (
            "settle_timeline",
            include_str!("../store/settle_timeline.sql"),
            vec![
                "uuid[]", "uuid[]", "int[]", "text[]", "text[]", "bigint[]", "bigint[]",
            ],
            vec![of, ids, numbers, text.clone(), text, fences.clone(), fences],
        ),
    ];
    for (name, sql, types, batch) in &statements {
        let plan = explain(&mut transaction, sql, types, batch).await;
        assert_by_index(&plan, name);
    }
    transaction.rollback().await.expect("ends");
    // Also without being told to.
    let mut connection = world.pool.acquire().await.expect("a connection");
    let sql = include_str!("../store/settle_overdue.sql");
    let met = over.iter().map(|over| over.hold.hold_id.to_string());
    let limits = [
        vec!["infinity".to_owned()],
        vec![BATCH_MAX.to_string()],
        met.collect(),
    ];
    let types = ["timestamptz", "bigint", "uuid[]"];
    let plan = explain(&mut connection, sql, &types, &limits).await;
    assert_by_index(&plan, "settle_overdue");
}
