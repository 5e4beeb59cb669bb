//! Putting shows on sale, and what becomes of them.

use std::time::Duration;

use holdfast_mesh::Failure;
use holdfast_proto::{booking::v1 as booking, catalog::v1 as wire, events::v1 as events};
use holdfast_types::{ErrorCode, ShowId};
use prost::Message;
use sqlx::PgPool;

use crate::world::{Call, World, answer, assert_refused, id, in_days, refused_fields, token, with};

fn change(show: &wire::Show, state: &str) -> Call {
    Call::Change {
        show_id: show.show_id.clone(),
        state: state.to_owned(),
    }
}

/// What booking-svc is told of when sales begin and end, in order.
async fn told_of_sales(pool: &PgPool) -> Vec<events::ShowSaleChanged> {
    let told: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT key, payload FROM catalog.outbox
         WHERE topic = 'sale' AND event_type = 'ShowSaleChanged' ORDER BY position",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let event = |(key, payload): (String, Vec<u8>)| {
        let event = events::ShowSaleChanged::decode(&*payload).unwrap();
        assert_eq!(ShowId::from_slice(&event.show_id).unwrap().to_string(), key);
        event
    };
    told.into_iter().map(event).collect()
}

#[sqlx::test]
async fn a_sales_times_change_in_any_state_and_are_told_once_seats_may_be_sold(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let client = world.client();
    let update = |starts: Option<i64>, ends: Option<i64>| {
        let mut client = client.clone();
        let request = wire::UpdateShowRequest {
            show: Some(wire::CreateShowRequest {
                show_id: draft.show_id.clone(),
                sale_starts_at_ms: starts,
                sale_ends_at_ms: ends,
                ..Default::default()
            }),
            fields: vec!["sale_starts_at_ms".to_owned(), "sale_ends_at_ms".to_owned()],
            if_version: String::new(),
        };
        let request = with(&organiser, request);
        async move {
            client
                .update_show(request)
                .await
                .unwrap()
                .into_inner()
                .show
                .unwrap()
        }
    };
    let (begin, end) = (Some(in_days(1)), Some(in_days(2)));
    update(begin, None).await;
    assert_eq!(told_of_sales(&pool).await, []);
    world.publish(&organiser, &draft.show_id).await.unwrap();
    let calls = world.inventory.calls();
    let [Call::Open(opened)] = &calls[..] else {
        panic!("not opened once")
    };
    assert_eq!(
        (opened.sale_starts_at_ms, opened.sale_ends_at_ms),
        (begin, None)
    );
    assert_eq!(opened.sale_version, 2);

    for _ in 0..2 {
        update(begin, end).await;
    }
    let changed = update(None, None).await;
    assert_eq!(
        (changed.sale_starts_at_ms, changed.state.as_str()),
        (None, "ON_SALE")
    );
    let told = |sale_starts_at_ms, sale_ends_at_ms, sale_version| events::ShowSaleChanged {
        show_id: draft.show_id.clone(),
        sale_starts_at_ms,
        sale_ends_at_ms,
        sale_version,
    };
    let expected = [told(begin, end, 3), told(None, None, 4)];
    assert_eq!(told_of_sales(&pool).await, expected);
}

#[sqlx::test]
async fn publishing_opens_the_inventory_with_every_seat_and_price(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    assert_eq!(draft.state, "DRAFT");
    assert_eq!(world.inventory.calls(), []);

    let published = world.publish(&organiser, &draft.show_id).await.unwrap();
    assert_eq!(
        published,
        wire::Show {
            state: "ON_SALE".to_owned(),
            ..draft.clone()
        }
    );
    assert_eq!(world.show("", &draft.show_id).await.unwrap(), published);

    let [Call::Open(opened)] = &world.inventory.calls()[..] else {
        panic!("not opened once")
    };
    assert_eq!(opened.show_id, draft.show_id);
    assert_eq!(opened.title, "Die Eröffnung");
    assert_eq!(opened.starts_at_ms, draft.starts_at_ms);
    assert_eq!((opened.currency.as_str(), opened.price_version), ("EUR", 1));
    let rules = (
        opened.hold_ttl_ms,
        opened.hold_total_ms_max,
        opened.seats_per_customer_max,
    );
    assert_eq!(rules, (600_000, 1_800_000, 10));
    assert_eq!(opened.seats.len(), 738);
    let total: i64 = opened.seats.iter().map(|seat| seat.price).sum();
    assert_eq!(total, 369 * 9900 + 168 * 5900 + 117 * 1500);
    let seat = &opened.seats[737];
    assert_eq!(
        (seat.label.as_str(), seat.section.as_str(), seat.row_no),
        ("FIRST-2-G-7", "FIRST-2", 89)
    );
}

#[sqlx::test]
async fn the_inventory_is_asked_with_the_organisers_token_and_what_is_left_of_the_deadline(
    pool: PgPool,
) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let message = wire::PublishShowRequest {
        show_id: draft.show_id,
    };
    let mut request = with(&organiser, message);
    request.set_timeout(Duration::from_secs(7));
    world.client.publish_show(request).await.unwrap();
    assert_eq!(
        world.inventory.authorizations(),
        [format!("Bearer {organiser}")]
    );
    let [deadline] = world.inventory.deadlines()[..] else {
        panic!("not asked once")
    };
    assert!(
        deadline <= Duration::from_secs(7) && !deadline.is_zero(),
        "{deadline:?}"
    );
}

#[sqlx::test]
async fn publishing_twice_opens_once(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let first = world.publish(&organiser, &draft.show_id).await.unwrap();
    assert_eq!(
        world.publish(&organiser, &draft.show_id).await.unwrap(),
        first
    );
    let calls = world.inventory.calls();
    assert!(matches!(calls[0], Call::Open(_)));
    assert_eq!(calls[1..], [change(&draft, "ON_SALE")]);
}

#[sqlx::test]
async fn publishing_from_many_sides_opens_once(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let publish = |_| {
        let (mut client, organiser) = (world.client(), organiser.clone());
        let message = wire::PublishShowRequest {
            show_id: draft.show_id.clone(),
        };
        tokio::spawn(async move { client.publish_show(with(&organiser, message)).await })
    };
    let publishing: Vec<_> = (0..8).map(publish).collect();
    for published in publishing {
        let show = published.await.unwrap().unwrap().into_inner().show.unwrap();
        assert_eq!(show.state, "ON_SALE");
    }
    let opened = world
        .inventory
        .calls()
        .iter()
        .filter(|c| matches!(c, Call::Open(_)))
        .count();
    assert_eq!(opened, 1);
}

#[sqlx::test]
async fn a_failed_publishing_leaves_a_draft_and_is_healed_by_the_next(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world.inventory.refuse_next(Failure::new(
        ErrorCode::Unavailable,
        "the store has no leader",
    ));
    assert_refused(
        world.publish(&organiser, &draft.show_id).await,
        ErrorCode::Unavailable,
    );
    assert_eq!(
        world.show(&organiser, &draft.show_id).await.unwrap().state,
        "DRAFT"
    );
    assert_refused(
        world.show("", &draft.show_id).await,
        ErrorCode::ShowNotFound,
    );

    let show = world.publish(&organiser, &draft.show_id).await.unwrap();
    assert_eq!(show.state, "ON_SALE");
    let calls = world.inventory.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0], calls[1], "the same inventory is asked for again");
}

#[sqlx::test]
async fn a_crash_after_the_inventory_opened_is_healed_by_publishing_again(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world.publish(&organiser, &draft.show_id).await.unwrap();
    // As if the process had ended before it recorded the state.
    sqlx::query("UPDATE catalog.shows SET state = 'DRAFT'")
        .execute(&pool)
        .await
        .unwrap();
    let show = world.publish(&organiser, &draft.show_id).await.unwrap();
    assert_eq!(show.state, "ON_SALE");
    let calls = world.inventory.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0], calls[1], "the same inventory is asked for again");
}

#[sqlx::test]
async fn what_the_inventory_should_never_refuse_shows_nothing_of_it(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world
        .inventory
        .refuse_next(Failure::invalid("seats[3].label", "secret"));
    let failure = world.publish(&organiser, &draft.show_id).await.unwrap_err();
    assert_eq!(
        failure,
        Failure::new(ErrorCode::InternalError, "internal error")
    );
}

#[sqlx::test]
async fn a_show_is_paused_resumed_closed_and_cancelled(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world.publish(&organiser, &draft.show_id).await.unwrap();
    let id = &draft.show_id;
    for state in [
        "PAUSED",
        "PAUSED",
        "ON_SALE",
        "CLOSED",
        "CANCELLED",
        "CANCELLED",
    ] {
        let show = match state {
            "ON_SALE" => world.publish(&organiser, id).await.unwrap(),
            state => world.change_state(&organiser, id, state).await.unwrap(),
        };
        assert_eq!(show.state, state);
        assert_eq!(world.show("", id).await.unwrap().state, state);
    }
    let changes = [
        "PAUSED",
        "PAUSED",
        "ON_SALE",
        "CLOSED",
        "CANCELLED",
        "CANCELLED",
    ];
    assert_eq!(
        world.inventory.calls()[1..],
        changes.map(|state| change(&draft, state))
    );

    for state in ["PAUSED", "CLOSED"] {
        let refused = world.change_state(&organiser, id, state).await;
        assert_refused(refused, ErrorCode::InvalidState);
    }
    assert_refused(world.publish(&organiser, id).await, ErrorCode::InvalidState);
    assert_eq!(world.inventory.calls().len(), 7, "refusals ask nobody");
}

#[sqlx::test]
async fn a_state_that_the_inventory_refuses_is_not_recorded(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world.publish(&organiser, &draft.show_id).await.unwrap();
    for code in [ErrorCode::InvalidState, ErrorCode::Unavailable] {
        world.inventory.refuse_next(Failure::new(code, "no"));
        let refused = world
            .change_state(&organiser, &draft.show_id, "CLOSED")
            .await;
        assert_refused(refused, code);
        assert_eq!(
            world.show("", &draft.show_id).await.unwrap().state,
            "ON_SALE"
        );
    }
}

#[sqlx::test]
async fn drafts_and_unknown_states_are_refused(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    for state in ["PAUSED", "CLOSED"] {
        let refused = world.change_state(&organiser, &draft.show_id, state).await;
        assert_refused(refused, ErrorCode::InvalidState);
    }
    for state in ["DRAFT", "ON_SALE", "paused", ""] {
        let refused = world.change_state(&organiser, &draft.show_id, state).await;
        assert_eq!(refused_fields(refused), ["state"]);
    }
    assert_refused(
        world.publish(&organiser, &id()).await,
        ErrorCode::ShowNotFound,
    );
    assert_eq!(
        refused_fields(world.publish(&organiser, b"short").await),
        ["show_id"]
    );
    assert_eq!(world.inventory.calls(), []);
}

#[sqlx::test]
async fn a_show_that_has_begun_is_not_put_on_sale(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut request = world.prepared_show(&organiser).await;
    request.starts_at_ms = in_days(-1);
    let draft = world.create_show(&organiser, request).await.unwrap();
    assert_refused(
        world.publish(&organiser, &draft.show_id).await,
        ErrorCode::InvalidState,
    );
    assert_eq!(world.inventory.calls(), []);
}

#[sqlx::test]
async fn a_draft_that_sells_can_be_called_off_after_it_has_begun(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world.publish(&organiser, &draft.show_id).await.unwrap();
    // As if the process had ended before it recorded the state, and not come back in time.
    sqlx::query("UPDATE catalog.shows SET state = 'DRAFT', starts_at = now() - interval '1 hour'")
        .execute(&pool)
        .await
        .unwrap();
    assert_refused(
        world.publish(&organiser, &draft.show_id).await,
        ErrorCode::InvalidState,
    );
    world
        .inventory
        .refuse_next(Failure::new(ErrorCode::Unavailable, "no leader"));
    for expected in ["DRAFT", "CANCELLED", "CANCELLED"] {
        let changed = world
            .change_state(&organiser, &draft.show_id, "CANCELLED")
            .await;
        assert_eq!(changed.is_ok(), expected == "CANCELLED", "{changed:?}");
        let shown = world.show(&organiser, &draft.show_id).await.unwrap();
        assert_eq!(shown.state, expected);
    }
    let asked = world.inventory.calls();
    assert_eq!(asked[1..], vec![change(&draft, "CANCELLED"); 3]);
}

#[sqlx::test]
async fn a_draft_that_was_never_opened_can_be_called_off(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world
        .inventory
        .refuse_next(Failure::new(ErrorCode::ShowNotFound, "no such show"));
    let show = world
        .change_state(&organiser, &draft.show_id, "CANCELLED")
        .await
        .unwrap();
    assert_eq!(show.state, "CANCELLED");
    assert_refused(
        world.publish(&organiser, &draft.show_id).await,
        ErrorCode::InvalidState,
    );
}

#[sqlx::test]
async fn rules_are_told_and_opened_and_make_another_version(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let rules = draft.rules.unwrap();
    assert_eq!(
        (rules.late_money(), rules.no_lone_seat),
        (wire::LateMoney::Rebook, false)
    );
    let mut client = world.client();
    let update = |late_money: i32, no_lone_seat| {
        let request = wire::UpdateShowRequest {
            show: Some(wire::CreateShowRequest {
                show_id: draft.show_id.clone(),
                rules: Some(wire::ShowRules {
                    late_money,
                    no_lone_seat,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            fields: vec!["rules".to_owned()],
            if_version: String::new(),
        };
        with(&organiser, request)
    };
    let refused = answer(client.update_show(update(3, false)).await);
    assert_eq!(refused_fields(refused), ["show.rules.late_money"]);
    let refund = wire::LateMoney::Refund;
    let changed = answer(client.update_show(update(refund.into(), true)).await).unwrap();
    let changed = changed.show.unwrap();
    let rules = changed.rules.unwrap();
    assert_eq!((rules.late_money(), rules.no_lone_seat), (refund, true));
    let other = answer(client.update_show(update(refund.into(), false)).await).unwrap();
    let other = other.show.unwrap();
    assert_ne!(changed.version, draft.version);
    assert_ne!(other.version, changed.version);
    assert_ne!(other.version, draft.version);
    answer(client.update_show(update(refund.into(), true)).await).unwrap();
    world.publish(&organiser, &draft.show_id).await.unwrap();
    let calls = world.inventory.calls();
    let [Call::Open(opened)] = &calls[..] else {
        panic!("not opened once")
    };
    assert_eq!(opened.late_money(), booking::LateMoney::Refund);
    assert!(opened.no_lone_seat);
}
