//! Starts real things for tests: the built `holdfast up` with everything below it, and clients of
//! it: a customer over REST, an organiser over gRPC, the private Postgres, the lock store; and a collector
//! of its traces.
//!
//! Always holds: nothing here stands in for anything; what a test started is stopped when the test
//! ends, however it ends; every wait has a limit, and says at its end what it waited for.
//! Leaves to others: what must be true (`tests/e2e`).

mod collector;
mod customer;
mod database;
mod expected;
mod organiser;
mod said;
mod store;
mod system;
mod tls;
mod tools;
mod wait;

pub use collector::{Collector, Span, Trace};
pub use customer::{Answer, Customer, Rest};
pub use database::{Database, Scratch};
pub use expected::{
    DATABASE_AWAY, EVERYWHERE, POSTGRES_KILLED, SERVICES_KILLED, STORE_NODE_KILLED, UP_KILLED,
};
pub use organiser::{Organiser, ShowRules, plan_of};
pub use said::Expected;
pub use store::Store;
pub use system::{Options, RunFile, RunProcess, System, is_alive, turn, with_system};
pub use tls::Certificates;
pub use tools::tools;
pub use wait::{Look, POLL, until, until_at};
