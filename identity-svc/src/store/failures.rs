//! Wrong passwords, counted by account and client, and clients that accounts are known to have.

use std::time::Duration;

use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};

/// Wrong passwords that a client may try of an account before it waits: a person mistypes a few times; one
/// who signed in from there lately, or stays signed in there, has more.
const STRANGER_MAX: i32 = 5;
const KNOWN_MAX: i32 = 20;

/// And all clients together, before those wait from which nobody signed in lately or stays signed in: the
/// many addresses of one attacker.
const ALL_MAX: i32 = 100;

/// The first wait; each wrong password after it doubles it, up to the longest.
const WAIT_FIRST: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// How long strangers wait when there were too many of them.
const ALL_WAIT: Duration = Duration::from_secs(60);

/// After so long without a wrong password they are forgotten: longer than any wait.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// How long a client is known from which somebody signed in or renewed a sign-in.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Clients that an account is known to have through renewals, the latest: who has a token of somebody's can renew it
/// from anywhere.
const KNOWN_CLIENTS_MAX: i64 = 20;

/// What stands for all clients.
const ALL: &str = "*";

/// Whose password is tried, from where.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// SHA-256 of the address that was tried.
    pub(crate) account_hash: [u8; 32],
    /// `client::counted`.
    pub(crate) client: String,
}

/// How long no password of this account is looked at from there; none: it is.
pub(crate) async fn wait(
    conn: &mut PgConnection,
    attempt: &Attempt,
    user_id: Option<UserId>,
) -> Result<Option<Duration>, sqlx::Error> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT max(extract(epoch FROM waits_until - now()))::float8
           FROM identity.sign_in_failures
           WHERE account_hash = $1 AND waits_until > now()
             AND (client = $2 OR client = $3 AND NOT EXISTS (
                  SELECT FROM identity.known_clients
                  WHERE user_id = $4 AND client = $2 AND last_at > now() - make_interval(secs => $5)))"#,
        attempt.account_hash.as_slice(),
        attempt.client,
        ALL,
        user_id.map(|id| id.as_uuid()),
        KNOWN_FOR.as_secs_f64(),
    )
    .fetch_one(conn)
    .await?;
    Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
}

/// Counts a wrong password.
pub(crate) async fn count(
    conn: &mut PgConnection,
    attempt: &Attempt,
    user_id: Option<UserId>,
) -> Result<(), sqlx::Error> {
    // In the order of the key, as every other does it: two at once wait for each other, and don't deadlock.
    sqlx::query!(
        "INSERT INTO identity.sign_in_failures AS f (account_hash, client, failures)
         VALUES ($1, $2, 1), ($1, $3, 1)
         ON CONFLICT (account_hash, client) DO UPDATE SET
             failures = CASE WHEN f.last_at < now() - make_interval(secs => $4) THEN 1
                             ELSE least(f.failures, 1000000) + 1 END,
             last_at = now()",
        attempt.account_hash.as_slice(),
        ALL,
        attempt.client,
        REMEMBERED.as_secs_f64(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE identity.sign_in_failures AS f SET waits_until = now() + make_interval(secs => CASE
             WHEN client = $2 THEN $6
             ELSE least($7 * power(2, least(failures - allowed.wrong, 16)), $8) END)
         FROM (SELECT CASE WHEN EXISTS (
                   SELECT FROM identity.known_clients
                   WHERE user_id = $4 AND client = $3 AND last_at > now() - make_interval(secs => $5))
               THEN $10::int ELSE $9::int END AS wrong) AS allowed
         WHERE account_hash = $1 AND (client = $2 AND failures >= $11 OR client = $3 AND failures >= allowed.wrong)",
        attempt.account_hash.as_slice(),
        ALL,
        attempt.client,
        user_id.map(|id| id.as_uuid()),
        KNOWN_FOR.as_secs_f64(),
        ALL_WAIT.as_secs_f64(),
        WAIT_FIRST.as_secs_f64(),
        WAIT_MAX.as_secs_f64(),
        STRANGER_MAX,
        KNOWN_MAX,
        ALL_MAX,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the client's wrong passwords, and knows it from now on: somebody signed in, or showed that the
/// account's mailbox is theirs.
pub(crate) async fn know(
    conn: &mut PgConnection,
    attempt: &Attempt,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.sign_in_failures WHERE account_hash = $1 AND client = $2",
        attempt.account_hash.as_slice(),
        attempt.client,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO identity.known_clients (user_id, client) VALUES ($1, $2)
         ON CONFLICT (user_id, client) DO UPDATE SET last_at = now()",
        user_id.as_uuid(),
        attempt.client,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Knows the client from now on: somebody stays signed in there. To a day.
pub(crate) async fn meet(pool: &PgPool, user_id: UserId, client: &str) -> Result<(), sqlx::Error> {
    let met = sqlx::query!(
        "INSERT INTO identity.known_clients AS k (user_id, client) VALUES ($1, $2)
         ON CONFLICT (user_id, client) DO UPDATE SET last_at = now()
         WHERE k.last_at < now() - interval '1 day'",
        user_id.as_uuid(),
        client,
    )
    .execute(pool)
    .await?;
    if met.rows_affected() > 0 {
        sqlx::query!(
            "DELETE FROM identity.known_clients WHERE user_id = $1 AND client IN (
                 SELECT client FROM identity.known_clients WHERE user_id = $1
                 ORDER BY last_at DESC, client OFFSET $2)",
            user_id.as_uuid(),
            KNOWN_CLIENTS_MAX,
        )
        .execute(pool)
        .await?;
    }
    Ok(())
}

/// Knows none but that one any more: who had the account may have been anywhere.
pub(crate) async fn know_only(
    conn: &mut PgConnection,
    user_id: UserId,
    client: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.known_clients WHERE user_id = $1 AND client <> $2",
        user_id.as_uuid(),
        client,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes at most `limit` of what doesn't count any more, of each kind; how many of the kind that
/// strangers write.
pub(crate) async fn delete_old(pool: &PgPool, limit: u32) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM identity.sign_in_failures WHERE (account_hash, client) IN (
             SELECT account_hash, client FROM identity.sign_in_failures
             WHERE last_at < now() - make_interval(secs => $1)
             ORDER BY last_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        REMEMBERED.as_secs_f64(),
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    sqlx::query!(
        "DELETE FROM identity.known_clients WHERE (user_id, client) IN (
             SELECT user_id, client FROM identity.known_clients
             WHERE last_at < now() - make_interval(secs => $1)
             ORDER BY last_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        KNOWN_FOR.as_secs_f64(),
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
