//! What a decision adds to the timeline of its booking: each thing that happened, and why.
//!
//! Always holds: an input that changes nothing adds nothing, so a fact that is told again is not there
//! twice. Leaves to others: when it happened, and the lock store's revision and fence.

use holdfast_types::{BookingState, Money, PaymentId, SeatNo};
use uuid::Uuid;

use crate::{
    Alarm, Booking, CommitAnswer, Decision, HoldAnswer, Input, Reason, Record, ReleaseAnswer,
    part_refund_id, refund_id,
};

/// What happened; clients see the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The store lengthened the hold, so that there is time to pay.
    HoldExtended,
    /// The booking was made.
    Created,
    /// The customer can pay.
    SessionCreated,
    /// Money was captured.
    Paid,
    /// An attempt to pay came to nothing.
    PaymentFailed,
    /// The payer's bank disputes the payment; the reason says how that stands.
    PaymentDisputed,
    /// The time to pay was over.
    TimeRanOut,
    /// The store told that the hold was over.
    HoldEnded,
    /// The customer wanted out.
    CancelRequested,
    /// The organiser called the show off.
    ShowCancelled,
    /// The store let the hold go, or had done so.
    HoldReleased,
    /// The store was to let the hold go, and had sold its seats to this booking.
    HoldSold,
    /// The store sold the seats to this booking.
    Committed,
    /// The store had no such hold any more when it was to sell its seats.
    HoldGone,
    /// The store won't ever sell the seats to this booking.
    CommitRefused,
    /// The store holds the same seats again, for money that came late.
    HeldAgain,
    /// The same seats can't be had again.
    NotHeldAgain,
    /// The store has the seats on sale again.
    SeatsReturned,
    /// A ticket a seat.
    TicketsIssued,
    /// The customer gave these seats back; their tickets are void.
    TicketsGivenBack,
    /// The tickets are void.
    TicketsVoided,
    /// Money is to go back.
    RefundRequested,
    /// It went.
    Refunded,
    /// Paid, sold, with tickets.
    Confirmed,
    /// Over, unpaid.
    Expired,
    /// Over; it could not be completed.
    Failed,
    /// Over; somebody called it off.
    Cancelled,
    /// Store and database disagreed, and it was contained; staff were alarmed.
    Inconsistent,
    /// The lock store was lost, and the booking's seats were loaded into the new one.
    StoreRebuilt,
}

impl Happened {
    /// Everything that can happen.
    pub const ALL: &'static [Self] = &[
        Self::HoldExtended,
        Self::Created,
        Self::SessionCreated,
        Self::Paid,
        Self::PaymentFailed,
        Self::PaymentDisputed,
        Self::TimeRanOut,
        Self::HoldEnded,
        Self::CancelRequested,
        Self::ShowCancelled,
        Self::HoldReleased,
        Self::HoldSold,
        Self::Committed,
        Self::HoldGone,
        Self::CommitRefused,
        Self::HeldAgain,
        Self::NotHeldAgain,
        Self::SeatsReturned,
        Self::TicketsIssued,
        Self::TicketsGivenBack,
        Self::TicketsVoided,
        Self::RefundRequested,
        Self::Refunded,
        Self::Confirmed,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
        Self::Inconsistent,
        Self::StoreRebuilt,
    ];

    /// The code on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HoldExtended => "HOLD_EXTENDED",
            Self::Created => "CREATED",
            Self::SessionCreated => "SESSION_CREATED",
            Self::Paid => "PAID",
            Self::PaymentFailed => "PAYMENT_FAILED",
            Self::PaymentDisputed => "PAYMENT_DISPUTED",
            Self::TimeRanOut => "TIME_RAN_OUT",
            Self::HoldEnded => "HOLD_ENDED",
            Self::CancelRequested => "CANCEL_REQUESTED",
            Self::ShowCancelled => "SHOW_CANCELLED",
            Self::HoldReleased => "HOLD_RELEASED",
            Self::HoldSold => "HOLD_SOLD",
            Self::Committed => "COMMITTED",
            Self::HoldGone => "HOLD_GONE",
            Self::CommitRefused => "COMMIT_REFUSED",
            Self::HeldAgain => "HELD_AGAIN",
            Self::NotHeldAgain => "NOT_HELD_AGAIN",
            Self::SeatsReturned => "SEATS_RETURNED",
            Self::TicketsIssued => "TICKETS_ISSUED",
            Self::TicketsGivenBack => "TICKETS_GIVEN_BACK",
            Self::TicketsVoided => "TICKETS_VOIDED",
            Self::RefundRequested => "REFUND_REQUESTED",
            Self::Refunded => "REFUNDED",
            Self::Confirmed => "CONFIRMED",
            Self::Expired => "EXPIRED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Inconsistent => "INCONSISTENT",
            Self::StoreRebuilt => "STORE_REBUILT",
        }
    }
}

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub happened: Happened,
    /// Why, as a code.
    pub reason: Option<&'static str>,
    /// Which payment it is about.
    pub payment_id: Option<PaymentId>,
    /// Which refund.
    pub refund_id: Option<Uuid>,
    /// How much money.
    pub amount: Option<Money>,
    /// Which seats, where it isn't about all of the booking's.
    pub seats: Vec<SeatNo>,
}

impl From<Happened> for Entry {
    fn from(happened: Happened) -> Self {
        Self {
            happened,
            reason: None,
            payment_id: None,
            refund_id: None,
            amount: None,
            seats: Vec::new(),
        }
    }
}

impl Entry {
    fn because(self, reason: Reason) -> Self {
        Self {
            reason: Some(reason.as_str()),
            ..self
        }
    }

    fn of(self, payment_id: PaymentId) -> Self {
        Self {
            payment_id: Some(payment_id),
            ..self
        }
    }
}

/// What `input` and the `decision` on it add to the timeline of the booking that was `before`, in
/// order.
pub fn timeline(before: &Booking, input: &Input, decision: &Decision) -> Vec<Entry> {
    if decision.next == *before && decision.records.is_empty() {
        return Vec::new();
    }
    let cause = cause(input, decision);
    let records = decision.records.iter().filter_map(recorded);
    cause.into_iter().chain(records).collect()
}

/// The input itself, which counted.
fn cause(input: &Input, decision: &Decision) -> Option<Entry> {
    let entry = |happened| Some(Entry::from(happened));
    match *input {
        Input::SessionCreated { payment_id, .. } => {
            Some(Entry::from(Happened::SessionCreated).of(payment_id))
        }
        Input::PaymentSucceeded { payment_id, amount } => Some(Entry {
            amount: Some(amount),
            ..Entry::from(Happened::Paid).of(payment_id)
        }),
        Input::PaymentFailed { payment_id } => {
            Some(Entry::from(Happened::PaymentFailed).of(payment_id))
        }
        Input::RefundSucceeded { refund_id } => Some(went(refund_id, &decision.next)),
        Input::ExpiryDue => entry(Happened::TimeRanOut),
        Input::HoldEnded { .. } => entry(Happened::HoldEnded),
        Input::CancelRequested { .. } => entry(Happened::CancelRequested),
        Input::ShowCancelled => entry(Happened::ShowCancelled),
        Input::Released { answer, .. } => entry(match answer {
            ReleaseAnswer::Gone => Happened::HoldReleased,
            ReleaseAnswer::AlreadySold => Happened::HoldSold,
        }),
        Input::Committed { answer, .. } => match answer {
            CommitAnswer::Sold => entry(Happened::Committed),
            CommitAnswer::Gone => entry(Happened::HoldGone),
            CommitAnswer::Refused(reason) => {
                Some(Entry::from(Happened::CommitRefused).because(reason))
            }
        },
        Input::HeldAgain { answer, .. } => match answer {
            HoldAnswer::Held { .. } => entry(Happened::HeldAgain),
            HoldAnswer::Refused(reason) => {
                Some(Entry::from(Happened::NotHeldAgain).because(reason))
            }
        },
        Input::Returned { .. } => entry(Happened::SeatsReturned),
        // Said by what is recorded.
        Input::SeatsGivenBack { .. }
        | Input::SeatsNotMarked { .. }
        | Input::SeatsNotSold { .. }
        | Input::Resume => None,
    }
}

/// Which payment the refund was of, and how much of it.
fn went(refund_id_told: Uuid, booking: &Booking) -> Entry {
    let mut entry = Entry {
        refund_id: Some(refund_id_told),
        ..Entry::from(Happened::Refunded)
    };
    for payment in &booking.payments {
        if refund_id(payment.payment_id) == refund_id_told {
            entry.payment_id = Some(payment.payment_id);
            entry.amount = Some(payment.left());
        }
        for (n, part) in payment.parts.iter().enumerate() {
            if part_refund_id(payment.payment_id, n) == refund_id_told {
                entry.payment_id = Some(payment.payment_id);
                entry.amount = Some(Money {
                    amount: part.amount,
                    ..payment.amount
                });
            }
        }
    }
    entry
}

fn recorded(record: &Record) -> Option<Entry> {
    Some(match record {
        Record::IssueTickets => Happened::TicketsIssued.into(),
        Record::VoidTickets => Happened::TicketsVoided.into(),
        Record::GiveBackSeats { seats, .. } => Entry {
            seats: seats.clone(),
            ..Happened::TicketsGivenBack.into()
        },
        Record::Refund {
            refund_id,
            payment_id,
            amount,
            reason,
        } => Entry {
            reason: Some(reason.as_str()),
            refund_id: Some(*refund_id),
            amount: Some(*amount),
            ..Entry::from(Happened::RefundRequested).of(*payment_id)
        },
        Record::AnnounceConfirmed => Happened::Confirmed.into(),
        Record::AnnounceEnded { state, reason } => Entry::from(match state {
            BookingState::Expired => Happened::Expired,
            BookingState::Cancelled => Happened::Cancelled,
            BookingState::Failed | BookingState::PendingPayment | BookingState::Confirmed => {
                Happened::Failed
            }
        })
        .because(*reason),
        Record::RaiseAlarm(alarm) => Entry {
            reason: Some(match alarm {
                Alarm::SeatsNotMarked => "SEATS_NOT_MARKED",
                Alarm::SeatsNotSold => "SEATS_NOT_SOLD",
                Alarm::SoldUnpaid => "SOLD_UNPAID",
            }),
            ..Happened::Inconsistent.into()
        },
        // Part of what the store said.
        Record::MarkSeats { .. } | Record::SellSeats { .. } | Record::FreeSeats { .. } => {
            return None;
        }
    })
}
