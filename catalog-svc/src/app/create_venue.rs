//! Makes a venue.

use holdfast_mesh::Failure;

use super::{Catalog, unchanged};
use crate::{access::Actor, model::Venue, store};

impl Catalog {
    pub(crate) async fn create_venue(&self, actor: Actor, venue: Venue) -> Result<Venue, Failure> {
        if store::venues::insert(&self.pool, actor.user_id, &venue).await? {
            return Ok(venue);
        }
        unchanged(
            actor,
            store::venues::find(&self.pool, venue.venue_id).await?,
            &venue,
        )
    }
}
