//! Who is on at events: `catalog.performers` and `catalog.event_performers`.

use std::collections::HashMap;

use sqlx::PgExecutor;
use uuid::Uuid;

use super::Error;
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
