//! What is read of Stripe's objects (docs.stripe.com/api), as of [`VERSION`]. What isn't named here
//! may come and go; a word that isn't known is no error of reading, and means what its reader says.

use std::collections::HashMap;

use serde::Deserialize;

/// The version of the API that every request asks for, so that an account's own default doesn't matter.
/// A webhook endpoint has a version of its own: of what is read here all since 2022-11-15 say the same.
pub(super) const VERSION: &str = "2025-03-31.basil";

/// A reference, or the object itself where it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Ref<T> {
    Id(String),
    Whole(Box<T>),
}

/// `metadata`: ours are texts.
pub(super) type Metadata = HashMap<String, String>;

/// `checkout.session`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    /// None once it isn't open.
    pub(super) url: Option<String>,
    /// `open` `complete` `expired`
    pub(super) status: Option<String>,
    /// `paid` `unpaid` `no_payment_required`
    pub(super) payment_status: String,
    pub(super) amount_total: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) client_reference_id: Option<String>,
    /// None before somebody tried to pay.
    pub(super) payment_intent: Option<Ref<Intent>>,
}

impl Session {
    pub(super) fn intent_id(&self) -> Option<&str> {
        match self.payment_intent.as_ref()? {
            Ref::Id(id) => Some(id),
            Ref::Whole(intent) => Some(&intent.id),
        }
    }
}

/// `payment_intent`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    /// `processing` `succeeded` `canceled` `requires_payment_method` and others that are under way.
    pub(super) status: String,
    pub(super) latest_charge: Option<Ref<Charge>>,
    #[serde(default)]
    pub(super) metadata: Option<Metadata>,
}

/// `charge`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    #[serde(default)]
    pub(super) disputed: bool,
    /// Of the amount captured, smallest units.
    #[serde(default)]
    pub(super) amount_refunded: i64,
    /// Seconds since 1970.
    #[serde(default)]
    pub(super) created: i64,
    /// None until the fee is known.
    pub(super) balance_transaction: Option<Ref<BalanceTransaction>>,
    #[serde(default)]
    pub(super) metadata: Option<Metadata>,
}

/// `balance_transaction`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct BalanceTransaction {
    pub(super) fee: i64,
    /// The account's, which need not be the charge's.
    pub(super) currency: String,
}

/// `refund`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    /// `pending` `requires_action` `succeeded` `failed` `canceled`
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) failure_reason: Option<String>,
    #[serde(default)]
    pub(super) metadata: Option<Metadata>,
}

/// `dispute`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Dispute {
    /// `won` `lost` `warning_closed` `prevented`, and others while it is open.
    pub(super) status: String,
    #[serde(default)]
    pub(super) amount: Option<i64>,
    #[serde(default)]
    pub(super) currency: Option<String>,
    pub(super) charge: Ref<Charge>,
    pub(super) payment_intent: Option<Ref<Intent>>,
}

/// `list`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
}

/// `event`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) livemode: bool,
    pub(super) data: EventData,
}

/// What it is about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct EventData {
    pub(super) object: serde_json::Value,
}

/// The body of an answer that isn't a success.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorObject,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ErrorObject {
    /// `api_error` `card_error` `idempotency_error` `invalid_request_error`
    #[serde(rename = "type")]
    pub(super) error_type: String,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
}
