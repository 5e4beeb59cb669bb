//! Why the service didn't start or ended early.

use std::path::PathBuf;

use holdfast_mesh as mesh;

/// Why [`crate::serve`] failed. Refusals of single calls are `mesh::Failure`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting can't be used.
    #[error("search.{key}: {why}")]
    Config {
        /// Which.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// A peer's address can't be used.
    #[error(transparent)]
    Peer(#[from] mesh::client::Error),
    /// The embedded index's folder can't be used.
    #[error("search: the folder {path} can't be used: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No HTTP client for Meilisearch.
    #[error("search: HTTP client")]
    Http(#[source] reqwest::Error),
    /// Serving failed.
    #[error("search: serving failed")]
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
