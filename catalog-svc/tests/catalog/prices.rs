//! What seats cost where that isn't what their category does.

use holdfast_proto::{booking::v1::InventorySeat, catalog::v1 as wire};
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::world::{Call, World, answer, assert_refused, refused_fields, token, with};

const SECTION: &str = "FIRST-2";
const SEAT: &str = "FIRST-2-G-7";

fn section(name: &str, amount: i64) -> wire::Price {
    wire::Price {
        section: name.to_owned(),
        amount,
        ..wire::Price::default()
    }
}

fn seat(label: &str, amount: i64) -> wire::Price {
    wire::Price {
        seat: label.to_owned(),
        amount,
        ..wire::Price::default()
    }
}

async fn update(
    world: &mut World,
    token: &str,
    show_id: &[u8],
    prices: Vec<wire::Price>,
) -> Result<wire::Show, holdfast_mesh::Failure> {
    let request = wire::UpdateShowRequest {
        show: Some(wire::CreateShowRequest {
            show_id: show_id.to_vec(),
            prices,
            ..Default::default()
        }),
        fields: vec!["prices".to_owned()],
        if_version: String::new(),
    };
    answer(world.client().update_show(with(token, request)).await).map(|a| a.show.unwrap())
}

#[sqlx::test]
async fn the_most_exact_price_is_told_opened_and_counted(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut asked = world.prepared_show(&organiser).await;
    let by_category = asked.prices.clone();
    asked.prices.insert(0, seat(SEAT, 20_000));
    asked.prices.push(section(SECTION, 12_000));
    let made = world.create_show(&organiser, asked.clone()).await.unwrap();
    assert_eq!(
        made.exact_prices,
        [section(SECTION, 12_000), seat(SEAT, 20_000)]
    );
    assert_eq!(made.prices.len(), by_category.len());
    let range = made.price_range.unwrap();
    assert_eq!((range.min, range.max), (0, 20_000));
    let again = world.create_show(&organiser, asked.clone()).await.unwrap();
    assert_eq!(again, made);

    let map = world.seat_map(&organiser, &made.show_id).await.unwrap();
    let price = |label: &str| {
        let mut seats = map.seats.iter();
        seats.find(|seat| seat.label == label).unwrap().price
    };
    assert_eq!(price(SEAT), Some(20_000));
    assert_eq!(price("FIRST-2-G-6"), Some(12_000));
    let others = map.seats.iter().filter(|seat| seat.section != SECTION);
    assert!(others.clone().count() > 0 && others.into_iter().all(|seat| seat.price.is_none()));

    let published = world.publish(&organiser, &made.show_id).await.unwrap();
    assert_eq!(published.exact_prices, made.exact_prices);
    let [Call::Open(opened)] = &world.inventory.calls()[..] else {
        panic!("not opened once")
    };
    let opened_at = |label: &str| {
        let mut seats = opened.seats.iter();
        seats.find(|seat| seat.label == label).unwrap().price
    };
    assert_eq!(
        (opened_at(SEAT), opened_at("FIRST-2-G-6")),
        (20_000, 12_000)
    );
    let dear = |seat: &&InventorySeat| seat.price > 9_900;
    let in_section = map.seats.iter().filter(|seat| seat.section == SECTION);
    assert_eq!(opened.seats.iter().filter(dear).count(), in_section.count());

    // Others see what seats cost on the map, and the range.
    let shown = world.show("", &made.show_id).await.unwrap();
    assert!(shown.exact_prices.is_empty());
    assert_eq!(shown.price_range, made.price_range);
    assert_eq!(shown.version, published.version);

    for label in [SEAT, "FIRST-2-G-6", "GROUND-1-A-1"] {
        world.inventory.set_state(label, "SOLD");
    }
    let request = wire::GetShowSalesRequest {
        show_id: made.show_id.clone(),
    };
    let sales = answer(
        world
            .client()
            .get_show_sales(with(&organiser, request))
            .await,
    )
    .unwrap();
    let sold: u32 = sales.categories.iter().map(|of| of.sold).sum();
    let revenue: i64 = sales.categories.iter().map(|of| of.revenue).sum();
    let ground = opened_at("GROUND-1-A-1");
    assert_eq!((sold, revenue), (3, 20_000 + 12_000 + ground));
}

#[sqlx::test]
async fn exact_prices_change_with_the_others_and_are_fixed_with_them(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let by_category = draft.prices.clone();
    let with_exact = |exact: Vec<wire::Price>| [by_category.clone(), exact].concat();
    let prices = with_exact(vec![section(SECTION, 12_000)]);
    let changed = update(&mut world, &organiser, &draft.show_id, prices.clone())
        .await
        .unwrap();
    assert_ne!(changed.version, draft.version);
    assert_eq!(changed.price_version, draft.price_version + 1);
    assert_eq!(changed.price_range.unwrap().max, 12_000);
    let same = update(&mut world, &organiser, &draft.show_id, prices)
        .await
        .unwrap();
    assert_eq!(same, changed);
    let prices = with_exact(vec![section(SECTION, 1)]);
    let dearer = update(&mut world, &organiser, &draft.show_id, prices)
        .await
        .unwrap();
    assert_ne!(dearer.version, changed.version);
    assert_eq!(dearer.price_version, changed.price_version + 1);

    let unknown = with_exact(vec![
        section("NOWHERE", 1),
        seat("FIRST-2-G-700", 1),
        seat(SEAT, 1),
    ]);
    let refused = update(&mut world, &organiser, &draft.show_id, unknown).await;
    let first = by_category.len();
    let named = [
        format!("show.prices[{first}].section"),
        format!("show.prices[{}].seat", first + 1),
    ];
    assert_eq!(refused_fields(refused), named);
    let twice = with_exact(vec![seat(SEAT, 1), seat(SEAT, 2)]);
    let refused = update(&mut world, &organiser, &draft.show_id, twice).await;
    assert_eq!(refused_fields(refused), ["show.prices"]);
    let both = wire::Price {
        section: SECTION.to_owned(),
        ..seat(SEAT, 1)
    };
    let refused = update(
        &mut world,
        &organiser,
        &draft.show_id,
        with_exact(vec![both]),
    )
    .await;
    assert_eq!(refused_fields(refused), [format!("show.prices[{first}]")]);
    let many = (0..10_001).map(|n| seat(&format!("S-{n}"), 1)).collect();
    let refused = update(&mut world, &organiser, &draft.show_id, with_exact(many)).await;
    assert_eq!(refused_fields(refused), ["show.prices"]);

    let plain = update(&mut world, &organiser, &draft.show_id, by_category.clone())
        .await
        .unwrap();
    assert_eq!(
        (plain.version, plain.exact_prices.len()),
        (draft.version.clone(), 0)
    );
    world.publish(&organiser, &draft.show_id).await.unwrap();
    let late = with_exact(vec![seat(SEAT, 1)]);
    let refused = update(&mut world, &organiser, &draft.show_id, late).await;
    assert_refused(refused, ErrorCode::InvalidState);
}

#[sqlx::test]
async fn fees_are_told_opened_and_fixed_with_the_prices(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let fee = |name: &str, amount, per_ticket| wire::Fee {
        name: name.to_owned(),
        amount,
        per_ticket,
    };
    let mut asked = world.prepared_show(&organiser).await;
    asked.fees = vec![fee("Service fee", 150, true), fee("Order fee", 99, false)];
    let made = world.create_show(&organiser, asked.clone()).await.unwrap();
    assert_eq!(made.fees, asked.fees);
    let mut client = world.client();
    let update = |fees: Vec<wire::Fee>| {
        let request = wire::UpdateShowRequest {
            show: Some(wire::CreateShowRequest {
                show_id: made.show_id.clone(),
                fees,
                ..Default::default()
            }),
            fields: vec!["fees".to_owned()],
            if_version: String::new(),
        };
        with(&organiser, request)
    };
    for (bad, named) in [
        (vec![fee("", 1, true)], "show.fees[0].name"),
        (vec![fee("A", 0, true)], "show.fees[0].amount"),
        (
            vec![fee("A", 1, true), fee("A", 2, false)],
            "show.fees[1].name",
        ),
        (vec![fee("A", 1, true); 6], "show.fees"),
    ] {
        let refused = answer(client.update_show(update(bad)).await);
        assert_eq!(refused_fields(refused), [named]);
    }
    let changed = answer(client.update_show(update(asked.fees[..1].to_vec())).await).unwrap();
    let changed = changed.show.unwrap();
    assert_eq!(changed.fees, asked.fees[..1]);
    assert_eq!(changed.price_version, made.price_version + 1);
    assert_ne!(changed.version, made.version);
    world.publish(&organiser, &made.show_id).await.unwrap();
    let calls = world.inventory.calls();
    let [Call::Open(opened)] = &calls[..] else {
        panic!("not opened once")
    };
    assert_eq!(opened.fees.len(), 1);
    assert_eq!(
        (opened.fees[0].amount, opened.fees[0].per_ticket),
        (150, true)
    );
    let refused = answer(client.update_show(update(Vec::new())).await);
    assert_refused(refused, ErrorCode::InvalidState);
    assert_eq!(
        world.show("", &made.show_id).await.unwrap().fees,
        changed.fees
    );
}
