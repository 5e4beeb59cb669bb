//! `holdfast db init`

use sqlx::postgres::PgConnectOptions;

use crate::{
    cli::DbInitArgs, data_dir::DataDir, database, error::Error, secrets::Secrets, supervisor::say,
};

/// Makes roles, schemas, grants and the event stream; passwords are in the data directory's
/// `secrets.toml`.
///
/// # Errors
/// [`Error::DataDirInUse`] while an `up` runs there; what Postgres says.
pub(crate) async fn db_init(args: DbInitArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let options: PgConnectOptions = args.database_url.parse().map_err(|_| {
        Error::Config(
            "DATABASE_URL: not of the form postgres://user:password@host:port/database".into(),
        )
    })?;
    let _lock = dir.lock()?;
    let mut secrets = Secrets::open(&dir)?;
    database::init(&options, &mut secrets).await?;
    say(&format!(
        "the database is prepared; the roles' passwords are in {}",
        dir.secrets_file().display()
    ));
    Ok(())
}
