//! The commands of the CLI that talk to a running system, one a file.

mod audit;
mod cluster_status;
mod db_init;
mod demo;
mod events;
mod import_plan;
mod search;
mod user_grant;

pub(crate) use audit::audit;
pub(crate) use cluster_status::cluster_status;
pub(crate) use db_init::db_init;
pub(crate) use demo::demo;
pub(crate) use events::{events_parked, events_replay};
pub(crate) use import_plan::import_plan;
pub(crate) use search::{search_rebuild, search_status};
pub(crate) use user_grant::user_grant;
