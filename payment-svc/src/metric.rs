//! Every metric's name, and how payments and money are counted.
//!
//! Always holds: what is counted of payments and money is committed, and each once, however often
//! its event, webhook or answer comes. A process that dies between commit and count, or never hears
//! of its commit, leaves a counter short of the ledger, never ahead of it.

use holdfast_types::{Money, PaymentState};

use crate::provider::Dispute;

/// Payments that reached an end, counted when it is committed; label `state`. One that is paid after
/// it was called off counts under both.
pub(crate) const SETTLED: &str = "holdfast_payment_settled_total";
/// Money captured, in minor units, counted once a payment when its entry in the ledger is committed;
/// label `currency`. A crash between commit and count leaves it short of the ledger.
pub(crate) const CAPTURED: &str = "holdfast_payment_captured_minor_units_total";
/// Refunds that went through, counted once each when their entry in the ledger is committed.
pub(crate) const REFUNDED: &str = "holdfast_payment_refunded_total";
/// Money refunded, in minor units, counted once a refund when its entry in the ledger is committed;
/// label `currency`. A crash between commit and count leaves it short of the ledger.
pub(crate) const REFUNDED_MONEY: &str = "holdfast_payment_refunded_minor_units_total";
/// Refunds that a provider took and could not pay out, also after it had said that it did; each is sent
/// again, a few times.
pub(crate) const REFUNDS_FAILED: &str = "holdfast_payment_refunds_failed_total";
/// Refunds that failed so often that none is sent by itself any more, as the database had it at the last
/// look: their money has to go back another way. Any is worth an alarm.
pub(crate) const REFUNDS_GIVEN_UP: &str = "holdfast_payment_refunds_given_up";
/// Webhooks; label `outcome` (`recorded`, `duplicate`, `refused`; `fetched`: found by asking the provider
/// what it told, and recorded).
pub(crate) const WEBHOOKS: &str = "holdfast_payment_webhooks_total";
/// Seconds since up to when the provider told everything of disputes and refunds, as the database had it at
/// the last look: it is asked every minute. More than a few minutes is worth an alarm.
pub(crate) const NEWS_AGE: &str = "holdfast_payment_news_age_seconds";
/// Seconds since the oldest unfinished one was asked for, 0 with none, as the database had it at the
/// last look (at the start, then every `payment.reconcile_period_ms`); label `kind` (`payment`;
/// `refund`: not yet taken by the provider; `refund_pending`: taken, and on its way; `undecided`: captured, and neither a confirmed booking's nor to go back).
pub(crate) const OLDEST_UNFINISHED: &str = "holdfast_payment_oldest_unfinished_seconds";
/// What had no answer and was sent again by itself; label `kind`: `session` (asked for at the provider),
/// `refund` (sent to the provider), `undecided` (captured money that booking-svc was told of again).
pub(crate) const AGAIN: &str = "holdfast_payment_again_total";
/// Disputes, each for every way it stands; label `state` (`OPEN`, `WON`, `LOST`). Any is worth a look.
pub(crate) const DISPUTES: &str = "holdfast_payment_disputes_total";
/// Silent sessions the provider was asked about; label `outcome` (`settled`, `open`, `unknown`).
pub(crate) const RECONCILED: &str = "holdfast_payment_reconciled_total";

/// A payment's end was committed, and what it brought.
pub(crate) fn settled(state: PaymentState, captured: Option<Money>) {
    metrics::counter!(SETTLED, "state" => state.as_str()).increment(1);
    if let Some(Money { amount, currency }) = captured {
        metrics::counter!(CAPTURED, "currency" => currency.to_string()).increment(units(amount));
    }
}

/// A refund's end was committed.
pub(crate) fn refunded(Money { amount, currency }: Money) {
    metrics::counter!(REFUNDED).increment(1);
    metrics::counter!(REFUNDED_MONEY, "currency" => currency.to_string()).increment(units(amount));
}

/// A dispute stands so now.
pub(crate) fn disputed(dispute: Dispute) {
    metrics::counter!(DISPUTES, "state" => dispute.as_str()).increment(1);
}

/// What a counter takes: nobody captures or refunds less than nothing.
fn units(amount: i64) -> u64 {
    u64::try_from(amount).unwrap_or_default()
}
