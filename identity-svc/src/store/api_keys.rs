//! Keys of organisers' systems.

use chrono::{DateTime, Utc};
use holdfast_types::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::token::TokenHash;

/// Keys of one account.
pub(crate) const KEYS_MAX: i64 = 20;

/// Keys of one organisation.
pub(crate) const ORGANISATION_KEYS_MAX: i64 = 200;

/// A key, as its owner sees it.
pub(crate) struct ApiKey {
    pub(crate) key_id: Uuid,
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) organisation_id: Option<Uuid>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

/// A key of an organisation, and who made it.
pub(crate) struct OfOrganisation {
    pub(crate) key: ApiKey,
    pub(crate) user_id: Uuid,
    pub(crate) email: String,
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

/// How many the organisation has.
pub(crate) async fn count_of_organisation(
    conn: &mut PgConnection,
    organisation_id: Uuid,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM identity.api_keys WHERE organisation_id = $1"#,
        organisation_id,
    )
    .fetch_one(conn)
    .await
}

/// The organisation's keys, newest first, at most [`ORGANISATION_KEYS_MAX`].
pub(crate) async fn list_of_organisation(
    conn: &mut PgConnection,
    organisation_id: Uuid,
) -> Result<Vec<OfOrganisation>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT key_id, name, scopes, organisation_id, api_keys.created_at, last_used_at, user_id, email
         FROM identity.api_keys JOIN identity.users USING (user_id)
         WHERE organisation_id = $1 ORDER BY api_keys.created_at DESC, key_id LIMIT $2",
        organisation_id,
        ORGANISATION_KEYS_MAX,
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| OfOrganisation {
        key: ApiKey {
            key_id: row.key_id,
            name: row.name,
            scopes: row.scopes,
            organisation_id: row.organisation_id,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        },
        user_id: row.user_id,
        email: row.email,
    });
    Ok(keys.collect())
}

/// Whose key that is, if its account isn't disabled; it was used now.
pub(crate) async fn find(
    conn: &mut PgConnection,
    hash: &TokenHash,
) -> Result<Option<Holder>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT key_id, user_id, organisation_id, scopes,
                  last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS "to_note!"
           FROM identity.api_keys JOIN identity.users USING (user_id)
           WHERE key_hash = $1 AND disabled_at IS NULL"#,
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

/// Revokes one of the organisation's keys; who had made it, if there was one.
pub(crate) async fn delete_of_organisation(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    key_id: Uuid,
) -> Result<Option<UserId>, sqlx::Error> {
    let made_by = sqlx::query_scalar!(
        "DELETE FROM identity.api_keys WHERE organisation_id = $1 AND key_id = $2 RETURNING user_id",
        organisation_id,
        key_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(made_by.map(UserId::from_uuid))
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
