//! What payment-svc needs of whoever collects the money.
//!
//! Always holds: an answer that didn't come is [`Error::Unknown`] and changes nothing; every call
//! may be made again with the same effect. Leaves to others: what an answer means for a payment.

mod https;
mod sandbox;
pub(crate) mod signature;
mod stripe;

pub(crate) use sandbox::Sandbox;
pub(crate) use stripe::Stripe;

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

    /// Sessions after `cursor`, newest first, a page of them; those made since the first page was asked for
    /// may be missing. For audits.
    fn sessions_after(
        &self,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Ends an open session and returns how it stands then: paid, if somebody was faster.
    fn cancel_session(
        &self,
        session_id: &str,
    ) -> impl Future<Output = Result<Session, Error>> + Send;

    /// Sends money back, once for a `refund_id` and `attempt`; of what it took before, says how that
    /// stands.
    fn refund(&self, wanted: &NewRefund) -> impl Future<Output = Result<Refund, Error>> + Send;

    /// How a refund stands, if it took that attempt; sends nothing.
    fn sent_refund(
        &self,
        wanted: &NewRefund,
    ) -> impl Future<Output = Result<Option<Refund>, Error>> + Send;

    /// What it told between two times, of what nobody asks about by itself: disputes, refunds that
    /// changed. In the order in which it happened.
    fn news(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> impl Future<Output = Result<News, Error>> + Send;

    /// Which payment of ours [`About::Money`] is about.
    fn payment_of(
        &self,
        reference: &str,
    ) -> impl Future<Output = Result<Option<Uuid>, Error>> + Send;

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
    /// Minor units that the bank took back with a lost one; none if that isn't said: then all.
    pub(crate) taken_back: Option<i64>,
    /// What the provider keeps of a paid one, once it says; its currency need not be the payment's.
    pub(crate) fee: Option<Money>,
}

impl Session {
    /// One that isn't there, and how it counts.
    pub(crate) fn none(status: Status) -> Self {
        Self {
            session_id: String::new(),
            url: String::new(),
            status,
            dispute: None,
            taken_back: None,
            fee: None,
        }
    }
}

/// Some of a provider's sessions.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) sessions: Vec<Listed>,
    /// Of the page after it, if there is one.
    pub(crate) next: Option<String>,
}

/// A session in a list.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) session: Session,
    /// Which payment it is of, if it names one of our form.
    pub(crate) payment_id: Option<Uuid>,
    /// Of a paid one.
    pub(crate) paid_at: Option<DateTime<Utc>>,
    /// Minor units that went back.
    pub(crate) refunded: i64,
}

/// How a payment's disputes stand, the worse for us the greater. One that is lost stays so; another may
/// follow one that was won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dispute {
    /// We keep the money.
    Won,
    /// The bank has yet to decide.
    Open,
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
    pub(crate) refund_id: Uuid,
    /// Counts from 1, and up each time that the provider took it and couldn't pay it out; with the
    /// id, the idempotency key.
    pub(crate) attempt: u32,
    /// What the provider calls it, if it took this attempt.
    pub(crate) known_as: Option<String>,
    pub(crate) session_id: String,
    /// Of the payment's currency.
    pub(crate) amount: Money,
}

/// A refund as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) outcome: Outcome,
}

/// What became of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The money went.
    Gone,
    /// It is on its way, which may take days.
    Pending,
    /// It came back to us, or never left.
    Failed(String),
}

/// A webhook whose signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) about: About,
}

impl Webhook {
    /// Which payment it is about, if it names one.
    pub(crate) fn payment_id(&self) -> Option<Uuid> {
        match &self.about {
            About::Session { payment_id, .. } => *payment_id,
            About::Money(_) | About::Refund(_) | About::Nothing => None,
        }
    }
}

/// What a webhook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// A session, as it stood then.
    Session {
        /// Which payment it is of, if it names one of our form.
        payment_id: Option<Uuid>,
        session: Session,
    },
    /// That something happened to a payment's money, by the provider's reference of it: how it stands
    /// is to be asked.
    Money(String),
    /// That something happened to a refund of ours: how it stands is to be asked.
    Refund(Uuid),
    /// Something that is no matter here.
    Nothing,
}

/// What a provider told in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// With their bodies.
    pub(crate) events: Vec<(Webhook, Vec<u8>)>,
    /// False if there was more than is read at once.
    pub(crate) complete: bool,
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
    /// It doesn't know what it gave us the id of: it is asked with the key of another account or mode, and
    /// that is no word about what was meant.
    #[error("the provider has it elsewhere: {0}")]
    Elsewhere(String),
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
    /// Of real money where we work without, or the other way round.
    #[error("the webhook's livemode isn't that of the secret key")]
    Mode,
}
