//! A payment provider to develop, test and demonstrate with: a server of its own, no real money.
//!
//! It behaves as the real ones do: sessions with a hosted page, idempotency keys, charges,
//! refunds, disputes, signed webhooks that are sent again until they are taken, and twice if the payer
//! says so. Owns schema `sandbox`, so that everything survives a restart.
//!
//! Always holds: a session is charged at most once; never more goes back than came in; one
//! idempotency key, one session or refund; a webhook is written in the transaction of what it
//! tells. Leaves to others: what is being paid for.

mod api;
mod deliver;
mod page;
mod sessions;
mod store;
pub(crate) mod wire;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use holdfast_mesh::{self as mesh, config::Secret};
use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
};
use tokio::sync::{Notify, OnceCell};

use crate::{
    Error,
    config::{Invalid, required},
    server::{close, connect},
};

/// The part's name in readiness and logs.
pub const NAME: &str = "sandbox";

/// How often sessions whose time has come are looked for.
const DUE_PERIOD: Duration = Duration::from_millis(200);

/// How often old webhooks are looked for.
const FORGET_PERIOD: Duration = Duration::from_secs(3_600);

/// Settings of the sandbox provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Allows an address other than loopback, in the clear, as `--insecure` does.
    pub insecure: bool,
    /// The base URL customers reach the hosted page at; empty means where it listens.
    pub public_url: String,
    /// Postgres, as the role that owns schema `sandbox`.
    pub database_url: Secret,
    /// Connections in the pool.
    pub database_connections_max: u32,
    /// What merchants authenticate themselves with.
    pub api_key: Secret,
    /// Where webhooks go.
    pub webhook_url: String,
    /// What webhooks are signed with.
    pub webhook_secret: Secret,
    /// What the provider keeps of a payment, in minor units; never more than the payment.
    pub fee_fixed: u32,
    /// And in hundredths of a percent of it, cut to whole minor units.
    pub fee_basis_points: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8081).into(),
            insecure: false,
            public_url: String::new(),
            database_url: Secret::default(),
            database_connections_max: 8,
            api_key: Secret::default(),
            webhook_url: "http://127.0.0.1:8080/api/v1/payments/webhooks/sandbox".to_owned(),
            webhook_secret: Secret::default(),
            fee_fixed: 0,
            fee_basis_points: 0,
        }
    }
}

impl Config {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// [`Invalid`], naming the key.
    pub fn check(&self) -> Result<(), Invalid> {
        required("database_url", self.database_url.expose())?;
        required("api_key", self.api_key.expose())?;
        required("webhook_url", &self.webhook_url)?;
        required("webhook_secret", self.webhook_secret.expose())?;
        if self.database_connections_max == 0 {
            return Err(Invalid {
                key: "database_connections_max",
                why: "must be at least 1".to_owned(),
            });
        }
        if self.fee_basis_points > 10_000 {
            return Err(Invalid {
                key: "fee_basis_points",
                why: "must be at most 10000, which is all of it".to_owned(),
            });
        }
        Ok(())
    }

    /// What is kept of a payment.
    fn fee_of(&self, amount: i64) -> i64 {
        let share = i128::from(amount) * i128::from(self.fee_basis_points) / 10_000;
        let kept = (share + i128::from(self.fee_fixed)).min(i128::from(amount));
        i64::try_from(kept).unwrap_or(amount)
    }
}

/// What every part of the provider works with.
struct Sandbox {
    config: Config,
    context: mesh::Context,
    pool: PgPool,
    http: reqwest::Client,
    /// A webhook was written.
    webhook_written: Notify,
    base: OnceCell<String>,
}

impl Sandbox {
    /// The base URL customers use, known once it listens.
    async fn base(&self) -> &str {
        let base = async || match self.config.public_url.trim_end_matches('/') {
            "" => format!("http://{}", self.context.readiness.address(NAME).await),
            url => url.to_owned(),
        };
        self.base.get_or_init(base).await
    }
}

fn migrator() -> Migrator {
    let migrations = sqlx::migrate!("src/sandbox/migrations")
        .iter()
        .cloned()
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.create_schema("sandbox");
    migrator.dangerous_set_table_name("sandbox._sqlx_migrations");
    migrator
}

/// Makes or upgrades schema `sandbox`; [`serve_sandbox`] does it at start.
///
/// # Errors
/// What the database says, and a migration that was changed after it ran.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    migrator().run(pool).await
}

/// Serves the API, the hosted page and the webhooks until `context.shutdown`, then drains.
///
/// # Errors
/// [`Error`] if it can't start, or its server breaks.
pub async fn serve_sandbox(config: Config, context: mesh::Context) -> Result<(), Error> {
    config.check()?;
    mesh::config::check_bind(config.listen, config.insecure).map_err(mesh::server::Error::from)?;
    let pool = connect(
        config.database_url.expose(),
        config.database_connections_max,
    )
    .await?;
    migrate(&pool).await?;
    let sandbox = Arc::new(Sandbox {
        http: deliver::client()?,
        pool: pool.clone(),
        context: context.clone(),
        webhook_written: Notify::new(),
        base: OnceCell::new(),
        config,
    });
    let ending = context.shutdown.child_token();
    let router = api::router(sandbox.clone()).merge(page::router(sandbox.clone()));
    let Config {
        listen, insecure, ..
    } = sandbox.config;
    let server = async {
        let served = mesh::server::serve_http(NAME, listen, insecure, router, &context).await;
        ending.cancel();
        served
    };
    let due = mesh::task::periodic("sandbox sessions", DUE_PERIOD, ending.clone(), || {
        sessions::end_due(&sandbox)
    });
    let forgetter = mesh::task::periodic("sandbox webhooks", FORGET_PERIOD, ending.clone(), || {
        deliver::forget_old(&sandbox)
    });
    let (served, (), (), ()) =
        tokio::join!(server, due, forgetter, deliver::run(&sandbox, &ending));
    close(&pool).await;
    Ok(served?)
}
