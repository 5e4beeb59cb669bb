//! Bookings whose rows can't be understood: they are left out of what is done to many, their owners' lists say no more
//! than that they are there, and people are told.
//!
//! Always holds: each is counted and logged once by a process, however often it is met, up to a bound of
//! how many are remembered. The sweep meets each only now and then, and so ends one whose row was put right.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use holdfast_types::BookingId;

use super::App;
use crate::{metrics, store::bookings};

/// Bookings remembered as told of; beyond that something else is wrong, and has been said often enough.
const REMEMBERED_MAX: usize = 10_000;

/// How long they are left out: soon enough for a row that was put right.
const LEFT_OUT_FOR: Duration = Duration::from_secs(5 * 60);

/// Those that were met.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    /// Of them people were told.
    told: HashSet<BookingId>,
    /// They are left out for now.
    left_out: HashSet<BookingId>,
    /// When the first of these was met.
    since: Option<Instant>,
}

impl Unreadable {
    fn met(&self) -> MutexGuard<'_, Met> {
        // Nothing that holds it can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves one out from `now` on.
    fn leave_out(&self, booking_id: BookingId, now: Instant) {
        let mut met = self.met();
        if met.left_out.len() < REMEMBERED_MAX {
            met.left_out.insert(booking_id);
            met.since.get_or_insert(now);
        }
    }

    /// Whether it wasn't told of yet; it is from now on.
    fn is_news(&self, booking_id: BookingId) -> bool {
        let mut met = self.met();
        met.told.len() < REMEMBERED_MAX && met.told.insert(booking_id)
    }

    /// Those that are left out at `now`; all are met again after a while.
    pub(crate) fn left_out(&self, now: Instant) -> Vec<BookingId> {
        let mut met = self.met();
        let is_over = |since: Instant| now.duration_since(since) >= LEFT_OUT_FOR;
        if met.since.is_some_and(is_over) {
            met.left_out.clear();
            met.since = None;
        }
        met.left_out.iter().copied().collect()
    }
}

impl App {
    /// Leaves a booking out of the sweep, and says so once.
    pub(crate) fn leave_out(&self, unreadable: &bookings::Unreadable) {
        self.unreadable
            .leave_out(unreadable.key.booking_id, Instant::now());
        self.tell_of(unreadable);
    }

    /// Says once that a booking can't be read.
    pub(crate) fn tell_of(&self, unreadable: &bookings::Unreadable) {
        let bookings::Unreadable { key, why } = unreadable;
        if self.unreadable.is_news(key.booking_id) {
            metrics::counter(metrics::UNREADABLE, &[]);
            tracing::error!(booking.id = %key.booking_id, show.id = %key.show_id, error = %why, "a booking can't be read: no sweep ends it, and its owner isn't shown it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booking_is_told_of_once_and_left_out_for_a_while() {
        let (unreadable, now) = (Unreadable::default(), Instant::now());
        let id = BookingId::from_bytes([1; 16]);
        unreadable.leave_out(id, now);
        assert!(unreadable.is_news(id));
        let last = now + LEFT_OUT_FOR - Duration::from_millis(1);
        assert_eq!(unreadable.left_out(last), [id]);
        assert_eq!(unreadable.left_out(now + LEFT_OUT_FOR), []);
        // It is met again, and nobody is told again.
        let again = now + LEFT_OUT_FOR * 2;
        unreadable.leave_out(id, again);
        assert!(!unreadable.is_news(id));
        assert_eq!(unreadable.left_out(again), [id]);
    }
}
