//! Who is on at events: `catalog.performers` and `catalog.event_performers`.

use std::collections::{BTreeSet, HashMap};

use holdfast_types::{EventId, PerformerId, UserId};
use sqlx::{PgConnection, PgExecutor, PgPool, PgTransaction};
use uuid::Uuid;

use super::{EVENTS_TOLD_AT_ONCE, Error, Owned};
use crate::model::Performer;

/// Performers whose events are looked for at once, to be told as changed.
const PERFORMERS_TOLD_AT_ONCE: i64 = 100;

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

/// A performer that nobody else changes until the transaction ends; waits for whoever does.
pub(crate) async fn lock(
    transaction: &mut PgTransaction<'_>,
    id: PerformerId,
) -> Result<Option<Owned<Performer>>, Error> {
    sqlx::query_scalar!(
        "SELECT performer_id FROM catalog.performers WHERE performer_id = $1 FOR NO KEY UPDATE",
        id.as_uuid(),
    )
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(named(transaction, &[id]).await?.remove(&id))
}

/// Records a performer's name; that events which name it are to be told is noted by the table.
pub(crate) async fn update(
    connection: &mut PgConnection,
    performer: &Performer,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.performers SET name = $2 WHERE performer_id = $1",
        performer.performer_id.as_uuid(),
        performer.name,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The next events that are to be told, each once; none when there are no more. Nobody else takes them until
/// the transaction ends, with which they count as told.
pub(crate) async fn take_told(
    connection: &mut PgConnection,
) -> Result<Option<Vec<EventId>>, Error> {
    let of = sqlx::query!(
        "SELECT performer_id, after_event_id FROM catalog.performer_news
         ORDER BY performer_id LIMIT $1 FOR UPDATE SKIP LOCKED",
        PERFORMERS_TOLD_AT_ONCE,
    )
    .fetch_all(&mut *connection)
    .await?;
    if of.is_empty() {
        return Ok(None);
    }
    let (mut told, after): (Vec<Uuid>, Vec<Uuid>) = of
        .into_iter()
        .map(|row| (row.performer_id, row.after_event_id))
        .unzip();
    let rows = sqlx::query!(
        r#"SELECT news.performer_id AS "performer_id!", bill.event_id
           FROM unnest($1::uuid[], $2::uuid[]) AS news (performer_id, after_event_id)
           CROSS JOIN LATERAL (
               SELECT event_id FROM catalog.event_performers
               WHERE performer_id = news.performer_id AND event_id > news.after_event_id
               ORDER BY event_id LIMIT $3
           ) AS bill
           ORDER BY news.performer_id, bill.event_id LIMIT $3"#,
        &told,
        &after,
        EVENTS_TOLD_AT_ONCE,
    )
    .fetch_all(&mut *connection)
    .await?;
    let more = rows.get(EVENTS_TOLD_AT_ONCE as usize - 1);
    if let Some(last) = more {
        // Of this one and those after it there may be more.
        told.retain(|id| *id < last.performer_id);
        sqlx::query!(
            "UPDATE catalog.performer_news SET after_event_id = $2 WHERE performer_id = $1",
            last.performer_id,
            last.event_id,
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!(
        "DELETE FROM catalog.performer_news WHERE performer_id = ANY($1)",
        &told,
    )
    .execute(connection)
    .await?;
    let events: BTreeSet<EventId> = rows.into_iter().map(|row| row.event_id.into()).collect();
    Ok(Some(events.into_iter().collect()))
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
