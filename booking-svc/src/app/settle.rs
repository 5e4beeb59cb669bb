//! Ends many unpaid bookings at once whose holds the store has ended.
//!
//! Always holds: only the store ends a pending booking: what is settled here builds on its word that
//! the booking's hold is over, of the current lineage. Each booking is decided by `booking-core`, as the
//! driver would, and what doesn't end simply (its hold was sold, it is being paid for) is left to the
//! driver. A booking that somebody is at work on is left out: whatever he decides counts; and so is one that can't be
//! read, of which people are told.

use std::collections::HashMap;

use booking_core::{Booking, Call, Decision, Input, Record, ReleaseAnswer, Step, decide, timeline};
use holdfast_types::{BookingId, ClusterTime, Fence, HoldToken, Revision};

use super::{
    App,
    announce::{self, OUTBOX},
    drive::{count, require_current},
};
use crate::{
    error::Error,
    store::{
        bookings::{self, Key},
        lineage,
        settle::{self, Settled},
    },
};

/// Bookings that end in one transaction: a webhook for one of them waits some tenths of a second at most.
pub(crate) const BATCH_MAX: usize = 500;

/// The store's word that a hold is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) hold: HoldToken,
    /// As of when it said so.
    pub(crate) revision: Revision,
}

/// Why bookings of holds that are over end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The store told by itself.
    HoldEnded,
    /// Their time was up by this time of the store's, and it let go of their holds.
    ExpiryDue(ClusterTime),
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Bookings that ended.
    pub(crate) settled: Vec<BookingId>,
    /// Those that are to be driven one by one.
    pub(crate) left: Vec<(Key, Fence)>,
}

impl App {
    /// Ends the unpaid bookings of holds that are over, at most [`BATCH_MAX`], in one transaction. Holds
    /// that nobody booked are no mistake.
    ///
    /// # Errors
    /// Nothing was written; among others [`Error::ForeignLineage`].
    pub(crate) async fn settle(&self, over: &[Over], cause: Cause) -> Result<Batch, Error> {
        let Some(lineage) = over.first().map(|over| over.revision.lineage()) else {
            return Ok(Batch::default());
        };
        // Each once, whatever was told twice.
        let said: HashMap<HoldToken, Revision> = over
            .iter()
            .filter(|over| over.revision.lineage() == lineage)
            .map(|over| (over.hold, over.revision))
            .collect();
        let holds: Vec<HoldToken> = said.keys().copied().collect();
        let mut transaction = lineage::begin(&self.pool).await?;
        require_current(&mut transaction, lineage).await?;
        settle::by_key(&mut transaction).await?;
        let locked = bookings::lock_pending(&mut transaction, &holds).await?;
        let (mut settled, mut decisions, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for read in locked {
            let before = match read {
                Ok(before) => before,
                Err(unreadable) => {
                    self.leave_out(&unreadable);
                    continue;
                }
            };
            let fence = before.hold.fence;
            let hold = HoldToken {
                show_id: before.show_id,
                hold_id: before.hold.hold_id,
                fence,
            };
            let Some(revision) = said.get(&hold) else {
                continue;
            };
            match judge(&before, *revision, cause) {
                Judged::Ends(ends) => {
                    let (ends, made) = *ends;
                    settled.push(ends);
                    decisions.push((before, made));
                }
                Judged::Stays => {}
                Judged::Otherwise => left.push((Key::from(&before), fence)),
            }
        }
        if settled.is_empty() {
            return Ok(Batch {
                left,
                ..Batch::default()
            });
        }
        settle::save(&mut transaction, &settled).await?;
        let ended = settled.iter().map(|settled| &settled.after);
        announce::all_ended(&mut transaction, ended).await?;
        transaction.commit().await?;
        OUTBOX.wake();
        for (before, [proposed, ended]) in &decisions {
            self.changes.tell(&ended.next);
            count(before, proposed);
            count(&proposed.next, ended);
        }
        Ok(Batch {
            settled: settled.iter().map(|settled| settled.after.id).collect(),
            left,
        })
    }
}

enum Judged {
    /// By these two decisions.
    Ends(Box<(Settled, [Decision; 2])>),
    /// The store's word changes nothing.
    Stays,
    /// Not simply.
    Otherwise,
}

/// What the driver would decide: that the store is to be asked, and what its answer makes of it.
fn judge(before: &Booking, revision: Revision, cause: Cause) -> Judged {
    let fence = before.hold.fence;
    let (input, now, told) = match cause {
        Cause::HoldEnded => (Input::HoldEnded { fence }, ClusterTime(0), Some(revision)),
        Cause::ExpiryDue(now) => (Input::ExpiryDue, now, None),
    };
    let proposed = decide(before, input.clone(), now);
    if proposed.next == *before && proposed.records.is_empty() {
        return Judged::Stays;
    }
    let answer = Input::Released {
        fence,
        answer: ReleaseAnswer::Gone,
    };
    let ended = decide(&proposed.next, answer.clone(), now);
    let asks = matches!(proposed.call, Some(Call::Release { fence: asked, .. }) if asked == fence);
    let simply = ended.records.iter().all(|record| {
        matches!(record, Record::FreeSeats { fence: freed } if *freed == fence)
            || matches!(record, Record::AnnounceEnded { .. })
    });
    let is_over = ended.next.step == Step::Idle
        && ended.next.session.is_none()
        && ended.next.payments == before.payments;
    if !(asks && simply && is_over && proposed.records.is_empty()) {
        return Judged::Otherwise;
    }
    let first = timeline(before, &input, &proposed).into_iter();
    let then = timeline(&proposed.next, &answer, &ended).into_iter();
    let entries = first
        .map(|entry| (entry, told))
        .chain(then.map(|entry| (entry, Some(revision))))
        .collect();
    let settled = Settled {
        after: ended.next.clone(),
        entries,
        fence,
    };
    Judged::Ends(Box::new((settled, [proposed, ended])))
}
