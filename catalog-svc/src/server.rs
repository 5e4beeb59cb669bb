//! Composition: pool, clients, service, relay, serve, drain.

use std::time::Duration;

use holdfast_mesh as mesh;
use holdfast_proto::part;
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{
    Config, Error,
    app::{publish::OUTBOX, tell_events},
    clients, grpc,
};

/// The part's name in readiness and logs.
pub const NAME: &str = "catalog";

/// How long a call waits for a connection before it is told to come again.
const ACQUIRE_MAX: Duration = Duration::from_secs(3);

/// Longest statement: as long as a call may take. The longest are inserts of 5,000 seats and reading
/// 100,000; longer means a lock that won't come.
const STATEMENT_TIMEOUT: &str = "10s";

/// How long connections may take to end at shutdown.
const CLOSE_MAX: Duration = Duration::from_secs(2);

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Brings schema `catalog` up to date. Several may do so at once.
///
/// # Errors
/// If Postgres is away, or the schema is newer than this program.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await
}

/// Serves the catalogue until shutdown, then drains.
///
/// # Errors
/// [`Error`] if a setting is wrong, Postgres is away at start, or the listener breaks.
pub async fn serve(config: Config, context: mesh::Context) -> Result<(), Error> {
    context.readiness.declare(NAME);
    config.check(context.identity.is_some())?;
    let identity = context.channel(&config.identity, part::IDENTITY)?;
    let booking = context.channel(&config.booking, part::BOOKING)?;
    let pool = connect(&config).await?;

    let options = mesh::server::Options {
        name: NAME,
        listen: config.listen,
        insecure: config.insecure,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let routes = grpc::routes(pool.clone(), clients::identity::verifier(identity), booking);
    // Ends the relay with the server, whichever way that ends.
    let ending = context.shutdown.child_token();
    let relay = holdfast_eventlog::relay(pool.clone(), &OUTBOX, ending.clone());
    let telling = {
        let (pool, period) = (pool.clone(), tell_events::PERIOD);
        mesh::task::periodic("catalog.tell_events", period, ending.clone(), move || {
            let pool = pool.clone();
            async move { tell_events::tell(&pool).await }
        })
    };
    let server = async {
        let served = mesh::server::serve_grpc(options, routes, &context).await;
        ending.cancel();
        served
    };
    let (served, (), ()) = tokio::join!(server, relay, telling);
    if tokio::time::timeout(CLOSE_MAX, pool.close()).await.is_err() {
        tracing::warn!("a database connection was still in use at shutdown");
    }
    Ok(served?)
}

/// A pool on the schema brought up to date.
async fn connect(config: &Config) -> Result<PgPool, Error> {
    let options = config.database()?.application_name("holdfast-catalog");
    let pool = |connections, options| {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_MAX)
            .connect_with(options)
    };
    // Without the statement timeout: a migration may take long, or wait for another process's.
    let alone = pool(1, options.clone()).await.map_err(Error::Database)?;
    migrate(&alone).await?;
    alone.close().await;
    // Postgres compiles a statement of which it expects much, and that takes longer than any of ours
    // runs: pages are bounded in ways that it doesn't see.
    let options = options.options([("statement_timeout", STATEMENT_TIMEOUT), ("jit", "off")]);
    pool(config.database_connections_max, options)
        .await
        .map_err(Error::Database)
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;

    use super::*;

    #[sqlx::test(migrations = false)]
    async fn statements_that_serve_calls_are_cut_off(pool: PgPool) {
        let config = Config {
            database_url: mesh::config::Secret::new(pool.connect_options().to_url_lossy()),
            ..Config::default()
        };
        let pool = connect(&config).await.expect("connects");
        let limit: String = sqlx::query_scalar("SHOW statement_timeout")
            .fetch_one(&pool)
            .await
            .expect("is told");
        assert_eq!(limit, STATEMENT_TIMEOUT);
    }
}
