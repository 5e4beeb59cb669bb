//! Asks the lock store what a step wants to know, and says what its answer means to the workflow.
//!
//! Always holds: an answer that may differ tomorrow (no quorum, an unknown outcome, a full queue, a
//! show that a rebuild hasn't loaded yet) is no answer, and the step stays open.

use std::time::Duration;

use booking_core::{Booking, Call, CommitAnswer, HoldAnswer, Input, Reason, ReleaseAnswer};
use holdfast_types::{DurationMs, Fence, HoldId, Lineage, Revision};
use lockstore_client::{
    Answer, CommitHold, CommitOutcome, Error, HoldOutcome, HoldSeats, RefusalReason, ReleaseHold,
    ReleaseOutcome, ReturnOutcome, ReturnSeats, Selection,
};

use super::App;

/// How long one question may take; the store's own failover fits in.
const ASK_MAX: Duration = Duration::from_secs(5);

/// What the store said.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// What it means to the workflow.
    pub(crate) input: Input,
    /// Whose answer it is.
    pub(crate) lineage: Lineage,
    /// As of when.
    pub(crate) revision: Revision,
}

/// Why nothing that counts was said.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The store can't say yet.
    Refused(RefusalReason),
    /// It didn't answer.
    Away,
}

/// An answer, or the reason for which nothing that counts was said.
type Asked = Result<Result<Answered, RefusalReason>, Error>;

/// What `answer` says, as `said`.
fn answered<T>(answer: &Answer<T>, said: Result<Input, RefusalReason>) -> Asked {
    Ok(said.map(|input| Answered {
        input,
        lineage: answer.lineage,
        revision: answer.revision,
    }))
}

impl App {
    /// The answer to a release.
    pub(crate) async fn release(&self, hold: ReleaseHold) -> Result<Answered, Unanswered> {
        let hold_id = hold.hold_id;
        match self.ask_release_of(hold).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(reason)) => Err(Unanswered::Refused(reason)),
            Err(error) => {
                tracing::warn!(hold.id = %hold_id, %error, "the lock store didn't release a hold");
                Err(Unanswered::Away)
            }
        }
    }

    /// The answer to `call`. `None`: nothing that counts was said.
    pub(crate) async fn ask(&self, booking: &Booking, call: Call) -> Option<Answered> {
        let asked = match call {
            Call::Release { hold_id, fence } => self.ask_release(booking, hold_id, fence).await,
            Call::Commit { hold_id, fence } => self.ask_commit(booking, hold_id, fence).await,
            Call::HoldAgain { hold_id, attempt } => self.ask_hold(booking, hold_id, attempt).await,
            Call::Return { fence } => self.ask_return(booking, fence).await,
        };
        match asked {
            Ok(Ok(answered)) => return Some(answered),
            Ok(Err(reason)) => {
                tracing::warn!(booking.id = %booking.id, ?call, ?reason, "the lock store can't say yet; the step stays open");
            }
            Err(error) => {
                tracing::warn!(booking.id = %booking.id, ?call, %error, "the lock store didn't answer; the step stays open");
            }
        }
        None
    }

    async fn ask_release(&self, booking: &Booking, hold_id: HoldId, fence: Fence) -> Asked {
        let hold = ReleaseHold {
            show_id: booking.show_id,
            holder: booking.user_id,
            hold_id,
            fence,
        };
        self.ask_release_of(hold).await
    }

    async fn ask_release_of(&self, hold: ReleaseHold) -> Asked {
        let fence = hold.fence;
        let answer = self.lock_store.release(hold, ASK_MAX).await?;
        let said = match &answer.outcome {
            ReleaseOutcome::Released { .. } => Ok(ReleaseAnswer::Gone),
            ReleaseOutcome::Refused(refusal) => match refusal.reason {
                RefusalReason::AlreadySold => Ok(ReleaseAnswer::AlreadySold),
                RefusalReason::Expired
                | RefusalReason::Released
                | RefusalReason::HoldNotFound
                | RefusalReason::StaleFence => Ok(ReleaseAnswer::Gone),
                reason => Err(reason),
            },
        };
        let said = said.map(|answer| Input::Released { fence, answer });
        answered(&answer, said)
    }

    async fn ask_commit(&self, booking: &Booking, hold_id: HoldId, fence: Fence) -> Asked {
        let commit = CommitHold {
            show_id: booking.show_id,
            hold_id,
            fence,
            seat_nos: booking.seats.clone(),
            booking_id: booking.id,
        };
        let answer = self.lock_store.commit(commit, ASK_MAX).await?;
        let said = match &answer.outcome {
            CommitOutcome::Sold { .. } => Ok(CommitAnswer::Sold),
            CommitOutcome::Refused(refusal) => match refusal.reason {
                RefusalReason::Expired
                | RefusalReason::Released
                | RefusalReason::HoldNotFound
                | RefusalReason::StaleFence => Ok(CommitAnswer::Gone),
                reason => final_reason(reason).map(CommitAnswer::Refused),
            },
        };
        let said = said.map(|answer| Input::Committed { fence, answer });
        answered(&answer, said)
    }

    async fn ask_hold(&self, booking: &Booking, hold_id: HoldId, attempt: u32) -> Asked {
        let hold = HoldSeats {
            show_id: booking.show_id,
            hold_id,
            holder: booking.user_id,
            selection: Selection::Seats(booking.seats.clone()),
            ttl: DurationMs(0),
            price_version: 0,
            late_money: true,
        };
        let answer = self.lock_store.hold(hold, ASK_MAX).await?;
        let said = match &answer.outcome {
            HoldOutcome::Held { hold, .. } => Ok(HoldAnswer::Held {
                hold_id,
                fence: hold.fence,
                expires_at: hold.expires_at,
            }),
            HoldOutcome::Refused(refusal) => final_reason(refusal.reason).map(HoldAnswer::Refused),
        };
        let said = said.map(|answer| Input::HeldAgain { attempt, answer });
        answered(&answer, said)
    }

    async fn ask_return(&self, booking: &Booking, fence: Fence) -> Asked {
        let seats = ReturnSeats {
            show_id: booking.show_id,
            fence,
            seat_nos: booking.seats_to_return().to_vec(),
            booking_id: booking.id,
        };
        let asked = seats.seat_nos.len();
        let answer = self.lock_store.return_seats(seats, ASK_MAX).await?;
        let said = match &answer.outcome {
            ReturnOutcome::Returned { .. } => Ok(Input::Returned {
                fence,
                seats: asked,
            }),
            ReturnOutcome::Refused(refusal) => Err(refusal.reason),
        };
        answered(&answer, said)
    }
}

/// Why a purchase can't be completed, if `reason` won't change.
fn final_reason(reason: RefusalReason) -> Result<Reason, RefusalReason> {
    match reason {
        RefusalReason::ShowNotOnSale => Ok(Reason::ShowOver),
        RefusalReason::LimitExceeded => Ok(Reason::LimitExceeded),
        RefusalReason::Conflict | RefusalReason::AlreadySold => Ok(Reason::SeatsGone),
        RefusalReason::RequestReused | RefusalReason::SeatUnknown | RefusalReason::Invalid => {
            tracing::error!(?reason, "the lock store calls our request wrong");
            Ok(Reason::Inconsistent)
        }
        reason => Err(reason),
    }
}
