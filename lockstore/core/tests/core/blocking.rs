//! Seats that staff takes out of sale.

use std::sync::Arc;

use holdfast_types::SeatState;
use lockstore_core::{
    BlockSeats, Command, Event, Outcome, Record, RefusalReason, ShowState, State,
};

use crate::kit::*;

fn blocked(numbers: &[u32]) -> Outcome {
    Outcome::Blocked {
        seat_nos: seats(numbers).into(),
        already: numbers.is_empty(),
    }
}

fn unblocked(numbers: &[u32]) -> Outcome {
    Outcome::Unblocked {
        seat_nos: seats(numbers).into(),
        already: numbers.is_empty(),
    }
}

#[test]
fn blocked_seat_is_not_sold_until_it_is_put_back() {
    let mut store = Store::with_show();
    assert_eq!(store.block(&[3, 1]), blocked(&[1, 3]));
    assert!(matches!(&store.events[..], [Event::SeatsBlocked { .. }]));
    assert_eq!(store.block(&[1, 2]), blocked(&[2]), "only what wasn't");
    let refusal = store.hold(1, &[1, 4]).expect_err("it is blocked");
    assert_eq!(refusal.reason, RefusalReason::Conflict);
    assert_eq!(refusal.seats[0].state, Some(SeatState::Blocked));
    assert_eq!(store.unblock(&[1, 4]), unblocked(&[1]));
    assert_eq!(store.unblock(&[1, 4]), unblocked(&[]));
    store.held(1, &[1, 4]);
    assert_eq!(store.seat(3), SeatState::Blocked);
}

#[test]
fn nothing_is_blocked_in_a_show_that_was_closed_while_its_layout_arrived() {
    let mut store = Store::new();
    let request = store.request();
    let Command::OpenShow(mut command) = open(request, 30, true) else {
        panic!("open makes this command")
    };
    command.seats = layout(0, 12);
    store.apply(Command::OpenShow(command));
    store.change(ShowState::Closed);
    assert_eq!(store.show_state(), ShowState::Closed);
    for seat in [1, 20] {
        let outcome = store.block(&[seat]);
        assert_eq!(reason(&outcome), RefusalReason::ShowNotOnSale, "{seat}");
    }
}

#[test]
fn seat_is_never_blocked_under_its_holder_or_its_owner() {
    let mut store = Store::with_show();
    store.held(1, &[1]);
    let sold = store.held(2, &[2]);
    store.commit(&sold, 1);
    let Outcome::Refused(refusal) = store.block(&[0, 1, 2]) else {
        panic!("two are taken")
    };
    let named: Vec<_> = refusal.seats.iter().map(|seat| seat.state).collect();
    assert_eq!(refusal.reason, RefusalReason::Conflict);
    assert_eq!(named, [Some(SeatState::Held), Some(SeatState::Sold)]);
    assert_eq!(store.seat(0), SeatState::Available, "all or nothing");
    store.give_back(sold.fence, &[2], 1);
    store.wait(OVERDUE_MS);
    assert_eq!(store.block(&[0, 1, 2]), blocked(&[0, 1, 2]));
}

#[test]
fn copy_of_a_block_does_not_undo_what_came_after() {
    let mut store = Store::with_show();
    let request = store.request();
    let command = |actor| {
        Command::BlockSeats(BlockSeats {
            request,
            show_id: show_id(1),
            seat_nos: seats(&[5]),
            actor,
        })
    };
    assert_eq!(store.apply(command(user(200))), blocked(&[5]));
    store.unblock(&[5]);
    assert_eq!(store.apply(command(user(200))), blocked(&[]));
    assert_eq!(store.seat(5), SeatState::Available);
    let reused = store.apply(command(user(7)));
    assert_eq!(reason(&reused), RefusalReason::RequestReused);
}

#[test]
fn seat_that_was_blocked_keeps_its_fence_and_one_never_held_leaves_nothing_behind() {
    let mut store = Store::with_show();
    let first = store.held(1, &[1]);
    store.release(&first);
    let untouched: Vec<Record> = seat_records(&store.state);
    store.block(&[1, 9]);
    store.unblock(&[1, 9]);
    assert_eq!(seat_records(&store.state), untouched);
    assert!(store.held(2, &[1]).fence > first.fence);
}

fn seat_records(state: &State) -> Vec<Record> {
    let of_seats = |record: &Record| matches!(record, Record::Seats(_) | Record::Blocked(_));
    state.records().filter(of_seats).collect()
}

#[test]
fn who_had_a_seat_blocked_is_kept_over_a_restart() {
    let mut store = Store::with_show();
    store.block(&[4, 5]);
    store.state = State::from_records(store.state.records()).expect("good records");
    let by: Vec<_> = store
        .state
        .records()
        .filter_map(|record| match record {
            Record::Blocked(record) => Some(record.seats),
            _ => None,
        })
        .flatten()
        .collect();
    let [a, b] = [4, 5].map(|n| (holdfast_types::SeatNo(n), user(200)));
    assert_eq!(by, [a, b]);
    assert_eq!(store.unblock(&[4, 5]), unblocked(&[4, 5]));
}

#[test]
fn seats_are_blocked_in_any_state_but_these_and_unblocked_in_all() {
    let mut store = Store::with_show();
    store.change(ShowState::Paused);
    assert_eq!(store.block(&[1]), blocked(&[1]));
    store.change(ShowState::Closed);
    assert_eq!(store.block(&[2]), blocked(&[2]));
    store.change(ShowState::Cancelled);
    assert_eq!(reason(&store.block(&[3])), RefusalReason::ShowNotOnSale);
    assert_eq!(store.unblock(&[1, 2, 3]), unblocked(&[1, 2]));

    let mut store = Store::new();
    let request = store.request();
    let Command::OpenShow(mut first) = open(request, 20, true) else {
        panic!("open makes this command")
    };
    first.seats.truncate(10);
    store.apply(Command::OpenShow(first));
    assert_eq!(reason(&store.block(&[1])), RefusalReason::ShowNotOnSale);
    assert_eq!(
        store.unblock(&[1]),
        Outcome::Unblocked {
            seat_nos: Arc::default(),
            already: true
        }
    );
}
