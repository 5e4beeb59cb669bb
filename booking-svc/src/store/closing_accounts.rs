//! Accounts for which no booking is made, because they are being deleted or were.

use std::time::Duration;

use chrono::{DateTime, Utc};
use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Error;

/// A mark, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) user_id: UserId,
    /// Says which one it is.
    pub(crate) marked_at: DateTime<Utc>,
    pub(crate) is_gone: bool,
}

/// Marks the account, until somebody asks what became of it in `ask_after`. Waits until nobody is making a booking
/// for it, and whoever wants to make one waits for the caller's transaction.
pub(crate) async fn mark(
    connection: &mut PgConnection,
    user_id: UserId,
    ask_after: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(booking.lock_of_account($1))::text AS locked",
        user_id.as_uuid()
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO booking.closing_accounts AS c (user_id, due_at)
         VALUES ($1, clock_timestamp() + make_interval(secs => $2))
         ON CONFLICT (user_id) DO UPDATE SET marked_at = excluded.marked_at,
             due_at = CASE WHEN c.is_gone THEN c.due_at ELSE excluded.due_at END",
        user_id.as_uuid(),
        ask_after.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a booking of the account waits for its payment, or for what its payment comes to. Of a transaction that
/// has marked it: one that is begun later is refused.
pub(crate) async fn is_booking_under_way(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<bool, Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT FROM booking.directory d
             JOIN booking.bookings b ON b.show_id = d.show_id AND b.booking_id = d.booking_id
             WHERE d.user_id = $1
                 AND (b.state = 'PENDING_PAYMENT' OR b.step IN ('COMMITTING', 'HOLDING'))) AS "found!""#,
        user_id.as_uuid(),
    );
    Ok(found.fetch_one(connection).await?)
}

/// Whether the account is marked, once nobody is marking it.
pub(crate) async fn is_marked(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<bool, Error> {
    let marked = sqlx::query_scalar!(
        r#"SELECT booking.is_closing($1) AS "marked!""#,
        user_id.as_uuid()
    );
    Ok(marked.fetch_one(connection).await?)
}

/// The account's mark, if it has one.
pub(crate) async fn of(pool: &PgPool, user_id: UserId) -> Result<Option<Mark>, Error> {
    let row = sqlx::query!(
        "SELECT marked_at, is_gone FROM booking.closing_accounts WHERE user_id = $1",
        user_id.as_uuid()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Mark {
        user_id,
        marked_at: row.marked_at,
        is_gone: row.is_gone,
    }))
}

/// Marks with which something is to be done, the longest due first.
pub(crate) async fn due(pool: &PgPool, limit: u32) -> Result<Vec<Mark>, Error> {
    let rows = sqlx::query!(
        "SELECT user_id, marked_at, is_gone FROM booking.closing_accounts
         WHERE due_at <= now() ORDER BY due_at LIMIT $1",
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    let marks = rows.into_iter().map(|row| Mark {
        user_id: UserId::from_uuid(row.user_id),
        marked_at: row.marked_at,
        is_gone: row.is_gone,
    });
    Ok(marks.collect())
}

/// The account is deleted: its mark stays for so long from when it was made.
pub(crate) async fn keep_gone(
    pool: &PgPool,
    marks: &[Mark],
    for_so_long: Duration,
) -> Result<(), Error> {
    let (users, marked) = columns(marks);
    sqlx::query!(
        "UPDATE booking.closing_accounts c SET is_gone = true,
             due_at = c.marked_at + make_interval(secs => $3)
         FROM unnest($1::uuid[], $2::timestamptz[]) AS read (user_id, marked_at)
         WHERE c.user_id = read.user_id AND c.marked_at = read.marked_at",
        &users,
        &marked,
        for_so_long.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Nobody knows yet what becomes of these accounts: that is asked again.
pub(crate) async fn put_off(pool: &PgPool, marks: &[Mark], by: Duration) -> Result<(), Error> {
    let (users, marked) = columns(marks);
    sqlx::query!(
        "UPDATE booking.closing_accounts c SET due_at = now() + make_interval(secs => $3)
         FROM unnest($1::uuid[], $2::timestamptz[]) AS read (user_id, marked_at)
         WHERE c.user_id = read.user_id AND c.marked_at = read.marked_at",
        &users,
        &marked,
        by.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Ends these marks, unless they were made anew since. That of an account that is gone stays for good, and isn't
/// due any more, while a booking of it has expired: its money may still come.
pub(crate) async fn end(pool: &PgPool, marks: &[Mark]) -> Result<(), Error> {
    let (users, marked) = columns(marks);
    sqlx::query!(
        "WITH read AS (
             SELECT c.user_id, c.marked_at, c.is_gone AND EXISTS (
                 SELECT FROM booking.directory d
                 JOIN booking.bookings b ON b.show_id = d.show_id AND b.booking_id = d.booking_id
                 WHERE d.user_id = c.user_id AND b.state = 'EXPIRED') AS stays
             FROM unnest($1::uuid[], $2::timestamptz[]) AS r (user_id, marked_at)
             JOIN booking.closing_accounts c USING (user_id, marked_at)
         ), kept AS (
             UPDATE booking.closing_accounts c SET due_at = 'infinity' FROM read
             WHERE stays AND c.user_id = read.user_id AND c.marked_at = read.marked_at
         )
         DELETE FROM booking.closing_accounts c USING read
         WHERE NOT stays AND c.user_id = read.user_id AND c.marked_at = read.marked_at",
        &users,
        &marked,
    )
    .execute(pool)
    .await?;
    Ok(())
}

fn columns(marks: &[Mark]) -> (Vec<Uuid>, Vec<DateTime<Utc>>) {
    let users = marks.iter().map(|mark| mark.user_id.as_uuid());
    (
        users.collect(),
        marks.iter().map(|mark| mark.marked_at).collect(),
    )
}
