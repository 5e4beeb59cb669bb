//! One connection that holds a consumer's lock, and everything the consumer reads and writes
//! through it.
//!
//! Always holds: nothing of the consumer is written by another connection, so a process whose
//! lock was lost can't move the cursor. Writes don't wait for the disk: what a crash of Postgres
//! takes back is delivered again.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool};

use super::ConsumerConfig;
use crate::{Error, Event};

/// How long one exchange with the database may take before the session is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// An event read from the stream.
pub(super) struct Fetched {
    pub(super) event: Event,
    /// Its key is in trouble, so it has to wait.
    pub(super) blocked: bool,
}

/// How often a key failed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) tries: u32,
    pub(super) failures: u32,
}

/// A key whose next try is due now or later.
pub(super) struct RetryingKey {
    pub(super) key: String,
    pub(super) trouble: Trouble,
    /// Zero when it is due.
    pub(super) due_in: Duration,
}

/// A key's failure, to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub(super) key: String,
    pub(super) trouble: Trouble,
    pub(super) error: String,
    /// The wait until the next try; none parks the key.
    pub(super) retry_in: Option<Duration>,
}

/// What is recorded at once, in one transaction.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Checkpoint {
    /// Everything up to here is handled or set aside.
    pub(super) cursor: i64,
    /// Events that now wait behind their key.
    pub(super) set_aside: Vec<(i64, String)>,
    pub(super) failures: Vec<Failure>,
    /// Set-aside events that are handled now.
    pub(super) handled_late: Vec<i64>,
    /// Keys whose set-aside events, as far as they were loaded, are all handled.
    pub(super) recovered: Vec<String>,
}

impl Checkpoint {
    /// Whether there is more to record than the cursor.
    fn has_trouble(&self) -> bool {
        let Self {
            cursor: _,
            set_aside,
            failures,
            handled_late,
            recovered,
        } = self;
        !(set_aside.is_empty()
            && failures.is_empty()
            && handled_late.is_empty()
            && recovered.is_empty())
    }
}

pub(super) struct Session {
    connection: PgConnection,
    consumer: String,
    topics: Vec<String>,
    cursor: i64,
}

async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Timeout(ANSWER_TIMEOUT)),
    }
}

impl Session {
    /// A connection outside the pool: it is kept for as long as this process works.
    pub(super) async fn connect(pool: &PgPool, config: &ConsumerConfig) -> Result<Self, Error> {
        let options = pool.connect_options();
        let connection = in_time(async {
            let mut connection = PgConnection::connect_with(&options).await?;
            // A host that vanished gives its lock up within 20 s, not after the kernel's two hours.
            sqlx::raw_sql(
                "SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan; SET tcp_keepalives_idle = 5;
                 SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;",
            )
            .execute(&mut connection)
            .await?;
            Ok(connection)
        })
        .await?;
        Ok(Self {
            connection,
            consumer: config.name.clone(),
            topics: config.topics.clone(),
            cursor: 0,
        })
    }

    /// Takes the consumer's lock and reads its cursor; false if another process has it.
    pub(super) async fn try_lead(&mut self) -> Result<bool, Error> {
        let Self {
            connection,
            consumer,
            ..
        } = self;
        let consumer = consumer.as_str();
        let cursor = in_time(async {
            let taken = sqlx::query_scalar!(
                r#"SELECT pg_try_advisory_lock(hashtextextended('eventlog.consumer.' || $1, 0)) AS "taken!""#,
                consumer
            )
            .fetch_one(&mut *connection)
            .await?;
            if !taken {
                return Ok(None);
            }
            sqlx::query!(
                "INSERT INTO eventlog.consumers (name) VALUES ($1) ON CONFLICT DO NOTHING",
                consumer
            )
            .execute(&mut *connection)
            .await?;
            sqlx::query_scalar!("SELECT seq FROM eventlog.consumers WHERE name = $1", consumer)
                .fetch_one(connection)
                .await
                .map(Some)
        })
        .await?;
        self.cursor = cursor.unwrap_or_default();
        Ok(cursor.is_some())
    }

    /// Where the cursor stood when the lock was taken.
    pub(super) fn cursor(&self) -> i64 {
        self.cursor
    }

    /// The next events of the topics after `seq`, in order, at most `limit`; and the newest event of any
    /// topic, as of the same moment: none of the topics' is between them.
    pub(super) async fn fetch(
        &mut self,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<Fetched>, i64), Error> {
        let rows = sqlx::query_file!(
            "src/consumer/fetch.sql",
            &self.topics,
            after,
            limit,
            self.consumer
        );
        let rows = in_time(rows.fetch_all(&mut self.connection)).await?;
        let newest = rows.first().map_or(after, |row| row.newest);
        let fetched = rows.into_iter().filter_map(|row| {
            Some(Fetched {
                blocked: row.blocked,
                event: Event {
                    seq: row.seq?,
                    id: row.id?,
                    producer: row.producer?,
                    topic: row.topic?,
                    key: row.key?,
                    event_type: row.event_type?,
                    payload: row.payload?,
                    occurred_at: row.occurred_at?,
                    traceparent: row.traceparent,
                },
            })
        });
        Ok((fetched.collect(), newest))
    }

    /// Retrying keys in the order of their next try, at most `limit`, without those in `loaded`.
    pub(super) async fn retrying(
        &mut self,
        loaded: &[String],
        limit: i64,
    ) -> Result<Vec<RetryingKey>, Error> {
        let rows = sqlx::query!(
            r#"SELECT key, tries, failures,
                      greatest(0, extract(epoch FROM next_try_at - now()))::float8 AS "due_in_s!"
               FROM eventlog.troubled_keys
               WHERE consumer = $1 AND state = 'RETRYING' AND key <> ALL ($2)
               ORDER BY next_try_at LIMIT $3"#,
            self.consumer,
            loaded,
            limit
        );
        let rows = in_time(rows.fetch_all(&mut self.connection)).await?;
        let keys = rows.into_iter().map(|row| RetryingKey {
            key: row.key,
            trouble: Trouble {
                tries: u32::try_from(row.tries).unwrap_or_default(),
                failures: u32::try_from(row.failures).unwrap_or_default(),
            },
            due_in: Duration::from_secs_f64(row.due_in_s),
        });
        Ok(keys.collect())
    }

    /// Keys of the consumer that wait for an operator.
    pub(super) async fn parked(&mut self) -> Result<i64, Error> {
        let parked = sqlx::query_scalar!(
            r#"SELECT count(*) AS "parked!" FROM eventlog.troubled_keys
               WHERE consumer = $1 AND state = 'PARKED'"#,
            self.consumer
        );
        in_time(parked.fetch_one(&mut self.connection)).await
    }

    /// The events of `key` that are set aside, in order, at most `limit`.
    pub(super) async fn waiting(&mut self, key: &str, limit: i64) -> Result<Vec<Event>, Error> {
        let rows = sqlx::query_as!(
            Event,
            "SELECT e.seq, e.id, e.producer, e.topic, e.key, e.event_type, e.payload, e.occurred_at,
                    e.traceparent
             FROM eventlog.set_aside s JOIN eventlog.events e ON e.seq = s.seq
             WHERE s.consumer = $1 AND s.key = $2
             ORDER BY s.seq LIMIT $3",
            self.consumer,
            key,
            limit
        );
        in_time(rows.fetch_all(&mut self.connection)).await
    }

    /// Records `checkpoint`, all of it or nothing.
    pub(super) async fn record(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let Self {
            connection,
            consumer,
            ..
        } = self;
        let consumer = consumer.as_str();
        in_time(async {
            if !checkpoint.has_trouble() {
                return move_cursor(connection, consumer, checkpoint.cursor).await;
            }
            let mut transaction = connection.begin().await?;
            record_trouble(&mut transaction, consumer, checkpoint).await?;
            move_cursor(&mut transaction, consumer, checkpoint.cursor).await?;
            transaction.commit().await
        })
        .await
    }
}

async fn move_cursor(
    connection: &mut PgConnection,
    consumer: &str,
    cursor: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE eventlog.consumers SET seq = $2, updated_at = now() WHERE name = $1 AND seq < $2",
        consumer,
        cursor
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What waits, what failed, what recovered: nothing at all in a healthy stream.
async fn record_trouble(
    connection: &mut PgConnection,
    consumer: &str,
    checkpoint: &Checkpoint,
) -> Result<(), sqlx::Error> {
    if !checkpoint.set_aside.is_empty() {
        let (seqs, keys): (Vec<i64>, Vec<String>) = checkpoint.set_aside.iter().cloned().unzip();
        sqlx::query!(
            "INSERT INTO eventlog.set_aside (consumer, seq, key)
             SELECT $1, seq, key FROM unnest($2::bigint[], $3::text[]) AS w (seq, key)
             ON CONFLICT DO NOTHING",
            consumer,
            &seqs,
            &keys
        )
        .execute(&mut *connection)
        .await?;
    }
    if !checkpoint.handled_late.is_empty() {
        sqlx::query!(
            "DELETE FROM eventlog.set_aside WHERE consumer = $1 AND seq = ANY ($2)",
            consumer,
            &checkpoint.handled_late
        )
        .execute(&mut *connection)
        .await?;
    }
    for failure in &checkpoint.failures {
        sqlx::query_file!(
            "src/consumer/record_failure.sql",
            consumer,
            failure.key,
            if failure.retry_in.is_some() {
                "RETRYING"
            } else {
                "PARKED"
            },
            i32::try_from(failure.trouble.tries).unwrap_or(i32::MAX),
            i32::try_from(failure.trouble.failures).unwrap_or(i32::MAX),
            failure.error,
            failure.retry_in.unwrap_or_default().as_secs_f64(),
        )
        .execute(&mut *connection)
        .await?;
    }
    if !checkpoint.recovered.is_empty() {
        sqlx::query!(
            "DELETE FROM eventlog.troubled_keys t
             WHERE consumer = $1 AND key = ANY ($2) AND NOT EXISTS (
                 SELECT 1 FROM eventlog.set_aside s WHERE s.consumer = $1 AND s.key = t.key)",
            consumer,
            &checkpoint.recovered
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "UPDATE eventlog.troubled_keys SET tries = 0, failures = 0, next_try_at = now()
             WHERE consumer = $1 AND key = ANY ($2)",
            consumer,
            &checkpoint.recovered
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
