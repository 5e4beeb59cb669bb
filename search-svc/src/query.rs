//! What is asked of an index.

use crate::{facet::Facet, fold, place::Place};

/// Words of a query that count: as many as Meilisearch takes.
pub(crate) const WORDS_MAX: usize = 10;

/// How far into the results a client may page: whoever goes on should ask more precisely.
pub(crate) const RESULTS_MAX: usize = 10_000;

/// A question, checked: all of it must fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Query {
    /// As [`crate::fold::words`] makes them, at most [`WORDS_MAX`]; the last may be a beginning.
    pub(crate) words: Vec<String>,
    /// The same unfolded, as [`crate::fold::plain`] makes it.
    pub(crate) text: String,
    /// A category's own spelling.
    pub(crate) category: Option<String>,
    /// As [`crate::fold::key`] makes it.
    pub(crate) city: Option<String>,
    /// Two capital letters.
    pub(crate) country: Option<String>,
    /// Start at or after, milliseconds since 1970.
    pub(crate) from_ms: i64,
    /// Start before.
    pub(crate) to_ms: Option<i64>,
    /// On that day at the venue or later, as [`crate::document::day_number`] numbers it.
    pub(crate) from_day: Option<i32>,
    /// On that day or before.
    pub(crate) to_day: Option<i32>,
    pub(crate) price: Option<Price>,
    /// Only what can be bought then, milliseconds since 1970.
    pub(crate) on_sale_at_ms: Option<i64>,
    pub(crate) near: Option<Near>,
    pub(crate) sort: Sort,
    /// What is counted, none twice.
    pub(crate) facets: Vec<Facet>,
    /// Results skipped, where `after` doesn't say from where on.
    pub(crate) offset: usize,
    /// Only what comes after it, from an engine that names positions.
    pub(crate) after: Option<Position>,
    /// Results wanted, at least 1; with `offset` at most [`RESULTS_MAX`].
    pub(crate) limit: usize,
}

/// Where a show is in an order, the first the least: what was asked for, then the time, then a number of
/// the show's. It stays where it is while others come and go.
pub(crate) type Position = (u64, i64, u64);

/// Within a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Near {
    pub(crate) place: Place,
    pub(crate) radius_m: u32,
}

/// Sold in a currency, and a price in these bounds, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Price {
    pub(crate) currency: String,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
}

/// What comes first. Where that is equal, the sooner show, and then an order that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sort {
    Relevance,
    Date,
    /// From there.
    Distance(Place),
    /// The lowest price first; what has none comes last.
    Price,
}

/// Letters from which on a word may have one and two mistakes, as Meilisearch has it.
pub(crate) const ONE_TYPO_LETTERS: usize = 4;
pub(crate) const TWO_TYPOS_LETTERS: usize = 8;

/// Mistakes that `word` may have. Another number is another thing, and so is another sign of a script
/// that has thousands.
pub(crate) fn typos(word: &str) -> Option<u8> {
    if word.contains(char::is_numeric) || fold::is_unspaced_word(word) {
        return None;
    }
    match word.chars().count() {
        TWO_TYPOS_LETTERS.. => Some(2),
        ONE_TYPO_LETTERS.. => Some(1),
        _ => None,
    }
}
