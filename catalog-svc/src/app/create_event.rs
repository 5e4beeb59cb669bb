//! Makes an event.

use holdfast_mesh::Failure;

use super::{Catalog, publish, unchanged};
use crate::{access::Actor, model::Event, store};

impl Catalog {
    pub(crate) async fn create_event(&self, actor: Actor, event: Event) -> Result<Event, Failure> {
        let mut transaction = self.begin().await?;
        if store::events::insert(&mut transaction, actor.user_id, &event).await? {
            publish::event_changed(&mut transaction, event.event_id).await?;
            self.commit(transaction).await?;
            return Ok(event);
        }
        drop(transaction);
        unchanged(
            actor,
            store::events::find(&self.pool, event.event_id).await?,
            &event,
        )
    }
}
