//! The whole service: it migrates, serves, and ends when it is told to.

use std::time::Duration;

use catalog_svc::{Config, Error, serve};
use holdfast_mesh as mesh;
use holdfast_proto::catalog::v1::{self as wire, catalog_service_client::CatalogServiceClient};
use holdfast_types::ErrorCode;
use sqlx::{ConnectOptions, PgPool};

use crate::world::{answer, assert_refused, token, venue, with};

/// How long starting and ending may take.
const STEP_MAX: Duration = Duration::from_secs(20);

fn config(pool: &PgPool) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database_url: mesh::config::Secret::new(pool.connect_options().to_url_lossy()),
        database_connections_max: 3,
        // Nobody listens there.
        identity: "http://127.0.0.1:1".to_owned(),
        booking: "http://127.0.0.1:1".to_owned(),
        ..Config::default()
    }
}

#[sqlx::test(migrations = false)]
async fn it_migrates_serves_without_its_peers_and_ends_at_shutdown(pool: PgPool) {
    let context = mesh::Context::new();
    let serving = tokio::spawn(serve(config(&pool), context.clone()));
    let address = context.readiness.address(catalog_svc::NAME);
    let address = tokio::time::timeout(STEP_MAX, address).await.unwrap();
    let channel = mesh::client::channel(&format!("http://{address}")).unwrap();
    let mut client = CatalogServiceClient::new(channel);
    let listed = client
        .list_events(wire::ListEventsRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.into_inner(), wire::ListEventsResponse::default());
    // Nobody can say whether the token is good.
    let request = wire::CreateVenueRequest {
        venue: Some(venue()),
        ..Default::default()
    };
    let refused = answer(
        client
            .create_venue(with(&token("organiser"), request))
            .await,
    );
    assert_refused(refused, ErrorCode::Unavailable);

    context.shutdown.cancel();
    tokio::time::timeout(STEP_MAX, serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[sqlx::test(migrations = false)]
async fn what_is_in_its_outbox_gets_into_the_stream(pool: PgPool) {
    holdfast_eventlog::migrate(&pool).await.unwrap();
    let context = mesh::Context::new();
    let serving = tokio::spawn(serve(config(&pool), context.clone()));
    let address = context.readiness.address(catalog_svc::NAME);
    tokio::time::timeout(STEP_MAX, address).await.unwrap();
    sqlx::query(
        "INSERT INTO catalog.outbox (id, topic, key, event_type, payload)
         VALUES (gen_random_uuid(), 'catalog', 'k', 'ShowChanged', 'x')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let moved = async {
        let sql = "SELECT count(*) FROM eventlog.events WHERE producer = 'catalog' AND key = 'k'";
        while sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&pool)
            .await
            .unwrap()
            == 0
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(STEP_MAX, moved).await.unwrap();
    context.shutdown.cancel();
    tokio::time::timeout(STEP_MAX, serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[sqlx::test(migrations = false)]
async fn settings_out_of_bounds_are_refused_by_name(pool: PgPool) {
    let missing = Config {
        database_url: "".into(),
        ..config(&pool)
    };
    let garbage = Config {
        database_url: "mysql:x".into(),
        ..config(&pool)
    };
    let few = Config {
        database_connections_max: 1,
        ..config(&pool)
    };
    let peer = Config {
        booking: "nowhere".to_owned(),
        ..config(&pool)
    };
    let open = Config {
        listen: ([0, 0, 0, 0], 0).into(),
        ..config(&pool)
    };
    let cases = [
        (missing, "database_url"),
        (garbage, "database_url"),
        (few, "database_connections_max"),
        (peer, "booking"),
        (open, "listen"),
    ];
    for (config, expected) in cases {
        assert_eq!(config.check(false).expect_err("is refused").0, expected);
        match serve(config, mesh::Context::new()).await {
            Err(Error::Config { key, .. }) => assert_eq!(key, expected),
            other => panic!("{other:?}"),
        }
    }
}
