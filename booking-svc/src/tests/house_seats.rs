//! House seats outlive the lock store, and are what its last word said.

use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use holdfast_types::{BookingState, ErrorCode, Revision, SeatNo, SeatState, ShowState};
use lockstore_client::{BlockOutcome, BlockSeats, UnblockOutcome, UnblockSeats};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{
    organiser::{labels, staff},
    world::{CANCEL, LIMIT, SEATS, World, code, deadline, opener, paid, user},
};
use crate::{
    app::house_seats::STORE_MAX,
    rebuild::{Report, if_pending},
    store::house_seats::{self, HouseSeat, Said, Word},
    tasks::holds,
};

fn nos(seats: &[usize]) -> Vec<SeatNo> {
    let no = |seat: &usize| SeatNo(u32::try_from(*seat).expect("is small"));
    seats.iter().map(no).collect()
}

impl World {
    async fn known(&self) -> Vec<HouseSeat> {
        let mut connection = self.pool.acquire().await.expect("a connection");
        let known = house_seats::blocked(&mut connection, self.show_id).await;
        known.expect("reads")
    }

    /// Which seats are the house's, by the database.
    async fn here(&self) -> Vec<usize> {
        let known = self.known().await.into_iter();
        known.map(|seat| seat.seat_no.0 as usize).collect()
    }

    /// The same, by the store.
    async fn there(&self) -> Vec<usize> {
        let seats = self.seats().await.into_iter().enumerate();
        let blocked = seats.filter(|(_, state)| *state == SeatState::Blocked);
        blocked.map(|(seat, _)| seat).collect()
    }

    /// What the release before does, or a process that dies when the store has answered.
    async fn block_at_store_only(&self, seats: &[usize]) -> Revision {
        let block = BlockSeats {
            show_id: self.show_id,
            seat_nos: nos(seats),
            actor: staff(),
        };
        let answer = self.app.lock_store.block_seats(block, STORE_MAX).await;
        let answer = answer.expect("answers");
        assert!(matches!(answer.outcome, BlockOutcome::Blocked { .. }));
        answer.revision
    }

    async fn unblock_at_store_only(&self, seats: &[usize]) -> Revision {
        let unblock = UnblockSeats {
            show_id: self.show_id,
            seat_nos: nos(seats),
            actor: staff(),
        };
        let answer = self.app.lock_store.unblock_seats(unblock, STORE_MAX).await;
        let answer = answer.expect("answers");
        assert!(matches!(answer.outcome, UnblockOutcome::Unblocked { .. }));
        answer.revision
    }

    /// A minute and more goes by, and what is due is compared.
    async fn compare_later(&self) {
        sqlx::query!(
            "UPDATE booking.house_checks
             SET due_at = now(), marked_at = marked_at - make_interval(mins => 2)"
        )
        .execute(&self.pool)
        .await
        .expect("writes");
        self.app.compare_house_seats().await.expect("compares");
    }

    async fn checks(&self) -> i64 {
        let open = sqlx::query_scalar!(r#"SELECT count(*) AS "open!" FROM booking.house_checks"#);
        open.fetch_one(&self.pool).await.expect("reads")
    }

    /// Until a number that is read is at least that.
    async fn until(&self, wanted: i64, sql: &'static str) {
        let begun = Instant::now();
        loop {
            let read = sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.pool);
            if read.await.expect("reads") >= wanted {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "never: {sql}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How late its comparison is, by the audit.
    async fn late_for(&self) -> Option<Duration> {
        let seats = crate::audited_seats(&self.pool, self.show_id, &[]).await;
        seats.expect("reads").house.comparison_late_for
    }

    async fn run(&self, sql: &'static str) {
        let ran = sqlx::raw_sql(sql).execute(&self.pool).await;
        ran.expect("runs");
    }

    /// Writes late what the store said.
    async fn write(&self, seats: &[usize], is_blocked: bool, revision: Revision) {
        let said = |seat_no| Said {
            seat_no,
            is_blocked,
            is_new: true,
        };
        let said: Vec<_> = nos(seats).into_iter().map(said).collect();
        let word = Word {
            show_id: self.show_id,
            revision,
            by: Some(staff()),
            seats: &said,
        };
        let mut connection = self.pool.acquire().await.expect("a connection");
        let written = house_seats::record(&mut connection, word).await;
        written.expect("writes");
    }

    async fn rebuild(&mut self) -> Report {
        self.lose_store().await;
        let rebuilt = if_pending(&self.app).await.expect("rebuilds");
        rebuilt.expect("it is pending")
    }
}

#[sqlx::test(migrations = false)]
async fn house_seats_are_blocked_again_in_a_rebuilt_store(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block(opener(), &[0, 1, 2, 5]).await.expect("blocks");
    world.unblock(&[1, 2]).await;
    let sold = world.buy(user(1), &[2]).await;
    world.block(opener(), &[1]).await.expect("blocks");
    let before = world.known().await;
    assert!(before.iter().all(|seat| seat.by == Some(staff())));

    let report = world.rebuild().await;
    assert_eq!((report.sold, report.blocked, report.failed), (1, 3, 0));
    assert_eq!(world.there().await, [0, 1, 5]);
    assert_eq!(world.here().await, [0, 1, 5]);
    assert_eq!(world.state(sold).await, BookingState::Confirmed);
    let after = world.known().await;
    assert!(after.iter().zip(&before).all(|(after, before)| {
        after.by == before.by && after.revision.lineage() > before.revision.lineage()
    }));
    let refused = code(world.try_hold(user(2), &[5], "k").await);
    assert_eq!(refused, ErrorCode::SeatNotAvailable);
    // And they are released there, for good.
    assert_eq!(world.unblock(&[0, 1, 5]).await, 3);
    assert_eq!(world.rebuild().await.blocked, 0);
    assert_eq!(world.there().await, [] as [usize; 0]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn what_a_dead_process_left_between_store_and_database_is_as_the_store_said(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block(opener(), &[0, 1]).await.expect("blocks");
    world.block_at_store_only(&[2]).await;
    world.unblock_at_store_only(&[1]).await;
    assert_eq!(world.here().await, [0, 1]);
    // Whoever is at it may yet be.
    world.app.compare_house_seats().await.expect("compares");
    assert_eq!((world.here().await, world.checks().await), (vec![0, 1], 1));
    world.compare_later().await;
    assert_eq!((world.here().await, world.checks().await), (vec![0, 2], 0));
    assert_eq!(world.known().await[1].by, None, "nobody knows");
    assert_eq!(world.rebuild().await.blocked, 2);
    assert_eq!(world.there().await, [0, 2]);
}

#[sqlx::test(migrations = false)]
async fn a_retry_writes_what_the_first_try_did_at_the_store(pool: PgPool) {
    let world = World::new(pool).await;
    world.block_at_store_only(&[3]).await;
    assert_eq!(world.block(opener(), &[3]).await.expect("blocks"), 0);
    assert_eq!(world.here().await, [3]);
    assert_eq!(world.known().await[0].by, Some(staff()));
    world.unblock_at_store_only(&[3]).await;
    assert_eq!(world.unblock(&[3]).await, 0);
    assert_eq!(world.here().await, [] as [usize; 0]);
}

#[sqlx::test(migrations = false)]
async fn the_stores_later_word_counts_however_late_the_earlier_is_written(pool: PgPool) {
    let world = World::new(pool).await;
    let blocked = world.block_at_store_only(&[0, 1]).await;
    let released = world.unblock_at_store_only(&[0]).await;
    assert!(released > blocked);
    world.write(&[0], false, released).await;
    world.write(&[0, 1], true, blocked).await;
    assert_eq!(world.here().await, [1]);
    let again = world.block_at_store_only(&[0]).await;
    world.write(&[0], true, again).await;
    world.write(&[0], false, released).await;
    assert_eq!(world.here().await, [0, 1]);
}

#[sqlx::test(migrations = false)]
async fn organisers_who_block_and_release_at_once_leave_store_and_database_alike(pool: PgPool) {
    let world = World::new(pool).await;
    for round in 0..6 {
        let (first, second) = ([round, round + 1, round + 2], [round + 1, round + 3]);
        let world = &world;
        join_all((0..6).map(|n| async move {
            let seats: &[usize] = if n < 3 { &first } else { &second };
            match n % 2 {
                0 => drop(world.block(opener(), seats).await.expect("blocks")),
                _ => drop(world.unblock(seats).await),
            }
        }))
        .await;
        assert_eq!(world.here().await, world.there().await, "round {round}");
    }
}

#[sqlx::test(migrations = false)]
async fn seats_that_the_release_before_blocked_are_taken_over(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block_at_store_only(&[4, 6]).await;
    // As the migration leaves every show.
    sqlx::query!(
        "INSERT INTO booking.house_checks (show_id, due_at, marked_at)
         SELECT show_id, now(), '-infinity' FROM booking.shows"
    )
    .execute(&world.pool)
    .await
    .expect("writes");
    world.app.compare_house_seats().await.expect("compares");
    assert_eq!((world.here().await, world.checks().await), (vec![4, 6], 0));
    assert_eq!(world.rebuild().await.blocked, 2);
}

/// By the release before, while nobody followed the store.
#[sqlx::test(migrations = false)]
async fn seats_that_were_blocked_before_the_watch_began_are_taken_over(pool: PgPool) {
    const OPEN: &str = "SELECT count(*) FROM booking.house_checks";
    let mut world = World::new(pool).await;
    world.block_at_store_only(&[4, 6]).await;
    assert_eq!(world.checks().await, 0);
    let end = CancellationToken::new();
    let following = tokio::spawn(holds::follow(world.app.clone(), end.clone()));
    world.until(1, OPEN).await;
    // At once, and once is enough: it is later than what may have been missed.
    world.app.compare_house_seats().await.expect("compares");
    assert_eq!((world.here().await, world.checks().await), (vec![4, 6], 0));
    // What it hears of, and can't mark, is as good as missed.
    world
        .run(
            "CREATE SEQUENCE booking.tries;
             CREATE FUNCTION booking.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM nextval('booking.tries'); RAISE 'refused'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON booking.house_checks
             FOR EACH ROW EXECUTE FUNCTION booking.refuse()",
        )
        .await;
    world.block_at_store_only(&[8]).await;
    let tries = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM booking.tries";
    world.until(2, tries).await;
    assert_eq!(world.checks().await, 0);
    world
        .run("DROP TRIGGER refuse ON booking.house_checks")
        .await;
    world.until(1, OPEN).await;
    world.app.compare_house_seats().await.expect("compares");
    assert_eq!(world.here().await, [4, 6, 8]);
    end.cancel();
    following.await.expect("ends");
    assert_eq!(world.rebuild().await.blocked, 3);
}

/// A comparison that was under way then may have read the store before.
#[sqlx::test(migrations = false)]
async fn shows_that_are_marked_during_a_comparison_are_compared_again(pool: PgPool) {
    let world = World::new(pool).await;
    house_seats::mark_all(&world.pool).await.expect("marks");
    let due = house_seats::take_due(&world.pool, 1).await.expect("takes");
    world.app.mark_all_house_seats().await.expect("marks");
    house_seats::compared(&world.pool, due[0])
        .await
        .expect("writes");
    assert_eq!(world.checks().await, 1);
    world.compare_later().await;
    assert_eq!(world.checks().await, 0);
    // What is over isn't compared for nothing.
    world
        .run("UPDATE booking.shows SET starts_at = now() - interval '2 days'")
        .await;
    world.app.mark_all_house_seats().await.expect("marks");
    assert_eq!(world.checks().await, 0);
}

#[sqlx::test(migrations = false)]
async fn comparison_is_the_later_the_longer_it_fails(pool: PgPool) {
    let world = World::new(pool).await;
    world.block(opener(), &[0]).await.expect("blocks");
    assert_eq!(world.late_for().await, Some(Duration::ZERO));
    world
        .run(
            "UPDATE booking.house_checks
             SET due_at = now() - interval '1 hour', late_from = now() - interval '1 hour'",
        )
        .await;
    let hour = Duration::from_secs(3_600);
    let due = house_seats::take_due(&world.pool, 9).await.expect("takes");
    assert_eq!(due.len(), 1);
    // Nothing came of it, and somebody changes more.
    world.block(opener(), &[1]).await.expect("blocks");
    assert!(world.late_for().await.expect("is due") >= hour);
    house_seats::compared(&world.pool, due[0])
        .await
        .expect("writes");
    assert_eq!(world.late_for().await, Some(Duration::ZERO));
}

#[sqlx::test(migrations = false)]
async fn show_that_can_not_be_compared_keeps_no_others_from_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block_at_store_only(&[7]).await;
    world
        .run(
            "CREATE FUNCTION booking.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE 'refused' USING ERRCODE = '40001'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON booking.house_seats
             FOR EACH ROW WHEN (NEW.seat_no = 7) EXECUTE FUNCTION booking.refuse();",
        )
        .await;
    let mut others = Vec::new();
    for _ in 0..3 {
        world.open_another().await;
        world.block_at_store_only(&[6]).await;
        others.push(world.show_id);
    }
    world.app.mark_all_house_seats().await.expect("marks");
    let compared = world.app.compare_house_seats().await;
    assert!(compared.is_err(), "the round says so");
    for show_id in others {
        world.show_id = show_id;
        assert_eq!(world.here().await, [6]);
    }
    assert_eq!(world.checks().await, 1, "it is due again");
}

/// By an organiser who asked as the store was being lost, and whose answer is lost, too.
#[sqlx::test(migrations = false)]
async fn house_seats_that_are_released_during_a_rebuild_keep_no_show_from_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block(opener(), &[0, 1]).await.expect("blocks");
    world.lose_store().await;
    let mut at_work = world.pool.begin().await.expect("begins");
    sqlx::query("SELECT FROM booking.house_seats FOR UPDATE")
        .execute(&mut *at_work)
        .await
        .expect("locks");
    let released = async {
        // It has blocked them, and is about to write that.
        world.lock_waits(1).await;
        world.unblock_at_store_only(&[0]).await;
        at_work.rollback().await.expect("ends");
    };
    let (rebuilt, ()) = join(if_pending(&world.app), released).await;
    let report = rebuilt.expect("rebuilds").expect("it is pending");
    assert_eq!((report.blocked, report.failed), (1, 0));
    world.compare_later().await;
    assert_eq!(
        (world.here().await, world.there().await),
        (vec![1], vec![1])
    );
}

#[sqlx::test(migrations = false)]
async fn nothing_sold_is_blocked_by_a_rebuild_whatever_was_left_behind(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block(opener(), &[0, 1, 2]).await.expect("blocks");
    // Released, sold, paid for, or given back; and nobody wrote that they were released.
    world.unblock_at_store_only(&[0, 1, 2]).await;
    let sold = world.buy(user(1), &[0]).await;
    let paying = world.book(user(2), &[1]).await;
    let given_back = world.buy(user(3), &[2]).await;
    let cancelled = world.app.cancel_booking(user(3), given_back, None).await;
    cancelled.expect("cancels");
    let report = world.rebuild().await;
    assert_eq!(
        (report.sold, report.held, report.blocked, report.failed),
        (1, 1, 0, 0)
    );
    world.tell(paying, paid(paying, 1, 1)).await;
    assert_eq!(world.state(paying).await, BookingState::Confirmed);
    assert_eq!(world.state(sold).await, BookingState::Confirmed);
    world.buy(user(4), &[2]).await;
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn a_seat_that_was_blocked_when_its_hold_was_over_stays_the_houses(pool: PgPool) {
    let mut world = World::new(pool).await;
    let over = world.book(user(1), &[3, 4]).await;
    // The store let go of it, and nobody wrote that.
    world.die_after_asking(over, CANCEL).await;
    assert_eq!(world.state(over).await, BookingState::PendingPayment);
    world.block(opener(), &[3]).await.expect("blocks");
    let report = world.rebuild().await;
    assert_eq!((report.held, report.blocked, report.failed), (0, 1, 0));
    assert_eq!(world.there().await, [3]);
    world.recover().await;
    assert_eq!(world.state(over).await, BookingState::Cancelled);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn a_store_that_is_being_replaced_is_told_nothing_and_its_word_is_not_written(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block(opener(), &[0]).await.expect("blocks");
    // The lineage is raised while the old store is there yet.
    crate::begin_rebuild(&world.pool).await.expect("raises");
    let refused = code(world.block(opener(), &[1]).await);
    assert_eq!(refused, ErrorCode::Unavailable);
    assert_eq!(world.there().await, [0]);
    // It was asked just before.
    sqlx::query!("UPDATE booking.lineage SET rebuilding = false")
        .execute(&world.pool)
        .await
        .expect("writes");
    let refused = code(world.block(opener(), &[2]).await);
    assert_eq!(refused, ErrorCode::Unavailable);
    assert_eq!(
        (world.there().await, world.here().await),
        (vec![0, 2], vec![0])
    );
    // Nor by a comparison.
    sqlx::query!("UPDATE booking.house_checks SET due_at = now()")
        .execute(&world.pool)
        .await
        .expect("writes");
    world
        .app
        .compare_house_seats()
        .await
        .expect_err("another life");
    assert_eq!(world.here().await, [0]);
    assert_eq!(world.rebuild().await.blocked, 1);
    assert_eq!(world.there().await, [0]);
}

#[sqlx::test(migrations = false)]
async fn house_seats_of_shows_in_every_state_are_blocked_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let mut shows = Vec::new();
    for state in [ShowState::Paused, ShowState::Closed, ShowState::Cancelled] {
        world.open_another().await;
        world
            .block(opener(), &[0, SEATS - 1])
            .await
            .expect("blocks");
        let change = world
            .app
            .change_show(opener(), world.show_id, state, deadline());
        assert_eq!(change.await.expect("changes"), state);
        shows.push(world.show_id);
    }
    let report = world.rebuild().await;
    assert_eq!((report.shows, report.blocked, report.failed), (4, 6, 0));
    for show_id in shows {
        world.show_id = show_id;
        assert_eq!(world.there().await, [0, SEATS - 1]);
        assert_eq!(labels(&world.here().await), labels(&[0, SEATS - 1]));
    }
}

#[sqlx::test(migrations = false)]
async fn a_rebuild_that_was_broken_off_blocks_them_all_the_same(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block(opener(), &[0, 1]).await.expect("blocks");
    let paused = world
        .app
        .change_show(opener(), world.show_id, ShowState::Paused, deadline());
    paused.await.expect("pauses");
    assert_eq!(world.rebuild().await.blocked, 2);
    for _ in 0..2 {
        sqlx::query!("UPDATE booking.lineage SET rebuilding = true")
            .execute(&world.pool)
            .await
            .expect("writes");
        let again = if_pending(&world.app).await.expect("rebuilds");
        let again = again.expect("it is pending");
        assert_eq!((again.blocked, again.failed), (2, 0));
    }
    assert_eq!(world.there().await, [0, 1]);
    assert_eq!(world.unblock(&[0]).await, 1);
    assert_eq!(world.here().await, [1]);
}

#[sqlx::test(migrations = false)]
async fn house_seats_that_an_older_release_did_not_load_are_left_to_people(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.block(opener(), &[0, 1]).await.expect("blocks");
    world.rebuild().await;
    // As a rebuild that knows nothing of them leaves it: they are of the life before, and not in this one.
    world.unblock_at_store_only(&[0, 1]).await;
    sqlx::query!(
        "UPDATE booking.house_seats SET revision = revision % (1::bigint << 55) + (1::bigint << 55)"
    )
    .execute(&world.pool)
    .await
    .expect("writes");
    world.compare_later().await;
    assert_eq!(
        (world.here().await, world.there().await),
        (vec![0, 1], vec![])
    );
    assert_eq!(world.known().await[0].by, Some(staff()));
    // Who asks for either again has it so.
    world.block(opener(), &[0]).await.expect("blocks");
    world.unblock(&[1]).await;
    assert_eq!(
        (world.here().await, world.there().await),
        (vec![0], vec![0])
    );
}
