//! Consumes what payment-svc tells. A payment is handled once it is recorded on its booking: what
//! the store then decides is an open step, which needs no event to go on.

use std::sync::Arc;

use booking_core::Input;
use holdfast_eventlog::{Event, HandleError, Handler};
use holdfast_proto::events::v1;
use holdfast_types::{BookingId, ClusterTime, Money, PaymentId};
use prost::Message;
use uuid::Uuid;

use crate::{
    app::{App, cancel::wall_time},
    error::Error,
};

/// Cursor name.
pub(crate) const CONSUMER: &str = "booking";
/// Topics read.
pub(crate) const TOPICS: &[&str] = &["payment"];

/// Feeds payment events to the workflow.
#[derive(Debug, Clone)]
pub(crate) struct Payments {
    pub(crate) app: Arc<App>,
}

impl Payments {
    /// Only a failed payment turns on the time: after the booking's end it is an expiry. What it
    /// asks for takes the store too, whose time alone may be compared with that end.
    async fn now(&self, input: &Input) -> Result<ClusterTime, Error> {
        match input {
            Input::PaymentFailed { .. } => self.app.cluster_time().await,
            _ => Ok(wall_time()),
        }
    }
}

impl Handler for Payments {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let (booking_id, input, again) = match decode(event)? {
            None => return Ok(()),
            Some(Told::Dispute {
                booking_id,
                payment_id,
                state,
            }) => {
                let noted = self.app.note_dispute(booking_id, payment_id, &state).await;
                return handled(booking_id, noted.map(|is_there| is_there.then_some(())));
            }
            Some(Told::Input {
                booking_id,
                input,
                again,
            }) => (booking_id, input, again),
        };
        let driven = match self.now(&input).await {
            Ok(now) => self.app.drive(booking_id, input, now).await,
            Err(error) => Err(error),
        };
        if let Some(payment_id) = again {
            let answered = match driven {
                Ok(_) => self.app.tell_fate_again(booking_id, payment_id).await,
                Err(error) => Err(error),
            };
            return said_again(booking_id, answered);
        }
        handled(booking_id, driven.map(|driven| driven.map(drop)))
    }
}

fn handled(booking_id: BookingId, done: Result<Option<()>, Error>) -> Result<(), HandleError> {
    match done {
        Ok(Some(())) => Ok(()),
        // Money for a booking that this database has never seen: for people to look at.
        Ok(None) => Err(HandleError::Permanent(format!("no booking {booking_id}"))),
        Err(error) if error.is_outage() => Err(HandleError::Unavailable(error.to_string())),
        Err(error) => Err(HandleError::Retry(error.to_string())),
    }
}

/// What is told again comes again by itself until it is answered: no key is parked for it, behind
/// which the next would wait.
fn said_again(booking_id: BookingId, answered: Result<(), Error>) -> Result<(), HandleError> {
    match answered {
        Err(error) if error.is_outage() => Err(HandleError::Unavailable(error.to_string())),
        Err(error) => {
            tracing::error!(booking.id = %booking_id, %error, "a payment told again was not taken; it comes again");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// What an event means to which booking.
enum Told {
    /// For the workflow.
    Input {
        booking_id: BookingId,
        input: Input,
        /// The payment whose ending payment-svc wants to hear again.
        again: Option<PaymentId>,
    },
    /// For the timeline alone.
    Dispute {
        booking_id: BookingId,
        payment_id: PaymentId,
        state: String,
    },
}

/// Ways in which a dispute may stand.
const DISPUTE_STATES: [&str; 3] = ["OPEN", "WON", "LOST"];

/// `None` for a type that means nothing here.
fn decode(event: &Event) -> Result<Option<Told>, HandleError> {
    let payload = event.payload.as_slice();
    let bad = |what: &dyn std::fmt::Display| {
        HandleError::Permanent(format!("{} {}: {what}", event.event_type, event.id))
    };
    let booking = |bytes: &[u8]| BookingId::from_slice(bytes).map_err(|error| bad(&error));
    let payment = |bytes: &[u8]| PaymentId::from_slice(bytes).map_err(|error| bad(&error));
    let mut again = None;
    let (booking_id, input) = match event.event_type.as_str() {
        "PaymentSessionCreated" => {
            let told = v1::PaymentSessionCreated::decode(payload).map_err(|error| bad(&error))?;
            let payment_id = payment(&told.payment_id)?;
            let url = told.payment_url;
            (
                booking(&told.booking_id)?,
                Input::SessionCreated { payment_id, url },
            )
        }
        "PaymentSucceeded" => {
            let told = v1::PaymentSucceeded::decode(payload).map_err(|error| bad(&error))?;
            let wire = told.amount.ok_or_else(|| bad(&"no amount"))?;
            let currency = wire.currency.parse().map_err(|error| bad(&error))?;
            let amount = Money {
                amount: wire.amount,
                currency,
            };
            let payment_id = payment(&told.payment_id)?;
            again = told.again.then_some(payment_id);
            (
                booking(&told.booking_id)?,
                Input::PaymentSucceeded { payment_id, amount },
            )
        }
        "PaymentFailed" => {
            let told = v1::PaymentFailed::decode(payload).map_err(|error| bad(&error))?;
            let payment_id = payment(&told.payment_id)?;
            (
                booking(&told.booking_id)?,
                Input::PaymentFailed { payment_id },
            )
        }
        "RefundSucceeded" => {
            let told = v1::RefundSucceeded::decode(payload).map_err(|error| bad(&error))?;
            let refund_id = Uuid::from_slice(&told.refund_id).map_err(|error| bad(&error))?;
            (
                booking(&told.booking_id)?,
                Input::RefundSucceeded { refund_id },
            )
        }
        "PaymentDisputed" => {
            let told = v1::PaymentDisputed::decode(payload).map_err(|error| bad(&error))?;
            if !DISPUTE_STATES.contains(&told.state.as_str()) {
                return Err(bad(&format!("state {}", told.state)));
            }
            return Ok(Some(Told::Dispute {
                booking_id: booking(&told.booking_id)?,
                payment_id: payment(&told.payment_id)?,
                state: told.state,
            }));
        }
        _ => return Ok(None),
    };
    Ok(Some(Told::Input {
        booking_id,
        input,
        again,
    }))
}
