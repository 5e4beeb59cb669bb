//! Changes what an event says about itself.
//!
//! Always holds: the change and the news of it are one transaction; a request that changes nothing
//! tells nothing, whatever version it names, so that one that is repeated is answered as before.
//! Leaves to others: what was sold under the old title (booking-svc keeps the title that a show was
//! opened with).

use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, EventId};

use super::{Catalog, categories::UNKNOWN, create_event::billed, publish, require_version};
use crate::{
    access::Actor,
    model::{Event, EventChange},
    store,
};

impl Catalog {
    /// Only if the event has `if_version`, where one is named.
    pub(crate) async fn update_event(
        &self,
        actor: Actor,
        id: EventId,
        change: EventChange,
        if_version: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Event, Failure> {
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
        let there = there.value;
        let category = change.category.filter(|named| *named != there.category);
        let category_path = match &category {
            None => there.category_path.clone(),
            Some(named) => {
                let path = store::categories::path(&mut transaction, named).await?;
                path.ok_or_else(|| Failure::invalid("event.category", UNKNOWN))?
            }
        };
        let event = Event {
            event_id: id,
            title: change.title.unwrap_or_else(|| there.title.clone()),
            description: change
                .description
                .unwrap_or_else(|| there.description.clone()),
            category: category.unwrap_or_else(|| there.category.clone()),
            category_path,
            classification: change
                .classification
                .unwrap_or_else(|| there.classification.clone()),
            performers: match &change.performers {
                None => there.performers.clone(),
                Some(bill) if there.is_billed(bill) => there.performers.clone(),
                Some(bill) => billed(&mut transaction, actor, bill).await?,
            },
            image_url: change.image_url.unwrap_or_else(|| there.image_url.clone()),
        };
        if there == event {
            return Ok(event);
        }
        require_version(if_version, &there.version())?;
        store::events::update(&mut transaction, &event).await?;
        if there.performers != event.performers {
            store::performers::bill(&mut transaction, id, &event.performers).await?;
        }
        publish::event_changed(&mut transaction, id).await?;
        self.commit(transaction).await?;
        tracing::info!(event.id = %id, "event changed");
        Ok(event)
    }
}
