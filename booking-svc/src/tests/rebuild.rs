//! The lock store is lost with all its nodes, and rebuilt from the database.

use holdfast_mesh::Failure;
use holdfast_types::{BookingState, ErrorCode, SeatState, ShowState};
use sqlx::PgPool;

use crate::{
    app::hold_seats::{Area, HoldSeats, Wanted},
    rebuild::{Error, Report, if_pending},
};

use super::{
    crashes::money,
    world::{CANCEL, World, app, deadline, id_of, opener, paid, user},
};

async fn rebuild(world: &World) -> Report {
    let rebuilt = if_pending(&world.app).await.expect("rebuilds");
    rebuilt.expect("it is pending")
}

fn letters(seats: &[SeatState]) -> String {
    let letter = |state: &SeatState| match state {
        SeatState::Available => 'A',
        SeatState::Held => 'H',
        SeatState::Sold => 'S',
        SeatState::Blocked => 'B',
    };
    seats.iter().map(letter).collect()
}

#[sqlx::test(migrations = false)]
async fn sold_seats_stay_sold_and_whoever_was_about_to_pay_gets_a_ticket(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sold = world.buy(user(1), &[0, 1]).await;
    let paying = world.book(user(2), &[3, 4]).await;
    world.hold(user(3), &[6]).await;
    let returned = world.buy(user(4), &[8]).await;
    world
        .app
        .cancel_booking(user(4), returned, None)
        .await
        .expect("cancels");
    assert_eq!(letters(&world.seats().await), "SSAHHAHAAA");

    world.lose_store().await;
    let report = rebuild(&world).await;
    let expected = Report {
        shows: 1,
        sold: 2,
        held: 2,
        blocked: 0,
        failed: 0,
    };
    assert_eq!(report, expected);
    // What was held and not booked is free.
    assert_eq!(letters(&world.seats().await), "SSAHHAAAAA");
    assert_eq!(if_pending(&world.app).await.expect("reads"), None);

    world.tell(paying, paid(paying, 1, 2)).await;
    assert_eq!(world.state(paying).await, BookingState::Confirmed);
    assert_eq!(world.state(sold).await, BookingState::Confirmed);
    // What a customer has counts as before, and so does what is sold.
    let full = world.try_hold(user(1), &[2, 5, 6, 7, 8], "too many").await;
    assert_eq!(
        full.expect_err("refused").code(),
        ErrorCode::SeatLimitExceeded
    );
    world
        .try_hold(user(5), &[3], "sold")
        .await
        .expect_err("it is sold");
    world.buy(user(3), &[6]).await;
    world
        .app
        .cancel_booking(user(1), sold, None)
        .await
        .expect("cancels");
    assert_eq!(letters(&world.seats().await), "AAASSASAAA");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn questions_whose_answers_were_lost_with_the_store_are_asked_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let committed = world.book(user(1), &[0]).await;
    world.die_after_asking(committed, money(committed, 1)).await;
    let released = world.book(user(2), &[1]).await;
    world.die_after_asking(released, CANCEL).await;
    let returned = world.buy(user(3), &[2]).await;
    world.die_before_asking(returned, CANCEL).await;
    let late = world.book(user(4), &[3]).await;
    world.expire(late).await;
    let gone = world.die_after_asking(late, money(late, 1)).await;
    world.die_after_asking(late, gone).await;

    world.lose_store().await;
    rebuild(&world).await;
    for _ in 0..3 {
        world.recover().await;
    }
    assert_eq!(world.state(committed).await, BookingState::Confirmed);
    assert_eq!(world.state(released).await, BookingState::Cancelled);
    assert_eq!(world.state(returned).await, BookingState::Cancelled);
    assert_eq!(world.state(late).await, BookingState::Confirmed);
    assert_eq!(letters(&world.seats().await), "SAASAAAAAA");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn shows_are_as_they_were(pool: PgPool) {
    let mut world = World::new(pool).await;
    let mut shows = vec![(world.show_id, ShowState::OnSale)];
    for state in [ShowState::Paused, ShowState::Closed, ShowState::Cancelled] {
        world.open_another().await;
        world.buy(user(1), &[0]).await;
        let change = world
            .app
            .change_show(opener(), world.show_id, state, deadline());
        assert_eq!(change.await.expect("changes"), state);
        shows.push((world.show_id, state));
    }
    world.lose_store().await;
    assert_eq!(rebuild(&world).await.shows, 4);
    for (show_id, state) in shows {
        let found = world.app.availability(show_id, "", deadline()).await;
        assert_eq!(found.expect("is there").show_state, state.as_str());
    }
}

#[sqlx::test(migrations = false)]
async fn rebuild_that_was_broken_off_goes_on(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.buy(user(1), &[0, 1]).await;
    let paying = world.book(user(2), &[3]).await;
    let first = world.show_id;
    world.open_another().await;
    world.buy(user(1), &[5]).await;
    let paused = world
        .app
        .change_show(opener(), world.show_id, ShowState::Paused, deadline());
    paused.await.expect("pauses");
    world.lose_store().await;
    let report = rebuild(&world).await;
    assert_eq!((report.shows, report.sold, report.held), (2, 3, 1));
    // All of it was done but this. What is on sale by then isn't loaded again.
    sqlx::query!("UPDATE booking.lineage SET rebuilding = true")
        .execute(&world.pool)
        .await
        .expect("writes");
    let again = rebuild(&world).await;
    assert_eq!((again.shows, again.sold, again.held), (2, 1, 0));
    // And nobody raises the lineage again before it is.
    sqlx::query!("UPDATE booking.lineage SET rebuilding = true")
        .execute(&world.pool)
        .await
        .expect("writes");
    let raised = crate::begin_rebuild(&world.pool).await.expect("reads");
    let current = crate::current_lineage(&world.pool).await.expect("reads");
    assert_eq!(raised, current);
    assert_eq!(rebuild(&world).await, again);
    world.show_id = first;
    world.tell(paying, paid(paying, 1, 1)).await;
    assert_eq!(world.state(paying).await, BookingState::Confirmed);
}

#[sqlx::test(migrations = false)]
async fn nothing_is_loaded_into_a_cluster_that_is_not_the_new_one(pool: PgPool) {
    let world = World::new(pool).await;
    world.buy(user(1), &[0]).await;
    // The old one is still there.
    crate::begin_rebuild(&world.pool).await.expect("raises");
    let refused = if_pending(&world.app).await;
    assert!(
        matches!(refused, Err(Error::OtherLineage { .. })),
        "{refused:?}"
    );
    let again = app(&world.pool, &world.lockstore, super::world::LIMIT).await;
    assert!(if_pending(&again).await.is_err(), "it is still pending");
}

#[sqlx::test(migrations = false)]
async fn buyer_whose_time_was_up_while_the_store_was_away_has_some_more(pool: PgPool) {
    let mut world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    world.run_out(id).await;
    world.lose_store().await;
    assert_eq!(rebuild(&world).await.held, 1);
    world.app.sweep().await.expect("sweeps");
    assert_eq!(world.state(id).await, BookingState::PendingPayment);
    world.tell(id, paid(id, 1, 1)).await;
    assert_eq!(world.told(id).await, ["BookingCreated", "BookingConfirmed"]);
    world.audit().await;
}

/// A customer may use a key again when its first hold is long forgotten.
#[sqlx::test(migrations = false)]
async fn purchases_under_one_hold_id_are_all_loaded(pool: PgPool) {
    let mut world = World::new(pool).await;
    let first = world.buy(user(1), &[0]).await;
    let second = world.buy(user(1), &[1, 2]).await;
    let third = world.book(user(1), &[4]).await;
    sqlx::query!(
        "UPDATE booking.bookings SET hold_id =
             (SELECT hold_id FROM booking.bookings WHERE booking_id = $1)",
        first.as_uuid()
    )
    .execute(&world.pool)
    .await
    .expect("writes");
    world.lose_store().await;
    let report = rebuild(&world).await;
    assert_eq!((report.sold, report.held, report.failed), (3, 0, 0));
    assert_eq!(letters(&world.seats().await), "SSSAAAAAAA");
    // The seats of the third are free, and its money is late.
    world.tell(third, paid(third, 1, 1)).await;
    for id in [first, second, third] {
        assert_eq!(world.state(id).await, BookingState::Confirmed);
    }
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn show_that_can_not_be_loaded_stays_paused_and_others_are_on_sale(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (odd, sold) = (world.show_id, world.buy(user(1), &[0]).await);
    world.open_another().await;
    world.buy(user(2), &[3]).await;
    // A fence that the booking doesn't have.
    sqlx::query!(
        "UPDATE booking.bookings SET fence = fence + 1 WHERE booking_id = $1",
        sold.as_uuid()
    )
    .execute(&world.pool)
    .await
    .expect("writes");
    world.lose_store().await;
    let report = rebuild(&world).await;
    assert_eq!((report.shows, report.sold, report.failed), (1, 1, 1));
    world.buy(user(1), &[4]).await;
    let refused = world.app.availability(odd, "", deadline()).await;
    assert_eq!(
        refused.expect("is there").show_state,
        ShowState::Paused.as_str()
    );
}

/// Places of an area that were given out stay theirs, and what is given out then are the lowest free ones.
#[sqlx::test(migrations = false)]
async fn standing_areas_are_as_they_were(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.show_id = world.open_with_an_area().await;
    let hold = async |world: &World, n: u8, count| {
        let request = HoldSeats {
            user_id: user(n),
            show_id: world.show_id,
            wanted: Wanted::Area(Area {
                name: "FLOOR".to_owned(),
                count,
            }),
            idempotency_key: format!("{n}-{count}"),
        };
        world.app.hold_seats(request, deadline()).await
    };
    let book = async |world: &World, n: u8, count| {
        let (hold, _) = hold(world, n, count).await.expect("holds");
        let key = format!("book-{n}");
        let hold_id = hold.token.to_string();
        let booked = world.try_book(user(n), &hold_id, &key).await;
        (id_of(&booked.expect("books")), hold.seat_ids)
    };
    let (returned, _) = book(&world, 1, 1).await;
    let (sold, _) = book(&world, 2, 1).await;
    for id in [returned, sold] {
        world.tell(id, paid(id, 1, 1)).await;
    }
    let (paying, places) = book(&world, 3, 1).await;
    assert_eq!(places, ["FLOOR-3"]);
    world
        .app
        .cancel_booking(user(1), returned, None)
        .await
        .expect("cancels");
    hold(&world, 4, 1).await.expect("holds");
    assert_eq!(letters(&world.seats().await), "AAAHSHA");

    world.lose_store().await;
    let report = rebuild(&world).await;
    assert_eq!((report.sold, report.held, report.failed), (1, 1, 0));
    // The hold that wasn't booked is gone, and its place is the lowest free one again.
    assert_eq!(letters(&world.seats().await), "AAAASHA");
    world.tell(paying, paid(paying, 1, 1)).await;
    assert_eq!(world.state(paying).await, BookingState::Confirmed);
    let full = hold(&world, 5, 3).await.map_err(Failure::from);
    assert_eq!(
        full.expect_err("two are free").code(),
        ErrorCode::SeatNotAvailable
    );
    let (given, _) = hold(&world, 5, 2).await.expect("holds");
    assert_eq!(given.seat_ids, ["FLOOR-1", "FLOOR-4"]);
    // It is still an area, whose places nobody sits beside; and the row is still one.
    let named = |seats: &[&str]| Wanted::Seats(seats.iter().map(|one| (*one).to_owned()).collect());
    for (seats, is_held) in [(&["ROW-2"][..], false), (&["ROW-1", "ROW-2"], true)] {
        let request = HoldSeats {
            user_id: user(6),
            show_id: world.show_id,
            wanted: named(seats),
            idempotency_key: format!("{seats:?}"),
        };
        let held = world.app.hold_seats(request, deadline()).await;
        assert_eq!(held.is_ok(), is_held, "{seats:?}");
    }
    assert_eq!(letters(&world.seats().await), "HHAHSSH");
    world.audit().await;
}
