//! Up to when a provider was asked for what it told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::Error;

/// Up to when it was asked, and what time it is by the database's clock, which is one for all processes;
/// if it is due to be asked again. Puts off the next time to `every` from now,
/// so that one process asks. A provider that was never asked is from now on.
pub(crate) async fn take(
    pool: &PgPool,
    provider: &str,
    every: Duration,
) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>, Error> {
    let taken = sqlx::query!(
        r#"INSERT INTO payment.news (provider, seen_until, ask_at)
         VALUES ($1, now(), now() + make_interval(secs => $2))
         ON CONFLICT (provider) DO UPDATE SET ask_at = now() + make_interval(secs => $2)
             WHERE payment.news.ask_at <= now()
         RETURNING least(seen_until, now()) AS "seen_until!", now() AS "now!""#,
        provider,
        every.as_secs_f64()
    );
    let taken = taken.fetch_optional(pool).await?;
    Ok(taken.map(|taken| (taken.seen_until, taken.now)))
}

/// Seconds since up to when everything was heard; 0 of a provider that was never asked.
pub(crate) async fn age_s(pool: &PgPool, provider: &str) -> Result<f64, Error> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT coalesce(greatest(0, extract(epoch FROM now() - max(seen_until))), 0)::float8
                      AS "seconds!"
           FROM payment.news WHERE provider = $1"#,
        provider
    );
    Ok(seconds.fetch_one(pool).await?)
}

/// Everything up to `until` was heard; never what is still to come.
pub(crate) async fn seen(pool: &PgPool, provider: &str, until: DateTime<Utc>) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE payment.news SET seen_until = least(greatest(seen_until, $2), now())
         WHERE provider = $1",
        provider,
        until
    )
    .execute(pool)
    .await?;
    Ok(())
}
