//! Each ending, step by step.

use booking_core::{
    Alarm, Booking, Call, CommitAnswer, Ending, Fate, HoldAnswer, Input, LATE_HOLDS_MAX, Reason,
    Record, RefundReason, ReleaseAnswer, Step, Terms, late_hold_id, part_refund_id, refund_id,
    unasked,
};
use holdfast_types::{BookingState, ClusterTime, Fence, LateMoney, Lineage, SeatNo};

use crate::fixtures::{after, before, eur, fence, paid, payment, pending, through};

const CANCEL: Input = Input::CancelRequested {
    confirmed_too: true,
};

/// Both seats, under the first fence.
const RETURNED: Input = Input::Returned {
    fence: Fence::new(Lineage(1), 1, 0),
    seats: 2,
};

fn sold(n: u64) -> Input {
    Input::Committed {
        fence: fence(n),
        answer: CommitAnswer::Sold,
    }
}

fn gone(n: u64) -> Input {
    Input::Committed {
        fence: fence(n),
        answer: CommitAnswer::Gone,
    }
}

fn released(n: u64, answer: ReleaseAnswer) -> Input {
    Input::Released {
        fence: fence(n),
        answer,
    }
}

fn held(attempt: u32, n: u64) -> Input {
    let hold_id = late_hold_id(pending().id, attempt);
    let answer = HoldAnswer::Held {
        hold_id,
        fence: fence(n),
        expires_at: ClusterTime(2_000_000),
    };
    Input::HeldAgain { attempt, answer }
}

fn fates(booking: &Booking) -> Vec<Fate> {
    booking
        .payments
        .iter()
        .map(|payment| payment.fate)
        .collect()
}

fn refunding(n: u8) -> Fate {
    Fate::Refunding(refund_id(payment(n)))
}

fn expired() -> Booking {
    through(
        pending(),
        [Input::ExpiryDue, released(1, ReleaseAnswer::Gone)],
    )
}

fn confirmed() -> Booking {
    through(pending(), [paid(1), sold(1)])
}

#[test]
fn money_in_time_is_committed_then_confirmed_with_tickets() {
    let first = after(&pending(), paid(1));
    assert_eq!(first.records, []);
    assert_eq!(
        first.call,
        Some(Call::Commit {
            hold_id: pending().hold.hold_id,
            fence: fence(1)
        })
    );
    assert_eq!(
        first.next.state,
        BookingState::PendingPayment,
        "not before the store said so"
    );
    let second = after(&first.next, sold(1));
    assert_eq!(second.next.state, BookingState::Confirmed);
    assert_eq!(fates(&second.next), [Fate::Kept]);
    assert_eq!(
        second.records,
        [
            Record::SellSeats { fence: fence(1) },
            Record::IssueTickets,
            Record::AnnounceConfirmed
        ]
    );
    assert_eq!(second.call, None);
}

#[test]
fn repeated_inputs_change_nothing_and_record_nothing() {
    let confirmed = confirmed();
    let stale = [
        paid(1),
        sold(1),
        gone(1),
        held(1, 9),
        released(1, ReleaseAnswer::Gone),
        RETURNED,
        Input::ExpiryDue,
        Input::HoldEnded { fence: fence(1) },
        Input::PaymentFailed {
            payment_id: payment(1),
        },
        Input::SeatsNotSold { fence: fence(1) },
        Input::Resume,
    ];
    for input in stale {
        let decision = after(&confirmed, input.clone());
        assert_eq!(decision.next, confirmed, "{input:?}");
        assert_eq!(
            (decision.records, decision.call),
            (vec![], None),
            "{input:?}"
        );
    }
}

#[test]
fn redelivered_money_asks_the_open_question_again() {
    let first = after(&pending(), paid(1));
    let again = after(&first.next, paid(1));
    assert_eq!(again, after(&first.next, Input::Resume));
    assert_eq!((again.next, again.call), (first.next, first.call));
}

#[test]
fn late_money_takes_free_seats_again_and_confirms() {
    let committing = through(expired(), [paid(1)]);
    let holding = after(&committing, gone(1));
    let hold_id = late_hold_id(pending().id, 1);
    assert_eq!(
        holding.call,
        Some(Call::HoldAgain {
            hold_id,
            attempt: 1
        })
    );
    let marked = after(&holding.next, held(1, 7));
    let expires_at = ClusterTime(2_000_000);
    assert_eq!(
        marked.records,
        [Record::MarkSeats {
            fence: fence(7),
            expires_at
        }]
    );
    assert_eq!(
        marked.call,
        Some(Call::Commit {
            hold_id,
            fence: fence(7)
        })
    );
    assert_eq!(
        through(marked.next.clone(), [sold(1)]),
        marked.next,
        "an answer to the old fence"
    );
    let done = after(&marked.next, sold(7));
    assert_eq!(
        (done.next.state, done.next.reason),
        (BookingState::Confirmed, None)
    );
}

#[test]
fn late_money_for_seats_that_are_gone_goes_back() {
    for reason in [Reason::SeatsGone, Reason::LimitExceeded, Reason::ShowOver] {
        let holding = through(expired(), [paid(1), gone(1)]);
        let refused = Input::HeldAgain {
            attempt: 1,
            answer: HoldAnswer::Refused(reason),
        };
        let done = after(&holding, refused);
        assert_eq!(done.next.state, BookingState::Failed);
        assert_eq!(
            (done.next.reason, done.next.step),
            (Some(reason), Step::Idle)
        );
        assert_eq!(fates(&done.next), [refunding(1)]);
    }
}

#[test]
fn late_holds_are_bounded() {
    let mut booking = through(expired(), [paid(1)]);
    let mut fence_no = 1;
    for attempt in 1..=LATE_HOLDS_MAX {
        let next = 10 + u64::from(attempt);
        booking = through(booking, [gone(fence_no), held(attempt, next)]);
        fence_no = next;
    }
    let done = after(&booking, gone(fence_no));
    assert_eq!((done.next.state, done.call), (BookingState::Failed, None));
    assert_eq!(fates(&done.next), [refunding(1)]);
}

#[test]
fn second_payment_is_refunded_before_and_after_confirmation() {
    for booking in [through(pending(), [paid(1)]), confirmed()] {
        let decision = after(&booking, paid(2));
        assert_eq!(fates(&decision.next)[1], refunding(2));
        assert!(matches!(
            decision.records[..],
            [Record::Refund {
                reason: RefundReason::PaidTwice,
                ..
            }]
        ));
        assert_eq!(decision.next.step, booking.step);
    }
}

#[test]
fn another_amount_is_refunded_and_the_booking_goes_on() {
    let wrong = Input::PaymentSucceeded {
        payment_id: payment(1),
        amount: eur(4_999),
    };
    let booking = through(pending(), [wrong]);
    assert_eq!(
        (booking.state, booking.step),
        (BookingState::PendingPayment, Step::Idle)
    );
    assert_eq!(fates(&booking), [refunding(1)]);
    let done = through(booking, [paid(2), sold(1)]);
    assert_eq!(done.state, BookingState::Confirmed);
    assert_eq!(fates(&done), [refunding(1), Fate::Kept]);
}

#[test]
fn money_for_a_cancelled_or_failed_booking_goes_back() {
    let cancelled = through(pending(), [CANCEL, released(1, ReleaseAnswer::Gone)]);
    assert_eq!(cancelled.state, BookingState::Cancelled);
    let declined = before(
        &pending(),
        Input::PaymentFailed {
            payment_id: payment(9),
        },
    )
    .next;
    let failed = through(declined, [released(1, ReleaseAnswer::Gone)]);
    assert_eq!(
        (failed.state, failed.reason),
        (BookingState::Failed, Some(Reason::PaymentFailed))
    );
    for booking in [cancelled, failed] {
        let decision = after(&booking, paid(1));
        assert_eq!(fates(&decision.next), [refunding(1)]);
        assert_eq!(decision.next.state, booking.state);
        assert_eq!(decision.call, None);
    }
}

#[test]
fn expiry_waits_for_its_time_and_asks_the_store_first() {
    let early = before(&pending(), Input::ExpiryDue);
    assert_eq!((early.next, early.call), (pending(), None));
    let due = after(&pending(), Input::ExpiryDue);
    assert_eq!(
        due.next.state,
        BookingState::PendingPayment,
        "only the store ends it"
    );
    assert!(matches!(due.call, Some(Call::Release { .. })));
    let over = after(&due.next, released(1, ReleaseAnswer::Gone));
    assert_eq!(over.next.state, BookingState::Expired);
    assert_eq!(over.records[0], Record::FreeSeats { fence: fence(1) });
}

#[test]
fn hold_that_ended_needs_no_time_to_pass_and_the_store_is_asked_all_the_same() {
    let ended = |n| Input::HoldEnded { fence: fence(n) };
    let told = before(&pending(), ended(1));
    assert_eq!(told.next.state, BookingState::PendingPayment);
    assert!(matches!(told.call, Some(Call::Release { .. })));
    let over = after(&told.next, released(1, ReleaseAnswer::Gone));
    assert_eq!(over.next.state, BookingState::Expired);
    // Not this hold's, or it is no longer waited for.
    let other = before(&pending(), ended(2));
    assert_eq!((other.next, other.call), (pending(), None));
    let paid = through(pending(), [paid(1)]);
    for booking in [paid, confirmed(), expired()] {
        assert_eq!(before(&booking, ended(1)).next, booking);
    }
}

#[test]
fn money_during_an_expiry_stops_it() {
    let releasing = through(pending(), [Input::ExpiryDue]);
    let paid = after(&releasing, paid(1));
    assert_eq!(paid.next.step, Step::Committing);
    let unmoved = through(
        paid.next.clone(),
        [released(1, ReleaseAnswer::Gone), Input::ExpiryDue],
    );
    assert_eq!(unmoved, paid.next);
}

#[test]
fn money_during_a_cancellation_goes_back_or_confirms_as_the_store_says() {
    let paid = through(pending(), [CANCEL, paid(1)]);
    assert_eq!(paid.step, Step::Releasing(Ending::Cancelled));
    let gone = through(paid.clone(), [released(1, ReleaseAnswer::Gone)]);
    assert_eq!(
        (gone.state, fates(&gone)),
        (BookingState::Cancelled, vec![refunding(1)])
    );
    let sold = through(paid, [released(1, ReleaseAnswer::AlreadySold), sold(1)]);
    assert_eq!(
        (sold.state, fates(&sold)),
        (BookingState::Confirmed, vec![Fate::Kept])
    );
}

#[test]
fn cancelling_while_money_is_decided_changes_nothing() {
    let committing = through(pending(), [paid(1)]);
    assert_eq!(through(committing.clone(), [CANCEL]), committing);
}

#[test]
fn cancelling_a_confirmed_booking_writes_first_then_returns_the_seats() {
    let decision = after(&confirmed(), CANCEL);
    assert_eq!(decision.next.state, BookingState::Cancelled);
    assert_eq!(
        decision.records[..2],
        [Record::VoidTickets, Record::FreeSeats { fence: fence(1) }]
    );
    assert_eq!(fates(&decision.next), [refunding(1)]);
    assert_eq!(decision.call, Some(Call::Return { fence: fence(1) }));
    let twice = after(&decision.next, CANCEL);
    assert_eq!((&twice.next, twice.records), (&decision.next, vec![]));
    let done = after(&decision.next, RETURNED);
    assert_eq!((done.next.step, done.call), (Step::Idle, None));
}

fn given_back(seat: u32, amount: i64) -> Input {
    Input::SeatsGivenBack {
        seats: vec![SeatNo(seat)],
        amount,
    }
}

#[test]
fn seat_that_is_given_back_is_refunded_and_returned_and_the_other_is_kept() {
    let decision = after(&confirmed(), given_back(4, 2_000));
    let refund_id = part_refund_id(payment(1), 0);
    assert_eq!(
        decision.records,
        [
            Record::Refund {
                refund_id,
                payment_id: payment(1),
                amount: eur(2_000),
                reason: RefundReason::SeatsGivenBack
            },
            Record::GiveBackSeats {
                fence: fence(1),
                seats: vec![SeatNo(4)]
            }
        ]
    );
    let booking = decision.next;
    assert_eq!(booking.state, BookingState::Confirmed);
    assert_eq!(fates(&booking), [Fate::Kept]);
    assert_eq!(booking.seats_to_return(), [SeatNo(4)]);
    assert_eq!(decision.call, Some(Call::Return { fence: fence(1) }));
    let returned = Input::Returned {
        fence: fence(1),
        seats: 1,
    };
    let done = through(booking, [returned, Input::RefundSucceeded { refund_id }]);
    assert_eq!(done.step, Step::Idle);
    assert!(done.payments[0].parts[0].went);
    for again in [given_back(4, 2_000), given_back(5, 2_000), given_back(6, 1)] {
        let decision = after(&done, again);
        assert_eq!((&decision.next, decision.records), (&done, vec![]));
    }
    // What is left goes back with the rest of the booking.
    let cancelled = after(&done, CANCEL);
    assert!(cancelled.records.contains(&Record::Refund {
        refund_id: booking_core::refund_id(payment(1)),
        payment_id: payment(1),
        amount: eur(3_000),
        reason: RefundReason::Cancelled
    }));
    assert_eq!(cancelled.next.seats_to_return().len(), 2);
}

#[test]
fn answer_about_fewer_seats_than_go_back_by_now_leaves_the_step_open() {
    let one = Input::Returned {
        fence: fence(1),
        seats: 1,
    };
    let both = through(confirmed(), [given_back(4, 2_000), CANCEL]);
    let still = through(both.clone(), [one]);
    assert_eq!((&still, still.step), (&both, Step::Returning));
    assert_eq!(through(still, [RETURNED]).step, Step::Idle);
}

#[test]
fn more_than_was_paid_is_not_given_back() {
    let decision = after(&confirmed(), given_back(4, 5_001));
    assert_eq!((decision.next, decision.records), (confirmed(), vec![]));
    let decision = after(&pending(), given_back(4, 1));
    assert_eq!((decision.next, decision.records), (pending(), vec![]));
}

#[test]
fn show_that_is_called_off_refunds_a_confirmed_booking_and_leaves_others_to_their_holds() {
    let decision = after(&confirmed(), Input::ShowCancelled);
    assert_eq!(decision.next.state, BookingState::Cancelled);
    assert_eq!(decision.next.reason, Some(Reason::ShowCancelled));
    assert_eq!(fates(&decision.next), [refunding(1)]);
    assert!(matches!(
        decision.records[2],
        Record::Refund {
            reason: RefundReason::ShowCancelled,
            ..
        }
    ));
    assert_eq!(decision.call, Some(Call::Return { fence: fence(1) }));
    for other in [pending(), expired(), through(pending(), [paid(1)])] {
        let told = after(&other, Input::ShowCancelled);
        assert_eq!((&told.next, told.records), (&other, vec![]));
    }
}

#[test]
fn confirmed_booking_is_not_cancelled_by_who_may_cancel_unpaid_ones_only() {
    let unpaid_only = Input::CancelRequested {
        confirmed_too: false,
    };
    let decision = after(&confirmed(), unpaid_only.clone());
    assert_eq!(decision.next, confirmed());
    assert_eq!((decision.records, decision.call), (vec![], None));
    let releasing = through(pending(), [unpaid_only]);
    assert_eq!(releasing.step, Step::Releasing(Ending::Cancelled));
}

#[test]
fn sold_with_too_few_rows_is_returned_refunded_and_alarmed() {
    let committing = through(pending(), [paid(1)]);
    let decision = after(&committing, Input::SeatsNotSold { fence: fence(1) });
    assert_eq!(decision.next.state, BookingState::Failed);
    assert_eq!(fates(&decision.next), [refunding(1)]);
    assert_eq!(decision.call, Some(Call::Return { fence: fence(1) }));
    assert!(
        decision
            .records
            .contains(&Record::RaiseAlarm(Alarm::SeatsNotSold))
    );
}

#[test]
fn late_hold_that_can_not_be_marked_is_released_and_refunded() {
    let holding = through(expired(), [paid(1), gone(1)]);
    let hold_id = late_hold_id(holding.id, 1);
    let input = Input::SeatsNotMarked {
        attempt: 1,
        hold_id,
        fence: fence(7),
    };
    let decision = after(&holding, input);
    assert_eq!(
        decision.call,
        Some(Call::Release {
            hold_id,
            fence: fence(7)
        })
    );
    assert_eq!(fates(&decision.next), [refunding(1)]);
    let done = through(decision.next, [released(7, ReleaseAnswer::Gone)]);
    assert_eq!((done.state, done.step), (BookingState::Failed, Step::Idle));
}

#[test]
fn seats_sold_to_nobody_are_returned_and_alarmed() {
    let releasing = through(pending(), [Input::ExpiryDue]);
    let decision = after(&releasing, released(1, ReleaseAnswer::AlreadySold));
    assert_eq!(decision.next.state, BookingState::Expired);
    assert!(
        decision
            .records
            .contains(&Record::RaiseAlarm(Alarm::SoldUnpaid))
    );
    assert_eq!(decision.call, Some(Call::Return { fence: fence(1) }));
    let paid = through(decision.next, [paid(1)]);
    assert_eq!(paid.step, Step::Returning);
    assert_eq!(through(paid, [RETURNED]).step, Step::Holding);
}

#[test]
fn refund_is_recorded_as_done() {
    let refunding = through(confirmed(), [CANCEL]);
    let refund_id = refund_id(payment(1));
    let done = through(refunding, [Input::RefundSucceeded { refund_id }]);
    assert_eq!(fates(&done), [Fate::Refunded(refund_id)]);
}

#[test]
fn failure_of_another_session_than_the_open_one_is_ignored() {
    let url = "https://pay".to_owned();
    let open = through(
        pending(),
        [Input::SessionCreated {
            payment_id: payment(1),
            url,
        }],
    );
    let other = Input::PaymentFailed {
        payment_id: payment(2),
    };
    assert_eq!(through(open.clone(), [other]), open);
    let own = Input::PaymentFailed {
        payment_id: payment(1),
    };
    let declined = before(&open, own.clone()).next;
    assert_eq!(declined.step, Step::Releasing(Ending::PaymentFailed));
    let timed_out = through(open, [own]);
    assert_eq!(
        timed_out.step,
        Step::Releasing(Ending::Expired),
        "its time was up"
    );
}

#[test]
fn free_booking_is_confirmed_and_cancelled_without_money_moving() {
    let mut free = pending();
    free.total = eur(0);
    let nothing = Input::PaymentSucceeded {
        payment_id: payment(1),
        amount: eur(0),
    };
    let confirmed = through(free, [nothing, sold(1)]);
    assert_eq!(
        (confirmed.state, fates(&confirmed)),
        (BookingState::Confirmed, vec![Fate::Kept])
    );
    let decision = after(&confirmed, CANCEL);
    assert!(
        !decision
            .records
            .iter()
            .any(|record| matches!(record, Record::Refund { .. }))
    );
    assert_eq!(
        fates(&decision.next),
        [Fate::Refunded(refund_id(payment(1)))]
    );
}

#[test]
fn late_money_of_a_show_that_sends_it_back_is_refunded_without_a_question_to_the_store() {
    let expired = through(
        pending(),
        [Input::ExpiryDue, released(1, ReleaseAnswer::Gone)],
    );
    assert_eq!(expired.state, BookingState::Expired);
    let asked = after(&through(expired, [paid(1)]), gone(1));
    let call = asked.call.expect("asks for the seats again");
    let terms = |has_begun, late_money| Terms {
        has_begun,
        late_money,
        buyer_left: false,
    };
    let buyer_left = Terms {
        buyer_left: true,
        ..terms(false, LateMoney::Rebook)
    };
    assert_eq!(unasked(call, terms(false, LateMoney::Rebook)), None);
    for (terms, reason) in [
        (terms(false, LateMoney::Refund), Reason::PaidLate),
        (buyer_left, Reason::PaidLate),
        (terms(true, LateMoney::Refund), Reason::ShowOver),
        (terms(true, LateMoney::Rebook), Reason::ShowOver),
    ] {
        let answer = unasked(call, terms).expect("is decided");
        let ended = after(&asked.next, answer.clone());
        assert_eq!(
            (ended.next.state, ended.next.reason),
            (BookingState::Failed, Some(reason))
        );
        assert_eq!((ended.next.step, ended.call), (Step::Idle, None));
        assert_eq!(fates(&ended.next), [refunding(1)]);
        // Told again it changes nothing.
        let again = after(&ended.next, answer);
        assert_eq!((again.next, again.records), (ended.next, Vec::new()));
    }
    // Everything else is the store's to answer, whatever the terms.
    let (hold_id, fence) = (pending().hold.hold_id, fence(1));
    for call in [
        Call::Commit { hold_id, fence },
        Call::Release { hold_id, fence },
        Call::Return { fence },
    ] {
        assert_eq!(unasked(call, terms(true, LateMoney::Refund)), None);
        assert_eq!(unasked(call, buyer_left), None);
    }
}
