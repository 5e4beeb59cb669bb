//! Makes an event.

use holdfast_mesh::Failure;
use holdfast_types::PerformerId;
use sqlx::PgConnection;

use super::{Catalog, Made, categories::UNKNOWN, publish};
use crate::{
    access::Actor,
    fields::Fields,
    model::{Event, Performer},
    store::{self, asked::Asked},
};

impl Catalog {
    /// `bill` is who is on; `event` names nobody yet.
    pub(crate) async fn create_event(
        &self,
        actor: Actor,
        mut event: Event,
        bill: &[PerformerId],
        asked: &Asked,
    ) -> Result<Made<Event>, Failure> {
        let mut transaction = self.begin().await?;
        let id = event.event_id.as_uuid();
        let id = store::asked::choose(&mut transaction, actor.user_id, asked, id).await?;
        event.event_id = id.into();
        event.performers = billed(&mut transaction, actor, bill).await?;
        let path = store::categories::path(&mut transaction, &event.category).await?;
        let is_known = path.is_some();
        event.category_path = path.unwrap_or_default();
        if store::events::insert(&mut transaction, actor.user_id, &event).await? {
            if !is_known {
                return Err(Failure::invalid("event.category", UNKNOWN));
            }
            store::performers::bill(&mut transaction, event.event_id, &event.performers).await?;
            store::asked::insert(&mut transaction, id, asked).await?;
            publish::event_changed(&mut transaction, event.event_id).await?;
            self.commit(transaction).await?;
            return Ok(Made::now(event));
        }
        drop(transaction);
        let there = store::events::find(&self.pool, event.event_id).await?;
        self.made_before(actor, id, there, &event, asked).await
    }
}

/// The performers of those ids, each of which must be the actor's to name.
pub(super) async fn billed(
    connection: &mut PgConnection,
    actor: Actor,
    bill: &[PerformerId],
) -> Result<Vec<Performer>, Failure> {
    if bill.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = store::performers::named(connection, bill).await?;
    let mut fields = Fields::default();
    let mut performers = Vec::with_capacity(bill.len());
    for (index, id) in bill.iter().enumerate() {
        match found.remove(id) {
            Some(performer) if actor.may_change(performer.owner_id) => {
                performers.push(performer.value);
            }
            _ => fields.note(
                format!("event.performers[{index}]"),
                "is no performer of yours",
            ),
        }
    }
    fields.finish(Some(performers))
}
