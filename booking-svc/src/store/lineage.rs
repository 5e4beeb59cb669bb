//! The current lineage of the lock store: which life of the cluster may decide anything here.

use holdfast_types::Lineage;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::{Error, corrupt};

/// Advisory lock of the lineage: transactions that build on a store answer share it, raising the
/// lineage takes it alone. Any fixed value; "hf" "lineage" in ASCII.
const LOCK: i64 = 0x6866_6c69_6e65_6167;

/// Begins a transaction during which the lineage can't be raised.
pub(crate) async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Error> {
    let mut transaction = holdfast_eventlog::begin(pool).await?;
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared($1)::text AS locked",
        LOCK
    )
    .fetch_one(&mut *transaction)
    .await?;
    Ok(transaction)
}

/// The current lineage, and whether its store is yet to be loaded.
pub(crate) async fn current(
    connection: &mut PgConnection,
) -> Result<Option<(Lineage, bool)>, Error> {
    let row = sqlx::query!("SELECT lineage, rebuilding FROM booking.lineage")
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((to_lineage(row.lineage)?, row.rebuilding)))
        .transpose()
}

fn to_lineage(column: i16) -> Result<Lineage, Error> {
    u8::try_from(column)
        .map(Lineage)
        .map_err(|error| corrupt("lineage", error).into())
}

async fn read(connection: &mut PgConnection) -> Result<Option<Lineage>, Error> {
    let row = sqlx::query_scalar!("SELECT lineage FROM booking.lineage")
        .fetch_optional(connection)
        .await?;
    row.map(to_lineage).transpose()
}

/// Takes `first` as the lineage of a database that has met no cluster yet; one that has is left.
/// Returns the current one.
pub(crate) async fn adopt(
    connection: &mut PgConnection,
    first: Lineage,
) -> Result<Option<Lineage>, Error> {
    sqlx::query!(
        "INSERT INTO booking.lineage (lineage) VALUES ($1) ON CONFLICT DO NOTHING",
        i16::from(first.0)
    )
    .execute(&mut *connection)
    .await?;
    read(connection).await
}

/// The current lineage; `None` before the first cluster.
///
/// # Errors
/// [`Error::Database`]; [`Error::Corrupt`] for a number that can't be one.
pub async fn current_lineage(pool: &PgPool) -> Result<Option<Lineage>, Error> {
    read(&mut *pool.acquire().await?).await
}

/// Raises the lineage by one, when no transaction builds on an answer any more, and returns it:
/// for a cluster that is about to be initialised. `None` when all 255 are used up.
///
/// # Errors
/// [`Error::Database`].
pub async fn raise_lineage(pool: &PgPool) -> Result<Option<Lineage>, Error> {
    raise(pool, false).await
}

/// The same for a cluster that takes the place of one that was lost: booking-svc loads what it knows
/// into it before it serves again. While that is pending nothing is raised again.
///
/// # Errors
/// As [`raise_lineage`].
pub async fn begin_rebuild(pool: &PgPool) -> Result<Option<Lineage>, Error> {
    raise(pool, true).await
}

/// Waits until no transaction builds on an answer, and keeps all that would begin waiting.
pub(crate) async fn lock_alone(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)::text AS locked", LOCK)
        .fetch_one(connection)
        .await?;
    Ok(())
}

async fn raise(pool: &PgPool, rebuilds: bool) -> Result<Option<Lineage>, Error> {
    let mut transaction = holdfast_eventlog::begin(pool).await?;
    lock_alone(&mut transaction).await?;
    let next = match read(&mut transaction).await? {
        None => Some(Lineage(1)),
        current if rebuilds && is_pending(&mut transaction).await? => return Ok(current),
        Some(Lineage(lineage)) => lineage.checked_add(1).map(Lineage),
    };
    if let Some(Lineage(next)) = next {
        sqlx::query!(
            "INSERT INTO booking.lineage (lineage, rebuilding) VALUES ($1, $2)
             ON CONFLICT (only_row) DO UPDATE
             SET lineage = excluded.lineage, rebuilding = excluded.rebuilding",
            i16::from(next),
            rebuilds
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(next)
}

/// [`is_rebuild_pending`], within a transaction.
pub(crate) async fn is_pending(connection: &mut PgConnection) -> Result<bool, Error> {
    let row = sqlx::query_scalar!("SELECT rebuilding FROM booking.lineage")
        .fetch_optional(connection)
        .await?;
    Ok(row.unwrap_or(false))
}

/// Whether the lock store has yet to be loaded with what is known here.
///
/// # Errors
/// [`Error::Database`].
pub async fn is_rebuild_pending(pool: &PgPool) -> Result<bool, Error> {
    is_pending(&mut *pool.acquire().await?).await
}

/// `lineage` has been loaded.
pub(crate) async fn end_rebuild(
    connection: &mut PgConnection,
    lineage: Lineage,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE booking.lineage SET rebuilding = false WHERE lineage = $1",
        i16::from(lineage.0)
    )
    .execute(connection)
    .await?;
    Ok(())
}
