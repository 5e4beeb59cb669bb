//! `db init`: what only the database's owner may do. Roles are cluster-wide in Postgres, so they
//! are made here, once, and never in a migration.
//!
//! Always holds: one role and one schema per service, a role owns its schema alone; running it
//! again changes nothing but passwords that differ from `secrets.toml`. Roles carry the database's
//! name (`holdfast_booking`), so that two systems on one server don't share them.
//! Leaves to the services: their own tables, by their own migrations.

use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::Instant;

use crate::{
    data_dir::DataDir,
    error::Error,
    secrets::{CLUSTER_ID, DATABASE_ID, Secrets, database_password},
    up::ALL_SERVICES,
};

/// Services with a role, and a schema of their own. That of search is empty: it keeps its place in
/// the event stream, and an index elsewhere.
pub(crate) const SERVICES: [&str; 6] = [
    "identity", "catalog", "booking", "payment", "search", "sandbox",
];

/// Services that write to the event stream or read it.
const ON_THE_STREAM: [&str; 4] = ["catalog", "booking", "payment", "search"];

/// Services whose prepared statements look for keys, with one good plan whatever the parameters.
const ASKING_THE_SAME: [&str; 3] = ["booking", "payment", "sandbox"];

/// One starter at a time; any number will do, as long as nobody else uses it.
const INIT_LOCK: i64 = 0x6462_2069_6e69_7421;

/// How long a command waits for a connection.
const COMMAND_CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Between two tries while the server starts.
const POLL: Duration = Duration::from_millis(100);

/// SQLSTATE `invalid_password`.
const INVALID_PASSWORD: &str = "28P01";

/// Waits until the server answers as `options` say, as long as `hopeless` gives no reason to stop.
///
/// # Errors
/// The last answer, when `limit` has passed; at once, as `wrong_password` words it, for a wrong
/// password, or when `hopeless`.
pub(crate) async fn wait_until_up(
    options: &PgConnectOptions,
    limit: Duration,
    wrong_password: &str,
    hopeless: impl Fn() -> Option<String>,
) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    loop {
        let error = match options.connect().await {
            Ok(connection) => return connection.close().await.context("can't close a connection"),
            Err(error) => error,
        };
        let code = error.as_database_error().and_then(|e| e.code());
        if code.as_deref() == Some(INVALID_PASSWORD) {
            return Err(error).with_context(|| wrong_password.to_owned());
        }
        if let Some(why) = hopeless() {
            bail!("Postgres {why}");
        }
        if Instant::now() >= end {
            return Err(error)
                .with_context(|| format!("Postgres doesn't answer after {} s", limit.as_secs()));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Makes the database `name` where it is missing, connected to another of the same server.
///
/// # Errors
/// What Postgres says.
pub(crate) async fn ensure_database(server: &PgConnectOptions, name: &str) -> anyhow::Result<()> {
    let mut connection = server.connect().await?;
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
    if !there {
        execute(
            &mut connection,
            format!("CREATE DATABASE {}", identifier(name)?),
        )
        .await?;
    }
    Ok(connection.close().await?)
}

/// Roles, schemas, grants and the event stream's tables.
///
/// # Errors
/// What Postgres says, e.g. that the user may not make roles.
pub(crate) async fn init(options: &PgConnectOptions, secrets: &mut Secrets) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_with(options.clone())
        .await
        .context("can't connect to the database")?;
    let mut connection = pool.acquire().await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(INIT_LOCK)
        .execute(&mut *connection)
        .await?;
    let done = init_locked(&pool, &mut connection, secrets).await;
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(INIT_LOCK)
        .execute(&mut *connection)
        .await?;
    drop(connection);
    pool.close().await;
    done
}

async fn init_locked(
    pool: &PgPool,
    connection: &mut PgConnection,
    secrets: &mut Secrets,
) -> anyhow::Result<()> {
    let database: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&mut *connection)
        .await?;
    let in_database = identifier(&database)?;
    // First: nothing is changed in a database of somebody else.
    claim(connection, secrets).await?;
    for service in SERVICES {
        let role = identifier(&role_name(&database, service))?;
        let password = literal(&secrets.get_or_make(&database_password(service))?)?;
        let there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)",
        )
        .bind(role_name(&database, service))
        .fetch_one(&mut *connection)
        .await?;
        let verb = if there { "ALTER" } else { "CREATE" };
        execute(
            connection,
            format!("{verb} ROLE {role} LOGIN PASSWORD {password}"),
        )
        .await?;
        if ASKING_THE_SAME.contains(&service) {
            // Planning would cost more than most of their statements, and never finds another plan.
            let planned = format!("ALTER ROLE {role} SET plan_cache_mode = force_generic_plan");
            execute(connection, planned).await?;
        }
        // A user who is no superuser must be a member of a role to make a schema for it.
        execute(connection, format!("GRANT {role} TO CURRENT_USER")).await?;
        execute(
            connection,
            format!(
                "CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {role}",
                identifier(service)?
            ),
        )
        .await?;
        // The migrator says `CREATE SCHEMA IF NOT EXISTS`, which asks for this right even where the
        // schema is there.
        execute(
            connection,
            format!("GRANT CONNECT, CREATE ON DATABASE {in_database} TO {role}"),
        )
        .await?;
    }
    holdfast_eventlog::migrate(pool)
        .await
        .context("can't make the event stream's tables")?;
    for service in ON_THE_STREAM {
        let role = role_name(&database, service);
        holdfast_eventlog::grant_service(pool, &role)
            .await
            .context("can't let a service use the event stream")?;
    }
    Ok(())
}

/// Ties database and data directory to each other. Two clusters on one database would each give
/// out the same seats; one cluster with two databases would sell in one what is sold in the other.
async fn claim(connection: &mut PgConnection, secrets: &mut Secrets) -> anyhow::Result<()> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('holdfast.cluster') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    let other_database = "this data directory belongs to another database: name the one it was made with in DATABASE_URL (none for the private Postgres), or use another data directory";
    if secrets.get(DATABASE_ID).is_some() && !there {
        bail!(other_database);
    }
    execute(connection, "CREATE SCHEMA IF NOT EXISTS holdfast".into()).await?;
    let table = "CREATE TABLE IF NOT EXISTS holdfast.cluster (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), cluster_id text NOT NULL)";
    execute(connection, table.into()).await?;
    let database_id = "ALTER TABLE holdfast.cluster ADD COLUMN IF NOT EXISTS database_id uuid NOT NULL DEFAULT gen_random_uuid()";
    execute(connection, database_id.into()).await?;
    let cluster_id = secrets.get_or_make(CLUSTER_ID)?;
    sqlx::query("INSERT INTO holdfast.cluster (cluster_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(&cluster_id)
        .execute(&mut *connection)
        .await?;
    let (owner, database_id): (String, String) =
        sqlx::query_as("SELECT cluster_id, database_id::text FROM holdfast.cluster")
            .fetch_one(&mut *connection)
            .await?;
    if owner != cluster_id {
        bail!(
            "this database belongs to another lock-store cluster ({owner}, not {cluster_id}): use the data directory it was made with, or another database"
        );
    }
    match secrets.get(DATABASE_ID) {
        Some(known) if known != database_id => bail!(other_database),
        Some(_) => Ok(()),
        None => secrets.set(DATABASE_ID, database_id),
    }
}

/// The role of a service in a database.
pub(crate) fn role_name(database: &str, service: &str) -> String {
    format!("{database}_{service}")
}

/// How a service signs in: the server and database of `options`, its own role and password.
///
/// # Errors
/// No password is known yet (`db init` was not run).
pub(crate) fn service_url(
    options: &PgConnectOptions,
    service: &str,
    secrets: &Secrets,
) -> anyhow::Result<String> {
    let name = database_password(service);
    let password = secrets
        .get(&name)
        .with_context(|| format!("secrets.toml has no {name}"))?;
    let database = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    // Named, because one that isn't is the role's own name to Postgres.
    let url = options
        .clone()
        .database(database)
        .username(&role_name(database, service))
        .password(password)
        .to_url_lossy();
    Ok(url.to_string())
}

/// Connects to the database of a running system as one of its services, with what `up` wrote into
/// that service's configuration.
///
/// # Errors
/// [`Error::Unreachable`] where `up` has never run, or no server answers.
pub(crate) async fn connect_as(dir: &DataDir, service: &str) -> Result<PgPool, Error> {
    let path = dir.config_file(ALL_SERVICES);
    let unreachable = |why: String| Error::Unreachable {
        what: "the database".into(),
        why,
    };
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(unreachable(format!(
                "{} is not there; start a system with `holdfast up`, or name its data directory with --data-dir",
                path.display()
            )));
        }
        read => read.with_context(|| format!("can't read {}", path.display()))?,
    };
    let config: toml::Table =
        toml::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
    let options: PgConnectOptions = config
        .get(service)
        .and_then(|section| section.get("database_url")?.as_str()?.parse().ok())
        .with_context(|| format!("{} has no {service}.database_url", path.display()))?;
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(COMMAND_CONNECT_LIMIT)
        .connect_with(options)
        .await
        .map_err(|e| unreachable(format!("{e}; is `holdfast up` running?")))
}

async fn execute(connection: &mut PgConnection, sql: String) -> anyhow::Result<()> {
    connection.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

/// A quoted name. Names come from us and from the owner's own database name; anything that would
/// need escaping is refused.
fn identifier(name: &str) -> anyhow::Result<String> {
    let plain = !name.is_empty()
        && name.len() <= 50
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !plain {
        bail!(
            "the name {name:?} can't be used in the database: letters, digits, _ and - only, at most 50"
        );
    }
    Ok(format!("\"{name}\""))
}

/// A quoted text, which must be one of our generated secrets.
fn literal(text: &str) -> anyhow::Result<String> {
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    {
        bail!("a password in secrets.toml has characters that this program doesn't generate");
    }
    Ok(format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_use_the_database_that_a_url_without_one_means() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::choose(Some(temp.path().to_owned())).unwrap();
        let mut secrets = Secrets::open(&dir).unwrap();
        secrets.get_or_make(&database_password("booking")).unwrap();
        for (url, database) in [
            ("postgres://owner@127.0.0.1:5432", "owner"),
            ("postgres://owner@127.0.0.1:5432/tickets", "tickets"),
        ] {
            let options: PgConnectOptions = url.parse().unwrap();
            let url = service_url(&options, "booking", &secrets).unwrap();
            let service: PgConnectOptions = url.parse().unwrap();
            assert_eq!(service.get_database(), Some(database));
            assert_eq!(service.get_username(), format!("{database}_booking"));
        }
    }
}
