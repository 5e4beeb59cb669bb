//! Sees to it that there is an index, and builds one anew when asked.
//!
//! Always holds: one is built at a time; one that fails leaves the index that is searched alone
//! and is begun again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use holdfast_types::ShowId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Error, Writer};
use crate::{
    clients::catalog::{self, Catalog, Page, Shows},
    index::Index,
    metric,
};

/// How often it is looked whether the index is still there: a server's may be deleted.
const LOOK_EVERY: Duration = Duration::from_secs(30);

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
        if !self.may_build || (is_built && !asked) {
            return Ok(());
        }
        self.status.shows_read.store(0, Ordering::Relaxed);
        self.status.building.store(true, Ordering::Relaxed);
        metrics::gauge!(metric::BUILDING).set(1.0);
        let begun = Instant::now();
        let built = self.build().await;
        if built.is_err() {
            self.writer.abandon().await;
        }
        self.status.building.store(false, Ordering::Relaxed);
        metrics::gauge!(metric::BUILDING).set(0.0);
        let outcome = if built.is_ok() { "built" } else { "failed" };
        metrics::counter!(metric::REBUILDS, "outcome" => outcome).increment(1);
        built?;
        self.status.indexes_built.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            shows = self.status.shows_read(),
            took_ms = begun.elapsed().as_millis(),
            engine = I::ENGINE,
            "search index built"
        );
        Ok(())
    }

    async fn build(&self) -> Result<(), Error> {
        self.writer.begin().await?;
        let mut after = None;
        loop {
            let page = self.read(after).await?;
            let read = page.documents.len() as u64;
            self.writer.fill(page.documents).await?;
            self.status.shows_read.fetch_add(read, Ordering::Relaxed);
            if page.next.is_none() {
                break;
            }
            after = page.next;
        }
        self.writer.finish().await
    }

    async fn read(&self, after: Option<ShowId>) -> Result<Page, Error> {
        let (mut tries, mut pause) = (1, PAGE_RETRY_PAUSE_MIN);
        loop {
            match self.catalog.read(&Shows::All, after).await {
                Err(error @ catalog::Error::Call(_)) if tries < PAGE_TRIES_MAX => {
                    tracing::debug!(%error, tries, "the catalogue didn't give a page");
                }
                read => return Ok(read?),
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAGE_RETRY_PAUSE_MAX);
        }
    }
}
