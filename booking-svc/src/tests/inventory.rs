//! Opening a show, and moving its state.

use holdfast_types::{DurationMs, ErrorCode, SeatState, ShowId, ShowState};
use sqlx::PgPool;
use uuid::Uuid;

use super::world::{LIMIT, SEATS, World, app, code, deadline, opener, opening, refused, user};
use crate::{
    app::{open_inventory::OpenInventory, rights::Actor},
    store::shows,
};

/// Makes a good request a bad one.
type Spoil = fn(&mut OpenInventory);

const TTL: DurationMs = DurationMs::from_secs(600);

#[sqlx::test(migrations = false)]
async fn opening_again_changes_nothing_and_another_layout_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    let request = opening(show_id, TTL);
    for _ in 0..2 {
        let opened = world
            .app
            .open_inventory(opener(), request.clone(), deadline())
            .await;
        assert_eq!(opened.expect("opens"), SEATS as u32);
    }
    let mut renamed = request.clone();
    renamed.title.push('!');
    let opened = world
        .app
        .open_inventory(opener(), renamed, deadline())
        .await;
    assert_eq!(opened.expect("words are no layout"), SEATS as u32);
    let mut other = request;
    other.seats[3].price += 1;
    let refused = code(world.app.open_inventory(opener(), other, deadline()).await);
    assert_eq!(refused, ErrorCode::AlreadyExists);
}

#[sqlx::test(migrations = false)]
async fn opening_that_lost_the_store_is_hidden_and_goes_on_later(pool: PgPool) {
    let world = World::new(pool).await;
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    let request = opening(show_id, TTL);
    let away = app(&world.pool, "http://127.0.0.1:1", LIMIT).await;
    let soon = holdfast_mesh::deadline::Deadline::after(std::time::Duration::from_secs(2));
    let failed = code(away.open_inventory(opener(), request.clone(), soon).await);
    assert_eq!(failed, ErrorCode::Unavailable);
    let hidden = code(world.app.availability(show_id, "", deadline()).await);
    assert_eq!(hidden, ErrorCode::ShowNotFound);
    world
        .app
        .open_inventory(opener(), request, deadline())
        .await
        .expect("opens");
    let found = world
        .app
        .availability(show_id, "", deadline())
        .await
        .expect("is there");
    assert!(
        found
            .seats
            .iter()
            .all(|(_, state)| *state == SeatState::Available)
    );
}

#[sqlx::test(migrations = false)]
async fn malformed_layouts_are_refused_and_nothing_is_written(pool: PgPool) {
    let world = World::new(pool).await;
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    let breaks: [Spoil; 8] = [
        |request| request.seats.clear(),
        |request| request.seats[1].label = request.seats[0].label.clone(),
        |request| request.seats[1].label.clear(),
        |request| request.seats[1].price = -1,
        |request| request.seats[1].row_no = 2,
        |request| request.title.clear(),
        |request| request.hold_ttl = DurationMs(0),
        |request| request.hold_total_max = DurationMs(1),
    ];
    for spoil in breaks {
        let mut request = opening(show_id, TTL);
        spoil(&mut request);
        let refused = code(
            world
                .app
                .open_inventory(opener(), request, deadline())
                .await,
        );
        assert_eq!(refused, ErrorCode::InvalidRequest);
    }
    world
        .app
        .open_inventory(opener(), opening(show_id, TTL), deadline())
        .await
        .expect("still free");
}

#[sqlx::test(migrations = false)]
async fn paused_show_takes_no_new_holds_and_sells_what_is_held(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let change = |state| {
        world
            .app
            .change_show(opener(), world.show_id, state, deadline())
    };
    for _ in 0..2 {
        assert_eq!(
            change(ShowState::Paused).await.expect("pauses"),
            ShowState::Paused
        );
    }
    let refused = code(world.try_hold(user(2), &[1], "k").await);
    assert_eq!(refused, ErrorCode::ShowNotOnSale);
    let booked = world.try_book(user(1), &hold, "k").await.expect("books");
    let id = super::world::id_of(&booked);
    world.tell(id, super::world::paid(id, 1, 1)).await;
    world.audit().await;
    change(ShowState::OnSale).await.expect("goes on");
    world.hold(user(2), &[1]).await;
    let unknown = ShowId::from_uuid(Uuid::now_v7());
    let refused = code(
        world
            .app
            .change_show(opener(), unknown, ShowState::Paused, deadline())
            .await,
    );
    assert_eq!(refused, ErrorCode::ShowNotFound);
}

#[sqlx::test(migrations = false)]
async fn state_that_comes_late_does_not_undo_an_end(pool: PgPool) {
    let world = World::new(pool).await;
    for (told, then) in [
        (ShowState::Paused, ShowState::Paused),
        (ShowState::OnSale, ShowState::OnSale),
        (ShowState::Closed, ShowState::Closed),
        (ShowState::OnSale, ShowState::Closed),
        (ShowState::Cancelled, ShowState::Cancelled),
        (ShowState::Closed, ShowState::Cancelled),
        (ShowState::Paused, ShowState::Cancelled),
    ] {
        let written = shows::set_state(&world.pool, world.show_id, told).await;
        written.expect("writes");
        let found = shows::find(&world.pool, world.show_id).await;
        let found = found.expect("reads").expect("is there");
        assert_eq!(found.state, then, "after {told}");
    }
}

#[sqlx::test(migrations = false)]
async fn control_characters_are_refused_by_field(pool: PgPool) {
    let world = World::new(pool).await;
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    let breaks: [(&str, Spoil); 4] = [
        ("title", |request| request.title.push('\0')),
        ("seats[1].label", |request| {
            request.seats[1].label.push('\0')
        }),
        ("seats[2].section", |request| {
            request.seats[2].section.push('\n')
        }),
        ("seats[3].category", |request| {
            request.seats[3].category.push('\u{7f}')
        }),
    ];
    for (field, spoil) in breaks {
        let mut request = opening(show_id, TTL);
        spoil(&mut request);
        let refusal = refused(
            world
                .app
                .open_inventory(opener(), request, deadline())
                .await,
        );
        assert_eq!(refusal.code(), ErrorCode::InvalidRequest);
        assert_eq!(refusal.fields()[0].field, field);
    }
}

#[sqlx::test(migrations = false)]
async fn show_is_its_openers_and_the_admins_to_change(pool: PgPool) {
    let world = World::new(pool).await;
    let app = &world.app;
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    let request = opening(show_id, TTL);
    let open = |actor| app.open_inventory(actor, request.clone(), deadline());
    let change = |actor| app.change_show(actor, show_id, ShowState::Paused, deadline());
    open(opener()).await.expect("opens");
    let stranger = Actor::Organiser(user(201));
    assert_eq!(code(open(stranger).await), ErrorCode::Forbidden);
    assert_eq!(code(change(stranger).await), ErrorCode::Forbidden);
    let found = app.availability(show_id, "", deadline()).await;
    assert_eq!(found.expect("is there").show_state, "ON_SALE");
    open(Actor::Admin)
        .await
        .expect("an admin may open it again");
    change(Actor::Admin).await.expect("an admin may");
    change(opener()).await.expect("it stays the first opener's");
}

#[sqlx::test(migrations = false)]
async fn show_that_an_admin_opened_for_an_organiser_is_the_organisers(pool: PgPool) {
    let world = World::new(pool).await;
    let app = &world.app;
    let organiser = |n| Actor::Organiser(user(n));
    let request = |n| OpenInventory {
        owner: Some(user(n)),
        ..opening(ShowId::from_uuid(Uuid::now_v7()), TTL)
    };
    let theirs = request(201);
    let opened = app.open_inventory(Actor::Admin, theirs.clone(), deadline());
    opened.await.expect("opens");
    let change = |actor| app.change_show(actor, theirs.show_id, ShowState::Paused, deadline());
    assert_eq!(code(change(organiser(202)).await), ErrorCode::Forbidden);
    change(organiser(201)).await.expect("pauses");

    let not_theirs = request(201);
    let opened = app.open_inventory(organiser(202), not_theirs.clone(), deadline());
    opened.await.expect("opens");
    let paused = |actor| app.change_show(actor, not_theirs.show_id, ShowState::Paused, deadline());
    assert_eq!(code(paused(organiser(201)).await), ErrorCode::Forbidden);
    paused(organiser(202)).await.expect("it is who opened it");
}

#[sqlx::test(migrations = false)]
async fn show_that_an_admin_opened_is_the_admins(pool: PgPool) {
    let world = World::new(pool).await;
    let show_id = ShowId::from_uuid(Uuid::now_v7());
    let app = &world.app;
    let open = |actor| app.open_inventory(actor, opening(show_id, TTL), deadline());
    open(Actor::Admin).await.expect("opens");
    assert_eq!(code(open(opener()).await), ErrorCode::Forbidden);
    let change = |actor| app.change_show(actor, show_id, ShowState::Paused, deadline());
    assert_eq!(code(change(opener()).await), ErrorCode::Forbidden);
    change(Actor::Admin).await.expect("pauses");
}
