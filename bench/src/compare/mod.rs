//! The same holds on three Holdfast nodes and on what people use instead, in turn, in one run.
//!
//! Always holds: one system runs at a time, each measurement has fresh data of its own, and every system is
//! asked by the same load generator over a fixed number of connections. A ratio is one of medians over
//! the rounds.

mod etcd;
mod holdfast;
mod postgres;
mod redis;
mod servers;

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    ops::Range,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use self::{redis::Keeping, servers::Server};
use crate::{
    environment::Environment,
    fsync_probe::{Beside, Probe},
    load::{self, Ended, Load, Measured},
};

/// Connections to each server, each shared by many clients. Postgres, which serves one statement at a
/// time on each, has more.
const CONNECTIONS: usize = 4;
/// How long a hold is for, milliseconds.
const HOLD_TTL_MS: u64 = 600_000;
/// Seats of each show.
const SEATS_PER_SHOW: u32 = 100_000;
/// Holds that are made before the measurement: connections and caches are warm, code is loaded.
const WARM_UP: Duration = Duration::from_secs(1);
/// More holds a second than the lock store makes: shows are opened for as many. What others sell needs
/// no opening.
const HOLDS_PER_S_MAX: u32 = 60_000;

/// Which ratios are asked for: at so many clients and seats.
const RATIO_CLIENTS: usize = 512;
const RATIO_SEATS: u32 = 4;

/// One hold by a client.
type Operation =
    Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = Result<Ended>> + Send>> + Send + Sync>;

/// A system that was started for one measurement.
struct Running {
    /// As it tells it.
    version: String,
    operation: Operation,
    _servers: Vec<Server>,
}

/// Distinct free seats, handed out to all clients.
#[derive(Debug, Clone)]
struct Work {
    next: Arc<AtomicU32>,
    seats: u32,
    holds: u32,
}

impl Work {
    /// Enough of them for `length` of holds of `seats`.
    fn of(seats: u32, length: Duration) -> Self {
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        Self {
            next: Arc::default(),
            seats,
            holds: HOLDS_PER_S_MAX.saturating_mul(seconds),
        }
    }

    /// Show and seats of the next hold.
    fn next(&self) -> (u32, Range<u32>) {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        let per_show = SEATS_PER_SHOW / self.seats;
        let first = nth % per_show * self.seats;
        (nth / per_show, first..first + self.seats)
    }

    /// How many shows all of it takes.
    fn shows(&self) -> u32 {
        self.holds.div_ceil(SEATS_PER_SHOW / self.seats)
    }
}

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Holdfast,
    Etcd,
    RedisAofAlways,
    RedisNone,
    Postgres,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Holdfast,
        Self::Etcd,
        Self::RedisAofAlways,
        Self::RedisNone,
        Self::Postgres,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Holdfast => "holdfast",
            Self::Etcd => "etcd",
            Self::RedisAofAlways => "redis_aof_always",
            Self::RedisNone => "redis_none",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What to run, and how long.
#[derive(Debug)]
pub struct Plan {
    /// The `holdfast` program.
    pub holdfast: PathBuf,
    /// Folder of PostgreSQL's programs.
    pub postgres_bin: PathBuf,
    /// Where the systems keep their data, on a disk.
    pub data_root: PathBuf,
    pub rounds: u32,
    pub clients: Vec<usize>,
    pub seats: Vec<u32>,
    /// Of each measurement.
    pub length: Duration,
}

/// All that one run found.
#[derive(Debug, Serialize)]
pub struct Comparison {
    environment: Environment,
    hold_ttl_ms: u64,
    connections: usize,
    rounds: u32,
    /// Of each system, as it tells it.
    versions: BTreeMap<&'static str, String>,
    rows: Vec<Row>,
    /// Holds a second of Holdfast over those of the other, medians at 512 clients and 4 seats.
    ratios: BTreeMap<&'static str, f64>,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Row {
    round: u32,
    system: &'static str,
    seats: u32,
    #[serde(flatten)]
    measured: Measured,
    /// `fdatasync` during this load.
    fsync: Probe,
}

/// Measures everything `plan` says.
///
/// # Errors
/// A system can't be started, or fails so that nothing was measured.
pub async fn run(plan: &Plan, environment: Environment) -> Result<Comparison> {
    let mut comparison = Comparison {
        environment,
        hold_ttl_ms: HOLD_TTL_MS,
        connections: CONNECTIONS,
        rounds: plan.rounds,
        versions: BTreeMap::new(),
        rows: Vec::new(),
        ratios: BTreeMap::new(),
    };
    for round in 1..=plan.rounds {
        for kind in Kind::ALL {
            for &seats in &plan.seats {
                for &clients in &plan.clients {
                    let row = comparison
                        .measure(plan, kind, round, seats, clients)
                        .await
                        .with_context(|| format!("{kind}, {clients} clients, {seats} seats"))?;
                    comparison.rows.push(row);
                }
            }
        }
    }
    comparison.compare();
    Ok(comparison)
}

impl Comparison {
    async fn measure(
        &mut self,
        plan: &Plan,
        kind: Kind,
        round: u32,
        seats: u32,
        clients: usize,
    ) -> Result<Row> {
        let folder = tempfile::Builder::new()
            .prefix("holdfast-bench-")
            .tempdir_in(&plan.data_root)?;
        let dir = folder.path();
        let work = Work::of(seats, plan.length + WARM_UP);
        let running = match kind {
            Kind::Holdfast => holdfast::start(dir, &plan.holdfast, work).await?,
            Kind::Etcd => etcd::start(dir, work).await?,
            Kind::RedisAofAlways => redis::start(dir, Keeping::All, work).await?,
            Kind::RedisNone => redis::start(dir, Keeping::Nothing, work).await?,
            Kind::Postgres => postgres::start(dir, &plan.postgres_bin, work).await?,
        };
        let load = |length| Load {
            clients,
            rate: None,
            length,
        };
        let operate = || {
            let operation = Arc::clone(&running.operation);
            move |client| operation(client)
        };
        load::run(load(WARM_UP), operate()).await?;
        let beside = Beside::start(&plan.data_root);
        let measured = load::run(load(plan.length), operate()).await;
        let fsync = beside.stop()?;
        let measured = measured?;
        ensure!(
            measured.done > 0,
            "nothing was held: {}",
            measured.first_failure.unwrap_or_default()
        );
        self.versions.insert(kind.name(), running.version.clone());
        let row = Row {
            round,
            system: kind.name(),
            seats,
            measured,
            fsync,
        };
        row.print();
        Ok(row)
    }

    /// Median of holds a second of all rounds; none where it wasn't measured.
    fn median(&self, kind: Kind, seats: u32, clients: usize) -> Option<f64> {
        let of = |row: &&Row| {
            row.system == kind.name() && row.seats == seats && row.measured.clients == clients
        };
        let mut rates: Vec<f64> = self
            .rows
            .iter()
            .filter(of)
            .map(|row| row.measured.per_second)
            .collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }

    fn compare(&mut self) {
        let rate = |kind| self.median(kind, RATIO_SEATS, RATIO_CLIENTS);
        let Some(ours) = rate(Kind::Holdfast) else {
            return;
        };
        self.ratios = Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::Holdfast)
            .filter_map(|kind| Some((kind.name(), ours / rate(kind)?)))
            .collect();
    }

    /// As tables, for people.
    pub fn print(&self, plan: &Plan) {
        println!("{}", self.environment);
        for (name, version) in &self.versions {
            println!("  {name:<18}{version}");
        }
        println!("holds a second, medians of {} rounds:", self.rounds);
        for &seats in &plan.seats {
            for &clients in &plan.clients {
                print!("  {seats} seats, {clients:>4} clients:");
                for kind in Kind::ALL {
                    let rate = self.median(kind, seats, clients).unwrap_or_default();
                    print!("  {kind} {rate:.0}");
                }
                println!();
            }
        }
        for (name, ratio) in &self.ratios {
            println!("  {ratio:.2} x {name} ({RATIO_CLIENTS} clients, {RATIO_SEATS} seats)");
        }
    }
}

impl Row {
    fn print(&self) {
        let m = &self.measured;
        eprintln!(
            "round {}: {:<18} {} seats {:>4} clients {:>9.0}/s, p50 {:.1} ms, p99 {:.1} ms, {} refused, \
             {} failed, fdatasync p50 {:.2} p99 {:.2} ms",
            self.round,
            self.system,
            self.seats,
            m.clients,
            m.per_second,
            m.p50_ms,
            m.p99_ms,
            m.refused,
            m.failed,
            self.fsync.p50_ms,
            self.fsync.p99_ms
        );
        if let Some(failure) = &m.first_failure {
            eprintln!("  first failure: {failure}");
        }
    }
}
