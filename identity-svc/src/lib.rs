//! Accounts, sign-in and tokens.
//!
//! Owns the schema `identity`: users, roles, refresh tokens (hashed), signing keys, audit.
//! Always holds:
//! - An address (without case) has one account; `Register` makes customers only.
//! - An unknown address and a wrong password get the same answer after the same work.
//! - A refresh token works once; a second use ends every token of that sign-in.
//! - Every account that an administrator made and every role that was granted has an audit row,
//!   written in the same transaction; so has every exchange of the operator token.
//!
//! Leaves to others: what a role may do (each service decides), and checking access tokens
//! (`holdfast_mesh::auth`, with the keys that `GetJwks` publishes).

mod account;
mod app;
mod client;
mod config;
mod error;
mod grpc;
mod hash_threads;
mod mail;
mod metrics;
mod password;
mod server;
mod store;
mod token;

pub use config::Config;
pub use server::{Error, MIGRATOR, PART, migrate, serve};
