//! How far a consumer is behind, for operators.

use std::time::Duration;

use sqlx::PgPool;

use crate::Error;

/// Age of the oldest event of `topics` that `consumer` has not handled, parked ones too, by the
/// database's clock; zero with none. A consumer that never ran has handled none. What is still in
/// outboxes isn't seen.
///
/// # Errors
/// [`Error::Database`].
pub async fn lag(pool: &PgPool, consumer: &str, topics: &[&str]) -> Result<Duration, Error> {
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let age_s = sqlx::query_file_scalar!("src/lag.sql", consumer, &topics)
        .fetch_one(pool)
        .await?;
    Ok(Duration::try_from_secs_f64(age_s.unwrap_or_default()).unwrap_or_default())
}

/// How many events of `topics` after `seq` the cursor of `consumer` has not passed, counted up to
/// `max`: an index is read that far. What is set aside or still in outboxes isn't counted.
///
/// # Errors
/// [`Error::Database`].
pub async fn behind(
    pool: &PgPool,
    consumer: &str,
    topics: &[&str],
    seq: i64,
    max: u64,
) -> Result<u64, Error> {
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let waiting = sqlx::query_file_scalar!("src/behind.sql", consumer, &topics, seq, max)
        .fetch_one(pool)
        .await?;
    Ok(waiting.unsigned_abs())
}

/// The newest place in the stream; 0 in an empty one. What the events up to it tell of was
/// committed before they were in the stream: whoever reads a producer's tables from now on sees
/// all of it.
///
/// # Errors
/// [`Error::Database`].
pub async fn newest(pool: &PgPool) -> Result<i64, Error> {
    let newest =
        sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "newest!" FROM eventlog.events"#)
            .fetch_one(pool)
            .await?;
    Ok(newest)
}
