//! Brings a payment to where the provider says it is: the one place where a payment ends.
//!
//! Ends the caller's transaction, any number of times and in any order of what the provider said:
//! money outranks every other word, and an end is told and counted once. Disputes and what the provider
//! keeps are noted here, too.

use holdfast_mesh::trace::{self, Context, FutureExt as _, KeyValue, SpanKind};
use holdfast_proto::part;
use holdfast_types::{Money, PaymentId, PaymentState};
use sqlx::{PgConnection, Postgres, Transaction};

use std::time::Duration;

use super::{Error, TELL_AGAIN_AFTER, publish};
use crate::{
    metric,
    provider::{Dispute, Session, Status},
    store::{
        ledger,
        payments::{self, Payment},
    },
};

/// How long the provider has to say what it keeps before it is asked: it isn't known in the moment of
/// the capture.
pub(super) const ASK_FEE_AFTER: Duration = Duration::from_secs(60);

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
            if payment.state == PaymentState::Succeeded {
                note_fee(&mut transaction, &payment, session).await?;
            }
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

/// A dispute is told once each time that it stands otherwise than before. What is lost stays so, and is in
/// the books whoever noted it.
async fn note_dispute(
    connection: &mut PgConnection,
    payment: &Payment,
    session: &Session,
) -> Result<(), Error> {
    let Some(dispute) = session.dispute else {
        return Ok(());
    };
    if let (Dispute::Lost, Some(captured)) = (dispute, payment.captured) {
        post_dispute_lost(connection, payment, session, captured).await?;
    }
    if payment.dispute == Some(Dispute::Lost) || payment.dispute == Some(dispute) {
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

/// The bank took what it says, whatever else goes or went back; or, where it isn't said, all that hadn't gone
/// back by then.
async fn post_dispute_lost(
    connection: &mut PgConnection,
    payment: &Payment,
    session: &Session,
    captured: Money,
) -> Result<(), Error> {
    if ledger::is_dispute_posted(connection, payment.payment_id).await? {
        return Ok(());
    }
    let left = captured.amount - payment.refunded;
    let taken = Money {
        amount: session.taken_back.unwrap_or(left),
        ..captured
    };
    let provider = &payment.provider;
    ledger::post_dispute_lost(connection, payment.payment_id, provider, taken).await?;
    Ok(())
}

/// What the provider keeps is posted once, when it says so.
async fn note_fee(
    connection: &mut PgConnection,
    payment: &Payment,
    session: &Session,
) -> Result<(), Error> {
    let Some(fee) = session.fee.filter(|_| !payment.fee_known) else {
        return Ok(());
    };
    let payment_id = payment.payment_id;
    payments::set_fee(connection, payment_id, fee).await?;
    ledger::post_fee(connection, payment_id, &payment.provider, fee).await?;
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
    let news = match captured {
        Some(captured) => publish::succeeded(booking_id, payment_id, captured)?,
        None => publish::failed(booking_id, payment_id, failure.unwrap_or_default())?,
    };
    let ending = payments::Ending {
        state,
        captured,
        fee: session.fee.filter(|_| captured.is_some()),
        session: known,
        failure,
    };
    payments::end(
        connection,
        (payment_id, &payment.provider),
        ending,
        (TELL_AGAIN_AFTER, ASK_FEE_AFTER),
        news,
    )
    .await?;
    if let Some(captured) = captured
        && session.dispute == Some(Dispute::Lost)
    {
        post_dispute_lost(connection, payment, session, captured).await?;
    }
    if let Some(fee) = ending.fee {
        ledger::post_fee(connection, payment_id, &payment.provider, fee).await?;
    }
    transaction.commit().await?;
    Ok(())
}
