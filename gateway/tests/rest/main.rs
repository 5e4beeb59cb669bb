//! The REST API over a real port. The services behind it answer from scripts, also over a real
//! port: they stand for remote processes, and a test says what such a process answers.
#![expect(clippy::unwrap_used, reason = "tests")]

mod backend;
mod setup;
mod store;

mod accounts;
mod buying;
mod catalogue;
mod changes;
mod cookies;
mod errors;
mod input;
mod letters;
mod limits;
mod live;
mod openapi;
mod organisations;
mod organiser;
mod pages;
mod requests;
mod search;
mod sign_in;
