//! Holds, their refusals, and their keys.

use std::time::Duration;

use holdfast_types::{DurationMs, ErrorCode, SeatState, ShowId};
use lockstore_client::SeatKind;
use sqlx::PgPool;
use uuid::Uuid;

use super::world::{
    CAP, PRICE, World, app, code, deadline, id_of, label, opener, opening, opening_with_an_area,
    refused, user,
};
use crate::app::{
    book::Book,
    hold_seats::{Area, Best, HoldSeats, Wanted},
};
use crate::store::shows::NewSeat;

fn book(user_id: holdfast_types::UserId, hold_id: &str, key: &str) -> Book {
    Book {
        user_id,
        hold_id: hold_id.to_owned(),
        idempotency_key: key.to_owned(),
    }
}

#[sqlx::test(migrations = false)]
async fn one_of_many_gets_the_seats_and_the_others_are_told_which(pool: PgPool) {
    let world = World::new(pool).await;
    let tries = (1..=8).map(|n| {
        let world = &world;
        async move { world.try_hold(user(n), &[2, 3], "k").await }
    });
    let results = futures::future::join_all(tries).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for failure in lost.into_iter().filter_map(Result::err) {
        assert_eq!(failure.code(), ErrorCode::SeatLocked);
        let seats = r#"[{"seat_id":"A-3","state":"HELD"},{"seat_id":"A-4","state":"HELD"}]"#;
        assert_eq!(failure.metadata()["seats"], seats);
    }
}

#[sqlx::test(migrations = false)]
async fn same_key_gets_the_same_hold_and_another_body_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let (first, replayed) = world.try_hold(user(1), &[1, 0], "k").await.expect("holds");
    assert!(!replayed);
    assert_eq!(first.expires_in, DurationMs::from_secs(600));
    let (again, replayed) = world
        .try_hold(user(1), &[0, 1], "k")
        .await
        .expect("replays");
    assert!(replayed);
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    let other = code(world.try_hold(user(1), &[0], "k").await);
    assert_eq!(other, ErrorCode::IdempotencyKeyReused);
    let (theirs, replayed) = world
        .try_hold(user(2), &[5], "k")
        .await
        .expect("a key of one's own");
    assert!(!replayed && theirs.token.hold_id != first.token.hold_id);
}

#[sqlx::test(migrations = false)]
async fn malformed_selections_are_refused_by_name(pool: PgPool) {
    let world = World::new(pool).await;
    assert_eq!(
        code(world.try_hold(user(1), &[0], "").await),
        ErrorCode::IdempotencyKeyRequired
    );
    let long = "k".repeat(256);
    assert_eq!(
        code(world.try_hold(user(1), &[0], &long).await),
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        code(world.try_hold(user(1), &[], "k").await),
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        code(world.try_hold(user(1), &[1, 1], "k").await),
        ErrorCode::InvalidRequest
    );
    let many: Vec<usize> = (0..65).collect();
    assert_eq!(
        code(world.try_hold(user(1), &many, "k").await),
        ErrorCode::InvalidRequest
    );
    let unknown = world
        .try_hold(user(1), &[0, 99], "k")
        .await
        .expect_err("no such seat");
    assert_eq!(unknown.code(), ErrorCode::SeatNotFound);
    assert_eq!(unknown.metadata()["seats"], r#"[{"seat_id":"A-100"}]"#);
    let many: Vec<usize> = (100..164).collect();
    let unknown = world.try_hold(user(1), &many, "k").await;
    let unknown = unknown.expect_err("no such seats");
    assert_eq!(unknown.code(), ErrorCode::SeatNotFound);
    let named = &unknown.metadata()["seats"];
    assert_eq!(named.matches("seat_id").count(), 8, "{named}");
    let long = HoldSeats {
        user_id: user(1),
        show_id: world.show_id,
        wanted: Wanted::Seats(vec![label(0), "A".repeat(129)]),
        idempotency_key: "k".to_owned(),
    };
    let long = refused(world.app.hold_seats(long, deadline()).await);
    assert_eq!(long.code(), ErrorCode::InvalidRequest);
    assert_eq!(long.fields()[0].field, "seat_ids[1]");
    assert!(
        world
            .seats()
            .await
            .iter()
            .all(|state| *state == SeatState::Available)
    );
}

#[sqlx::test(migrations = false)]
async fn cap_counts_holds_and_purchases_together(pool: PgPool) {
    let world = World::new(pool).await;
    world.buy(user(1), &[0, 1, 2]).await;
    world.hold(user(1), &[3, 4]).await;
    let refused = world
        .try_hold(user(1), &[5, 6], "k")
        .await
        .expect_err("over the cap");
    assert_eq!(refused.code(), ErrorCode::SeatLimitExceeded);
    assert_eq!(refused.metadata()["limit"], CAP.to_string());
    world.hold(user(1), &[5]).await;
    world.hold(user(2), &[6, 7]).await;
}

#[sqlx::test(migrations = false)]
async fn sold_seats_are_not_available(pool: PgPool) {
    let world = World::new(pool).await;
    world.buy(user(1), &[0]).await;
    let refused = world
        .try_hold(user(2), &[0, 1], "k")
        .await
        .expect_err("sold");
    assert_eq!(refused.code(), ErrorCode::SeatNotAvailable);
    assert_eq!(
        refused.metadata()["seats"],
        r#"[{"seat_id":"A-1","state":"SOLD"}]"#
    );
}

#[sqlx::test(migrations = false)]
async fn somebody_elses_hold_and_booking_are_not_found(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    let app = &world.app;
    for hold_id in [hold.as_str(), "h_nonsense", &hold.replace('0', "1")] {
        let not_found = ErrorCode::HoldNotFound;
        assert_eq!(
            code(app.get_hold(user(2), hold_id, deadline()).await),
            not_found
        );
        assert_eq!(
            code(app.extend_hold(user(2), hold_id, deadline()).await),
            not_found
        );
        assert_eq!(
            code(app.release_hold(user(2), hold_id, deadline()).await),
            not_found
        );
        assert_eq!(code(world.try_book(user(2), hold_id, "k").await), not_found);
    }
    let id = world.book(user(1), &[1]).await;
    let not_found = ErrorCode::BookingNotFound;
    assert_eq!(code(app.get_booking(user(2), id).await), not_found);
    assert_eq!(code(app.cancel_booking(user(2), id, None).await), not_found);
    assert_eq!(code(app.list_tickets(user(2), id).await), not_found);
}

#[sqlx::test(migrations = false)]
async fn released_hold_frees_its_seats_and_can_not_be_booked(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    world
        .app
        .get_hold(user(1), &hold, deadline())
        .await
        .expect("lives");
    for _ in 0..2 {
        world
            .app
            .release_hold(user(1), &hold, deadline())
            .await
            .expect("released");
    }
    assert_eq!(world.seats().await[0], SeatState::Available);
    assert_eq!(
        code(world.try_book(user(1), &hold, "k").await),
        ErrorCode::HoldExpired
    );
    let gone = code(world.app.get_hold(user(1), &hold, deadline()).await);
    assert_eq!(gone, ErrorCode::HoldExpired);
}

#[sqlx::test(migrations = false)]
async fn hold_that_was_booked_is_the_bookings(pool: PgPool) {
    let world = World::new(pool).await;
    let hold = world.hold(user(1), &[0]).await;
    world.try_book(user(1), &hold, "k").await.expect("books");
    let app = &world.app;
    let invalid = ErrorCode::InvalidState;
    assert_eq!(
        code(app.release_hold(user(1), &hold, deadline()).await),
        invalid
    );
    assert_eq!(
        code(app.extend_hold(user(1), &hold, deadline()).await),
        invalid
    );
    assert_eq!(world.seats().await[0], SeatState::Held);
}

#[sqlx::test(migrations = false)]
async fn show_that_has_begun_takes_no_holds_and_no_bookings(pool: PgPool) {
    let world = World::new(pool).await;
    let booked = world.hold(user(1), &[0]).await;
    let first = world.try_book(user(1), &booked, "k").await.expect("books");
    let hold = world.hold(user(1), &[1]).await;
    let (held, _) = world.try_hold(user(2), &[3], "held").await.expect("holds");
    let begun = world.begin_show().await;
    let try_hold = |seat, key: &str| {
        let request = HoldSeats {
            user_id: user(2),
            show_id: world.show_id,
            wanted: Wanted::Seats(vec![label(seat)]),
            idempotency_key: key.to_owned(),
        };
        begun.hold_seats(request, deadline())
    };
    assert_eq!(code(try_hold(2, "new").await), ErrorCode::ShowNotOnSale);
    assert_eq!(world.seats().await[2], SeatState::Available);
    let (again, replayed) = try_hold(3, "held").await.expect("replays");
    assert!(replayed);
    assert_eq!(format!("{again:?}"), format!("{held:?}"));
    let reused = code(try_hold(2, "held").await);
    assert_eq!(reused, ErrorCode::IdempotencyKeyReused);
    let refusal = refused(begun.book(book(user(1), &hold, "k2"), deadline()).await);
    assert_eq!(refusal.code(), ErrorCode::ShowNotOnSale);
    let again = begun.book(book(user(1), &booked, "k"), deadline()).await;
    let again = again.expect("replays");
    assert!(again.replayed);
    assert_eq!(again.booking, first.booking);
}

#[sqlx::test(migrations = false)]
async fn hold_that_leaves_no_time_to_pay_is_not_booked(pool: PgPool) {
    // The store ends holds after 59 s; customers who are to have an hour need 60.
    let world = World::with_hold_ttl(pool, DurationMs::from_secs(59)).await;
    let hold = world.hold(user(1), &[0]).await;
    sqlx::query!("UPDATE booking.shows SET hold_total_ms_max = 7200000")
        .execute(&world.pool)
        .await
        .expect("writes");
    let hour = app(&world.pool, &world.lockstore, Duration::from_secs(3600)).await;
    let refusal = refused(hour.book(book(user(1), &hold, "k"), deadline()).await);
    assert_eq!(refusal.code(), ErrorCode::HoldExpired);
    world
        .try_book(user(1), &hold, "k")
        .await
        .expect("59 s of 59 s are enough");
}

#[sqlx::test(migrations = false)]
async fn availability_is_by_section_in_seat_order(pool: PgPool) {
    let world = World::new(pool).await;
    world.hold(user(1), &[5]).await;
    let app = &world.app;
    let found = app
        .availability(world.show_id, "RIGHT", deadline())
        .await
        .expect("reads");
    assert_eq!(found.show_state, "ON_SALE");
    assert_eq!(found.seats.len(), 5);
    assert_eq!(found.seats[0], (label(5), SeatState::Held));
    assert_eq!(found.seats[1], (label(6), SeatState::Available));
}

#[sqlx::test(migrations = false)]
async fn best_seats_are_chosen_priced_and_bought(pool: PgPool) {
    let world = World::new(pool).await;
    let choose = |key: &str, best: Best| {
        let request = HoldSeats {
            user_id: user(1),
            show_id: world.show_id,
            wanted: Wanted::Best(best),
            idempotency_key: key.to_owned(),
        };
        world.app.hold_seats(request, deadline())
    };
    let two = Best {
        count: 2,
        sections: Vec::new(),
        max_price: None,
        adjacent: true,
        accessible: false,
    };
    let (held, replayed) = choose("a", two.clone()).await.expect("there are some");
    let (again, copied) = choose("a", two.clone()).await.expect("replays");
    assert!(!replayed && copied);
    assert_eq!(format!("{again:?}"), format!("{held:?}"));
    let other = Best {
        count: 3,
        ..two.clone()
    };
    assert_eq!(
        code(choose("a", other).await),
        ErrorCode::IdempotencyKeyReused
    );
    let booked = world
        .try_book(user(1), &held.token.to_string(), "book")
        .await
        .expect("books");
    let booked = world.view(id_of(&booked)).await.booking;
    let seats = &booked.seats;
    assert!(
        seats.len() == 2 && seats[0].0 + 1 == seats[1].0,
        "{seats:?}"
    );
    assert_eq!(booked.total.amount, 2 * PRICE);

    let cheap = Best {
        max_price: Some(0),
        ..two.clone()
    };
    assert_eq!(code(choose("b", cheap).await), ErrorCode::SeatNotAvailable);
    let elsewhere = Best {
        sections: vec!["NOWHERE".to_owned()],
        ..two.clone()
    };
    let refused = refused(choose("b", elsewhere).await);
    assert_eq!(refused.fields()[0].field, "best_available.sections[0]");
    let none = Best { count: 0, ..two };
    assert_eq!(code(choose("b", none).await), ErrorCode::InvalidRequest);
}

/// What release 0.1.0 told the store of a show didn't tell its seats apart: the same as if their
/// prices were others since.
#[sqlx::test(migrations = false)]
async fn choice_that_is_not_what_was_asked_for_is_given_back(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    sqlx::query("UPDATE booking.seats SET price = 10 * price WHERE seat_no >= 3")
        .execute(&pool)
        .await
        .expect("writes");
    let request = HoldSeats {
        user_id: user(1),
        show_id: world.show_id,
        wanted: Wanted::Best(Best {
            count: 2,
            sections: Vec::new(),
            max_price: Some(PRICE),
            adjacent: true,
            accessible: false,
        }),
        idempotency_key: "k".to_owned(),
    };
    let refused = refused(world.app.hold_seats(request, deadline()).await);
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);
    assert_eq!(refused.fields()[0].field, "best_available");
    let seats = world.seats().await;
    assert!(seats.iter().all(|state| *state == SeatState::Available));
}

#[sqlx::test(migrations = false)]
async fn no_seat_is_left_alone_where_the_show_says_so_over_a_rebuild_too(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.show_id = ShowId::from_uuid(Uuid::now_v7());
    let mut request = opening(world.show_id, DurationMs::from_secs(600));
    request.no_lone_seat = true;
    let open = world.app.open_inventory(opener(), request, deadline());
    open.await.expect("opens");
    world.buy(user(1), &[0, 1]).await;
    let alone = r#"[{"seat_id":"A-3","state":"AVAILABLE"}]"#;
    let refused = world
        .try_hold(user(2), &[3, 4], "k")
        .await
        .expect_err("leaves one");
    assert_eq!(refused.code(), ErrorCode::LeavesLoneSeat);
    assert_eq!(refused.metadata()["seats"], alone);
    world.lose_store().await;
    crate::rebuild::if_pending(&world.app)
        .await
        .expect("loads")
        .expect("is pending");
    let refused = world
        .try_hold(user(2), &[3, 4], "k")
        .await
        .expect_err("leaves one");
    assert_eq!(refused.code(), ErrorCode::LeavesLoneSeat);
    world
        .try_hold(user(2), &[2, 3], "k")
        .await
        .expect("leaves none");
}

#[sqlx::test(migrations = false)]
async fn places_of_an_area_are_the_lowest_free_ones_and_a_repeat_is_given_the_same(pool: PgPool) {
    let world = World::new(pool).await;
    let show_id = world.open_with_an_area().await;
    let hold = |user_id, wanted: Wanted, key: &str| {
        let request = HoldSeats {
            user_id,
            show_id,
            wanted,
            idempotency_key: key.to_owned(),
        };
        world.app.hold_seats(request, deadline())
    };
    let places = |name: &str, count| {
        Wanted::Area(Area {
            name: name.to_owned(),
            count,
        })
    };
    let labels = |seats: &[&str]| {
        seats
            .iter()
            .map(|one| (*one).to_owned())
            .collect::<Vec<_>>()
    };
    let (first, replayed) = hold(user(1), places("FLOOR", 2), "a").await.expect("holds");
    assert!(!replayed);
    assert_eq!(first.seat_ids, labels(&["FLOOR-1", "FLOOR-2"]));
    let (second, _) = hold(user(2), places("FLOOR", 1), "a").await.expect("holds");
    assert_eq!(second.seat_ids, labels(&["FLOOR-3"]));
    let (again, replayed) = hold(user(1), places("FLOOR", 2), "a")
        .await
        .expect("replays");
    assert!(replayed && again.seat_ids == first.seat_ids);
    let other = hold(user(1), places("FLOOR", 1), "a").await;
    assert_eq!(code(other), ErrorCode::IdempotencyKeyReused);
    // There is one left.
    let many = hold(user(3), places("FLOOR", 2), "a").await;
    assert_eq!(code(many), ErrorCode::SeatNotAvailable);
    for (name, count, field) in [
        ("NOWHERE", 1, "area.name"),
        // A section of seats.
        ("ROW", 1, "area.name"),
        ("FLOOR", 0, "area.count"),
        ("FLOOR", 65, "area.count"),
    ] {
        let refused = refused(hold(user(4), places(name, count), "a").await);
        assert_eq!(refused.fields()[0].field, field);
    }

    // A companion's seat goes with the place it is beside, and neither is chosen unasked.
    let named = |seats: &[&str]| Wanted::Seats(labels(seats));
    let alone = refused(hold(user(5), named(&["ROW-2"]), "a").await);
    assert_eq!(alone.fields()[0].field, "seat_ids");
    let best = |count, accessible| {
        Wanted::Best(Best {
            count,
            sections: Vec::new(),
            max_price: None,
            adjacent: true,
            accessible,
        })
    };
    let (chosen, _) = hold(user(6), best(1, false), "a").await.expect("chooses");
    assert_eq!(chosen.seat_ids, labels(&["ROW-3"]));
    assert_eq!(
        code(hold(user(6), best(1, false), "b").await),
        ErrorCode::SeatNotAvailable
    );
    let (pair, _) = hold(user(7), best(2, true), "a").await.expect("chooses");
    assert_eq!(pair.seat_ids, labels(&["ROW-1", "ROW-2"]));
    world
        .app
        .release_hold(user(7), &pair.token.to_string(), deadline())
        .await
        .expect("releases");
    hold(user(8), named(&["ROW-1", "ROW-2"]), "a")
        .await
        .expect("holds");
}

#[sqlx::test(migrations = false)]
async fn an_area_in_pieces_or_mixed_with_seats_is_not_opened(pool: PgPool) {
    let world = World::new(pool).await;
    for bend in [
        |seats: &mut Vec<NewSeat>| seats[2].section = "FLOOR".to_owned(),
        |seats: &mut Vec<NewSeat>| seats[4].kind = SeatKind::Plain,
        |seats: &mut Vec<NewSeat>| seats[4].section = "ROW".to_owned(),
    ] {
        let mut request = opening_with_an_area();
        bend(&mut request.seats);
        let opened = world
            .app
            .open_inventory(opener(), request, deadline())
            .await;
        let refused = refused(opened);
        assert!(
            refused.fields()[0].field.ends_with(".section"),
            "{refused:?}"
        );
    }
}
