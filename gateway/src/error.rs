//! Why the gateway could not start or go on. What a request can meet is in `failure.rs`.

use holdfast_mesh as mesh;

/// Why `serve` ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting can't be used.
    #[error("gateway.{key}: {why}")]
    Config {
        /// The key below `gateway`.
        key: &'static str,
        /// What is wrong with its value.
        why: String,
    },
    /// The address of a service can't be used.
    #[error(transparent)]
    Client(#[from] mesh::client::Error),
    /// The HTTP server didn't start, or its listener failed.
    #[error(transparent)]
    Server(Box<mesh::server::Error>),
}

impl From<(&'static str, String)> for Error {
    fn from((key, why): (&'static str, String)) -> Self {
        Self::Config { key, why }
    }
}

impl From<mesh::server::Error> for Error {
    fn from(source: mesh::server::Error) -> Self {
        Self::Server(Box::new(source))
    }
}
