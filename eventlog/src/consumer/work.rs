//! The loop of the process that leads: read, hand out, record.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use opentelemetry::trace::FutureExt as _;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    ConsumerConfig, HandleError, Handler, Woken,
    lanes::{Lanes, RetryRule},
    session::Session,
};
use crate::{
    Error, metric,
    trace::{self, Delivery},
};

/// Events read at once.
const FETCH_EVENTS: usize = 512;

/// Events between the cursor and the last one read: what one slow key can hold up, and what is
/// delivered again after a crash.
const WINDOW_EVENTS: usize = 2_048;

/// Set-aside events of one key loaded at once; the rest follows when these are handled.
const RETRY_EVENTS: i64 = 64;

/// How long done events may go unrecorded: a crash of the process delivers them again.
const RECORD_EVERY: Duration = Duration::from_millis(50);

/// How many done events may go unrecorded.
const RECORD_EVENTS: usize = 256;

/// How long running handlers may go on after shutdown.
const DRAIN_MAX: Duration = Duration::from_secs(10);

type Ended = Result<(Id, Result<(), HandleError>), JoinError>;

struct Work<'a, H> {
    session: &'a mut Session,
    config: &'a ConsumerConfig,
    handler: &'a Arc<H>,
    lanes: Lanes,
    running: JoinSet<Result<(), HandleError>>,
    /// Which key a running task works on.
    keys: HashMap<Id, String>,
    /// There may be more to read.
    more: bool,
    /// When to look for keys whose next try is due.
    retries_at: Instant,
    recorded_at: Instant,
    /// The number of parked keys may have changed.
    count_parked: bool,
}

/// Works until `shutdown`; any failure of the session ends it, with the running handlers stopped,
/// because another process may lead by then.
pub(super) async fn work<H: Handler>(
    session: &mut Session,
    config: &ConsumerConfig,
    handler: &Arc<H>,
    woken: &Woken,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let rule = RetryRule {
        tries_max: config.tries_max,
        backoff_min: config.backoff_min,
        backoff_max: config.backoff_max,
    };
    let now = Instant::now();
    let mut work = Work {
        lanes: Lanes::new(session.cursor(), rule),
        session,
        config,
        handler,
        running: JoinSet::new(),
        keys: HashMap::new(),
        more: true,
        retries_at: now,
        recorded_at: now,
        count_parked: true,
    };
    let ended = work.run(woken, shutdown).await;
    work.running.shutdown().await;
    ended
}

impl<H: Handler> Work<'_, H> {
    async fn run(&mut self, woken: &Woken, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut poll_at = Instant::now() + self.config.poll;
        while !shutdown.is_cancelled() {
            self.record_if_due().await?;
            self.show_parked().await?;
            self.read().await?;
            self.start();
            let tick = self.next_tick(poll_at);
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.finish_all(ended),
                () = woken.notify.notified() => {
                    self.more = true;
                    if woken.replay.swap(false, Ordering::AcqRel) {
                        self.retries_at = Instant::now();
                    }
                }
                () = sleep_until(tick) => {
                    if Instant::now() >= poll_at {
                        self.more = true;
                        // An operator may have let some go on.
                        self.count_parked = true;
                        poll_at = Instant::now() + self.config.poll;
                    }
                }
                () = shutdown.cancelled() => {}
            }
        }
        self.drain().await
    }

    async fn drain(&mut self) -> Result<(), Error> {
        let drained = async {
            while let Some(ended) = self.running.join_next_with_id().await {
                self.finish_all(ended);
            }
        };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::warn!(
                consumer = self.config.name,
                running = self.running.len(),
                "handlers did not end in time; their events will come again"
            );
        }
        self.record().await
    }

    /// When something is due although nobody calls.
    fn next_tick(&self, poll_at: Instant) -> Instant {
        let tick = poll_at.min(self.retries_at);
        if self.lanes.unrecorded() > 0 {
            tick.min(self.recorded_at + RECORD_EVERY)
        } else {
            tick
        }
    }

    async fn record_if_due(&mut self) -> Result<(), Error> {
        let unrecorded = self.lanes.unrecorded();
        let due = self.lanes.must_record()
            || unrecorded >= RECORD_EVENTS
            || (unrecorded > 0 && self.recorded_at.elapsed() >= RECORD_EVERY);
        if due { self.record().await } else { Ok(()) }
    }

    async fn record(&mut self) -> Result<(), Error> {
        let checkpoint = self.lanes.take_checkpoint();
        self.session.record(&checkpoint).await?;
        let now = Instant::now();
        self.recorded_at = now;
        for failure in &checkpoint.failures {
            if let Some(wait) = failure.retry_in {
                self.retries_at = self.retries_at.min(now + wait);
            } else {
                self.count_parked = true;
                tracing::error!(
                    consumer = self.config.name,
                    key = failure.key,
                    tries = failure.trouble.tries,
                    error = failure.error,
                    "a key is parked: its events wait until an operator replays it"
                );
            }
        }
        if !checkpoint.recovered.is_empty() {
            // More of such a key may be set aside than was loaded.
            self.retries_at = now;
            self.count_parked = true;
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge; exact below 2^53")]
        metrics::gauge!(metric::CURSOR, "consumer" => self.config.name.clone())
            .set(checkpoint.cursor as f64);
        Ok(())
    }

    async fn show_parked(&mut self) -> Result<(), Error> {
        if self.count_parked {
            let parked = self.session.parked().await?;
            #[expect(clippy::cast_precision_loss, reason = "a gauge; exact below 2^53")]
            metrics::gauge!(metric::PARKED, "consumer" => self.config.name.clone())
                .set(parked as f64);
            self.count_parked = false;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Error> {
        if Instant::now() >= self.retries_at {
            self.read_retries().await?;
        }
        if self.more && self.lanes.window_len() + FETCH_EVENTS <= WINDOW_EVENTS {
            self.lanes.pass(self.handler.needs_none_up_to());
            let limit = i64::try_from(FETCH_EVENTS).expect("a small constant");
            let (fetched, newest) = self.session.fetch(self.lanes.fetched(), limit).await?;
            self.more = fetched.len() == FETCH_EVENTS;
            for one in fetched {
                self.lanes.admit(one);
            }
            if !self.more {
                self.lanes.pass(newest);
            }
        }
        Ok(())
    }

    /// Loads keys whose next try is due: up to half of those in flight, so that fresh events
    /// always have room.
    async fn read_retries(&mut self) -> Result<(), Error> {
        let loaded = self.lanes.retrying();
        let room = (self.config.keys_in_flight_max / 2)
            .max(1)
            .saturating_sub(loaded.len());
        let limit = i64::try_from(room).unwrap_or(i64::MAX).saturating_add(1);
        let mut next_in = self.config.poll;
        for (nth, retrying) in self
            .session
            .retrying(&loaded, limit)
            .await?
            .into_iter()
            .enumerate()
        {
            if nth >= room || !retrying.due_in.is_zero() {
                next_in = next_in.min(retrying.due_in.max(RECORD_EVERY));
                break;
            }
            let events = self.session.waiting(&retrying.key, RETRY_EVENTS).await?;
            self.lanes
                .admit_retry(retrying.key, retrying.trouble, events);
        }
        self.retries_at = Instant::now() + next_in;
        Ok(())
    }

    fn start(&mut self) {
        while self.running.len() < self.config.keys_in_flight_max {
            let Some(event) = self.lanes.next() else {
                return;
            };
            let handler = Arc::clone(self.handler);
            let limit = self.config.handle_timeout;
            let key = event.key.clone();
            let Delivery { context, log } = Delivery::of(&event, &self.config.name);
            let handling = async move {
                let handled = tokio::time::timeout(limit, handler.handle(&event)).await;
                let outcome = handled.unwrap_or_else(|_| {
                    Err(HandleError::Retry(format!("not handled within {limit:?}")))
                });
                trace::finish(&outcome);
                outcome
            };
            let task = self
                .running
                .spawn(handling.with_context(context).instrument(log));
            self.keys.insert(task.id(), key);
        }
    }

    /// Takes this outcome and every other that is there already.
    fn finish_all(&mut self, ended: Ended) {
        self.finish(ended);
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.finish(ended);
        }
    }

    fn finish(&mut self, ended: Ended) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(panic) => (
                panic.id(),
                Err(HandleError::Retry(format!("handler: {panic}"))),
            ),
        };
        let key = self.keys.remove(&id).expect("a running task has a key");
        let label = match &outcome {
            Ok(()) => "handled",
            Err(error) => {
                tracing::warn!(consumer = self.config.name, key, %error, "event not handled");
                "failed"
            }
        };
        metrics::counter!(metric::DELIVERIES, "consumer" => self.config.name.clone(), "outcome" => label)
            .increment(1);
        self.lanes
            .finish(&key, outcome, rand::random_range(0.0..1.0));
    }
}
