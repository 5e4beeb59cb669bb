//! Brings a payment to where the provider says it is: the one place where a payment ends.
//!
//! Ends the caller's transaction, any number of times and in any order of what the provider said:
//! money outranks every other word, and an end is told and counted once. Disputes are noted here, too.

use holdfast_mesh::trace::{self, Context, FutureExt as _, KeyValue, SpanKind};
use holdfast_proto::part;
use holdfast_types::{Money, PaymentId, PaymentState};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{Error, TELL_AGAIN_AFTER, publish};
use crate::{
    metric,
    provider::{Session, Status},
    store::{
        ledger,
        payments::{self, Payment},
    },
};

/// What [`settle`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// The payment ended now, like this.
    Now(PaymentState),
    /// It stays as it was.
    Unchanged,
    /// No such payment.
    UnknownPayment,
}

/// Commits `transaction`, whatever it finds.
pub(super) async fn settle(
    mut transaction: Transaction<'_, Postgres>,
    payment_id: PaymentId,
    session: &Session,
) -> Result<Settled, Error> {
    let Some(payment) = payments::locked(&mut transaction, payment_id).await? else {
        transaction.commit().await?;
        return Ok(Settled::UnknownPayment);
    };
    note_dispute(&mut transaction, &payment, session).await?;
    let (state, failure) = match &session.status {
        // Even where it was called off before: captured money is never overlooked.
        Status::Paid(_) if payment.state != PaymentState::Succeeded => {
            (PaymentState::Succeeded, None)
        }
        Status::Failed(why) if payment.is_open() => (PaymentState::Failed, Some(why.as_str())),
        Status::Cancelled if payment.is_open() => (PaymentState::Cancelled, Some("cancelled")),
        _ => {
            transaction.commit().await?;
            return Ok(Settled::Unchanged);
        }
    };
    let captured = match session.status {
        Status::Paid(captured) => Some(captured),
        _ => None,
    };
    if let Some(captured) = captured
        && captured != payment.price
    {
        // Recorded as it is: whoever is told of it sends it back.
        tracing::error!(
            payment.id = %payment_id, asked = ?payment.price, ?captured,
            "the provider captured something else than was asked for"
        );
    }
    let context = trace_of(&payment, state);
    let ended = end(transaction, &payment, (state, failure, captured), session);
    let ended = ended.with_context(context.clone()).await;
    let wrong = ended.is_err().then(|| "not recorded".to_owned());
    trace::finish(&context, wrong, Vec::new);
    ended?;
    metric::settled(state, captured);
    tracing::info!(payment.id = %payment_id, booking.id = %payment.booking_id, %state, "payment settled");
    Ok(Settled::Now(state))
}

/// A dispute is told once for each way it stands, whatever comes again or late.
async fn note_dispute(
    connection: &mut PgConnection,
    payment: &Payment,
    session: &Session,
) -> Result<(), Error> {
    let Some(dispute) = session.dispute else {
        return Ok(());
    };
    if payment.dispute >= Some(dispute) {
        return Ok(());
    }
    payments::set_dispute(connection, payment.payment_id, dispute).await?;
    publish::disputed(connection, payment, dispute).await?;
    // Counted before the commit: rare enough that one too many after a crash is no matter.
    metric::disputed(dispute);
    tracing::error!(
        payment.id = %payment.payment_id, booking.id = %payment.booking_id,
        dispute = dispute.as_str(), "a payment is disputed"
    );
    Ok(())
}

/// The end is a part of the trace in which the payment was asked for, whoever tells of it: a webhook
/// begins a trace of its own, which this one points at.
fn trace_of(payment: &Payment, state: PaymentState) -> Context {
    let told = trace::current();
    let asked = trace::of_text(payment.traceparent.as_deref());
    let asked = if trace::has_trace(&asked) {
        asked
    } else {
        told.clone()
    };
    trace::within(&asked, || {
        let attributes = [
            KeyValue::new("payment.id", payment.payment_id.to_string()),
            KeyValue::new("booking.id", payment.booking_id.to_string()),
            KeyValue::new("payment.state", state.as_str()),
        ];
        let span = trace::span(
            "settle payment",
            SpanKind::Internal,
            part::PAYMENT,
            attributes,
        );
        trace::linked(span, &told)
    })
}

/// Records the end, tells of it, and commits.
async fn end(
    mut transaction: Transaction<'_, Postgres>,
    payment: &Payment,
    (state, failure, captured): (PaymentState, Option<&str>, Option<Money>),
    session: &Session,
) -> Result<(), Error> {
    let (booking_id, payment_id) = (payment.booking_id, payment.payment_id);
    let known = (!session.session_id.is_empty())
        .then_some((session.session_id.as_str(), session.url.as_str()));
    let connection = &mut *transaction;
    payments::end(
        connection,
        payment_id,
        state,
        captured,
        known,
        failure,
        TELL_AGAIN_AFTER,
    )
    .await?;
    if let Some(captured) = captured {
        ledger::post_capture(connection, payment_id, &payment.provider, captured).await?;
        publish::succeeded(connection, booking_id, payment_id, captured).await?;
    } else {
        publish::failed(
            connection,
            booking_id,
            payment_id,
            failure.unwrap_or_default(),
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}
