//! Up to when a provider was asked for what it told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::Error;

/// Up to when it was asked, if it is due to be asked again; puts off the next time to `every` from now,
/// so that one process asks. A provider that was never asked is from now on.
pub(crate) async fn take(
    pool: &PgPool,
    provider: &str,
    every: Duration,
) -> Result<Option<DateTime<Utc>>, Error> {
    let taken = sqlx::query_scalar!(
        "INSERT INTO payment.news (provider, seen_until, ask_at)
         VALUES ($1, now(), now() + make_interval(secs => $2))
         ON CONFLICT (provider) DO UPDATE SET ask_at = now() + make_interval(secs => $2)
             WHERE payment.news.ask_at <= now()
         RETURNING seen_until",
        provider,
        every.as_secs_f64()
    );
    Ok(taken.fetch_optional(pool).await?)
}

/// Everything up to `until` was heard.
pub(crate) async fn seen(pool: &PgPool, provider: &str, until: DateTime<Utc>) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE payment.news SET seen_until = greatest(seen_until, $2) WHERE provider = $1",
        provider,
        until
    )
    .execute(pool)
    .await?;
    Ok(())
}
