//! Keys of organisers' systems.

use chrono::{DateTime, Utc};
use holdfast_types::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::token::TokenHash;

/// Keys of one account.
pub(crate) const KEYS_MAX: i64 = 20;

/// A key, as its owner sees it.
pub(crate) struct ApiKey {
    pub(crate) key_id: Uuid,
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) organisation_id: Option<Uuid>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

/// Whose key it is, and for what.
pub(crate) struct Holder {
    pub(crate) user_id: UserId,
    pub(crate) organisation_id: Option<Uuid>,
    pub(crate) scopes: Vec<String>,
}

/// Keeps a key; when that was.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    key_id: Uuid,
    name: &str,
    hash: &TokenHash,
    holder: &Holder,
) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO identity.api_keys (key_id, user_id, organisation_id, name, key_hash, scopes)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING created_at",
        key_id,
        holder.user_id.as_uuid(),
        holder.organisation_id,
        name,
        hash.as_slice(),
        &holder.scopes,
    )
    .fetch_one(conn)
    .await
}

/// The account's keys, newest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    sqlx::query_as!(
        ApiKey,
        "SELECT key_id, name, scopes, organisation_id, created_at, last_used_at
         FROM identity.api_keys WHERE user_id = $1 ORDER BY created_at DESC, key_id LIMIT $2",
        user_id.as_uuid(),
        KEYS_MAX,
    )
    .fetch_all(conn)
    .await
}

/// How many the account has.
pub(crate) async fn count(conn: &mut PgConnection, user_id: UserId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM identity.api_keys WHERE user_id = $1"#,
        user_id.as_uuid(),
    )
    .fetch_one(conn)
    .await
}

/// Whose key that is; it was used now.
pub(crate) async fn find(
    conn: &mut PgConnection,
    hash: &TokenHash,
) -> Result<Option<Holder>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT key_id, user_id, organisation_id, scopes,
                  last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS "to_note!"
           FROM identity.api_keys WHERE key_hash = $1"#,
        hash.as_slice(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.to_note {
        sqlx::query!(
            "UPDATE identity.api_keys SET last_used_at = now() WHERE key_id = $1",
            row.key_id
        )
        .execute(conn)
        .await?;
    }
    Ok(Some(Holder {
        user_id: UserId::from_uuid(row.user_id),
        organisation_id: row.organisation_id,
        scopes: row.scopes,
    }))
}

/// Revokes one of the account's keys; whether there was one.
pub(crate) async fn delete(
    conn: &mut PgConnection,
    user_id: UserId,
    key_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM identity.api_keys WHERE user_id = $1 AND key_id = $2",
        user_id.as_uuid(),
        key_id,
    )
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Ends all of an account's keys.
pub(crate) async fn delete_all(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.api_keys WHERE user_id = $1",
        user_id.as_uuid()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the keys that an account made for an organisation.
pub(crate) async fn delete_of_member(
    conn: &mut PgConnection,
    user_id: UserId,
    organisation_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.api_keys WHERE user_id = $1 AND organisation_id = $2",
        user_id.as_uuid(),
        organisation_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}
