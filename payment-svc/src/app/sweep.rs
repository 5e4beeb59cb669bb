//! Finds money that is stuck, by the books, and moves it on: refunds that were recorded and didn't go
//! are sent again, and booking-svc is told again of captured money that it said no ending of. Neither
//! waits behind a parked key.
//!
//! Always holds: a refund is sent again under its own id, so money goes once; what is told again
//! changes nothing where it was known; each further time comes after twice the wait, up to
//! `AGAIN_EVERY_MAX`, and none is the last while the money has no ending. Leaves to others: sessions
//! nobody heard of (`reconcile`), refunds that never got here (booking-svc asks again).

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};
use holdfast_types::PaymentId;

use super::{
    App, Error, REFUND_ATTEMPTS_MAX, RESEND_AFTER, TELL_AGAIN_AFTER, publish,
    refund::{NOT_CONFIGURED, Wanted, refund},
    settle::{ASK_FEE_AFTER, settle},
};
use crate::{
    metric,
    provider::{self, Provider},
    store::{
        self,
        payments::{self, Undecided},
        refunds::{self, Unfinished},
        webhooks,
    },
};

/// Longest wait between two tries: several fall into the 15 minutes that money has.
const AGAIN_EVERY_MAX: Duration = Duration::from_secs(5 * 60);

/// Longest wait between two questions about a fee: nobody waits for it but the books.
const ASK_FEE_EVERY_MAX: Duration = Duration::from_secs(6 * 3_600);

/// How long money may be under way before somebody should look (BK-2).
const OVERDUE_AFTER: Duration = Duration::from_secs(15 * 60);

/// Refunds, and payments, in one step, the longest due first; the rest waits for the next.
const BATCH: i64 = 64;

/// Refunds under way at once.
const SENT_AT_ONCE: usize = 8;

/// Questions about fees under way at once.
const ASKED_AT_ONCE: usize = 4;

/// How long a webhook is kept after it came: far longer than any provider repeats it.
const WEBHOOKS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Webhooks deleted at once, and batches in one step.
const FORGOTTEN_BATCH: i64 = 1_000;
const FORGOTTEN_BATCHES_MAX: usize = 100;

/// One step: shows how old the oldest unfinished payment and refund and the oldest undecided money are,
/// tells of the latter again, and sends overdue refunds again.
pub(crate) async fn sweep<P: Provider>(app: &App<P>) -> Result<(), store::Error> {
    // First, so that no provider that takes its time keeps anybody from seeing it.
    let payment_s = payments::oldest_unfinished_s(&app.pool).await?;
    let (refund_s, pending_s) = refunds::oldest_unfinished_s(&app.pool).await?;
    metrics::gauge!(metric::OLDEST_UNFINISHED, "kind" => "payment").set(payment_s);
    metrics::gauge!(metric::OLDEST_UNFINISHED, "kind" => "refund").set(refund_s);
    metrics::gauge!(metric::OLDEST_UNFINISHED, "kind" => "refund_pending").set(pending_s);
    let undecided_s = payments::oldest_undecided_s(&app.pool).await?;
    metrics::gauge!(metric::OLDEST_UNFINISHED, "kind" => "undecided").set(undecided_s);
    let given_up = refunds::given_up(&app.pool, REFUND_ATTEMPTS_MAX).await?;
    #[expect(clippy::cast_precision_loss, reason = "a handful at the worst")]
    metrics::gauge!(metric::REFUNDS_GIVEN_UP).set(given_up as f64);
    refunds::note_other_providers(&app.pool, P::NAME, BATCH, NOT_CONFIGURED).await?;
    tell_again(app).await?;
    let unfinished = refunds::take_unfinished(
        &app.pool,
        P::NAME,
        REFUND_ATTEMPTS_MAX,
        BATCH,
        RESEND_AFTER,
        AGAIN_EVERY_MAX,
    )
    .await?;
    let away = AtomicBool::new(false);
    stream::iter(unfinished)
        .for_each_concurrent(SENT_AT_ONCE, async |unfinished| {
            // Each unanswered call takes its full time; the others come round again.
            if !away.load(Ordering::Relaxed) {
                resend(app, unfinished, &away).await;
            }
        })
        .await;
    Ok(())
}

/// Tells of captured money whose ending nobody said, in the transaction that puts off the next time.
async fn tell_again<P>(app: &App<P>) -> Result<(), store::Error> {
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    let undecided =
        payments::take_undecided(&mut transaction, BATCH, TELL_AGAIN_AFTER, AGAIN_EVERY_MAX)
            .await?;
    if undecided.is_empty() {
        return Ok(());
    }
    publish::succeeded_again(&mut transaction, &undecided).await?;
    transaction.commit().await?;
    for Undecided {
        payment_id,
        booking_id,
        age,
        ..
    } in undecided
    {
        metrics::counter!(metric::AGAIN, "kind" => "undecided").increment(1);
        if age > OVERDUE_AFTER {
            tracing::error!(payment.id = %payment_id, booking.id = %booking_id, ?age, "captured money has no ending");
        } else {
            tracing::info!(payment.id = %payment_id, booking.id = %booking_id, ?age, "captured money has no ending yet; told again");
        }
    }
    publish::OUTBOX.wake();
    Ok(())
}

/// One step: asks what the provider keeps of captured money, where it hasn't said yet; asks no further once a
/// question has no answer. Beside the sweep, so that no refund waits for it.
pub(crate) async fn ask_fees<P: Provider>(app: &App<P>) -> Result<(), store::Error> {
    let due =
        payments::take_without_fee(&app.pool, P::NAME, BATCH, ASK_FEE_AFTER, ASK_FEE_EVERY_MAX)
            .await?;
    let away = AtomicBool::new(false);
    stream::iter(due)
        .for_each_concurrent(ASKED_AT_ONCE, async |(payment_id, session_id)| {
            if !away.load(Ordering::Relaxed) {
                ask_fee(app, payment_id, &session_id, &away).await;
            }
        })
        .await;
    Ok(())
}

async fn ask_fee<P: Provider>(
    app: &App<P>,
    payment_id: PaymentId,
    session_id: &str,
    away: &AtomicBool,
) {
    let session = match app.provider.session(session_id).await {
        Ok(session) => session,
        Err(provider::Error::Unknown(_)) => {
            away.store(true, Ordering::Relaxed);
            return;
        }
        Err(error) => {
            tracing::error!(payment.id = %payment_id, %error, "the provider doesn't say what it keeps");
            return;
        }
    };
    let recorded = async {
        let transaction = holdfast_eventlog::begin(&app.pool).await?;
        settle(transaction, payment_id, &session).await
    };
    if let Err(error) = recorded.await {
        tracing::warn!(payment.id = %payment_id, %error, "what the provider keeps isn't recorded");
    }
}

async fn resend<P: Provider>(app: &App<P>, unfinished: Unfinished, away: &AtomicBool) {
    let Unfinished { refund_id, age, .. } = unfinished;
    let wanted = Wanted {
        refund_id,
        booking_id: unfinished.booking_id,
        payment_id: unfinished.payment_id,
        amount: unfinished.amount,
        reason: unfinished.reason,
        again: false,
    };
    metrics::counter!(metric::AGAIN, "kind" => "refund").increment(1);
    let Err(error) = refund(app, &wanted).await else {
        return;
    };
    if matches!(error, Error::Provider(provider::Error::Unknown(_))) {
        away.store(true, Ordering::Relaxed);
    }
    if age > OVERDUE_AFTER {
        tracing::error!(refund.id = %refund_id, %error, ?age, "a refund is overdue");
    } else {
        tracing::warn!(refund.id = %refund_id, %error, "a refund could not be sent");
    }
}

/// Deletes webhooks that nobody repeats any more.
pub(crate) async fn forget_old_webhooks<P>(app: &App<P>) -> Result<(), store::Error> {
    for _ in 0..FORGOTTEN_BATCHES_MAX {
        if webhooks::forget(&app.pool, WEBHOOKS_KEPT, FORGOTTEN_BATCH).await? == 0 {
            break;
        }
    }
    Ok(())
}
