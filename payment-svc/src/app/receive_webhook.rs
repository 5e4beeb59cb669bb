//! The provider tells us something: checked, recorded once, acted on in the same transaction.
//!
//! Where it only hints (a dispute, a refund that changed), how it stands is asked first, so that the order
//! in which hints come doesn't matter; without an answer nothing is recorded, and it comes again.

use std::time::SystemTime;

use super::{
    App, Error, publish, refund,
    settle::{Settled, settle},
};
use crate::{
    metric,
    provider::{About, Provider, Session, Webhook},
    store::{payments, webhooks},
};

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
    let received = take(app, &webhook, body).await?;
    let outcome = match received {
        Received::Recorded => "recorded",
        Received::Duplicate => "duplicate",
    };
    metrics::counter!(metric::WEBHOOKS, "outcome" => outcome).increment(1);
    Ok(received)
}

/// Does what an event of the provider's asks for, however it came here, once.
pub(super) async fn take<P: Provider>(
    app: &App<P>,
    webhook: &Webhook,
    body: &[u8],
) -> Result<Received, Error> {
    let says_all =
        matches!(&webhook.about, About::Session { session, .. } if session.dispute.is_none());
    // Before anybody is asked. Where nobody is, its row says so.
    if !says_all && webhooks::is_known(&app.pool, P::NAME, &webhook.event_id).await? {
        return Ok(Received::Duplicate);
    }
    let asked;
    let settles = match &webhook.about {
        // It may be told late, and a dispute may be over by then, or another have begun.
        About::Session {
            payment_id: Some(payment_id),
            session,
        } if session.dispute.is_some() => {
            asked = Some((
                *payment_id,
                app.provider.session(&session.session_id).await?,
            ));
            asked.as_ref().map(|(id, session)| (*id, session))
        }
        About::Session {
            payment_id,
            session,
        } => payment_id.map(|payment_id| (payment_id, session)),
        About::Money(reference) => {
            asked = ask(app, reference).await?;
            asked.as_ref().map(|(id, session)| (*id, session))
        }
        About::Refund(refund_id) => {
            refund::look_again(app, *refund_id).await?;
            None
        }
        About::Nothing => None,
    };
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    if !webhooks::insert(&mut transaction, P::NAME, webhook, body).await? {
        return Ok(Received::Duplicate);
    }
    let settled = match settles {
        Some((id, session)) => settle(transaction, id.into(), session).await?,
        None => {
            transaction.commit().await?;
            match webhook.about {
                About::Session { .. } | About::Money(_) => Settled::UnknownPayment,
                About::Refund(_) | About::Nothing => Settled::Unchanged,
            }
        }
    };
    match settled {
        Settled::Now(_) => publish::OUTBOX.wake(),
        Settled::Unchanged => {}
        Settled::UnknownPayment => tracing::warn!(
            event.id = webhook.event_id,
            event.type = webhook.event_type,
            "a webhook about a payment that isn't ours"
        ),
    }
    Ok(Received::Recorded)
}

/// The payment of that reference and how its session stands; none if it isn't ours.
async fn ask<P: Provider>(
    app: &App<P>,
    reference: &str,
) -> Result<Option<(uuid::Uuid, Session)>, Error> {
    let Some(payment_id) = app.provider.payment_of(reference).await? else {
        return Ok(None);
    };
    let mut connection = holdfast_eventlog::begin(&app.pool).await?;
    let payment = payments::locked(&mut connection, payment_id.into()).await?;
    connection.commit().await?;
    let session_id = payment
        .filter(|payment| payment.provider == P::NAME)
        .and_then(|payment| payment.session_id);
    let Some(session_id) = session_id else {
        return Ok(None);
    };
    Ok(Some((payment_id, app.provider.session(&session_id).await?)))
}
