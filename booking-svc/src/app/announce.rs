//! What other services are told, in the transaction of the change itself.

use booking_core::{Booking, Reason, RefundReason};
use chrono::{DateTime, Utc};
use holdfast_eventlog::{NewEvent, Outbox};
use holdfast_proto::events::v1;
use holdfast_types::{BookingState, Money, PaymentId};
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{app::inventory::Inventory, error::Error};

const OUTBOX: Outbox = Outbox::new("booking");
const TOPIC: &str = "booking";
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

async fn tell(
    connection: &mut PgConnection,
    booking: &Booking,
    event_type: &'static str,
    message: &impl Message,
) -> Result<(), Error> {
    let key = booking.id.to_string();
    let payload = message.encode_to_vec();
    OUTBOX
        .append(
            connection,
            NewEvent {
                topic: TOPIC,
                key,
                event_type,
                payload,
            },
        )
        .await?;
    Ok(())
}

pub(super) async fn created(
    connection: &mut PgConnection,
    booking: &Booking,
    pay_until: DateTime<Utc>,
    inventory: &Inventory,
) -> Result<(), Error> {
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
    tell(connection, booking, "BookingCreated", &event).await
}

pub(super) async fn confirmed(
    connection: &mut PgConnection,
    booking: &Booking,
    inventory: &Inventory,
) -> Result<(), Error> {
    let event = v1::BookingConfirmed {
        booking_id: id(booking.id.to_bytes()),
        user_id: id(booking.user_id.to_bytes()),
        show_id: id(booking.show_id.to_bytes()),
        seat_ids: inventory.labels(&booking.seats),
        total: Some(money(booking.total)),
    };
    tell(connection, booking, "BookingConfirmed", &event).await
}

pub(super) async fn ended(
    connection: &mut PgConnection,
    booking: &Booking,
    state: BookingState,
    reason: Reason,
) -> Result<(), Error> {
    let event = v1::BookingEnded {
        booking_id: id(booking.id.to_bytes()),
        state: state.to_string(),
        reason: reason.as_str().to_owned(),
    };
    tell(connection, booking, "BookingEnded", &event).await
}

/// A refund as it is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefundOrder {
    pub(super) refund_id: Uuid,
    pub(super) payment_id: PaymentId,
    pub(super) amount: Money,
    pub(super) reason: RefundReason,
}

pub(super) async fn refund_requested(
    connection: &mut PgConnection,
    booking: &Booking,
    order: RefundOrder,
) -> Result<(), Error> {
    let event = v1::RefundRequested {
        refund_id: id(order.refund_id.into_bytes()),
        booking_id: id(booking.id.to_bytes()),
        payment_id: id(order.payment_id.to_bytes()),
        amount: Some(money(order.amount)),
        reason: order.reason.as_str().to_owned(),
    };
    tell(connection, booking, "RefundRequested", &event).await
}
