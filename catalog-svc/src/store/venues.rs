//! `catalog.venues`.

use std::collections::HashMap;

use holdfast_types::{ShowId, UserId, VenueId};
use sqlx::{PgConnection, PgExecutor, PgPool, PgTransaction};
use uuid::Uuid;

use super::{Error, Owned};
use crate::model::{Place, Venue};

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

/// A venue that nobody else changes until the transaction ends; waits for whoever does, and for whoever puts
/// a show there on sale.
pub(crate) async fn lock(
    transaction: &mut PgTransaction<'_>,
    id: VenueId,
) -> Result<Option<Owned<Venue>>, Error> {
    sqlx::query_scalar!(
        "SELECT venue_id FROM catalog.venues WHERE venue_id = $1 FOR NO KEY UPDATE",
        id.as_uuid(),
    )
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(load(&mut **transaction, &[id.as_uuid()]).await?.pop())
}

/// Where those of `ids` are that are there; nobody else changes these venues, or puts a show there on sale, until
/// the transaction ends.
pub(crate) async fn lock_places(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Place>, Error> {
    let rows = sqlx::query!(
        "SELECT venue_id, city, country, latitude, longitude, time_zone
         FROM catalog.venues WHERE venue_id = ANY($1) ORDER BY venue_id FOR NO KEY UPDATE",
        ids,
    )
    .fetch_all(connection)
    .await?;
    let places = rows.into_iter().map(|row| {
        let place = Place {
            city: row.city,
            country: row.country,
            latitude: row.latitude,
            longitude: row.longitude,
            time_zone: row.time_zone,
        };
        (row.venue_id, place)
    });
    Ok(places.collect())
}

/// The venue of a draft, which nobody changes until the transaction ends; waits for whoever does. None of a show
/// that is no draft any more.
pub(crate) async fn keep_of_draft(
    connection: &mut PgConnection,
    id: ShowId,
) -> Result<Option<VenueId>, Error> {
    let venue_id = sqlx::query_scalar!(
        "SELECT v.venue_id
         FROM catalog.shows s
         JOIN catalog.plans p ON p.plan_id = s.plan_id
         JOIN catalog.venues v ON v.venue_id = p.venue_id
         WHERE s.show_id = $1 AND s.state = 'DRAFT' FOR SHARE OF v",
        id.as_uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(venue_id.map(VenueId::from))
}

/// A venue, and a show there that was put on sale, or may have been.
#[derive(Debug)]
pub(crate) struct WithSales {
    pub(crate) venue_id: Uuid,
    pub(crate) show_id: ShowId,
    /// Putting it on sale has begun; whether booking-svc did it isn't known.
    pub(crate) is_opening: bool,
}

/// Which of `ids` a show was put on sale at, or may have been: whatever became of it, people know when and
/// where it is. Of several shows the one that surely was. Counts for long only while the venues are locked
/// ([`lock`]).
pub(crate) async fn with_sales(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<WithSales>, Error> {
    // A show that was called off without having been opened is CANCELLED, too.
    let rows = sqlx::query!(
        r#"SELECT v.venue_id, sold.show_id, sold.is_opening AS "is_opening!"
           FROM catalog.venues v
           CROSS JOIN LATERAL (
               SELECT s.show_id, s.state = 'DRAFT' AS is_opening
               FROM catalog.plans p JOIN catalog.shows s ON s.plan_id = p.plan_id
               WHERE p.venue_id = v.venue_id
                 AND (s.opening OR s.state NOT IN ('DRAFT', 'CANCELLED'))
               ORDER BY is_opening, s.show_id LIMIT 1
           ) AS sold
           WHERE v.venue_id = ANY($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    let with_sales = rows.into_iter().map(|row| WithSales {
        venue_id: row.venue_id,
        show_id: row.show_id.into(),
        is_opening: row.is_opening,
    });
    Ok(with_sales.collect())
}

/// Records what a venue says of itself.
pub(crate) async fn update(connection: &mut PgConnection, venue: &Venue) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.venues
         SET name = $2, address = $3, city = $4, country = $5, latitude = $6, longitude = $7,
             time_zone = $8, postal_code = $9, region = $10
         WHERE venue_id = $1",
        venue.venue_id.as_uuid(),
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
    Ok(())
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
async fn load(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<Owned<Venue>>, Error> {
    let rows = sqlx::query!(
        "SELECT v.venue_id, owner_id, name, address, city, country, latitude, longitude, time_zone,
                postal_code, region
         FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (venue_id, place)
         JOIN catalog.venues v ON v.venue_id = asked.venue_id ORDER BY asked.place",
        ids,
    )
    .fetch_all(executor)
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
