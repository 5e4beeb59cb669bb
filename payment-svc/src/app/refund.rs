//! Money goes back: recorded, sent under the refund's own id, posted, told.
//!
//! May run again after any step; the provider sends money once for a refund id. From when it is
//! recorded, the money has its ending in the books. While the payment is disputed, and after a dispute
//! that was lost, nothing is sent, and what may have been sent before is looked for: the payer's bank sends
//! the same money. What was held goes when the
//! dispute is won; of a lost one people decide. A provider may take a refund and pay it out days later, or
//! not at all, also after it had said that it did: then the money is to go again, in a further attempt.

use std::time::Duration;

use holdfast_mesh::trace::{self, FutureExt as _};
use holdfast_types::{BookingId, Money, PaymentId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{App, Error, REFUND_ATTEMPTS_MAX, RESEND_AFTER, asking, publish, said};
use crate::{
    metric,
    provider::{self, Dispute, NewRefund, Outcome, Provider},
    store::{
        ledger::{self, Attempt},
        payments,
        refunds::{self, Refund, Unsent},
    },
};

/// How long a refund that is on its way is left to the provider's own word before it is asked about.
const ASK_PENDING_AFTER: Duration = Duration::from_secs(3_600);

/// Why a refund of another provider's isn't sent.
pub(super) const NOT_CONFIGURED: &str = "its provider isn't configured any more";

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) refund_id: Uuid,
    pub(super) booking_id: BookingId,
    pub(super) payment_id: PaymentId,
    pub(super) amount: Money,
    pub(super) reason: String,
    /// Nobody was told of its end, so that it is told even if it was told before.
    pub(super) again: bool,
}

pub(super) async fn refund<P: Provider>(app: &App<P>, wanted: &Wanted) -> Result<(), Error> {
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    let payment = payments::locked(&mut transaction, wanted.payment_id).await?;
    let payment = payment.ok_or(Error::RefundImpossible("no such payment"))?;
    if payment.booking_id != wanted.booking_id {
        return Err(Error::RefundImpossible("the payment is another booking's"));
    }
    let Some(captured) = payment.captured else {
        return Err(Error::RefundImpossible("the payment brought no money"));
    };
    if captured.currency != wanted.amount.currency || wanted.amount.amount <= 0 {
        return Err(Error::RefundImpossible(
            "not an amount of the payment's currency",
        ));
    }
    let known = record(&mut transaction, wanted, captured).await?;
    if known.ended {
        if wanted.again {
            tell(&mut transaction, wanted).await?;
            transaction.commit().await?;
            publish::OUTBOX.wake();
        }
        return Ok(());
    }
    refunds::trying(&mut transaction, wanted.refund_id).await?;
    transaction.commit().await?;
    if payment.provider != P::NAME {
        let (id, why) = (wanted.refund_id, NOT_CONFIGURED);
        refunds::unsent(&app.pool, id, known.attempt, Unsent::OtherProvider, why).await?;
        return Err(Error::RefundImpossible(why));
    }
    let context = match trace::current() {
        ours if trace::has_trace(&ours) => ours,
        // Sent again by the sweep.
        _ => trace::of_text(payment.traceparent.as_deref()),
    };
    send(app, wanted, &payment, &known)
        .with_context(context)
        .await
}

/// Has the provider send what is recorded, or say how it stands if it took it, and records that.
async fn send<P: Provider>(
    app: &App<P>,
    wanted: &Wanted,
    payment: &payments::Payment,
    known: &Refund,
) -> Result<(), Error> {
    if known.attempt > REFUND_ATTEMPTS_MAX {
        tracing::error!(
            refund.id = %wanted.refund_id, payment.id = %wanted.payment_id,
            "a refund can't be paid out by the provider: the money has to go back another way"
        );
        return Ok(());
    }
    let session_id = payment.session_id.clone();
    let session_id = session_id.ok_or(Error::RefundImpossible("the payment was free"))?;
    let asked = NewRefund {
        refund_id: wanted.refund_id,
        attempt: known.attempt.unsigned_abs(),
        known_as: known.provider_refund_id.clone(),
        session_id,
        amount: wanted.amount,
    };
    // What the provider is known to have taken is asked about all the same.
    let held = payment.dispute.is_some_and(Dispute::holds_refunds);
    if held && asked.known_as.is_none() {
        return look_for(app, wanted, known.attempt, &asked).await;
    }
    let span = asking::<P>("refund");
    let sent = app.provider.refund(&asked);
    let sent = sent.with_context(span.clone()).await;
    trace::finish(&span, sent.as_ref().err().map(said), Vec::new);
    if let Err(
        provider::Error::Refused(why)
        | provider::Error::NoSession(why)
        | provider::Error::Elsewhere(why),
    ) = &sent
    {
        let (id, attempt) = (wanted.refund_id, known.attempt);
        refunds::unsent(&app.pool, id, attempt, Unsent::Refused, why).await?;
    }
    conclude(app, wanted, known.attempt, &sent?).await
}

/// Has nothing sent, but sees whether it was before the dispute, and only the answer was lost.
async fn look_for<P: Provider>(
    app: &App<P>,
    wanted: &Wanted,
    attempt: i32,
    asked: &NewRefund,
) -> Result<(), Error> {
    if let Some(sent) = app.provider.sent_refund(asked).await? {
        return conclude(app, wanted, attempt, &sent).await;
    }
    tracing::warn!(
        refund.id = %wanted.refund_id, payment.id = %wanted.payment_id,
        "a refund waits, because its payment is disputed and the money may go back that way"
    );
    Ok(())
}

/// A refund changed at the provider: asks how it stands and records that. Nothing is done about one that
/// isn't ours, or that the provider isn't known to have taken.
pub(super) async fn look_again<P: Provider>(app: &App<P>, refund_id: Uuid) -> Result<(), Error> {
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    let Some(known) = refunds::get(&mut transaction, refund_id).await? else {
        tracing::warn!(refund.id = %refund_id, "told of a refund that isn't ours");
        return Ok(());
    };
    let payment = payments::locked(&mut transaction, known.payment_id.into()).await?;
    // As it is now that nobody else is at it.
    let known = refunds::get(&mut transaction, refund_id).await?;
    transaction.commit().await?;
    let payment = payment.ok_or(Error::RefundImpossible("no such payment"))?;
    let known = known.ok_or(Error::RefundImpossible("no such refund"))?;
    let captured = payment.captured;
    let captured = captured.ok_or(Error::RefundImpossible("the payment brought no money"))?;
    let taken = known.provider_refund_id.is_some() && (known.succeeded || !known.ended);
    if !taken || payment.provider != P::NAME {
        return Ok(());
    }
    let wanted = Wanted {
        refund_id,
        booking_id: payment.booking_id,
        payment_id: payment.payment_id,
        amount: Money {
            amount: known.amount,
            ..captured
        },
        reason: known.reason.clone(),
        again: false,
    };
    send(app, &wanted, &payment, &known).await
}

/// Brings an attempt to where the provider says it is.
async fn conclude<P: Provider>(
    app: &App<P>,
    wanted: &Wanted,
    attempt: i32,
    sent: &provider::Refund,
) -> Result<(), Error> {
    let Wanted {
        refund_id,
        payment_id,
        amount,
        ..
    } = *wanted;
    let posted = Attempt {
        payment_id,
        refund_id,
        attempt: attempt.unsigned_abs(),
        money: amount,
    };
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    // Waits for who else is at it.
    let _payment = payments::locked(&mut transaction, payment_id).await?;
    match &sent.outcome {
        Outcome::Gone => {
            let first = refunds::succeeded(&mut transaction, refund_id, attempt, &sent.id).await?;
            if first {
                ledger::post_refund(&mut transaction, P::NAME, posted).await?;
                tell(&mut transaction, wanted).await?;
            }
            transaction.commit().await?;
            if first {
                metric::refunded(amount);
                tracing::info!(
                    refund.id = %refund_id, payment.id = %payment_id,
                    reason = wanted.reason, "refund sent"
                );
                publish::OUTBOX.wake();
            }
        }
        Outcome::Pending => {
            refunds::taken(
                &mut transaction,
                refund_id,
                attempt,
                &sent.id,
                ASK_PENDING_AFTER,
            )
            .await?;
            transaction.commit().await?;
            tracing::info!(refund.id = %refund_id, payment.id = %payment_id, "refund on its way");
        }
        Outcome::Failed(why) => {
            let went = refunds::get(&mut transaction, refund_id).await?;
            let went = went.is_some_and(|refund| refund.succeeded && refund.attempt == attempt);
            let first = refunds::failed(&mut transaction, refund_id, attempt, RESEND_AFTER).await?;
            if first && went {
                ledger::post_refund_failed(&mut transaction, P::NAME, posted).await?;
            }
            transaction.commit().await?;
            if first {
                metrics::counter!(metric::REFUNDS_FAILED).increment(1);
                tracing::error!(
                    refund.id = %refund_id, payment.id = %payment_id, attempt, why,
                    "the provider could not pay a refund out"
                );
            }
        }
    }
    Ok(())
}

/// Records that the money is to go back, once; how far it got.
async fn record(
    connection: &mut PgConnection,
    wanted: &Wanted,
    captured: Money,
) -> Result<Refund, Error> {
    let Wanted {
        refund_id,
        payment_id,
        amount,
        ..
    } = *wanted;
    if let Some(known) = refunds::get(connection, refund_id).await? {
        if known.payment_id != payment_id.as_uuid() || known.amount != amount.amount {
            return Err(Error::RefundImpossible(
                "its id was used for another refund",
            ));
        }
        return Ok(known);
    }
    let left = captured.amount - refunds::total(connection, payment_id).await?;
    if amount.amount > left {
        return Err(Error::RefundImpossible("more than is left of the payment"));
    }
    refunds::insert(
        connection,
        refund_id,
        payment_id,
        amount.amount,
        &wanted.reason,
        RESEND_AFTER,
    )
    .await?;
    let undecided = ledger::post_refund_due(connection, payment_id, refund_id, amount).await?;
    if undecided == 0 {
        payments::decided(connection, payment_id).await?;
    }
    Ok(Refund {
        payment_id: payment_id.as_uuid(),
        amount: amount.amount,
        reason: wanted.reason.clone(),
        succeeded: false,
        ended: false,
        attempt: 1,
        provider_refund_id: None,
        rests_unsent: false,
    })
}

async fn tell(connection: &mut PgConnection, wanted: &Wanted) -> Result<(), Error> {
    let Wanted {
        refund_id,
        booking_id,
        payment_id,
        amount,
        again,
        ..
    } = *wanted;
    let refunded = publish::Refunded {
        booking_id,
        payment_id,
        refund_id,
        money: amount,
        again,
    };
    publish::refunded(connection, refunded).await?;
    Ok(())
}
