//! Proposes endings and takes over open steps. Only proposes: the store's answer ends a booking.
//!
//! From an index, and sooner from what the store tells of holds that ended ([`super::holds`]).

use std::time::Duration;

use booking_core::Input;
use futures::{StreamExt, stream};
use holdfast_mesh::trace::{self, Context, FutureExt as _, KeyValue, SpanKind};
use holdfast_proto::part;
use holdfast_types::{ClusterTime, HoldToken};

use crate::{
    app::{
        App,
        cancel::wall_time,
        refund_show::{LEASE, PAUSE},
    },
    error::Error,
    metrics,
    store::{
        bookings::{self, Key},
        show_refunds,
    },
};

/// Bookings in one round of either kind: a second's worth at the rates planned for.
const BATCH_MAX: u32 = 500;
/// Bookings of a cancelled show that are looked at in one go: done within a run's lease even if none is
/// answered in time.
const REFUND_PAGE_MAX: u32 = 40;

/// Pages of bookings that are refunded in one round; the rest follows in the next.
const REFUND_PAGES_MAX: usize = 20;

/// Bookings driven at once: each waits for the store, and few may hold a connection.
const AT_ONCE_MAX: usize = 8;

impl App {
    /// Proposes the end of unpaid bookings past theirs, by the store's own time: without a store
    /// nothing is proposed.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let now = self.cluster_time().await?;
        let overdue = bookings::overdue(&self.pool, now, BATCH_MAX).await?;
        let due = overdue.into_iter().map(|key| (key, Input::ExpiryDue));
        self.drive_all(due.collect(), now).await
    }

    /// Proposes the end of unpaid bookings whose holds have ended.
    pub(crate) async fn end_with_holds(&self, ended: &[HoldToken]) -> Result<(), Error> {
        for holds in ended.chunks(BATCH_MAX as usize) {
            let found = bookings::of_holds(&self.pool, holds).await?;
            let ended = found.into_iter();
            let ended = ended.map(|(key, fence)| (key, Input::HoldEnded { fence }));
            self.drive_all(ended.collect(), wall_time()).await?;
        }
        Ok(())
    }

    /// Goes on with steps that nobody is at work on any more.
    pub(crate) async fn recover(&self) -> Result<(), Error> {
        let unfinished = bookings::take_unfinished(&self.pool, BATCH_MAX).await?;
        for _ in &unfinished {
            metrics::counter(metrics::TAKEN_OVER, &[]);
        }
        let open = unfinished.into_iter().map(|key| (key, Input::Resume));
        self.drive_all(open.collect(), wall_time()).await
    }

    /// Goes on with the refunding of shows that were called off.
    pub(crate) async fn refund_shows(&self) -> Result<(), Error> {
        for _ in 0..REFUND_PAGES_MAX {
            let Some(run) = show_refunds::take_run(&self.pool, LEASE).await? else {
                return Ok(());
            };
            let confirmed = show_refunds::confirmed(&self.pool, run, REFUND_PAGE_MAX).await?;
            let Some(last) = confirmed.last().copied() else {
                if show_refunds::end_pass(&self.pool, run, PAUSE).await? {
                    tracing::info!(show.id = %run.show_id, "every booking of a cancelled show was looked at");
                }
                continue;
            };
            let ends = confirmed.into_iter().map(|booking_id| {
                let key = Key {
                    show_id: run.show_id,
                    booking_id,
                };
                (key, Input::ShowCancelled)
            });
            self.drive_all(ends.collect(), wall_time()).await?;
            show_refunds::looked_at(&self.pool, run, last, Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Drives each; the last error is the round's, and none keeps others from being tried.
    async fn drive_all(&self, bookings: Vec<(Key, Input)>, now: ClusterTime) -> Result<(), Error> {
        stream::iter(bookings)
            .map(|(key, input)| {
                // Nobody's request, but something is done for this booking.
                let context = trace::begin(&Context::new(), || {
                    let booking = [KeyValue::new("booking.id", key.booking_id.to_string())];
                    trace::span("drive booking", SpanKind::Internal, part::BOOKING, booking)
                });
                self.drive(key, input, now).with_context(context)
            })
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
