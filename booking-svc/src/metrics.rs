//! Every metric's name.

/// Holds asked for; label `outcome`: `held`, `replayed`, or the refusal's code.
pub(crate) const HOLDS: &str = "holdfast_booking_holds_total";
/// Bookings made.
pub(crate) const BOOKINGS: &str = "holdfast_booking_created_total";
/// Bookings that reached a state; labels `state`, `reason`.
pub(crate) const ENDINGS: &str = "holdfast_booking_state_total";
/// Refunds asked for; label `reason`.
pub(crate) const REFUNDS: &str = "holdfast_booking_refunds_total";
/// Broken promises that were contained; label `kind`. Any is worth waking somebody.
pub(crate) const ALARMS: &str = "holdfast_booking_alarms_total";
/// Unfinished steps that were taken over.
pub(crate) const TAKEN_OVER: &str = "holdfast_booking_steps_taken_over_total";

/// Payments that are under way too long, at most 100. Any is worth waking somebody.
pub(crate) const PAYMENTS_STUCK: &str = "holdfast_booking_payments_stuck";

/// Sets a level.
pub(crate) fn gauge(name: &'static str, level: usize) {
    metrics::gauge!(name).set(f64::from(u32::try_from(level).unwrap_or(u32::MAX)));
}

/// Adds one.
pub(crate) fn counter(name: &'static str, labels: &[(&'static str, &'static str)]) {
    metrics::counter!(name, labels).increment(1);
}
