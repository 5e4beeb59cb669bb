//! Events of a batch, and who is on.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Written, external_ids, ids, texts};
use crate::{
    batch::{BilledEvent, External, Ids},
    store::Error,
};

/// Events that were added or changed, in their words or their bill.
pub(super) async fn upsert(
    connection: &mut PgConnection,
    of: Ids<'_>,
    events: &[External<BilledEvent>],
) -> Result<Vec<Written>, Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let event_ids = ids(events, |billed| billed.event.event_id.as_uuid());
    let mut written = sqlx::query_file_as!(
        Written,
        "src/store/import/upsert_events.sql",
        of.owner_id.as_uuid(),
        of.source,
        &event_ids,
        &external_ids(events),
        &texts(events, |billed| &billed.event.title),
        &texts(events, |billed| &billed.event.description),
        &texts(events, |billed| &billed.event.category),
        &texts(events, |billed| &billed.event.classification.segment),
        &texts(events, |billed| &billed.event.classification.genre),
        &texts(events, |billed| &billed.event.classification.sub_genre),
    )
    .fetch_all(&mut *connection)
    .await?;
    let changed = rebill(connection, &event_ids, events).await?;
    for id in changed {
        if !written.iter().any(|written| written.id == id) {
            written.push(Written { id, is_new: false });
        }
    }
    Ok(written)
}

/// Writes the bills that differ, and says whose they are.
async fn rebill(
    connection: &mut PgConnection,
    event_ids: &[Uuid],
    events: &[External<BilledEvent>],
) -> Result<Vec<Uuid>, Error> {
    let rows = sqlx::query!(
        r#"SELECT event_id, array_agg(performer_id ORDER BY place) AS "bill!"
           FROM catalog.event_performers WHERE event_id = ANY($1) GROUP BY event_id"#,
        event_ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let there: HashMap<Uuid, Vec<Uuid>> = rows
        .into_iter()
        .map(|row| (row.event_id, row.bill))
        .collect();
    let (mut changed, mut had_one) = (Vec::new(), Vec::new());
    let (mut of_event, mut places, mut performers) = (Vec::new(), Vec::new(), Vec::new());
    for (event_id, event) in event_ids.iter().zip(events) {
        let bill: Vec<Uuid> = event.value.bill.iter().map(|id| id.as_uuid()).collect();
        let before = there.get(event_id);
        if before.map_or(&[][..], Vec::as_slice) == bill {
            continue;
        }
        changed.push(*event_id);
        had_one.extend(before.map(|_| *event_id));
        for (place, performer_id) in (0_i32..).zip(bill) {
            of_event.push(*event_id);
            places.push(place);
            performers.push(performer_id);
        }
    }
    if !had_one.is_empty() {
        sqlx::query!(
            "DELETE FROM catalog.event_performers WHERE event_id = ANY($1)",
            &had_one,
        )
        .execute(&mut *connection)
        .await?;
    }
    if !of_event.is_empty() {
        sqlx::query!(
            "INSERT INTO catalog.event_performers (event_id, place, performer_id)
             SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[])",
            &of_event,
            &places,
            &performers,
        )
        .execute(connection)
        .await?;
    }
    Ok(changed)
}
