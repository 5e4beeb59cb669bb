//! The service as a whole: over a real port, with its relay, its consumer and its sweep.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use holdfast_eventlog::{NewEvent, Outbox};
use holdfast_mesh::{Context, Failure, client::Channel, config::Secret};
use holdfast_proto::booking::v1::{
    GetAvailabilityRequest, ListBookingsRequest, OpenInventoryRequest, RefundShowRequest,
    booking_service_client::BookingServiceClient, inventory_service_client::InventoryServiceClient,
};
use holdfast_types::{BookingState, ErrorCode};
use lockstore_client::{ChangeShow, ReleaseHold, ShowState};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use super::world::{LIMIT, World, paid, user};
use crate::Config;

const POLL: Duration = Duration::from_millis(20);

/// A database as the tests' own URL with another name.
async fn url_of(pool: &PgPool) -> Secret {
    let name = sqlx::query_scalar!("SELECT current_database()::text")
        .fetch_one(pool)
        .await
        .expect("reads")
        .expect("has a name");
    let url = std::env::var("DATABASE_URL").expect("tests against Postgres need it");
    let (server, _) = url.rsplit_once('/').expect("a database in it");
    Secret::new(format!("{server}/{name}"))
}

async fn serve(world: &World) -> (Context, Channel) {
    let (context, channel, _) = serve_until(world).await;
    (context, channel)
}

/// With what serving comes to.
async fn serve_until(world: &World) -> (Context, Channel, JoinHandle<Result<(), crate::Error>>) {
    serve_sweeping(world, 50).await
}

async fn serve_sweeping(
    world: &World,
    sweep_period_ms: u64,
) -> (Context, Channel, JoinHandle<Result<(), crate::Error>>) {
    holdfast_eventlog::migrate(&world.pool)
        .await
        .expect("migrates");
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        database_url: url_of(&world.pool).await,
        database_connections_max: crate::DATABASE_CONNECTIONS_MIN,
        identity: "http://127.0.0.1:1".to_owned(),
        lockstore: vec![world.lockstore.clone()],
        sweep_period_ms,
        ..Config::default()
    };
    let context = Context::new();
    let served = tokio::spawn(crate::serve(config, context.clone()));
    let address = tokio::time::timeout(LIMIT, context.readiness.address("booking"));
    let address = address.await.expect("listens");
    let channel = holdfast_mesh::client::channel(&format!("http://{address}")).expect("a channel");
    (context, channel, served)
}

async fn until(world: &World, id: holdfast_types::BookingId, state: BookingState) {
    let begun = Instant::now();
    while world.state(id).await != state {
        assert!(begun.elapsed() < LIMIT, "never becomes {state}");
        tokio::time::sleep(POLL).await;
    }
}

#[sqlx::test(migrations = false)]
async fn payments_come_in_by_the_stream_and_overdue_bookings_end(pool: PgPool) {
    let world = World::new(pool).await;
    let unpaid = world.book(user(1), &[0]).await;
    let bought = world.book(user(2), &[1]).await;
    world.run_out(unpaid).await;
    let (context, _) = serve(&world).await;

    // The tests have no payment-svc; its event takes the way through an outbox that is there.
    let (event_type, payload) = paid(bought, 1, 1);
    let event = NewEvent {
        topic: "payment",
        key: bought.to_string(),
        event_type,
        payload,
    };
    let mut connection = world.pool.acquire().await.expect("a connection");
    Outbox::new("booking")
        .append(&mut connection, event)
        .await
        .expect("appends");
    drop(connection);

    until(&world, bought, BookingState::Confirmed).await;
    until(&world, unpaid, BookingState::Expired).await;
    world.audit().await;
    context.shutdown.cancel();
}

#[sqlx::test(migrations = false)]
async fn bookings_end_with_their_holds_before_any_sweep(pool: PgPool) {
    const NEVER_MS: u64 = 24 * 60 * 60 * 1_000;
    let world = World::new(pool).await;
    let store = lockstore_client::Client::connect(vec![world.lockstore.clone()]);
    let (context, ..) = serve_sweeping(&world, NEVER_MS).await;
    // Once it follows the store. What happened before that is the sweep's.
    let mut follows = false;
    for seat in 0..6 {
        let booking_id = world.book(user(1), &[seat]).await;
        let booking = world.view(booking_id).await.booking;
        let release = ReleaseHold {
            show_id: booking.show_id,
            holder: booking.user_id,
            hold_id: booking.hold.hold_id,
            fence: booking.hold.fence,
        };
        store.release(release, LIMIT).await.expect("released");
        let ended = until(&world, booking_id, BookingState::Expired);
        follows = tokio::time::timeout(LIMIT / 6, ended).await.is_ok();
        if follows {
            break;
        }
    }
    assert!(follows, "it doesn't follow the store");
    let unpaid = world.book(user(2), &[7, 8]).await;
    let bought = world.buy(user(3), &[9]).await;
    let call_off = ChangeShow {
        show_id: world.show_id,
        state: Some(ShowState::Cancelled),
        rules: None,
    };
    store
        .change_show(call_off, LIMIT)
        .await
        .expect("called off");
    until(&world, unpaid, BookingState::Expired).await;
    assert_eq!(world.state(bought).await, BookingState::Confirmed);
    world.audit().await;
    context.shutdown.cancel();
}

#[sqlx::test(migrations = false)]
async fn service_whose_background_loop_panics_ends_with_an_error(pool: PgPool) {
    let world = World::new(pool).await;
    let (context, _, served) = serve_until(&world).await;
    // A count that no database gives: the relay, which makes room after a move that failed, calls it a defect.
    sqlx::raw_sql(
        "CREATE OR REPLACE FUNCTION eventlog.add_partitions()
         RETURNS integer LANGUAGE sql AS 'SELECT -1';
         ALTER TABLE booking.outbox RENAME TO gone",
    )
    .execute(&world.pool)
    .await
    .expect("replaced");
    let served = tokio::time::timeout(LIMIT, served).await.expect("ends");
    let error = served.expect("no panic").expect_err("not a clean end");
    assert!(matches!(error, crate::Error::LoopEnded(Some(_))), "{error}");
    assert!(!context.shutdown.is_cancelled(), "nobody asked for it");
}

#[sqlx::test(migrations = false)]
async fn anyone_sees_availability_and_nobody_without_a_token_anything_else(pool: PgPool) {
    let world = World::new(pool).await;
    let (context, channel) = serve(&world).await;
    let mut bookings = BookingServiceClient::new(channel.clone());
    let show_id = world.show_id.to_bytes().to_vec();
    let request = GetAvailabilityRequest {
        show_id: show_id.clone(),
        section: "LEFT".to_owned(),
    };
    let found = bookings
        .get_availability(request)
        .await
        .expect("answers")
        .into_inner();
    assert_eq!(
        (found.show_state.as_str(), found.seats.len()),
        ("ON_SALE", 5)
    );

    let unknown = GetAvailabilityRequest {
        show_id: vec![9; 16],
        section: String::new(),
    };
    let refused = bookings
        .get_availability(unknown)
        .await
        .expect_err("unknown");
    assert_eq!(
        Failure::from_status(&refused).code(),
        ErrorCode::ShowNotFound
    );
    let malformed = GetAvailabilityRequest {
        show_id: vec![9],
        section: String::new(),
    };
    let refused = bookings
        .get_availability(malformed)
        .await
        .expect_err("malformed");
    assert_eq!(Failure::from_status(&refused).fields()[0].field, "show_id");

    let refused = bookings.list_bookings(ListBookingsRequest::default()).await;
    let refused = Failure::from_status(&refused.expect_err("no token"));
    assert_eq!(refused.code(), ErrorCode::Unauthorized);
    let mut inventory = InventoryServiceClient::new(channel);
    let open = OpenInventoryRequest {
        show_id,
        ..OpenInventoryRequest::default()
    };
    let refused = inventory.open_inventory(open).await.expect_err("no token");
    assert_eq!(
        Failure::from_status(&refused).code(),
        ErrorCode::Unauthorized
    );
    let refused = inventory.refund_show(RefundShowRequest::default()).await;
    let refused = Failure::from_status(&refused.expect_err("no token"));
    assert_eq!(refused.code(), ErrorCode::Unauthorized);
    context.shutdown.cancel();
}
