//! What ends a server of this crate.

use holdfast_mesh as mesh;

use crate::config::Invalid;

/// Why payment-svc, or the sandbox provider, didn't start or ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing or unusable.
    #[error(transparent)]
    Config(#[from] Invalid),
    /// The database can't be reached.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// The schema couldn't be brought up to date.
    #[error("database migration")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// No HTTP client.
    #[error("HTTP client")]
    Http(#[from] reqwest::Error),
    /// identity-svc's address can't be one.
    #[error(transparent)]
    Client(#[from] mesh::client::Error),
    /// The server couldn't bind, or broke.
    #[error(transparent)]
    Server(#[from] mesh::server::Error),
}
