//! Makes a performer.

use holdfast_mesh::Failure;

use super::{Catalog, Made};
use crate::{
    access::Actor,
    model::Performer,
    store::{self, asked::Asked},
};

impl Catalog {
    pub(crate) async fn create_performer(
        &self,
        actor: Actor,
        mut performer: Performer,
        asked: &Asked,
    ) -> Result<Made<Performer>, Failure> {
        let mut transaction = self.begin().await?;
        let id = performer.performer_id.as_uuid();
        let id = store::asked::choose(&mut transaction, actor.user_id, asked, id).await?;
        performer.performer_id = id.into();
        if store::performers::insert(&mut transaction, actor.user_id, &performer).await? {
            store::asked::insert(&mut transaction, id, asked).await?;
            // There is no news in one that no event names.
            transaction.commit().await.map_err(store::Error::from)?;
            return Ok(Made::now(performer));
        }
        drop(transaction);
        let there = store::performers::find(&self.pool, performer.performer_id).await?;
        self.made_before(actor, id, there, &performer, asked).await
    }
}
