//! Every metric's name.

/// Payments that reached an end; label `state`.
pub(crate) const SETTLED: &str = "holdfast_payment_settled_total";
/// Refunds that went through.
pub(crate) const REFUNDED: &str = "holdfast_payment_refunded_total";
/// Webhooks; label `outcome` (`recorded`, `duplicate`, `refused`).
pub(crate) const WEBHOOKS: &str = "holdfast_payment_webhooks_total";
/// Seconds since the oldest unfinished one was asked for, 0 with none; label `kind` (`payment`,
/// `refund`).
pub(crate) const OLDEST_UNFINISHED: &str = "holdfast_payment_oldest_unfinished_seconds";
/// Silent sessions the provider was asked about; label `outcome` (`settled`, `open`, `unknown`).
pub(crate) const RECONCILED: &str = "holdfast_payment_reconciled_total";
