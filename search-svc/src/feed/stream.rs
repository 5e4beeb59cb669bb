//! Where the index stands in the stream.
//!
//! Always holds: an event counts as reached when an index is searched whose building began to read
//! the catalogue after the event was in the stream. What it tells of was committed before that, so
//! nothing of it need be read again. What was committed but not yet moved into the stream gets a
//! later place, and isn't reached. Nothing here survives a restart: then events are handled that
//! needn't be.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;

/// The topic that is read.
pub(crate) const TOPIC: &str = "catalog";

/// The stream, as the feed sees it.
#[derive(Debug)]
pub(crate) struct Stream {
    pool: PgPool,
    consumer: String,
    reach: watch::Sender<Reach>,
}

#[derive(Debug, Default)]
struct Reach {
    /// All events up to here are in the index that is searched.
    reached: i64,
    /// Those up to here wait for the one that is being built.
    coming: Option<i64>,
}

impl Reach {
    fn has(&self, seq: i64) -> bool {
        seq <= self.reached
    }

    fn is_decided(&self, seq: i64) -> bool {
        self.has(seq) || self.coming.is_none_or(|coming| seq > coming)
    }
}

/// While it is there, events wait.
#[derive(Debug)]
pub(crate) struct Wait<'a>(&'a Stream);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.reach.send_modify(|reach| reach.coming = None);
    }
}

impl Stream {
    pub(crate) fn new(pool: PgPool, consumer: &str) -> Self {
        Self {
            pool,
            consumer: consumer.to_owned(),
            reach: watch::Sender::new(Reach::default()),
        }
    }

    /// Age of the oldest change that isn't handled.
    pub(crate) async fn lag(&self) -> Result<Duration, holdfast_eventlog::Error> {
        holdfast_eventlog::lag(&self.pool, &self.consumer, &[TOPIC]).await
    }

    /// Changes that are neither handled nor reached, counted up to `max`.
    pub(crate) async fn behind(&self, max: u64) -> Result<u64, holdfast_eventlog::Error> {
        let reached = self.is_reached_up_to();
        holdfast_eventlog::behind(&self.pool, &self.consumer, &[TOPIC], reached, max).await
    }

    /// What an index reaches whose building begins now.
    pub(crate) async fn newest(&self) -> Result<i64, holdfast_eventlog::Error> {
        holdfast_eventlog::newest(&self.pool).await
    }

    /// From now on events up to `seq` wait for the index that is being built, or for the end of the
    /// building.
    pub(crate) fn wait_up_to(&self, seq: i64) -> Wait<'_> {
        self.reach.send_modify(|reach| reach.coming = Some(seq));
        Wait(self)
    }

    /// An index is searched that reaches `seq`.
    pub(crate) fn reached(&self, seq: i64) {
        self.reach
            .send_modify(|reach| reach.reached = reach.reached.max(seq));
    }

    /// Up to where the index that is searched has all that events tell of.
    pub(crate) fn is_reached_up_to(&self) -> i64 {
        self.reach.borrow().reached
    }

    /// Whether the index has all that the event at `seq` tells of; waits where that will soon be so.
    pub(crate) async fn has(&self, seq: i64) -> bool {
        let mut reach = self.reach.subscribe();
        let decided = reach.wait_for(|reach| reach.is_decided(seq)).await;
        decided.is_ok_and(|reach| reach.has(seq))
    }
}
