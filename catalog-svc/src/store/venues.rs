//! `catalog.venues`.

use holdfast_types::{UserId, VenueId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

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
    Ok(load(pool, &[id.as_uuid()]).await?.pop())
}

/// An owner's venues by id, descending, after `after`; at most `limit`.
pub(crate) async fn of_owner(
    pool: &PgPool,
    owner_id: UserId,
    after: Option<VenueId>,
    limit: u32,
) -> Result<Vec<Venue>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT venue_id FROM catalog.venues
         WHERE owner_id = $1 AND ($2::uuid IS NULL OR venue_id < $2)
         ORDER BY venue_id DESC LIMIT $3",
        owner_id.as_uuid(),
        after.map(VenueId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    let venues = load(pool, &ids).await?;
    Ok(venues.into_iter().map(|venue| venue.value).collect())
}

/// Venues in the order of `ids`; unknown ids are left out.
async fn load(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Owned<Venue>>, Error> {
    let rows = sqlx::query!(
        "SELECT v.venue_id, owner_id, name, address, city, country, latitude, longitude, time_zone,
                postal_code, region
         FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (venue_id, place)
         JOIN catalog.venues v ON v.venue_id = asked.venue_id ORDER BY asked.place",
        ids,
    )
    .fetch_all(pool)
    .await?;
    let venues = rows.into_iter().map(|row| Owned {
        owner_id: row.owner_id.into(),
        value: Venue {
            venue_id: row.venue_id.into(),
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
    });
    Ok(venues.collect())
}
