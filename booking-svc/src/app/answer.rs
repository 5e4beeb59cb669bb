//! A booking as its customer is told of it: the contract's message, which is also what is remembered of
//! an answer, so that a repeated request gets the very same.

use booking_core::Reason;
use holdfast_proto::booking::v1 as pb;
use holdfast_types::{BookingState, Money};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{inventory::ChargedFee, read::BookingView};

/// What a request came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) booking: pb::Booking,
    /// It was answered before, and this is that answer.
    pub(crate) replayed: bool,
}

pub(crate) fn money_message(money: Money) -> pb::Money {
    pb::Money {
        amount: money.amount,
        currency: money.currency.to_string(),
    }
}

pub(crate) fn fee_messages(fees: Vec<ChargedFee>) -> Vec<pb::ChargedFee> {
    let message = |fee: ChargedFee| pb::ChargedFee {
        name: fee.name,
        amount: fee.amount,
    };
    fees.into_iter().map(message).collect()
}

pub(crate) fn booking_message(view: BookingView) -> pb::Booking {
    let refund_status = view.refund_status().to_owned();
    let booking = view.booking;
    let pending = booking.state == BookingState::PendingPayment && !booking.is_paid();
    let payment_url = booking
        .session
        .filter(|_| pending)
        .map_or(String::new(), |open| open.url);
    versioned(pb::Booking {
        booking_id: booking.id.to_bytes().to_vec(),
        status: booking.state.to_string(),
        show_id: booking.show_id.to_bytes().to_vec(),
        seat_ids: view.seat_ids,
        total: Some(money_message(booking.total)),
        payment_url,
        created_at_ms: view.created_at.timestamp_millis(),
        expires_at_ms: view.pay_until.timestamp_millis(),
        reason: booking.reason.map_or("", Reason::as_str).to_owned(),
        refund_status,
        returned_seat_ids: view.returned_seat_ids,
        version: String::new(),
        seats_total: Some(money_message(view.cost.seats)),
        fees: fee_messages(view.cost.fees),
    })
}

/// Named by a hash of all that it says, so that no process has to remember which version it was.
fn versioned(mut booking: pb::Booking) -> pb::Booking {
    let hash = Sha256::digest(booking.encode_to_vec());
    let (first, _) = hash.split_first_chunk().expect("a hash is longer");
    booking.version = format!("{:016x}", u64::from_be_bytes(*first));
    booking
}
