//! Facts about the state machine, one a test.

use std::sync::Arc;

use holdfast_types::{ClusterTime, DurationMs, SeatState};
use lockstore_core::{
    Command, Event, HoldEnd, HoldSeats, Outcome, RefusalReason, ShowState, invariants, limits,
};

use crate::kit::*;

#[test]
fn hold_answers_what_was_promised() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    assert_eq!(hold.granted_at, START);
    assert_eq!(hold.expires_at, START.plus(DurationMs(TTL_MS)));
    assert_eq!(hold.extendable_until, START.plus(DurationMs(TOTAL_MS)));
    assert_eq!((hold.price_version, hold.fence.index()), (7, 2));
    assert_eq!(
        store.state.next_due(),
        Some(START.plus(DurationMs(OVERDUE_MS)))
    );
}

#[test]
fn hold_lives_through_its_padding_and_ends_at_it() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    store.wait(OVERDUE_MS - 1);
    assert_eq!(store.tick(), 0);
    assert!(store.state.hold(show_id(1), hold.id, user(1)).is_ok());
    store.wait(1);
    assert_eq!(store.tick(), 1);
    assert!(matches!(
        &store.events[..],
        [Event::HoldEnded {
            end: HoldEnd::Expired,
            ..
        }]
    ));
    let gone = store
        .state
        .hold(show_id(1), hold.id, user(1))
        .expect_err("it ended");
    assert_eq!(gone.reason, RefusalReason::Expired);
}

#[test]
fn padding_is_rounded_up() {
    let mut store = Store::with_show();
    let command = HoldSeats {
        ttl: DurationMs(1_001),
        ..store.hold_command(1, &[1])
    };
    store.apply(Command::HoldSeats(command));
    store.wait(1_001 + 10);
    assert_eq!(store.tick(), 0);
    store.wait(1);
    assert_eq!(store.tick(), 1);
}

#[test]
fn time_never_goes_back() {
    let mut store = Store::with_show();
    store.held(1, &[1]);
    let command = store.hold_command(2, &[2]);
    let revision = holdfast_types::Revision::new(LINEAGE, 100, 0);
    let (outcome, _) = store
        .state
        .apply(&Command::HoldSeats(command), ClusterTime(5), revision);
    assert!(matches!(outcome, Outcome::Held { hold, .. } if hold.granted_at == START));
    assert_eq!(store.state.now(), START);
}

#[test]
fn refusal_is_judged_anew_until_the_deadline_and_never_after() {
    let mut store = Store::with_show();
    let first = store.held(1, &[1]);
    let command = Command::HoldSeats(store.hold_command(2, &[1]));
    assert_eq!(
        reason(&store.apply(command.clone())),
        RefusalReason::Conflict
    );
    store.release(&first);
    store.wait(5_001);
    assert_eq!(
        reason(&store.apply(command.clone())),
        RefusalReason::DeadlinePassed
    );

    let command = Command::HoldSeats(store.hold_command(2, &[1]));
    let first = store.held(1, &[1]);
    assert_eq!(
        reason(&store.apply(command.clone())),
        RefusalReason::Conflict
    );
    store.release(&first);
    store.wait(5_000);
    assert!(matches!(
        store.apply(command),
        Outcome::Held {
            replayed: false,
            ..
        }
    ));
}

#[test]
fn deadline_is_at_most_a_minute_ahead_and_says_the_time_when_passed() {
    let mut store = Store::with_show();
    let mut command = store.hold_command(1, &[1]);
    for (not_after, expected, limit) in [
        (0, RefusalReason::DeadlinePassed, START.0),
        (START.0 - 1, RefusalReason::DeadlinePassed, START.0),
        (
            START.0 + 60_001,
            RefusalReason::DeadlineTooFar,
            START.0 + 60_000,
        ),
    ] {
        command.request.not_after = ClusterTime(not_after);
        let Outcome::Refused(refusal) = store.apply(Command::HoldSeats(command.clone())) else {
            panic!("the deadline {not_after} is bad")
        };
        assert_eq!((refusal.reason, refusal.limit), (expected, limit));
    }
    command.request.not_after = ClusterTime(START.0 + 60_000);
    assert!(matches!(
        store.apply(Command::HoldSeats(command)),
        Outcome::Held { .. }
    ));
}

#[test]
fn finished_request_is_remembered_for_ten_minutes_after_its_hold_ended() {
    let mut store = Store::with_show();
    let command = store.hold_command(1, &[1]);
    store.apply(Command::HoldSeats(command.clone()));
    store.wait(50_000);
    let Ok(hold) = store
        .state
        .hold(show_id(1), command.request.id.into(), user(1))
    else {
        panic!("it lives")
    };
    store.release(&hold);
    store.wait(600_000);
    let again = store.apply(Command::HoldSeats(command.clone()));
    assert!(matches!(again, Outcome::Held { replayed: true, .. }));
    store.wait(1);
    assert_eq!(
        reason(&store.apply(Command::HoldSeats(command))),
        RefusalReason::DeadlinePassed
    );
    assert_eq!(
        store.state.show(show_id(1)).expect("there").request_count(),
        0
    );
}

#[test]
fn copy_with_a_later_deadline_keeps_the_request_in_memory_past_it() {
    let mut store = Store::with_show();
    let mut command = store.hold_command(1, &[1]);
    store.apply(Command::HoldSeats(command.clone()));
    let hold = store
        .state
        .hold(show_id(1), command.request.id.into(), user(1))
        .expect("it lives");
    store.release(&hold);
    store.wait(590_000);
    command.request.not_after = store.now().plus(DurationMs(60_000));
    store.apply(Command::HoldSeats(command.clone()));
    store.wait(60_000);
    let late_copy = store.apply(Command::HoldSeats(command));
    assert!(matches!(late_copy, Outcome::Held { replayed: true, .. }));
    assert_eq!(store.seat(1), SeatState::Available);
}

#[test]
fn idle_show_is_ticked_to_forget() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    store.release(&hold);
    store.wait(600_000 + limits::FORGET_SLACK_MS);
    assert_eq!(store.state.next_due(), Some(store.now()));
    store.tick();
    assert_eq!(
        store.state.show(show_id(1)).expect("there").request_count(),
        0
    );
    assert_eq!(store.state.next_due(), None);
}

#[test]
fn padding_of_an_extended_hold_is_of_the_whole_span() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    let until = START.plus(DurationMs(200_000));
    assert!(matches!(
        store.extend(&hold, until),
        Outcome::Extended { .. }
    ));
    store.wait(201_999);
    assert_eq!(store.tick(), 0);
    store.wait(1);
    assert_eq!(store.tick(), 1);
}

#[test]
fn sale_is_judged_by_the_seats_long_after_its_request_was_forgotten() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1, 2]);
    let sold = |already| Outcome::Sold {
        seat_nos: Arc::clone(&hold.seat_nos),
        already,
    };
    assert_eq!(store.commit(&hold, 1), sold(false));
    store.wait(FORGOTTEN_MS);
    store.tick();
    assert_eq!(reason(&store.release(&hold)), RefusalReason::AlreadySold);
    assert_eq!(reason(&store.commit(&hold, 2)), RefusalReason::AlreadySold);
    assert_eq!(store.commit(&hold, 1), sold(true));
}

#[test]
#[should_panic(expected = "applied after")]
fn log_applied_twice_is_a_defect() {
    let mut store = Store::with_show();
    let (command, stamp, revision) = store.log[0].clone();
    store.state.apply(&command, stamp, revision);
}

#[test]
fn inspection_says_who_has_which_seat_and_which_fences_were_granted() {
    let mut store = Store::with_show();
    let sold = store.held(1, &[1, 2]);
    store.commit(&sold, 1);
    let given_back = store.held(2, &[3]);
    store.commit(&given_back, 2);
    store.give_back(given_back.fence, &[3], 2);
    store.give_back(sold.fence, &[1], 1);
    let held = store.held(3, &[4, 5]);
    store.block(&[6]);

    let show = store.state.inspect(show_id(1)).expect("is there");
    let claims: Vec<_> = show
        .claims
        .iter()
        .map(|claim| {
            (
                claim.fence,
                claim.holder,
                claim.booking_id,
                claim.seat_nos.clone(),
            )
        })
        .collect();
    assert_eq!(
        claims,
        [
            (sold.fence, user(1), Some(booking(1)), seats(&[2])),
            (held.fence, user(3), None, seats(&[4, 5])),
        ]
    );
    assert_eq!(show.claims[1].hold_id, held.id);
    assert_eq!(show.blocked, seats(&[6]));
    let free: Vec<_> = seats(&[1, 3])
        .into_iter()
        .zip([sold.fence, given_back.fence])
        .collect();
    assert_eq!(show.free, free);
    assert_eq!(invariants::violations_of(&store.state, show_id(1)), []);

    // A show that was called off has no holds, whether they are put away yet or not.
    store.change(ShowState::Cancelled);
    let show = store.state.inspect(show_id(1)).expect("is there");
    assert_eq!(show.claims.len(), 1);
    assert_eq!(show.free.len(), 4);
    assert_eq!(store.state.inspect(show_id(9)), None);
}
