//! When a sale begins and ends.

use chrono::{DateTime, TimeDelta, Utc};
use holdfast_eventlog::{Event, Handler};
use holdfast_proto::events::v1;
use holdfast_types::{BookingState, DurationMs, ErrorCode, ShowId};
use prost::Message;
use sqlx::PgPool;
use uuid::Uuid;

use super::world::{LIMIT, World, app, code, deadline, opener, opening, paid, user};
use crate::{app::App, store::shows::SaleTimes, tasks::sales::SaleTimesTold};

fn from_now(minutes: i64) -> Option<DateTime<Utc>> {
    Some(Utc::now() + TimeDelta::minutes(minutes))
}

fn told(show_id: ShowId, sale: SaleTimes) -> Event {
    let ms = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
    let message = v1::ShowSaleChanged {
        show_id: show_id.to_bytes().to_vec(),
        sale_starts_at_ms: ms(sale.starts_at),
        sale_ends_at_ms: ms(sale.ends_at),
        sale_version: u32::try_from(sale.version).expect("small"),
    };
    Event {
        seq: 1,
        id: Uuid::now_v7(),
        producer: "catalog".to_owned(),
        topic: "sale".to_owned(),
        key: show_id.to_string(),
        event_type: "ShowSaleChanged".to_owned(),
        payload: message.encode_to_vec(),
        occurred_at: Utc::now(),
        traceparent: None,
    }
}

async fn tell(world: &World, sale: SaleTimes) {
    let told = told(world.show_id, sale);
    let handler = SaleTimesTold {
        app: world.app.clone(),
    };
    handler.handle(&told).await.expect("handled");
}

fn sale(version: i32, starts: Option<i64>, ends: Option<i64>) -> SaleTimes {
    SaleTimes {
        starts_at: starts.and_then(from_now),
        ends_at: ends.and_then(from_now),
        version,
    }
}

/// Whether nothing new may be held, as that instance knows it.
async fn refuses(app: &App, show_id: ShowId) -> bool {
    let inventory = app.inventories.get(show_id).await.expect("is there");
    inventory.refuses_holds().is_some()
}

#[sqlx::test(migrations = false)]
async fn nothing_new_is_held_outside_of_the_sale_and_what_is_held_is_bought(pool: PgPool) {
    let world = World::new(pool).await;
    let (first, _) = world.try_hold(user(1), &[0, 1], "k").await.expect("holds");
    let booking_id = world.book(user(2), &[2]).await;

    let yet_to_begin = sale(1, Some(30), Some(60));
    tell(&world, yet_to_begin).await;
    let refused = world
        .try_hold(user(3), &[5], "k")
        .await
        .expect_err("too early");
    assert_eq!(refused.code(), ErrorCode::ShowNotOnSale);
    let at = |key: &str| {
        let text = refused.metadata()[key].as_str();
        DateTime::parse_from_rfc3339(text)
            .expect("a time")
            .timestamp_millis()
    };
    let ms = |at: Option<DateTime<Utc>>| at.expect("bounded").timestamp_millis();
    assert_eq!(at("sale_starts_at"), ms(yet_to_begin.starts_at));
    assert_eq!(at("sale_ends_at"), ms(yet_to_begin.ends_at));
    assert!(refused.message().contains("begins at"), "{refused}");

    tell(&world, sale(2, Some(-60), Some(-30))).await;
    let refused = world
        .try_hold(user(3), &[5], "k")
        .await
        .expect_err("too late");
    assert_eq!(refused.code(), ErrorCode::ShowNotOnSale);
    assert!(refused.message().contains("ended at"), "{refused}");

    // Who holds seats is told so, buys them, and late money finds them, too.
    let (again, replayed) = world
        .try_hold(user(1), &[0, 1], "k")
        .await
        .expect("replays");
    assert!(replayed && again.token == first.token);
    let other = code(world.try_hold(user(1), &[4], "k").await);
    assert_eq!(other, ErrorCode::IdempotencyKeyReused);
    let hold_id = first.token.to_string();
    world
        .app
        .extend_hold(user(1), &hold_id, deadline())
        .await
        .expect("goes on");
    world.try_book(user(1), &hold_id, "b").await.expect("books");
    world.expire(booking_id).await;
    world.tell(booking_id, paid(booking_id, 1, 1)).await;
    assert_eq!(world.state(booking_id).await, BookingState::Confirmed);

    tell(&world, sale(3, Some(-60), None)).await;
    world.try_hold(user(3), &[5], "k").await.expect("is open");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn later_times_stand_whatever_is_told_late_and_every_instance_knows_them(pool: PgPool) {
    let world = World::new(pool).await;
    let other = app(&world.pool, &world.lockstore, LIMIT).await;
    other.follow_sales().await.expect("looks");
    for app in [&world.app, &other] {
        app.inventories.get(world.show_id).await.expect("is read");
    }
    tell(&world, sale(2, Some(30), None)).await;
    assert!(refuses(&world.app, world.show_id).await);
    assert!(!refuses(&other, world.show_id).await);
    other.follow_sales().await.expect("looks");
    assert!(refuses(&other, world.show_id).await);

    // Told late, and again.
    for version in [1, 2] {
        tell(&world, sale(version, None, None)).await;
        other.follow_sales().await.expect("looks");
        assert!(
            refuses(&world.app, world.show_id).await && refuses(&other, world.show_id).await,
            "{version}"
        );
    }
    tell(&world, sale(3, None, None)).await;
    other.follow_sales().await.expect("looks");
    assert!(!refuses(&world.app, world.show_id).await && !refuses(&other, world.show_id).await);
    // After a restart, too.
    tell(&world, sale(4, None, Some(-1))).await;
    let restarted = app(&world.pool, &world.lockstore, LIMIT).await;
    assert!(refuses(&restarted, world.show_id).await);

    // Of a show that isn't there nothing is kept; it is opened with the latest, also when it is opened again.
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    let unknown = SaleTimesTold {
        app: world.app.clone(),
    };
    unknown
        .handle(&told(show_id, sale(7, None, None)))
        .await
        .expect("handled");
    let mut request = opening(show_id, DurationMs::from_secs(600));
    request.sale = sale(1, Some(30), None);
    for later in [sale(1, None, None), sale(2, Some(-30), None)] {
        let open = world
            .app
            .open_inventory(opener(), request.clone(), deadline());
        open.await.expect("opens");
        request.sale = later;
    }
    let found = crate::store::shows::find(&world.pool, show_id)
        .await
        .expect("reads");
    assert_eq!(found.expect("is there").sale.version, 1);
    let open = world
        .app
        .open_inventory(opener(), request.clone(), deadline());
    open.await.expect("opens");
    let found = crate::store::shows::find(&world.pool, show_id)
        .await
        .expect("reads");
    let kept = found.expect("is there").sale;
    assert_eq!(kept.version, 2);
}
