//! Seats that staff takes out of sale.

use lockstore_core::{Event, Outcome, Record, State};

use crate::kit::*;

fn blocked(numbers: &[u32]) -> Outcome {
    Outcome::Blocked {
        seat_nos: seats(numbers).into(),
        already: numbers.is_empty(),
    }
}

#[test]
fn watchers_are_told_what_was_blocked_and_put_back_and_nothing_else() {
    let mut store = Store::with_show();
    assert_eq!(store.block(&[3, 1]), blocked(&[1, 3]));
    assert!(
        matches!(&store.events[..], [Event::SeatsBlocked { seat_nos, .. }] if **seat_nos == seats(&[1, 3]))
    );
    assert_eq!(store.block(&[3, 1]), blocked(&[]));
    assert!(store.events.is_empty());
    assert_eq!(store.unblock(&[2, 3]), unblocked(&[3]));
    assert!(
        matches!(&store.events[..], [Event::SeatsUnblocked { seat_nos, .. }] if **seat_nos == seats(&[3]))
    );
}

fn unblocked(numbers: &[u32]) -> Outcome {
    Outcome::Unblocked {
        seat_nos: seats(numbers).into(),
        already: numbers.is_empty(),
    }
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
