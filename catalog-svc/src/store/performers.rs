//! Who is on at events: `catalog.performers` and `catalog.event_performers`.

use std::collections::HashMap;

use holdfast_types::{EventId, PerformerId, UserId};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::{Error, Owned};
use crate::model::Performer;

/// The performers of events, in the order of each bill; events without any are left out.
pub(super) async fn of_events(
    executor: impl PgExecutor<'_>,
    event_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Performer>>, Error> {
    let mut performers: HashMap<Uuid, Vec<Performer>> = HashMap::new();
    if event_ids.is_empty() {
        return Ok(performers);
    }
    let rows = sqlx::query!(
        "SELECT bill.event_id, bill.performer_id, performer.name
         FROM catalog.event_performers bill
         JOIN catalog.performers performer USING (performer_id)
         WHERE bill.event_id = ANY($1)
         ORDER BY bill.event_id, bill.place",
        event_ids,
    )
    .fetch_all(executor)
    .await?;
    for row in rows {
        let performer = Performer {
            performer_id: row.performer_id.into(),
            name: row.name,
        };
        performers.entry(row.event_id).or_default().push(performer);
    }
    Ok(performers)
}

/// Adds a performer of no source; false if the id is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    owner_id: UserId,
    performer: &Performer,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO catalog.performers (performer_id, owner_id, name) VALUES ($1, $2, $3)
         ON CONFLICT (performer_id) DO NOTHING",
        performer.performer_id.as_uuid(),
        owner_id.as_uuid(),
        performer.name,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// A performer and who made it.
pub(crate) async fn find(
    pool: &PgPool,
    id: PerformerId,
) -> Result<Option<Owned<Performer>>, Error> {
    let mut connection = pool.acquire().await?;
    let mut found = named(&mut connection, &[id]).await?;
    Ok(found.remove(&id))
}

/// Performers by their ids; unknown ones are left out.
pub(crate) async fn named(
    connection: &mut PgConnection,
    ids: &[PerformerId],
) -> Result<HashMap<PerformerId, Owned<Performer>>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!(
        "SELECT performer_id, owner_id, name FROM catalog.performers WHERE performer_id = ANY($1)",
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let found = rows.into_iter().map(|row| {
        let performer_id = PerformerId::from(row.performer_id);
        let value = Performer {
            performer_id,
            name: row.name,
        };
        let owner_id = row.owner_id.into();
        (performer_id, Owned { owner_id, value })
    });
    Ok(found.collect())
}

/// An owner's performers by id, descending, after `after`; at most `limit`.
pub(crate) async fn of_owner(
    pool: &PgPool,
    owner_id: UserId,
    after: Option<PerformerId>,
    limit: u32,
) -> Result<Vec<Performer>, Error> {
    let rows = sqlx::query!(
        "SELECT performer_id, name FROM catalog.performers
         WHERE owner_id = $1 AND ($2::uuid IS NULL OR performer_id < $2)
         ORDER BY performer_id DESC LIMIT $3",
        owner_id.as_uuid(),
        after.map(PerformerId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    let performers = rows.into_iter().map(|row| Performer {
        performer_id: row.performer_id.into(),
        name: row.name,
    });
    Ok(performers.collect())
}

/// Makes them an event's bill, in that order.
pub(crate) async fn bill(
    connection: &mut PgConnection,
    event_id: EventId,
    performers: &[Performer],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = performers
        .iter()
        .map(|performer| performer.performer_id.as_uuid())
        .collect();
    sqlx::query!(
        "DELETE FROM catalog.event_performers WHERE event_id = $1",
        event_id.as_uuid(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO catalog.event_performers (event_id, place, performer_id)
         SELECT $1, place::int - 1, performer_id
         FROM unnest($2::uuid[]) WITH ORDINALITY AS bill (performer_id, place)",
        event_id.as_uuid(),
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}
