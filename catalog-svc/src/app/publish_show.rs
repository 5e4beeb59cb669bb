//! Puts a show on sale.
//!
//! booking-svc is asked first and the state is recorded after it. A crash between the two leaves
//! a show that sells but isn't listed; publishing again repairs that, because both steps change
//! nothing when they are done already. So that it asks for the same again, a draft is marked as
//! `opening`, in a transaction of its own, before booking-svc is asked: an import changes drafts,
//! but not these. There is no undo: a show that must not sell is paused or cancelled. The show's
//! row stays locked meanwhile, so two changes can't reach booking-svc in one order and the table in
//! another.

use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, ShowId, ShowState};

use super::{Catalog, changeable, publish, wrong_state};
use crate::{access::Actor, clients::inventory::OnBehalf, model::Show, store};

impl Catalog {
    pub(crate) async fn publish_show(
        &self,
        actor: Actor,
        on_behalf: &OnBehalf,
        show_id: ShowId,
        now: DateTime<Utc>,
    ) -> Result<Show, Failure> {
        let _permit = self.state_change_permit().await;
        self.mark_opening(actor, show_id, now).await?;
        let mut transaction = self.begin().await?;
        let found = store::shows::lock(&mut transaction, show_id).await?;
        let mut show = changeable(actor, found)?;
        may_be_sold(&show, now)?;
        match show.state {
            ShowState::Draft => {
                let seats = store::seat_map::seats(&mut transaction, show.plan_id).await?;
                self.inventory.open(on_behalf, &show, seats).await?;
            }
            // From ON_SALE too: what was recorded may not be what booking-svc was told last.
            ShowState::OnSale | ShowState::Paused => {
                self.inventory
                    .change_state(on_behalf, show_id, ShowState::OnSale)
                    .await?;
                // An earlier release told nobody when the sale begins and ends.
                publish::sale_changed(&mut transaction, &show).await?;
            }
            ShowState::Closed | ShowState::Cancelled => {
                return Err(wrong_state(&show, ShowState::OnSale));
            }
        }
        if show.state != ShowState::OnSale {
            store::shows::set_state(&mut transaction, show_id, ShowState::OnSale).await?;
            publish::show_changed(&mut transaction, show_id).await?;
        }
        self.commit(transaction).await?;
        tracing::info!(show.id = %show_id, from = %show.state, "show is on sale");
        show.state = ShowState::OnSale;
        Ok(show)
    }

    /// Keeps a draft that may be opened from being changed by an import, and its venue from being moved. Of a show
    /// that was on sale before both stand still already, and neither is waited for.
    async fn mark_opening(
        &self,
        actor: Actor,
        show_id: ShowId,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let mut transaction = self.begin().await?;
        // Before the show, as whoever changes a venue has them; from here on it stays where it is.
        let venue_id = store::venues::keep_of_draft(&mut transaction, show_id).await?;
        let found = store::shows::lock(&mut transaction, show_id).await?;
        let show = changeable(actor, found)?;
        if show.state != ShowState::Draft {
            return Ok(());
        }
        may_be_sold(&show, now)?;
        if venue_id != Some(show.venue.venue_id) {
            let message = "an import has just moved the show to another venue; try again";
            return Err(Failure::new(ErrorCode::Unavailable, message));
        }
        store::shows::set_opening(&mut transaction, show_id).await?;
        // There is no news in it, so nobody is told.
        transaction.commit().await.map_err(store::Error::from)?;
        Ok(())
    }
}

/// Whether a draft has all that it is sold by; of other shows booking-svc knows it.
fn may_be_sold(show: &Show, now: DateTime<Utc>) -> Result<(), Failure> {
    let message = if show.state != ShowState::Draft {
        return Ok(());
    } else if show.starts_at <= now {
        "a show that has begun can't be put on sale"
    } else if show.time_to_be_announced {
        "a show whose time is to be announced can't be put on sale"
    } else if show.prices.is_empty() {
        "a show without prices can't be put on sale"
    } else {
        return Ok(());
    };
    Err(Failure::new(ErrorCode::InvalidState, message))
}
