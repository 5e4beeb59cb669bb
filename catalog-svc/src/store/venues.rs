//! `catalog.venues`.

use holdfast_types::{UserId, VenueId};
use sqlx::{PgConnection, PgPool};

use super::{Error, Owned};
use crate::model::Venue;

/// Adds a venue; false if the id is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    owner_id: UserId,
    venue: &Venue,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO catalog.venues
             (venue_id, owner_id, name, address, city, country, latitude, longitude, time_zone,
              postal_code, region)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (venue_id) DO NOTHING",
        venue.venue_id.as_uuid(),
        owner_id.as_uuid(),
        venue.name,
        venue.address,
        venue.city,
        venue.country,
        venue.latitude,
        venue.longitude,
        venue.time_zone,
        venue.postal_code,
        venue.region,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// A venue and its owner.
pub(crate) async fn find(pool: &PgPool, id: VenueId) -> Result<Option<Owned<Venue>>, Error> {
    let row = sqlx::query!(
        "SELECT owner_id, name, address, city, country, latitude, longitude, time_zone,
                postal_code, region
         FROM catalog.venues WHERE venue_id = $1",
        id.as_uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Owned {
        owner_id: row.owner_id.into(),
        value: Venue {
            venue_id: id,
            name: row.name,
            address: row.address,
            city: row.city,
            country: row.country,
            latitude: row.latitude,
            longitude: row.longitude,
            time_zone: row.time_zone,
            postal_code: row.postal_code,
            region: row.region,
        },
    }))
}
