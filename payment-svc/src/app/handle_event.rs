//! Topic `booking`, event by event.

use std::sync::Arc;

use chrono::DateTime;
use holdfast_eventlog::{Event, HandleError, Handler};
use holdfast_mesh::trace;
use holdfast_proto::events::v1;
use holdfast_types::{BookingId, Money, PaymentId, ShowId, UserId};
use prost::Message;
use uuid::Uuid;

use super::{
    App, Error, create_session::create_session, end_session::end_session, keep::keep, refund,
    refund::refund,
};
use crate::{provider, provider::Provider, store::payments};

/// Characters of a description that are kept: one line of a payment page.
const DESCRIPTION_CHARS_MAX: usize = 200;

/// Handles what booking-svc tells.
pub(crate) struct BookingEvents<P>(pub(crate) Arc<App<P>>);

impl<P: Provider> Handler for BookingEvents<P> {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let payload = event.payload.as_slice();
        let done = match event.event_type.as_str() {
            "BookingCreated" => {
                let new = wanted_payment::<P>(&decode(payload)?)?;
                create_session(&self.0, new).await
            }
            "BookingEnded" => {
                let ended: v1::BookingEnded = decode(payload)?;
                end_session(&self.0, id(&ended.booking_id, BookingId::from_slice)?).await
            }
            "BookingConfirmed" => {
                let told: v1::BookingConfirmed = decode(payload)?;
                if told.payment_id.is_empty() {
                    // The release before doesn't say which; it is asked about.
                    return Ok(());
                }
                let booking_id = id(&told.booking_id, BookingId::from_slice)?;
                keep(
                    &self.0,
                    booking_id,
                    id(&told.payment_id, PaymentId::from_slice)?,
                )
                .await
            }
            "PaymentKept" => {
                let told: v1::PaymentKept = decode(payload)?;
                let booking_id = id(&told.booking_id, BookingId::from_slice)?;
                let kept = id(&told.payment_id, PaymentId::from_slice)?;
                return said_again(event, keep(&self.0, booking_id, kept).await);
            }
            "RefundRequested" => {
                let wanted = wanted_refund(decode(payload)?)?;
                let done = refund(&self.0, &wanted).await;
                if wanted.again {
                    return said_again(event, done);
                }
                done
            }
            _ => Ok(()),
        };
        done.map_err(refusal)
    }
}

fn wanted_payment<P: Provider>(event: &v1::BookingCreated) -> Result<payments::New, HandleError> {
    let price = money(event.total.as_ref())?;
    if price.amount < 0 || event.attempt == 0 {
        return Err(unreadable("amount or attempt"));
    }
    Ok(payments::New {
        booking_id: id(&event.booking_id, BookingId::from_slice)?,
        attempt: event.attempt,
        user_id: id(&event.user_id, UserId::from_slice)?,
        show_id: id(&event.show_id, ShowId::from_slice)?,
        price,
        description: event
            .description
            .chars()
            .take(DESCRIPTION_CHARS_MAX)
            .collect(),
        pay_until: DateTime::from_timestamp_millis(event.pay_until_ms)
            .ok_or_else(|| unreadable("pay_until_ms"))?,
        provider: P::NAME,
        traceparent: trace::current_text(),
    })
}

fn wanted_refund(event: v1::RefundRequested) -> Result<refund::Wanted, HandleError> {
    Ok(refund::Wanted {
        refund_id: id(&event.refund_id, Uuid::from_slice)?,
        booking_id: id(&event.booking_id, BookingId::from_slice)?,
        payment_id: id(&event.payment_id, PaymentId::from_slice)?,
        amount: money(event.amount.as_ref())?,
        reason: event.reason,
        again: event.again,
    })
}

fn decode<M: Message + Default>(payload: &[u8]) -> Result<M, HandleError> {
    M::decode(payload).map_err(|error| unreadable(&error.to_string()))
}

fn id<T, E>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, E>) -> Result<T, HandleError> {
    read(bytes).map_err(|_| unreadable("an id"))
}

fn money(money: Option<&v1::Money>) -> Result<Money, HandleError> {
    let money = money.ok_or_else(|| unreadable("no amount"))?;
    let currency = money.currency.parse().map_err(|_| unreadable("currency"))?;
    Ok(Money {
        amount: money.amount,
        currency,
    })
}

fn unreadable(what: &str) -> HandleError {
    HandleError::Permanent(format!("unreadable event: {what}"))
}

/// What is said again comes again by itself until it is heard: no key is parked for it, behind which
/// the next would wait.
fn said_again(event: &Event, done: Result<(), Error>) -> Result<(), HandleError> {
    let Err(error) = done else { return Ok(()) };
    match refusal(error) {
        away @ HandleError::Unavailable(_) => Err(away),
        error => {
            tracing::error!(event.type = event.event_type, event.key = event.key, %error, "not done, and asked for again until it is");
            Ok(())
        }
    }
}

/// What the stream does with an event that wasn't handled.
fn refusal(error: Error) -> HandleError {
    let text = error.to_string();
    match error {
        Error::Provider(provider::Error::Unknown(_)) => HandleError::Unavailable(text),
        Error::Store(error) if error.is_away() => HandleError::Unavailable(text),
        Error::Provider(
            provider::Error::Refused(_)
            | provider::Error::NoSession(_)
            | provider::Error::Elsewhere(_),
        )
        | Error::RefundImpossible(_)
        | Error::NotThatPayment(_) => HandleError::Permanent(text),
        Error::Store(_) | Error::OtherOpen | Error::NoSessionYet | Error::Webhook(_) => {
            HandleError::Retry(text)
        }
    }
}
