//! The writing side: one row in the transaction of the change it tells of.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{Error, NewEvent, trace};

/// Largest payload of one event. Events name things; they don't carry them.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// What is in an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Events.
    pub all: u64,
    /// Those that wait for long.
    pub long: u64,
}

/// What is to be written to an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The event's, the same at every delivery.
    pub id: Uuid,
    /// The rest of its columns, by the same names.
    pub event: NewEvent,
    /// The trace that the caller works on.
    pub traceparent: Option<String>,
}

/// A service's outbox: table `<schema>.outbox`, as in `sql/outbox.sql`. One in a process, so that who
/// writes can wake who moves.
#[derive(Debug)]
pub struct Outbox {
    pub(crate) schema: &'static str,
    pub(crate) woken: Notify,
}

impl Outbox {
    /// The outbox in `schema`.
    ///
    /// # Panics
    /// If `schema` isn't made of lower-case letters, digits and `_`: it becomes part of SQL text.
    pub const fn new(schema: &'static str) -> Self {
        assert!(
            is_plain_name(schema.as_bytes()),
            "a schema is named in [a-z0-9_]+"
        );
        Self {
            schema,
            woken: Notify::const_new(),
        }
    }

    /// Writes `event` in the caller's transaction and returns its id. It is delivered if and only
    /// if that transaction commits. It is a part of the trace that the caller works on.
    ///
    /// # Errors
    /// [`Error::PayloadTooLarge`]; [`Error::Database`].
    pub async fn append(
        &self,
        connection: &mut PgConnection,
        event: NewEvent,
    ) -> Result<Uuid, Error> {
        let row = self.row(event)?;
        let id = row.id;
        self.append_row(connection, row).await?;
        Ok(id)
    }

    /// As [`Outbox::append`], what [`Outbox::row`] made.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn append_row(&self, connection: &mut PgConnection, row: Row) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO {}.outbox (id, topic, key, event_type, payload, traceparent)
             VALUES ($1, $2, $3, $4, $5, $6)",
            self.schema
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(row.id)
            .bind(row.event.topic)
            .bind(row.event.key)
            .bind(row.event.event_type)
            .bind(row.event.payload)
            .bind(row.traceparent)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// `event` as a row, for a caller that writes it in the statement of the change itself, under the same
    /// rules as [`Outbox::append`]: columns `id`, `topic`, `key`, `event_type`, `payload`, `traceparent`.
    ///
    /// # Errors
    /// [`Error::PayloadTooLarge`].
    pub fn row(&self, event: NewEvent) -> Result<Row, Error> {
        check(&event)?;
        Ok(Row {
            id: Uuid::now_v7(),
            event,
            traceparent: trace::current(),
        })
    }

    /// How many events wait in it, and how many of them for longer than `age_min`, by the database's
    /// clock. The relay moves them within milliseconds, so that one is for operators to look at.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn waiting(&self, pool: &PgPool, age_min: Duration) -> Result<Waiting, Error> {
        let sql = format!(
            "SELECT count(*), count(*) FILTER
                 (WHERE occurred_at < now() - make_interval(secs => $1))
             FROM {}.outbox",
            self.schema
        );
        let (all, long): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql))
            .bind(age_min.as_secs_f64())
            .fetch_one(pool)
            .await?;
        Ok(Waiting {
            all: all.unsigned_abs(),
            long: long.unsigned_abs(),
        })
    }

    /// As [`Outbox::append`], for many at once: one statement, and they keep their order.
    ///
    /// # Errors
    /// As [`Outbox::append`].
    pub async fn append_all(
        &self,
        connection: &mut PgConnection,
        events: Vec<NewEvent>,
    ) -> Result<(), Error> {
        events.iter().try_for_each(check)?;
        let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
        let topics: Vec<&str> = events.iter().map(|event| event.topic).collect();
        let keys: Vec<&str> = events.iter().map(|event| event.key.as_str()).collect();
        let types: Vec<&str> = events.iter().map(|event| event.event_type).collect();
        let payloads: Vec<&[u8]> = events.iter().map(|event| &event.payload[..]).collect();
        let sql = format!(
            "INSERT INTO {}.outbox (id, topic, key, event_type, payload, traceparent)
             SELECT id, topic, key, event_type, payload, $6
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[])
                 WITH ORDINALITY AS e (id, topic, key, event_type, payload, place)
             ORDER BY place",
            self.schema
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(ids)
            .bind(topics)
            .bind(keys)
            .bind(types)
            .bind(payloads)
            .bind(trace::current())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Wakes this process's relay, after the commit; without it the next poll finds the row, up to 100 ms
    /// later on an idle system. No notification of Postgres's: it commits transactions that notify one
    /// after another, and so would undo group commit for the whole database.
    pub fn wake(&self) {
        self.woken.notify_one();
    }
}

fn check(event: &NewEvent) -> Result<(), Error> {
    if event.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::PayloadTooLarge {
            event_type: event.event_type,
            bytes: event.payload.len(),
        });
    }
    Ok(())
}

pub(crate) const fn is_plain_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if !(name[at].is_ascii_lowercase() || name[at].is_ascii_digit() || name[at] == b'_') {
            return false;
        }
        at += 1;
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::is_plain_name;

    #[test]
    fn only_plain_names_become_sql() {
        assert!(is_plain_name(b"booking"));
        for name in ["", "Booking", "a.b", "a\"b", "a b", "a;"] {
            assert!(!is_plain_name(name.as_bytes()), "{name}");
        }
    }
}
