//! Moves committed outbox rows into the stream.
//!
//! Any number of relays may run for one schema: each move takes the append lock for the length of
//! one statement, so they take turns, and none has to be elected or replaced. No move waits for the disk:
//! what a crash takes back is in the outbox again, because its row went in the same transaction; and
//! whatever was written because somebody had read the event comes later in the log.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Error, Outbox, metric, outbox::is_plain_name, prune};

/// Rows in one move: large enough that a move a millisecond carries any load we plan for, small
/// enough that a consumer sees the first of them soon.
const BATCH_ROWS: i64 = 1_000;

/// How long after a commit an idle relay finds it when nobody woke it.
const POLL: Duration = Duration::from_millis(100);

/// Time between the beginnings of two moves: what is written meanwhile goes together, and nobody is told of
/// each row by itself. Three times as long as the last took, so that a busy database spends little on moving.
const GATHER_MIN: Duration = Duration::from_millis(2);
const GATHER_MAX: Duration = Duration::from_millis(20);

/// Poll for a while after a row that nobody woke it for: another process's writers don't.
const POLL_BUSY: Duration = Duration::from_millis(10);

/// How long after the last such row a relay counts as busy.
const BUSY_FOR: Duration = Duration::from_millis(500);

/// How long one move may take before the connection is given up.
const MOVE_TIMEOUT: Duration = Duration::from_secs(15);

/// Pause after the database failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Keeps moving the committed rows of `outbox` into the stream until `shutdown`. Woken by
/// [`Outbox::wake`] and by polling; failures are logged and tried again. Now and then deletes what the
/// stream no longer needs ([`prune_once`](crate::prune_once)).
pub async fn relay(pool: PgPool, outbox: &'static Outbox, shutdown: CancellationToken) {
    relay_every(&pool, outbox, POLL, &shutdown).await;
}

async fn relay_every(pool: &PgPool, outbox: &Outbox, poll: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        () = prune::prune_until_dropped(pool) => {}
        () = move_until_shutdown(pool, outbox, poll, shutdown) => {}
    }
}

async fn move_until_shutdown(
    pool: &PgPool,
    outbox: &Outbox,
    poll: Duration,
    shutdown: &CancellationToken,
) {
    let (mut busy_until, mut was_woken) = (Instant::now(), false);
    let statement = statement(outbox.schema);
    while !shutdown.is_cancelled() {
        let began = Instant::now();
        let moving = moved_by(pool, outbox.schema, &statement);
        let moved = match tokio::time::timeout(MOVE_TIMEOUT, moving).await {
            Ok(moved) => moved,
            Err(_) => Err(Error::Timeout(MOVE_TIMEOUT)),
        };
        let (pause, next) = match moved {
            Ok(moved) if i64::from(moved) >= BATCH_ROWS => continue,
            Ok(moved) => {
                if moved > 0 && !was_woken {
                    busy_until = Instant::now() + BUSY_FOR;
                }
                let busy = Instant::now() < busy_until;
                let gather = (began.elapsed() * 3).clamp(GATHER_MIN, GATHER_MAX);
                (
                    if busy { poll.min(POLL_BUSY) } else { poll },
                    began + gather,
                )
            }
            Err(error) => {
                tracing::warn!(producer = outbox.schema, %error, "could not move the outbox; trying again");
                // If it was for want of room, there is some now; if not, this fails like the move.
                let _ = prune::add_partitions(pool).await;
                (FAILURE_PAUSE, Instant::now() + FAILURE_PAUSE)
            }
        };
        was_woken = tokio::select! {
            () = outbox.woken.notified() => true,
            () = tokio::time::sleep(pause) => false,
            () = shutdown.cancelled() => return,
        };
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Moves at most 1,000 committed rows of `<schema>.outbox` into the stream, oldest first, in one
/// transaction of its own; returns how many. [`relay`] is this in a loop.
///
/// # Errors
/// [`Error::Database`]: nothing was moved, or the answer was lost and everything was.
///
/// # Panics
/// If `schema` isn't made of lower-case letters, digits and `_`: it becomes part of SQL text.
pub async fn move_once(pool: &PgPool, schema: &str) -> Result<u32, Error> {
    assert!(is_plain_name(schema.as_bytes()), "a schema's name");
    moved_by(pool, schema, &statement(schema)).await
}

/// The move of a schema's outbox: plain SQL, whose plan a connection keeps. As `eventlog.move_outbox`, by
/// which the release before moves, but for one thing: what is seen is what was committed before the lock was
/// waited for. A row that another mover takes meanwhile is passed over, and what comes later is for the next
/// move; places are given under the lock in either.
fn statement(schema: &str) -> String {
    include_str!("move.sql").replace("{schema}", schema)
}

async fn moved_by(pool: &PgPool, schema: &str, statement: &str) -> Result<u32, Error> {
    let moved: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(BATCH_ROWS)
        .bind(schema)
        .fetch_one(pool)
        .await?;
    metrics::counter!(metric::MOVED, "producer" => schema.to_owned())
        .increment(moved.unsigned_abs());
    Ok(u32::try_from(moved).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewEvent;

    const LIMIT: Duration = Duration::from_secs(20);

    #[sqlx::test]
    async fn a_relay_that_hardly_polls_is_woken(pool: PgPool) {
        static OUTBOX: Outbox = Outbox::new("shop");
        let sql = include_str!("../sql/outbox.sql").replace("{schema}", "shop");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA shop; {sql}")))
            .execute(&pool)
            .await
            .expect("an outbox");
        let shutdown = CancellationToken::new();
        let relay = tokio::spawn({
            let (pool, shutdown) = (pool.clone(), shutdown.clone());
            async move { relay_every(&pool, &OUTBOX, Duration::from_secs(600), &shutdown).await }
        });
        let mut connection = pool.acquire().await.expect("a connection");
        // The first may be found by the relay's own start; the last can't.
        for nth in 1..=3 {
            let event = NewEvent {
                topic: "t",
                key: "k".into(),
                event_type: "E",
                payload: vec![],
            };
            OUTBOX
                .append(&mut connection, event)
                .await
                .expect("appended");
            OUTBOX.wake();
            let begun = Instant::now();
            loop {
                let moved: i64 = sqlx::query_scalar("SELECT count(*) FROM eventlog.events")
                    .fetch_one(&pool)
                    .await
                    .expect("a count");
                if moved == nth {
                    break;
                }
                assert!(begun.elapsed() < LIMIT, "the relay slept through it");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        shutdown.cancel();
        tokio::time::timeout(LIMIT, relay)
            .await
            .expect("ends")
            .expect("no panic");
    }
}
