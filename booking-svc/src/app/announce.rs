//! What other services are told, in the transaction of the change itself.

use booking_core::{Booking, Reason};
use chrono::{DateTime, Utc};
use holdfast_eventlog::{NewEvent, Outbox, Row};
use holdfast_proto::events::v1;
use holdfast_types::{BookingId, BookingState, Money, PaymentId};
use prost::Message;
use sqlx::PgConnection;

use crate::{app::inventory::Inventory, error::Error, store::refunds::RefundOrder};

pub(crate) static OUTBOX: Outbox = Outbox::new("booking");
const TOPIC: &str = "booking";
const ENDED: &str = "BookingEnded";
/// The only attempt to collect money that a booking makes.
const ATTEMPT: u32 = 1;

fn money(money: Money) -> v1::Money {
    v1::Money {
        amount: money.amount,
        currency: money.currency.to_string(),
    }
}

fn id(bytes: [u8; 16]) -> prost::alloc::vec::Vec<u8> {
    bytes.to_vec()
}

/// To be written with the change.
fn row(booking: &Booking, event_type: &'static str, message: &impl Message) -> Result<Row, Error> {
    Ok(OUTBOX.row(event(booking.id.to_string(), event_type, message))?)
}

fn event(key: String, event_type: &'static str, message: &impl Message) -> NewEvent {
    NewEvent {
        topic: TOPIC,
        key,
        event_type,
        payload: message.encode_to_vec(),
    }
}

pub(super) fn created(
    booking: &Booking,
    pay_until: DateTime<Utc>,
    inventory: &Inventory,
) -> Result<Row, Error> {
    let seats = match booking.seats.len() {
        1 => "1 seat".to_owned(),
        n => format!("{n} seats"),
    };
    let event = v1::BookingCreated {
        booking_id: id(booking.id.to_bytes()),
        user_id: id(booking.user_id.to_bytes()),
        show_id: id(booking.show_id.to_bytes()),
        total: Some(money(booking.total)),
        description: format!("{}, {seats}", inventory.title),
        pay_until_ms: pay_until.timestamp_millis(),
        attempt: ATTEMPT,
    };
    row(booking, "BookingCreated", &event)
}

pub(super) fn confirmed(booking: &Booking, inventory: &Inventory) -> Result<Row, Error> {
    let event = v1::BookingConfirmed {
        booking_id: id(booking.id.to_bytes()),
        user_id: id(booking.user_id.to_bytes()),
        show_id: id(booking.show_id.to_bytes()),
        seat_ids: inventory.labels(&booking.seats),
        total: Some(money(booking.total)),
        payment_id: booking
            .kept_payment()
            .map_or(Vec::new(), |kept| id(kept.payment_id.to_bytes())),
    };
    row(booking, "BookingConfirmed", &event)
}

/// To who asked what became of a payment; under the payment's own key, as that question was.
pub(super) async fn kept(
    connection: &mut PgConnection,
    booking_id: BookingId,
    payment_id: PaymentId,
) -> Result<(), Error> {
    let kept = v1::PaymentKept {
        payment_id: id(payment_id.to_bytes()),
        booking_id: id(booking_id.to_bytes()),
    };
    let event = event(payment_id.to_string(), "PaymentKept", &kept);
    OUTBOX.append(connection, event).await?;
    Ok(())
}

pub(super) fn ended(booking: &Booking, state: BookingState, reason: Reason) -> Result<Row, Error> {
    row(booking, ENDED, &ending(booking, state, reason))
}

/// As [`ended`], of many that have ended.
pub(super) async fn all_ended(
    connection: &mut PgConnection,
    bookings: impl Iterator<Item = &Booking>,
) -> Result<(), Error> {
    let events = bookings.filter_map(|booking| {
        let ending = ending(booking, booking.state, booking.reason?);
        Some(event(booking.id.to_string(), ENDED, &ending))
    });
    OUTBOX.append_all(connection, events.collect()).await?;
    Ok(())
}

fn ending(booking: &Booking, state: BookingState, reason: Reason) -> v1::BookingEnded {
    v1::BookingEnded {
        booking_id: id(booking.id.to_bytes()),
        state: state.to_string(),
        reason: reason.as_str().to_owned(),
    }
}

pub(super) async fn refund_requested(
    connection: &mut PgConnection,
    order: &RefundOrder,
) -> Result<(), Error> {
    let event = event(
        order.booking_id.to_string(),
        "RefundRequested",
        &wanted(order, false),
    );
    OUTBOX.append(connection, event).await?;
    Ok(())
}

/// Under the payments' own keys, so that none waits behind what keeps its booking's events.
pub(super) async fn refunds_requested_again(
    connection: &mut PgConnection,
    orders: &[RefundOrder],
) -> Result<(), Error> {
    let events = orders.iter().map(|order| {
        let key = order.payment_id.to_string();
        event(key, "RefundRequested", &wanted(order, true))
    });
    OUTBOX.append_all(connection, events.collect()).await?;
    Ok(())
}

fn wanted(order: &RefundOrder, again: bool) -> v1::RefundRequested {
    v1::RefundRequested {
        refund_id: id(order.refund_id.into_bytes()),
        booking_id: id(order.booking_id.to_bytes()),
        payment_id: id(order.payment_id.to_bytes()),
        amount: Some(money(order.amount)),
        reason: order.reason.clone(),
        again,
    }
}
