//! Bounds of every field: what is wrong is named, and all of it at once.

use holdfast_proto::catalog::v1 as wire;
use sqlx::PgPool;

use crate::world::{World, event, refused_fields, token, venue};

/// Makes something that is right wrong in one field.
type Bend<T> = fn(&mut T);

#[sqlx::test]
async fn venues_out_of_bounds_are_refused_by_field(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let cases: [(&str, Bend<wire::Venue>); 17] = [
        ("venue.venue_id", |v| v.venue_id = vec![1; 15]),
        ("venue.name", |v| v.name = " ".to_owned()),
        ("venue.name", |v| v.name = "é".repeat(201)),
        ("venue.name", |v| v.name = "a\u{0}b".to_owned()),
        ("venue.name", |v| v.name = "a\nb".to_owned()),
        ("venue.address", |v| v.address = "x".repeat(601)),
        ("venue.city", |v| v.city = String::new()),
        ("venue.city", |v| v.city = "\u{7f}".to_owned()),
        ("venue.country", |v| v.country = "de".to_owned()),
        ("venue.country", |v| v.country = "DEU".to_owned()),
        ("venue.latitude", |v| v.latitude = 90.1),
        ("venue.latitude", |v| v.latitude = f64::NAN),
        ("venue.longitude", |v| v.longitude = -180.1),
        ("venue.longitude", |v| v.longitude = f64::INFINITY),
        ("venue.time_zone", |v| v.time_zone = String::new()),
        ("venue.time_zone", |v| {
            v.time_zone = "Mars/Olympus".to_owned()
        }),
        ("venue.time_zone", |v| v.time_zone = "+02:00".to_owned()),
    ];
    for (field, bend) in cases {
        let mut venue = venue();
        bend(&mut venue);
        let refused = world.create_venue(&organiser, venue).await;
        assert_eq!(refused_fields(refused), [field]);
    }
    let mut venue = venue();
    venue.name = String::new();
    venue.country = String::new();
    venue.latitude = 1e300;
    let refused = world.create_venue(&organiser, venue).await;
    assert_eq!(
        refused_fields(refused),
        ["venue.name", "venue.country", "venue.latitude"]
    );
}

#[sqlx::test]
async fn events_out_of_bounds_are_refused_by_field(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let cases: [(&str, Bend<wire::Event>); 8] = [
        ("event.event_id", |e| e.event_id = Vec::new()),
        ("event.title", |e| e.title = String::new()),
        ("event.title", |e| e.title = "x\ty".to_owned()),
        ("event.description", |e| e.description = "x".repeat(20_001)),
        ("event.description", |e| {
            e.description = "bell\u{7}".to_owned()
        }),
        ("event.category", |e| e.category = String::new()),
        ("event.category", |e| e.category = "Music".to_owned()),
        ("event.category", |e| e.category = "two words".to_owned()),
    ];
    for (field, bend) in cases {
        let mut event = event();
        bend(&mut event);
        let refused = world.create_event(&organiser, event).await;
        assert_eq!(refused_fields(refused), [field]);
    }
}

#[sqlx::test]
async fn shows_out_of_bounds_are_refused_by_field(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let request = world.prepared_show(&organiser).await;
    let price = |category: &str, amount| wire::Price {
        category: category.to_owned(),
        amount,
        ..wire::Price::default()
    };
    let rules = |hold_ttl_ms, hold_total_ms_max, seats_per_customer_max| {
        Some(wire::ShowRules {
            hold_ttl_ms,
            hold_total_ms_max,
            seats_per_customer_max,
            ..wire::ShowRules::default()
        })
    };
    type BendShow<'a> = Box<dyn Fn(&mut wire::CreateShowRequest) + Send + 'a>;
    let cases: Vec<(&str, BendShow<'_>)> = vec![
        ("show_id", Box::new(|s| s.show_id = vec![0; 17])),
        ("event_id", Box::new(|s| s.event_id = Vec::new())),
        ("plan_id", Box::new(|s| s.plan_id = Vec::new())),
        ("starts_at_ms", Box::new(|s| s.starts_at_ms = -1)),
        ("starts_at_ms", Box::new(|s| s.starts_at_ms = i64::MAX)),
        ("currency", Box::new(|s| s.currency = "eur".to_owned())),
        ("prices[0].amount", Box::new(|s| s.prices[0].amount = -1)),
        (
            "prices[2].amount",
            Box::new(|s| s.prices[2].amount = 1_000_000_001),
        ),
        (
            "prices[1].category",
            Box::new(|s| s.prices[1].category = String::new()),
        ),
        (
            "prices",
            Box::new(|s| s.prices.push(price("Category I", 1))),
        ),
        (
            "prices[4].category",
            Box::new(|s| s.prices.push(price("Category VI", 1))),
        ),
        ("prices", Box::new(|s| drop(s.prices.pop()))),
        ("prices", Box::new(|s| s.prices = vec![price("x", 1); 101])),
        (
            "rules.hold_ttl_ms",
            Box::new(move |s| s.rules = rules(999, 0, 0)),
        ),
        (
            "rules.hold_ttl_ms",
            Box::new(move |s| s.rules = rules(3_600_001, 0, 0)),
        ),
        (
            "rules.hold_total_ms_max",
            Box::new(move |s| s.rules = rules(60_000, 59_999, 0)),
        ),
        (
            "rules.hold_total_ms_max",
            Box::new(move |s| s.rules = rules(0, 7_200_001, 0)),
        ),
        (
            "rules.seats_per_customer_max",
            Box::new(move |s| s.rules = rules(0, 0, 100_001)),
        ),
    ];
    for (field, bend) in cases {
        let mut request = request.clone();
        bend(&mut request);
        let refused = world.create_show(&organiser, request).await;
        assert_eq!(refused_fields(refused), [field]);
    }
}

#[sqlx::test]
async fn a_category_without_seats_may_have_a_price_and_a_long_hold_a_long_total(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut request = world.prepared_show(&organiser).await;
    request.prices.push(wire::Price {
        category: "Category III".to_owned(),
        amount: 700,
        ..wire::Price::default()
    });
    request.rules = Some(wire::ShowRules {
        hold_ttl_ms: 3_600_000,
        ..Default::default()
    });
    let show = world.create_show(&organiser, request).await.unwrap();
    let rules = show.rules.unwrap();
    assert_eq!(
        (rules.hold_ttl_ms, rules.hold_total_ms_max),
        (3_600_000, 3_600_000)
    );
    let map = world.seat_map(&organiser, &show.show_id).await.unwrap();
    assert_eq!(map.categories.len(), 4, "the map has those with seats");
}
