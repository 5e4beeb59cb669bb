//! Sees to it that there is an index, and builds one anew when asked, and when so much changed that
//! this brings search up to date sooner than reading change after change.
//!
//! Always holds: one is built at a time; one that fails leaves the index that is searched alone
//! and is begun again.
//!
//! While there is no index, or one too far behind, the events that the next one will reach wait for
//! it: reading what they name would slow the building down (catalogue and disk are the same), and
//! bring nobody up to date, because there are more of them than can be read meanwhile. One that is
//! built because somebody asked keeps nothing waiting; SE-1 holds meanwhile.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use holdfast_types::ShowId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Error, Stream, Writer, stream::Wait};
use crate::{
    clients::catalog::{self, Catalog, Page, Shows},
    document::Document,
    index::Index,
    metric,
};

/// How often it is looked whether the index is still there (a server's may be deleted), and whether
/// it is far behind.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Changes not handled yet that are far behind, in a small catalogue. Handled one by one they take
/// about a minute, more than building an index of some hundred thousand shows; a feed that was away
/// for three minutes at the most changes that SE-1 is for isn't that far behind.
const FAR_BEHIND_MIN: u64 = 20_000;

/// Shows that are put into a new index in the time that one change takes. A large catalogue is far
/// behind with as many changes as it has this many shows: with fewer the changes themselves are
/// done sooner, and so are those that come while an index is built.
const SHOWS_BUILT_PER_CHANGE: u64 = 16;

/// Pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);

/// Tries for one page of the catalogue before the building fails, some half a minute: an update of
/// catalog-svc shouldn't cost the work of minutes. Soon at first: when a system starts, search is
/// ready before the catalogue.
const PAGE_TRIES_MAX: u32 = 36;
const PAGE_RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const PAGE_RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How far it is, for operators.
#[derive(Debug, Default)]
pub(crate) struct Status {
    building: AtomicBool,
    shows_read: AtomicU64,
    indexes_built: AtomicU64,
    failed: AtomicU64,
    /// Why the last building failed; empty after one that didn't.
    failure: Mutex<String>,
    asked: Notify,
}

impl Status {
    pub(crate) fn is_building(&self) -> bool {
        self.building.load(Ordering::Relaxed)
    }

    pub(crate) fn shows_read(&self) -> u64 {
        self.shows_read.load(Ordering::Relaxed)
    }

    pub(crate) fn indexes_built(&self) -> u64 {
        self.indexes_built.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn failure(&self) -> String {
        self.failure_slot().clone()
    }

    // Nothing panics while it is held.
    fn failure_slot(&self) -> MutexGuard<'_, String> {
        self.failure
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ended(&self, built: &Result<(), Error>) {
        self.building.store(false, Ordering::Relaxed);
        let count = if built.is_ok() {
            &self.indexes_built
        } else {
            &self.failed
        };
        count.fetch_add(1, Ordering::Relaxed);
        let failure = built.as_ref().err().map(Error::to_string);
        *self.failure_slot() = failure.unwrap_or_default();
    }

    #[cfg(test)]
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Asks for an index built anew; while one is being built nothing more is done.
    pub(crate) fn ask(&self) {
        if !self.is_building() {
            self.asked.notify_one();
        }
    }
}

/// Keeps one index.
pub(crate) struct Keeper<I> {
    pub(crate) index: Arc<I>,
    pub(crate) writer: Arc<Writer<I>>,
    pub(crate) catalog: Catalog,
    pub(crate) stream: Arc<Stream>,
    pub(crate) status: Arc<Status>,
    /// Whether it may build, or looks only.
    pub(crate) may_build: bool,
}

impl<I: Index> Keeper<I> {
    /// Until `shutdown`, which ends a building at once.
    pub(crate) async fn keep(&self, shutdown: &CancellationToken) {
        tokio::select! {
            () = self.keep_on() => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn keep_on(&self) {
        let mut asked = false;
        loop {
            let pause = match self.step(asked).await {
                Ok(()) => {
                    asked = false;
                    LOOK_EVERY
                }
                // What was asked for and failed is asked for still.
                Err(error) => {
                    tracing::warn!(%error, "the search index is not in order; trying again");
                    FAILURE_PAUSE
                }
            };
            tokio::select! {
                () = self.status.asked.notified() => asked = true,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn step(&self, asked: bool) -> Result<(), Error> {
        let is_built = self.index.is_built().await?;
        if !self.may_build {
            return Ok(());
        }
        let keeps_waiting = !is_built || self.is_far_behind().await?;
        if !asked && !keeps_waiting {
            return Ok(());
        }
        self.status.shows_read.store(0, Ordering::Relaxed);
        self.status.building.store(true, Ordering::Relaxed);
        metrics::gauge!(metric::BUILDING).set(1.0);
        let begun = Instant::now();
        let built = self.build(keeps_waiting).await;
        if built.is_err() {
            self.writer.abandon().await;
        }
        self.status.ended(&built);
        metrics::gauge!(metric::BUILDING).set(0.0);
        let outcome = if built.is_ok() { "built" } else { "failed" };
        metrics::counter!(metric::REBUILDS, "outcome" => outcome).increment(1);
        built?;
        let shows = self.status.shows_read();
        tracing::info!(
            shows,
            took_ms = begun.elapsed().as_millis(),
            engine = I::ENGINE,
            "search index built"
        );
        Ok(())
    }

    async fn is_far_behind(&self) -> Result<bool, Error> {
        // Mostly it isn't, however large the index is, which needn't be asked then.
        if self.behind(FAR_BEHIND_MIN).await < FAR_BEHIND_MIN {
            return Ok(false);
        }
        let shows = self.index.shows().await?;
        let far = FAR_BEHIND_MIN.max(shows / SHOWS_BUILT_PER_CHANGE);
        let behind = self.behind(far).await;
        if behind >= far {
            tracing::info!(behind, "search is far behind; an index is built anew");
        }
        Ok(behind >= far)
    }

    /// Changes not handled yet, counted up to `max`; none where that can't be told.
    async fn behind(&self, max: u64) -> u64 {
        let behind = self.stream.behind(max).await;
        behind.unwrap_or_else(|error| {
            // The consumer says in the log that its database is away.
            tracing::debug!(%error, "how far search is behind can't be told");
            0
        })
    }

    async fn build(&self, keeps_waiting: bool) -> Result<(), Error> {
        // Before anything is read, and before the writer takes news for the next index. Without its
        // database an index is built all the same, and no event is spared.
        let newest = match self.stream.newest().await {
            Ok(newest) => newest,
            Err(error) => {
                tracing::debug!(%error, "what the next index reaches can't be told");
                0
            }
        };
        let _waiting: Option<Wait<'_>> = keeps_waiting.then(|| self.stream.wait_up_to(newest));
        self.writer.begin().await?;
        let mut page = self.read(None).await?;
        // The next page is read while one is indexed.
        while let Some(after) = page.next {
            let (next, ()) = tokio::try_join!(self.read(Some(after)), self.fill(page.documents))?;
            page = next;
        }
        self.fill(page.documents).await?;
        self.writer.finish().await?;
        self.stream.reached(newest);
        Ok(())
    }

    async fn fill(&self, documents: Vec<Document>) -> Result<(), Error> {
        let shows = documents.len() as u64;
        self.writer.fill(documents).await?;
        self.status.shows_read.fetch_add(shows, Ordering::Relaxed);
        Ok(())
    }

    async fn read(&self, after: Option<ShowId>) -> Result<Page, Error> {
        let (mut tries, mut pause) = (1, PAGE_RETRY_PAUSE_MIN);
        loop {
            match self.catalog.read(&Shows::All, after).await {
                Err(error @ catalog::Error::Call(_)) if tries < PAGE_TRIES_MAX => {
                    tracing::debug!(%error, tries, "the catalogue didn't give a page");
                }
                read => {
                    let page = read?;
                    for (id, why) in &page.unreadable {
                        tracing::error!(show.id = %id, %why, "a show can't be indexed; the others are");
                    }
                    return Ok(page);
                }
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAGE_RETRY_PAUSE_MAX);
        }
    }
}
