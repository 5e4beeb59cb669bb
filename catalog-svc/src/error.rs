//! Why the service didn't start or ended early.

use holdfast_mesh as mesh;

/// Why [`crate::serve`] failed. Refusals of single calls are `mesh::Failure`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting can't be used.
    #[error("catalog.{key}: {why}")]
    Config {
        /// Which.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// A peer's address can't be used.
    #[error(transparent)]
    Peer(#[from] mesh::client::Error),
    /// Postgres can't be used.
    #[error("catalog: connecting to the database failed")]
    Database(#[source] sqlx::Error),
    /// The schema can't be brought up to date.
    #[error("catalog: migrating the database failed")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Serving failed.
    #[error("catalog: serving failed")]
    Serve(#[source] Box<mesh::server::Error>),
}

impl From<(&'static str, String)> for Error {
    fn from((key, why): (&'static str, String)) -> Self {
        Self::Config { key, why }
    }
}

impl From<mesh::server::Error> for Error {
    fn from(error: mesh::server::Error) -> Self {
        Self::Serve(Box::new(error))
    }
}
