//! Transactions of a pool that others use, too.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction, whatever becomes of who wants it: in a task of its own, because the driver ends no
/// transaction whose beginning was broken off, and who got its connection next would be in the middle of it.
///
/// # Errors
/// What the driver says.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
