//! Stripe: Checkout Sessions to pay in, their PaymentIntents, refunds, disputes, webhooks.
//!
//! - A session lives at least half an hour there, and a booking is over sooner: it is open for
//!   [`LIFE_MIN`] after the time to pay, and is ended when the booking ends or that time is over. What is
//!   paid in between is late money, as with every provider.
//! - A session whose answer was lost is known to nobody: without its URL nobody can pay in it. So a
//!   second one is no danger, however long ago the first was asked for.
//! - A refund carries its id and attempt as metadata and is looked for before it is sent, because Stripe
//!   remembers idempotency keys for a day only.
//!
//! Leaves to others: currencies (`amount`), what an answer means (`api`).

mod amount;
mod api;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use holdfast_types::Money;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use self::{
    amount::{from_stripe, to_stripe},
    api::{Api, Form},
    wire::Ref,
};
use super::{
    About, Dispute, Error, Listed, NewRefund, NewSession, News, Outcome, Page, Provider, Refund,
    Session, Status, Webhook, WebhookError, signature,
};
use crate::config::Config;

/// How long after the time to pay a session is open by itself: the least that Stripe allows when it is
/// asked for in the last moment, and a minute for clocks that differ. Named by the time to pay alone, so
/// that asking again asks for the same.
const LIFE_MIN: Duration = Duration::from_secs(31 * 60);

/// A session lives a day at most. Of a later end none is asked for: that is the day.
const LIFE_MAX: Duration = Duration::from_secs(23 * 3_600);

/// Pages read of one list; refunds of a payment, and news of a time, are few.
const PAGES_MAX: usize = 20;

/// What is asked about between webhooks: what no question about an open session would find out, and no
/// answer said. The endpoint in Stripe's dashboard is to send these, and those of [`SESSION_EVENTS`].
const NEWS_EVENTS: [&str; 8] = [
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.refund.updated",
    "refund.updated",
    "refund.failed",
];

/// Events whose object is a session.
const SESSION_EVENTS: [&str; 4] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
];

/// A client of Stripe.
pub(crate) struct Stripe {
    api: Api,
    webhook_secret: String,
    success_url: String,
    cancel_url: String,
    /// Whether the key is for real money.
    livemode: bool,
}

impl Stripe {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            api: Api::new(&config.stripe_url, config.stripe_secret_key.clone()),
            webhook_secret: config.webhook_secret.expose().to_owned(),
            success_url: config.stripe_success_url.clone(),
            cancel_url: config.stripe_cancel_url.clone(),
            livemode: config.stripe_secret_key.expose().contains("_live_"),
        }
    }

    /// A session's id, if it isn't of the other mode: its name says which it is of.
    fn session_id<'a>(&self, text: &'a str) -> Result<&'a str, Error> {
        let others = if self.livemode {
            "cs_test_"
        } else {
            "cs_live_"
        };
        if text.starts_with(others) {
            let why = format!("{text} is of another mode than the secret key");
            return Err(Error::Elsewhere(why));
        }
        id(text)
    }

    async fn fetch(&self, session_id: &str) -> Result<wire::Session, Error> {
        let path = format!("/v1/checkout/sessions/{}", self.session_id(session_id)?);
        self.api.get(&path, &Form::new()).await
    }

    /// With its charge, and what Stripe keeps of that.
    async fn intent(&self, intent_id: &str) -> Result<wire::Intent, Error> {
        let path = format!("/v1/payment_intents/{}", id(intent_id)?);
        let expand = "latest_charge.balance_transaction".to_owned();
        self.api.get(&path, &vec![("expand[]", expand)]).await
    }

    /// How a session stands, with everything that is known of its money.
    async fn describe(&self, session: &wire::Session) -> Result<Session, Error> {
        // Before that there is no money to ask about.
        let intent = match session.intent_id() {
            Some(intent) if session.status.as_deref() == Some("complete") => {
                Some(self.intent(intent).await?)
            }
            _ => None,
        };
        let status = status(session, intent.as_ref().map(|intent| &*intent.status))?;
        let mut described = described(session, status);
        let charge = intent.and_then(|intent| match intent.latest_charge? {
            Ref::Whole(charge) => Some((intent.id, charge)),
            Ref::Id(_) => None,
        });
        if let (Status::Paid(_), Some((intent_id, charge))) = (&described.status, charge) {
            if let Some(Ref::Whole(fee)) = &charge.balance_transaction {
                described.fee = Some(money(fee.fee, &fee.currency)?);
            }
            if charge.disputed {
                let disputes = self.disputes(&intent_id).await?;
                // Of several, the one counts that is the worst for us.
                let stand = disputes.iter().filter_map(|one| dispute(&one.status));
                described.dispute = stand.max();
                described.taken_back = taken_back(&disputes, &described.status);
            }
        }
        Ok(described)
    }

    /// A payment can be disputed more than once, in parts.
    async fn disputes(&self, intent_id: &str) -> Result<Vec<wire::Dispute>, Error> {
        let query = vec![("payment_intent", intent_id.to_owned())];
        Ok(self.api.list("/v1/disputes", &query).await?.data)
    }

    /// The charge of a session that was paid.
    async fn charge_of(&self, session_id: &str) -> Result<String, Error> {
        let session = self.fetch(session_id).await?;
        let nothing = || Error::Refused("the session was not paid".to_owned());
        let intent = self
            .intent(session.intent_id().ok_or_else(nothing)?)
            .await?;
        match intent.latest_charge.ok_or_else(nothing)? {
            Ref::Id(charge_id) => Ok(charge_id),
            Ref::Whole(charge) => Ok(charge.id),
        }
    }

    /// The refund of that id and attempt, if Stripe has it.
    async fn sent(
        &self,
        charge_id: &str,
        wanted: &NewRefund,
    ) -> Result<Option<wire::Refund>, Error> {
        let (refund_id, attempt) = (wanted.refund_id.to_string(), wanted.attempt.to_string());
        let is_it = |refund: &wire::Refund| {
            refund.metadata.as_ref().is_some_and(|metadata| {
                metadata.get("refund_id") == Some(&refund_id)
                    && metadata.get("attempt") == Some(&attempt)
            })
        };
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let mut query = vec![("charge", charge_id.to_owned())];
            query.extend(after.map(|after| ("starting_after", after)));
            let page: wire::List<wire::Refund> = self.api.list("/v1/refunds", &query).await?;
            after = page.data.last().map(|last| last.id.clone());
            if let Some(refund) = page.data.into_iter().find(is_it) {
                return Ok(Some(refund));
            }
            if !page.has_more || after.is_none() {
                return Ok(None);
            }
        }
        Err(Error::Unknown(
            "more refunds of one payment than are looked through".to_owned(),
        ))
    }
}

/// An id as Stripe makes them; another is nobody's and goes into no path.
fn id(text: &str) -> Result<&str, Error> {
    let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !text.is_empty() && text.bytes().all(is_id) {
        Ok(text)
    } else {
        Err(Error::NoSession(format!("{text:?} is no id of Stripe's")))
    }
}

fn money(amount: i64, currency: &str) -> Result<Money, Error> {
    from_stripe(amount, currency).map_err(|error| Error::Unknown(error.to_string()))
}

/// How a session stands; `intent` is how its payment does, where that was asked.
fn status(session: &wire::Session, intent: Option<&str>) -> Result<Status, Error> {
    let status = session.status.as_deref().unwrap_or_default();
    Ok(match (status, session.payment_status.as_str(), intent) {
        ("open", _, _) => Status::Open,
        ("complete", "paid", _) | ("complete", "unpaid", Some("succeeded")) => {
            let (amount, currency) = session
                .amount_total
                .zip(session.currency.as_deref())
                .ok_or_else(|| Error::Unknown("a paid session without an amount".to_owned()))?;
            if amount < 0 {
                return Err(Error::Unknown("a negative amount".to_owned()));
            }
            Status::Paid(money(amount, currency)?)
        }
        // A method that takes its time brought nothing, and nobody can try again in this session.
        ("complete", "unpaid", Some("requires_payment_method" | "canceled")) => {
            Status::Failed("the payment was declined".to_owned())
        }
        ("complete", "unpaid", _) => Status::Open,
        ("expired", _, _) => Status::Failed("the payment session ended".to_owned()),
        (status, payment, _) => {
            return Err(Error::Unknown(format!(
                "a session that is {status:?} and {payment:?}"
            )));
        }
    })
}

fn described(session: &wire::Session, status: Status) -> Session {
    Session {
        session_id: session.id.clone(),
        url: session.url.clone().unwrap_or_default(),
        status,
        dispute: None,
        taken_back: None,
        fee: None,
    }
}

/// As a list has it, with its charge.
fn listed(session: &wire::Session, payment_id: Uuid) -> Result<Listed, Error> {
    let intent = match &session.payment_intent {
        Some(Ref::Whole(intent)) => Some(intent),
        _ => None,
    };
    let charge = match intent.and_then(|intent| intent.latest_charge.as_ref()) {
        Some(Ref::Whole(charge)) => Some(charge),
        _ => None,
    };
    let status = status(session, intent.map(|intent| &*intent.status))?;
    let refunded = match (charge, &status) {
        (Some(charge), Status::Paid(captured)) => {
            from_stripe(charge.amount_refunded, captured.currency.as_str())
                .map_err(|error| Error::Unknown(error.to_string()))?
                .amount
        }
        _ => 0,
    };
    Ok(Listed {
        paid_at: charge.and_then(|charge| DateTime::from_timestamp(charge.created, 0)),
        session: described(session, status),
        payment_id: Some(payment_id),
        refunded,
    })
}

/// What the lost ones took of a payment; none where it isn't said in the payment's currency.
fn taken_back(disputes: &[wire::Dispute], status: &Status) -> Option<i64> {
    let Status::Paid(captured) = status else {
        return None;
    };
    let lost = disputes
        .iter()
        .filter(|one| dispute(&one.status) == Some(Dispute::Lost));
    lost.map(|one| {
        let taken = from_stripe(one.amount?, one.currency.as_deref()?).ok()?;
        (taken.currency == captured.currency).then_some(taken.amount)
    })
    .sum()
}

/// An inquiry is none: no money is withdrawn, and a refund ends it; one that was closed took nothing. A
/// prevented dispute gave the money back. A word that isn't known leaves it open, which holds refunds back.
fn dispute(status: &str) -> Option<Dispute> {
    match status {
        "warning_needs_response" | "warning_under_review" => None,
        "won" | "warning_closed" => Some(Dispute::Won),
        "lost" | "prevented" => Some(Dispute::Lost),
        _ => Some(Dispute::Open),
    }
}

fn refund(refund: wire::Refund) -> Refund {
    let outcome = match refund.status.as_deref() {
        Some("succeeded") => Outcome::Gone,
        Some(status @ ("failed" | "canceled")) => {
            let why = refund
                .failure_reason
                .as_deref()
                .unwrap_or("no reason given");
            Outcome::Failed(format!("{status}: {why}"))
        }
        _ => Outcome::Pending,
    };
    Refund {
        id: refund.id,
        outcome,
    }
}

fn object<T: DeserializeOwned>(object: Value) -> Result<T, WebhookError> {
    serde_json::from_value(object).map_err(|_| WebhookError::Body)
}

/// The payment that a session names; those of the account's other products name none.
fn payment_named(session: &Value) -> Option<Uuid> {
    let reference = session.get("client_reference_id")?.as_str()?;
    reference.parse().ok()
}

fn read_event(event: wire::Event) -> Result<Webhook, WebhookError> {
    let told = event.data.object;
    let about = match event.event_type.as_str() {
        kind if SESSION_EVENTS.contains(&kind) => {
            let Some(payment_id) = payment_named(&told) else {
                return Ok(Webhook {
                    event_id: event.id,
                    event_type: event.event_type,
                    about: About::Nothing,
                });
            };
            let session: wire::Session = object(told)?;
            let failed = kind == "checkout.session.async_payment_failed";
            let intent = failed.then_some("requires_payment_method");
            let status = status(&session, intent).map_err(|_| WebhookError::Body)?;
            About::Session {
                payment_id: Some(payment_id),
                session: described(&session, status),
            }
        }
        kind if kind.starts_with("charge.dispute.") => {
            let dispute: wire::Dispute = object(told)?;
            About::Money(match (dispute.payment_intent, dispute.charge) {
                (Some(Ref::Id(intent_id)), _) => intent_id,
                (Some(Ref::Whole(intent)), _) => intent.id,
                (None, Ref::Id(charge_id)) => charge_id,
                (None, Ref::Whole(charge)) => charge.id,
            })
        }
        kind if NEWS_EVENTS.contains(&kind) => {
            let refund: wire::Refund = object(told)?;
            let metadata = refund.metadata.unwrap_or_default();
            let ours = metadata.get("refund_id").and_then(|id| id.parse().ok());
            ours.map_or(About::Nothing, About::Refund)
        }
        _ => About::Nothing,
    };
    Ok(Webhook {
        event_id: event.id,
        event_type: event.event_type,
        about,
    })
}

impl Provider for Stripe {
    const NAME: &'static str = "stripe";

    async fn create_session(&self, wanted: &NewSession) -> Result<Session, Error> {
        let refused = |error: amount::Unsayable| Error::Refused(error.to_string());
        let (amount, currency) = to_stripe(wanted.price).map_err(refused)?;
        let left = wanted.expires_at - Utc::now();
        if left <= TimeDelta::zero() {
            return Err(Error::Refused("the time to pay is over".to_owned()));
        }
        let payment_id = wanted.payment_id.to_string();
        let name = match wanted.description.trim() {
            "" => "Tickets",
            name => name,
        };
        let mut form = vec![
            ("mode", "payment".to_owned()),
            ("client_reference_id", payment_id.clone()),
            ("metadata[payment_id]", payment_id.clone()),
            (
                "payment_intent_data[metadata][payment_id]",
                payment_id.clone(),
            ),
            ("line_items[0][quantity]", "1".to_owned()),
            ("line_items[0][price_data][currency]", currency),
            ("line_items[0][price_data][unit_amount]", amount.to_string()),
            (
                "line_items[0][price_data][product_data][name]",
                name.to_owned(),
            ),
            // What is captured is what was asked for, in that currency.
            ("adaptive_pricing[enabled]", "false".to_owned()),
            ("success_url", self.success_url.clone()),
            ("cancel_url", self.cancel_url.clone()),
        ];
        if left.to_std().unwrap_or_default() < LIFE_MAX {
            let expires_at = wanted.expires_at + LIFE_MIN;
            form.push(("expires_at", expires_at.timestamp().to_string()));
        }
        let key = format!("session-{payment_id}");
        let made = self
            .api
            .make("/v1/checkout/sessions", &key, &form, Utc::now());
        let session: wire::Session = made.await?;
        // To a repeated request the answer is that of the first: how it stands now is the reconciler's to
        // ask.
        if session.status.as_deref() == Some("open") {
            return Ok(described(&session, Status::Open));
        }
        self.describe(&session).await
    }

    async fn session(&self, session_id: &str) -> Result<Session, Error> {
        self.describe(&self.fetch(session_id).await?).await
    }

    async fn sessions_after(&self, cursor: Option<&str>) -> Result<Page, Error> {
        let expand = "data.payment_intent.latest_charge".to_owned();
        let mut query = vec![("expand[]", expand)];
        if let Some(cursor) = cursor {
            query.push(("starting_after", id(cursor)?.to_owned()));
        }
        let page = self.api.list("/v1/checkout/sessions", &query);
        let page: wire::List<wire::Session> = page.await?;
        let last = page.data.last().map(|last| last.id.clone());
        let sessions = page.data.iter().filter_map(|session| {
            // The account may sell other things too.
            let payment_id = session.client_reference_id.as_deref()?.parse().ok()?;
            Some(listed(session, payment_id))
        });
        Ok(Page {
            sessions: sessions.collect::<Result<_, Error>>()?,
            next: last.filter(|_| page.has_more),
        })
    }

    async fn cancel_session(&self, session_id: &str) -> Result<Session, Error> {
        let session = self.session_id(session_id)?;
        let path = format!("/v1/checkout/sessions/{session}/expire");
        match self.api.act::<wire::Session>(&path).await {
            Ok(session) if session.status.as_deref() == Some("expired") => {
                Ok(described(&session, Status::Cancelled))
            }
            Ok(session) => self.describe(&session).await,
            // It isn't open any more: somebody paid, or it ended by itself.
            Err(Error::Refused(_)) => self.session(session_id).await,
            Err(error) => Err(error),
        }
    }

    async fn refund(&self, wanted: &NewRefund) -> Result<Refund, Error> {
        if let Some(known_as) = &wanted.known_as {
            let path = format!("/v1/refunds/{}", id(known_as)?);
            return Ok(refund(self.api.get(&path, &Form::new()).await?));
        }
        let charge_id = self.charge_of(&wanted.session_id).await?;
        if let Some(sent) = self.sent(&charge_id, wanted).await? {
            return Ok(refund(sent));
        }
        let refused = |error: amount::Unsayable| Error::Refused(error.to_string());
        let (amount, _) = to_stripe(wanted.amount).map_err(refused)?;
        let (refund_id, attempt) = (wanted.refund_id.to_string(), wanted.attempt.to_string());
        let key = format!("refund-{refund_id}-{attempt}");
        let form = vec![
            ("charge", charge_id),
            ("amount", amount.to_string()),
            ("metadata[refund_id]", refund_id),
            ("metadata[attempt]", attempt),
        ];
        let made = self.api.make("/v1/refunds", &key, &form, Utc::now());
        Ok(refund(made.await?))
    }

    async fn sent_refund(&self, wanted: &NewRefund) -> Result<Option<Refund>, Error> {
        let charge_id = self.charge_of(&wanted.session_id).await?;
        Ok(self.sent(&charge_id, wanted).await?.map(refund))
    }

    async fn news(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<News, Error> {
        // Stripe lists the newest first.
        let mut events = VecDeque::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut query: Form<'_> = NEWS_EVENTS
                .map(|kind| ("types[]", kind.to_owned()))
                .to_vec();
            query.push(("created[gte]", since.timestamp().to_string()));
            query.push(("created[lte]", until.timestamp().to_string()));
            query.extend(after.map(|after| ("starting_after", after)));
            let page: wire::List<Value> = self.api.list("/v1/events", &query).await?;
            let has_more = page.has_more;
            after = None;
            for raw in page.data {
                let body = raw.to_string().into_bytes();
                let event: wire::Event = serde_json::from_value(raw)
                    .map_err(|error| Error::Unknown(format!("an unreadable event: {error}")))?;
                after = Some(event.id.clone());
                // One that can't be read is no reason to hear of no other.
                match read_event(event) {
                    Ok(webhook) => events.push_front((webhook, body)),
                    Err(error) => tracing::error!(%error, event.id = after, "an unreadable event"),
                }
            }
            if !has_more || after.is_none() {
                return Ok(News {
                    events: events.into(),
                    complete: true,
                });
            }
        }
        Ok(News {
            events: events.into(),
            complete: false,
        })
    }

    async fn payment_of(&self, reference: &str) -> Result<Option<Uuid>, Error> {
        let metadata = if reference.starts_with("ch_") {
            let path = format!("/v1/charges/{}", id(reference)?);
            let charge = self.api.get::<wire::Charge>(&path, &Form::new()).await;
            charge.map(|charge| charge.metadata)
        } else {
            let intent = self.intent(reference).await;
            intent.map(|intent| intent.metadata)
        };
        let metadata = metadata?.unwrap_or_default();
        Ok(metadata.get("payment_id").and_then(|id| id.parse().ok()))
    }

    fn read_webhook(
        &self,
        header: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Webhook, WebhookError> {
        if !signature::verify(&self.webhook_secret, header, body, now) {
            return Err(WebhookError::Signature);
        }
        let event: wire::Event = serde_json::from_slice(body).map_err(|_| WebhookError::Body)?;
        if event.livemode != self.livemode {
            return Err(WebhookError::Mode);
        }
        read_event(event)
    }
}
