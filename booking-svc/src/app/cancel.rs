//! A customer cancels a booking.

use std::time::{SystemTime, UNIX_EPOCH};

use booking_core::Input;
use holdfast_mesh::Failure;
use holdfast_types::{BookingId, BookingState, ClusterTime, ErrorCode, ShowId, ShowState, UserId};

use super::{App, drive::Basis, read::BookingView};
use crate::{
    error::{Error, unavailable},
    store::{bookings::Key, requests::Named, shows},
};

/// This machine's time, for inputs that [`booking_core::decide`] judges without a clock.
pub(crate) fn wall_time() -> ClusterTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    ClusterTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl App {
    /// Cancels: an unpaid booking frees its seats, a confirmed one is refunded and its seats go
    /// back on sale. A cancelled one is told again.
    pub(crate) async fn cancel_booking(
        &self,
        user_id: UserId,
        booking_id: BookingId,
        named: Option<&Named>,
    ) -> Result<BookingView, Error> {
        let found = self.booking_of(user_id, booking_id).await?;
        let inventory = self.inventories.get(found.booking.show_id).await?;
        // What was called off didn't begin. The workflow judges by the state the booking is in
        // then: a payment may confirm it any moment.
        let confirmed_too = !inventory.has_begun() || self.is_called_off(inventory.show_id).await?;
        self.drive_on(
            Key::from(&found.booking).into(),
            Input::CancelRequested { confirmed_too },
            wall_time(),
            named.map_or(Basis::Word, Basis::Request),
        )
        .await?;
        let now = self.booking_of(user_id, booking_id).await?;
        let paying = now.booking.pending_payment().is_some();
        match now.booking.state {
            BookingState::Cancelled => self.view(now).await,
            BookingState::PendingPayment | BookingState::Expired if paying => Err(Failure::new(
                ErrorCode::InProgress,
                "a payment for this booking is being worked on; try again",
            )
            .into()),
            // Noted; it happens as soon as the store can be asked.
            BookingState::PendingPayment => Err(unavailable().into()),
            BookingState::Confirmed if !confirmed_too => Err(refused("the show has begun").into()),
            BookingState::Confirmed if found.booking.state == BookingState::Confirmed => {
                Err(refused("a ticket of it was used").into())
            }
            BookingState::Confirmed => {
                Err(refused("it was paid meanwhile; cancel again to be refunded").into())
            }
            BookingState::Expired | BookingState::Failed => Err(refused("it has ended").into()),
        }
    }

    /// Whether the organiser cancelled the show, as the database has it now.
    async fn is_called_off(&self, show_id: ShowId) -> Result<bool, Error> {
        let show = shows::find(&self.pool, show_id).await?;
        Ok(show.is_some_and(|show| show.state == ShowState::Cancelled))
    }
}

fn refused(why: &str) -> Failure {
    Failure::new(
        ErrorCode::InvalidState,
        format!("this booking can't be cancelled: {why}"),
    )
}
