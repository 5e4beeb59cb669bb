//! Where news and the building of an index meet.
//!
//! Always holds: writes to an index come one at a time. A show that the news wrote while the next
//! index is built is not overwritten by what the builder read of it earlier: each that was written
//! is kept in mind until the swap. What the news read before the building began could be older than
//! what the builder reads, and what is kept in mind would hide the newer: it is read again. An index that
//! lacks something of what it was given never takes the place of the one that is searched.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use holdfast_types::ShowId;
use tokio::sync::Mutex;

use super::Error;
use crate::{
    document::{Changes, Document},
    index::{self, Index},
    metric,
};

/// Shows kept in mind while an index is built, about 32 MiB of them. More than change in an hour at
/// the most that is planned for; then the building starts anew.
const TOUCHED_MAX: usize = 1_000_000;

/// Writes to an index, and to the next.
#[derive(Debug)]
pub(crate) struct Writer<I> {
    index: Arc<I>,
    /// What the news wrote since the building began; none while nothing is built.
    touched: Mutex<Option<HashSet<ShowId>>>,
    /// Buildings begun; raised under the lock.
    begun: AtomicU64,
}

/// When something was read: which building was the last to have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u64);

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Written {
    Done,
    /// Nothing: a building began since. To be read again.
    Outdated,
}

impl<I: Index> Writer<I> {
    pub(crate) fn new(index: Arc<I>) -> Self {
        Self {
            index,
            touched: Mutex::new(None),
            begun: AtomicU64::new(0),
        }
    }

    /// To be taken before the catalogue is read for news.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.begun.load(Ordering::Acquire))
    }

    /// Writes news, read after `mark` was taken, to the index that is searched and, while one is
    /// built, to that.
    pub(crate) async fn write(&self, changes: Changes, mark: Mark) -> Result<Written, Error> {
        if changes.is_empty() {
            return Ok(Written::Done);
        }
        let (put, removed) = (changes.puts.len() as u64, changes.removes.len() as u64);
        let mut touched = self.touched.lock().await;
        if mark != self.mark() {
            return Ok(Written::Outdated);
        }
        if let Some(known) = touched.as_mut() {
            known.extend(changes.puts.iter().map(|document| document.show_id));
            known.extend(changes.removes.iter());
            // It may have lost more than this: what it took and hadn't on disk yet.
            if let Err(error) = self.index.write_next(changes.clone()).await {
                tracing::warn!(%error, "the search index that is being built is given up");
                *touched = None;
            }
        }
        match self.index.write(changes).await {
            // It is in the next, which is the only one.
            Err(index::Error::NotBuilt) if touched.is_some() => {}
            written => written?,
        }
        metrics::counter!(metric::SHOWS_WRITTEN, "kind" => "put").increment(put);
        metrics::counter!(metric::SHOWS_WRITTEN, "kind" => "removed").increment(removed);
        Ok(Written::Done)
    }

    /// Begins the next index.
    pub(crate) async fn begin(&self) -> Result<(), Error> {
        let mut touched = self.touched.lock().await;
        self.index.begin_next().await?;
        self.begun.fetch_add(1, Ordering::Release);
        *touched = Some(HashSet::new());
        Ok(())
    }

    /// Writes what was read of the catalogue to the next index, each show once.
    pub(crate) async fn fill(&self, mut documents: Vec<Document>) -> Result<(), Error> {
        let touched = self.touched.lock().await;
        let Some(touched) = touched.as_ref().filter(|it| it.len() <= TOUCHED_MAX) else {
            return Err(Error::Overtaken);
        };
        documents.retain(|document| !touched.contains(&document.show_id));
        if documents.is_empty() {
            return Ok(());
        }
        Ok(self.index.fill_next(documents).await?)
    }

    /// Puts the next index in the place of the one that is searched.
    pub(crate) async fn finish(&self) -> Result<(), Error> {
        let mut touched = self.touched.lock().await;
        // Before the swap, which may be left halfway, when everything stops: nothing is written to the next any
        // more.
        if touched.take().is_none() {
            return Err(Error::Overtaken);
        }
        self.index.swap().await?;
        Ok(())
    }

    /// Leaves the next index as it is; the one that is searched goes on.
    pub(crate) async fn abandon(&self) {
        *self.touched.lock().await = None;
    }
}
