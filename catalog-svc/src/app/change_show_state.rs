//! Pauses, closes or cancels a show; going back on sale is publishing.
//!
//! booking-svc is asked first, then the state is recorded, as in `publish_show`: a crash between
//! the two leaves a show listed as on sale that sells nothing, and asking again repairs it. A crash
//! while it was published may leave a draft that sells; one that has begun can't be published any
//! more, but can still be called off. One that booking-svc doesn't know then was never on sale, and counts as such.

use holdfast_mesh::Failure;
use holdfast_types::{ShowId, ShowState};

use super::{Catalog, changeable, publish, wrong_state};
use crate::{access::Actor, clients::inventory::OnBehalf, model::Show, store};

impl Catalog {
    /// `state` is PAUSED, CLOSED or CANCELLED.
    pub(crate) async fn change_show_state(
        &self,
        actor: Actor,
        on_behalf: &OnBehalf,
        show_id: ShowId,
        state: ShowState,
    ) -> Result<Show, Failure> {
        let _permit = self.state_change_permit().await;
        let mut transaction = self.begin().await?;
        let found = store::shows::lock(&mut transaction, show_id).await?;
        let mut show = changeable(actor, found)?;
        if !may_become(show.state, state) {
            return Err(wrong_state(&show, state));
        }
        if show.state == ShowState::Draft {
            let was_opened = self.inventory.call_off_draft(on_behalf, show_id).await?;
            if !was_opened {
                store::shows::unset_opening(&mut transaction, show_id).await?;
            }
        } else {
            self.inventory
                .change_state(on_behalf, show_id, state)
                .await?;
        }
        if show.state != state {
            store::shows::set_state(&mut transaction, show_id, state).await?;
            publish::show_changed(&mut transaction, show_id).await?;
        }
        self.commit(transaction).await?;
        tracing::info!(show.id = %show_id, from = %show.state, to = %state, "show changed state");
        show.state = state;
        Ok(show)
    }
}

/// A draft can only be called off, and so can a closed show; a cancelled one stays so. The same
/// state again is fine.
fn may_become(from: ShowState, to: ShowState) -> bool {
    use ShowState::{Cancelled, Closed, Draft, OnSale, Paused};
    match (from, to) {
        (_, Draft | OnSale) => false,
        (Draft, to) => to == Cancelled,
        (OnSale | Paused, Paused | Closed | Cancelled) => true,
        (Closed, Closed | Cancelled) => true,
        (Closed, Paused) => false,
        (Cancelled, to) => to == Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_only_move_towards_their_end() {
        let allowed: Vec<(ShowState, ShowState)> = ShowState::ALL
            .iter()
            .flat_map(|from| ShowState::ALL.iter().map(|to| (*from, *to)))
            .filter(|(from, to)| may_become(*from, *to))
            .collect();
        use ShowState::{Cancelled, Closed, Draft, OnSale, Paused};
        let expected = [
            (Draft, Cancelled),
            (OnSale, Paused),
            (OnSale, Closed),
            (OnSale, Cancelled),
            (Paused, Paused),
            (Paused, Closed),
            (Paused, Cancelled),
            (Closed, Closed),
            (Closed, Cancelled),
            (Cancelled, Cancelled),
        ];
        assert_eq!(allowed, expected);
    }
}
