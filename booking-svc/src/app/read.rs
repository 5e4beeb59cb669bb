//! What customers see of their bookings, and anyone of a show.

use booking_core::{Booking, Fate};
use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_types::{
    BookingId, BookingState, ErrorCode, Revision, SeatState, ShowId, UserId, limits::PAGE_ITEMS_MAX,
};

use super::{App, inventory::Cost};
use crate::{
    error::Error,
    store::{
        bookings::{self, Key, Stored, Unreadable},
        tickets::{self, Ticket},
    },
};

/// Items of a page when the caller names no number.
const PAGE_ITEMS_DEFAULT: u32 = 20;

/// How many items a page has when the caller names `limit`, 0 being no number.
pub(super) fn page_limit(limit: u32) -> Result<u32, Failure> {
    match limit {
        0 => Ok(PAGE_ITEMS_DEFAULT),
        1..=PAGE_ITEMS_MAX => Ok(limit),
        _ => Err(Failure::invalid("limit", format!("1 to {PAGE_ITEMS_MAX}"))),
    }
}

/// A booking with labels.
#[derive(Debug, Clone)]
pub(crate) struct BookingView {
    pub(crate) booking: Booking,
    pub(crate) seat_ids: Vec<String>,
    /// What its total is made of.
    pub(crate) cost: Cost,
    /// Those of them that were given back.
    pub(crate) returned_seat_ids: Vec<String>,
    pub(crate) created_at: DateTime<Utc>,
    /// When its hold ends unless it is paid, by the wall clock.
    pub(crate) pay_until: DateTime<Utc>,
}

impl BookingView {
    /// `NONE`, `PENDING`, `PARTLY_REFUNDED` or `REFUNDED`.
    pub(crate) fn refund_status(&self) -> &'static str {
        let any = |wanted: fn(&Fate) -> bool| {
            self.booking
                .payments
                .iter()
                .any(|payment| wanted(&payment.fate))
        };
        let parts = || self.booking.payments.iter().flat_map(|paid| &paid.parts);
        if any(|fate| matches!(fate, Fate::Refunding(_))) || parts().any(|part| !part.went) {
            "PENDING"
        } else if any(|fate| matches!(fate, Fate::Refunded(_))) {
            "REFUNDED"
        } else if parts().next().is_some() {
            "PARTLY_REFUNDED"
        } else {
            "NONE"
        }
    }
}

/// A page of a user's bookings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    pub(crate) bookings: Vec<BookingView>,
    /// Those of the page that can't be read.
    pub(crate) unreadable: Vec<Key>,
    /// Empty on the last.
    pub(crate) next_cursor: String,
}

fn key_of(read: &Result<Stored, Unreadable>) -> Key {
    match read {
        Ok(stored) => Key::from(&stored.booking),
        Err(unreadable) => unreadable.key,
    }
}

/// Seats with their states, in seat order, at one revision.
#[derive(Debug, Clone)]
pub(crate) struct Availability {
    pub(crate) revision: Revision,
    pub(crate) show_state: &'static str,
    pub(crate) seats: Vec<(String, SeatState)>,
}

impl App {
    /// The booking if it is this user's; anybody else's is not found.
    pub(crate) async fn booking_of(
        &self,
        user_id: UserId,
        booking_id: BookingId,
    ) -> Result<Stored, Error> {
        let found = bookings::of_user(&self.pool, user_id, booking_id).await?;
        found.ok_or_else(|| Failure::new(ErrorCode::BookingNotFound, "no such booking").into())
    }

    pub(crate) async fn view(&self, stored: Stored) -> Result<BookingView, Error> {
        let inventory = self.inventories.get(stored.booking.show_id).await?;
        let seat_ids = inventory.labels(&stored.booking.seats);
        Ok(BookingView {
            cost: inventory.cost(&stored.booking.seats),
            returned_seat_ids: inventory.labels(&stored.booking.returned),
            booking: stored.booking,
            seat_ids,
            created_at: stored.created_at,
            pay_until: stored.pay_until,
        })
    }

    /// `before`'s booking, which is `booking` now.
    pub(super) async fn view_now(
        &self,
        booking: Booking,
        before: BookingView,
    ) -> Result<BookingView, Error> {
        let (created_at, pay_until) = (before.created_at, before.pay_until);
        self.view(Stored {
            booking,
            created_at,
            pay_until,
        })
        .await
    }

    pub(crate) async fn get_booking(
        &self,
        user_id: UserId,
        booking_id: BookingId,
    ) -> Result<BookingView, Error> {
        let stored = self.booking_of(user_id, booking_id).await?;
        self.view(stored).await
    }

    /// A page of the user's bookings, newest first. One that can't be read has its place in it as any other.
    pub(crate) async fn list_bookings(
        &self,
        user_id: UserId,
        limit: u32,
        cursor: &str,
    ) -> Result<Listed, Error> {
        let limit = page_limit(limit)?;
        let before = if cursor.is_empty() {
            None
        } else {
            let id = cursor.parse::<BookingId>();
            Some(id.map_err(|_| Failure::invalid("cursor", "not one of ours"))?)
        };
        let mut page = bookings::list(&self.pool, user_id, before, limit + 1).await?;
        let more = page.len() > limit as usize;
        page.truncate(limit as usize);
        let mut listed = Listed::default();
        if let Some(last) = page.last().filter(|_| more) {
            listed.next_cursor = key_of(last).booking_id.to_string();
        }
        for read in page {
            match self.view_if_readable(read).await? {
                Ok(view) => listed.bookings.push(view),
                Err(unreadable) => {
                    self.tell_of(&unreadable);
                    listed.unreadable.push(unreadable.key);
                }
            }
        }
        Ok(listed)
    }

    /// A booking of a show that can't be read can't be shown, either.
    async fn view_if_readable(
        &self,
        read: Result<Stored, Unreadable>,
    ) -> Result<Result<BookingView, Unreadable>, Error> {
        let stored = match read {
            Ok(stored) => stored,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        let key = Key::from(&stored.booking);
        match self.view(stored).await {
            Ok(view) => Ok(Ok(view)),
            Err(Error::Corrupt(why)) => Ok(Err(Unreadable { key, why })),
            Err(error) => Err(error),
        }
    }

    /// The tickets of a confirmed booking, with labels.
    pub(crate) async fn list_tickets(
        &self,
        user_id: UserId,
        booking_id: BookingId,
    ) -> Result<(ShowId, Vec<(Ticket, String)>), Error> {
        let stored = self.booking_of(user_id, booking_id).await?;
        if stored.booking.state != BookingState::Confirmed {
            let what = format!(
                "this booking is {}; it has no tickets",
                stored.booking.state
            );
            return Err(Failure::new(ErrorCode::InvalidState, what).into());
        }
        let inventory = self.inventories.get(stored.booking.show_id).await?;
        let tickets = tickets::of(&self.pool, (&stored.booking).into()).await?;
        let labelled = tickets
            .into_iter()
            .map(|ticket| {
                let label = inventory.label(ticket.seat_no).to_owned();
                (ticket, label)
            })
            .collect();
        Ok((stored.booking.show_id, labelled))
    }
}
