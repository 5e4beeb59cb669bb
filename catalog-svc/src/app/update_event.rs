//! Changes what an event says about itself.
//!
//! Always holds: the change and the news of it are one transaction; a request that changes nothing
//! tells nothing; who is on stays as it is. Leaves to others: what was sold under the old title (booking-svc keeps the title
//! that a show was opened with).

use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_types::ErrorCode;

use super::{Catalog, publish};
use crate::{access::Actor, model::Event, store};

impl Catalog {
    pub(crate) async fn update_event(
        &self,
        actor: Actor,
        mut event: Event,
        now: DateTime<Utc>,
    ) -> Result<Event, Failure> {
        let id = event.event_id;
        let mut transaction = self.begin().await?;
        let there = store::events::lock(&mut transaction, id).await?;
        let Some(there) = there.filter(|there| actor.may_change(there.owner_id)) else {
            drop(transaction);
            // Somebody else's is told from none only where everybody can see it.
            let is_public = !store::shows::of_event(&self.pool, id, now, 1)
                .await?
                .is_empty();
            return Err(match is_public {
                true => Failure::new(ErrorCode::Forbidden, "this is another organiser's event"),
                false => Failure::new(ErrorCode::EventNotFound, "there is no such event"),
            });
        };
        event.performers.clone_from(&there.value.performers);
        if there.value == event {
            return Ok(event);
        }
        store::events::update(&mut transaction, &event).await?;
        publish::event_changed(&mut transaction, id).await?;
        self.commit(transaction).await?;
        tracing::info!(event.id = %id, "event changed");
        Ok(event)
    }
}
