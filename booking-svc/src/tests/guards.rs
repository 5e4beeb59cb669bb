//! What stands between store and database when they disagree.

use holdfast_types::{BookingState, ErrorCode, Lineage, SeatState};
use sqlx::PgPool;

use super::world::{CANCEL, World, code, paid, user};

#[sqlx::test(migrations = false)]
async fn answers_of_another_lineage_are_not_built_on(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    let hold = world.hold(user(2), &[1]).await;
    let raised = crate::raise_lineage(&world.pool).await.expect("raises");
    assert_eq!(
        raised,
        Some(Lineage(2)),
        "the first booking adopted the cluster's"
    );
    assert_eq!(
        code(world.try_book(user(2), &hold, "k").await),
        ErrorCode::Unavailable
    );
    let outage = world
        .app
        .drive(id, CANCEL, crate::app::cancel::wall_time())
        .await;
    assert_eq!(code(outage), ErrorCode::Unavailable);
    assert_eq!(world.state(id).await, BookingState::PendingPayment);

    sqlx::query!("UPDATE booking.lineage SET lineage = 1")
        .execute(&world.pool)
        .await
        .expect("writes");
    world.try_book(user(2), &hold, "k").await.expect("books");
    world.recover().await;
    assert_eq!(world.state(id).await, BookingState::Cancelled);
}

#[sqlx::test(migrations = false)]
async fn what_decides_on_a_clusters_founding_can_be_read(pool: PgPool) {
    crate::migrate(&pool).await.expect("migrates");
    assert_eq!(crate::current_lineage(&pool).await.expect("reads"), None);
    assert!(!crate::has_shows(&pool).await.expect("reads"));
    let raised = crate::raise_lineage(&pool).await.expect("raises");
    assert_eq!(raised, Some(Lineage(1)));
    let world = World::new(pool).await;
    let current = crate::current_lineage(&world.pool).await.expect("reads");
    assert_eq!(current, Some(Lineage(1)));
    assert!(crate::has_shows(&world.pool).await.expect("reads"));
}

#[sqlx::test(migrations = false)]
async fn sale_that_the_database_can_not_follow_is_returned_and_refunded(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    sqlx::query!("UPDATE booking.seats SET fence = fence + 1 WHERE seat_no = 1 AND state = 'HELD'")
        .execute(&world.pool)
        .await
        .expect("writes");
    world.tell(id, paid(id, 1, 2)).await;
    let view = world.view(id).await;
    assert_eq!(
        (view.booking.state, view.refund_status()),
        (BookingState::Failed, "PENDING")
    );
    assert_eq!(world.seats().await[..2], [SeatState::Available; 2]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn hold_of_seats_with_a_newer_fence_is_not_booked(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0, 1]).await;
    sqlx::query!("UPDATE booking.seats SET fence = 9223372036854775807 WHERE seat_no = 0")
        .execute(&world.pool)
        .await
        .expect("writes");
    assert_eq!(
        code(world.try_book(user(1), &hold, "k").await),
        ErrorCode::HoldExpired
    );
    let rows = sqlx::query_scalar!("SELECT count(*) FROM booking.bookings");
    assert_eq!(
        rows.fetch_one(&world.pool).await.expect("reads"),
        Some(0),
        "all of it rolled back"
    );
}

#[sqlx::test(migrations = false)]
async fn audit_finds_what_is_planted(pool: PgPool) {
    let world = World::new(pool).await;
    let first = world.buy(user(1), &[0]).await;
    let second = world.buy(user(2), &[1]).await;
    let third = world.buy(user(3), &[2]).await;
    world.audit().await;
    let plant = "UPDATE booking.tickets SET state = 'VOID' WHERE seat_no = 0;
         UPDATE booking.booking_payments SET fate = 'PENDING' WHERE position = 0 AND booking_id =
             (SELECT booking_id FROM booking.seats WHERE seat_no = 1 AND state = 'SOLD');
         UPDATE booking.bookings SET state = 'FAILED' WHERE seat_nos = '{2}'";
    sqlx::raw_sql(plant)
        .execute(&world.pool)
        .await
        .expect("writes");
    let findings = crate::audit(&world.pool).await.expect("audits");
    let mut found: Vec<_> = findings
        .iter()
        .filter_map(|f| Some((f.booking_id?, f.invariant)))
        .collect();
    found.sort_unstable();
    found.dedup();
    let mut expected = vec![
        (first, "BK-3"),
        (second, "BK-2"),
        (third, "BK-2"),
        (third, "BK-3"),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected, "{findings:?}");
}
