//! Asks the provider about sessions nobody has heard of, so that a lost webhook loses nothing; and for
//! sessions that it was asked for and gave no answer to.
//!
//! A session is asked about after it was silent for a while, then ever more rarely; what the
//! provider doesn't answer stays as it is. One that is still open when the time to pay is over is ended,
//! whether or not anybody said that its booking has.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};

use super::{
    App, Error,
    create_session::create_again,
    end_session::cancel,
    publish,
    settle::{Settled, settle},
};
use crate::{
    metric,
    provider::{self, Provider},
    store::payments::{self, Silence, Silent},
};

/// Sessions taken at once.
const BATCH: i64 = 64;

/// Batches in one step; the rest waits for the next.
const BATCHES_MAX: usize = 16;

/// Questions under way at once.
const ASKED_AT_ONCE: usize = 8;

/// Longest pause between two questions about one session: with the provider's answer a captured
/// payment is found well within BK-2's 15 minutes.
const ASK_EVERY_MAX: Duration = Duration::from_secs(300);

/// How long after the time to pay nobody should be able to any more: long enough for the booking's own
/// end to come first, and for clocks that differ.
const OVERDUE_AFTER: Duration = Duration::from_secs(30);

/// One step: the sessions that are due, at most `BATCHES_MAX` batches of them.
pub(crate) async fn reconcile<P: Provider>(app: &App<P>) -> Result<(), crate::store::Error> {
    let away = AtomicBool::new(false);
    for _ in 0..BATCHES_MAX {
        let after = app.reconcile_after;
        let silence = Silence {
            provider: P::NAME,
            limit: BATCH,
            after,
            after_max: ASK_EVERY_MAX.max(after),
            overdue_after: OVERDUE_AFTER,
        };
        let silent = payments::take_silent(&app.pool, silence).await?;
        let full = silent.len() == usize::try_from(BATCH).expect("a small constant");
        stream::iter(silent)
            .for_each_concurrent(ASKED_AT_ONCE, async |silent| {
                // Each unanswered question takes its full time; the others come round again.
                if !away.load(Ordering::Relaxed) {
                    let outcome = outcome(app, &silent, &away).await;
                    metrics::counter!(metric::RECONCILED, "outcome" => outcome).increment(1);
                }
            })
            .await;
        if !full || away.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

async fn outcome<P: Provider>(app: &App<P>, silent: &Silent, away: &AtomicBool) -> &'static str {
    match ask(app, silent).await {
        Ok(Settled::Now(state)) => {
            tracing::info!(payment.id = %silent.payment_id, %state, "found out by asking");
            publish::OUTBOX.wake();
            "settled"
        }
        Ok(Settled::Unchanged | Settled::UnknownPayment) => "open",
        Err(error) => {
            if matches!(error, Error::Provider(provider::Error::Unknown(_))) {
                away.store(true, Ordering::Relaxed);
            }
            tracing::warn!(payment.id = %silent.payment_id, %error, "could not find out about a session");
            "unknown"
        }
    }
}

async fn ask<P: Provider>(app: &App<P>, silent: &Silent) -> Result<Settled, Error> {
    let Some(session_id) = &silent.session_id else {
        create_again(app, silent.payment_id.into()).await?;
        metrics::counter!(metric::AGAIN, "kind" => "session").increment(1);
        return Ok(Settled::Unchanged);
    };
    let session = if silent.overdue {
        let Some(session) = cancel(app, session_id).await? else {
            return Ok(Settled::Unchanged);
        };
        session
    } else {
        app.provider.session(session_id).await?
    };
    let transaction = holdfast_eventlog::begin(&app.pool).await?;
    settle(transaction, silent.payment_id.into(), &session).await
}
