//! What the workflow knows of one booking; all of it survives a restart.
//!
//! Always holds: see the crate. Leaves to others: how it is stored.

use holdfast_types::{
    BookingId, BookingState, ClusterTime, Fence, HoldId, Money, PaymentId, SeatNo, ShowId, UserId,
};
use uuid::Uuid;

/// One purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// Its id.
    pub id: BookingId,
    /// Who buys.
    pub user_id: UserId,
    /// What for.
    pub show_id: ShowId,
    /// The seats, ascending; never changes.
    pub seats: Vec<SeatNo>,
    /// Those of them that were given back while it was confirmed, ascending.
    pub returned: Vec<SeatNo>,
    /// What it costs; never changes.
    pub total: Money,
    /// Where the purchase stands.
    pub state: BookingState,
    /// Why it ended; none while it is pending or confirmed.
    pub reason: Option<Reason>,
    /// The question that is open at the store.
    pub step: Step,
    /// The newest hold that the seats were held under.
    pub hold: HeldAs,
    /// Until when an unpaid booking keeps its seats.
    pub expires_at: ClusterTime,
    /// Where to pay, once the provider answered.
    pub session: Option<Session>,
    /// Every captured payment, in the order of arrival.
    pub payments: Vec<Payment>,
}

impl Booking {
    /// The payment that waits for the store's decision: from when it is recorded, no sweep
    /// touches the booking.
    pub fn pending_payment(&self) -> Option<&Payment> {
        self.payments
            .iter()
            .find(|payment| payment.fate == Fate::Pending)
    }

    /// The seats that weren't given back, ascending.
    pub fn seats_left(&self) -> Vec<SeatNo> {
        let seats = self.seats.iter();
        let left = seats.filter(|seat| !self.returned.contains(seat));
        left.copied().collect()
    }

    /// What `Return` puts back on sale: of a confirmed booking what was given back.
    pub fn seats_to_return(&self) -> &[SeatNo] {
        if self.state == BookingState::Confirmed {
            &self.returned
        } else {
            &self.seats
        }
    }

    /// The payment that pays for the confirmed booking.
    pub fn kept_payment(&self) -> Option<&Payment> {
        self.payments
            .iter()
            .find(|payment| payment.fate == Fate::Kept)
    }

    /// Whether a captured payment stands for this booking, decided or not.
    pub fn is_paid(&self) -> bool {
        self.payments
            .iter()
            .any(|payment| matches!(payment.fate, Fate::Pending | Fate::Kept))
    }
}

/// The hold at the store that the booking's seats are, or were last, held under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldAs {
    /// The store's id.
    pub hold_id: HoldId,
    /// Its fence.
    pub fence: Fence,
    /// 0 for the customer's own hold; n for the nth that late money took.
    pub attempt: u32,
}

/// A payment session at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The attempt to collect money.
    pub payment_id: PaymentId,
    /// Where the customer pays.
    pub url: String,
}

/// One captured payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub payment_id: PaymentId,
    /// What was captured.
    pub amount: Money,
    /// Where the money is, or goes; of one that goes back, what no part took.
    pub fate: Fate,
    /// What went back of it while it was kept, in the order of asking.
    pub parts: Vec<Part>,
}

impl Payment {
    /// What no part took.
    pub fn left(&self) -> Money {
        let parts: i64 = self.parts.iter().map(|part| part.amount).sum();
        Money {
            amount: self.amount.amount - parts,
            ..self.amount
        }
    }
}

/// A part of a payment that goes back because seats were given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Minor units of the payment's currency.
    pub amount: i64,
    /// Whether the money went.
    pub went: bool,
}

/// Where a captured payment's money is (BK-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The store has yet to decide.
    Pending,
    /// It pays for the confirmed booking.
    Kept,
    /// It is on its way back, under this refund id.
    Refunding(Uuid),
    /// It went back, under this refund id.
    Refunded(Uuid),
}

/// The question open at the store; see the crate's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// None.
    Idle,
    /// `Release`; a booking that is still pending then ends so.
    Releasing(Ending),
    /// `Commit`.
    Committing,
    /// `Hold` of the same seats, attempt `hold.attempt + 1`.
    Holding,
    /// `Return`.
    Returning,
}

/// What a pending booking becomes when its seats are let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Time ran out.
    Expired,
    /// The customer said so.
    Cancelled,
    /// The provider said that no money will come.
    PaymentFailed,
    /// It has ended already; only the hold is left to be let go.
    Ended,
}

/// Why a booking ended; clients see the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Not paid in time.
    PaymentTimeout,
    /// The provider declined, or the session ended.
    PaymentFailed,
    /// The customer cancelled.
    CancelledByCustomer,
    /// The organiser called the show off.
    ShowCancelled,
    /// Paid late, and others have the seats.
    SeatsGone,
    /// Paid late, for a show whose rules send such money back.
    PaidLate,
    /// Paid late, and the customer has as many seats as the show allows.
    LimitExceeded,
    /// The show was closed or cancelled meanwhile.
    ShowOver,
    /// Store and database disagreed; staff were alarmed.
    Inconsistent,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::PaymentTimeout,
        Self::PaymentFailed,
        Self::CancelledByCustomer,
        Self::ShowCancelled,
        Self::SeatsGone,
        Self::PaidLate,
        Self::LimitExceeded,
        Self::ShowOver,
        Self::Inconsistent,
    ];

    /// The code on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentTimeout => "PAYMENT_TIMEOUT",
            Self::PaymentFailed => "PAYMENT_FAILED",
            Self::CancelledByCustomer => "CANCELLED_BY_CUSTOMER",
            Self::ShowCancelled => "SHOW_CANCELLED",
            Self::SeatsGone => "SEATS_GONE",
            Self::PaidLate => "PAID_LATE",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::ShowOver => "SHOW_OVER",
            Self::Inconsistent => "INCONSISTENT",
        }
    }

    /// The reason with that code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == code)
    }
}
