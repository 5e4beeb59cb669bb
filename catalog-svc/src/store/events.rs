//! `catalog.events`.

use holdfast_types::{EventId, UserId};
use sqlx::{PgConnection, PgExecutor, PgPool, PgTransaction};

use super::{Error, Owned};
use crate::model::Event;

/// Adds an event; false if the id is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    owner_id: UserId,
    event: &Event,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO catalog.events (event_id, owner_id, title, description, category)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (event_id) DO NOTHING",
        event.event_id.as_uuid(),
        owner_id.as_uuid(),
        event.title,
        event.description,
        event.category,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Records what an event says about itself.
pub(crate) async fn update(connection: &mut PgConnection, event: &Event) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.events SET title = $2, description = $3, category = $4
         WHERE event_id = $1",
        event.event_id.as_uuid(),
        event.title,
        event.description,
        event.category,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An event that nobody else changes until the transaction ends; waits for whoever does.
pub(crate) async fn lock(
    transaction: &mut PgTransaction<'_>,
    id: EventId,
) -> Result<Option<Owned<Event>>, Error> {
    sqlx::query_scalar!(
        "SELECT event_id FROM catalog.events WHERE event_id = $1 FOR NO KEY UPDATE",
        id.as_uuid(),
    )
    .fetch_optional(&mut **transaction)
    .await?;
    find(&mut **transaction, id).await
}

/// An event and its owner.
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    id: EventId,
) -> Result<Option<Owned<Event>>, Error> {
    let row = sqlx::query!(
        "SELECT owner_id, title, description, category FROM catalog.events WHERE event_id = $1",
        id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| Owned {
        owner_id: row.owner_id.into(),
        value: Event {
            event_id: id,
            title: row.title,
            description: row.description,
            category: row.category,
        },
    }))
}

/// Events with a public show by id, descending, after `after`; at most `limit`.
pub(crate) async fn page(
    pool: &PgPool,
    after: Option<EventId>,
    limit: u32,
) -> Result<Vec<Event>, Error> {
    let rows = sqlx::query!(
        "SELECT event_id, title, description, category FROM catalog.events e
         WHERE ($1::uuid IS NULL OR event_id < $1)
           AND EXISTS (SELECT FROM catalog.shows s
                       WHERE s.event_id = e.event_id AND s.state <> 'DRAFT')
         ORDER BY event_id DESC
         LIMIT $2",
        after.map(EventId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    let events = rows.into_iter().map(|row| Event {
        event_id: row.event_id.into(),
        title: row.title,
        description: row.description,
        category: row.category,
    });
    Ok(events.collect())
}
