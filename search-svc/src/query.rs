//! What is asked of an index.

use crate::place::Place;

/// Words of a query that count: as many as Meilisearch takes.
pub(crate) const WORDS_MAX: usize = 10;

/// How far into the results a client may page: whoever goes on should ask more precisely.
pub(crate) const RESULTS_MAX: usize = 10_000;

/// A question, checked: all of it must fit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// As [`crate::fold::words`] makes them, at most [`WORDS_MAX`]; the last may be a beginning.
    pub(crate) words: Vec<String>,
    /// The same unfolded, as [`crate::fold::plain`] makes it.
    pub(crate) text: String,
    /// A category's own spelling.
    pub(crate) category: Option<String>,
    /// As [`crate::fold::key`] makes it.
    pub(crate) city: Option<String>,
    /// Start at or after, milliseconds since 1970.
    pub(crate) from_ms: i64,
    /// Start before.
    pub(crate) to_ms: Option<i64>,
    pub(crate) near: Option<Near>,
    pub(crate) sort: Sort,
    /// Results skipped.
    pub(crate) offset: usize,
    /// Results wanted, at least 1; with `offset` at most [`RESULTS_MAX`].
    pub(crate) limit: usize,
}

/// Within a circle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Near {
    pub(crate) place: Place,
    pub(crate) radius_m: u32,
}

/// What comes first. Where that is equal, the sooner show, and then an order that stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sort {
    Relevance,
    Date,
    /// From there.
    Distance(Place),
}
