//! What payment-svc tells the others: topic `payment`, keyed by booking.

use holdfast_eventlog::{NewEvent, Outbox};
use holdfast_proto::events::v1;
use holdfast_types::{BookingId, Money, PaymentId};
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store;

pub(super) const OUTBOX: Outbox = Outbox::new("payment");

pub(super) async fn session_created(
    connection: &mut PgConnection,
    booking_id: BookingId,
    payment_id: PaymentId,
    url: &str,
) -> Result<(), store::Error> {
    let message = v1::PaymentSessionCreated {
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        payment_url: url.to_owned(),
    };
    append(connection, booking_id, "PaymentSessionCreated", &message).await
}

pub(super) async fn succeeded(
    connection: &mut PgConnection,
    booking_id: BookingId,
    payment_id: PaymentId,
    money: Money,
) -> Result<(), store::Error> {
    let message = v1::PaymentSucceeded {
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        amount: Some(wire(money)),
    };
    append(connection, booking_id, "PaymentSucceeded", &message).await
}

pub(super) async fn failed(
    connection: &mut PgConnection,
    booking_id: BookingId,
    payment_id: PaymentId,
    reason: &str,
) -> Result<(), store::Error> {
    let message = v1::PaymentFailed {
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        reason: reason.to_owned(),
    };
    append(connection, booking_id, "PaymentFailed", &message).await
}

pub(super) async fn refunded(
    connection: &mut PgConnection,
    booking_id: BookingId,
    payment_id: PaymentId,
    refund_id: Uuid,
    money: Money,
) -> Result<(), store::Error> {
    let message = v1::RefundSucceeded {
        refund_id: refund_id.into_bytes().to_vec(),
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        amount: Some(wire(money)),
    };
    append(connection, booking_id, "RefundSucceeded", &message).await
}

async fn append(
    connection: &mut PgConnection,
    booking_id: BookingId,
    event_type: &'static str,
    message: &impl Message,
) -> Result<(), store::Error> {
    let event = NewEvent {
        topic: "payment",
        key: booking_id.to_string(),
        event_type,
        payload: message.encode_to_vec(),
    };
    OUTBOX.append(connection, event).await?;
    Ok(())
}

fn wire(money: Money) -> v1::Money {
    v1::Money {
        amount: money.amount,
        currency: money.currency.to_string(),
    }
}
