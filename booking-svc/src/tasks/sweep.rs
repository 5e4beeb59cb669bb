//! Ends what is overdue and takes over open steps. Only the store's word ends a booking.
//!
//! From an index, and sooner from what the store tells of holds that ended ([`super::holds`]); many in one
//! transaction ([`crate::app::settle`]) where nothing but time has passed.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use booking_core::{Input, ReleaseAnswer};
use futures::{StreamExt, stream};
use holdfast_mesh::trace::{self, Context, FutureExt as _, KeyValue, SpanKind};
use holdfast_proto::part;
use holdfast_types::ClusterTime;
use lockstore_client::ReleaseHold;

use crate::{
    app::{
        App,
        ask::{Answered, Unanswered},
        cancel::wall_time,
        refund_show::{LEASE, PAUSE},
        settle::{self, Batch, Cause, Over},
    },
    error::Error,
    metrics,
    store::{
        bookings::{self, Key, Overdue},
        show_refunds,
    },
};

/// Bookings of one page of either kind.
const BATCH_MAX: u32 = settle::BATCH_MAX as u32;

/// Pages of overdue bookings in one round: as many as a large on-sale leaves.
const SWEEP_PAGES_MAX: usize = 400;

/// Bookings that a round may meet and not end before it leaves the rest to the next.
const MET_MAX: usize = 5_000;

/// Holds that the store is asked at once to let go of; it takes them together.
const RELEASED_AT_ONCE_MAX: usize = 128;

/// Bookings of a cancelled show that are looked at in one go: done within a run's lease even if none is
/// answered in time.
const REFUND_PAGE_MAX: u32 = 40;

/// Pages of bookings that are refunded in one round; the rest follows in the next.
const REFUND_PAGES_MAX: usize = 20;

/// Bookings driven at once: each waits for the store, and few may hold a connection.
const AT_ONCE_MAX: usize = 8;

/// What the store said of holds that it was asked to let go of.
#[derive(Debug, Default)]
struct Asked {
    /// They are over.
    over: Vec<Over>,
    /// Bookings of which it says something else.
    left: Vec<Key>,
    /// Whether it said anything at all, be it that it can't say yet.
    is_answered: bool,
}

impl App {
    /// Ends unpaid bookings past their time, by the store's own time and word: it is asked to let go of
    /// their holds, many at once. Without a store nothing ends. What can't be ended keeps no other from it.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let now = self.cluster_time().await?;
        // Those that are still at the head of the index: each is met once in a round, and those that can't be
        // read only now and then.
        let mut met = self.unreadable.left_out(Instant::now());
        let left_out = met.len();
        let mut outcome = Ok(());
        for _ in 0..SWEEP_PAGES_MAX {
            let page = bookings::overdue(&self.pool, now, &met, BATCH_MAX).await?;
            let is_last = page.len() < BATCH_MAX as usize;
            let mut overdue = Vec::with_capacity(page.len());
            for read in page {
                match read {
                    Ok(read) => overdue.push(read),
                    Err(unreadable) => {
                        self.leave_out(&unreadable);
                        met.push(unreadable.key.booking_id);
                    }
                }
            }
            let all: Vec<Key> = overdue.iter().map(|overdue| overdue.key).collect();
            let Asked {
                over,
                mut left,
                is_answered,
            } = self.let_go(overdue).await;
            let is_answered = all.is_empty() || is_answered;
            let batch = match self.settle(&over, Cause::ExpiryDue(now)).await {
                Err(error) if !error.is_outage() => {
                    // One of them keeps no others from ending.
                    tracing::error!(%error, "bookings can't be ended together; they are ended one by one");
                    left = all.clone();
                    Batch::default()
                }
                batch => batch?,
            };
            let settled: HashSet<_> = batch.settled.into_iter().collect();
            met.extend(
                all.iter()
                    .map(|key| key.booking_id)
                    .filter(|id| !settled.contains(id)),
            );
            left.extend(batch.left.into_iter().map(|(key, _)| key));
            let left = left.into_iter().map(|key| (key, Input::ExpiryDue));
            match self.drive_all(left.collect(), now).await {
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => outcome = Err(error),
                Ok(()) => {}
            }
            // Without answers there will be none; and more than so many are a defect of another kind.
            if is_last || !is_answered || met.len() - left_out >= MET_MAX {
                break;
            }
        }
        outcome
    }

    /// Asks the store to let go of their holds. What it doesn't answer, or can't say yet, is asked again later.
    async fn let_go(&self, overdue: Vec<Overdue>) -> Asked {
        let mut answers = stream::iter(overdue)
            .map(|overdue| {
                let hold = ReleaseHold {
                    show_id: overdue.hold.show_id,
                    holder: overdue.user_id,
                    hold_id: overdue.hold.hold_id,
                    fence: overdue.hold.fence,
                };
                async move { (overdue, self.release(hold).await) }
            })
            .buffer_unordered(RELEASED_AT_ONCE_MAX);
        let mut asked = Asked::default();
        let mut refused = None;
        let mut refusals = 0_usize;
        while let Some((overdue, answer)) = answers.next().await {
            let Answered {
                input, revision, ..
            } = match answer {
                Ok(answered) => answered,
                Err(Unanswered::Refused(reason)) => {
                    refused = Some((overdue.key, reason));
                    refusals += 1;
                    continue;
                }
                Err(Unanswered::Away) => continue,
            };
            asked.is_answered = true;
            let gone = ReleaseAnswer::Gone;
            if matches!(input, Input::Released { answer, .. } if answer == gone) {
                let hold = overdue.hold;
                asked.over.push(Over { hold, revision });
            } else {
                asked.left.push(overdue.key);
            }
        }
        if let Some((key, reason)) = refused {
            asked.is_answered = true;
            tracing::warn!(booking.id = %key.booking_id, show.id = %key.show_id, ?reason, holds = refusals, "the lock store can't release holds yet; one of them is named");
        }
        asked
    }

    /// Ends the unpaid bookings of holds of which the store told that they have ended.
    pub(crate) async fn end_with_holds(&self, over: &[Over]) -> Result<(), Error> {
        for over in over.chunks(settle::BATCH_MAX) {
            let batch = match self.settle(over, Cause::HoldEnded).await {
                Err(error) if !error.is_outage() => {
                    tracing::error!(%error, "bookings can't be ended together; they end when their time is up");
                    continue;
                }
                batch => batch?,
            };
            let left = batch.left.into_iter();
            let left = left.map(|(key, fence)| (key, Input::HoldEnded { fence }));
            self.drive_all(left.collect(), wall_time()).await?;
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
