//! The client plane and the admin plane.

mod admin;
mod client;
mod failure;
mod watch;

pub(crate) use admin::Admin;
pub(crate) use client::Client;
