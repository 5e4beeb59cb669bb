//! What providers told us, each event once.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::Error;
use crate::provider::Webhook;

/// Records an event. False if it is recorded already.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    provider: &str,
    webhook: &Webhook,
    body: &[u8],
) -> Result<bool, Error> {
    let done = sqlx::query!(
        "INSERT INTO payment.webhook_events (provider, event_id, event_type, payment_id, body)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        provider,
        webhook.event_id,
        webhook.event_type,
        webhook.payment_id(),
        body
    );
    Ok(done.execute(connection).await?.rows_affected() == 1)
}

/// Whether an event is recorded.
pub(crate) async fn is_known(pool: &PgPool, provider: &str, event_id: &str) -> Result<bool, Error> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM payment.webhook_events
                          WHERE provider = $1 AND event_id = $2) AS "known!""#,
        provider,
        event_id
    );
    Ok(known.fetch_one(pool).await?)
}

/// Deletes up to `limit` events that came longer than `kept` ago; returns how many. By place, so that no
/// plan reads the whole table.
pub(crate) async fn forget(pool: &PgPool, kept: Duration, limit: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM payment.webhook_events WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM payment.webhook_events
             WHERE received_at < now() - make_interval(secs => $1)
             ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        kept.as_secs_f64(),
        limit
    );
    Ok(done.execute(pool).await?.rows_affected())
}
