//! The outbox of letters.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{api_keys::KEYS_MAX, organisations::ORGANISATIONS_MAX};
use crate::{account::Email, mail::Kind};

/// Letters of one kind to one address within half an hour, for as long as a link to a new password is good:
/// whoever is sent no more of those has one. Enough for who mistyped, few for who is pestered.
const LATELY_MAX: i64 = 5;

/// The same of letters that tell of a new key: as many as an account has keys.
const KEYS_LATELY_MAX: i64 = KEYS_MAX;

/// And of letters that tell of another owner: as many as an account has organisations.
const OWNERS_LATELY_MAX: i64 = ORGANISATIONS_MAX;

/// How long a letter that was taken up is left to who did: longer than the talk with a server lasts.
const LEASE: Duration = Duration::from_secs(120);

/// A letter that was taken up.
pub(crate) struct Due {
    pub(crate) mail_id: Uuid,
    pub(crate) recipient: String,
    pub(crate) kind: Kind,
    /// What it is about, where its recipient doesn't say it.
    pub(crate) about_id: Option<Uuid>,
    /// This one included.
    pub(crate) attempts: u32,
}

/// Writes a letter, in the caller's transaction; none where there were too many lately.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    recipient: &Email,
    kind: Kind,
) -> Result<(), sqlx::Error> {
    insert_about(conn, recipient, kind, None).await?;
    Ok(())
}

/// The same, about something; whether there is one.
pub(crate) async fn insert_about(
    conn: &mut PgConnection,
    recipient: &Email,
    kind: Kind,
    about_id: Option<Uuid>,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "INSERT INTO identity.mail (mail_id, recipient, kind, about_id)
         SELECT $1, $2, $3, $5 WHERE $4 > (
             SELECT count(*) FROM identity.mail
             WHERE recipient = $2 AND kind = $3 AND created_at > now() - interval '30 minutes')",
        Uuid::now_v7(),
        recipient.as_str(),
        kind.as_str(),
        lately_max(kind),
        about_id,
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

const fn lately_max(kind: Kind) -> i64 {
    match kind {
        Kind::ApiKeyMade => KEYS_LATELY_MAX,
        Kind::OwnerAppointed | Kind::OwnerAdded => OWNERS_LATELY_MAX,
        _ => LATELY_MAX,
    }
}

/// Takes up at most `limit` letters, the longest due first, for as long as [`LEASE`]. Kinds of a later
/// release are left to it.
pub(crate) async fn claim(pool: &PgPool, limit: u32) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query!(
        "UPDATE identity.mail SET attempts = attempts + 1, due_at = now() + make_interval(secs => $2)
         WHERE mail_id IN (
             SELECT mail_id FROM identity.mail WHERE ended_at IS NULL AND due_at <= now()
             ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING mail_id, recipient, kind, about_id, attempts",
        i64::from(limit),
        LEASE.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    let due = rows.into_iter().filter_map(|row| {
        Some(Due {
            mail_id: row.mail_id,
            recipient: row.recipient,
            kind: Kind::parse(&row.kind)?,
            about_id: row.about_id,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        })
    });
    Ok(due.collect())
}

/// It was sent, or is given up.
pub(crate) async fn end(
    pool: &PgPool,
    mail_id: Uuid,
    sent: bool,
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.mail SET ended_at = now(), sent = $2, last_error = $3 WHERE mail_id = $1",
        mail_id,
        sent,
        error,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// It is to be tried again.
pub(crate) async fn retry(
    pool: &PgPool,
    mail_id: Uuid,
    after: Duration,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.mail SET due_at = now() + make_interval(secs => $2), last_error = $3 WHERE mail_id = $1",
        mail_id,
        after.as_secs_f64(),
        error,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// There is nobody to send it to.
pub(crate) async fn end_to_nobody(pool: &PgPool, mail_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.mail SET ended_at = now(), to_nobody = true WHERE mail_id = $1",
        mail_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes at most `limit` that were for nobody and don't count any more for how many there may be; how many.
pub(crate) async fn delete_to_nobody(pool: &PgPool, limit: u32) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM identity.mail WHERE mail_id IN (
             SELECT mail_id FROM identity.mail
             WHERE to_nobody AND created_at < now() - interval '30 minutes'
             ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

/// Forgets all letters to an address, sent or not.
pub(crate) async fn forget_recipient(
    conn: &mut PgConnection,
    recipient: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM identity.mail WHERE recipient = $1", recipient)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes at most `limit` that are older than that, whatever became of them; how many.
pub(crate) async fn delete_old(
    pool: &PgPool,
    age: Duration,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM identity.mail WHERE mail_id IN (
             SELECT mail_id FROM identity.mail WHERE created_at < now() - make_interval(secs => $1)
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        age.as_secs_f64(),
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
