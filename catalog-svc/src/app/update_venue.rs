//! Changes what a venue says about itself.
//!
//! Always holds: once a show there was put on sale, whosever it is, the venue stays where it is (`model::Place`:
//! city, country, position, time zone), and that is refused by name: people read when it begins with that offset,
//! and found it there. Its address, postal code, region and name may be made more precise. Whoever puts a show
//! on sale at the same time waits for the change, or the change for them (`publish_show`). The change and the
//! news of it are one transaction; a request that changes nothing tells nothing, whatever version it names.

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, VenueId};

use super::{Catalog, publish, require_version};
use crate::{
    access::Actor,
    model::{Venue, VenueChange},
    store::{self, venues::WithSales},
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
            if let Some(with_sales) = with_sales.first() {
                return Err(has_sales(&fixed, with_sales));
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
    let (there, place) = (there.place(), venue.place());
    let differs = [
        ("city", there.city != place.city),
        ("country", there.country != place.country),
        ("latitude", there.latitude != place.latitude),
        ("longitude", there.longitude != place.longitude),
        ("time_zone", there.time_zone != place.time_zone),
    ];
    let named = differs.into_iter().filter(|(_, differs)| *differs);
    named.map(|(name, _)| name).collect()
}

fn has_sales(fixed: &[&str], with_sales: &WithSales) -> Failure {
    let what = fixed.join(", ");
    let show_id = with_sales.show_id;
    let why = match with_sales.is_opening {
        true => {
            format!("putting show {show_id} on sale has begun, and somebody may have seats of it")
        }
        false => format!(
            "show {show_id} at the venue was put on sale, and whoever bought seats relied on when and where it is"
        ),
    };
    let message = format!("{what} can't be changed any more: {why}; make another venue");
    Failure::new(ErrorCode::InvalidState, message)
}
