//! Mesh over real ports: what callers and operators see of a server, what a channel makes of a
//! peer in trouble, and which tokens count.

use std::time::Duration;

mod auth;
mod certificates;
mod channels;
mod mutual_tls;
mod ops;
mod relay;
mod serving;
mod text_service;

/// Longest wait for anything here.
const LIMIT: Duration = Duration::from_secs(20);
