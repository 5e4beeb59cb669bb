//! The use cases, one a file. No tonic types, no SQL.

mod create_session;
mod end_session;
mod handle_event;
mod hear_news;
mod keep;
pub(crate) mod publish;
mod receive_webhook;
mod reconcile;
mod refund;
mod settle;
mod settle_refund;
mod sweep;

pub(crate) use handle_event::BookingEvents;
pub(crate) use hear_news::hear_news;
pub(crate) use receive_webhook::{Received, receive_webhook};
pub(crate) use reconcile::reconcile;
pub use settle_refund::{NotSettled, refunds_waiting, settle_refund};
pub(crate) use sweep::{ask_fees, forget_old_webhooks, sweep};

use std::time::Duration;

use holdfast_mesh::trace::{self, Context, KeyValue, SpanKind};
use holdfast_proto::part;
use sqlx::PgPool;

use crate::{
    provider::{self, Provider},
    store,
};

/// How long a refund is left to its event before it is sent again.
const RESEND_AFTER: Duration = Duration::from_secs(60);

/// Attempts at a refund that the provider takes and can't pay out, before people have to find another way.
const REFUND_ATTEMPTS_MAX: i32 = 3;

/// How long booking-svc has to say what becomes of captured money before it is told again: short enough
/// that money without an ending is found within a minute.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(45);

/// What the use cases work with.
pub(crate) struct App<P> {
    pub(crate) pool: PgPool,
    pub(crate) provider: P,
    /// How long a session may be silent before the provider is asked.
    pub(crate) reconcile_after: Duration,
}

/// A span, as a part of what is worked on, around a question to the provider. Its own side of the
/// trace isn't ours, so it is sent no context.
fn asking<P: Provider>(what: &'static str) -> Context {
    trace::within(&trace::current(), || {
        let provider = [KeyValue::new("payment.provider", P::NAME)];
        trace::span(what, SpanKind::Client, part::PAYMENT, provider)
    })
}

/// A provider's refusal, for a span: its text is the log's.
fn said(error: &provider::Error) -> String {
    match error {
        provider::Error::Unknown(_) => "no answer",
        provider::Error::Elsewhere(_) => "elsewhere",
        provider::Error::Refused(_) => "refused",
        provider::Error::NoSession(_) => "no such session",
    }
    .to_owned()
}

/// Why a use case could not be finished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Provider(#[from] provider::Error),
    #[error(transparent)]
    Webhook(#[from] provider::WebhookError),
    /// Money is wanted while an earlier attempt may still bring some.
    #[error("an earlier attempt of the booking is still open")]
    OtherOpen,
    /// The booking ended before its session was made; the event that makes it comes first.
    #[error("the payment's session is still being created")]
    NoSessionYet,
    /// Told of a payment that can't be meant.
    #[error("told of a payment that can't be: {0}")]
    NotThatPayment(&'static str),
    /// A refund that can't be: of a payment that isn't there or brought no money, of more than
    /// it brought, or under an id that was used for another.
    #[error("refund refused: {0}")]
    RefundImpossible(&'static str),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
