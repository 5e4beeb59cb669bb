//! Makes a venue.

use holdfast_mesh::Failure;

use super::{Catalog, Made, publish};
use crate::{
    access::Actor,
    model::Venue,
    store::{self, asked::Sha256},
};

impl Catalog {
    pub(crate) async fn create_venue(
        &self,
        actor: Actor,
        venue: Venue,
        asked: Sha256,
    ) -> Result<Made<Venue>, Failure> {
        let id = venue.venue_id;
        let mut transaction = self.begin().await?;
        if store::venues::insert(&mut transaction, actor.user_id, &venue).await? {
            store::asked::insert(&mut transaction, id.as_uuid(), asked).await?;
            publish::venue_changed(&mut transaction, id).await?;
            self.commit(transaction).await?;
            return Ok(Made::now(venue));
        }
        drop(transaction);
        let there = store::venues::find(&self.pool, id).await?;
        self.made_before(actor, id.as_uuid(), there, &venue, asked)
            .await
    }
}
