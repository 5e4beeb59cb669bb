//! Load of a bounded length, and what it met. Closed loop: a number of clients, each with one
//! request in flight, which shows what the system can do. Open loop: requests at a fixed rate,
//! whatever became of those before, which shows what users of that rate would see.
//!
//! Always holds: a latency of the open loop counts from when its request was due, so a system that
//! stalls can't hide it by slowing its load down ("coordinated omission", as Gil Tene named it);
//! requests in flight are bounded, and those that found no place are counted.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::{
    task::{JoinSet, LocalSet},
    time::Instant,
};

/// Longest latency that is told apart, in microseconds: one minute.
const LATENCY_US_MAX: u64 = 60_000_000;

/// How one operation ended.
pub enum Ended {
    /// As wanted; counts.
    Done,
    /// A business refusal; told apart, not counted.
    Refused,
    /// There is nothing more to do.
    Exhausted,
}

/// When requests are sent, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests in flight: exactly so many in a closed loop, at most so many in an open one.
    pub clients: usize,
    /// Requests a second of an open loop; `None` is a closed one.
    pub rate: Option<u32>,
    /// From the first request to the last.
    pub length: Duration,
}

/// What a run measured. Rates in operations a second, latencies in milliseconds.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub clients: usize,
    /// Requests a second that were asked for; none in a closed loop.
    pub rate: Option<u32>,
    pub seconds: f64,
    pub done: u64,
    pub refused: u64,
    pub failed: u64,
    /// Due while all `clients` were busy, and so never sent.
    pub dropped: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// The first failure's text, if there was one.
    pub first_failure: Option<String>,
}

/// What one task has seen.
struct Seen {
    latencies: Histogram<u64>,
    refused: u64,
    failed: u64,
    dropped: u64,
    first_failure: Option<String>,
    exhausted: bool,
}

impl Seen {
    fn new() -> Self {
        Self {
            latencies: Histogram::new_with_max(LATENCY_US_MAX, 3).expect("valid bounds"),
            refused: 0,
            failed: 0,
            dropped: 0,
            first_failure: None,
            exhausted: false,
        }
    }

    fn count(&mut self, ended: Result<Ended>, since: Instant) {
        match ended {
            Ok(Ended::Done) => {
                let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX);
                self.latencies.saturating_record(us);
            }
            Ok(Ended::Refused) => self.refused += 1,
            Ok(Ended::Exhausted) => self.exhausted = true,
            Err(error) => {
                self.failed += 1;
                self.first_failure
                    .get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }

    fn add(&mut self, other: Self) -> Result<()> {
        self.latencies.add(&other.latencies)?;
        self.refused += other.refused;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.exhausted |= other.exhausted;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        Ok(())
    }
}

/// Does `operation(client)` as `load` says, on all threads. `client` counts from 0 below
/// `load.clients`, and no two operations in flight have the same.
///
/// # Errors
/// If a task can't be joined; a rate of 0.
pub async fn run<F, Fut>(load: Load, operation: F) -> Result<Measured>
where
    F: Fn(usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Ended>> + Send + 'static,
{
    let operation = Arc::new(operation);
    match load.rate {
        None => {
            let start = |client, end| one_client(client, end, Arc::clone(&operation));
            closed(load, start, |tasks, task| {
                tasks.spawn(task);
            })
            .await
        }
        Some(rate) => {
            let start = |client, due| one_request(client, due, Arc::clone(&operation));
            open(load, rate, start, |tasks, task| {
                tasks.spawn(task);
            })
            .await
        }
    }
}

/// As [`run`], on one thread, for operations that can't leave it.
///
/// # Errors
/// As [`run`].
pub async fn run_on_one_thread<F, Fut>(load: Load, operation: F) -> Result<Measured>
where
    F: Fn(usize) -> Fut + 'static,
    Fut: Future<Output = Result<Ended>> + 'static,
{
    let operation = Arc::new(operation);
    let all = async {
        match load.rate {
            None => {
                let start = |client, end| one_client(client, end, Arc::clone(&operation));
                closed(load, start, |tasks, task| {
                    tasks.spawn_local(task);
                })
                .await
            }
            Some(rate) => {
                let start = |client, due| one_request(client, due, Arc::clone(&operation));
                open(load, rate, start, |tasks, task| {
                    tasks.spawn_local(task);
                })
                .await
            }
        }
    };
    LocalSet::new().run_until(all).await
}

async fn closed<T>(
    load: Load,
    start: impl Fn(usize, Instant) -> T,
    spawn: impl Fn(&mut JoinSet<Seen>, T),
) -> Result<Measured> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..load.clients {
        spawn(&mut tasks, start(client, started + load.length));
    }
    let mut all = Seen::new();
    while let Some(seen) = tasks.join_next().await {
        all.add(seen?)?;
    }
    measured(load, started, all)
}

async fn open<T>(
    load: Load,
    rate: u32,
    start: impl Fn(usize, Instant) -> T,
    spawn: impl Fn(&mut JoinSet<(usize, Seen)>, T),
) -> Result<Measured> {
    ensure!(rate > 0, "a rate of 0 measures nothing");
    let started = Instant::now();
    let mut all = Seen::new();
    let mut tasks = JoinSet::new();
    let mut free: Vec<usize> = (0..load.clients).rev().collect();
    for nth in 0.. {
        let due = started + Duration::from_secs_f64(f64::from(nth) / f64::from(rate));
        if due >= started + load.length || all.exhausted {
            break;
        }
        tokio::time::sleep_until(due).await;
        while let Some(ended) = tasks.try_join_next() {
            let (client, seen) = ended?;
            all.add(seen)?;
            free.push(client);
        }
        match free.pop() {
            Some(client) => spawn(&mut tasks, start(client, due)),
            None => all.dropped += 1,
        }
    }
    while let Some(ended) = tasks.join_next().await {
        all.add(ended?.1)?;
    }
    measured(load, started, all)
}

async fn one_client<F, Fut>(client: usize, end: Instant, operation: Arc<F>) -> Seen
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<Ended>>,
{
    let mut seen = Seen::new();
    while Instant::now() < end && !seen.exhausted {
        let began = Instant::now();
        seen.count(operation(client).await, began);
    }
    seen
}

async fn one_request<F, Fut>(client: usize, due: Instant, operation: Arc<F>) -> (usize, Seen)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<Ended>>,
{
    let mut seen = Seen::new();
    seen.count(operation(client).await, due);
    (client, seen)
}

fn measured(load: Load, started: Instant, all: Seen) -> Result<Measured> {
    let seconds = started.elapsed().as_secs_f64();
    let ms = |us: u64| us as f64 / 1000.0;
    let done = all.latencies.len();
    Ok(Measured {
        clients: load.clients,
        rate: load.rate,
        seconds,
        done,
        refused: all.refused,
        failed: all.failed,
        dropped: all.dropped,
        per_second: done as f64 / seconds,
        p50_ms: ms(all.latencies.value_at_quantile(0.5)),
        p95_ms: ms(all.latencies.value_at_quantile(0.95)),
        p99_ms: ms(all.latencies.value_at_quantile(0.99)),
        max_ms: ms(all.latencies.max()),
        first_failure: all.first_failure,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Of simulated time: these tests wait for nothing.
    const LENGTH: Duration = Duration::from_millis(500);

    fn load(clients: usize, rate: Option<u32>) -> Load {
        Load {
            clients,
            rate,
            length: LENGTH,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_loop_counts_a_stall_against_every_request_that_was_due_in_it() {
        let stalled = Cell::new(false);
        let operation = move |_| {
            let first = !stalled.replace(true);
            async move {
                if first {
                    // Nothing runs meanwhile, the load generator neither.
                    tokio::time::advance(Duration::from_millis(300)).await;
                }
                Ok(Ended::Done)
            }
        };
        let measured = run_on_one_thread(load(1000, Some(100)), operation)
            .await
            .expect("measured");
        assert_eq!((measured.done, measured.dropped), (50, 0), "{measured:?}");
        assert!(measured.max_ms >= 299.0, "{measured:?}");
        // 30 were due in the stall, so half of all waited 50 ms or more.
        assert!(measured.p50_ms >= 49.0, "{measured:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_free_client_is_counted_as_dropped() {
        let busy = |_| async {
            tokio::time::sleep(2 * LENGTH).await;
            Ok(Ended::Done)
        };
        let measured = run(load(2, Some(100)), busy).await.expect("measured");
        assert_eq!((measured.done, measured.dropped), (2, 48), "{measured:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_has_one_request_of_each_client_in_flight() {
        let in_flight: Arc<RefCell<[u32; 3]>> = Arc::default();
        let operation = move |client: usize| {
            let in_flight = Arc::clone(&in_flight);
            async move {
                in_flight.borrow_mut()[client] += 1;
                ensure!(in_flight.borrow()[client] == 1, "two at once");
                tokio::time::sleep(Duration::from_millis(50)).await;
                in_flight.borrow_mut()[client] -= 1;
                Ok(Ended::Done)
            }
        };
        let measured = run_on_one_thread(load(3, None), operation)
            .await
            .expect("measured");
        assert_eq!((measured.done, measured.failed), (30, 0), "{measured:?}");
    }
}
