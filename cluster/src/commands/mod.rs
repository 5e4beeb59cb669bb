//! The commands of the CLI besides `up` and `serve`, one a file. Most talk to a running system.

mod certs;
mod cluster_audit;
mod cluster_operate;
mod cluster_status;
mod completions;
mod db_init;
mod demo;
mod demo_catalogue;
mod events;
mod events_inspect;
mod import_discovery;
mod import_plan;
mod lockstore_rebuild;
mod refund;
mod rotate_keys;
mod search;
mod show_refund;
mod user_grant;

pub(crate) use certs::{certs_callers, certs_init, certs_issue, certs_show};
pub(crate) use cluster_audit::cluster_audit;
pub(crate) use cluster_operate::{cluster_acts, cluster_expiry, cluster_note};
pub(crate) use cluster_status::cluster_status;
pub(crate) use completions::completions;
pub(crate) use db_init::db_init;
pub(crate) use demo::demo;
pub(crate) use demo_catalogue::demo_catalogue;
pub(crate) use events::{events_parked, events_replay};
pub(crate) use events_inspect::events_inspect;
pub(crate) use import_discovery::import_discovery;
pub(crate) use import_plan::import_plan;
pub(crate) use lockstore_rebuild::lockstore_rebuild;
pub(crate) use refund::{refund_settle, refund_waiting};
pub(crate) use rotate_keys::rotate_keys;
pub(crate) use search::{search_check, search_rebuild, search_status};
pub(crate) use show_refund::show_refund;
pub(crate) use user_grant::user_grant;
