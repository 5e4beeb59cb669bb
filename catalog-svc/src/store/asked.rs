//! `catalog.asked`: with what a thing was made.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Error;

/// SHA-256 of the request that made a thing.
pub(crate) type Sha256 = [u8; 32];

/// Records it, in the transaction that makes the thing.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    thing_id: Uuid,
    asked: Sha256,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO catalog.asked (thing_id, sha256) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        thing_id,
        &asked[..],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a thing was made with just that.
pub(crate) async fn is_by(pool: &PgPool, thing_id: Uuid, asked: Sha256) -> Result<bool, Error> {
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM catalog.asked WHERE thing_id = $1 AND sha256 = $2) AS "there!""#,
        thing_id,
        &asked[..],
    )
    .fetch_one(pool)
    .await?;
    Ok(there)
}
