//! Makes a performer.

use holdfast_mesh::Failure;

use super::{Catalog, Made};
use crate::{
    access::Actor,
    model::Performer,
    store::{self, asked::Sha256},
};

impl Catalog {
    pub(crate) async fn create_performer(
        &self,
        actor: Actor,
        performer: Performer,
        asked: Sha256,
    ) -> Result<Made<Performer>, Failure> {
        let id = performer.performer_id;
        let mut transaction = self.begin().await?;
        if store::performers::insert(&mut transaction, actor.user_id, &performer).await? {
            store::asked::insert(&mut transaction, id.as_uuid(), asked).await?;
            // There is no news in one that no event names.
            transaction.commit().await.map_err(store::Error::from)?;
            return Ok(Made::now(performer));
        }
        drop(transaction);
        let there = store::performers::find(&self.pool, id).await?;
        self.made_before(actor, id.as_uuid(), there, &performer, asked)
            .await
    }
}
