//! The decision itself. Every arm says when its input counts; whatever doesn't count changes
//! nothing and asks for nothing.

use holdfast_types::{BookingState, ClusterTime, Fence, HoldId, Money, PaymentId, SeatNo};
use uuid::Uuid;

use crate::{
    Alarm, Booking, Call, CommitAnswer, Decision, Ending, Fate, HeldAs, HoldAnswer, Input, Part,
    Payment, Reason, Record, RefundReason, ReleaseAnswer, Session, Step, late_hold_id,
    part_refund_id, refund_id,
};

/// Holds that late money may take for one booking. One is enough unless a crash outlives the
/// hold it took; after this many the money goes back.
pub const LATE_HOLDS_MAX: u32 = 5;

/// What `input` makes of `booking`. `now` decides only whether its time is up.
pub fn decide(booking: &Booking, input: Input, now: ClusterTime) -> Decision {
    let work = Work {
        next: booking.clone(),
        records: Vec::new(),
        ask: false,
    };
    match input {
        Input::SessionCreated { payment_id, url } => work.session_created(payment_id, url),
        Input::PaymentSucceeded { payment_id, amount } => {
            work.payment_succeeded(payment_id, amount)
        }
        Input::PaymentFailed { payment_id } => work.payment_failed(payment_id, now),
        Input::RefundSucceeded { refund_id } => work.refund_succeeded(refund_id),
        Input::ExpiryDue => work.expiry_due(now),
        Input::HoldEnded { fence } => work.hold_ended(fence),
        Input::CancelRequested { confirmed_too } => work.cancel_requested(confirmed_too),
        Input::SeatsGivenBack { seats, amount } => work.seats_given_back(seats, amount),
        Input::ShowCancelled => work.show_cancelled(),
        Input::Resume => work.asking(),
        Input::Released { fence, answer } => work.released(fence, answer),
        Input::Committed { fence, answer } => work.committed(fence, answer),
        Input::HeldAgain { attempt, answer } => work.held_again(attempt, answer),
        Input::Returned { fence, seats } => work.returned(fence, seats),
        Input::SeatsNotMarked {
            attempt,
            hold_id,
            fence,
        } => work.seats_not_marked(attempt, hold_id, fence),
        Input::SeatsNotSold { fence } => work.seats_not_sold(fence),
    }
    .into_decision()
}

/// A decision in the making.
struct Work {
    next: Booking,
    records: Vec<Record>,
    /// Whether the open step is to be asked.
    ask: bool,
}

impl Work {
    fn into_decision(self) -> Decision {
        let call = if self.ask {
            open_call(&self.next)
        } else {
            None
        };
        Decision {
            next: self.next,
            records: self.records,
            call,
        }
    }

    /// Leaves the step and asks it (again).
    fn asking(mut self) -> Self {
        self.ask = true;
        self
    }

    /// Opens a step and asks it.
    fn step(mut self, step: Step) -> Self {
        self.next.step = step;
        self.asking()
    }

    /// Closes the open step.
    fn idle(mut self) -> Self {
        self.next.step = Step::Idle;
        self
    }

    fn record(mut self, record: Record) -> Self {
        self.records.push(record);
        self
    }

    // What payment-svc tells.

    fn session_created(mut self, payment_id: PaymentId, url: String) -> Self {
        if self.next.state == BookingState::PendingPayment && !self.next.is_paid() {
            self.next.session = Some(Session { payment_id, url });
        }
        self
    }

    fn payment_succeeded(mut self, payment_id: PaymentId, amount: Money) -> Self {
        if self
            .next
            .payments
            .iter()
            .any(|known| known.payment_id == payment_id)
        {
            // Told before: go on with whatever a crash may have left open.
            return self.asking();
        }
        if amount.amount <= 0 && amount != self.next.total {
            // Nothing was captured, so there is nothing to keep or to send back.
            return self;
        }
        let refund = if amount != self.next.total {
            Some(RefundReason::AmountMismatch)
        } else if self.next.is_paid() {
            Some(RefundReason::PaidTwice)
        } else {
            match self.next.state {
                BookingState::PendingPayment | BookingState::Expired => None,
                BookingState::Confirmed | BookingState::Failed | BookingState::Cancelled => {
                    Some(RefundReason::BookingEnded)
                }
            }
        };
        self.next.payments.push(Payment {
            payment_id,
            amount,
            fate: Fate::Pending,
            parts: Vec::new(),
        });
        if let Some(reason) = refund {
            return self.refund(payment_id, reason);
        }
        match self.next.step {
            // The customer wanted out before the money came; `Release` decides.
            Step::Releasing(Ending::Cancelled)
            // The seats of an unpaid sale go back first.
            | Step::Returning => self.asking(),
            Step::Idle | Step::Releasing(_) | Step::Committing | Step::Holding => {
                self.step(Step::Committing)
            }
        }
    }

    fn payment_failed(self, payment_id: PaymentId, now: ClusterTime) -> Self {
        let another = self
            .next
            .session
            .as_ref()
            .is_some_and(|open| open.payment_id != payment_id);
        let captured = self
            .next
            .payments
            .iter()
            .any(|known| known.payment_id == payment_id);
        if !self.may_end() || another || captured {
            return self;
        }
        // A session that ran out with the booking's time is an expiry, whoever tells first.
        let timed_out = now >= self.next.expires_at;
        let ending = if timed_out {
            Ending::Expired
        } else {
            Ending::PaymentFailed
        };
        self.step(Step::Releasing(ending))
    }

    fn refund_succeeded(mut self, refund_id: Uuid) -> Self {
        for payment in &mut self.next.payments {
            if payment.fate == Fate::Refunding(refund_id) {
                payment.fate = Fate::Refunded(refund_id);
            }
            for (n, part) in payment.parts.iter_mut().enumerate() {
                part.went |= part_refund_id(payment.payment_id, n) == refund_id;
            }
        }
        self
    }

    // What time and people ask for.

    fn expiry_due(self, now: ClusterTime) -> Self {
        if !self.may_end() || now < self.next.expires_at {
            return self;
        }
        self.step(Step::Releasing(Ending::Expired))
    }

    /// Whatever the booking's end is, without its hold it waits for nothing. The store is asked all
    /// the same: it alone ends a booking.
    fn hold_ended(self, fence: Fence) -> Self {
        if !self.may_end() || fence != self.next.hold.fence {
            return self;
        }
        self.step(Step::Releasing(Ending::Expired))
    }

    fn cancel_requested(self, confirmed_too: bool) -> Self {
        if self.next.state == BookingState::Confirmed && confirmed_too {
            return self.take_back(Reason::CancelledByCustomer, RefundReason::Cancelled);
        }
        if self.may_end() {
            return self.step(Step::Releasing(Ending::Cancelled));
        }
        self.asking()
    }

    /// Not of seats that it doesn't have, nor of all that are left: that is a cancellation. Seats that
    /// are on their way back already don't keep others from following.
    fn seats_given_back(mut self, mut seats: Vec<SeatNo>, amount: i64) -> Self {
        seats.sort_unstable();
        let left = self.next.seats_left();
        let some = !seats.is_empty() && seats.len() < left.len();
        let ours = seats.iter().all(|seat| left.contains(seat))
            && seats.windows(2).all(|two| two[0] != two[1]);
        let kept = self
            .next
            .payments
            .iter_mut()
            .find(|payment| payment.fate == Fate::Kept);
        let Some(kept) = kept else {
            return self.asking();
        };
        if !(some && ours && (0..=kept.left().amount).contains(&amount)) {
            return self.asking();
        }
        let fence = self.next.hold.fence;
        if amount > 0 {
            let refund_id = part_refund_id(kept.payment_id, kept.parts.len());
            kept.parts.push(Part {
                amount,
                went: false,
            });
            self.records.push(Record::Refund {
                refund_id,
                payment_id: kept.payment_id,
                amount: Money {
                    amount,
                    ..kept.amount
                },
                reason: RefundReason::SeatsGivenBack,
            });
        }
        self.next.returned.extend(&seats);
        self.next.returned.sort_unstable();
        self.record(Record::GiveBackSeats { fence, seats })
            .step(Step::Returning)
    }

    /// One that is unpaid ends with its hold, which ended with the show.
    fn show_cancelled(self) -> Self {
        if self.next.state == BookingState::Confirmed {
            return self.take_back(Reason::ShowCancelled, RefundReason::ShowCancelled);
        }
        self.asking()
    }

    /// A confirmed booking's tickets are void, its money goes back, then its seats.
    fn take_back(self, reason: Reason, refund: RefundReason) -> Self {
        let fence = self.next.hold.fence;
        self.record(Record::VoidTickets)
            .record(Record::FreeSeats { fence })
            .refund_standing(refund)
            .end(BookingState::Cancelled, reason)
            .step(Step::Returning)
    }

    /// Pending, unpaid, and nothing asked of the store.
    fn may_end(&self) -> bool {
        self.next.state == BookingState::PendingPayment
            && self.next.step == Step::Idle
            && !self.next.is_paid()
    }

    // What the store answers.

    fn released(self, fence: Fence, answer: ReleaseAnswer) -> Self {
        let Step::Releasing(ending) = self.next.step else {
            return self;
        };
        if fence != self.next.hold.fence {
            return self;
        }
        let (state, reason) = match ending {
            Ending::Expired => (BookingState::Expired, Reason::PaymentTimeout),
            Ending::Cancelled => (BookingState::Cancelled, Reason::CancelledByCustomer),
            Ending::PaymentFailed => (BookingState::Failed, Reason::PaymentFailed),
            Ending::Ended => {
                return match answer {
                    ReleaseAnswer::Gone => self.idle(),
                    ReleaseAnswer::AlreadySold => self.step(Step::Returning),
                };
            }
        };
        match answer {
            ReleaseAnswer::Gone => self
                .record(Record::FreeSeats { fence })
                .refund_standing(RefundReason::BookingEnded)
                .end(state, reason)
                .idle(),
            ReleaseAnswer::AlreadySold if self.next.pending_payment().is_some() => {
                self.step(Step::Committing)
            }
            ReleaseAnswer::AlreadySold => self
                .record(Record::FreeSeats { fence })
                .end(state, reason)
                .record(Record::RaiseAlarm(Alarm::SoldUnpaid))
                .step(Step::Returning),
        }
    }

    fn committed(mut self, fence: Fence, answer: CommitAnswer) -> Self {
        if self.next.step != Step::Committing || fence != self.next.hold.fence {
            return self;
        }
        match answer {
            CommitAnswer::Sold => {
                for payment in &mut self.next.payments {
                    if payment.fate == Fate::Pending {
                        payment.fate = Fate::Kept;
                    }
                }
                self.next.state = BookingState::Confirmed;
                self.next.reason = None;
                self.next.session = None;
                self.record(Record::SellSeats { fence })
                    .record(Record::IssueTickets)
                    .record(Record::AnnounceConfirmed)
                    .idle()
            }
            CommitAnswer::Gone => self.hold_again(),
            CommitAnswer::Refused(reason) => {
                self.give_up(reason).step(Step::Releasing(Ending::Ended))
            }
        }
    }

    fn held_again(mut self, attempt: u32, answer: HoldAnswer) -> Self {
        if !self.awaits_hold(attempt) {
            return self;
        }
        match answer {
            HoldAnswer::Held {
                hold_id,
                fence,
                expires_at,
            } => {
                self.next.hold = HeldAs {
                    hold_id,
                    fence,
                    attempt,
                };
                self.record(Record::MarkSeats { fence, expires_at })
                    .step(Step::Committing)
            }
            HoldAnswer::Refused(reason) => self.give_up(reason).idle(),
        }
    }

    fn returned(self, fence: Fence, seats: usize) -> Self {
        // Seats are only ever added to those that go back, so that their number says which they are.
        if self.next.step != Step::Returning
            || fence != self.next.hold.fence
            || seats != self.next.seats_to_return().len()
        {
            return self;
        }
        if self.next.pending_payment().is_some() {
            self.hold_again()
        } else {
            self.idle()
        }
    }

    // What our own database refuses.

    fn seats_not_marked(mut self, attempt: u32, hold_id: HoldId, fence: Fence) -> Self {
        if !self.awaits_hold(attempt) {
            return self;
        }
        let work = {
            // Rows of the hold before are freed under its own fence.
            let before = self.next.hold.fence;
            self.next.hold = HeldAs {
                hold_id,
                fence,
                attempt,
            };
            self.record(Record::FreeSeats { fence: before })
        };
        work.give_up(Reason::Inconsistent)
            .record(Record::RaiseAlarm(Alarm::SeatsNotMarked))
            .step(Step::Releasing(Ending::Ended))
    }

    fn seats_not_sold(self, fence: Fence) -> Self {
        if self.next.step != Step::Committing || fence != self.next.hold.fence {
            return self;
        }
        self.give_up(Reason::Inconsistent)
            .record(Record::RaiseAlarm(Alarm::SeatsNotSold))
            .step(Step::Returning)
    }

    // What several of them share.

    fn awaits_hold(&self, attempt: u32) -> bool {
        self.next.step == Step::Holding && attempt == self.next.hold.attempt + 1
    }

    fn hold_again(self) -> Self {
        if self.next.hold.attempt < LATE_HOLDS_MAX {
            self.step(Step::Holding)
        } else {
            self.give_up(Reason::SeatsGone).idle()
        }
    }

    /// Money came, and the seats can't be had: it goes back.
    fn give_up(self, reason: Reason) -> Self {
        let fence = self.next.hold.fence;
        self.record(Record::FreeSeats { fence })
            .refund_standing(RefundReason::NotCompleted)
            .end(BookingState::Failed, reason)
    }

    fn end(mut self, state: BookingState, reason: Reason) -> Self {
        self.next.state = state;
        self.next.reason = Some(reason);
        self.next.session = None;
        self.record(Record::AnnounceEnded { state, reason })
    }

    /// Refunds the payment that is pending or kept, if there is one.
    fn refund_standing(self, reason: RefundReason) -> Self {
        let standing = self
            .next
            .payments
            .iter()
            .find(|payment| matches!(payment.fate, Fate::Pending | Fate::Kept))
            .map(|payment| payment.payment_id);
        match standing {
            Some(payment_id) => self.refund(payment_id, reason),
            None => self,
        }
    }

    fn refund(mut self, payment_id: PaymentId, reason: RefundReason) -> Self {
        let refund_id = refund_id(payment_id);
        for payment in &mut self.next.payments {
            if payment.payment_id == payment_id {
                let amount = payment.left();
                if amount.amount == 0 {
                    // A free booking's, or all went in parts: nothing to send.
                    payment.fate = Fate::Refunded(refund_id);
                    continue;
                }
                payment.fate = Fate::Refunding(refund_id);
                self.records.push(Record::Refund {
                    refund_id,
                    payment_id,
                    amount,
                    reason,
                });
            }
        }
        self
    }
}

/// The question that the open step stands for.
fn open_call(booking: &Booking) -> Option<Call> {
    let HeldAs {
        hold_id,
        fence,
        attempt,
    } = booking.hold;
    match booking.step {
        Step::Idle => None,
        Step::Releasing(_) => Some(Call::Release { hold_id, fence }),
        Step::Committing => Some(Call::Commit { hold_id, fence }),
        Step::Holding => {
            let attempt = attempt + 1;
            Some(Call::HoldAgain {
                hold_id: late_hold_id(booking.id, attempt),
                attempt,
            })
        }
        Step::Returning => Some(Call::Return { fence }),
    }
}
