//! The sandbox provider, seen from payment-svc: HTTP and nothing else.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use holdfast_types::Money;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{
    About, Dispute, Error, Listed, NewRefund, NewSession, News, Outcome, Page, Provider, Refund,
    Session, Status, Webhook, WebhookError, signature,
};
use crate::{config::Config, sandbox::wire};

/// How long the provider may take. A consumer's handler, which waits, has 30 s.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Longest answer read; a session is under a kilobyte, and a page has 50.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A client of the sandbox provider.
pub(crate) struct Sandbox {
    http: Client,
    base: String,
    api_key: String,
    webhook_secret: String,
}

impl Sandbox {
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        // A proxy of the environment is for the world outside.
        let http = Client::builder()
            .no_proxy()
            .timeout(ANSWER_MAX)
            .connect_timeout(CONNECT_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            http,
            base: config.sandbox_url.trim_end_matches('/').to_owned(),
            api_key: config.sandbox_api_key.expose().to_owned(),
            webhook_secret: config.webhook_secret.expose().to_owned(),
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.api_key)
    }
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    let unknown = |error: reqwest::Error| Error::Unknown(error.without_url().to_string());
    let mut response = request.send().await.map_err(unknown)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unknown)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::Unknown("an answer too long to read".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|error| Error::Unknown(format!("an answer that can't be read: {error}")));
    }
    let refusal = serde_json::from_slice::<wire::Refusal>(&body);
    match (status, refusal) {
        // A bad key is ours to repair, and no word about the session.
        (StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS, _) => {
            Err(Error::Unknown(status.to_string()))
        }
        (StatusCode::NOT_FOUND, Ok(refusal)) => Err(Error::NoSession(refusal.message)),
        (status, Ok(refusal)) if status.is_client_error() => Err(Error::Refused(format!(
            "{} ({})",
            refusal.message, refusal.code
        ))),
        (status, _) => Err(Error::Unknown(status.to_string())),
    }
}

fn session(session: wire::Session) -> Result<Session, Error> {
    let currency = session.currency.parse();
    let currency = currency.map_err(|_| Error::Unknown("an unknown currency".to_owned()))?;
    if session.amount < 0 {
        return Err(Error::Unknown("a negative amount".to_owned()));
    }
    let status = match session.status {
        wire::Status::Open | wire::Status::Processing => Status::Open,
        wire::Status::Paid => Status::Paid(Money {
            amount: session.amount,
            currency,
        }),
        wire::Status::Failed => Status::Failed("the payment was declined".to_owned()),
        wire::Status::Expired => Status::Failed("the payment session ended".to_owned()),
        wire::Status::Cancelled => Status::Cancelled,
    };
    let fee = session.fee.map(|amount| Money { amount, currency });
    Ok(Session {
        session_id: session.id,
        url: session.url,
        status,
        dispute: session.dispute.map(|dispute| match dispute {
            wire::Dispute::Open => Dispute::Open,
            wire::Dispute::Won => Dispute::Won,
            wire::Dispute::Lost => Dispute::Lost,
        }),
        taken_back: None,
        fee,
    })
}

fn webhook(event: wire::Event) -> Result<Webhook, Error> {
    Ok(Webhook {
        event_id: event.id,
        event_type: event.event_type,
        about: About::Session {
            payment_id: event.session.reference.parse().ok(),
            session: session(event.session)?,
        },
    })
}

impl Provider for Sandbox {
    const NAME: &'static str = "sandbox";

    async fn create_session(&self, wanted: &NewSession) -> Result<Session, Error> {
        let body = wire::NewSession {
            amount: wanted.price.amount,
            currency: wanted.price.currency.to_string(),
            description: wanted.description.clone(),
            reference: wanted.payment_id.to_string(),
            expires_at_ms: wanted.expires_at.with_timezone(&Utc).timestamp_millis(),
        };
        let request = self
            .request(Method::POST, "/v1/sessions")
            .header(wire::IDEMPOTENCY_KEY, wanted.payment_id.to_string())
            .json(&body);
        session(answer(request).await?)
    }

    async fn session(&self, session_id: &str) -> Result<Session, Error> {
        session(answer(self.request(Method::GET, &format!("/v1/sessions/{session_id}"))).await?)
    }

    async fn sessions_after(&self, cursor: Option<&str>) -> Result<Page, Error> {
        let mut request = self.request(Method::GET, "/v1/sessions");
        if let Some(cursor) = cursor {
            request = request.query(&[("after", cursor)]);
        }
        let page: wire::Sessions = answer(request).await?;
        let sessions = page.items.into_iter().map(|item| {
            Ok(Listed {
                payment_id: item.session.reference.parse().ok(),
                paid_at: item.paid_at_ms.and_then(DateTime::from_timestamp_millis),
                refunded: item.refunded,
                session: session(item.session)?,
            })
        });
        Ok(Page {
            sessions: sessions.collect::<Result<_, Error>>()?,
            next: page.next_cursor,
        })
    }

    async fn cancel_session(&self, session_id: &str) -> Result<Session, Error> {
        let path = format!("/v1/sessions/{session_id}/cancel");
        session(answer(self.request(Method::POST, &path)).await?)
    }

    async fn refund(&self, wanted: &NewRefund) -> Result<Refund, Error> {
        let body = wire::NewRefund {
            session_id: wanted.session_id.clone(),
            amount: wanted.amount.amount,
        };
        let request = self
            .request(Method::POST, "/v1/refunds")
            .header(wire::IDEMPOTENCY_KEY, wanted.refund_id.to_string())
            .json(&body);
        Ok(Refund {
            id: answer::<wire::Refund>(request).await?.id,
            outcome: Outcome::Gone,
        })
    }

    async fn sent_refund(&self, wanted: &NewRefund) -> Result<Option<Refund>, Error> {
        let path = format!("/v1/refunds/{}", wanted.refund_id);
        match answer::<wire::Refund>(self.request(Method::GET, &path)).await {
            Ok(sent) => Ok(Some(Refund {
                id: sent.id,
                outcome: Outcome::Gone,
            })),
            Err(Error::NoSession(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn news(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<News, Error> {
        let path = format!(
            "/v1/events?since_ms={}&until_ms={}",
            since.timestamp_millis(),
            until.timestamp_millis()
        );
        let told: wire::Events = answer(self.request(Method::GET, &path)).await?;
        let events = told.events.into_iter().map(|event| {
            let body = serde_json::to_vec(&event).expect("strings and numbers serialise");
            Ok((webhook(event)?, body))
        });
        Ok(News {
            events: events.collect::<Result<_, Error>>()?,
            complete: !told.has_more,
        })
    }

    async fn payment_of(&self, _: &str) -> Result<Option<Uuid>, Error> {
        // Each of its events has the session.
        Ok(None)
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
        webhook(event).map_err(|_| WebhookError::Body)
    }
}
