//! The provider tells us something: checked, recorded once, acted on in the same transaction.

use std::time::SystemTime;

use super::{
    App, Error,
    settle::{Settled, settle},
};
use crate::{metric, provider::Provider, store::webhooks};

/// What came of a webhook that was ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Recorded,
    /// The same event was recorded before; nothing was done.
    Duplicate,
}

/// Takes a webhook as it arrived at `now`: the signature header and the raw body.
pub(crate) async fn receive_webhook<P: Provider>(
    app: &App<P>,
    signature: &str,
    body: &[u8],
    now: SystemTime,
) -> Result<Received, Error> {
    let webhook = app
        .provider
        .read_webhook(signature, body, now)
        .inspect_err(|_| {
            metrics::counter!(metric::WEBHOOKS, "outcome" => "refused").increment(1);
        })?;
    let mut transaction = app.pool.begin().await?;
    if !webhooks::insert(&mut transaction, P::NAME, &webhook, body).await? {
        metrics::counter!(metric::WEBHOOKS, "outcome" => "duplicate").increment(1);
        return Ok(Received::Duplicate);
    }
    let settled = match webhook.payment_id {
        Some(id) => settle(transaction, id.into(), &webhook.session).await?,
        None => {
            transaction.commit().await?;
            Settled::UnknownPayment
        }
    };
    metrics::counter!(metric::WEBHOOKS, "outcome" => "recorded").increment(1);
    match settled {
        Settled::Now(_) => app.wake_relay().await,
        Settled::Unchanged => {}
        Settled::UnknownPayment => tracing::warn!(
            event.id = webhook.event_id,
            event.type = webhook.event_type,
            "a webhook about a payment that isn't ours"
        ),
    }
    Ok(Received::Recorded)
}
