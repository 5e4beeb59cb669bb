//! The same holds on three Holdfast nodes and on what people use instead, in turn, in one run.
//!
//! Always holds: one system runs at a time, each measurement has fresh data of its own, and every system is
//! asked by the same load generator over a fixed number of connections. A ratio is one of medians over
//! the rounds.

mod etcd;
mod holdfast;
mod postgres;
mod redis;
mod stages;

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tempfile::TempDir;

use self::{redis::Keeping, stages::Stage};
use crate::{
    environment::Environment,
    fsync_probe::{Beside, Probe},
    load::{self, Ended, Load, Measured},
    memory,
    nodes::Nodes,
    servers::Server,
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

/// Of the show that a rush sells out.
const RUSH_SEATS: u32 = 20_000;
/// Seats next to each other that each client of a rush wants, the best there are.
const RUSH_PARTY: u32 = 4;
const RUSH_CLIENTS: usize = 512;
/// How long a rush may take.
const RUSH_LIMIT: Duration = Duration::from_secs(60);

/// One hold by a client.
type Operation =
    Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = Result<Ended>> + Send>> + Send + Sync>;

/// A system that was started for one measurement.
struct Running {
    /// As it tells it.
    version: String,
    operation: Operation,
    /// Ours, which has stages to tell.
    nodes: Option<Nodes>,
    servers: Vec<Server>,
}

/// What the clients do.
#[derive(Debug, Clone)]
enum Work {
    /// Distinct free seats are held.
    Distinct(Distinct),
    /// All want the best four together of one show, until none are left. Ours chooses among all free
    /// seats; the others take from blocks of four that were cut before, which serves parties of four
    /// only, and is the least that can be asked of them.
    Rush,
}

/// Distinct free seats, handed out to all clients.
#[derive(Debug, Clone)]
struct Distinct {
    next: Arc<AtomicU32>,
    seats: u32,
    holds: u32,
}

impl Distinct {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    Holdfast,
    Etcd,
    RedisAofAlways,
    RedisNone,
    Postgres,
}

impl Kind {
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

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "closed",
            Self::Half => "half",
            Self::Rush => "rush",
        })
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
    pub systems: Vec<Kind>,
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
    /// As [`Self::ratios`], of the rush.
    rush_ratios: BTreeMap<&'static str, f64>,
    /// p99 of Holdfast over that of the other, each at half of the most it did, medians.
    half_load_p99_ratios: BTreeMap<&'static str, f64>,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Row {
    round: u32,
    system: &'static str,
    load: Shape,
    seats: u32,
    #[serde(flatten)]
    measured: Measured,
    /// CPU time of the servers' processes, and of the load generator, microseconds a hold.
    servers_us: f64,
    load_us: f64,
    /// What an entry went through on the leader; only ours tells.
    stages: Vec<Stage>,
    /// `fdatasync` during this load.
    fsync: Probe,
}

/// How a row was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    /// As much as it does.
    Closed,
    /// At half of that, whatever becomes of the requests before.
    Half,
    /// Until a show is sold out.
    Rush,
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
        rush_ratios: BTreeMap::new(),
        half_load_p99_ratios: BTreeMap::new(),
    };
    for round in 1..=plan.rounds {
        for &kind in &plan.systems {
            for &seats in &plan.seats {
                for &clients in &plan.clients {
                    comparison
                        .distinct(plan, kind, round, seats, clients)
                        .await
                        .with_context(|| format!("{kind}, {clients} clients, {seats} seats"))?;
                }
            }
            comparison
                .rush(plan, kind, round)
                .await
                .with_context(|| format!("{kind}, a rush"))?;
        }
    }
    comparison.compare(&plan.systems);
    Ok(comparison)
}

async fn start(plan: &Plan, kind: Kind, dir: &Path, work: Work) -> Result<Running> {
    match kind {
        Kind::Holdfast => holdfast::start(dir, &plan.holdfast, work).await,
        Kind::Etcd => etcd::start(dir, work).await,
        Kind::RedisAofAlways => redis::start(dir, Keeping::All, work).await,
        Kind::RedisNone => redis::start(dir, Keeping::Nothing, work).await,
        Kind::Postgres => postgres::start(dir, &plan.postgres_bin, work).await,
    }
}

impl Comparison {
    /// As much as it does and, where ratios are asked for, then half of that.
    async fn distinct(
        &mut self,
        plan: &Plan,
        kind: Kind,
        round: u32,
        seats: u32,
        clients: usize,
    ) -> Result<()> {
        let folder = folder(plan)?;
        let work = Distinct::of(seats, 2 * plan.length + WARM_UP);
        let running = start(plan, kind, folder.path(), Work::Distinct(work)).await?;
        self.versions.insert(kind.name(), running.version.clone());
        let closed = |length| Load {
            clients,
            rate: None,
            length,
        };
        running.load(closed(WARM_UP)).await?;
        let mut row = Row {
            round,
            system: kind.name(),
            load: Shape::Closed,
            seats,
            ..running.row(plan, closed(plan.length)).await?
        };
        row.print();
        // What fails has no rate to compare; the file says how much of it did.
        let m = &row.measured;
        if m.failed + m.refused > m.done / 100 {
            eprintln!(
                "  not to be compared: {} failed, {} refused",
                m.failed, m.refused
            );
        }
        let most = m.per_second;
        self.rows.push(row);
        if clients == RATIO_CLIENTS && seats == RATIO_SEATS {
            let half = Load {
                rate: Some((most / 2.0) as u32),
                ..closed(plan.length)
            };
            row = Row {
                round,
                system: kind.name(),
                load: Shape::Half,
                seats,
                ..running.row(plan, half).await?
            };
            row.print();
            self.rows.push(row);
        }
        Ok(())
    }

    async fn rush(&mut self, plan: &Plan, kind: Kind, round: u32) -> Result<()> {
        let folder = folder(plan)?;
        let running = start(plan, kind, folder.path(), Work::Rush).await?;
        let load = Load {
            clients: RUSH_CLIENTS,
            rate: None,
            length: RUSH_LIMIT,
        };
        let row = Row {
            round,
            system: kind.name(),
            load: Shape::Rush,
            seats: RUSH_PARTY,
            ..running.row(plan, load).await?
        };
        row.print();
        let (done, parties) = (row.measured.done, u64::from(RUSH_SEATS / RUSH_PARTY));
        // One that got no answer may have its seats all the same; more than there are nobody has.
        ensure!(done <= parties, "{done} of {parties} parties got seats");
        if done < parties {
            eprintln!(
                "  {} of {parties} parties heard of no seats",
                parties - done
            );
        }
        self.rows.push(row);
        Ok(())
    }

    /// Median over all rounds of what `of` says of a row; none where it wasn't measured.
    fn median(
        &self,
        kind: Kind,
        load: Shape,
        seats: u32,
        clients: usize,
        of: impl Fn(&Measured) -> f64,
    ) -> Option<f64> {
        let is_wanted = |row: &&Row| {
            row.system == kind.name()
                && row.load == load
                && row.seats == seats
                && row.measured.clients == clients
        };
        let rows = self.rows.iter().filter(is_wanted);
        let mut figures: Vec<f64> = rows.map(|row| of(&row.measured)).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    }

    fn compare(&mut self, systems: &[Kind]) {
        let ratios = |load, of: fn(&Measured) -> f64| -> BTreeMap<&'static str, f64> {
            let figure = |kind| self.median(kind, load, RATIO_SEATS, RATIO_CLIENTS, of);
            let Some(ours) = figure(Kind::Holdfast) else {
                return BTreeMap::new();
            };
            let others = systems.iter().filter(|kind| **kind != Kind::Holdfast);
            others
                .filter_map(|kind| Some((kind.name(), ours / figure(*kind)?)))
                .collect()
        };
        let per_second = |measured: &Measured| measured.per_second;
        let (closed, rush) = (
            ratios(Shape::Closed, per_second),
            ratios(Shape::Rush, per_second),
        );
        let half = ratios(Shape::Half, |measured| measured.p99_ms);
        (self.ratios, self.rush_ratios, self.half_load_p99_ratios) = (closed, rush, half);
    }

    /// As tables, for people.
    pub fn print(&self, plan: &Plan) {
        println!("{}", self.environment);
        for (name, version) in &self.versions {
            println!("  {name:<18}{version}");
        }
        println!("holds a second, medians of {} rounds:", self.rounds);
        let line = |what: String, load, seats, clients, of: fn(&Measured) -> f64| {
            print!("  {what:<22}");
            for &kind in &plan.systems {
                let figure = self.median(kind, load, seats, clients, of);
                print!("  {kind} {:.1}", figure.unwrap_or_default());
            }
            println!();
        };
        for &seats in &plan.seats {
            for &clients in &plan.clients {
                let what = format!("{seats} seats, {clients} clients");
                line(what, Shape::Closed, seats, clients, |m| m.per_second);
            }
        }
        let rush = format!("rush, {RUSH_CLIENTS} clients");
        line(rush, Shape::Rush, RUSH_PARTY, RUSH_CLIENTS, |m| {
            m.per_second
        });
        let half = "p99 at half load, ms".to_owned();
        line(half, Shape::Half, RATIO_SEATS, RATIO_CLIENTS, |m| m.p99_ms);
        for (what, ratios) in [
            ("holds a second", &self.ratios),
            ("holds a second in the rush", &self.rush_ratios),
            ("p99 at half load", &self.half_load_p99_ratios),
        ] {
            println!("Holdfast's {what}, {RATIO_CLIENTS} clients, {RATIO_SEATS} seats:");
            for (name, ratio) in ratios {
                println!("  {ratio:.2} x {name}");
            }
        }
    }
}

fn folder(plan: &Plan) -> Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir_in(&plan.data_root)?;
    Ok(folder)
}

impl Running {
    /// CPU seconds that the servers have spent.
    fn cpu_s(&self) -> Result<f64> {
        let mut pids: Vec<u32> = self.servers.iter().map(Server::pid).collect();
        pids.extend(self.nodes.iter().flat_map(Nodes::pids));
        pids.into_iter().map(memory::tree_cpu_s).sum()
    }

    async fn load(&self, load: Load) -> Result<Measured> {
        let operation = Arc::clone(&self.operation);
        load::run(load, move |client| operation(client)).await
    }

    /// A measurement; what it is of is for the caller to say.
    async fn row(&self, plan: &Plan, load: Load) -> Result<Row> {
        let metrics = self.nodes.as_ref().map_or(Vec::new(), Nodes::metrics);
        let before = stages::of(&metrics).await?;
        let (servers, this) = (self.cpu_s()?, memory::own_cpu_s()?);
        let beside = Beside::start(&plan.data_root);
        let measured = self.load(load).await;
        let fsync = beside.stop()?;
        let measured = measured?;
        let us = |seconds: f64| seconds * 1e6 / measured.done as f64;
        let (servers_us, load_us) = (us(self.cpu_s()? - servers), us(memory::own_cpu_s()? - this));
        ensure!(
            measured.done > 0,
            "nothing was held: {}",
            measured.first_failure.unwrap_or_default()
        );
        Ok(Row {
            round: 0,
            system: "",
            load: Shape::Closed,
            seats: 0,
            measured,
            servers_us,
            load_us,
            stages: stages::since(&before, &stages::of(&metrics).await?),
            fsync,
        })
    }
}

impl Row {
    fn print(&self) {
        let m = &self.measured;
        eprintln!(
            "round {}: {:<18} {:<6} {} seats {:>4} clients {:>9.0}/s, p50 {:.1} ms, p99 {:.1} ms, {:.0} + {:.0} us CPU, \
             {} refused, {} failed, fdatasync p50 {:.2} p99 {:.2} ms",
            self.round,
            self.system,
            self.load,
            self.seats,
            m.clients,
            m.per_second,
            m.p50_ms,
            m.p99_ms,
            self.servers_us,
            self.load_us,
            m.refused,
            m.failed,
            self.fsync.p50_ms,
            self.fsync.p99_ms
        );
        for stage in &self.stages {
            eprintln!("  {stage}");
        }
        if let Some(failure) = &m.first_failure {
            eprintln!("  first failure: {failure}");
        }
    }
}
