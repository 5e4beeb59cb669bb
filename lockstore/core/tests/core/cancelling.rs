//! A show is called off while hundreds hold seats: to callers all holds end at once, and the work
//! of it is done in batches.

use holdfast_types::{DurationMs, SeatState};
use lockstore_core::{
    Command, Event, Hold, HoldEnd, Outcome, RefusalReason, ShowState, State, invariants,
    limits::SWEEP_PER_TICK_MAX,
};

use crate::kit::*;

const HOLDS: u32 = 200;
const LEFT: u32 = HOLDS - SWEEP_PER_TICK_MAX as u32;

fn ended_by_cancelling(events: &[Event]) -> usize {
    let cancelled = |event: &&Event| {
        matches!(
            event,
            Event::HoldEnded {
                end: HoldEnd::Cancelled,
                ..
            }
        )
    };
    events.iter().filter(cancelled).count()
}

/// What callers see of a show that was called off.
fn assert_all_ended(store: &mut Store, holds: &[impl AsRef<Hold>]) {
    let show = store.state.show(show_id(1)).expect("it is there");
    assert_eq!(show.state(), ShowState::Cancelled);
    assert_eq!(show.hold_count(), 0);
    assert!(
        show.seat_states()
            .all(|state| state == SeatState::Available)
    );
    for hold in holds {
        let hold = hold.as_ref();
        let seen = store.state.hold(show_id(1), hold.id, hold.holder);
        assert_eq!(seen.expect_err("it ended").reason, RefusalReason::Released);
    }
}

#[test]
fn holds_of_a_cancelled_show_have_ended_at_once_and_are_put_away_in_batches() {
    let (mut store, holds) = Store::with_crowd(HOLDS);
    store.change(ShowState::Cancelled);
    assert_eq!(
        ended_by_cancelling(&store.events),
        SWEEP_PER_TICK_MAX,
        "more than one batch of work in one entry"
    );
    assert_all_ended(&mut store, &holds);

    // A node restarted here goes on the same way.
    let mut restored = store.clone();
    restored.state = State::from_records(store.state.records()).expect("good records");
    restored.state.follow(NEWEST);
    assert_eq!(restored.state.hash(), store.state.hash());
    for store in [&mut store, &mut restored] {
        assert!(store.state.next_due().is_some_and(|due| due <= store.now()));
        assert_eq!(store.tick(), LEFT);
        assert_eq!(ended_by_cancelling(&store.events), LEFT as usize);
        assert!(store.state.next_due().is_some_and(|due| due > store.now()));
        assert_all_ended(store, &holds);
    }
    assert_eq!(restored.state.hash(), store.state.hash());
}

#[test]
fn hold_not_put_away_yet_is_answered_as_one_that_was() {
    let (store, holds) = Store::with_crowd(HOLDS);
    let answers = |mut store: Store, hold: &Hold, extended: bool| {
        if extended {
            let until = store.now().plus(DurationMs(TTL_MS + 1));
            assert!(matches!(
                store.extend(hold, until),
                Outcome::Extended { .. }
            ));
        }
        let cancel = store.request();
        store.apply(change(cancel, Some(ShowState::Cancelled), None));
        let until = store.now().plus(DurationMs(TTL_MS + 1));
        // Each of these commands puts away a batch itself, so each is given the state as it was.
        let stranger = Hold {
            holder: user(9),
            ..hold.clone()
        };
        [
            store.clone().release(hold),
            store.clone().commit(hold, 1),
            store.clone().extend(hold, until),
            store.clone().release(&stranger),
        ]
    };
    // The holds end in the order in which they are due: the last one is among those left, and so
    // is one that was extended.
    let (put_away, left) = (&holds[0], &holds[HOLDS as usize - 1]);
    for (hold, extended) in [(put_away, false), (left, false), (put_away, true)] {
        let [release, commit, extend, other] = answers(store.clone(), hold, extended);
        let seat_nos = hold.seat_nos.clone();
        assert_eq!(release, Outcome::Released { seat_nos });
        assert_eq!(reason(&commit), RefusalReason::ShowNotOnSale);
        assert_eq!(reason(&extend), RefusalReason::ShowNotOnSale);
        assert_eq!(reason(&other), RefusalReason::HoldNotFound);
    }
}

#[test]
fn cancelled_show_does_not_keep_the_holds_of_others_from_ending() {
    let (mut store, _) = Store::with_crowd(3 * SWEEP_PER_TICK_MAX as u32 / 2);
    let request = store.request();
    let Command::OpenShow(mut other) = open(request, 20, true) else {
        panic!("open makes this command")
    };
    other.show_id = show_id(2);
    store.apply(Command::OpenShow(other));
    let mut hold = store.hold_command(1, &[1]);
    hold.show_id = show_id(2);
    hold.ttl = DurationMs(1_000);
    store.apply(Command::HoldSeats(hold));
    store.change(ShowState::Cancelled);
    store.wait(1_010);
    store.tick();
    assert!(matches!(
        store.events[0],
        Event::HoldEnded {
            end: HoldEnd::Expired,
            ..
        }
    ));
    invariants::check(&store.state).expect("every state satisfies the invariants");
}
