//! Importing plans, and the seat maps that come of them.

use std::collections::{HashMap, HashSet};

use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::world::{
    Call, STADIUM, World, assert_refused, event, id, plan, refused_fields, show, token, venue, with,
};

#[sqlx::test]
async fn the_stadium_is_imported_and_its_map_has_every_seat(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let show = world.draft(&organiser).await;
    assert_eq!(show.seat_count, 738);

    let map = world.seat_map(&organiser, &show.show_id).await.unwrap();
    assert_eq!(
        (map.width, map.height, map.currency.as_str()),
        (2000.0, 2000.0, "EUR")
    );
    let categories: Vec<(&str, &str, i64)> = map
        .categories
        .iter()
        .map(|c| (c.name.as_str(), c.color.as_str(), c.price))
        .collect();
    let expected = [
        ("Category I", "#F44336", 9900),
        ("Category II", "#9C27B0", 5900),
        ("Category IV", "#2196F3", 0),
        ("Category V", "#8BC34A", 1500),
    ];
    assert_eq!(categories, expected);
    assert!(
        map.seats
            .iter()
            .zip(0..)
            .all(|(seat, no)| seat.seat_no == no)
    );
    let labels: HashSet<&str> = map.seats.iter().map(|seat| seat.label.as_str()).collect();
    assert_eq!(labels.len(), 738);
    let seat = map
        .seats
        .iter()
        .find(|seat| seat.label == "GROUND-2-A-7")
        .unwrap();
    assert_eq!(
        (
            seat.section.as_str(),
            seat.row.as_str(),
            seat.number.as_str()
        ),
        ("GROUND-2", "A", "7")
    );
    assert!(
        (seat.x - 1646.938).abs() < 0.001 && (seat.y - 634.490).abs() < 0.001,
        "{seat:?}"
    );
}

#[sqlx::test]
async fn importing_again_answers_the_same_and_another_file_under_that_id_is_refused(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let venue = world.create_venue(&organiser, venue()).await.unwrap();
    let request = plan(&venue.venue_id);
    let first = world
        .import_plan(&organiser, request.clone())
        .await
        .unwrap();
    let counts: HashMap<&str, u32> = first
        .categories
        .iter()
        .map(|c| (c.category.as_str(), c.seats))
        .collect();
    let expected = HashMap::from([
        ("Category I", 369),
        ("Category II", 168),
        ("Category IV", 84),
        ("Category V", 117),
    ]);
    assert_eq!(counts, expected);
    assert_eq!(first.warnings.len(), 2, "{:?}", first.warnings);

    assert_eq!(
        world
            .import_plan(&organiser, request.clone())
            .await
            .unwrap(),
        wire::ImportPlanResponse {
            replayed: true,
            ..first
        }
    );
    let mut other = request.clone();
    other.plan_json.push(b'\n');
    assert_refused(
        world.import_plan(&organiser, other).await,
        ErrorCode::AlreadyExists,
    );
    let mut other = request.clone();
    other.name = "Another name".to_owned();
    assert_refused(
        world.import_plan(&organiser, other).await,
        ErrorCode::AlreadyExists,
    );
    assert_refused(
        world.import_plan(&token("organiser"), request).await,
        ErrorCode::VenueNotFound,
    );
}

#[sqlx::test]
async fn a_broken_file_is_refused_with_every_place_and_nothing_is_kept(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let venue = world.create_venue(&organiser, venue()).await.unwrap();
    let mut request = plan(&venue.venue_id);
    let text = str::from_utf8(STADIUM).unwrap();
    let broken = text
        // Uuid of GROUND-1-A-1, given to GROUND-1-B-1 too.
        .replace(
            "c7e8126f-0f14-44d3-9108-92c35e63c320",
            "ccb6d8c1-b81e-491b-b2ae-e8a4644c6616",
        )
        .replacen("\"Category V\"", "\"Category X\"", 1);
    request.plan_json = broken.into_bytes();
    let refused = world.import_plan(&organiser, request.clone()).await;
    let refused = refused.expect_err("has mistakes");
    let [uuid, category, ..] = refused.fields() else {
        panic!("not two: {refused:?}")
    };
    assert_eq!(uuid.field, "/zones/0/rows/1/seats/0/uuid");
    let words = r#"zones[0] "Ground floor" row "B" seat "1" uuid "#;
    assert!(uuid.why.starts_with(words), "{}", uuid.why);
    assert!(category.field.ends_with("/category"), "{category:?}");

    request.plan_json = STADIUM.to_vec();
    assert_eq!(
        world
            .import_plan(&organiser, request)
            .await
            .unwrap()
            .seat_count,
        738
    );
    let plans = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM catalog.plans");
    assert_eq!(plans.fetch_one(&pool).await.unwrap(), 1);
}

#[sqlx::test]
async fn more_than_twenty_mistakes_are_counted(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let venue = world.create_venue(&organiser, venue()).await.unwrap();
    let mut request = plan(&venue.venue_id);
    request.plan_json = str::from_utf8(STADIUM)
        .unwrap()
        .replace("\"seat_number\"", "\"no\"")
        .into();
    let failure = world.import_plan(&organiser, request).await.unwrap_err();
    assert_eq!(failure.message(), "the plan file has 738 mistakes");
    assert_eq!(failure.fields().len(), 21);
    assert_eq!(failure.fields()[20].why, "has 718 more mistakes");
}

#[sqlx::test]
async fn a_file_over_eight_mebibytes_is_refused_by_name(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let venue = world.create_venue(&organiser, venue()).await.unwrap();
    let mut request = plan(&venue.venue_id);
    request.plan_json = vec![b' '; 8 * 1024 * 1024 + 1];
    assert_eq!(
        refused_fields(world.import_plan(&organiser, request).await),
        ["plan_json"]
    );
}

#[sqlx::test]
async fn a_plan_needs_a_venue_that_is_there_and_a_name_from_somewhere(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    assert_refused(
        world.import_plan(&organiser, plan(&id())).await,
        ErrorCode::VenueNotFound,
    );
    let venue = world.create_venue(&organiser, venue()).await.unwrap();
    let mut request = plan(&venue.venue_id);
    let unnamed = str::from_utf8(STADIUM).unwrap().replace("\"Plan\"", "\"\"");
    request.plan_json = unnamed.into_bytes();
    assert_eq!(
        refused_fields(world.import_plan(&organiser, request.clone()).await),
        ["name"]
    );
    request.name = "Stadium".to_owned();
    world.import_plan(&organiser, request).await.unwrap();
}

#[sqlx::test]
async fn areas_and_kinds_of_seats_are_in_the_map_the_inventory_and_the_file(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let seat = |number: &str, kind: &str| {
        serde_json::json!({
            "seat_number": number, "uuid": format!("u{number}"), "category": "Any",
            "position": {"x": 1, "y": 1}, "holdfast_kind": kind,
        })
    };
    let file = serde_json::json!({
        "name": "Hall", "size": {"width": 100, "height": 100},
        "categories": [{"name": "Any", "color": "#fff"}],
        "zones": [{
            "name": "Ground", "position": {"x": 10, "y": 0},
            "rows": [{"row_number": "A", "position": {"x": 0, "y": 0},
                      "seats": [seat("1", "accessible"), seat("2", "companion")]}],
            "areas": [{
                "shape": "rectangle", "position": {"x": 5, "y": 20},
                "rectangle": {"width": 40, "height": 30},
                "holdfast_standing": {"name": "Floor", "capacity": 4, "category": "Any"},
            }],
        }],
    });
    let file = serde_json::to_vec_pretty(&file).unwrap();
    let hall = world.create_venue(&organiser, venue()).await.unwrap();
    let request = wire::ImportPlanRequest {
        plan_json: file.clone(),
        ..plan(&hall.venue_id)
    };
    let made = world.import_plan(&organiser, request).await.unwrap();
    assert_eq!(made.seat_count, 6);
    let export = wire::ExportPlanRequest {
        plan_id: made.plan_id.clone(),
    };
    let exported = world.client.export_plan(with(&organiser, export)).await;
    assert_eq!(exported.unwrap().into_inner().plan_json, file);

    let event = world.create_event(&organiser, event()).await.unwrap();
    let show = wire::CreateShowRequest {
        prices: vec![wire::Price {
            category: "Any".to_owned(),
            amount: 1_000,
            ..Default::default()
        }],
        ..show(&event.event_id, &made.plan_id)
    };
    let show = world.create_show(&organiser, show).await.unwrap();
    world.publish(&organiser, &show.show_id).await.unwrap();
    let map = world.seat_map("", &show.show_id).await.unwrap();
    let floor = wire::Area {
        name: "FLOOR".to_owned(),
        display_name: "Floor".to_owned(),
        first_seat_no: 2,
        capacity: 4,
        category: "Any".to_owned(),
        x: 15.0,
        y: 20.0,
        width: 40.0,
        height: 30.0,
    };
    assert_eq!(map.areas, [floor]);
    let kinds: Vec<&str> = map.seats.iter().map(|seat| seat.kind.as_str()).collect();
    let standing = ["STANDING"; 4];
    let expected = [&["ACCESSIBLE", "COMPANION"], &standing[..]].concat();
    assert_eq!(kinds, expected);
    let calls = world.inventory.calls();
    let Some(Call::Open(opened)) = calls.last() else {
        panic!("it was opened: {calls:?}");
    };
    let sold: Vec<(&str, &str)> = opened
        .seats
        .iter()
        .map(|seat| (seat.label.as_str(), seat.kind.as_str()))
        .collect();
    assert_eq!(sold[1], ("GROUND-A-2", "COMPANION"));
    assert_eq!(sold[5], ("FLOOR-4", "STANDING"));
}
