//! The service over a real port and a database per test, with an inventory server that records
//! what it is asked.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod categories;
mod changes;
mod fields;
mod import;
mod indexes;
mod lists;
mod news;
mod organisations;
mod organisers;
mod plans;
mod prices;
mod publishing;
mod rights;
mod serving;
mod sold;
mod world;
