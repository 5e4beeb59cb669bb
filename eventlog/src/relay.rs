//! Moves committed outbox rows into the stream.
//!
//! Any number of relays may run for one schema: each move takes the append lock for the length of
//! one statement, so they take turns, and none has to be elected or replaced.

use std::time::Duration;

use sqlx::PgPool;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Error, metric, prune, wake};

/// Rows in one move: large enough that a move a millisecond carries any load we plan for, small
/// enough that a consumer sees the first of them soon.
const BATCH_ROWS: i32 = 1_000;

/// How long after a commit an idle relay finds it when nobody woke it.
const POLL: Duration = Duration::from_millis(100);

/// Poll while events keep coming: a batch's worth of group commit, without a notification each.
const POLL_BUSY: Duration = Duration::from_millis(5);

/// How long after the last row a relay counts as busy.
const BUSY_FOR: Duration = Duration::from_millis(500);

/// How long one move may take before the connection is given up.
const MOVE_TIMEOUT: Duration = Duration::from_secs(15);

/// Pause after the database failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Keeps moving the committed rows of `<schema>.outbox` into the stream until `shutdown`. Woken by
/// [`Outbox::wake`](crate::Outbox::wake) and by polling; failures are logged and tried again. Now
/// and then deletes what the stream no longer needs ([`prune_once`](crate::prune_once)).
pub async fn relay(pool: PgPool, schema: &'static str, shutdown: CancellationToken) {
    relay_every(&pool, schema, POLL, &shutdown).await;
}

async fn relay_every(
    pool: &PgPool,
    schema: &'static str,
    poll: Duration,
    shutdown: &CancellationToken,
) {
    let woken = Notify::new();
    tokio::select! {
        never = wake::listen(pool, "eventlog_outbox", |payload| payload == schema, &woken) => match never {},
        () = prune::prune_until_dropped(pool) => {}
        () = move_until_shutdown(pool, schema, poll, &woken, shutdown) => {}
    }
}

async fn move_until_shutdown(
    pool: &PgPool,
    schema: &'static str,
    poll: Duration,
    woken: &Notify,
    shutdown: &CancellationToken,
) {
    let mut busy_until = Instant::now();
    while !shutdown.is_cancelled() {
        let moved = match tokio::time::timeout(MOVE_TIMEOUT, move_once(pool, schema)).await {
            Ok(moved) => moved,
            Err(_) => Err(Error::Timeout(MOVE_TIMEOUT)),
        };
        let pause = match moved {
            Ok(moved) if moved == BATCH_ROWS as u32 => continue,
            Ok(moved) => {
                if moved > 0 {
                    busy_until = Instant::now() + BUSY_FOR;
                }
                if Instant::now() < busy_until {
                    poll.min(POLL_BUSY)
                } else {
                    poll
                }
            }
            Err(error) => {
                tracing::warn!(producer = schema, %error, "could not move the outbox; trying again");
                FAILURE_PAUSE
            }
        };
        tokio::select! {
            () = woken.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Moves at most 1,000 committed rows of `<schema>.outbox` into the stream, oldest first, in one
/// transaction of its own; returns how many. [`relay`] is this in a loop.
///
/// # Errors
/// [`Error::Database`]: nothing was moved, or the answer was lost and everything was.
pub async fn move_once(pool: &PgPool, schema: &str) -> Result<u32, Error> {
    let moved = sqlx::query_scalar!(
        r#"SELECT eventlog.move_outbox($1, $2) AS "moved!""#,
        schema,
        BATCH_ROWS
    )
    .fetch_one(pool)
    .await?;
    let moved = u32::try_from(moved).expect("a count of rows");
    metrics::counter!(metric::MOVED, "producer" => schema.to_owned()).increment(u64::from(moved));
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::{NewEvent, Outbox};

    const LIMIT: Duration = Duration::from_secs(20);

    #[sqlx::test]
    async fn a_relay_that_hardly_polls_is_woken(pool: PgPool) {
        let outbox = include_str!("../sql/outbox.sql").replace("{schema}", "shop");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA shop; {outbox}")))
            .execute(&pool)
            .await
            .expect("an outbox");
        let shutdown = CancellationToken::new();
        let relay = tokio::spawn({
            let (pool, shutdown) = (pool.clone(), shutdown.clone());
            async move { relay_every(&pool, "shop", Duration::from_secs(600), &shutdown).await }
        });
        let outbox = Outbox::new("shop");
        let event = NewEvent {
            topic: "t",
            key: "k".into(),
            event_type: "E",
            payload: vec![],
        };
        let mut connection = pool.acquire().await.expect("a connection");
        let begun = Instant::now();
        loop {
            // The first rounds may be found by the relay's own start; the last can't.
            let round: i64 = sqlx::query_scalar("SELECT count(*) FROM eventlog.events")
                .fetch_one(&pool)
                .await
                .expect("a count");
            if round == 3 {
                break;
            }
            outbox
                .append(&mut connection, event.clone())
                .await
                .expect("appended");
            while begun.elapsed() < LIMIT {
                outbox.wake(&pool).await.expect("woken");
                let left: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.outbox")
                    .fetch_one(&pool)
                    .await
                    .expect("a count");
                if left == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(begun.elapsed() < LIMIT, "the relay slept through it");
        }
        shutdown.cancel();
        tokio::time::timeout(LIMIT, relay)
            .await
            .expect("ends")
            .expect("no panic");
    }
}
