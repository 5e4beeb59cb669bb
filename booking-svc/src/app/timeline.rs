//! What happened to a booking, as its customer may read it; and what others tell that decides nothing.

use holdfast_mesh::Failure;
use holdfast_types::{BookingId, PaymentId, UserId};

use super::{App, read::page_limit};
use crate::{
    error::Error,
    store::{
        bookings,
        timeline::{self, Written},
    },
};

impl App {
    /// A page of a booking's timeline, oldest first, each with the labels of its seats; and the cursor
    /// of the next, if there is one.
    pub(crate) async fn booking_timeline(
        &self,
        user_id: UserId,
        booking_id: BookingId,
        limit: u32,
        cursor: &str,
    ) -> Result<(Vec<(Written, Vec<String>)>, String), Error> {
        let limit = page_limit(limit)?;
        let after = if cursor.is_empty() {
            0
        } else {
            let position = cursor.parse::<u32>();
            position.map_err(|_| Failure::invalid("cursor", "not one of ours"))?
        };
        let stored = self.booking_of(user_id, booking_id).await?;
        let inventory = self.inventories.get(stored.booking.show_id).await?;
        let mut entries =
            timeline::page(&self.pool, (&stored.booking).into(), after, limit + 1).await?;
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let next = match entries.last() {
            Some(last) if more => last.position.to_string(),
            _ => String::new(),
        };
        let labelled = entries.into_iter().map(|entry| {
            let labels = inventory.labels(&entry.seats);
            (entry, labels)
        });
        Ok((labelled.collect(), next))
    }

    /// Notes how the dispute of a payment stands: bookings and tickets stay as they are. False if there
    /// is no such booking.
    pub(crate) async fn note_dispute(
        &self,
        booking_id: BookingId,
        payment_id: PaymentId,
        state: &str,
    ) -> Result<bool, Error> {
        let mut transaction = holdfast_eventlog::begin(&self.pool).await?;
        let Some(booking) = bookings::lock(&mut transaction, booking_id.into()).await? else {
            return Ok(false);
        };
        timeline::dispute(&mut transaction, &booking, payment_id, state).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
