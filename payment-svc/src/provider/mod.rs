//! What payment-svc needs of whoever collects the money.
//!
//! Always holds: an answer that didn't come is [`Error::Unknown`] and changes nothing; every call
//! may be made again with the same effect. Leaves to others: what an answer means for a payment.

mod sandbox;
pub(crate) mod signature;

pub(crate) use sandbox::Sandbox;

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use holdfast_types::Money;
use uuid::Uuid;

/// A provider. Each call is bounded in time by the implementation.
pub(crate) trait Provider: Send + Sync + 'static {
    /// Its name in webhook paths, rows and accounts.
    const NAME: &'static str;

    /// Opens a session to pay in; with a `payment_id` it has seen, returns that one's.
    fn create_session(
        &self,
        wanted: &NewSession,
    ) -> impl Future<Output = Result<Session, Error>> + Send;

    /// How a session stands.
    fn session(&self, session_id: &str) -> impl Future<Output = Result<Session, Error>> + Send;

    /// Ends an open session and returns how it stands then: paid, if somebody was faster.
    fn cancel_session(
        &self,
        session_id: &str,
    ) -> impl Future<Output = Result<Session, Error>> + Send;

    /// Sends money back, once for a `refund_id`; returns the provider's own id of it.
    fn refund(&self, wanted: &NewRefund) -> impl Future<Output = Result<String, Error>> + Send;

    /// Checks and reads a webhook received at `now`.
    fn read_webhook(
        &self,
        signature: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Webhook, WebhookError>;
}

/// A session to be opened.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    /// The idempotency key, and what webhooks refer to.
    pub(crate) payment_id: Uuid,
    pub(crate) price: Money,
    /// What the page says is being bought.
    pub(crate) description: String,
    /// When the session ends by itself.
    pub(crate) expires_at: DateTime<Utc>,
}

/// A session as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) session_id: String,
    /// Where the customer pays.
    pub(crate) url: String,
    pub(crate) status: Status,
    /// Of a paid one whose payer went to the bank.
    pub(crate) dispute: Option<Dispute>,
}

/// How a dispute stands; a later word outranks an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dispute {
    /// The bank has yet to decide.
    Open,
    /// We keep the money.
    Won,
    /// The payer has it back.
    Lost,
}

impl Dispute {
    /// In events and in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Won => "WON",
            Self::Lost => "LOST",
        }
    }

    pub(crate) fn from_column(text: &str) -> Option<Self> {
        let known = [Self::Open, Self::Won, Self::Lost];
        known.into_iter().find(|known| known.as_str() == text)
    }

    /// Whether a refund now might send the same money twice.
    pub(crate) fn holds_refunds(self) -> bool {
        matches!(self, Self::Open | Self::Lost)
    }
}

/// How a session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// The customer may pay, or is paying with a method that takes its time.
    Open,
    /// The money was captured.
    Paid(Money),
    /// There will be no money.
    Failed(String),
    /// It was called off.
    Cancelled,
}

/// Money to be sent back.
#[derive(Debug, Clone)]
pub(crate) struct NewRefund {
    /// The idempotency key.
    pub(crate) refund_id: Uuid,
    pub(crate) session_id: String,
    /// Minor units of the payment's currency.
    pub(crate) amount: i64,
}

/// A webhook whose signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    /// Which payment it is about, if it names one of our form.
    pub(crate) payment_id: Option<Uuid>,
    pub(crate) session: Session,
}

/// Why a provider didn't do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No answer, or none that says what happened. Ask again.
    #[error("the provider's answer is unknown: {0}")]
    Unknown(String),
    /// It has no session of that id.
    #[error("the provider has no such session: {0}")]
    NoSession(String),
    /// It said no, and will again.
    #[error("the provider refused: {0}")]
    Refused(String),
}

/// Why a webhook isn't taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebhookError {
    /// No signature, a wrong one, or one made too long ago.
    #[error("the webhook's signature is missing, wrong or stale")]
    Signature,
    /// Signed, but not readable.
    #[error("the webhook's body can't be read")]
    Body,
}
