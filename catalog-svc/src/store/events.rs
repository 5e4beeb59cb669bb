//! `catalog.events`.

use holdfast_types::{EventId, UserId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Error, Owned, performers};
use crate::model::{Classification, Event};

/// Adds an event; false if the id is taken.
pub(crate) async fn insert(pool: &PgPool, owner_id: UserId, event: &Event) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO catalog.events
             (event_id, owner_id, title, description, category, segment, genre, sub_genre)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (event_id) DO NOTHING",
        event.event_id.as_uuid(),
        owner_id.as_uuid(),
        event.title,
        event.description,
        event.category,
        event.classification.segment,
        event.classification.genre,
        event.classification.sub_genre,
    )
    .execute(pool)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// An event and its owner.
pub(crate) async fn find(pool: &PgPool, id: EventId) -> Result<Option<Owned<Event>>, Error> {
    let row = sqlx::query!(
        "SELECT owner_id, title, description, category, segment, genre, sub_genre
         FROM catalog.events WHERE event_id = $1",
        id.as_uuid(),
    )
    .fetch_optional(pool)
    .await?;
    let mut performers = performers::of_events(pool, &[id.as_uuid()]).await?;
    Ok(row.map(|row| Owned {
        owner_id: row.owner_id.into(),
        value: Event {
            event_id: id,
            title: row.title,
            description: row.description,
            category: row.category,
            classification: Classification {
                segment: row.segment,
                genre: row.genre,
                sub_genre: row.sub_genre,
            },
            performers: performers.remove(&id.as_uuid()).unwrap_or_default(),
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
        "SELECT event_id, title, description, category, segment, genre, sub_genre
         FROM catalog.events e
         WHERE ($1::uuid IS NULL OR event_id < $1)
           AND EXISTS (SELECT FROM catalog.shows s
                       WHERE s.event_id = e.event_id AND s.is_public)
         ORDER BY event_id DESC
         LIMIT $2",
        after.map(EventId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.event_id).collect();
    let mut performers = performers::of_events(pool, &ids).await?;
    let events = rows.into_iter().map(|row| Event {
        event_id: row.event_id.into(),
        title: row.title,
        description: row.description,
        category: row.category,
        classification: Classification {
            segment: row.segment,
            genre: row.genre,
            sub_genre: row.sub_genre,
        },
        performers: performers.remove(&row.event_id).unwrap_or_default(),
    });
    Ok(events.collect())
}
