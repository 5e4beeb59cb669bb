//! A show was called off: whoever bought is refunded, booking after booking, in the background.
//!
//! Always holds: each booking ends by the workflow, as one that its customer cancels; a run goes on
//! where it was interrupted, by whatever process; looking at a booking twice changes nothing. A run has
//! finished only after a pass that began when no booking of the show could be confirmed any more. A
//! booking of which a ticket was used is left to people.

use std::time::Duration;

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, ShowId, ShowState};

use super::{App, inventory::show_not_found, rights::Actor};
use crate::{
    error::Error,
    store::{
        show_refunds::{self, Progress},
        shows,
    },
};

/// How long a run is left to the process that has it: longer than a page takes.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Before a pass that could not be the last is repeated.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

impl App {
    /// Asks for a cancelled show's refunds, unless it is a `dry_run`; says how far they are.
    pub(crate) async fn refund_show(
        &self,
        actor: Actor,
        show_id: ShowId,
        dry_run: bool,
    ) -> Result<Progress, Error> {
        let show = shows::find(&self.pool, show_id).await?;
        let show = show.ok_or_else(show_not_found)?;
        actor.check(show.owner)?;
        if !dry_run {
            if show.state != ShowState::Cancelled {
                return Err(Failure::new(
                    ErrorCode::InvalidState,
                    format!("this show is {}; cancel it first", show.state),
                )
                .into());
            }
            show_refunds::ask(&self.pool, show_id).await?;
        }
        let progress = show_refunds::progress(&self.pool, show_id).await?;
        Ok(progress.ok_or_else(show_not_found)?)
    }
}
