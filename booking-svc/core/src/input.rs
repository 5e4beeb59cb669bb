//! What can happen to a booking: events of payment-svc, wishes of people, answers of the store,
//! and refusals of our own database. Each may come twice and late.

use holdfast_types::{ClusterTime, Fence, HoldId, Money, PaymentId, SeatNo};
use uuid::Uuid;

use crate::Reason;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The customer can pay at `url`.
    SessionCreated {
        /// The attempt.
        payment_id: PaymentId,
        /// Where to pay.
        url: String,
    },
    /// Money was captured.
    PaymentSucceeded {
        /// The attempt.
        payment_id: PaymentId,
        /// What was captured.
        amount: Money,
    },
    /// This attempt will bring no money.
    PaymentFailed {
        /// The attempt.
        payment_id: PaymentId,
    },
    /// Money went back.
    RefundSucceeded {
        /// The refund.
        refund_id: Uuid,
    },
    /// The sweep found the booking past its end.
    ExpiryDue,
    /// The store told those who watch it that the hold under this fence is over, and not by a sale.
    HoldEnded {
        /// The fence that the hold had.
        fence: Fence,
    },
    /// The customer wants out.
    CancelRequested {
        /// Also of a confirmed booking; otherwise only an unpaid one ends.
        confirmed_too: bool,
    },
    /// The customer gives some seats of a confirmed booking back, and keeps others.
    SeatsGivenBack {
        /// Which.
        seats: Vec<SeatNo>,
        /// What was paid for them, in minor units.
        amount: i64,
    },
    /// The organiser called the show off, and whoever paid is to be refunded.
    ShowCancelled,
    /// Nothing new: go on with the open step.
    Resume,
    /// The store answered `Release`.
    Released {
        /// The fence it was asked under.
        fence: Fence,
        /// What it said.
        answer: ReleaseAnswer,
    },
    /// The store answered `Commit`.
    Committed {
        /// The fence it was asked under.
        fence: Fence,
        /// What it said.
        answer: CommitAnswer,
    },
    /// The store answered `Hold` for late money.
    HeldAgain {
        /// The attempt it was asked for.
        attempt: u32,
        /// What it said.
        answer: HoldAnswer,
    },
    /// The store has none of the seats that it was asked about sold to this booking under this fence any more.
    Returned {
        /// The fence it was asked under.
        fence: Fence,
        /// Of how many seats it was asked: there may be more by now.
        seats: usize,
    },
    /// [`crate::Record::MarkSeats`] met fewer rows than seats, and the transaction was rolled
    /// back; the hold at the store is there.
    SeatsNotMarked {
        /// The attempt.
        attempt: u32,
        /// The hold that the store granted.
        hold_id: HoldId,
        /// Its fence.
        fence: Fence,
    },
    /// [`crate::Record::SellSeats`] met fewer rows than seats, and the transaction was rolled
    /// back; the store has them sold.
    SeatsNotSold {
        /// The fence they are sold under.
        fence: Fence,
    },
}

/// What the store said to `Release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseAnswer {
    /// The hold is over: by this call, by an earlier one, by time, or superseded.
    Gone,
    /// It was committed.
    AlreadySold,
}

/// What the store said to `Commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitAnswer {
    /// The seats are this booking's, now or since an earlier call.
    Sold,
    /// The hold ended, or newer fences stand on its seats.
    Gone,
    /// Never: the show is over, or the request is wrong.
    Refused(Reason),
}

/// What the store said to `Hold`. "Not now" is no answer: the step stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldAnswer {
    /// The seats are held for this booking.
    Held {
        /// The new hold.
        hold_id: HoldId,
        /// Its fence.
        fence: Fence,
        /// Its promised end.
        expires_at: ClusterTime,
    },
    /// Never.
    Refused(Reason),
}
