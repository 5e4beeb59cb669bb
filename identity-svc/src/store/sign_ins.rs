//! Sign-ins that can be renewed: families of refresh tokens.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::token::TokenHash;

/// Traded for as many at most, within [`GRACE`]: tabs of a browser that renew at once.
const TRADES_MAX: i64 = 8;

/// How long after its first use a token is traded again, while none of what it was traded for was used:
/// as long as a tab may wait for its answer.
const GRACE: Duration = Duration::from_secs(10);

/// Sign-ins that a list shows.
const LISTED_MAX: i64 = 100;

/// A sign-in, as its owner sees it.
pub(crate) struct Session {
    pub(crate) family_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) client_address: Option<String>,
}

/// A token as it was found, its family locked for the rest of the transaction.
pub(crate) struct Found {
    pub(crate) family_id: Uuid,
    pub(crate) user_id: UserId,
    /// It was traded for another before.
    pub(crate) used: bool,
    /// If so: a moment ago, and nothing that it was traded for has been used.
    pub(crate) in_grace: bool,
    /// The family has neither ended nor been revoked.
    pub(crate) live: bool,
}

/// Starts a family with its first token.
pub(crate) async fn start_family(
    conn: &mut PgConnection,
    user_id: UserId,
    token: &TokenHash,
    ttl: Duration,
    client: Option<IpAddr>,
) -> Result<Uuid, sqlx::Error> {
    let family_id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO identity.refresh_families (family_id, user_id, expires_at, client_address)
         VALUES ($1, $2, now() + make_interval(secs => $3), $4)",
        family_id,
        user_id.as_uuid(),
        ttl.as_secs_f64(),
        client.map(|address| address.to_string()),
    )
    .execute(&mut *conn)
    .await?;
    add_token(conn, family_id, token, None).await?;
    Ok(family_id)
}

/// Adds a token that hasn't been used, and what it was traded for.
pub(crate) async fn add_token(
    conn: &mut PgConnection,
    family_id: Uuid,
    token: &TokenHash,
    parent: Option<&TokenHash>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO identity.refresh_tokens (token_hash, family_id, parent_hash) VALUES ($1, $2, $3)",
        token.as_slice(),
        family_id,
        parent.map(<[u8; 32]>::as_slice),
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
    // The locks first, so that what is read then is as another use left it.
    let locked = sqlx::query_scalar!(
        "SELECT family.family_id
         FROM identity.refresh_tokens AS token JOIN identity.refresh_families AS family USING (family_id)
         WHERE token.token_hash = $1 FOR UPDATE",
        token.as_slice(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    let row = sqlx::query!(
        r#"SELECT family.family_id, family.user_id, token.used_at IS NOT NULL AS "used!",
                  family.revoked_at IS NULL AND family.expires_at > now() AS "live!",
                  (token.used_at > now() - make_interval(secs => $2)
                   AND NOT EXISTS (SELECT FROM identity.refresh_tokens AS next
                                   WHERE next.parent_hash = $1 AND next.used_at IS NOT NULL)
                   AND (SELECT count(*) FROM identity.refresh_tokens AS next
                        WHERE next.parent_hash = $1) BETWEEN 1 AND $3::bigint - 1) IS TRUE AS "in_grace!"
           FROM identity.refresh_tokens AS token JOIN identity.refresh_families AS family USING (family_id)
           WHERE token.token_hash = $1"#,
        token.as_slice(),
        GRACE.as_secs_f64(),
        TRADES_MAX,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Found {
        family_id: row.family_id,
        user_id: UserId::from_uuid(row.user_id),
        used: row.used,
        in_grace: row.in_grace,
        live: row.live,
    }))
}

/// Marks a token as traded, from now on if it wasn't, and its family as used from there. What else came of
/// the same token, and wasn't used first, counts as used long ago: who uses it isn't who has this one.
pub(crate) async fn mark_used(
    conn: &mut PgConnection,
    family_id: Uuid,
    token: &TokenHash,
    client: Option<IpAddr>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.refresh_tokens AS twin SET used_at = to_timestamp(0)
         FROM identity.refresh_tokens AS token
         WHERE token.token_hash = $1 AND token.used_at IS NULL AND twin.parent_hash = token.parent_hash
             AND twin.token_hash <> $1 AND twin.used_at IS NULL",
        token.as_slice()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE identity.refresh_tokens SET used_at = coalesce(used_at, now()) WHERE token_hash = $1",
        token.as_slice()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE identity.refresh_families
         SET last_used_at = now(), client_address = coalesce($2, client_address) WHERE family_id = $1",
        family_id,
        client.map(|address| address.to_string()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The account's sign-ins that can be renewed, newest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Vec<Session>, sqlx::Error> {
    sqlx::query_as!(
        Session,
        "SELECT family_id, created_at, last_used_at, expires_at, client_address
         FROM identity.refresh_families
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now()
         ORDER BY created_at DESC, family_id DESC LIMIT $2",
        user_id.as_uuid(),
        LISTED_MAX,
    )
    .fetch_all(conn)
    .await
}

/// Ends one of the account's sign-ins; whether it was one that hadn't ended.
pub(crate) async fn revoke_own(
    conn: &mut PgConnection,
    user_id: UserId,
    family_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let revoked = sqlx::query!(
        "UPDATE identity.refresh_families SET revoked_at = now()
         WHERE family_id = $1 AND user_id = $2 AND revoked_at IS NULL",
        family_id,
        user_id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Ends all of the account's sign-ins, but one.
pub(crate) async fn revoke_all(
    conn: &mut PgConnection,
    user_id: UserId,
    but: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.refresh_families SET revoked_at = now()
         WHERE user_id = $1 AND revoked_at IS NULL AND family_id IS DISTINCT FROM $2",
        user_id.as_uuid(),
        but,
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
