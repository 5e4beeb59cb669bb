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
