//! Proposes endings and takes over open steps. Only proposes: the store's answer ends a booking.

use booking_core::Input;
use futures::{StreamExt, stream};
use holdfast_types::{BookingId, ClusterTime};

use crate::{
    app::{App, cancel::wall_time},
    error::Error,
    metrics,
    store::bookings,
};

/// Bookings in one round of either kind: a second's worth at the rates planned for.
const BATCH_MAX: u32 = 500;

/// Bookings driven at once: each waits for the store, and few may hold a connection.
const AT_ONCE_MAX: usize = 8;

impl App {
    /// Proposes the end of unpaid bookings past theirs, by the store's own time: without a store
    /// nothing is proposed.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let now = self.cluster_time().await?;
        let overdue = bookings::overdue(&self.pool, now, BATCH_MAX).await?;
        self.drive_all(overdue, &Input::ExpiryDue, now).await
    }

    /// Goes on with steps that nobody is at work on any more.
    pub(crate) async fn recover(&self) -> Result<(), Error> {
        let unfinished = bookings::take_unfinished(&self.pool, BATCH_MAX).await?;
        for _ in &unfinished {
            metrics::counter(metrics::TAKEN_OVER, &[]);
        }
        self.drive_all(unfinished, &Input::Resume, wall_time())
            .await
    }

    /// Drives each; the last error is the round's, and none keeps others from being tried.
    async fn drive_all(
        &self,
        bookings: Vec<BookingId>,
        input: &Input,
        now: ClusterTime,
    ) -> Result<(), Error> {
        stream::iter(bookings)
            .map(|booking_id| self.drive(booking_id, input.clone(), now))
            .buffer_unordered(AT_ONCE_MAX)
            .fold(Ok(()), |so_far, driven| async move {
                match driven {
                    Ok(_) => so_far,
                    Err(error) => Err(error),
                }
            })
            .await
    }
}
