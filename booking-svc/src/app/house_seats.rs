//! House seats: taken out of sale by a show's organiser, and put back.
//!
//! Always holds: the lock store alone decides, all or nothing, so nobody's held or sold seat is taken; the
//! same again changes nothing. What it said is written to the database before anybody is answered, and of two
//! words about a seat the later revision counts: so a store that is rebuilt has blocked what was answered as
//! blocked, and nothing that was answered as released, whoever asked at once or wrote late. Before the store is
//! asked the show is marked, so that one who dies between the two is followed by a comparison, which takes the
//! store's word. Leaves to others: the rebuild ([`crate::rebuild`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, stream};
use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{ErrorCode, Lineage, Revision, SeatNo, SeatState, ShowId, UserId};
use lockstore_client::{BlockOutcome, BlockSeats, RefusalReason, UnblockOutcome, UnblockSeats};

use super::{
    App,
    drive::{refuse_while_rebuilding, require_current},
    hold_seats::some_seat_nos,
    inventory::Inventory,
    refusal,
    rights::Actor,
};
use crate::{
    error::Error,
    store::{
        house_seats::{self, Said, Word},
        lineage,
    },
};

/// Seats that one call blocks or unblocks: the store takes 1,024.
const SEATS_AT_ONCE_MAX: usize = 1_000;

/// Longest that the store is asked: what it does later than that it doesn't do any more.
pub(crate) const STORE_MAX: Duration = Duration::from_secs(20);

/// Shows that are compared in one round: of those that a release took over from the one before, too.
const COMPARED_MAX: u32 = 50;

/// Shows of a round that are compared at once, and longest that the store is asked for one: it is over within
/// [`house_seats::UNDER_WAY_MAX`], for which this round has them, even if the store answers none.
const COMPARED_AT_ONCE_MAX: usize = 5;
const COMPARE_MAX: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) revision: Revision,
    /// How many seats weren't so before.
    pub(crate) seats: u32,
}

impl App {
    /// Takes seats out of sale; `by` is who is remembered for it.
    pub(crate) async fn block_seats(
        &self,
        actor: Actor,
        by: UserId,
        show_id: ShowId,
        labels: &[String],
        deadline: Deadline,
    ) -> Result<Changed, Error> {
        let inventory = self.inventories.get(show_id).await?;
        actor.check(inventory.owner)?;
        let named = some_seat_nos(labels, &inventory, SEATS_AT_ONCE_MAX)?;
        self.begin_change(show_id).await?;
        let block = BlockSeats {
            show_id,
            seat_nos: named.clone(),
            actor: by,
        };
        let answer = self
            .lock_store
            .block_seats(block, deadline.remaining().min(STORE_MAX))
            .await?;
        let blocked = match answer.outcome {
            BlockOutcome::Blocked { already: true, .. } => {
                self.record_as_they_are(show_id, Some(by), &named, deadline)
                    .await?;
                0
            }
            BlockOutcome::Blocked { seat_nos, .. } => {
                let said = said(&named, true, &seat_nos);
                let word = word(show_id, answer.revision, Some(by), &said);
                self.record_word(answer.lineage, word).await?;
                seat_nos.len()
            }
            BlockOutcome::Refused(refused) => {
                return Err(refused_as("BlockSeats", &refused, &inventory));
            }
        };
        Ok(changed(answer.revision, blocked))
    }

    /// Puts blocked seats back on sale; `by` is who is remembered for it.
    pub(crate) async fn unblock_seats(
        &self,
        actor: Actor,
        by: UserId,
        show_id: ShowId,
        labels: &[String],
        deadline: Deadline,
    ) -> Result<Changed, Error> {
        let inventory = self.inventories.get(show_id).await?;
        actor.check(inventory.owner)?;
        let named = some_seat_nos(labels, &inventory, SEATS_AT_ONCE_MAX)?;
        self.begin_change(show_id).await?;
        let unblock = UnblockSeats {
            show_id,
            seat_nos: named.clone(),
            actor: by,
        };
        let answer = self
            .lock_store
            .unblock_seats(unblock, deadline.remaining().min(STORE_MAX))
            .await?;
        let unblocked = match answer.outcome {
            UnblockOutcome::Unblocked { already: true, .. } => {
                // Whoever releases has blocked none of those that others blocked since.
                self.record_as_they_are(show_id, None, &named, deadline)
                    .await?;
                0
            }
            UnblockOutcome::Unblocked { seat_nos, .. } => {
                // Of those that weren't blocked, too: whoever blocked one before may yet write it.
                let said = said(&named, false, &seat_nos);
                let word = word(show_id, answer.revision, Some(by), &said);
                self.record_word(answer.lineage, word).await?;
                seat_nos.len()
            }
            UnblockOutcome::Refused(refused) => {
                return Err(refused_as("UnblockSeats", &refused, &inventory));
            }
        };
        Ok(changed(answer.revision, unblocked))
    }

    async fn begin_change(&self, show_id: ShowId) -> Result<(), Error> {
        refuse_while_rebuilding(&mut *self.pool.acquire().await?).await?;
        Ok(house_seats::mark(&self.pool, show_id).await?)
    }

    /// Writes the store's word of this lineage, while that is the current one.
    async fn record_word(&self, answered: Lineage, word: Word<'_>) -> Result<(), Error> {
        let mut transaction = lineage::begin(&self.pool).await?;
        require_current(&mut transaction, answered).await?;
        house_seats::record(&mut transaction, word).await?;
        Ok(transaction.commit().await?)
    }

    /// The store changed nothing: they were so before, or this is a copy of a request, and somebody else may
    /// have changed them since. Either way what they are now is written; and of those that nobody is known to have
    /// blocked, that `by` did.
    async fn record_as_they_are(
        &self,
        show_id: ShowId,
        by: Option<UserId>,
        named: &[SeatNo],
        deadline: Deadline,
    ) -> Result<(), Error> {
        let left = deadline.remaining().min(STORE_MAX);
        let answer = self.lock_store.show(show_id, left).await?;
        let states = answer.outcome.map_or(Vec::new(), |show| show.seat_states);
        let is_blocked = |seat_no: &SeatNo| {
            let state = states.get(usize::try_from(seat_no.0).unwrap_or(usize::MAX));
            state == Some(&SeatState::Blocked)
        };
        let said: Vec<Said> = named
            .iter()
            .map(|seat_no| Said {
                seat_no: *seat_no,
                is_blocked: is_blocked(seat_no),
                is_new: false,
            })
            .collect();
        let word = word(show_id, answer.revision, by, &said);
        self.record_word(answer.lineage, word).await
    }

    /// Compares house seats of shows where that is due with the store's, and takes its word. One that can't be
    /// compared is due again, and keeps no others from it; the last error is the round's.
    pub(crate) async fn compare_house_seats(&self) -> Result<(), Error> {
        let due = house_seats::take_due(&self.pool, COMPARED_MAX).await?;
        stream::iter(due)
            .map(|due| async move {
                match self.compare(due.show_id).await {
                    Ok(()) => Ok(house_seats::compared(&self.pool, due).await?),
                    Err(error) if error.is_outage() => Err(error),
                    Err(error) => {
                        tracing::error!(show.id = %due.show_id, %error, "house seats can't be compared with the lock store");
                        Ok(())
                    }
                }
            })
            .buffer_unordered(COMPARED_AT_ONCE_MAX)
            .fold(Ok(()), |so_far, compared| async { compared.and(so_far) })
            .await
    }

    async fn compare(&self, show_id: ShowId) -> Result<(), Error> {
        let answer = self.lock_store.show(show_id, COMPARE_MAX).await?;
        let Some(found) = answer.outcome else {
            // One whose month was detached, or a draft.
            return Ok(());
        };
        let mut transaction = lineage::begin(&self.pool).await?;
        require_current(&mut transaction, answer.lineage).await?;
        let known = house_seats::blocked(&mut transaction, show_id).await?;
        let mut missing: BTreeMap<_, _> = known
            .into_iter()
            .map(|seat| (seat.seat_no, seat.revision))
            .collect();
        let mut said = Vec::new();
        for (seat_no, state) in (0..).map(SeatNo).zip(&found.seat_states) {
            if *state == SeatState::Blocked && missing.remove(&seat_no).is_none() {
                said.push(Said {
                    seat_no,
                    is_blocked: true,
                    is_new: false,
                });
            }
            if *state != SeatState::Blocked
                // One of an earlier life of the store was never loaded into this one, so nobody has released
                // it: people decide, whom the audit tells.
                && missing
                    .get(&seat_no)
                    .is_some_and(|revision| revision.lineage() == answer.lineage)
            {
                said.push(Said {
                    seat_no,
                    is_blocked: false,
                    is_new: false,
                });
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        let taken = Word {
            show_id,
            revision: answer.revision,
            by: None,
            seats: &said,
        };
        house_seats::record(&mut transaction, taken).await?;
        transaction.commit().await?;
        tracing::info!(show.id = %show_id, seats = said.len(), "house seats are taken over from the lock store");
        Ok(())
    }

    /// Somebody changed house seats of these shows at the store: another instance, maybe of the release before,
    /// which writes nothing of it.
    pub(crate) async fn mark_house_seats(
        &self,
        shows: impl IntoIterator<Item = ShowId> + Send,
    ) -> Result<(), Error> {
        for show_id in shows {
            house_seats::mark(&self.pool, show_id).await?;
        }
        Ok(())
    }

    /// Somebody may have changed house seats of any show, and wasn't heard.
    pub(crate) async fn mark_all_house_seats(&self) -> Result<(), Error> {
        let shows = house_seats::mark_all(&self.pool).await?;
        tracing::debug!(shows, "house seats are to be compared with the lock store");
        Ok(())
    }
}

/// What the store said of the seats that were named; of `changed` it was this very word.
fn said(named: &[SeatNo], is_blocked: bool, changed: &[SeatNo]) -> Vec<Said> {
    let changed: BTreeSet<_> = changed.iter().collect();
    named
        .iter()
        .map(|seat_no| Said {
            seat_no: *seat_no,
            is_blocked,
            is_new: changed.contains(seat_no),
        })
        .collect()
}

fn word(show_id: ShowId, revision: Revision, by: Option<UserId>, seats: &[Said]) -> Word<'_> {
    Word {
        show_id,
        revision,
        by,
        seats,
    }
}

fn changed(revision: Revision, seats: usize) -> Changed {
    let seats = u32::try_from(seats).unwrap_or(u32::MAX);
    Changed { revision, seats }
}

/// A show that has ended isn't one that doesn't sell: its organiser is told which it is.
fn refused_as(
    what: &'static str,
    refused: &lockstore_client::Refusal,
    inventory: &Inventory,
) -> Error {
    if refused.reason == RefusalReason::ShowNotOnSale {
        let message = "this show is over; its seats stay as they are";
        return Failure::new(ErrorCode::InvalidState, message).into();
    }
    refusal::to_error(what, refused, inventory)
}
