//! The private Postgres of `holdfast up`: found among the installed binaries, initialised under
//! the data directory, run by a small wrapper process, reached over TCP on loopback with a
//! password.
//!
//! Always holds: never as root (root runs it as an unprivileged user that owns its folder); no
//! unix socket; nothing of it is touched where `DATABASE_URL` names another server.

mod account;
mod binaries;
mod initialise;
mod wrapper;

pub(crate) use account::Account;
pub(crate) use binaries::Binaries;
pub(crate) use initialise::initialise;
pub(crate) use wrapper::{WrapperArgs, run as run_wrapper};

/// The superuser that `initdb` makes; only `db init` signs in as it.
pub(crate) const SUPERUSER: &str = "holdfast";
