//! People end a refund that nothing sends: its money reached the customer past the provider, by the bank
//! after a dispute that was lost, or by another way.
//!
//! May run again: a refund is settled once. Only of one that no process is sending: one that is refused has
//! rested for longer than a try takes, and a process that tries it later finds it settled.

use holdfast_types::Money;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Error, REFUND_ATTEMPTS_MAX, publish};
use crate::{
    provider::Dispute,
    store::{ledger, payments, refunds},
};

/// Longest note, in characters.
const NOTE_CHARS_MAX: usize = 500;

/// Why a refund wasn't settled.
#[derive(Debug, thiserror::Error)]
pub enum NotSettled {
    /// No note, or too long a one.
    #[error("the note must have 1 to 500 characters")]
    Note,
    /// No such refund.
    #[error("there is no such refund")]
    Unknown,
    /// It went, or was settled before.
    #[error("its money has gone already")]
    Gone,
    /// It is sent by itself, so its money may go twice.
    #[error(
        "it is sent by itself: settle only what a lost dispute holds, what the provider could not pay out, and what it refused (a minute after the last try) or had when another was configured"
    )]
    Sent,
    /// The database didn't do it.
    #[error("{0}")]
    Store(String),
}

impl From<Error> for NotSettled {
    fn from(error: Error) -> Self {
        Self::Store(error.to_string())
    }
}

/// Ends the refund: posts it, and tells that its money went. What the bank took of the payment is what the
/// customer has; the rest came from outside.
///
/// # Errors
/// [`NotSettled`].
pub async fn settle_refund(
    pool: &PgPool,
    refund_id: Uuid,
    note: &str,
) -> Result<Money, NotSettled> {
    let note = note.trim();
    if note.is_empty() || note.chars().count() > NOTE_CHARS_MAX {
        return Err(NotSettled::Note);
    }
    match settle(pool, refund_id, note).await? {
        Ok(money) => {
            tracing::warn!(refund.id = %refund_id, note, "a refund was settled by hand");
            Ok(money)
        }
        Err(why) => Err(why),
    }
}

async fn settle(
    pool: &PgPool,
    refund_id: Uuid,
    note: &str,
) -> Result<Result<Money, NotSettled>, Error> {
    let mut transaction = holdfast_eventlog::begin(pool).await?;
    let Some(known) = refunds::get(&mut transaction, refund_id).await? else {
        return Ok(Err(NotSettled::Unknown));
    };
    let payment = payments::locked(&mut transaction, known.payment_id.into()).await?;
    let payment = payment.ok_or(Error::RefundImpossible("no such payment"))?;
    // As it is now that nobody else is at it.
    let known = refunds::get(&mut transaction, refund_id).await?;
    let known = known.ok_or(Error::RefundImpossible("no such refund"))?;
    let captured = payment.captured;
    let captured = captured.ok_or(Error::RefundImpossible("the payment brought no money"))?;
    let money = Money {
        amount: known.amount,
        ..captured
    };
    let held = payment.dispute == Some(Dispute::Lost) && known.provider_refund_id.is_none();
    if known.ended {
        return Ok(Err(NotSettled::Gone));
    }
    let refused = known.rests_unsent && payment.dispute != Some(Dispute::Open);
    if !held && !refused && known.attempt <= REFUND_ATTEMPTS_MAX {
        return Ok(Err(NotSettled::Sent));
    }
    if !refunds::settled(&mut transaction, refund_id, note).await? {
        return Ok(Err(NotSettled::Gone));
    }
    ledger::post_settled(&mut transaction, payment.payment_id, refund_id, money).await?;
    let refunded = publish::Refunded {
        booking_id: payment.booking_id,
        payment_id: payment.payment_id,
        refund_id,
        money,
        again: false,
    };
    publish::refunded(&mut transaction, refunded).await?;
    transaction.commit().await?;
    Ok(Ok(money))
}

/// Refunds that nothing sends by itself, or that their provider refuses, the oldest first, at most 1,000.
///
/// # Errors
/// What the database says.
pub async fn refunds_waiting(pool: &PgPool) -> Result<Vec<refunds::Waiting>, sqlx::Error> {
    refunds::waiting(pool, REFUND_ATTEMPTS_MAX).await
}
