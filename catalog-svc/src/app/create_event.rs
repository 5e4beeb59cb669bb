//! Makes an event.

use holdfast_mesh::Failure;

use super::{Catalog, unchanged};
use crate::{access::Actor, model::Event, store};

impl Catalog {
    pub(crate) async fn create_event(&self, actor: Actor, event: Event) -> Result<Event, Failure> {
        if store::events::insert(&self.pool, actor.user_id, &event).await? {
            return Ok(event);
        }
        unchanged(
            actor,
            store::events::find(&self.pool, event.event_id).await?,
            &event,
        )
    }
}
