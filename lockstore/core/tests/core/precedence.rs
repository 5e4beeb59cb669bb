//! Where several refusals apply, the one listed first is answered: every pair that can meet.

use holdfast_types::{DurationMs, SeatNo};
use lockstore_core::{
    BlockSeats, Command, HoldSeats, RefusalReason, Selection, ShowRules, ShowState,
};

use crate::kit::*;

/// What makes a hold of the seats 0 and 1 of the hall be refused, by itself; in the order of
/// precedence.
const FAULTS: [RefusalReason; 8] = [
    RefusalReason::DeadlineTooFar,
    RefusalReason::RequestReused,
    RefusalReason::Invalid,
    RefusalReason::SeatUnknown,
    RefusalReason::ShowNotOnSale,
    RefusalReason::Conflict,
    RefusalReason::LimitExceeded,
    RefusalReason::LeavesLoneSeat,
];

fn hold_with(faults: &[RefusalReason]) -> RefusalReason {
    let mut store = Store::with_hall(true);
    let mut command = store.hold_command(1, &[0, 2]);
    let has = |fault| faults.contains(&fault);
    if has(RefusalReason::RequestReused) {
        let other = HoldSeats {
            selection: Selection::Seats(seats(&[30])),
            ..command.clone()
        };
        store.apply(Command::HoldSeats(other));
    }
    if has(RefusalReason::Conflict) {
        store.held(2, &[0, 1, 2]);
    }
    if has(RefusalReason::LimitExceeded) || !has(RefusalReason::LeavesLoneSeat) {
        let request = store.request();
        let rules = ShowRules {
            no_lone_seat: has(RefusalReason::LeavesLoneSeat),
            seats_per_customer_max: if has(RefusalReason::LimitExceeded) {
                1
            } else {
                50
            },
            ..rules()
        };
        store.apply(change(request, None, Some(rules)));
    }
    if has(RefusalReason::ShowNotOnSale) {
        store.change(ShowState::Paused);
    }
    if has(RefusalReason::SeatUnknown) {
        command.selection = Selection::Seats(seats(&[0, 2, 99]));
    }
    if has(RefusalReason::Invalid) {
        command.ttl = DurationMs(TTL_MS + 1);
    }
    if has(RefusalReason::DeadlineTooFar) {
        command.request.not_after = store.now().plus(DurationMs(60_001));
    }
    reason(&store.apply(Command::HoldSeats(command)))
}

#[test]
fn refusal_of_a_hold_that_is_listed_first_is_answered() {
    assert!(FAULTS.is_sorted(), "the list is the order of the contract");
    for (n, first) in FAULTS.iter().enumerate() {
        assert_eq!(hold_with(&[*first]), *first);
        for second in &FAULTS[n + 1..] {
            assert_eq!(hold_with(&[*second, *first]), *first, "with {second:?}");
        }
    }
}

#[test]
fn refusal_of_a_choice_that_is_listed_first_is_answered() {
    let faults = [
        RefusalReason::Invalid,
        RefusalReason::ShowNotOnSale,
        RefusalReason::LimitExceeded,
        RefusalReason::NoBlock,
    ];
    let choose = |faults: &[RefusalReason]| {
        let has = |fault| faults.contains(&fault);
        let mut store = Store::with_hall(true);
        if has(RefusalReason::LimitExceeded) {
            let request = store.request();
            let rules = ShowRules {
                seats_per_customer_max: 3,
                ..rules()
            };
            store.apply(change(request, None, Some(rules)));
        }
        if has(RefusalReason::ShowNotOnSale) {
            store.change(ShowState::Paused);
        }
        let mut wanted = best(4);
        if has(RefusalReason::NoBlock) {
            wanted.categories = vec![77];
        }
        if has(RefusalReason::Invalid) {
            wanted.count = 65;
        }
        let refused = store.choose(1, Selection::BestAvailable(wanted));
        refused.expect_err("it is at fault").reason
    };
    for (n, first) in faults.iter().enumerate() {
        assert_eq!(choose(&[*first]), *first);
        for second in &faults[n + 1..] {
            assert_eq!(choose(&[*second, *first]), *first, "with {second:?}");
        }
    }
}

#[test]
fn refusal_of_a_block_that_is_listed_first_is_answered() {
    let faults = [
        RefusalReason::Invalid,
        RefusalReason::SeatUnknown,
        RefusalReason::ShowNotOnSale,
        RefusalReason::Conflict,
    ];
    let block = |faults: &[RefusalReason]| {
        let has = |fault| faults.contains(&fault);
        let mut store = Store::with_hall(false);
        if has(RefusalReason::Conflict) {
            let sold = store.held(1, &[0]);
            store.commit(&sold, 1);
        }
        if has(RefusalReason::ShowNotOnSale) {
            store.change(ShowState::Cancelled);
        }
        let mut seat_nos = seats(&[0, 1]);
        if has(RefusalReason::SeatUnknown) {
            seat_nos.push(SeatNo(99));
        }
        if has(RefusalReason::Invalid) {
            seat_nos.push(SeatNo(1));
        }
        let request = store.request();
        reason(&store.apply(Command::BlockSeats(BlockSeats {
            request,
            show_id: show_id(1),
            seat_nos,
            actor: user(200),
        })))
    };
    for (n, first) in faults.iter().enumerate() {
        assert_eq!(block(&[*first]), *first);
        for second in &faults[n + 1..] {
            assert_eq!(block(&[*second, *first]), *first, "with {second:?}");
        }
    }
}
