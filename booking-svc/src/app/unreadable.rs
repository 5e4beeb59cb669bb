//! Bookings whose rows can't be understood: they are left out of what is done to many, and people are told.
//!
//! Always holds: each is counted and logged once by a process, however often it is met, up to a bound of
//! how many are remembered.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use holdfast_types::BookingId;

use super::App;
use crate::{metrics, store::bookings};

/// Bookings remembered as told of; beyond that something else is wrong, and has been said often enough.
const REMEMBERED_MAX: usize = 10_000;

/// Those that were told of.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<HashSet<BookingId>>);

impl Unreadable {
    /// Whether it wasn't told of yet.
    fn is_new(&self, booking_id: BookingId) -> bool {
        // Nothing that holds it can panic.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < REMEMBERED_MAX && told.insert(booking_id)
    }
}

impl App {
    /// Leaves a booking out, and says so once.
    pub(crate) fn leave_out(&self, unreadable: &bookings::Unreadable) {
        let bookings::Unreadable { key, why } = unreadable;
        if self.unreadable.is_new(key.booking_id) {
            metrics::counter(metrics::UNREADABLE, &[]);
            tracing::error!(booking.id = %key.booking_id, show.id = %key.show_id, error = %why, "a booking can't be read, and is left out of the sweep");
        }
    }
}
