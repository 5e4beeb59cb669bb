//! Sends refunds again that were recorded and didn't go: their event was parked, or waits for its
//! next try. A refund whose event never got here isn't recorded and isn't found here; booking-svc
//! shows it as overdue, and `holdfast audit` names it.
//!
//! Always holds: a refund is sent again at most once in `RESEND_AFTER`, under its own id, so money
//! goes once. Leaves to others: sessions nobody heard of (`reconcile`).

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};

use super::{
    App, Error,
    refund::{Wanted, refund},
};
use crate::{
    metric,
    provider::{self, Provider},
    store::{
        self, payments,
        refunds::{self, Unfinished},
        webhooks,
    },
};

/// How long a refund is left to its event, and between two tries.
const RESEND_AFTER: Duration = Duration::from_secs(60);

/// How long money may be under way before somebody should look (BK-2).
const OVERDUE_AFTER: Duration = Duration::from_secs(15 * 60);

/// Refunds in one step, the longest untried first; the rest waits for the next.
const BATCH: i64 = 64;

/// Refunds under way at once.
const SENT_AT_ONCE: usize = 8;

/// How long a webhook is kept after it came: far longer than any provider repeats it.
const WEBHOOKS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Webhooks deleted at once, and batches in one step.
const FORGOTTEN_BATCH: i64 = 1_000;
const FORGOTTEN_BATCHES_MAX: usize = 100;

/// One step: shows how old the oldest unfinished payment and refund are, and sends overdue refunds
/// again.
pub(crate) async fn sweep<P: Provider>(app: &App<P>) -> Result<(), store::Error> {
    // First, so that no provider that takes its time keeps anybody from seeing it.
    let payment_s = payments::oldest_unfinished_s(&app.pool).await?;
    let refund_s = refunds::oldest_unfinished_s(&app.pool).await?;
    metrics::gauge!(metric::OLDEST_UNFINISHED, "kind" => "payment").set(payment_s);
    metrics::gauge!(metric::OLDEST_UNFINISHED, "kind" => "refund").set(refund_s);
    let unfinished = refunds::take_unfinished(&app.pool, BATCH, RESEND_AFTER).await?;
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

async fn resend<P: Provider>(app: &App<P>, unfinished: Unfinished, away: &AtomicBool) {
    let Unfinished { refund_id, age, .. } = unfinished;
    let wanted = Wanted {
        refund_id,
        booking_id: unfinished.booking_id,
        payment_id: unfinished.payment_id,
        amount: unfinished.amount,
        reason: unfinished.reason,
    };
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
