//! Tokens that were mailed: each works once, for one purpose.

use std::time::Duration;

use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};

use crate::{account::Email, token::TokenHash};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    VerifyEmail,
    ResetPassword,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }
}

/// Keeps a token for who has the address; false, and nothing kept, where nobody has it, its account is disabled,
/// or it is verified already and was to be.
pub(crate) async fn insert(
    pool: &PgPool,
    recipient: &Email,
    purpose: Purpose,
    token: &TokenHash,
    ttl: Duration,
) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query!(
        "INSERT INTO identity.mailed_tokens (token_hash, user_id, purpose, expires_at)
         SELECT $1, user_id, $2, now() + make_interval(secs => $3) FROM identity.users
         WHERE email = $4 AND disabled_at IS NULL AND ($2 <> 'verify_email' OR email_verified_at IS NULL)",
        token.as_slice(),
        purpose.as_str(),
        ttl.as_secs_f64(),
        recipient.as_str(),
    )
    .execute(pool)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Whether a token would work now.
pub(crate) async fn is_live(
    conn: &mut PgConnection,
    purpose: Purpose,
    token: &TokenHash,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM identity.mailed_tokens
               WHERE token_hash = $1 AND purpose = $2 AND expires_at > now()) AS "live!""#,
        token.as_slice(),
        purpose.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Uses a token: whose it was, and with it go all others for that. None if it doesn't work (any more).
pub(crate) async fn take(
    conn: &mut PgConnection,
    purpose: Purpose,
    token: &TokenHash,
) -> Result<Option<UserId>, sqlx::Error> {
    let user_id = sqlx::query_scalar!(
        "DELETE FROM identity.mailed_tokens
         WHERE token_hash = $1 AND purpose = $2 AND expires_at > now() RETURNING user_id",
        token.as_slice(),
        purpose.as_str(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(user_id) = user_id.map(UserId::from_uuid) else {
        return Ok(None);
    };
    forget(conn, user_id, purpose).await?;
    Ok(Some(user_id))
}

/// Takes all tokens of an account for that away.
pub(crate) async fn forget(
    conn: &mut PgConnection,
    user_id: UserId,
    purpose: Purpose,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.mailed_tokens WHERE user_id = $1 AND purpose = $2",
        user_id.as_uuid(),
        purpose.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes at most `limit` that have run out.
pub(crate) async fn delete_expired(pool: &PgPool, limit: u32) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.mailed_tokens WHERE token_hash IN (
             SELECT token_hash FROM identity.mailed_tokens WHERE expires_at < now()
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    Ok(())
}
