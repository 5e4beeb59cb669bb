//! Every metric's name.
//!
//! Always holds: what is counted of bookings, seats and tickets is committed, and each once, however
//! often its event or request comes. A process that dies between commit and count, or never hears of
//! its commit, leaves a counter short of the tables, never ahead of them.

/// Answers to who wants to hold seats; label `outcome`: `held`, `replayed`, or the refusal's code.
/// `SEAT_LOCKED` and `SEAT_NOT_AVAILABLE` are conflicts over seats.
pub(crate) const HOLDS: &str = "holdfast_booking_holds_total";
/// Bookings made, counted when they are committed.
pub(crate) const BOOKINGS: &str = "holdfast_booking_created_total";
/// Bookings that reached a state, counted when it is committed; labels `state` (`CONFIRMED`,
/// `EXPIRED`, `FAILED`, `CANCELLED`) and `reason`: why it ended, and of a confirmed one `IN_TIME`, or
/// `LATE_MONEY` when its seats had to be held again. One that goes on from there (expired and paid
/// late, confirmed and cancelled) counts under both.
pub(crate) const ENDINGS: &str = "holdfast_booking_state_total";
/// Tickets issued, counted when they are committed.
pub(crate) const TICKETS: &str = "holdfast_booking_tickets_issued_total";
/// Seats sold, counted when it is committed: less those returned, what is sold.
pub(crate) const SEATS_SOLD: &str = "holdfast_booking_seats_sold_total";
/// Sold seats whose tickets were made void because they were given back or their booking was cancelled,
/// counted when it is
/// committed.
pub(crate) const SEATS_RETURNED: &str = "holdfast_booking_seats_returned_total";
/// Refunds asked for, counted when it is committed; label `reason`.
pub(crate) const REFUNDS: &str = "holdfast_booking_refunds_total";
/// Broken promises that were contained; label `kind`. Any is worth waking somebody.
pub(crate) const ALARMS: &str = "holdfast_booking_alarms_total";
/// Unfinished steps that were taken over, each time that they were.
pub(crate) const TAKEN_OVER: &str = "holdfast_booking_steps_taken_over_total";

/// Bookings whose rows can't be read, each once a process: no sweep ends an unpaid one, and its owner's list says no
/// more than that it is there. Any is worth looking at: the log names it.
pub(crate) const UNREADABLE: &str = "holdfast_booking_unreadable_total";

/// What payment-svc was told again because nobody knew its end; label `kind`: `refund` (asked for again),
/// `fate` (it asked what became of a payment).
pub(crate) const AGAIN: &str = "holdfast_booking_again_total";

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

/// A booking's seats were sold.
pub(crate) fn seats_sold(seats: usize) {
    metrics::counter!(SEATS_SOLD).increment(seats as u64);
}

/// It has its tickets.
pub(crate) fn tickets_issued(seats: usize) {
    metrics::counter!(TICKETS).increment(seats as u64);
}

/// Its tickets are void.
pub(crate) fn seats_returned(seats: usize) {
    metrics::counter!(SEATS_RETURNED).increment(seats as u64);
}
