//! The client plane and the admin plane.

mod admin;
mod answer;
mod client;
mod failure;
mod read;
mod stream;
mod watch;

pub(crate) use admin::Admin;
pub(crate) use client::{Client, Decider};
pub(crate) use read::Reader;
