//! Changes what a venue says about itself.
//!
//! Always holds: once a show there was put on sale, whosever it is, time zone and position stay, and that is
//! refused by name: people read when it begins with that offset, and found it near there. Whoever puts a show
//! on sale at the same time waits for the change, or the change for them (`publish_show`). The change and the
//! news of it are one transaction; a request that changes nothing tells nothing, whatever version it names.

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, VenueId};

use super::{Catalog, publish, require_version};
use crate::{
    access::Actor,
    model::{Venue, VenueChange},
    store,
};

impl Catalog {
    /// Only if the venue has `if_version`, where one is named.
    pub(crate) async fn update_venue(
        &self,
        actor: Actor,
        id: VenueId,
        change: VenueChange,
        if_version: Option<&str>,
    ) -> Result<Venue, Failure> {
        let mut transaction = self.begin().await?;
        let there = store::venues::lock(&mut transaction, id).await?;
        let there = there.filter(|there| actor.may_change(there.owner_id));
        let Some(there) = there.map(|there| there.value) else {
            return Err(Failure::new(
                ErrorCode::VenueNotFound,
                "there is no such venue",
            ));
        };
        let venue = changed(&there, change);
        if venue == there {
            return Ok(venue);
        }
        require_version(if_version, &there.version())?;
        let fixed = fixed_parts(&there, &venue);
        if !fixed.is_empty() {
            let with_sales = store::venues::with_sales(&mut transaction, &[id.as_uuid()]).await?;
            if !with_sales.is_empty() {
                return Err(has_sales(&fixed));
            }
        }
        store::venues::update(&mut transaction, &venue).await?;
        publish::venue_changed(&mut transaction, id).await?;
        self.commit(transaction).await?;
        tracing::info!(venue.id = %id, "venue changed");
        Ok(venue)
    }
}

/// `there` with the change.
fn changed(there: &Venue, change: VenueChange) -> Venue {
    let or = |text: Option<String>, there: &String| text.unwrap_or_else(|| there.clone());
    Venue {
        venue_id: there.venue_id,
        name: or(change.name, &there.name),
        address: or(change.address, &there.address),
        city: or(change.city, &there.city),
        country: or(change.country, &there.country),
        latitude: change.latitude.unwrap_or(there.latitude),
        longitude: change.longitude.unwrap_or(there.longitude),
        time_zone: or(change.time_zone, &there.time_zone),
        postal_code: or(change.postal_code, &there.postal_code),
        region: or(change.region, &there.region),
    }
}

/// What differs of that which people rely on.
fn fixed_parts(there: &Venue, venue: &Venue) -> Vec<&'static str> {
    let differs = [
        ("latitude", there.latitude != venue.latitude),
        ("longitude", there.longitude != venue.longitude),
        ("time_zone", there.time_zone != venue.time_zone),
    ];
    let named = differs.into_iter().filter(|(_, differs)| *differs);
    named.map(|(name, _)| name).collect()
}

fn has_sales(fixed: &[&str]) -> Failure {
    let what = fixed.join(", ");
    let message = format!(
        "{what} can't be changed any more: a show at the venue was put on sale, and whoever bought seats \
         relied on when and where it is; make another venue"
    );
    Failure::new(ErrorCode::InvalidState, message)
}
