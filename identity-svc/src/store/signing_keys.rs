//! The keys that sign access tokens.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::token::SigningKey;

/// The newest key.
pub(crate) struct Newest {
    pub(crate) key_id: String,
    pub(crate) signs_from: DateTime<Utc>,
    /// It was made just now.
    pub(crate) made: bool,
}

/// All keys, the one that signs last first. `new` is kept if there is none yet, whichever of several
/// processes comes first.
pub(crate) async fn load_or_insert(
    pool: &PgPool,
    new: SigningKey,
) -> Result<Vec<SigningKey>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    lock(&mut tx).await?;
    sqlx::query!(
        "INSERT INTO identity.signing_keys (key_id, seed)
         SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM identity.signing_keys)",
        new.key_id,
        new.seed.as_slice(),
    )
    .execute(&mut *tx)
    .await?;
    let keys = load(&mut tx).await?;
    tx.commit().await?;
    Ok(keys)
}

/// All keys, the one that signs last first.
pub(crate) async fn load(conn: &mut PgConnection) -> Result<Vec<SigningKey>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT key_id, seed, signs_from <= now() AS "signs!"
           FROM identity.signing_keys ORDER BY signs_from DESC, key_id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SigningKey {
            key_id: row.key_id,
            seed: row
                .seed
                .try_into()
                .expect("the table's check admits 32 bytes only"),
            signs: row.signs,
        })
        .collect())
}

/// Makes `new` the newest key, which signs after `wait`; unless one is waiting to sign, or the newest is
/// younger than `age`.
pub(crate) async fn rotate(
    conn: &mut PgConnection,
    new: &SigningKey,
    wait: Duration,
    age: Duration,
) -> Result<Newest, sqlx::Error> {
    lock(conn).await?;
    let newest = sqlx::query!(
        r#"SELECT key_id, signs_from, created_at > now() - make_interval(secs => $1) OR signs_from > now() AS "stays!"
           FROM identity.signing_keys ORDER BY signs_from DESC, key_id LIMIT 1"#,
        age.as_secs_f64(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(newest) = newest.filter(|newest| newest.stays) {
        return Ok(Newest {
            key_id: newest.key_id,
            signs_from: newest.signs_from,
            made: false,
        });
    }
    let signs_from = sqlx::query_scalar!(
        "INSERT INTO identity.signing_keys (key_id, seed, signs_from)
         VALUES ($1, $2, now() + make_interval(secs => $3)) RETURNING signs_from",
        new.key_id,
        new.seed.as_slice(),
        wait.as_secs_f64(),
    )
    .fetch_one(conn)
    .await?;
    Ok(Newest {
        key_id: new.key_id.clone(),
        signs_from,
        made: true,
    })
}

/// Whether the newest key was made longer ago than that.
pub(crate) async fn is_old(pool: &PgPool, age: Duration) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT FROM identity.signing_keys
               WHERE created_at > now() - make_interval(secs => $1)) AS "old!""#,
        age.as_secs_f64(),
    )
    .fetch_one(pool)
    .await
}

/// Deletes keys that others have signed instead of for longer than that.
pub(crate) async fn delete_superseded(pool: &PgPool, kept: Duration) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM identity.signing_keys AS old WHERE EXISTS (
             SELECT FROM identity.signing_keys AS next
             WHERE next.signs_from > old.signs_from
               AND next.signs_from < now() - make_interval(secs => $1))",
        kept.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

async fn lock(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("LOCK TABLE identity.signing_keys IN SHARE ROW EXCLUSIVE MODE")
        .execute(conn)
        .await?;
    Ok(())
}
