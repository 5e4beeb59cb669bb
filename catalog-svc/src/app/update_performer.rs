//! Changes a performer's name.
//!
//! Always holds: with the change it is recorded, by the table, that the events that name the performer are to be
//! told as changed, which `tell_events` does; a request that changes nothing tells nothing, whatever version it names.

use holdfast_mesh::Failure;
use holdfast_types::ErrorCode;

use super::{Catalog, require_version};
use crate::{access::Actor, model::Performer, store};

impl Catalog {
    /// Only if the performer has `if_version`, where one is named.
    pub(crate) async fn update_performer(
        &self,
        actor: Actor,
        performer: Performer,
        if_version: Option<&str>,
    ) -> Result<Performer, Failure> {
        let id = performer.performer_id;
        let mut transaction = self.begin().await?;
        let there = store::performers::lock(&mut transaction, id).await?;
        let there = there.filter(|there| actor.may_change(there.owner_id));
        let Some(there) = there.map(|there| there.value) else {
            return Err(Failure::new(
                ErrorCode::PerformerNotFound,
                "there is no such performer",
            ));
        };
        if performer == there {
            return Ok(performer);
        }
        require_version(if_version, &there.version())?;
        store::performers::update(&mut transaction, &performer).await?;
        // What there is to tell is told from the table.
        transaction.commit().await.map_err(store::Error::from)?;
        tracing::info!(performer.id = %id, "performer changed");
        Ok(performer)
    }
}
