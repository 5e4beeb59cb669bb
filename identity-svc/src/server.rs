//! Composition: pool, keys, gRPC, and what runs beside it: mail, keys, and the sweep of what has ended.

use std::{sync::Arc, time::Duration};

use holdfast_mesh::{self as mesh, auth::Verifier};
use holdfast_proto::identity::v1::identity_service_server::IdentityServiceServer;
use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
    postgres::PgPoolOptions,
};
use tonic::service::Routes;

use crate::{
    Config,
    app::{App, rotate_keys},
    grpc::Identity,
    hash_threads::HashThreads,
    mail::{self, Sink},
    password::Hasher,
    store::{audit, failures, organisations, sign_ins, signing_keys},
    token::{Issuer, SigningKey},
};

/// The service's name in readiness.
pub const PART: &str = "identity";

/// Longest wait for a connection of the pool; well under a call's deadline.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(3);

/// Longest statement. All are by key; longer means a lock that won't come.
const STATEMENT_TIMEOUT: &str = "5s";

/// How often ended sign-ins, wrong passwords and letters are deleted, how many by one statement, and how many statements follow
/// one another while there are more: a million in a period, or 1,600 sign-ins a second.
const SWEEP_PERIOD: Duration = Duration::from_secs(600);
const SWEPT_MAX: u32 = 1_000;
const SWEEP_BATCHES_MAX: usize = 1_000;

/// The migrations of schema `identity`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Why the service didn't start or ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting can't be used.
    #[error("identity.{key}: {why}")]
    Config {
        /// Which.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// Postgres can't be reached, or a statement failed.
    #[error("identity: database")]
    Database(#[from] sqlx::Error),
    /// The schema couldn't be brought up to date.
    #[error("identity: migrating the schema")]
    Migrate(#[from] MigrateError),
    /// The signing key is unusable.
    #[error("identity: signing keys")]
    SigningKeys(#[from] jsonwebtoken::errors::Error),
    /// Password hashing can't be set up.
    #[error("identity: password hashing")]
    Hashing(#[from] argon2::password_hash::Error),
    /// Its threads can't be started.
    #[error("identity: threads for password hashing")]
    Threads(#[source] std::io::Error),
    /// Serving failed.
    #[error("identity: serving")]
    Serve(#[from] mesh::server::Error),
}

impl From<(&'static str, String)> for Error {
    fn from((key, why): (&'static str, String)) -> Self {
        Self::Config { key, why }
    }
}

/// Makes or upgrades schema `identity`; several at once are fine.
///
/// # Errors
/// What the database says, and a migration that was changed after it ran.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pool).await
}

/// Runs the service until shutdown, then drains. Its address is in readiness under [`PART`].
///
/// # Errors
/// [`Error`] if it can't start or its listener breaks.
pub async fn serve(config: Config, context: mesh::Context) -> Result<(), Error> {
    context.readiness.declare(PART);
    config.check(context.identity.is_some())?;
    let pool = connect(&config).await?;

    let keys = signing_keys::load_or_insert(&pool, SigningKey::generate()?).await?;
    let issuer = Arc::new(Issuer::new(&keys)?);
    let sink = Sink::new(&config.mail)?;
    if sink.is_none() {
        tracing::warn!(
            "nobody gets mail: neither identity.mail.smtp_url nor identity.mail.folder is set"
        );
    }
    let published = issuer.clone();
    let identity = Identity {
        app: App {
            pool: pool.clone(),
            hasher: Hasher::new(HashThreads::start().map_err(Error::Threads)?)?,
            issuer: issuer.clone(),
            verifier: Verifier::new(move || std::future::ready(Ok(published.jwks()))),
            operator_token: config.operator_token,
        },
    };
    let options = mesh::server::Options {
        name: PART,
        listen: config.listen,
        insecure: config.insecure,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let routes = Routes::new(IdentityServiceServer::new(identity));
    let shutdown = || context.shutdown.clone();
    let beside = async {
        let sweep =
            mesh::task::periodic("sweep sign-ins", SWEEP_PERIOD, shutdown(), || sweep(&pool));
        let keys =
            mesh::task::periodic("keep signing keys", rotate_keys::PERIOD, shutdown(), || {
                rotate_keys::keep_keys(&pool, &issuer)
            });
        let mails = async {
            let Some(sink) = &sink else { return };
            let links = &config.mail.links;
            let step = || mail::send_due(&pool, sink, links);
            mesh::task::periodic("send mail", mail::PERIOD, shutdown(), step).await;
        };
        tokio::join!(sweep, keys, mails);
        std::future::pending().await
    };
    tokio::select! {
        served = mesh::server::serve_grpc(options, routes, &context) => Ok(served?),
        never = beside => never,
    }
}

/// A pool on the schema brought up to date.
async fn connect(config: &Config) -> Result<PgPool, Error> {
    let options = config.database()?.application_name("holdfast-identity");

    // Without the statement timeout: a migration may take long, or wait for another process's.
    let alone = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECTION_WAIT_MAX)
        .connect_with(options.clone())
        .await?;
    migrate(&alone).await?;
    alone.close().await;

    Ok(PgPoolOptions::new()
        .max_connections(config.database_connections_max)
        .acquire_timeout(CONNECTION_WAIT_MAX)
        .connect_with(options.options([("statement_timeout", STATEMENT_TIMEOUT)]))
        .await?)
}

async fn sweep(pool: &PgPool) -> Result<(), sqlx::Error> {
    for _ in 0..SWEEP_BATCHES_MAX {
        let deleted = sign_ins::delete_expired(pool, SWEPT_MAX).await?;
        let forgotten = failures::delete_old(pool, SWEPT_MAX).await?;
        let letters = mail::sweep(pool, SWEPT_MAX).await?;
        let noted = audit::delete_old_sign_ins(pool, SWEPT_MAX).await?;
        organisations::delete_expired(pool, SWEPT_MAX).await?;
        if deleted > 0 {
            tracing::debug!(deleted, "deleted sign-ins that had run out");
        }
        if deleted.max(forgotten).max(letters).max(noted) < u64::from(SWEPT_MAX) {
            return Ok(());
        }
    }
    Ok(())
}
