//! Puts a show on sale.
//!
//! booking-svc is asked first and the state is recorded after it. A crash between the two leaves
//! a show that sells but isn't listed; publishing again repairs that, because both steps change
//! nothing when they are done already. There is no undo: a show that must not sell is paused or
//! cancelled. The show's row stays locked meanwhile, so two changes can't reach booking-svc in
//! one order and the table in another.

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
        let mut transaction = self.begin().await?;
        let found = store::shows::lock(&mut transaction, show_id).await?;
        let mut show = changeable(actor, found)?;
        match show.state {
            ShowState::Draft if show.starts_at <= now => {
                let message = "a show that has begun can't be put on sale";
                return Err(Failure::new(ErrorCode::InvalidState, message));
            }
            ShowState::Draft if show.time_to_be_announced => {
                let message = "a show whose time is to be announced can't be put on sale";
                return Err(Failure::new(ErrorCode::InvalidState, message));
            }
            ShowState::Draft if show.prices.is_empty() => {
                let message = "a show without prices can't be put on sale";
                return Err(Failure::new(ErrorCode::InvalidState, message));
            }
            ShowState::Draft => {
                let seats = store::seat_map::seats(&mut transaction, show.plan_id).await?;
                self.inventory.open(on_behalf, &show, seats).await?;
            }
            // From ON_SALE too: what was recorded may not be what booking-svc was told last.
            ShowState::OnSale | ShowState::Paused => {
                self.inventory
                    .change_state(on_behalf, show_id, ShowState::OnSale)
                    .await?;
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
}
