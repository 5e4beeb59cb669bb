//! Who may do what.

use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::world::{
    World, assert_refused, event, expired_token, forged_token, id, plan, show, token, venue,
};

#[sqlx::test]
async fn writing_needs_a_good_token_of_an_organiser_or_admin(pool: PgPool) {
    let mut world = World::start(pool).await;
    let cases = [
        (String::new(), ErrorCode::Unauthorized),
        ("nonsense".to_owned(), ErrorCode::Unauthorized),
        (forged_token("admin"), ErrorCode::Unauthorized),
        (expired_token("organiser"), ErrorCode::Unauthorized),
        (token("customer"), ErrorCode::Forbidden),
        (token("staff"), ErrorCode::Forbidden),
    ];
    for (token, code) in cases {
        assert_refused(world.create_venue(&token, venue()).await, code);
        let change = world.update_venue(&token, venue(), &["name"], "").await;
        assert_refused(change, code);
        let change = world.rename(&token, &id(), "Other", "").await;
        assert_refused(change, code);
        assert_refused(world.import_plan(&token, plan(&id())).await, code);
        assert_refused(world.create_event(&token, event()).await, code);
        assert_refused(world.update_event(&token, event()).await, code);
        assert_refused(world.create_show(&token, show(&id(), &id())).await, code);
        assert_refused(world.publish(&token, &id()).await, code);
        assert_refused(world.change_state(&token, &id(), "PAUSED").await, code);
    }
    world
        .create_venue(&token("organiser"), venue())
        .await
        .unwrap();
    world.create_venue(&token("admin"), venue()).await.unwrap();
}

#[sqlx::test]
async fn somebody_elses_venue_plan_and_event_are_not_found(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let request = world.prepared_show(&organiser).await;
    let theirs = world.prepared_show(&other).await;
    let mut with_my_event = theirs.clone();
    with_my_event.event_id = request.event_id.clone();
    assert_refused(
        world.create_show(&other, with_my_event).await,
        ErrorCode::EventNotFound,
    );
    let mut with_my_plan = theirs;
    with_my_plan.plan_id = request.plan_id;
    assert_refused(
        world.create_show(&other, with_my_plan).await,
        ErrorCode::PlanNotFound,
    );
}

#[sqlx::test]
async fn a_draft_is_there_for_its_organiser_and_admins_only(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let id = &draft.show_id;
    for token in ["", &token("organiser"), &token("customer")] {
        assert_refused(world.show(token, id).await, ErrorCode::ShowNotFound);
        assert_refused(world.seat_map(token, id).await, ErrorCode::ShowNotFound);
    }
    for token in [&organiser, &token("admin")] {
        assert_eq!(world.show(token, id).await.unwrap(), draft);
        assert_eq!(world.seat_map(token, id).await.unwrap().seats.len(), 738);
    }
    // The same whether or not there is something.
    let expired = expired_token("organiser");
    assert_refused(world.show(&expired, id).await, ErrorCode::Unauthorized);
    assert_refused(
        world.show(&expired, &crate::world::id()).await,
        ErrorCode::Unauthorized,
    );
}

#[sqlx::test]
async fn somebody_elses_draft_is_not_found_and_their_public_show_is_forbidden(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let draft = world.draft(&organiser).await;
    let id = &draft.show_id;
    assert_refused(world.publish(&other, id).await, ErrorCode::ShowNotFound);
    assert_refused(
        world.change_state(&other, id, "PAUSED").await,
        ErrorCode::ShowNotFound,
    );
    assert_eq!(world.inventory.calls(), []);
    world.publish(&organiser, id).await.unwrap();
    assert_refused(world.publish(&other, id).await, ErrorCode::Forbidden);
    assert_refused(
        world.change_state(&other, id, "PAUSED").await,
        ErrorCode::Forbidden,
    );
    assert_eq!(world.inventory.calls().len(), 1);
    // A token that doesn't count is no hindrance to reading what is public.
    world.show(&expired_token("customer"), id).await.unwrap();
}

#[sqlx::test]
async fn somebody_elses_event_is_not_found_until_it_is_public(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let draft = world.draft(&organiser).await;
    let mut event = draft.event.clone().unwrap();
    event.title = "Taken over".to_owned();
    let unknown = wire::Event {
        event_id: id(),
        ..event.clone()
    };
    for token in [&organiser, &other] {
        let refused = world.update_event(token, unknown.clone()).await;
        assert_refused(refused, ErrorCode::EventNotFound);
    }
    let refused = world.update_event(&other, event.clone()).await;
    assert_refused(refused, ErrorCode::EventNotFound);
    world.publish(&organiser, &draft.show_id).await.unwrap();
    let refused = world.update_event(&other, event.clone()).await;
    assert_refused(refused, ErrorCode::Forbidden);
    let show = world.show("", &draft.show_id).await.unwrap();
    assert_eq!(show.event, draft.event);

    let changed = world.update_event(&token("admin"), event).await.unwrap();
    assert_eq!(changed.title, "Taken over");
    let show = world.show("", &draft.show_id).await.unwrap();
    assert_eq!(show.event, Some(changed));
}

#[sqlx::test]
async fn an_admin_may_change_what_an_organiser_made(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (organiser, admin) = (token("organiser"), token("admin"));
    let request = world.prepared_show(&organiser).await;
    let draft = world.create_show(&admin, request).await.unwrap();
    assert_eq!(
        world.publish(&admin, &draft.show_id).await.unwrap().state,
        "ON_SALE"
    );
    // Made by the admin, so not the organiser's.
    assert_refused(
        world.publish(&organiser, &draft.show_id).await,
        ErrorCode::Forbidden,
    );
}

#[sqlx::test]
async fn a_known_id_with_the_same_body_changes_nothing_and_with_another_is_refused(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let asked = venue();
    let made = world.create_venue(&organiser, asked.clone()).await.unwrap();
    let version = made.version.clone();
    let as_asked = wire::Venue {
        version,
        ..asked.clone()
    };
    assert_eq!(made, as_asked);
    assert_eq!(
        world.create_venue(&organiser, asked.clone()).await.unwrap(),
        made
    );
    assert_refused(
        world.create_venue(&other, asked.clone()).await,
        ErrorCode::AlreadyExists,
    );
    let mut changed = asked;
    changed.longitude += 0.001;
    assert_refused(
        world.create_venue(&organiser, changed).await,
        ErrorCode::AlreadyExists,
    );

    let asked = event();
    let made = world.create_event(&organiser, asked.clone()).await.unwrap();
    assert_eq!(
        world.create_event(&organiser, asked.clone()).await.unwrap(),
        made
    );
    let mut changed = asked;
    changed.title.push('!');
    assert_refused(
        world.create_event(&organiser, changed).await,
        ErrorCode::AlreadyExists,
    );

    let asked = world.prepared_show(&organiser).await;
    let made = world.create_show(&organiser, asked.clone()).await.unwrap();
    let mut reordered = asked.clone();
    reordered.prices.reverse();
    assert_eq!(
        world.create_show(&organiser, reordered).await.unwrap(),
        made
    );
    let mut changed = asked.clone();
    changed.prices[0].amount += 1;
    assert_refused(
        world.create_show(&organiser, changed).await,
        ErrorCode::AlreadyExists,
    );
    // On sale meanwhile: still the same show.
    world.publish(&organiser, &made.show_id).await.unwrap();
    assert_eq!(
        world.create_show(&organiser, asked).await.unwrap().state,
        "ON_SALE"
    );
}
