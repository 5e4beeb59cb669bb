//! Every metric's name.

/// Events moved from an outbox into the stream; label `producer`.
pub(crate) const MOVED: &str = "holdfast_eventlog_moved_total";
/// Deliveries; labels `consumer`, `outcome` (`handled`, `failed`).
pub(crate) const DELIVERIES: &str = "holdfast_eventlog_deliveries_total";
/// 1 while this process works for the consumer; label `consumer`.
pub(crate) const LEADING: &str = "holdfast_eventlog_consumer_leading";
/// Keys that wait for an operator, as the process that leads sees it; label `consumer`.
pub(crate) const PARKED: &str = "holdfast_eventlog_parked";
/// Events deleted because everybody is long past them.
pub(crate) const PRUNED: &str = "holdfast_eventlog_pruned_total";
/// The stream position up to which everything is handled or set aside; label `consumer`.
pub(crate) const CURSOR: &str = "holdfast_eventlog_consumer_cursor";
