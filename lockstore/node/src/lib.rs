//! One node of the lock store: the state machine of `lockstore-core`, replicated by Raft, kept in
//! RocksDB and snapshot files, asked over gRPC.
//!
//! Always holds: an acknowledged write is on the disks of a majority (HS-6); every answer comes
//! from the leader and is linearizable, except that any node tells watchers what it applies and
//! answers reads that name a revision or an age, if it knows that it has that; a node never takes
//! part with what it can see to be less than it had: a lost, damaged or foreign data directory is
//! refused, and so is an older copy of its log (one of the whole directory only if the leader of then
//! still leads); a failed write ends the process. What is written, to disk or to peers, is versioned
//! and our own encoding.
//!
//! Leaves to others: what a command means (`lockstore-core`), retries and finding the leader
//! (`lockstore-client`), processes and their configuration (`cluster`).
//!
//! Reading order: `server` puts a node together; a write goes `grpc::client` → `proposer` →
//! `raft` → `machine`, and from there to those who follow it by `watch`; time is in `clock` and
//! `leader`; how new the state is in `freshness`; a cluster begins in `founding`; which commands all
//! its members know is in `behaviour`; what a full disk means is in `disk`, what runs apart from
//! clients in `threads`.

mod behaviour;
mod clock;
mod codec;
mod config;
mod disk;
mod error;
mod founding;
mod frame;
mod freshness;
mod grpc;
mod identity;
mod leader;
mod limits;
mod machine;
mod metrics;
mod peers;
mod proposer;
mod raft;
mod replay;
mod server;
mod status;
mod threads;
mod wall;
mod watch;

pub use config::{Config, Member};
pub use disk::FreeSpace;
pub use error::Error;
pub use server::{Surroundings, serve, serve_with};
