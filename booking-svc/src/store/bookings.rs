//! Bookings as rows: the workflow's state, and what a replay and a list need. How they are read, written and
//! found when they are due is in the modules below.

mod due;
mod read;
mod rows;
mod write;

use booking_core::Booking;
use chrono::{DateTime, Utc};
use holdfast_types::{BookingId, ShowId};

pub(crate) use due::{Overdue, lock_pending, overdue, take_unfinished};
pub(crate) use read::{list, lock, of_hold, of_user, read};
pub(crate) use rows::Unreadable;
pub(crate) use write::{AtOnce, Change, NewBooking, insert, save, save_at_once};

/// A booking with what the workflow doesn't need of it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) booking: Booking,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) pay_until: DateTime<Utc>,
}

/// Which booking. Where its show is known, too, it is found by its key; else by way of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Which {
    pub(crate) booking_id: BookingId,
    pub(crate) show_id: Option<ShowId>,
}

impl From<BookingId> for Which {
    fn from(booking_id: BookingId) -> Self {
        Self {
            booking_id,
            show_id: None,
        }
    }
}

impl From<Key> for Which {
    fn from(key: Key) -> Self {
        Self {
            booking_id: key.booking_id,
            show_id: Some(key.show_id),
        }
    }
}

/// A booking's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) show_id: ShowId,
    pub(crate) booking_id: BookingId,
}

impl From<&Booking> for Key {
    fn from(booking: &Booking) -> Self {
        Self {
            show_id: booking.show_id,
            booking_id: booking.id,
        }
    }
}

/// A version of a booking's row: another as soon as anything of it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(pub(super) String);
