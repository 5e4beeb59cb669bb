//! `catalog.events`.

use holdfast_types::{EventId, UserId};
use sqlx::{PgConnection, PgPool, PgTransaction};
use uuid::Uuid;

use super::{Error, Owned, performers};
use crate::model::{Classification, Event};

/// Adds an event, without a bill; false if the id is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    owner_id: UserId,
    event: &Event,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO catalog.events
             (event_id, owner_id, title, description, category, segment, genre, sub_genre,
              image_url)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (event_id) DO NOTHING",
        event.event_id.as_uuid(),
        owner_id.as_uuid(),
        event.title,
        event.description,
        event.category,
        event.classification.segment,
        event.classification.genre,
        event.classification.sub_genre,
        event.image_url,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Records what an event says about itself; who is on is [`performers::bill`]'s.
pub(crate) async fn update(connection: &mut PgConnection, event: &Event) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.events
         SET title = $2, description = $3, category = $4, segment = $5, genre = $6, sub_genre = $7,
             image_url = $8
         WHERE event_id = $1",
        event.event_id.as_uuid(),
        event.title,
        event.description,
        event.category,
        event.classification.segment,
        event.classification.genre,
        event.classification.sub_genre,
        event.image_url,
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
    find_on(transaction, id).await
}

/// An event and its owner.
pub(crate) async fn find(pool: &PgPool, id: EventId) -> Result<Option<Owned<Event>>, Error> {
    find_on(&mut *pool.acquire().await?, id).await
}

async fn find_on(
    connection: &mut PgConnection,
    id: EventId,
) -> Result<Option<Owned<Event>>, Error> {
    Ok(load(connection, &[id.as_uuid()]).await?.pop())
}

/// Events with a public show by id, descending, after `after`; at most `limit`.
pub(crate) async fn page(
    pool: &PgPool,
    after: Option<EventId>,
    limit: u32,
) -> Result<Vec<Event>, Error> {
    let mut connection = pool.acquire().await?;
    let ids = sqlx::query_scalar!(
        "SELECT event_id FROM catalog.events e
         WHERE ($1::uuid IS NULL OR event_id < $1)
           AND EXISTS (SELECT FROM catalog.shows s
                       WHERE s.event_id = e.event_id AND s.is_public)
         ORDER BY event_id DESC
         LIMIT $2",
        after.map(EventId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(&mut *connection)
    .await?;
    let events = load(&mut connection, &ids).await?;
    Ok(events.into_iter().map(|event| event.value).collect())
}

/// An owner's events by id, descending, after `after`; at most `limit`.
pub(crate) async fn of_owner(
    pool: &PgPool,
    owner_id: UserId,
    after: Option<EventId>,
    limit: u32,
) -> Result<Vec<Event>, Error> {
    let mut connection = pool.acquire().await?;
    let ids = sqlx::query_scalar!(
        "SELECT event_id FROM catalog.events
         WHERE owner_id = $1 AND ($2::uuid IS NULL OR event_id < $2)
         ORDER BY event_id DESC LIMIT $3",
        owner_id.as_uuid(),
        after.map(EventId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(&mut *connection)
    .await?;
    let events = load(&mut connection, &ids).await?;
    Ok(events.into_iter().map(|event| event.value).collect())
}

/// Events in the order of `ids`; unknown ids are left out.
async fn load(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Owned<Event>>, Error> {
    let rows = sqlx::query!(
        r#"SELECT e.event_id, owner_id, title, description, category, segment, genre, sub_genre,
                  image_url, coalesce(c.path, ARRAY[category]) AS "category_path!"
           FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (event_id, place)
           JOIN catalog.events e ON e.event_id = asked.event_id
           LEFT JOIN catalog.categories c ON c.slug = e.category
           ORDER BY asked.place"#,
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut performers = performers::of_events(connection, ids).await?;
    let events = rows.into_iter().map(|row| Owned {
        owner_id: row.owner_id.into(),
        value: Event {
            event_id: row.event_id.into(),
            title: row.title,
            description: row.description,
            category: row.category,
            category_path: row.category_path,
            classification: Classification {
                segment: row.segment,
                genre: row.genre,
                sub_genre: row.sub_genre,
            },
            performers: performers.remove(&row.event_id).unwrap_or_default(),
            image_url: row.image_url,
        },
    });
    Ok(events.collect())
}
