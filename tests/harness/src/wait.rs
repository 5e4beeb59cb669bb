//! Waiting for a condition, with a limit.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks.
pub const POLL: Duration = Duration::from_millis(50);

/// Looks until `look` finds something.
///
/// # Errors
/// `limit` has passed (the text says what was waited for and what was seen last), or `look` failed
/// for good.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    until_at(POLL, what, limit, look).await
}

/// [`until`] at another pace: many waiters at once must not be the load that they wait for.
///
/// # Errors
/// As [`until`].
pub async fn until_at<T>(
    pace: Duration,
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match look().await? {
            Look::Found(found) => return Ok(found),
            Look::NotYet(seen) if Instant::now() >= end => {
                bail!("waited {} s for {what}; last seen: {seen}", limit.as_secs());
            }
            Look::NotYet(_) => tokio::time::sleep(pace).await,
        }
    }
}

/// What one look saw.
#[derive(Debug)]
pub enum Look<T> {
    /// That was it.
    Found(T),
    /// Something else, in words.
    NotYet(String),
}
