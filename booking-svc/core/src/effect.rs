//! What a decision asks for: records in the same transaction as the new state, then at most one
//! call to the store. Every key is derived, so that a repeated effect is the same effect.

use holdfast_types::{
    BookingId, BookingState, ClusterTime, Fence, HoldId, Money, PaymentId, SeatNo,
};
use uuid::Uuid;

use crate::{Booking, Reason};

/// What becomes of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The booking after it.
    pub next: Booking,
    /// To be committed with `next`, in this order, in one transaction.
    pub records: Vec<Record>,
    /// To be asked after that commit, with no database lock held.
    pub call: Option<Call>,
}

/// A question to the store; all it needs beyond the booking's own ids and seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// End the hold.
    Release {
        /// Which.
        hold_id: HoldId,
        /// Under which fence.
        fence: Fence,
    },
    /// Sell the hold's seats to the booking.
    Commit {
        /// Which.
        hold_id: HoldId,
        /// Under which fence.
        fence: Fence,
    },
    /// Hold the same seats, as late money.
    HoldAgain {
        /// Derived by [`late_hold_id`].
        hold_id: HoldId,
        /// From 1.
        attempt: u32,
    },
    /// Put the seats back on sale.
    Return {
        /// The fence they were sold under.
        fence: Fence,
    },
}

/// A change in the database, or an event, committed with the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Seats `HELD` for the booking where the stored fence is smaller and the seat isn't sold.
    /// Fewer rows than seats: roll back, and [`crate::Input::SeatsNotMarked`].
    MarkSeats {
        /// The new hold's fence.
        fence: Fence,
        /// Its promised end.
        expires_at: ClusterTime,
    },
    /// Seats `SOLD` where booking and fence match. Fewer rows than seats: roll back, and
    /// [`crate::Input::SeatsNotSold`].
    SellSeats {
        /// The fence that was committed.
        fence: Fence,
    },
    /// A valid ticket for each seat.
    IssueTickets,
    /// Seats `AVAILABLE`, their fence kept, where booking and fence match; others are left.
    FreeSeats {
        /// The fence they were taken under.
        fence: Fence,
    },
    /// Every ticket `VOID`. If one was used: roll back, the cancellation is refused.
    VoidTickets,
    /// Some seats `AVAILABLE`, their fence kept, and their tickets `VOID`. If one was used: roll back,
    /// giving them back is refused.
    GiveBackSeats {
        /// The fence they were sold under.
        fence: Fence,
        /// Which.
        seats: Vec<SeatNo>,
    },
    /// Ask payment-svc to send money back.
    Refund {
        /// Derived by [`refund_id`] or [`part_refund_id`].
        refund_id: Uuid,
        /// Which payment.
        payment_id: PaymentId,
        /// A part, or all that no part took.
        amount: Money,
        /// Why.
        reason: RefundReason,
    },
    /// Tell everybody: confirmed.
    AnnounceConfirmed,
    /// Tell everybody: over. Open payment sessions are to be cancelled.
    AnnounceEnded {
        /// `EXPIRED`, `FAILED` or `CANCELLED`.
        state: BookingState,
        /// Why.
        reason: Reason,
    },
    /// Tell staff: a promise of ours was about to break and was contained.
    RaiseAlarm(Alarm),
}

/// What was contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The store granted seats that the database has sold or under a larger fence.
    SeatsNotMarked,
    /// The store sold seats that the database doesn't have under that booking and fence.
    SeatsNotSold,
    /// The store has seats sold to a booking that nobody paid.
    SoldUnpaid,
}

/// Why money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundReason {
    /// The booking had been paid.
    PaidTwice,
    /// Not the booking's amount or currency.
    AmountMismatch,
    /// The booking was over.
    BookingEnded,
    /// The purchase could not be completed.
    NotCompleted,
    /// The customer cancelled.
    Cancelled,
    /// The customer gave some seats back.
    SeatsGivenBack,
    /// The organiser called the show off.
    ShowCancelled,
}

impl RefundReason {
    /// The code in events and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaidTwice => "PAID_TWICE",
            Self::AmountMismatch => "AMOUNT_MISMATCH",
            Self::BookingEnded => "BOOKING_ENDED",
            Self::NotCompleted => "NOT_COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::SeatsGivenBack => "SEATS_GIVEN_BACK",
            Self::ShowCancelled => "SHOW_CANCELLED",
        }
    }
}

/// Namespace of [`refund_id`]; any fixed value, never changed.
const REFUNDS: Uuid = Uuid::from_u128(0x7a0c_31d2_5d0f_4b6e_9a57_0f6b_1f60_52e1);
/// Namespace of [`late_hold_id`]; any fixed value, never changed.
const LATE_HOLDS: Uuid = Uuid::from_u128(0x2f3d_9b18_66c4_4c0b_8f0e_d1a4_7e3b_90c7);

/// The idempotency key under which a payment, or what no part took of it, is refunded: one per payment.
pub fn refund_id(payment_id: PaymentId) -> Uuid {
    Uuid::new_v5(&REFUNDS, &payment_id.to_bytes())
}

/// The idempotency key under which the `n`th part of a payment is refunded, from 0.
pub fn part_refund_id(payment_id: PaymentId, n: usize) -> Uuid {
    let mut name = [0_u8; 24];
    name[..16].copy_from_slice(&payment_id.to_bytes());
    name[16..].copy_from_slice(&(n as u64).to_be_bytes());
    Uuid::new_v5(&REFUNDS, &name)
}

/// The store's id of the hold that late money takes at its `attempt`, from 1.
pub fn late_hold_id(booking_id: BookingId, attempt: u32) -> HoldId {
    let mut name = [0_u8; 20];
    name[..16].copy_from_slice(&booking_id.to_bytes());
    name[16..].copy_from_slice(&attempt.to_be_bytes());
    HoldId::from_uuid(Uuid::new_v5(&LATE_HOLDS, &name))
}
