//! Money goes back: recorded, sent under the refund's own id, posted, told.
//!
//! May run again after any step; the provider sends money once for a refund id. From when it is
//! recorded, the money has its ending in the books. While the payment is disputed, and after a dispute
//! that was lost, nothing is sent: the payer's bank sends the same money. What was held goes when the
//! dispute is won; of a lost one people decide.

use holdfast_mesh::trace::{self, FutureExt as _};
use holdfast_types::{BookingId, Money, PaymentId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{App, Error, RESEND_AFTER, asking, publish, said};
use crate::{
    metric,
    provider::{Dispute, NewRefund, Provider},
    store::{ledger, payments, refunds},
};

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
    let mut transaction = app.pool.begin().await?;
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
    if record(&mut transaction, wanted, captured).await? {
        if wanted.again {
            tell(&mut transaction, wanted).await?;
            transaction.commit().await?;
            app.wake_relay().await;
        }
        return Ok(());
    }
    transaction.commit().await?;
    if payment.dispute.is_some_and(Dispute::holds_refunds) {
        tracing::warn!(
            refund.id = %wanted.refund_id, payment.id = %wanted.payment_id,
            "a refund waits, because its payment is disputed and the money may go back that way"
        );
        return Ok(());
    }
    let context = match trace::current() {
        ours if trace::has_trace(&ours) => ours,
        // Sent again by the sweep.
        _ => trace::of_text(payment.traceparent.as_deref()),
    };
    send(app, wanted, payment).with_context(context).await
}

/// Has the provider send what is recorded, and records that it did.
async fn send<P: Provider>(
    app: &App<P>,
    wanted: &Wanted,
    payment: payments::Payment,
) -> Result<(), Error> {
    let session_id = payment
        .session_id
        .ok_or(Error::RefundImpossible("the payment was free"))?;
    let amount = wanted.amount.amount;
    let asked = NewRefund {
        refund_id: wanted.refund_id,
        session_id,
        amount,
    };
    let span = asking::<P>("refund");
    let sent = app.provider.refund(&asked);
    let sent = sent.with_context(span.clone()).await;
    trace::finish(&span, sent.as_ref().err().map(said), Vec::new);
    let provider_refund_id = sent?;

    let mut transaction = app.pool.begin().await?;
    let refund_id = wanted.refund_id;
    let first = refunds::succeeded(&mut transaction, refund_id, &provider_refund_id).await?;
    if first {
        let Wanted {
            payment_id, amount, ..
        } = *wanted;
        ledger::post_refund(
            &mut transaction,
            payment_id,
            refund_id,
            &payment.provider,
            amount,
        )
        .await?;
        tell(&mut transaction, wanted).await?;
    }
    transaction.commit().await?;
    if first {
        metric::refunded(wanted.amount);
        tracing::info!(
            refund.id = %refund_id, payment.id = %wanted.payment_id,
            reason = wanted.reason, "refund sent"
        );
        app.wake_relay().await;
    }
    Ok(())
}

/// Records that the money is to go back, once. True if it went already.
async fn record(
    connection: &mut PgConnection,
    wanted: &Wanted,
    captured: Money,
) -> Result<bool, Error> {
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
        return Ok(known.succeeded);
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
    Ok(false)
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
