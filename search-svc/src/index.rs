//! What an engine must do. `embedded` and `meili` are the two; `tests/contract.rs` is what both
//! are held to.
//!
//! There are up to two indexes: the one that is searched, and the next, which is being built and
//! then takes its place. Leaves to others: what belongs in them, and that writes come one at a time
//! (`feed`).

use std::future::Future;

use holdfast_proto::search::v1::FoundShow;
use holdfast_types::ShowId;

use crate::{
    document::{Changes, Document},
    facet::Counts,
    query::{Position, Query},
    suggest::{Begun, Kind},
};

/// A page of results.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) shows: Vec<FoundShow>,
    /// There are more.
    pub(crate) more: bool,
    /// Of the last of them, for [`Query::after`]; none of an engine that counts results.
    pub(crate) last: Option<Position>,
    pub(crate) total: Total,
    /// As they were asked for.
    pub(crate) facets: Vec<Counts>,
    /// What tells this from whatever else was or will be found of the same request; empty of nothing, and of
    /// an engine that can't tell.
    pub(crate) tag: Vec<u8>,
    /// What is found is what [`Query::known`] stands for: nothing else is said here.
    pub(crate) unchanged: bool,
}

impl Found {
    /// Whether there are shows, whether they are said or known.
    pub(crate) fn is_any(&self) -> bool {
        self.unchanged || !self.shows.is_empty()
    }
}

/// How many shows fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Total {
    Exact(u64),
    Estimated(u64),
}

impl Default for Total {
    fn default() -> Self {
        Self::Exact(0)
    }
}

/// Why an engine didn't do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no index of the present schema.
    #[error("there is no search index yet")]
    NotBuilt,
    /// It is down, or its disk is; the same may succeed later.
    #[error("search engine: {0}")]
    Away(String),
    /// It takes no such thing, now or later.
    #[error("search engine refuses: {0}")]
    Refused(String),
}

/// An engine.
pub(crate) trait Index: Send + Sync + 'static {
    /// Its name, for operators.
    const ENGINE: &'static str;

    /// Whether it goes by [`Query::spelling`]; else words are always spelt as usual.
    const SPELLS_LOOSER: bool;

    /// Whether there is an index of the present schema to be searched.
    fn is_built(&self) -> impl Future<Output = Result<bool, Error>> + Send;

    /// How many shows the index that is searched has.
    fn shows(&self) -> impl Future<Output = Result<u64, Error>> + Send;

    /// What fits `query`.
    fn search(&self, query: &Query) -> impl Future<Output = Result<Found, Error>> + Send;

    /// Names of that kind in shows to come that have all of `begun`, the more frequent or better
    /// first, at most [`crate::suggest::NAMES_MAX`]; more may be among them, and a name may come
    /// twice.
    fn names(
        &self,
        kind: Kind,
        begun: &Begun,
    ) -> impl Future<Output = Result<Vec<String>, Error>> + Send;

    /// What the index that is searched has of shows, as [`Document::content`] says it: of those with
    /// ids after the one and up to the other, at most `max`, in order of their ids.
    fn contents(
        &self,
        after: Option<ShowId>,
        up_to: Option<ShowId>,
        max: usize,
    ) -> impl Future<Output = Result<Vec<(ShowId, u64)>, Error>> + Send;

    /// Changes the index that is searched; when it returns they are on disk and can be found.
    fn write(&self, changes: Changes) -> impl Future<Output = Result<(), Error>> + Send;

    /// Makes the next index, empty; what there was of one is gone.
    fn begin_next(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Adds shows that the next index doesn't have. Adding and changing may be the same to an engine;
    /// where it isn't, adding is what makes building fast.
    fn fill_next(&self, documents: Vec<Document>)
    -> impl Future<Output = Result<(), Error>> + Send;

    /// Changes the next index.
    fn write_next(&self, changes: Changes) -> impl Future<Output = Result<(), Error>> + Send;

    /// Puts the next index, with all that was written to it, in the place of the one that is
    /// searched, in one step. Without a [`Index::begin_next`] before it is refused.
    fn swap(&self) -> impl Future<Output = Result<(), Error>> + Send;
}
