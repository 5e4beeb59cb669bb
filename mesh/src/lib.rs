//! What every server process shares: configuration, secrets, logs, traces, metrics, health, deadlines,
//! the one error to the wire, servers that drain, channels, token checks, background loops.
//!
//! Always holds: no business word beyond `holdfast-types`; nothing here is a global except what
//! the process has one of anyway (log subscriber, metrics recorder); everything that waits has a
//! named limit; what isn't encrypted is served on loopback alone, unless `insecure`.
//! Leaves to others: what a service does, and which errors it gives.

pub mod auth;
pub mod client;
pub mod config;
pub mod deadline;
mod failure;
pub mod metrics;
pub mod ops;
pub mod request_id;
pub mod server;
mod sparse;
pub mod task;
pub mod telemetry;
pub mod tls;
pub mod trace;

pub use failure::{Failure, FieldViolation};

use tokio_util::sync::CancellationToken;

/// What a process hands to each of its roles.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Cancelled once, when the process is to end. A role then drains and returns.
    pub shutdown: CancellationToken,
    /// Which parts of the process are ready to serve.
    pub readiness: ops::Readiness,
    /// Who this role is to others; none where all talk in the clear, over loopback.
    pub identity: Option<tls::Identity>,
    /// Who may call this role, where it has an identity.
    pub callers: server::Callers,
    /// What this role's channels may repeat.
    pub contract: client::Contract,
}

impl Context {
    /// A context of a process that has just started: nothing is ready, nothing ends.
    pub fn new() -> Self {
        Self::default()
    }

    /// A channel to `uri`, where the service `peer` is: as this role's identity where it has one, and
    /// to nobody who can't prove to be `peer`; else in the clear. Calls that [`Context::contract`]
    /// allows it for are repeated. Nothing is sent before its first call. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`client::Error`].
    pub fn channel(&self, uri: &str, peer: &str) -> Result<client::Channel, client::Error> {
        client::connect(uri, peer, self.identity.as_ref(), &self.contract)
    }
}
