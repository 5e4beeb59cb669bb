//! Accounts that are being deleted: no booking is made for them.
//!
//! Always holds: whoever marks an account sees every booking of it that was begun before, because both take the
//! account's lock, and none is begun while it is marked. A mark ends only after identity-svc said that the account
//! is open again, or, of one that is gone, when no token of it can count any more; so it ends by itself where
//! nobody ends it, and never too early. Money that comes late for an account that is marked goes back.
//! Leaves to others: closing and deleting the account (identity-svc), and in which order (the gateway).

use std::{future::Future, time::Duration};

use booking_core::{Booking, Call, Terms};
use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, UserId};

use super::{App, inventory::Inventory};
use crate::{
    error::Error,
    store::closing_accounts::{self, Mark},
};

/// When identity-svc is asked what became of an account that nobody said anything of: as long as it is closed there.
const CLOSING_FOR: Duration = Duration::from_secs(120);

/// How long the mark of a deleted account stays: an access token counts for 15 minutes, and 5 s more for clocks
/// that differ; the last may have been given at the moment of closing, by a call that was slow.
const GONE_FOR: Duration = Duration::from_secs(20 * 60);

/// When an account is asked of again that is closed still.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How often marks that are due are looked for.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// Marks of one page, as many as identity-svc is asked about at once, and pages of one round: 100 accounts a
/// second.
const BATCH_MAX: u32 = 100;
const BATCHES_MAX: usize = 10;

/// How accounts stand, by identity-svc. Those that it doesn't name are open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standings {
    pub(crate) deleted: Vec<UserId>,
    pub(crate) closed: Vec<UserId>,
}

/// What identity-svc says of accounts.
pub(crate) trait Answer: Future<Output = Result<Standings, Error>> {}

impl<F: Future<Output = Result<Standings, Error>>> Answer for F {}

impl App {
    /// Makes no more bookings for the account, unless one of its bookings is under way.
    pub(crate) async fn stop_bookings(&self, user_id: UserId) -> Result<(), Error> {
        let mut transaction = holdfast_eventlog::begin(&self.pool).await?;
        closing_accounts::mark(&mut transaction, user_id, CLOSING_FOR).await?;
        if closing_accounts::is_booking_under_way(&mut transaction, user_id).await? {
            return Err(Failure::new(
                ErrorCode::InvalidState,
                "a booking of yours waits for its payment: pay, or call it off first",
            )
            .into());
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Makes bookings for the account again if it is open, by what `ask` says.
    pub(crate) async fn resume_bookings<A: Answer>(
        &self,
        user_id: UserId,
        ask: impl Fn(Vec<UserId>) -> A,
    ) -> Result<(), Error> {
        match closing_accounts::of(&self.pool, user_id).await? {
            Some(mark) if !mark.is_gone => self.judge(&[mark], &ask).await,
            _ => Ok(()),
        }
    }

    /// Ends the marks whose time it is, by what `ask` says.
    pub(crate) async fn end_closing<A: Answer>(
        &self,
        ask: impl Fn(Vec<UserId>) -> A,
    ) -> Result<(), Error> {
        for _ in 0..BATCHES_MAX {
            let due = closing_accounts::due(&self.pool, BATCH_MAX).await?;
            let is_last = due.len() < BATCH_MAX as usize;
            let (gone, unknown): (Vec<_>, Vec<_>) = due.into_iter().partition(|mark| mark.is_gone);
            if !gone.is_empty() {
                closing_accounts::end(&self.pool, &gone).await?;
            }
            if !unknown.is_empty() {
                self.judge(&unknown, &ask).await?;
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Asks after the marks were read: whoever closes an account after that marks it anew.
    async fn judge<A: Answer>(
        &self,
        marks: &[Mark],
        ask: &impl Fn(Vec<UserId>) -> A,
    ) -> Result<(), Error> {
        let users = marks.iter().map(|mark| mark.user_id).collect();
        let Standings { deleted, closed } = ask(users).await?;
        let of = |users: &[UserId]| -> Vec<Mark> {
            let all = marks.iter().copied();
            all.filter(|mark| users.contains(&mark.user_id)).collect()
        };
        let (gone, waiting) = (of(&deleted), of(&closed));
        let mut open = marks.to_vec();
        open.retain(|mark| !gone.contains(mark) && !waiting.contains(mark));
        closing_accounts::keep_gone(&self.pool, &gone, GONE_FOR).await?;
        closing_accounts::put_off(&self.pool, &waiting, AGAIN_AFTER).await?;
        closing_accounts::end(&self.pool, &open).await?;
        Ok(())
    }

    /// What the show's terms are for this booking. Whether its account is being deleted is asked for late money
    /// alone, which is held again from a step that whoever marks the account sees.
    pub(super) async fn terms(
        &self,
        booking: &Booking,
        call: Call,
        inventory: &Inventory,
    ) -> Result<Terms, Error> {
        let mut terms = inventory.terms();
        if matches!(call, Call::HoldAgain { .. }) {
            let mut connection = self.pool.acquire().await?;
            terms.buyer_left =
                closing_accounts::is_marked(&mut connection, booking.user_id).await?;
        }
        Ok(terms)
    }
}

/// Why a booking isn't made for an account that is marked.
pub(super) fn closing() -> Failure {
    Failure::new(
        ErrorCode::InvalidState,
        "this account is being deleted: no booking is made for it",
    )
}
