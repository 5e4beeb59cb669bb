//! Sign-ins that can be renewed: families of refresh tokens.

use std::time::Duration;

use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::token::TokenHash;

/// A token as it was found, its family locked for the rest of the transaction.
pub(crate) struct Found {
    pub(crate) family_id: Uuid,
    pub(crate) user_id: UserId,
    /// It was traded for another before.
    pub(crate) used: bool,
    /// The family has neither ended nor been revoked.
    pub(crate) live: bool,
}

/// Starts a family with its first token.
pub(crate) async fn start_family(
    conn: &mut PgConnection,
    user_id: UserId,
    token: &TokenHash,
    ttl: Duration,
) -> Result<(), sqlx::Error> {
    let family_id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO identity.refresh_families (family_id, user_id, expires_at)
         VALUES ($1, $2, now() + make_interval(secs => $3))",
        family_id,
        user_id.as_uuid(),
        ttl.as_secs_f64(),
    )
    .execute(&mut *conn)
    .await?;
    add_token(conn, family_id, token).await
}

/// Adds a token that hasn't been used.
pub(crate) async fn add_token(
    conn: &mut PgConnection,
    family_id: Uuid,
    token: &TokenHash,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO identity.refresh_tokens (token_hash, family_id) VALUES ($1, $2)",
        token.as_slice(),
        family_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Finds a token and locks it and its family, so that of two uses at once one sees the other.
pub(crate) async fn find_locked(
    conn: &mut PgConnection,
    token: &TokenHash,
) -> Result<Option<Found>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT family.family_id, family.user_id, token.used_at IS NOT NULL AS "used!",
                  family.revoked_at IS NULL AND family.expires_at > now() AS "live!"
           FROM identity.refresh_tokens AS token JOIN identity.refresh_families AS family USING (family_id)
           WHERE token.token_hash = $1
           FOR UPDATE"#,
        token.as_slice(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Found {
        family_id: row.family_id,
        user_id: UserId::from_uuid(row.user_id),
        used: row.used,
        live: row.live,
    }))
}

/// Marks a token as traded.
pub(crate) async fn mark_used(
    conn: &mut PgConnection,
    token: &TokenHash,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.refresh_tokens SET used_at = now() WHERE token_hash = $1",
        token.as_slice()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a family; one that has ended stays as it is.
pub(crate) async fn revoke(conn: &mut PgConnection, family_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.refresh_families SET revoked_at = now() WHERE family_id = $1 AND revoked_at IS NULL",
        family_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes at most `limit` families that have run out, with their tokens; how many.
pub(crate) async fn delete_expired(pool: &PgPool, limit: u32) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM identity.refresh_families WHERE family_id IN (
             SELECT family_id FROM identity.refresh_families WHERE expires_at < now()
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
