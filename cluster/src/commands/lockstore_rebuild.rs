//! `holdfast lockstore rebuild`, for processes that run on their own; `up` has `--rebuild-lock-store`.

use sqlx::postgres::PgConnectOptions;

use crate::{
    cli::LockstoreRebuildArgs,
    data_dir::DataDir,
    error::Error,
    secrets::Secrets,
    supervisor::say,
    up::{booking_database, raise_for_rebuild},
};

/// Raises the lineage for a cluster that takes the place of one that was lost, and says how to go on.
/// Asked again before that is done, it says the same.
///
/// # Errors
/// The database can't be reached, or all lineages are used up.
pub(crate) async fn lockstore_rebuild(args: LockstoreRebuildArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let options: PgConnectOptions = args.database_url.parse().map_err(|_| {
        Error::Config(
            "DATABASE_URL: not of the form postgres://user:password@host:port/database".into(),
        )
    })?;
    let pool = booking_database(&options, &Secrets::open(&dir)?).await?;
    let raised = raise_for_rebuild(&pool).await;
    pool.close().await;
    let lineage = raised?;
    say(&format!(
        "The lock store's next life is lineage {lineage}.\n\
         1. Stop every booking-svc, and whatever is left of the old lock store.\n\
         2. Start new lock-store nodes with empty data directories and lockstore.lineage = {lineage}.\n\
         3. Start booking-svc: before it serves, it loads shows, sold seats and booked holds.\n\
         Seats that were held and not booked are free then."
    ));
    Ok(())
}
