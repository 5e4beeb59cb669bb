//! Makes a venue.

use holdfast_mesh::Failure;

use super::{Catalog, publish, unchanged};
use crate::{access::Actor, model::Venue, store};

impl Catalog {
    pub(crate) async fn create_venue(&self, actor: Actor, venue: Venue) -> Result<Venue, Failure> {
        let mut transaction = self.begin().await?;
        if store::venues::insert(&mut transaction, actor.user_id, &venue).await? {
            publish::venue_changed(&mut transaction, venue.venue_id).await?;
            self.commit(transaction).await?;
            return Ok(venue);
        }
        drop(transaction);
        unchanged(
            actor,
            store::venues::find(&self.pool, venue.venue_id).await?,
            &venue,
        )
    }
}
