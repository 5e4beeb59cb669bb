//! Finding shows: by words, kind, city, time and place.
//!
//! Owns an index of the public part of the catalogue, and nothing else: it can be built anew from
//! the catalogue at any time. Two engines keep it: tantivy within the process (the default), and a
//! Meilisearch server where one is named.
//!
//! Always holds:
//! - What is searched is one whole index of the present schema; another is built beside it and
//!   takes its place in one step.
//! - An event of the catalogue counts as handled when what it tells of is on disk and can be found
//!   (SE-1); events carry ids, and shows are read anew, so late and repeated ones do no harm.
//! - Nothing that a customer writes is an operator of an engine's query language.
//! - What finds something as it is asked is answered so; only what nothing fits is taken more loosely.
//! - Nobody waits for search but who searches: behind or down, it stops no sale.
//!
//! Leaves to others: what shows there are (catalog-svc), free seats (booking-svc), REST and caching
//! (gateway).

mod asking;
mod clients;
mod compare;
mod config;
mod cursor;
mod document;
mod embedded;
mod error;
mod facet;
mod feed;
mod fold;
mod grpc;
mod highlight;
mod index;
mod looser;
mod meili;
mod metric;
mod place;
mod query;
mod server;
mod suggest;
mod synonyms;
#[cfg(test)]
mod tests;
mod trial;

pub use config::Config;
pub use error::Error;
pub use server::{NAME, serve};
pub use trial::{Trial, TrialError};
