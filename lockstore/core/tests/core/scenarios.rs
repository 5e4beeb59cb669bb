//! Facts about the state machine, one a test.

use std::sync::Arc;

use holdfast_types::{ClusterTime, DurationMs, Fence, SeatNo, SeatState};
use lockstore_core::{
    Command, Event, HoldEnd, HoldSeats, Outcome, RefusalReason, Request, RequestId, SeatRefusal,
    Selection, ShowRules, ShowState, limits,
};

use crate::kit::*;

#[test]
fn hold_takes_all_its_seats_or_none() {
    let mut store = Store::with_show();
    let first = store.held(1, &[3, 4]);
    assert_eq!(first.seat_nos.to_vec(), seats(&[3, 4]));
    let refusal = store.hold(2, &[5, 4, 3, 2]).expect_err("two are taken");
    assert_eq!(refusal.reason, RefusalReason::Conflict);
    let held = |n| SeatRefusal {
        seat_no: SeatNo(n),
        state: Some(SeatState::Held),
    };
    assert_eq!(refusal.seats, [held(3), held(4)]);
    assert_eq!([store.seat(2), store.seat(5)], [SeatState::Available; 2]);
}

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
fn expired_hold_can_be_taken_by_another_customer_under_a_larger_fence() {
    let mut store = Store::with_show();
    let first = store.held(1, &[1, 2]);
    store.wait(OVERDUE_MS);
    let second = store.held(2, &[2]);
    assert!(second.fence > first.fence);
    assert_eq!(reason(&store.commit(&first, 1)), RefusalReason::Expired);
    assert_eq!(store.seat(1), SeatState::Available);
}

#[test]
fn fence_outlives_the_hold_on_a_free_seat() {
    let mut store = Store::with_show();
    let mut last = Fence::ZERO;
    for round in 0..5 {
        let hold = store.held(1, &[1]);
        assert!(hold.fence > last);
        last = hold.fence;
        if round % 2 == 0 {
            assert!(matches!(store.release(&hold), Outcome::Released { .. }));
        } else {
            store.wait(OVERDUE_MS);
        }
    }
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
fn request_sent_twice_has_one_effect_and_one_answer() {
    let mut store = Store::with_show();
    let command = store.hold_command(1, &[1, 2]);
    let Outcome::Held { hold, .. } = store.apply(Command::HoldSeats(command.clone())) else {
        panic!("the seats are free")
    };
    // Seats in another order, another deadline and another price version are the same request.
    let retry = HoldSeats {
        request: Request {
            not_after: store.now().plus(DurationMs(60_000)),
            ..command.request
        },
        selection: Selection::Seats(seats(&[2, 1])),
        price_version: 9,
        ..command.clone()
    };
    let again = Outcome::Held {
        hold: Arc::clone(&hold),
        replayed: true,
    };
    assert_eq!(store.apply(Command::HoldSeats(retry)), again);
    // Even past its deadline, and after the hold has ended.
    store.wait(OVERDUE_MS);
    assert_eq!(store.apply(Command::HoldSeats(command)), again);
    assert_eq!(store.seat(1), SeatState::Available);
}

#[test]
fn reused_id_with_another_body_is_refused() {
    let mut store = Store::with_show();
    let command = store.hold_command(1, &[1]);
    store.apply(Command::HoldSeats(command.clone()));
    let others = [
        HoldSeats {
            selection: Selection::Seats(seats(&[2])),
            ..command.clone()
        },
        HoldSeats {
            holder: user(2),
            ..command.clone()
        },
        HoldSeats {
            ttl: DurationMs(50_000),
            ..command.clone()
        },
        HoldSeats {
            late_money: true,
            ..command.clone()
        },
    ];
    for other in others {
        assert_eq!(
            reason(&store.apply(Command::HoldSeats(other))),
            RefusalReason::RequestReused
        );
    }
    // Nor may another kind of command use it.
    let stolen = change(command.request, Some(ShowState::Paused), None);
    assert_eq!(reason(&store.apply(stolen)), RefusalReason::RequestReused);
    assert_eq!(store.show_state(), ShowState::OnSale);
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
        .cloned()
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
    let hold = Arc::clone(
        store
            .state
            .hold(show_id(1), command.request.id.into(), user(1))
            .expect("it lives"),
    );
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
fn bad_selections_are_refused() {
    let mut store = Store::with_show();
    let many: Vec<u32> = (0..65).collect();
    for selection in [&[][..], &[1, 2, 1], &many] {
        assert_eq!(
            store.hold(1, selection).expect_err("bad").reason,
            RefusalReason::Invalid
        );
    }
    let refusal = store.hold(1, &[1, 25, 20]).expect_err("beyond the layout");
    assert_eq!(refusal.reason, RefusalReason::SeatUnknown);
    let unknown = |n| SeatRefusal {
        seat_no: SeatNo(n),
        state: None,
    };
    assert_eq!(refusal.seats, [unknown(20), unknown(25)]);
    let mut long = store.hold_command(1, &[1]);
    long.ttl = DurationMs(TTL_MS + 1);
    assert_eq!(
        reason(&store.apply(Command::HoldSeats(long))),
        RefusalReason::Invalid
    );
}

#[test]
fn cap_counts_holds_and_purchases_together() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[0, 1, 2, 3]);
    let Outcome::Sold { .. } = store.commit(&hold, 1) else {
        panic!("it is held")
    };
    let other = store.held(1, &[4]);
    let refusal = store.hold(1, &[5, 6]).expect_err("seven are too many");
    assert_eq!(
        (refusal.reason, refusal.limit),
        (RefusalReason::LimitExceeded, u64::from(CAP))
    );
    store.held(2, &[5, 6]);
    // What is given up or given back counts no more.
    store.release(&other);
    store.give_back(hold.fence, &[0], 1);
    store.held(1, &[0, 4, 7]);
    assert_eq!(
        store.hold(1, &[8]).expect_err("full").reason,
        RefusalReason::LimitExceeded
    );
}

#[test]
fn late_money_is_exempt_from_pause_and_not_from_the_cap_or_the_end() {
    let mut store = Store::with_show();
    store.change(ShowState::Paused);
    assert_eq!(
        store.hold(1, &[1]).expect_err("paused").reason,
        RefusalReason::ShowNotOnSale
    );
    let mut late = store.hold_command(1, &[1, 2, 3, 4]);
    late.late_money = true;
    assert!(matches!(
        store.apply(Command::HoldSeats(late)),
        Outcome::Held { .. }
    ));
    let mut late = store.hold_command(1, &[5, 6, 7]);
    late.late_money = true;
    assert_eq!(
        reason(&store.apply(Command::HoldSeats(late.clone()))),
        RefusalReason::LimitExceeded
    );
    store.change(ShowState::Closed);
    assert_eq!(
        reason(&store.apply(Command::HoldSeats(late))),
        RefusalReason::ShowNotOnSale
    );
}

#[test]
fn extension_moves_the_end_never_back_and_never_past_the_total() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    let at = |ms| START.plus(DurationMs(ms));
    let extended = |outcome: Outcome| match outcome {
        Outcome::Extended { hold } => hold.expires_at,
        other => panic!("{other:?}"),
    };
    assert_eq!(extended(store.extend(&hold, at(200_000))), at(200_000));
    assert_eq!(extended(store.extend(&hold, at(150_000))), at(200_000));
    let Outcome::Refused(refusal) = store.extend(&hold, at(TOTAL_MS + 1)) else {
        panic!("past the total")
    };
    assert_eq!(
        (refusal.reason, refusal.limit),
        (RefusalReason::UntilTooLate, at(TOTAL_MS).0)
    );
    // The padding is of the whole span now.
    store.wait(201_999);
    assert_eq!(store.tick(), 0);
    store.wait(1);
    assert_eq!(store.tick(), 1);
    assert_eq!(
        reason(&store.extend(&hold, at(250_000))),
        RefusalReason::Expired
    );
}

#[test]
fn hold_of_another_is_not_found_and_a_wrong_fence_is_stale() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    let stranger = lockstore_core::Hold {
        holder: user(2),
        ..(*hold).clone()
    };
    let until = store.now().plus(DurationMs(150_000));
    assert_eq!(
        reason(&store.extend(&stranger, until)),
        RefusalReason::HoldNotFound
    );
    assert_eq!(
        reason(&store.release(&stranger)),
        RefusalReason::HoldNotFound
    );
    let seen = store
        .state
        .hold(show_id(1), hold.id, user(2))
        .expect_err("another's");
    assert_eq!(seen.reason, RefusalReason::HoldNotFound);
    let stale = lockstore_core::Hold {
        fence: Fence::new(LINEAGE, 1, 0),
        ..(*hold).clone()
    };
    assert_eq!(
        reason(&store.extend(&stale, until)),
        RefusalReason::StaleFence
    );
    assert_eq!(reason(&store.release(&stale)), RefusalReason::StaleFence);
    assert_eq!(reason(&store.commit(&stale, 1)), RefusalReason::StaleFence);
    let unknown = lockstore_core::Hold {
        id: hold_id(9),
        ..(*hold).clone()
    };
    assert_eq!(
        reason(&store.commit(&unknown, 1)),
        RefusalReason::HoldNotFound
    );
}

#[test]
fn release_is_idempotent_and_says_when_it_is_too_late() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1, 2]);
    let released = Outcome::Released {
        seat_nos: Arc::clone(&hold.seat_nos),
    };
    assert_eq!(store.release(&hold), released);
    assert_eq!(store.release(&hold), released);
    assert_eq!(reason(&store.commit(&hold, 1)), RefusalReason::Released);

    let sold = store.held(1, &[1]);
    store.commit(&sold, 1);
    assert_eq!(reason(&store.release(&sold)), RefusalReason::AlreadySold);
    // Even when the request was forgotten long ago.
    store.wait(FORGOTTEN_MS);
    store.tick();
    assert_eq!(reason(&store.release(&sold)), RefusalReason::AlreadySold);
    assert_eq!(reason(&store.commit(&sold, 2)), RefusalReason::AlreadySold);

    let expired = store.held(1, &[3]);
    store.wait(OVERDUE_MS);
    assert_eq!(reason(&store.release(&expired)), RefusalReason::Expired);
}

#[test]
fn sale_is_judged_by_the_seats() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1, 2]);
    let sold = |already| Outcome::Sold {
        seat_nos: Arc::clone(&hold.seat_nos),
        already,
    };
    assert_eq!(store.commit(&hold, 1), sold(false));
    assert_eq!(store.commit(&hold, 1), sold(true));
    assert_eq!(reason(&store.commit(&hold, 2)), RefusalReason::AlreadySold);
    store.wait(FORGOTTEN_MS);
    store.change(ShowState::Cancelled);
    assert_eq!(store.commit(&hold, 1), sold(true));
    store.give_back(hold.fence, &[1, 2], 1);
    assert_eq!(
        reason(&store.commit(&hold, 1)),
        RefusalReason::ShowNotOnSale
    );
}

#[test]
fn sale_names_exactly_the_seats_of_the_hold() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1, 2]);
    for wrong in [&[1][..], &[1, 2, 3], &[1, 3]] {
        let wrong = lockstore_core::Hold {
            seat_nos: seats(wrong).into(),
            ..(*hold).clone()
        };
        assert_eq!(reason(&store.commit(&wrong, 1)), RefusalReason::Invalid);
    }
    assert!(matches!(
        store.commit(&hold, 1),
        Outcome::Sold { already: false, .. }
    ));
}

#[test]
fn copy_of_a_sale_does_not_sell_returned_seats_again() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    let request = store.request();
    store.apply(commit(request, &hold, 1));
    store.give_back(hold.fence, &[1], 1);
    let next = store.held(2, &[1]);
    assert_eq!(
        reason(&store.apply(commit(request, &hold, 1))),
        RefusalReason::AlreadySold
    );
    assert!(store.state.hold(show_id(1), next.id, user(2)).is_ok());
}

#[test]
fn copy_of_a_sale_does_not_claim_a_seat_that_was_sold_to_another_since() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1, 2]);
    store.commit(&hold, 1);
    store.give_back(hold.fence, &[1], 1);
    let next = store.held(2, &[1]);
    store.commit(&next, 2);
    assert_eq!(reason(&store.commit(&hold, 1)), RefusalReason::AlreadySold);
}

#[test]
fn return_puts_back_what_this_booking_bought_under_this_fence_only() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1, 2, 3]);
    store.commit(&hold, 1);
    let returned = |numbers: &[u32], already| Outcome::Returned {
        seat_nos: seats(numbers).into(),
        already,
    };
    assert_eq!(store.give_back(hold.fence, &[1], 2), returned(&[], true));
    assert_eq!(
        store.give_back(Fence::new(LINEAGE, 1, 0), &[1], 1),
        returned(&[], true)
    );
    assert_eq!(
        store.give_back(hold.fence, &[1, 5], 1),
        returned(&[1], false)
    );
    assert_eq!(store.give_back(hold.fence, &[1], 1), returned(&[], true));
    let next = store.held(2, &[1]);
    assert!(next.fence > hold.fence);
    assert_eq!(
        store.give_back(hold.fence, &[1, 2, 3], 1),
        returned(&[2, 3], false)
    );
    assert_eq!(store.seat(1), SeatState::Held);
}

#[test]
fn closing_show_lets_holds_finish_and_is_over_after_the_last() {
    let mut store = Store::with_show();
    let bought = store.held(1, &[1]);
    let left = store.held(2, &[2]);
    assert_eq!(
        store.change(ShowState::Closed),
        Outcome::ShowChanged {
            state: ShowState::Closed
        }
    );
    assert_eq!(
        store.hold(3, &[3]).expect_err("closed").reason,
        RefusalReason::ShowNotOnSale
    );
    assert_eq!(
        reason(&store.change(ShowState::OnSale)),
        RefusalReason::ShowNotOnSale
    );
    let until = store.now().plus(DurationMs(TTL_MS + 1));
    assert!(matches!(
        store.extend(&bought, until),
        Outcome::Extended { .. }
    ));
    assert!(matches!(store.commit(&bought, 1), Outcome::Sold { .. }));
    store.wait(OVERDUE_MS);
    assert_eq!(store.tick(), 1);
    assert_eq!(reason(&store.commit(&left, 2)), RefusalReason::Expired);
    assert!(matches!(
        store.give_back(bought.fence, &[1], 1),
        Outcome::Returned { already: false, .. }
    ));
    assert_eq!(
        store.change(ShowState::Cancelled),
        Outcome::ShowChanged {
            state: ShowState::Cancelled
        }
    );
}

#[test]
fn cancelling_ends_holds_at_once_and_refuses_sales_but_not_returns() {
    let mut store = Store::with_show();
    let bought = store.held(1, &[1]);
    store.commit(&bought, 1);
    let held = store.held(2, &[2]);
    store.change(ShowState::Cancelled);
    assert_eq!(store.seat(2), SeatState::Available);
    assert_eq!(
        reason(&store.commit(&held, 2)),
        RefusalReason::ShowNotOnSale
    );
    assert!(matches!(store.release(&held), Outcome::Released { .. }));
    assert!(matches!(
        store.give_back(bought.fence, &[1], 1),
        Outcome::Returned { already: false, .. }
    ));
    assert_eq!(
        reason(&store.change(ShowState::Closed)),
        RefusalReason::ShowNotOnSale
    );
}

#[test]
fn late_copy_of_a_change_does_not_undo_a_later_one() {
    let mut store = Store::with_show();
    let pause = store.request();
    store.apply(change(pause, Some(ShowState::Paused), None));
    store.change(ShowState::OnSale);
    let copy = store.apply(change(pause, Some(ShowState::Paused), None));
    assert_eq!(
        copy,
        Outcome::ShowChanged {
            state: ShowState::OnSale
        }
    );
    assert_eq!(store.show_state(), ShowState::OnSale);
}

#[test]
fn new_rules_count_for_new_holds() {
    let mut store = Store::with_show();
    let before = store.held(1, &[1, 2, 3]);
    let request = store.request();
    let tight = ShowRules {
        seats_per_customer_max: 2,
        hold_ttl: DurationMs(10_000),
        ..rules()
    };
    store.apply(change(request, None, Some(tight)));
    let live = store
        .state
        .hold(show_id(1), before.id, user(1))
        .expect("it lives");
    assert_eq!(live.expires_at, before.expires_at);
    assert_eq!(
        store.hold(1, &[4]).expect_err("over").reason,
        RefusalReason::LimitExceeded
    );
    assert_eq!(
        store.held(2, &[4]).expires_at,
        store.now().plus(DurationMs(10_000))
    );
    let request = store.request();
    let bad = ShowRules {
        hold_ttl: DurationMs(TOTAL_MS + 1),
        ..rules()
    };
    assert_eq!(
        reason(&store.apply(change(request, None, Some(bad)))),
        RefusalReason::Invalid
    );
}

#[test]
fn layout_arrives_in_chunks_and_a_chunk_again_changes_nothing() {
    let mut store = Store::new();
    let chunk = |store: &mut Store, first: u32, count: u32, seat_count: u32| {
        let request = store.request();
        let Command::OpenShow(mut command) = open(request, seat_count, true) else {
            panic!("open makes this command")
        };
        command.first_seat_no = SeatNo(first);
        command.seats = layout(first, count);
        store.apply(Command::OpenShow(command))
    };
    let opened = |state, seats_known| Outcome::ShowOpened { state, seats_known };
    assert_eq!(
        reason(&chunk(&mut store, 12, 12, 30)),
        RefusalReason::Invalid
    );
    assert_eq!(store.state.show_count(), 0);
    assert_eq!(chunk(&mut store, 0, 12, 30), opened(ShowState::Opening, 12));
    assert_eq!(
        reason(&chunk(&mut store, 0, 12, 31)),
        RefusalReason::Invalid
    );
    assert_eq!(
        reason(&chunk(&mut store, 13, 10, 30)),
        RefusalReason::Invalid
    );
    assert_eq!(
        reason(&chunk(&mut store, 11, 10, 30)),
        RefusalReason::Invalid
    );
    assert_eq!(
        store.hold(1, &[1]).expect_err("opening").reason,
        RefusalReason::ShowNotOnSale
    );
    assert_eq!(chunk(&mut store, 0, 12, 30), opened(ShowState::Opening, 12));
    assert_eq!(chunk(&mut store, 12, 18, 30), opened(ShowState::OnSale, 30));
    assert_eq!(chunk(&mut store, 12, 18, 30), opened(ShowState::OnSale, 30));
    let request = store.request();
    let tight = ShowRules {
        seats_per_customer_max: 2,
        ..rules()
    };
    store.apply(change(request, Some(ShowState::Paused), Some(tight)));
    assert_eq!(chunk(&mut store, 12, 18, 30), opened(ShowState::Paused, 30));
}

#[test]
fn show_not_put_on_sale_is_paused_when_its_layout_is_there() {
    let mut store = Store::new();
    let request = store.request();
    let outcome = store.apply(open(request, 5, false));
    assert_eq!(
        outcome,
        Outcome::ShowOpened {
            state: ShowState::Paused,
            seats_known: 5
        }
    );
}

#[test]
fn every_command_of_an_unknown_show_is_refused() {
    let hold = Store::with_show().held(1, &[1]);
    let mut store = Store::new();
    store.wait(1_000);
    let until = store.now().plus(DurationMs(1));
    let outcomes = [
        store.extend(&hold, until),
        store.release(&hold),
        store.commit(&hold, 1),
        store.give_back(hold.fence, &[1], 1),
        store.change(ShowState::Cancelled),
    ];
    for outcome in outcomes {
        assert_eq!(reason(&outcome), RefusalReason::ShowNotFound);
    }
    let unseen = store.state.hold(show_id(1), hold.id, user(1));
    assert_eq!(
        unseen.expect_err("none").reason,
        RefusalReason::ShowNotFound
    );
    assert!(store.state.show(show_id(1)).is_none());
    assert_eq!(
        store.hold(1, &[1]).expect_err("none").reason,
        RefusalReason::ShowNotFound
    );
    let mut late = store.hold_command(1, &[1]);
    late.request = Request {
        id: RequestId([1; 16]),
        not_after: ClusterTime(START.0 - 1),
    };
    assert_eq!(
        reason(&store.apply(Command::HoldSeats(late))),
        RefusalReason::DeadlinePassed
    );
}

#[test]
fn one_command_sweeps_a_bounded_number_oldest_first() {
    let (mut store, _) = Store::with_crowd(5_000);
    store.wait(OVERDUE_MS);
    assert_eq!(store.tick(), 4_096);
    assert_eq!(store.events.len(), 4_096);
    assert_eq!(store.state.next_due(), Some(store.now()));
    assert_eq!(store.tick(), 904);
}

#[test]
#[should_panic(expected = "applied after")]
fn log_applied_twice_is_a_defect() {
    let mut store = Store::with_show();
    let (command, stamp, revision) = store.log[0].clone();
    store.state.apply(&command, stamp, revision);
}
