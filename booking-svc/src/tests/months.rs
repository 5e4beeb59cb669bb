//! Old months are detached, by the statements of docs/scale-out.md, while others buy.

use booking_core::Input;
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use holdfast_types::{BookingState, DurationMs, ErrorCode, Money, ShowId};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::{NoContext, Timestamp, Uuid};

use super::world::{PRICE, World, code, deadline, opener, opening, paid, payment, refunded, user};

const PAGE: &str = include_str!("../../../docs/scale-out.md");

/// The `n`th block of SQL of the page, for this month.
fn of_page(n: usize, month: NaiveDate) -> Vec<String> {
    let block = PAGE.split("```sql").nth(n + 1).expect("is there");
    let (block, _) = block.split_once("```").expect("ends");
    block
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.replace("2026-12-01", &month.to_string()))
        .collect()
}

async fn run(pool: &PgPool, statements: Vec<String>) -> Result<(), sqlx::Error> {
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(pool)
            .await?;
    }
    Ok(())
}

async fn refused(pool: &PgPool, statements: Vec<String>) -> String {
    run(pool, statements)
        .await
        .expect_err("is refused")
        .to_string()
}

fn this_month() -> NaiveDate {
    Utc::now().date_naive().with_day(1).expect("has a first")
}

/// An id as one that was, or will be, made in the middle of a month.
fn id_of(month: NaiveDate) -> ShowId {
    let at: DateTime<Utc> = month
        .with_day(15)
        .and_then(|day| day.and_hms_opt(12, 0, 0))
        .expect("is a time")
        .and_utc();
    let seconds = u64::try_from(at.timestamp()).expect("after 1970");
    let at = Timestamp::from_unix(NoContext, seconds, 0);
    ShowId::from_uuid(Uuid::new_v7(at))
}

impl World {
    /// From here on everything is about this show, which is new.
    async fn open(&mut self, show_id: ShowId) {
        let opening = opening(show_id, DurationMs::from_secs(600));
        let open = self.app.open_inventory(opener(), opening, deadline());
        open.await.expect("opens");
        self.show_id = show_id;
    }

    /// In which partition the show's bookings are.
    async fn part(&self) -> String {
        let part =
            "SELECT DISTINCT tableoid::regclass::text FROM booking.bookings WHERE show_id = $1";
        let part = sqlx::query_scalar(part).bind(self.show_id.as_uuid());
        part.fetch_one(&self.pool).await.expect("is in one")
    }
}

#[sqlx::test(migrations = false)]
async fn tables_are_divided_while_people_buy_and_every_show_has_its_place(pool: PgPool) {
    let mut world = World::new(pool).await;
    let coming = this_month() + Months::new(1);
    let pending = world.book(user(1), &[0]).await;
    world.buy(user(2), &[1, 2]).await;
    let not_yet = refused(&world.pool, of_page(0, coming).split_off(1)).await;
    assert!(not_yet.contains("not divided"), "{not_yet}");
    let buying = async {
        for seat in 3..8 {
            world.buy(user(3), &[seat]).await;
        }
    };
    let (divided, ()) = tokio::join!(run(&world.pool, of_page(0, coming)), buying);
    divided.expect("divides");
    world.tell(pending, paid(pending, 1, 1)).await;
    assert_eq!(world.state(pending).await, BookingState::Confirmed);
    world.audit().await;
    assert_eq!(world.part().await, "booking.bookings_undated");
    let again = refused(&world.pool, of_page(0, coming)).await;
    assert!(again.contains("divided already"), "{again}");

    let part = |month: NaiveDate| {
        let (year, month) = (month.year(), month.month());
        format!("booking.bookings_{year}_{month:02}")
    };
    let imported = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"a show of another system");
    let shows = [
        (id_of(coming), part(coming)),
        (
            id_of(coming + Months::new(11)),
            part(coming + Months::new(11)),
        ),
        (
            id_of(coming + Months::new(12)),
            "booking.bookings_later".to_owned(),
        ),
        (imported.into(), "booking.bookings_undated".to_owned()),
    ];
    let later = shows[2].0;
    for (show_id, part) in shows {
        world.open(show_id).await;
        let bought = world.buy(user(4), &[0, 1]).await;
        assert_eq!(world.part().await, part);
        let cancelled = world.app.cancel_booking(user(4), bought, None).await;
        cancelled.expect("cancels");
        world.buy(user(5), &[0]).await;
        world.audit().await;
    }
    let listed = world.app.list_bookings(user(4), 10, "").await;
    let listed = listed.expect("lists").bookings;
    assert_eq!(listed.len(), 4, "of all partitions");

    // A month that is made later takes what was there before it.
    run(
        &world.pool,
        vec!["SELECT booking.add_months(14)".to_owned()],
    )
    .await
    .expect("adds");
    world.show_id = later;
    assert_eq!(world.part().await, part(coming + Months::new(12)));
    world.audit().await;
}

/// As a migration of a later release would.
async fn add_columns(pool: &PgPool, name: &str) {
    for table in ["tickets", "bookings", "seats", "shows"] {
        let add = format!(
            "ALTER TABLE booking.{table} ADD COLUMN {name} integer NOT NULL DEFAULT 7 CHECK ({name} > 0)"
        );
        let added = sqlx::query(AssertSqlSafe(add)).execute(pool).await;
        added.expect("adds a column");
    }
}

#[sqlx::test(migrations = false)]
async fn month_is_detached_when_all_of_it_is_over_and_comes_back(pool: PgPool) {
    let mut world = World::new(pool).await;
    let now = world.show_id;
    let old = this_month() - Months::new(14);
    world.open(id_of(old)).await;
    let bought = world.buy(user(1), &[0, 1]).await;
    let unpaid = world.book(user(1), &[2]).await;
    let cancelled = world.buy(user(1), &[3]).await;
    let divide = format!("SELECT booking.divide_by_month('{old}')");
    run(
        &world.pool,
        vec![divide, "SELECT booking.add_months(1)".to_owned()],
    )
    .await
    .expect("divides");
    let detach = || of_page(1, old);
    add_columns(&world.pool, "first").await;

    let next = refused(&world.pool, of_page(1, old + Months::new(1))).await;
    assert!(next.contains("from the oldest on"), "{next}");
    let early = refused(&world.pool, detach()).await;
    let show = world.show_id.to_string();
    assert!(
        early.contains("180 days") && early.contains(&show),
        "{early}"
    );
    sqlx::query("UPDATE booking.shows SET starts_at = now() - make_interval(days => 181) WHERE show_id = $1")
        .bind(world.show_id.as_uuid())
        .execute(&world.pool)
        .await
        .expect("writes");
    let open = refused(&world.pool, detach()).await;
    assert!(open.contains(&unpaid.to_string()), "{open}");
    world.expire(unpaid).await;
    let drive = world.app.drive(
        cancelled,
        Input::ShowCancelled,
        holdfast_types::ClusterTime(0),
    );
    drive.await.expect("cancels");
    let money = refused(&world.pool, detach()).await;
    assert!(money.contains("is under way"), "{money}");
    world.tell(cancelled, refunded(cancelled, 1, 1)).await;
    // Nor while people who bought for a show that was called off wait for their money.
    for (change, why, back) in [
        (
            "INSERT INTO booking.show_refunds (show_id, bookings) SELECT show_id, 1 FROM booking.shows
             WHERE starts_at < now()",
            "is being refunded",
            "DELETE FROM booking.show_refunds",
        ),
        (
            "UPDATE booking.shows SET state = 'CANCELLED' WHERE starts_at < now()",
            "called off",
            "UPDATE booking.shows SET state = 'ON_SALE'",
        ),
    ] {
        sqlx::query(change)
            .execute(&world.pool)
            .await
            .expect("writes");
        let refusal = refused(&world.pool, detach()).await;
        assert!(refusal.contains(why), "{refusal}");
        sqlx::query(back)
            .execute(&world.pool)
            .await
            .expect("writes");
    }

    // Others buy meanwhile.
    let old_show = std::mem::replace(&mut world.show_id, now);
    let buying = async {
        for seat in 0..4 {
            world.buy(user(2), &[seat]).await;
        }
    };
    let (detached, ()) = tokio::join!(run(&world.pool, detach()), buying);
    detached.expect("detaches");
    assert_eq!(crate::audit(&world.pool).await.expect("audits"), []);
    let shows = crate::audited_shows(&world.pool, ShowId::from_bytes([0; 16]), 10);
    let shows = shows.await.expect("reads");
    assert_eq!(shows.len(), 1, "the store is compared with what is left");
    let captured = |show_id| {
        let amount = Money {
            amount: 2 * PRICE,
            currency: "EUR".parse().expect("valid"),
        };
        [(payment(bought, 1), show_id, amount)]
    };
    let missing = async |show_id| {
        let missing = crate::missing_payments(&world.pool, &captured(show_id)).await;
        missing.expect("reads").len()
    };
    assert_eq!(missing(old_show).await, 0, "it went with its month");
    assert_eq!(missing(now).await, 1, "another show's is missed");
    let gone = world.app.get_booking(user(1), bought).await;
    assert_eq!(code(gone), ErrorCode::BookingNotFound);
    let listed = world.app.list_bookings(user(1), 10, "").await;
    let listed = listed.expect("lists").bookings;
    assert_eq!(listed.len(), 0);
    let (year, month) = (old.year(), old.month());
    let kept =
        format!("SELECT count(*) FROM booking.tickets_{year}_{month:02} WHERE state = 'VALID'");
    let kept = sqlx::query_scalar::<_, i64>(AssertSqlSafe(kept)).fetch_one(&world.pool);
    assert_eq!(kept.await.expect("reads"), 2);

    // An import may still bring an id of that range.
    world.open(id_of(old)).await;
    world.buy(user(3), &[0]).await;
    assert_eq!(world.part().await, "booking.bookings_past");

    add_columns(&world.pool, "second").await;
    run(&world.pool, of_page(2, old)).await.expect("comes back");
    world.buy(user(3), &[1]).await;
    assert_eq!(world.state(bought).await, BookingState::Confirmed);
    for show_id in [world.show_id, old_show, now] {
        world.show_id = show_id;
        world.audit().await;
    }
    let again = refused(&world.pool, of_page(2, old)).await;
    assert!(again.contains("none"), "{again}");
}
