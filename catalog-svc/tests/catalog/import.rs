//! Batches of somebody's catalogue: taken over once, changed, kept, refused by item.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::world::{
    Call, World, answer, assert_refused, event, in_days, refused_fields, token, venue, with,
};

/// One venue, two performers, one event of theirs, and one show of it in a hall of 500 seats.
pub(crate) fn batch() -> wire::UpsertCatalogueRequest {
    let performer = |external_id: &str, name: &str| wire::UpsertPerformer {
        external_id: external_id.to_owned(),
        name: name.to_owned(),
    };
    wire::UpsertCatalogueRequest {
        source: "elsewhere".to_owned(),
        venues: vec![wire::UpsertVenue {
            external_id: "v1".to_owned(),
            venue: Some(wire::Venue {
                venue_id: Vec::new(),
                region: "Berlin".to_owned(),
                ..venue()
            }),
        }],
        performers: vec![performer("p1", "The Harbour"), performer("p2", "Night Bus")],
        events: vec![wire::UpsertEvent {
            external_id: "e1".to_owned(),
            event: Some(wire::Event {
                event_id: Vec::new(),
                ..event()
            }),
            performer_external_ids: vec!["p2".to_owned(), "p1".to_owned()],
        }],
        shows: vec![show("s1")],
    }
}

pub(crate) fn show(external_id: &str) -> wire::UpsertShow {
    wire::UpsertShow {
        external_id: external_id.to_owned(),
        event_external_id: "e1".to_owned(),
        venue_external_id: "v1".to_owned(),
        hall_seats: 500,
        starts_at_ms: in_days(60),
        time_to_be_announced: false,
        currency: "EUR".to_owned(),
        price_range: Some(wire::PriceRange {
            min: 2_000,
            max: 8_000,
        }),
        sale_starts_at_ms: Some(in_days(-10)),
        sale_ends_at_ms: Some(in_days(59)),
        rules: None,
        announced: true,
    }
}

fn tally(created: u32, updated: u32, unchanged: u32, kept: u32) -> Option<wire::Tally> {
    Some(wire::Tally {
        created,
        updated,
        unchanged,
        kept,
    })
}

fn tallies(answer: &wire::UpsertCatalogueResponse) -> [Option<wire::Tally>; 4] {
    [
        answer.venues,
        answer.performers,
        answer.events,
        answer.shows,
    ]
}

/// All that the tables say, but for when.
async fn everything(pool: &PgPool) -> Vec<String> {
    let tables = [
        "venues",
        "performers",
        "events",
        "event_performers",
        "plans",
        "plan_categories",
        "shows",
    ];
    let mut rows = Vec::new();
    for table in tables {
        // xmin tells whether a row was written, even with the same words.
        let sql = format!("SELECT t.xmin || t::text FROM catalog.{table} t ORDER BY 1");
        rows.extend(
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql))
                .fetch_all(pool)
                .await
                .unwrap(),
        );
    }
    rows
}

#[sqlx::test]
async fn a_batch_is_taken_over_and_again_changes_nothing(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let batch = batch();
    let first = world.upsert(&organiser, &batch).await.unwrap();
    let new = tally(1, 0, 0, 0);
    assert_eq!(tallies(&first), [new, tally(2, 0, 0, 0), new, new]);
    assert_eq!(first.upserted[0].state, "DRAFT");

    let shown = world.show("", &first.upserted[0].show_id).await.unwrap();
    let event = shown.event.unwrap();
    let names: Vec<&str> = event.performers.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["Night Bus", "The Harbour"]);
    assert_eq!(event.classification.unwrap().genre, "Football");
    let venue = shown.venue.unwrap();
    assert_eq!(
        (venue.region.as_str(), venue.postal_code.as_str()),
        ("Berlin", "14053")
    );
    let asked = &batch.shows[0];
    assert_eq!(shown.starts_at_ms, asked.starts_at_ms);
    assert_eq!(shown.sale_starts_at_ms, asked.sale_starts_at_ms);
    assert_eq!(shown.sale_ends_at_ms, asked.sale_ends_at_ms);
    assert_eq!(shown.price_range, asked.price_range);
    assert_eq!((shown.seat_count, shown.announced), (500, true));
    let prices: Vec<i64> = shown.prices.iter().map(|price| price.amount).collect();
    assert_eq!(prices, [8_000, 6_000, 4_000, 2_000]);

    let before = everything(&pool).await;
    let again = world.upsert(&organiser, &batch).await.unwrap();
    let same = tally(0, 0, 1, 0);
    assert_eq!(tallies(&again), [same, tally(0, 0, 2, 0), same, same]);
    assert_eq!(again.upserted, first.upserted);
    assert_eq!(everything(&pool).await, before);
}

#[sqlx::test]
async fn what_differs_is_changed_and_only_that(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut batch = batch();
    batch.shows.push(show("s2"));
    let first = world.upsert(&organiser, &batch).await.unwrap();
    batch.venues[0].venue.as_mut().unwrap().city = "Potsdam".to_owned();
    batch.performers[1].name = "Night Train".to_owned();
    batch.events[0].performer_external_ids = vec!["p2".to_owned()];
    batch.shows[1].price_range = None;
    let second = world.upsert(&organiser, &batch).await.unwrap();
    let changed = tally(0, 1, 0, 0);
    let one_of_two = tally(0, 1, 1, 0);
    assert_eq!(tallies(&second), [changed, one_of_two, changed, one_of_two]);

    let shown = world.show("", &first.upserted[1].show_id).await.unwrap();
    assert_eq!((shown.price_range, shown.prices.len()), (None, 0));
    assert_eq!(shown.price_version, 2);
    assert_eq!(shown.venue.unwrap().city, "Potsdam");
    let performers = shown.event.unwrap().performers;
    assert_eq!(performers.len(), 1);
    assert_eq!(performers[0].name, "Night Train");
    let in_potsdam = wire::ListShowsRequest {
        city: "potsdam".to_owned(),
        ..Default::default()
    };
    let listed = answer(world.client.list_shows(with("", in_potsdam)).await).unwrap();
    assert_eq!(listed.shows.len(), 2, "lists follow the venue");
}

#[sqlx::test]
async fn a_show_on_sale_keeps_its_date_and_price(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut batch = batch();
    let first = world.upsert(&organiser, &batch).await.unwrap();
    let published = world
        .publish(&organiser, &first.upserted[0].show_id)
        .await
        .unwrap();
    assert_eq!(published.state, "ON_SALE");
    let [Call::Open(opened)] = &world.inventory.calls()[..] else {
        panic!("not opened once")
    };
    assert_eq!(opened.seats.len(), 500);
    assert_eq!(opened.seats[0].label, "GROUND-1-A-1");
    assert_eq!(opened.seats[0].price, 8_000);
    let mut prices: Vec<i64> = opened.seats.iter().map(|seat| seat.price).collect();
    prices.sort_unstable();
    prices.dedup();
    assert_eq!(prices, [2_000, 4_000, 6_000, 8_000]);
    let map = world
        .seat_map("", &first.upserted[0].show_id)
        .await
        .unwrap();
    assert_eq!(map.seats.len(), 500);
    assert_eq!(map.categories.len(), 4);
    assert_eq!(map.categories[0].price, 8_000);

    batch.shows[0].starts_at_ms += 3_600_000;
    batch.shows[0].price_range = Some(wire::PriceRange { min: 1, max: 2 });
    let second = world.upsert(&organiser, &batch).await.unwrap();
    assert_eq!(second.shows, tally(0, 0, 0, 1));
    assert_eq!(second.upserted[0].state, "ON_SALE");
    assert_eq!(world.show("", &published.show_id).await.unwrap(), published);
}

#[sqlx::test]
async fn a_show_that_may_be_open_already_is_opened_with_the_same_again(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut batch = batch();
    let first = world.upsert(&organiser, &batch).await.unwrap();
    let show_id = &first.upserted[0].show_id;
    // As if the answer of an inventory that did open it was lost.
    world
        .inventory
        .refuse_next(Failure::new(ErrorCode::Unavailable, "no answer"));
    assert_refused(
        world.publish(&organiser, show_id).await,
        ErrorCode::Unavailable,
    );
    batch.shows[0].starts_at_ms += 3_600_000;
    batch.shows[0].price_range = Some(wire::PriceRange { min: 1, max: 2 });
    let second = world.upsert(&organiser, &batch).await.unwrap();
    assert_eq!(second.shows, tally(0, 0, 0, 1));
    assert_eq!(second.upserted[0].state, "DRAFT");
    world.publish(&organiser, show_id).await.unwrap();
    let calls = world.inventory.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0], calls[1], "the same inventory is asked for again");
}

#[sqlx::test]
async fn a_draft_that_can_not_be_sold_yet_is_still_changed(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut batch = batch();
    batch.shows[0].time_to_be_announced = true;
    let first = world.upsert(&organiser, &batch).await.unwrap();
    let show_id = &first.upserted[0].show_id;
    for _ in 0..2 {
        let refused = world.publish(&organiser, show_id).await;
        assert_refused(refused, ErrorCode::InvalidState);
    }
    batch.shows[0].time_to_be_announced = false;
    let second = world.upsert(&organiser, &batch).await.unwrap();
    assert_eq!(second.shows, tally(0, 1, 0, 0));
    assert!(world.publish(&organiser, show_id).await.is_ok());
}

#[sqlx::test]
async fn a_show_without_time_or_price_is_not_put_on_sale(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut batch = batch();
    batch.shows[0].time_to_be_announced = true;
    batch.shows.push(wire::UpsertShow {
        price_range: None,
        ..show("s2")
    });
    let made = world.upsert(&organiser, &batch).await.unwrap();
    for show in &made.upserted {
        let refused = world.publish(&organiser, &show.show_id).await;
        assert_refused(refused, ErrorCode::InvalidState);
    }
    assert_eq!(world.inventory.calls(), []);
    let map = world.seat_map("", &made.upserted[1].show_id).await.unwrap();
    assert_eq!((map.seats.len(), map.categories.len()), (500, 0));
}

#[sqlx::test]
async fn a_draft_is_listed_if_it_is_announced(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut batch = batch();
    batch.shows.push(wire::UpsertShow {
        announced: false,
        ..show("s2")
    });
    let made = world.upsert(&organiser, &batch).await.unwrap();
    let all = wire::ListShowsRequest::default();
    let listed = answer(world.client.list_shows(with("", all)).await).unwrap();
    let ids: Vec<&[u8]> = listed.shows.iter().map(|show| &show.show_id[..]).collect();
    assert_eq!(ids, [&made.upserted[0].show_id[..]]);
    assert_eq!(listed.shows[0].state, "DRAFT");
    let hidden = &made.upserted[1].show_id;
    assert_refused(world.show("", hidden).await, ErrorCode::ShowNotFound);
    assert!(world.show(&organiser, hidden).await.is_ok());
    let all = wire::ListEventsRequest::default();
    let events = answer(world.client.list_events(with("", all)).await).unwrap();
    assert_eq!(events.events.len(), 1);
    assert_eq!(events.events[0].performers.len(), 2);
}

#[sqlx::test]
async fn external_ids_are_each_accounts_own(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (mine, theirs) = (token("organiser"), token("organiser"));
    let batch = batch();
    let first = world.upsert(&mine, &batch).await.unwrap();
    let second = world.upsert(&theirs, &batch).await.unwrap();
    assert_eq!(second.shows, tally(1, 0, 0, 0));
    assert_ne!(first.upserted[0].show_id, second.upserted[0].show_id);
    let other_source = wire::UpsertCatalogueRequest {
        source: "another".to_owned(),
        ..batch.clone()
    };
    let third = world.upsert(&mine, &other_source).await.unwrap();
    assert_eq!(third.shows, tally(1, 0, 0, 0));

    for (token, code) in [
        (token("customer"), ErrorCode::Forbidden),
        (String::new(), ErrorCode::Unauthorized),
    ] {
        assert_refused(world.upsert(&token, &batch).await, code);
    }
}

#[sqlx::test]
async fn an_id_that_somebody_took_on_purpose_is_refused(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let batch = batch();
    let organiser = token("organiser");
    world.upsert(&organiser, &batch).await.unwrap();
    for table in ["venues", "performers", "events", "shows", "plans"] {
        let take = format!(
            "WITH before AS (SELECT owner_id FROM catalog.{table} LIMIT 1)
             UPDATE catalog.{table} SET owner_id = gen_random_uuid()
             RETURNING (SELECT owner_id FROM before)"
        );
        let owner: uuid::Uuid = sqlx::query_scalar(sqlx::AssertSqlSafe(take))
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_refused(
            world.upsert(&organiser, &batch).await,
            ErrorCode::AlreadyExists,
        );
        let give_back = format!("UPDATE catalog.{table} SET owner_id = $1");
        sqlx::query(sqlx::AssertSqlSafe(give_back))
            .bind(owner)
            .execute(&pool)
            .await
            .unwrap();
    }
    let again = world.upsert(&organiser, &batch).await.unwrap();
    assert_eq!(again.shows, tally(0, 0, 1, 0));
}

#[sqlx::test]
async fn what_a_batch_refers_to_must_be_there(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let mut bad = batch();
    bad.events[0]
        .performer_external_ids
        .push("nobody".to_owned());
    let refused = world.upsert(&organiser, &bad).await;
    assert_eq!(
        refused_fields(refused),
        ["events[0].performer_external_ids"]
    );
    let mut bad = batch();
    bad.venues.clear();
    bad.shows[0].event_external_id = "nothing".to_owned();
    let refused = world.upsert(&organiser, &bad).await;
    assert_eq!(
        refused_fields(refused),
        ["shows[0].event_external_id", "shows[0].venue_external_id"]
    );
    assert_eq!(
        everything(&pool).await,
        Vec::<String>::new(),
        "nothing of it was kept"
    );

    // Of earlier batches is as good.
    world.upsert(&organiser, &batch()).await.unwrap();
    let later = wire::UpsertCatalogueRequest {
        venues: Vec::new(),
        performers: Vec::new(),
        events: Vec::new(),
        shows: vec![show("s2")],
        ..batch()
    };
    let made = world.upsert(&organiser, &later).await.unwrap();
    assert_eq!(made.shows, tally(1, 0, 0, 0));
}

/// Makes a batch that is right wrong in one place.
type Bend = fn(&mut wire::UpsertCatalogueRequest);

#[sqlx::test]
async fn batches_out_of_bounds_are_refused_by_item_and_field(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let cases: [(&str, Bend); 24] = [
        ("source", |b| b.source = String::new()),
        ("source", |b| b.source = "Ticketmaster".to_owned()),
        ("venues[0].external_id", |b| {
            b.venues[0].external_id = " ".to_owned()
        }),
        ("venues[0].venue", |b| b.venues[0].venue = None),
        ("venues[0].venue.venue_id", |b| {
            place(b).venue_id = vec![1; 16]
        }),
        ("venues[0].venue.time_zone", |b| {
            place(b).time_zone = "Mars/Olympus".to_owned();
        }),
        ("venues[0].venue.latitude", |b| place(b).latitude = 90.5),
        ("venues[0].venue.longitude", |b| {
            place(b).longitude = f64::NAN
        }),
        ("venues[0].venue.region", |b| {
            place(b).region = "x".repeat(201)
        }),
        ("performers[1].name", |b| {
            b.performers[1].name = String::new()
        }),
        ("performers[1].external_id", |b| {
            b.performers[1].external_id = "p1".to_owned();
        }),
        // Space around an id is no part of it.
        ("performers[1].external_id", |b| {
            b.performers[1].external_id = " p1 ".to_owned();
        }),
        ("venues[1].external_id", |b| {
            b.venues.push(b.venues[0].clone());
            b.venues[1].external_id.push(' ');
        }),
        ("events[0].event.category", |b| {
            b.events[0].event.as_mut().unwrap().category = "Loud Music".to_owned();
        }),
        ("events[0].event.classification.segment", |b| {
            let event = b.events[0].event.as_mut().unwrap();
            event.classification.as_mut().unwrap().segment = String::new();
        }),
        ("events[0].performer_external_ids", |b| {
            b.events[0].performer_external_ids = vec!["p1".to_owned(), "p1".to_owned()];
        }),
        ("shows[0].hall_seats", |b| b.shows[0].hall_seats = 99),
        ("shows[0].starts_at_ms", |b| b.shows[0].starts_at_ms = -1),
        ("shows[0].currency", |b| {
            b.shows[0].currency = "XYZ".to_owned()
        }),
        ("shows[0].price_range", |b| {
            b.shows[0].price_range = Some(wire::PriceRange { min: 2, max: 1 });
        }),
        ("shows[0].price_range", |b| {
            b.shows[0].price_range = Some(wire::PriceRange { min: -1, max: 1 });
        }),
        ("shows[0].sale_ends_at_ms", |b| {
            b.shows[0].sale_ends_at_ms = b.shows[0].sale_starts_at_ms;
        }),
        ("shows[0].venue_external_id", |b| {
            b.shows[0].venue_external_id = String::new();
        }),
        ("request", |b| {
            b.shows = (0..2_000).map(|n| show(&n.to_string())).collect()
        }),
    ];
    for (field, bend) in cases {
        let mut bad = batch();
        bend(&mut bad);
        let refused = world.upsert(&organiser, &bad).await;
        assert_eq!(refused_fields(refused), [field]);
    }
}

fn place(batch: &mut wire::UpsertCatalogueRequest) -> &mut wire::Venue {
    batch.venues[0].venue.as_mut().unwrap()
}

#[sqlx::test]
async fn batches_at_the_same_time_come_to_the_same(pool: PgPool) {
    let world = World::start(pool).await;
    let organiser = token("organiser");
    let mut calls = Vec::new();
    for _ in 0..8 {
        let (mut import, organiser) = (world.importer(), organiser.clone());
        calls.push(tokio::spawn(async move {
            answer(import.upsert_catalogue(with(&organiser, batch())).await)
        }));
    }
    let mut created = 0;
    for call in calls {
        created += call.await.unwrap().unwrap().shows.unwrap().created;
    }
    assert_eq!(created, 1);
}

#[sqlx::test]
async fn performers_that_nobody_made_are_refused(pool: PgPool) {
    let mut world = World::start(pool).await;
    let mut event = event();
    event.performers = vec![wire::Performer {
        performer_id: vec![1; 16],
        name: "Me".to_owned(),
        version: String::new(),
    }];
    let refused = world.create_event(&token("organiser"), event).await;
    assert_eq!(refused_fields(refused), ["event.performers[0]"]);
}
