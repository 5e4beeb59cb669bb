//! The catalogue: venues, seating plans, events, shows and prices, and which shows are for sale.
//!
//! Owns schema `catalog`. Always holds: a plan is stored whole, or as the rule it follows from, with
//! labels that are unique and seat numbers dense from 0; a show that isn't a draft has a price for
//! each category its seats use, and its inventory was opened in booking-svc before the catalogue
//! said so; an announced draft is shown to everybody and sells nothing; every write is checked
//! against the token's roles and the thing's owner; ids come from callers, or from the ids that a
//! source gave its things, so every write may be repeated; a change of a venue, an event or a show is
//! told through the event stream (BK-4).
//! Leaves to others: seats' states and holds (booking-svc, lock store), accounts (identity-svc),
//! REST and times in the venue's zone (gateway).

mod access;
mod app;
mod batch;
mod clients;
mod config;
mod cursor;
mod error;
mod fields;
pub mod grpc;
pub mod hall;
mod model;
pub mod plan;
mod prices;
mod server;
mod store;
mod version;

pub use config::Config;
pub use error::Error;
pub use server::{NAME, migrate, serve};
