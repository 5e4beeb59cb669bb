//! A customer gives some tickets of a confirmed booking back, and keeps the others.

use booking_core::Input;
use holdfast_mesh::Failure;
use holdfast_types::{BookingId, BookingState, ErrorCode, SeatNo, UserId};

use super::{
    App, cancel::wall_time, drive::Basis, hold_seats::seat_nos, inventory::Inventory,
    read::BookingView,
};
use crate::{
    error::{Error, unavailable},
    store::{
        bookings::{Key, Stored},
        requests::Named,
    },
};

impl App {
    /// Their tickets are void, what they cost goes back with the fees per ticket, and they go back on sale. Those that were given
    /// back before are no refusal, if all are; giving all back that are left is to cancel.
    pub(crate) async fn return_tickets(
        &self,
        user_id: UserId,
        booking_id: BookingId,
        seat_ids: &[String],
        named: Option<&Named>,
    ) -> Result<BookingView, Error> {
        let found = self.booking_of(user_id, booking_id).await?;
        let inventory = self.inventories.get(found.booking.show_id).await?;
        let seats = theirs(seat_ids, &found, &inventory)?;
        if given_back(&seats, &found) {
            return self.view(found).await;
        }
        let returned = |seat: &&SeatNo| found.booking.returned.contains(seat);
        if let Some(seat) = seats.iter().find(returned) {
            let label = inventory.label(*seat);
            return Err(refused(&format!("{label} was given back before, others weren't")).into());
        }
        let is_all_of = |stored: &Stored| {
            stored.booking.state == BookingState::Confirmed
                && seats.len() == stored.booking.seats_left().len()
        };
        if is_all_of(&found) {
            return self.cancel_booking(user_id, booking_id, named).await;
        }
        if inventory.has_begun() {
            return Err(refused("the show has begun").into());
        }
        let input = Input::SeatsGivenBack {
            amount: inventory.given_back(&seats).amount,
            seats: seats.clone(),
        };
        let basis = named.map_or(Basis::Word, Basis::Request);
        let which = Key::from(&found.booking).into();
        self.drive_on(which, input, wall_time(), basis).await?;
        let now = self.booking_of(user_id, booking_id).await?;
        if given_back(&seats, &now) {
            return self.view(now).await;
        }
        // The others were given back meanwhile.
        if is_all_of(&now) {
            return self.cancel_booking(user_id, booking_id, named).await;
        }
        match now.booking.state {
            BookingState::PendingPayment | BookingState::Expired
                if now.booking.pending_payment().is_some() =>
            {
                Err(Failure::new(
                    ErrorCode::InProgress,
                    "a payment for this booking is being worked on; try again",
                )
                .into())
            }
            BookingState::Confirmed if found.booking.state == BookingState::Confirmed => {
                Err(refused("a ticket of them was used").into())
            }
            // Confirmed meanwhile.
            BookingState::Confirmed => Err(unavailable().into()),
            state => Err(refused(&format!("the booking is {state}")).into()),
        }
    }
}

/// Whether all of them went back: with others, or with the whole booking.
fn given_back(seats: &[SeatNo], stored: &Stored) -> bool {
    let booking = &stored.booking;
    booking.state == BookingState::Cancelled
        || seats.iter().all(|seat| booking.returned.contains(seat))
}

fn theirs(
    seat_ids: &[String],
    stored: &Stored,
    inventory: &Inventory,
) -> Result<Vec<SeatNo>, Failure> {
    let seats = seat_nos(seat_ids, inventory)?;
    let not_theirs = |seat: &&SeatNo| !stored.booking.seats.contains(seat);
    match seats.iter().find(not_theirs) {
        None => Ok(seats),
        Some(seat) => {
            let why = format!("{} isn't a seat of this booking", inventory.label(*seat));
            Err(Failure::invalid("seat_ids", why))
        }
    }
}

fn refused(why: &str) -> Failure {
    Failure::new(
        ErrorCode::InvalidState,
        format!("these tickets can't be given back: {why}"),
    )
}
