//! Closed-loop load: a number of clients, each with one request in flight, for a length of time
//! (and no more operations than named). Latencies go into an HDR histogram.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};

/// Longest latency that is told apart, in microseconds: one minute.
const LATENCY_US_MAX: u64 = 60_000_000;

/// How one operation ended.
pub enum Ended {
    /// As wanted; counts.
    Done,
    /// A business refusal; told apart, not counted.
    Refused,
    /// There is nothing more to do for this client.
    Exhausted,
}

/// What a run measured. Rates in operations a second, latencies in milliseconds.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub clients: usize,
    pub seconds: f64,
    pub done: u64,
    pub refused: u64,
    pub failed: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// The first failure's text, if there was one.
    pub first_failure: Option<String>,
}

struct Client {
    latencies: Histogram<u64>,
    refused: u64,
    failed: u64,
    first_failure: Option<String>,
}

/// Runs `clients` loops of `operation(client, turn)` for `length`, on all threads.
///
/// # Errors
/// If a client's task can't be joined.
pub async fn run<F, Fut>(clients: usize, length: Duration, operation: F) -> Result<Measured>
where
    F: Fn(usize, u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Ended>> + Send,
{
    let operation = Arc::new(operation);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let operation = Arc::clone(&operation);
        tasks.spawn(async move { one_client(client, started + length, &*operation).await });
    }
    sum_up(clients, started, tasks).await
}

/// As [`run`], on one thread, for operations that can't leave it.
///
/// # Errors
/// If a client's task can't be joined.
pub async fn run_on_one_thread<F, Fut>(
    clients: usize,
    length: Duration,
    operation: F,
) -> Result<Measured>
where
    F: Fn(usize, u64) -> Fut + 'static,
    Fut: Future<Output = Result<Ended>>,
{
    let operation = Arc::new(operation);
    let local = LocalSet::new();
    local
        .run_until(async move {
            let started = Instant::now();
            let mut tasks = JoinSet::new();
            for client in 0..clients {
                let operation = Arc::clone(&operation);
                tasks.spawn_local(async move {
                    one_client(client, started + length, &*operation).await
                });
            }
            sum_up(clients, started, tasks).await
        })
        .await
}

async fn one_client<F, Fut>(client: usize, end: Instant, operation: &F) -> Client
where
    F: Fn(usize, u64) -> Fut,
    Fut: Future<Output = Result<Ended>>,
{
    let mut seen = Client {
        latencies: Histogram::new_with_max(LATENCY_US_MAX, 3).expect("valid bounds"),
        refused: 0,
        failed: 0,
        first_failure: None,
    };
    let mut turn = 0;
    while Instant::now() < end {
        let began = Instant::now();
        match operation(client, turn).await {
            Ok(Ended::Done) => {
                let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX);
                seen.latencies.saturating_record(us);
            }
            Ok(Ended::Refused) => seen.refused += 1,
            Ok(Ended::Exhausted) => break,
            Err(error) => {
                seen.failed += 1;
                seen.first_failure
                    .get_or_insert_with(|| format!("{error:#}"));
            }
        }
        turn += 1;
    }
    seen
}

async fn sum_up(clients: usize, started: Instant, mut tasks: JoinSet<Client>) -> Result<Measured> {
    let mut all: Histogram<u64> = Histogram::new_with_max(LATENCY_US_MAX, 3)?;
    let (mut refused, mut failed, mut first_failure) = (0, 0, None);
    while let Some(seen) = tasks.join_next().await {
        let seen = seen?;
        all.add(&seen.latencies)?;
        refused += seen.refused;
        failed += seen.failed;
        first_failure = first_failure.or(seen.first_failure);
    }
    let seconds = started.elapsed().as_secs_f64();
    let ms = |us: u64| us as f64 / 1000.0;
    Ok(Measured {
        clients,
        seconds,
        done: all.len(),
        refused,
        failed,
        per_second: all.len() as f64 / seconds,
        p50_ms: ms(all.value_at_quantile(0.5)),
        p95_ms: ms(all.value_at_quantile(0.95)),
        p99_ms: ms(all.value_at_quantile(0.99)),
        max_ms: ms(all.max()),
        first_failure,
    })
}
