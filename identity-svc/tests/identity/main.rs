//! The service over a real port and a database of its own per test.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use holdfast_mesh::{self as mesh, client::Channel};
use holdfast_proto::identity::v1::{
    ExchangeOperatorTokenRequest, LoginRequest, RegisterRequest, Tokens,
    identity_service_client::IdentityServiceClient,
};
use holdfast_types::ErrorCode;
use identity_svc::Config;
use sqlx::{ConnectOptions, PgPool};
use tokio::task::JoinHandle;
use tonic::{Request, Status};

mod accounts;
mod api_keys;
mod keys;
mod lock_out;
mod mail;
mod operators;
mod organisations;
mod own_data;
mod owners;
mod passwords;
mod sign_ins;
mod starting;

/// Longest wait for anything here.
const LIMIT: Duration = Duration::from_secs(30);

/// What the service under test takes as operator token.
const OPERATOR_TOKEN: &str = "an operator token of a test";

const PASSWORD: &str = "correct horse";

/// A running service and a client of it.
struct Service {
    client: IdentityServiceClient<Channel>,
    context: mesh::Context,
    ended: JoinHandle<Result<(), identity_svc::Error>>,
}

fn config(pool: &PgPool) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database_url: mesh::config::Secret::new(pool.connect_options().to_url_lossy().to_string()),
        database_connections_max: 4,
        operator_token: OPERATOR_TOKEN.into(),
        ..Config::default()
    }
}

async fn start(config: Config) -> Service {
    let context = mesh::Context::new();
    let ended = tokio::spawn(identity_svc::serve(config, context.clone()));
    let address = tokio::time::timeout(LIMIT, context.readiness.address(identity_svc::PART))
        .await
        .expect("listens in time");
    let channel = mesh::client::channel(&format!("http://{address}")).expect("a channel");
    Service {
        client: IdentityServiceClient::new(channel),
        context,
        ended,
    }
}

impl Service {
    /// Drains, and the service ends well.
    async fn stop(self) {
        self.context.shutdown.cancel();
        drop(self.client);
        tokio::time::timeout(LIMIT, self.ended)
            .await
            .expect("ends in time")
            .expect("no panic")
            .expect("drains");
    }

    async fn register(&mut self, email: &str) -> Result<Vec<u8>, Status> {
        let request = RegisterRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
        };
        Ok(self.client.register(request).await?.into_inner().user_id)
    }

    async fn login(&mut self, email: &str, password: &str) -> Result<Tokens, Status> {
        let request = LoginRequest {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        Ok(self
            .client
            .login(request)
            .await?
            .into_inner()
            .tokens
            .expect("tokens"))
    }

    /// An access token from the operator token; of the operator where `email` is empty.
    async fn operator(&mut self, email: &str) -> Result<String, Status> {
        let request = ExchangeOperatorTokenRequest {
            operator_token: OPERATOR_TOKEN.to_owned(),
            email: email.to_owned(),
        };
        Ok(self
            .client
            .exchange_operator_token(request)
            .await?
            .into_inner()
            .access_token)
    }
}

/// The folder that a service writes letters to.
struct Letters {
    folder: tempfile::TempDir,
    read: BTreeSet<PathBuf>,
}

impl Letters {
    /// A folder, and a configuration with it.
    fn of(mut config: Config) -> (Self, Config) {
        let folder = tempfile::tempdir().expect("a folder");
        config.mail.folder = folder.path().to_owned();
        let read = BTreeSet::new();
        (Self { folder, read }, config)
    }

    /// The next letter that wasn't read, oldest first.
    async fn next(&mut self) -> String {
        let found = async {
            loop {
                let files = std::fs::read_dir(self.folder.path()).expect("a folder");
                let files = files.map(|file| file.expect("reads").path());
                let letters = files.filter(|path| path.extension().is_some_and(|end| end == "eml"));
                let oldest = letters.filter(|path| !self.read.contains(path)).min();
                if let Some(oldest) = oldest {
                    return oldest;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let path = tokio::time::timeout(LIMIT, found).await.expect("in time");
        let letter = std::fs::read_to_string(&path).expect("reads");
        self.read.insert(path);
        letter
    }
}

/// `message` from the client at that address, as the gateway sends it.
fn from_client<T>(address: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = address.parse().expect("metadata");
    request
        .metadata_mut()
        .insert(mesh::auth::CLIENT_ADDRESS, value);
    request
}

/// `message` from the holder of `access_token`.
fn as_holder<T>(access_token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {access_token}").parse().expect("metadata");
    request.metadata_mut().insert(mesh::auth::HEADER, value);
    request
}

/// The code of a refusal, and the fields it names.
fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (ErrorCode, Vec<String>) {
    let failure = mesh::Failure::from_status(&result.expect_err("refused"));
    (
        failure.code(),
        failure
            .fields()
            .iter()
            .map(|violation| violation.field.clone())
            .collect(),
    )
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(pool)
        .await
        .expect("counts")
}

/// Waits until somebody waits for a lock in this database.
async fn somebody_waits(pool: &PgPool) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = async {
        while count(pool, waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, waits).await.expect("in time");
}

/// As the link in the letter does.
async fn has_verified(pool: &PgPool, email: &str) {
    let verified =
        sqlx::query("UPDATE identity.users SET email_verified_at = now() WHERE email = $1");
    let verified = verified.bind(email).execute(pool).await;
    assert_eq!(verified.expect("writes").rows_affected(), 1);
}
