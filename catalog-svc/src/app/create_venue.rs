//! Makes a venue.

use holdfast_mesh::Failure;

use super::{Catalog, Made, publish};
use crate::{
    access::Actor,
    model::Venue,
    store::{self, asked::Asked},
};

impl Catalog {
    pub(crate) async fn create_venue(
        &self,
        actor: Actor,
        mut venue: Venue,
        asked: &Asked,
    ) -> Result<Made<Venue>, Failure> {
        let mut transaction = self.begin().await?;
        let id = venue.venue_id.as_uuid();
        let id = store::asked::choose(&mut transaction, actor.user_id, asked, id).await?;
        venue.venue_id = id.into();
        if store::venues::insert(&mut transaction, actor.user_id, &venue).await? {
            store::asked::insert(&mut transaction, id, asked).await?;
            publish::venue_changed(&mut transaction, venue.venue_id).await?;
            self.commit(transaction).await?;
            return Ok(Made::now(venue));
        }
        drop(transaction);
        let there = store::venues::find(&self.pool, venue.venue_id).await?;
        self.made_before(actor, id, there, &venue, asked).await
    }
}
