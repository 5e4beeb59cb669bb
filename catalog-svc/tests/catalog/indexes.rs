//! Lists of shows are read from an index in its order, whatever is asked for; and what the indexes
//! hold follows the events and venues that it was copied from.

use holdfast_proto::catalog::v1 as wire;
use sqlx::PgPool;

use crate::{
    import::{batch, show},
    world::{World, answer, token, with},
};

/// Shows of one batch; enough that reading them all would be dearer than an index.
const SHOWS: usize = 1_500;
/// No multiple of the categories' number, so that every town has every category.
const TOWNS: usize = 31;
const CATEGORIES: [&str; 5] = ["sports", "music", "film", "family", "arts-theatre"];

/// Shows by the minute, in each town in turn, in each category in turn.
fn season() -> wire::UpsertCatalogueRequest {
    let one = batch();
    let towns = (0..TOWNS).map(|n| {
        let mut town = one.venues[0].clone();
        town.external_id = format!("v{n}");
        let place = town.venue.as_mut().unwrap();
        place.city = format!("Town {n}");
        town
    });
    let events = CATEGORIES.iter().map(|category| {
        let mut event = one.events[0].clone();
        event.external_id = format!("e-{category}");
        event.event.as_mut().unwrap().category = (*category).to_owned();
        event
    });
    let shows = (0..SHOWS).map(|n| wire::UpsertShow {
        starts_at_ms: show("s").starts_at_ms + n as i64 * 60_000,
        venue_external_id: format!("v{}", n % TOWNS),
        event_external_id: format!("e-{}", CATEGORIES[n % CATEGORIES.len()]),
        ..show(&format!("s{n}"))
    });
    wire::UpsertCatalogueRequest {
        venues: towns.collect(),
        events: events.collect(),
        shows: shows.collect(),
        ..one
    }
}

fn statement(file: &str) -> String {
    std::fs::read_to_string(format!("{}/src/store/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The statement of a list, from now on.
fn list(file: &str, filters: &[&str]) -> String {
    let sql = statement(file)
        .replace("$1", "now()")
        .replace("$2::uuid", "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid")
        .replace("$3", "'2200-01-01'::timestamptz")
        .replace("$4", "20");
    (5..).zip(filters).fold(sql, |sql, (no, filter)| {
        sql.replace(&format!("${no}"), &format!("'{filter}'"))
    })
}

/// What Postgres would do, as text. Sorting a few rows is cheaper than anything, so it
/// is told to read in order where it can, as it does by itself in a large table.
async fn explained(pool: &PgPool, sql: &str) -> String {
    let mut connection = pool.acquire().await.unwrap();
    for other_way in ["enable_seqscan", "enable_bitmapscan"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("SET {other_way} = off")))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {sql}")))
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    lines.join("\n")
}

#[sqlx::test]
async fn every_list_is_a_range_of_an_index(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let many = season();
    world.upsert(&token("organiser"), &many).await.unwrap();
    sqlx::query("ANALYZE catalog.shows")
        .execute(&pool)
        .await
        .unwrap();
    for (file, filters, index) in [
        ("page_of_shows.sql", &[][..], "shows_public_by_time"),
        (
            "page_by_category.sql",
            &["{music,film}"],
            "shows_public_by_category",
        ),
        ("page_by_city.sql", &["Town 7"], "shows_public_by_city"),
        (
            "page_by_city_and_category.sql",
            &["Town 7", "{music,film}"],
            "shows_public_by_city",
        ),
    ] {
        let plan = explained(&pool, &list(file, filters)).await;
        assert!(plan.contains(index), "{file}: {plan}");
        // Those of several categories are put in order when each one's first were read.
        let sorts = usize::from(file == "page_by_category.sql");
        assert_eq!(plan.matches("Sort  ").count(), sorts, "{file}: {plan}");
        assert!(!plan.contains("Seq Scan on shows"), "{file}: {plan}");
    }
}

#[sqlx::test]
async fn pages_of_an_event_and_of_a_venue_are_ranges_of_indexes(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    world.upsert(&token("organiser"), &season()).await.unwrap();
    sqlx::query("ANALYZE catalog.shows, catalog.plans")
        .execute(&pool)
        .await
        .unwrap();
    let named = |table: &str, id: &str| format!("(SELECT array_agg({id}) FROM catalog.{table})");
    let sql = statement("read_named.sql")
        .replace("$1", "'80000000-0000-0000-0000-000000000000'::uuid")
        .replace("$2", "20")
        .replace("$3", "'{80000000-0000-0000-0000-000000000001}'")
        .replace("$4", &named("events", "event_id"))
        .replace("$5", &named("venues", "venue_id"));
    let plan = explained(&pool, &sql).await;
    // The id's own index walks shows of every event and venue: it serves named shows alone.
    let uses = |index: &str| plan.matches(&format!(" {index} on shows")).count();
    assert_eq!(
        ["shows_of_event", "shows_of_plan", "shows_pkey"].map(uses),
        [1, 1, 1],
        "{plan}"
    );
    assert!(!plan.contains("Seq Scan on shows"), "{plan}");
}

#[sqlx::test]
async fn lists_follow_changes_of_events_and_venues(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    world.upsert(&token("organiser"), &batch()).await.unwrap();
    let count = async |world: &mut World, category: &str, city: &str| {
        let request = wire::ListShowsRequest {
            category: category.to_owned(),
            city: city.to_owned(),
            ..Default::default()
        };
        answer(world.client.list_shows(with("", request)).await)
            .unwrap()
            .shows
            .len()
    };
    assert_eq!(count(&mut world, "sports", "Berlin").await, 1);
    for sql in [
        "UPDATE catalog.events SET category = 'music'",
        "UPDATE catalog.venues SET city = 'Köln'",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    assert_eq!(count(&mut world, "sports", "").await, 0);
    assert_eq!(count(&mut world, "", "Berlin").await, 0);
    assert_eq!(count(&mut world, "music", "KÖLN").await, 1);
}
