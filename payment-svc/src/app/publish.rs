//! What payment-svc tells the others: topic `payment`, keyed by booking; what is told again, by payment.

use holdfast_eventlog::{NewEvent, Outbox, Row};
use holdfast_proto::events::v1;
use holdfast_types::{BookingId, Money, PaymentId};
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    provider::Dispute,
    store::{
        self,
        payments::{Payment, Undecided},
    },
};

pub(crate) static OUTBOX: Outbox = Outbox::new("payment");

pub(super) fn session_created(
    booking_id: BookingId,
    payment_id: PaymentId,
    url: &str,
) -> Result<Row, store::Error> {
    let message = v1::PaymentSessionCreated {
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        payment_url: url.to_owned(),
    };
    row(booking_id, "PaymentSessionCreated", &message)
}

pub(super) fn succeeded(
    booking_id: BookingId,
    payment_id: PaymentId,
    money: Money,
) -> Result<Row, store::Error> {
    let message = v1::PaymentSucceeded {
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        amount: Some(wire(money)),
        again: false,
    };
    row(booking_id, "PaymentSucceeded", &message)
}

/// Under the payments' own keys, so that none waits behind what keeps its booking's events.
pub(super) async fn succeeded_again(
    connection: &mut PgConnection,
    undecided: &[Undecided],
) -> Result<(), store::Error> {
    let events = undecided.iter().map(|one| {
        let message = v1::PaymentSucceeded {
            payment_id: one.payment_id.to_bytes().to_vec(),
            booking_id: one.booking_id.to_bytes().to_vec(),
            amount: Some(wire(one.captured)),
            again: true,
        };
        event(&one.payment_id.to_string(), "PaymentSucceeded", &message)
    });
    OUTBOX.append_all(connection, events.collect()).await?;
    Ok(())
}

pub(super) fn failed(
    booking_id: BookingId,
    payment_id: PaymentId,
    reason: &str,
) -> Result<Row, store::Error> {
    let message = v1::PaymentFailed {
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        reason: reason.to_owned(),
    };
    row(booking_id, "PaymentFailed", &message)
}

pub(super) async fn disputed(
    connection: &mut PgConnection,
    payment: &Payment,
    dispute: Dispute,
) -> Result<(), store::Error> {
    let message = v1::PaymentDisputed {
        payment_id: payment.payment_id.to_bytes().to_vec(),
        booking_id: payment.booking_id.to_bytes().to_vec(),
        state: dispute.as_str().to_owned(),
    };
    let event = event(&payment.booking_id.to_string(), "PaymentDisputed", &message);
    append(connection, OUTBOX.row(event)?).await
}

/// Money that went back.
pub(super) struct Refunded {
    pub(super) booking_id: BookingId,
    pub(super) payment_id: PaymentId,
    pub(super) refund_id: Uuid,
    pub(super) money: Money,
    /// Said to who asked again, under the payment's own key.
    pub(super) again: bool,
}

pub(super) async fn refunded(
    connection: &mut PgConnection,
    refunded: Refunded,
) -> Result<(), store::Error> {
    let message = v1::RefundSucceeded {
        refund_id: refunded.refund_id.into_bytes().to_vec(),
        payment_id: refunded.payment_id.to_bytes().to_vec(),
        booking_id: refunded.booking_id.to_bytes().to_vec(),
        amount: Some(wire(refunded.money)),
    };
    let key = if refunded.again {
        refunded.payment_id.to_string()
    } else {
        refunded.booking_id.to_string()
    };
    let event = event(&key, "RefundSucceeded", &message);
    OUTBOX.append(connection, event).await?;
    Ok(())
}

/// Writes by itself what no statement of a change takes along.
pub(super) async fn append(connection: &mut PgConnection, row: Row) -> Result<(), store::Error> {
    OUTBOX.append_row(connection, row).await?;
    Ok(())
}

fn row(
    booking_id: BookingId,
    event_type: &'static str,
    message: &impl Message,
) -> Result<Row, store::Error> {
    Ok(OUTBOX.row(event(&booking_id.to_string(), event_type, message))?)
}

fn event(key: &str, event_type: &'static str, message: &impl Message) -> NewEvent {
    NewEvent {
        topic: "payment",
        key: key.to_owned(),
        event_type,
        payload: message.encode_to_vec(),
    }
}

fn wire(money: Money) -> v1::Money {
    v1::Money {
        amount: money.amount,
        currency: money.currency.to_string(),
    }
}
