//! Asks the provider what it told lately of disputes and refunds: a webhook that never came is found so.
//!
//! What a question about an open session finds out is the reconciler's. Always holds: a time counts as
//! heard only when everything of it was taken that can be, each event once, whether it came by webhook or
//! so.

use std::time::Duration;

use chrono::TimeDelta;

use super::{
    App, Error,
    receive_webhook::{Received, take},
};
use crate::{
    metric,
    provider::{self, Provider, Webhook},
    store::{self, news},
};

/// How often it is asked, by one process.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// How much of what was heard is asked for again: the provider's clock differs, and lists lag.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

/// Longest time asked for at once, times in one step, and how short one becomes before it is taken as it
/// is.
const SLICE_MAX: TimeDelta = TimeDelta::hours(6);
const SLICES_MAX: usize = 16;
const SLICE_MIN: TimeDelta = TimeDelta::seconds(2);

/// How long a provider remembers what it told. What is older is lost, and said so.
const REMEMBERED: TimeDelta = TimeDelta::days(29);

/// One step, if it is due.
pub(crate) async fn hear_news<P: Provider>(app: &App<P>) -> Result<(), store::Error> {
    let age_s = news::age_s(&app.pool, P::NAME).await?;
    metrics::gauge!(metric::NEWS_AGE).set(age_s);
    match hear(app).await {
        Err(Error::Store(error)) => Err(error),
        Err(Error::Provider(provider::Error::Unknown(why))) => {
            tracing::info!(
                why,
                "the provider could not be asked what it told; asked again"
            );
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "the provider doesn't say what it told");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn hear<P: Provider>(app: &App<P>) -> Result<(), Error> {
    let Some((seen_until, now)) = news::take(&app.pool, P::NAME, ASK_EVERY).await? else {
        return Ok(());
    };
    let mut since = seen_until - OVERLAP;
    if since < now - REMEMBERED {
        tracing::error!(%since, "what the provider told is older than it remembers, and lost");
        since = now - REMEMBERED;
    }
    let mut slice = SLICE_MAX;
    for _ in 0..SLICES_MAX {
        let until = now.min(since + slice);
        let told = app.provider.news(since, until).await?;
        if !told.complete && slice > SLICE_MIN {
            slice = (slice / 2).max(SLICE_MIN);
            continue;
        }
        if !told.complete {
            tracing::error!(%since, "the provider told more in a moment than is read");
        }
        for (webhook, body) in &told.events {
            hear_one(app, webhook, body).await?;
        }
        news::seen(&app.pool, P::NAME, until).await?;
        if until == now {
            break;
        }
        since = until;
    }
    Ok(())
}

/// Fails only where it may well go otherwise next time: an event that nobody can do anything about keeps
/// back no other.
async fn hear_one<P: Provider>(app: &App<P>, webhook: &Webhook, body: &[u8]) -> Result<(), Error> {
    let (id, kind) = (&webhook.event_id, &webhook.event_type);
    match take(app, webhook, body).await {
        Ok(Received::Recorded) => {
            tracing::info!(event.id = id, event.type = kind, "heard by asking");
            metrics::counter!(metric::WEBHOOKS, "outcome" => "fetched").increment(1);
            Ok(())
        }
        Ok(Received::Duplicate) => Ok(()),
        Err(error @ (Error::Store(_) | Error::Provider(provider::Error::Unknown(_)))) => Err(error),
        Err(error) => {
            tracing::error!(event.id = id, event.type = kind, %error, "what the provider told can't be followed up");
            Ok(())
        }
    }
}
