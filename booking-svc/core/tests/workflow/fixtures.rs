//! A pending booking of two seats, and short names for what happens to it.

use booking_core::{Booking, Decision, HeldAs, Input, Step, decide};
use holdfast_types::{
    BookingId, BookingState, ClusterTime, Fence, HoldId, Lineage, Money, PaymentId, SeatNo, ShowId,
    UserId,
};

pub(crate) const END: ClusterTime = ClusterTime(1_000_000);

pub(crate) fn fence(n: u64) -> Fence {
    Fence::new(Lineage(1), n, 0)
}

pub(crate) fn eur(amount: i64) -> Money {
    Money {
        amount,
        currency: "EUR".parse().expect("valid"),
    }
}

pub(crate) fn payment(n: u8) -> PaymentId {
    PaymentId::from_bytes([n; 16])
}

pub(crate) fn pending() -> Booking {
    Booking {
        id: BookingId::from_bytes([1; 16]),
        user_id: UserId::from_bytes([2; 16]),
        show_id: ShowId::from_bytes([3; 16]),
        seats: vec![SeatNo(4), SeatNo(5)],
        returned: Vec::new(),
        total: eur(5_000),
        state: BookingState::PendingPayment,
        reason: None,
        step: Step::Idle,
        hold: HeldAs {
            hold_id: HoldId::from_bytes([6; 16]),
            fence: fence(1),
            attempt: 0,
        },
        expires_at: END,
        session: None,
        payments: Vec::new(),
    }
}

pub(crate) fn paid(n: u8) -> Input {
    Input::PaymentSucceeded {
        payment_id: payment(n),
        amount: eur(5_000),
    }
}

/// Decides after the booking's end.
pub(crate) fn after(booking: &Booking, input: Input) -> Decision {
    decide(booking, input, END)
}

/// Decides before the booking's end.
pub(crate) fn before(booking: &Booking, input: Input) -> Decision {
    decide(booking, input, ClusterTime(END.0 - 1))
}

/// The booking after several inputs.
pub(crate) fn through(booking: Booking, inputs: impl IntoIterator<Item = Input>) -> Booking {
    inputs
        .into_iter()
        .fold(booking, |booking, input| after(&booking, input).next)
}
