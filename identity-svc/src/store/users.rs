//! Accounts and their roles.

use std::time::Duration;

use chrono::{DateTime, Utc};
use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::account::{Email, Role};

/// What signing in needs.
pub(crate) struct Credentials {
    pub(crate) user_id: UserId,
    pub(crate) password_hash: String,
}

/// What an account's owner sees.
pub(crate) struct Account {
    pub(crate) email: String,
    pub(crate) roles: Vec<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) email_verified: bool,
}

/// Whether an account gets tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    /// It is being deleted.
    Closed,
    Disabled,
}

/// Makes an account; false, and nothing made, if the address has one.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    user_id: UserId,
    email: &Email,
    password_hash: &str,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query!(
        "INSERT INTO identity.users (user_id, email, password_hash) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING",
        user_id.as_uuid(),
        email.as_str(),
        password_hash,
    )
    .execute(conn)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// Who has the address.
pub(crate) async fn id_by_email(
    conn: &mut PgConnection,
    email: &Email,
) -> Result<Option<UserId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "SELECT user_id FROM identity.users WHERE email = $1",
        email.as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(UserId::from_uuid))
}

/// What to check a password against; of a disabled account there is nothing.
pub(crate) async fn credentials(
    conn: &mut PgConnection,
    email: &Email,
) -> Result<Option<Credentials>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT user_id, password_hash FROM identity.users WHERE email = $1 AND disabled_at IS NULL",
        email.as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Credentials {
        user_id: UserId::from_uuid(row.user_id),
        password_hash: row.password_hash,
    }))
}

/// The account of that id, unless it was deleted or is disabled.
pub(crate) async fn account(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Option<Account>, sqlx::Error> {
    let Some(row) = sqlx::query!(
        r#"SELECT email, created_at, email_verified_at IS NOT NULL AS "email_verified!"
           FROM identity.users WHERE user_id = $1 AND deleted_at IS NULL AND disabled_at IS NULL"#,
        user_id.as_uuid()
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(None);
    };
    let roles = roles(conn, user_id).await?;
    Ok(Some(Account {
        email: row.email,
        roles,
        created_at: row.created_at,
        email_verified: row.email_verified,
    }))
}

/// What the account may act as, in alphabetical order.
pub(crate) async fn roles(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT role FROM identity.user_roles WHERE user_id = $1 ORDER BY role",
        user_id.as_uuid()
    )
    .fetch_all(conn)
    .await
}

/// Gives the role; false if the account has it.
pub(crate) async fn grant(
    conn: &mut PgConnection,
    user_id: UserId,
    role: Role,
) -> Result<bool, sqlx::Error> {
    let granted = sqlx::query!(
        "INSERT INTO identity.user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        user_id.as_uuid(),
        role.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(granted.rows_affected() == 1)
}

/// Takes the role; false if the account hasn't it.
pub(crate) async fn revoke(
    conn: &mut PgConnection,
    user_id: UserId,
    role: Role,
) -> Result<bool, sqlx::Error> {
    let revoked = sqlx::query!(
        "DELETE FROM identity.user_roles WHERE user_id = $1 AND role = $2",
        user_id.as_uuid(),
        role.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Disables the account; false if it is.
pub(crate) async fn disable(conn: &mut PgConnection, user_id: UserId) -> Result<bool, sqlx::Error> {
    let disabled = sqlx::query!(
        "UPDATE identity.users SET disabled_at = now() WHERE user_id = $1 AND disabled_at IS NULL",
        user_id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(disabled.rows_affected() == 1)
}

/// Takes that back, and opens the account; false if it isn't disabled.
pub(crate) async fn enable(conn: &mut PgConnection, user_id: UserId) -> Result<bool, sqlx::Error> {
    let enabled = sqlx::query!(
        "UPDATE identity.users SET disabled_at = NULL, closed_until = NULL
         WHERE user_id = $1 AND disabled_at IS NOT NULL",
        user_id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(enabled.rows_affected() == 1)
}

/// What tells a deletion from another of the same account; nothing of callers that don't tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing(pub(crate) Option<Uuid>);

/// Closes the account for so long from now on, if it isn't closed by another than `closing`; whether it is.
pub(crate) async fn close(
    conn: &mut PgConnection,
    user_id: UserId,
    closing: Closing,
    for_so_long: Duration,
) -> Result<bool, sqlx::Error> {
    let closed = sqlx::query!(
        "UPDATE identity.users SET closed_until = now() + make_interval(secs => $2), closing_id = $3
         WHERE user_id = $1 AND (closed_until IS NULL OR closed_until <= clock_timestamp()
                                 OR closing_id IS NOT DISTINCT FROM $3)",
        user_id.as_uuid(),
        for_so_long.as_secs_f64(),
        closing.0,
    )
    .execute(conn)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// Whether it is `closing` that closed the account, or did last.
pub(crate) async fn is_closing(
    conn: &mut PgConnection,
    user_id: UserId,
    closing: Closing,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT closing_id IS NOT DISTINCT FROM $2 AS "is_it!" FROM identity.users WHERE user_id = $1"#,
        user_id.as_uuid(),
        closing.0,
    )
    .fetch_one(conn)
    .await
}

/// Takes that back.
pub(crate) async fn reopen(
    conn: &mut PgConnection,
    user_id: UserId,
    closing: Closing,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.users SET closed_until = NULL
         WHERE user_id = $1 AND closed_until IS NOT NULL AND closing_id IS NOT DISTINCT FROM $2",
        user_id.as_uuid(),
        closing.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How an account stands that was there a moment ago. By the clock, not by when the transaction began: where it has
/// the account locked, what it is told and what [`standings`] tells others come one after the other.
pub(crate) async fn standing(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Standing, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT disabled_at IS NOT NULL AS "disabled!", closed_until IS NOT NULL AND closed_until > clock_timestamp() AS "closed!"
           FROM identity.users WHERE user_id = $1"#,
        user_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) if row.disabled => Standing::Disabled,
        Some(row) if row.closed => Standing::Closed,
        _ => Standing::Open,
    })
}

/// Those of these accounts that are deleted, or that nobody knows, and those that are closed. Whoever is deleting
/// one, or closing or opening it, is waited for.
pub(crate) async fn standings(
    pool: &PgPool,
    users: &[UserId],
) -> Result<(Vec<UserId>, Vec<UserId>), sqlx::Error> {
    let ids: Vec<Uuid> = users.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT user_id, deleted_at IS NOT NULL AS "deleted!",
                  closed_until IS NOT NULL AND closed_until > clock_timestamp() AS "closed!"
           FROM identity.users WHERE user_id = ANY($1) ORDER BY user_id FOR SHARE"#,
        &ids,
    )
    .fetch_all(pool)
    .await?;
    let row = |id: &UserId| rows.iter().find(|row| row.user_id == id.as_uuid());
    let all = || users.iter().copied();
    let deleted = all().filter(|id| row(id).is_none_or(|row| row.deleted));
    let closed = all().filter(|id| row(id).is_some_and(|row| row.closed && !row.deleted));
    Ok((deleted.collect(), closed.collect()))
}

/// Notes that the address is the account's own; the address.
pub(crate) async fn verify_email(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE identity.users SET email_verified_at = coalesce(email_verified_at, now())
         WHERE user_id = $1 RETURNING email",
        user_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// Sets the password, whatever it was; the account's address, unless that is disabled.
pub(crate) async fn set_password(
    conn: &mut PgConnection,
    user_id: UserId,
    password_hash: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE identity.users SET password_hash = $2
         WHERE user_id = $1 AND disabled_at IS NULL RETURNING email",
        user_id.as_uuid(),
        password_hash,
    )
    .fetch_optional(conn)
    .await
}

/// Sets the password if it still is `old`; the account's address, if so.
pub(crate) async fn replace_password(
    conn: &mut PgConnection,
    user_id: UserId,
    old: &str,
    new: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE identity.users SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2 RETURNING email",
        user_id.as_uuid(),
        old,
        new,
    )
    .fetch_optional(conn)
    .await
}

/// What to check the password of a signed-in account against, and its address.
pub(crate) async fn own_credentials(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT email, password_hash FROM identity.users
         WHERE user_id = $1 AND deleted_at IS NULL AND disabled_at IS NULL",
        user_id.as_uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.email, row.password_hash)))
}

/// Whether the account is there and may be used; if so, nobody else has it locked for the rest of the
/// transaction.
pub(crate) async fn lock(conn: &mut PgConnection, user_id: UserId) -> Result<bool, sqlx::Error> {
    let there = sqlx::query_scalar!(
        "SELECT user_id FROM identity.users
         WHERE user_id = $1 AND deleted_at IS NULL AND disabled_at IS NULL FOR UPDATE",
        user_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(there.is_some())
}

/// Whether the account is there and may be used; if so, it stays so for the rest of the transaction.
pub(crate) async fn keep(conn: &mut PgConnection, user_id: UserId) -> Result<bool, sqlx::Error> {
    let there = sqlx::query_scalar!(
        "SELECT user_id FROM identity.users
         WHERE user_id = $1 AND deleted_at IS NULL AND disabled_at IS NULL FOR SHARE",
        user_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(there.is_some())
}

/// Keeps an account's password as it is until the transaction ends; whether that is `stored`, and the account
/// was neither deleted nor disabled.
pub(crate) async fn lock_password(
    conn: &mut PgConnection,
    user_id: UserId,
    stored: &str,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT 1 AS "one!" FROM identity.users
         WHERE user_id = $1 AND password_hash = $2 AND deleted_at IS NULL AND disabled_at IS NULL
         FOR NO KEY UPDATE"#,
        user_id.as_uuid(),
        stored,
    );
    Ok(found.fetch_optional(conn).await?.is_some())
}

/// Whether its owner has shown that the address is theirs.
pub(crate) async fn is_verified(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<bool, sqlx::Error> {
    let verified = sqlx::query_scalar!(
        r#"SELECT email_verified_at IS NOT NULL AS "verified!" FROM identity.users WHERE user_id = $1"#,
        user_id.as_uuid(),
    );
    Ok(verified.fetch_optional(conn).await?.unwrap_or_default())
}

/// Leaves nothing of an account but its id, which bookings name; `password_hash` is nobody's. An address
/// under `.invalid` (RFC 2606) is nobody's, either.
pub(crate) async fn anonymise(
    conn: &mut PgConnection,
    user_id: UserId,
    password_hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.invitations
         WHERE email = (SELECT email FROM identity.users WHERE user_id = $1)",
        user_id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE identity.users
         SET email = user_id || '@deleted.invalid', password_hash = $2, email_verified_at = NULL,
             deleted_at = now(), closed_until = NULL
         WHERE user_id = $1",
        user_id.as_uuid(),
        password_hash,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM identity.user_roles WHERE user_id = $1",
        user_id.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM identity.refresh_families WHERE user_id = $1",
        user_id.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM identity.mailed_tokens WHERE user_id = $1",
        user_id.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM identity.known_clients WHERE user_id = $1",
        user_id.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    super::api_keys::delete_all(&mut *conn, user_id).await?;
    sqlx::query!(
        "DELETE FROM identity.members WHERE user_id = $1",
        user_id.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    super::organisations::withdraw_invitations_by(conn, user_id).await
}
