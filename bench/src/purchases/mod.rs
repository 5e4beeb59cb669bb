//! Whole purchases over REST: hold, book, pay at the sandbox's page, confirmed with tickets; at most so
//! many at once, at half of what was reached then, and as a real sale went.
//!
//! Always holds: every purchase is by a customer with a hold, a booking and a payment of its own; what
//! has no tickets in the end isn't counted.

mod buyer;
mod onsale;
mod pgbench;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use holdfast_harness::{Customer, Options, ShowRules, System};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use self::buyer::{Buyer, Met, Outcome, StepLatency, Wanted};
use self::{
    onsale::{Replay, replay},
    pgbench::PgBench,
};
use crate::{
    environment::Environment,
    fsync_probe::{self, Probe},
    load::{self, Ended, Load, Measured},
    memory,
};

/// Rows and seats of a row of the show that is sold.
const ROWS: u32 = 500;
const ROW_SEATS: u32 = 100;
/// Tickets of one purchase; neighbours.
const TICKETS: u32 = 4;
/// Connections are open and caches warm after it.
const WARM_UP: Duration = Duration::from_secs(3);
/// Of the open loop.
const UNDER_WAY_MAX: usize = 1_000;

/// What is measured.
#[derive(Debug)]
pub struct Plan {
    /// The program.
    pub holdfast: PathBuf,
    /// Where its data is kept.
    pub data_root: PathBuf,
    /// Folder of PostgreSQL's programs.
    pub postgres_bin: PathBuf,
    /// Of the closed loops.
    pub clients: Vec<usize>,
    /// Of each loop.
    pub length: Duration,
    /// How many times as fast the sale goes again.
    pub times: Vec<u32>,
}

/// All that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    environment: Environment,
    /// `fdatasync` before the load.
    fsync: Probe,
    /// The best of `closed`.
    pub purchases_per_s: f64,
    /// And the best of `pgbench`, and what ours is of it.
    pgbench_per_s: f64,
    ratio_to_pgbench: f64,
    closed: Vec<Purchases>,
    pgbench: Vec<PgBench>,
    /// At half of that, in an open loop.
    half: Purchases,
    sales: Vec<Replay>,
}

/// Starts a system and measures it.
///
/// # Errors
/// If it doesn't start or stop, or nothing can be bought.
pub async fn measure(plan: &Plan, environment: Environment) -> Result<Report> {
    eprintln!("starting a system");
    let mut options = Options::new(&plan.holdfast);
    options.temp_root.clone_from(&plan.data_root);
    // Few customers buy all the time, as no person does.
    options.env.push((
        "HOLDFAST__GATEWAY__RATE_LIMITS__USER_PERSONAL".to_owned(),
        "0".to_owned(),
    ));
    let mut system = System::start(options).await?;
    let fsync = fsync_probe::probe(system.dir())?;
    println!("{environment}");
    println!(
        "fdatasync of 4 KiB before the load: p50 {:.2} ms, p99 {:.2} ms",
        fsync.p50_ms, fsync.p99_ms
    );
    println!("purchases of {TICKETS} tickets, REST:");
    let most = plan.clients.iter().copied().max().unwrap_or(1);
    eprintln!("{most} people make an account");
    let buyers = Buyers::register(&system, most).await?;
    let seconds = plan.length.as_secs();
    // All before the first load: what it takes to open them is nobody's purchase.
    let mut shows = Vec::new();
    for _ in 0..plan.clients.len() + 2 {
        shows.push(Seats::open(&system, ROWS, ROW_SEATS).await?);
    }
    let mut next_show = || shows.pop().context("a show for each load");
    eprintln!("warming up");
    run(&system, &buyers, next_show()?, closed_loop(most, WARM_UP)).await?;
    let mut closed = Vec::new();
    for clients in &plan.clients {
        eprintln!("{clients} clients, {seconds} s");
        let load = closed_loop(*clients, plan.length);
        let purchases = run(&system, &buyers, next_show()?, load).await?;
        purchases.print();
        closed.push(purchases);
    }
    let rates = closed.iter().map(|run| run.measured.per_second);
    let purchases_per_s = rates.fold(0.0, f64::max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate"
    )]
    let rate = (purchases_per_s / 2.0).max(1.0) as u32;
    eprintln!("{rate}/s, {seconds} s");
    let load = Load {
        clients: UNDER_WAY_MAX,
        rate: Some(rate),
        length: plan.length,
    };
    let half = run(&system, &buyers, next_show()?, load).await?;
    half.print();
    let mut pgbench = Vec::new();
    for clients in &plan.clients {
        eprintln!("pgbench, {clients} clients, {seconds} s");
        let run = pgbench::run(&system, &plan.postgres_bin, *clients, plan.length)?;
        println!(
            "the same writes by pgbench, {} clients: {:.1}/s; {:.1} transactions, {:.1} rows written a purchase ({})",
            run.clients, run.purchases_per_s, run.transactions, run.rows_written, run.version
        );
        pgbench.push(run);
    }
    let pgbench_per_s = pgbench.iter().map(|run| run.purchases_per_s);
    let pgbench_per_s = pgbench_per_s.fold(0.0, f64::max);
    println!("ratio to pgbench: {:.2}", purchases_per_s / pgbench_per_s);
    let mut sales = Vec::new();
    for times in &plan.times {
        eprintln!("a sale, {times} times as fast");
        let sale = replay(&system, &buyers, *times).await?;
        sale.print();
        sales.push(sale);
    }
    let status = system.stop().await.context("stopping the system")?;
    ensure!(status.success(), "the system ended with {status}");
    Ok(Report {
        environment,
        fsync,
        purchases_per_s,
        pgbench_per_s,
        ratio_to_pgbench: purchases_per_s / pgbench_per_s,
        closed,
        pgbench,
        half,
        sales,
    })
}

fn closed_loop(clients: usize, length: Duration) -> Load {
    Load {
        clients,
        rate: None,
        length,
    }
}

impl Report {
    /// # Errors
    /// A sale had what must never be.
    pub fn check(&self) -> Result<()> {
        let wrong: Vec<_> = self.sales.iter().filter_map(Replay::wrong).collect();
        ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(())
    }
}

impl Purchases {
    fn print(&self) {
        let m = &self.measured;
        let rate = m.rate.map_or(String::new(), |rate| format!(" at {rate}/s"));
        println!(
            "{} clients{rate}: {:.1}/s, p50 {:.1} ms, p99 {:.1} ms; {} refused, {} failed, {} dropped",
            m.clients, m.per_second, m.p50_ms, m.p99_ms, m.refused, m.failed, m.dropped
        );
        if let Some(failure) = &m.first_failure {
            println!("  first failure: {failure}");
        }
        print_steps(&self.steps);
        let cpu: Vec<_> = self
            .cpu_ms
            .iter()
            .map(|(name, ms)| format!("{name} {ms:.2}"))
            .collect();
        println!("  CPU ms a purchase: {}", cpu.join(", "));
        println!(
            "  Postgres, a purchase: {:.1} transactions, {:.1} rows written",
            self.transactions, self.rows_written
        );
        println!("  answers: {:?}", self.statuses);
    }
}

fn print_steps(steps: &[StepLatency]) {
    let steps: Vec<_> = steps
        .iter()
        .map(|step| format!("{:?} {:.1}/{:.1}", step.step, step.p50_ms, step.p99_ms))
        .collect();
    println!("  p50/p99 ms: {}", steps.join(", "));
}

/// Purchases of one load.
#[derive(Debug, Serialize)]
pub struct Purchases {
    #[serde(flatten)]
    pub measured: Measured,
    pub steps: Vec<StepLatency>,
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// CPU milliseconds that a purchase cost, by process; `load` is this program.
    pub cpu_ms: BTreeMap<String, f64>,
    /// Transactions of Postgres that a purchase cost, and rows written by them.
    pub transactions: f64,
    pub rows_written: f64,
}

/// People with accounts. Few, because an account costs more than a purchase: so caps don't count here, and
/// services remember their tokens from one purchase to the next.
struct Buyers(Rc<Vec<Buyer>>);

impl Buyers {
    /// Registers `count`.
    ///
    /// # Errors
    /// A refusal.
    async fn register(system: &System, count: usize) -> Result<Self> {
        let rest = system.rest()?;
        let mut buyers = Vec::new();
        for _ in 0..count {
            buyers.push(Buyer::new(Customer::register(&rest).await?)?);
        }
        Ok(Self(Rc::new(buyers)))
    }

    fn nth(&self, nth: usize) -> Buyer {
        self.0[nth % self.0.len()].clone()
    }
}

/// Opens a show that nobody's cap limits.
async fn open(system: &System, rows: u32, row_seats: u32) -> Result<Uuid> {
    let rules = ShowRules {
        seats_per_customer_max: rows * row_seats,
        ..ShowRules::default()
    };
    system
        .organiser()
        .await?
        .open_show(rows, row_seats, rules)
        .await
}

/// A show on sale, and its seats.
struct Seats {
    show: Uuid,
    labels: Vec<String>,
}

impl Seats {
    async fn open(system: &System, rows: u32, row_seats: u32) -> Result<Self> {
        let show = open(system, rows, row_seats).await?;
        let labels = system.rest()?.free_seats(show).await?;
        Ok(Self { show, labels })
    }
}

/// Buys four tickets at a time until the time is over.
///
/// # Errors
/// If what the system did can't be read.
async fn run(system: &System, buyers: &Buyers, seats: Seats, load: Load) -> Result<Purchases> {
    let Seats { show, labels } = seats;
    let labels = Arc::new(labels);
    let buyers = Buyers(Rc::clone(&buyers.0));
    let next = Arc::new(AtomicU32::new(0));
    let met = Rc::new(RefCell::new(Met::default()));
    let before = Spent::now(system).await?;
    let operation = {
        let met = Rc::clone(&met);
        move |client: usize| {
            let (buyer, labels) = (buyers.nth(client), Arc::clone(&labels));
            let (next, met) = (Arc::clone(&next), Rc::clone(&met));
            async move {
                let first = (next.fetch_add(1, Ordering::Relaxed) * TICKETS) as usize;
                let Some(seats) = labels.get(first..first + TICKETS as usize) else {
                    return Ok(Ended::Exhausted);
                };
                let wanted = Wanted::Named(seats.to_vec());
                match buyer.buy(show, &wanted, Instant::now(), &met).await? {
                    Outcome::Bought(_) => Ok(Ended::Done),
                    Outcome::SoldOut | Outcome::Refused => Ok(Ended::Refused),
                }
            }
        }
    };
    let measured = load::run_on_one_thread(load, operation).await?;
    let spent = Spent::now(system).await?.since(&before);
    let done = measured.done.max(1) as f64;
    let met = met.take();
    Ok(Purchases {
        measured,
        steps: met.steps(),
        statuses: met.statuses,
        cpu_ms: spent
            .cpu_s
            .into_iter()
            .map(|(name, s)| (name, s * 1000.0 / done))
            .collect(),
        transactions: spent.transactions as f64 / done,
        rows_written: spent.rows_written as f64 / done,
    })
}

/// What the system's processes have spent.
struct Spent {
    cpu_s: BTreeMap<String, f64>,
    transactions: i64,
    rows_written: i64,
}

impl Spent {
    async fn now(system: &System) -> Result<Self> {
        // Backends report at most once a second, and when they have nothing to do.
        tokio::time::sleep(STATISTICS_DELAY).await;
        let run = system.run()?;
        let mut cpu_s = BTreeMap::from([("load".to_owned(), memory::own_cpu_s()?)]);
        for (name, process) in &run.processes {
            if let Some(pid) = process.pid {
                cpu_s.insert(name.clone(), memory::tree_cpu_s(pid)?);
            }
        }
        let database = system.database().await?;
        let count = async |sql| -> Result<i64> {
            let texts = database.texts(sql, Uuid::nil()).await?;
            Ok(texts.first().map_or(Ok(0), |text| text.parse())?)
        };
        Ok(Self {
            cpu_s,
            transactions: count(TRANSACTIONS).await?,
            rows_written: count(ROWS_WRITTEN).await?,
        })
    }

    fn since(mut self, before: &Self) -> Self {
        for (name, s) in &mut self.cpu_s {
            *s -= before.cpu_s.get(name).copied().unwrap_or_default();
        }
        self.transactions -= before.transactions;
        self.rows_written -= before.rows_written;
        self
    }
}

const STATISTICS_DELAY: Duration = Duration::from_millis(1_200);
const TRANSACTIONS: &str = "SELECT xact_commit::text FROM pg_stat_database
    WHERE datname = current_database() AND $1::uuid IS NOT NULL";
const ROWS_WRITTEN: &str = "SELECT (tup_inserted + tup_updated + tup_deleted)::text
    FROM pg_stat_database WHERE datname = current_database() AND $1::uuid IS NOT NULL";
