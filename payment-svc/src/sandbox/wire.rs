//! The sandbox provider's API in JSON, shared by its server and its client. `v1`: fields are only
//! ever added.

use serde::{Deserialize, Serialize};

/// The header that makes a `POST` safe to repeat.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The header a webhook's signature is in.
pub(crate) const SIGNATURE: &str = "x-sandbox-signature";

/// Body of `POST /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSession {
    /// Minor units, at least 1.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// Shown on the page.
    pub(crate) description: String,
    /// The merchant's own id; webhooks carry it.
    pub(crate) reference: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) expires_at_ms: i64,
}

/// A session, in answers and webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    /// Where the customer pays.
    pub(crate) url: String,
    pub(crate) status: Status,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reference: String,
    pub(crate) expires_at_ms: i64,
    /// Of a paid one whose payer went to the bank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dispute: Option<Dispute>,
    /// Of a paid one: minor units that the provider keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fee: Option<i64>,
}

/// Answer of `GET /v1/sessions`: newest first, from the one after `?after=` on; those made since are left
/// out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sessions {
    pub(crate) items: Vec<ListedSession>,
    /// The `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedSession {
    #[serde(flatten)]
    pub(crate) session: Session,
    /// Of a paid one: milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) paid_at_ms: Option<i64>,
    /// Minor units that went back.
    pub(crate) refunded: i64,
}

/// How a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dispute {
    /// The bank has yet to decide.
    Open,
    /// The merchant keeps the money.
    Won,
    /// The payer has it back.
    Lost,
}

impl Dispute {
    /// As in the database.
    pub(crate) fn from_column(text: &str) -> Option<Self> {
        Some(match text {
            "OPEN" => Self::Open,
            "WON" => Self::Won,
            "LOST" => Self::Lost,
            _ => return None,
        })
    }
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Can be paid.
    Open,
    /// Being paid with a method that takes its time; can't be cancelled.
    Processing,
    /// The money is captured.
    Paid,
    /// The slow method brought no money.
    Failed,
    /// Called off by customer or merchant.
    Cancelled,
    /// Nobody paid in time.
    Expired,
}

impl Status {
    /// As in the database.
    pub(crate) fn from_column(text: &str) -> Option<Self> {
        Some(match text {
            "OPEN" => Self::Open,
            "PROCESSING" => Self::Processing,
            "PAID" => Self::Paid,
            "FAILED" => Self::Failed,
            "CANCELLED" => Self::Cancelled,
            "EXPIRED" => Self::Expired,
            _ => return None,
        })
    }
}

/// Body of `POST /v1/refunds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRefund {
    pub(crate) session_id: String,
    /// Minor units, at least 1.
    pub(crate) amount: i64,
}

/// A refund that went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) session_id: String,
    pub(crate) amount: i64,
}

/// A webhook's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The same for every delivery of one event.
    pub(crate) id: String,
    /// `session.` and what it became: `processing`, `paid`, `failed`, `cancelled`, `expired`, or
    /// `declined`, after which it is still open; `disputed` and `dispute_closed`.
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    /// The session as it stood then.
    pub(crate) session: Session,
}

/// Answer to `GET /v1/events?since_ms=&until_ms=`: what was told of disputes in that time, whether or not
/// its webhook arrived, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) events: Vec<Event>,
    /// There was more in that time.
    pub(crate) has_more: bool,
}

/// Why the API said no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}
