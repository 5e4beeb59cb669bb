//! The keys that sign access tokens.

use sqlx::PgPool;

use crate::token::SigningKey;

/// All keys, newest first. `new` is kept if there is none yet, whichever of several processes
/// comes first.
pub(crate) async fn load_or_insert(
    pool: &PgPool,
    new: SigningKey,
) -> Result<Vec<SigningKey>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query!("LOCK TABLE identity.signing_keys IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "INSERT INTO identity.signing_keys (key_id, seed)
         SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM identity.signing_keys)",
        new.key_id,
        new.seed.as_slice(),
    )
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query!(
        "SELECT key_id, seed FROM identity.signing_keys ORDER BY created_at DESC, key_id"
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows
        .into_iter()
        .map(|row| SigningKey {
            key_id: row.key_id,
            seed: row
                .seed
                .try_into()
                .expect("the table's check admits 32 bytes only"),
        })
        .collect())
}
