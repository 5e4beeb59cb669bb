//! House seats: taken out of sale by a show's organiser, and put back.
//!
//! Always holds: the lock store alone decides, all or nothing, so nobody's held or sold seat is taken; the
//! same again changes nothing. Leaves to others: which seats are blocked is the lock store's to remember;
//! a store that is rebuilt from the database has none blocked.

use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{ErrorCode, Revision, ShowId, UserId};
use lockstore_client::{BlockOutcome, BlockSeats, RefusalReason, UnblockOutcome, UnblockSeats};

use super::{App, hold_seats::some_seat_nos, inventory::Inventory, refusal, rights::Actor};
use crate::error::Error;

/// Seats that one call blocks or unblocks: the store takes 1,024.
const SEATS_AT_ONCE_MAX: usize = 1_000;

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
        let block = BlockSeats {
            show_id,
            seat_nos: some_seat_nos(labels, &inventory, SEATS_AT_ONCE_MAX)?,
            actor: by,
        };
        let answer = self
            .lock_store
            .block_seats(block, deadline.remaining())
            .await?;
        match answer.outcome {
            BlockOutcome::Blocked { seat_nos, .. } => Ok(changed(answer.revision, seat_nos.len())),
            BlockOutcome::Refused(refused) => Err(refused_as("BlockSeats", &refused, &inventory)),
        }
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
        let unblock = UnblockSeats {
            show_id,
            seat_nos: some_seat_nos(labels, &inventory, SEATS_AT_ONCE_MAX)?,
            actor: by,
        };
        let answer = self
            .lock_store
            .unblock_seats(unblock, deadline.remaining())
            .await?;
        match answer.outcome {
            UnblockOutcome::Unblocked { seat_nos, .. } => {
                Ok(changed(answer.revision, seat_nos.len()))
            }
            UnblockOutcome::Refused(refused) => {
                Err(refused_as("UnblockSeats", &refused, &inventory))
            }
        }
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
