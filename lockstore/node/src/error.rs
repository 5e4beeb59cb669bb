//! Why a node doesn't start, or stops.

use std::{io, path::PathBuf};

use holdfast_mesh as mesh;

use crate::raft;

/// Why a node doesn't start, or stops before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration can't be used; names the key.
    #[error("lockstore.{key}: {why}")]
    Config {
        /// The key, dotted.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A member's address isn't `http://host:port`, or `https` with TLS.
    #[error("peer address {address:?} isn't of the form http://host:port, or https with TLS")]
    Address {
        /// What was given.
        address: String,
    },
    /// A file or folder of the data directory.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// The data directory belongs to another node, cluster, lineage or format.
    #[error(
        "{path} belongs to {found}, and this is {expected}: start it with its own configuration, \
         or this node with its own data directory"
    )]
    ForeignState {
        /// The data directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who was started.
        expected: String,
    },
    /// A part of the data directory is gone.
    #[error(
        "{path} has lost {lost}: this node must not start with this directory, since it may have \
         promised what is gone. Don't put an older copy in its place, which could lose \
         acknowledged writes; this version can't replace a member yet, so keep the others running"
    )]
    MissingState {
        /// The data directory.
        path: PathBuf,
        /// What is gone.
        lost: &'static str,
    },
    /// The log is older than what this node had, by its own record.
    #[error(
        "{path} was put back from an older copy, or has lost its end: it has {found}, and had \
         {expected}. This node must not start with it, since acknowledged writes and votes may be \
         gone. If the newer directory is still there, put it back whole; if not, leave this node \
         off: this version can't replace a member yet, so keep the others running"
    )]
    RolledBack {
        /// The data directory.
        path: PathBuf,
        /// What its log has.
        found: String,
        /// What it had.
        expected: String,
    },
    /// The file that says what the log must have can't be read.
    #[error(
        "{path} can't be used: {problem}. It says what the log must have, so that nobody can tell \
         whether acknowledged writes are gone. Don't remove it or put an older copy in its place; \
         leave this node off: this version can't replace a member yet, so keep the others running"
    )]
    Watermark {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The cluster was founded with this node, which has nothing any more.
    #[error(
        "node {node_id} has no state, but node {peer_id} knows that the cluster was founded with \
         it: its disk was lost, and it must not start, neither empty nor with an older copy of its \
         data directory, which could lose acknowledged writes. This version can't replace a member \
         yet, so keep the others running"
    )]
    LostState {
        /// This node.
        node_id: u64,
        /// Who says so.
        peer_id: u64,
    },
    /// The log can't be used.
    #[error(
        "the log in {path} can't be used: {source}. If it is damaged, this node must not start \
         with it, nor with an older copy, which could lose acknowledged writes: this version can't \
         replace a member yet, so keep the others running"
    )]
    Log {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The snapshots can't be used.
    #[error(
        "{0}. If it is damaged, this node must not start with it, nor with an older copy, which \
         could lose acknowledged writes: this version can't replace a member yet, so keep the \
         others running"
    )]
    Snapshot(Box<dyn std::error::Error + Send + Sync>),
    /// Consensus doesn't start, or stopped by itself.
    #[error("consensus stopped: {0}")]
    Raft(String),
    /// A server can't listen or broke.
    #[error(transparent)]
    Server(Box<mesh::server::Error>),
    /// Connections to peers can't be set up with this node's certificates.
    #[error("TLS to peers can't be set up")]
    PeerTls(#[source] tonic::transport::Error),
    /// The peer server broke.
    #[error("the peer server stopped: {0}")]
    PeerServer(#[from] tonic::transport::Error),
}

impl From<mesh::server::Error> for Error {
    fn from(error: mesh::server::Error) -> Self {
        Self::Server(Box::new(error))
    }
}

impl From<raft::snapshot::Error> for Error {
    fn from(error: raft::snapshot::Error) -> Self {
        Self::Snapshot(Box::new(error))
    }
}
