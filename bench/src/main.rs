//! `holdfast-bench`: figures of this machine, measured in the run that reports them.
//!
//! Starts a whole system of its own on loopback, loads it in a closed loop for a bounded time,
//! prints a table and writes JSON. Latencies stand beside what a durable write costs here.

mod closed_loop;
mod environment;
mod fsync_probe;
mod holds;
mod memory;
mod purchases;

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use holdfast_harness::{Options, System};
use serde::Serialize;

use closed_loop::Measured;
use environment::Environment;
use fsync_probe::Probe;

/// How long a system has nothing to do before its memory is read.
const IDLE: Duration = Duration::from_secs(20);
/// How often a customer looks whether a purchase got further: the figure must not be this.
const POLL: Duration = Duration::from_millis(20);
/// Customers that the purchases begin with; they are doubled while that helps.
const CUSTOMERS_MIN: usize = 4;
/// By how much a doubling must raise the rate for another one.
const RISE_MIN: f64 = 1.05;

/// Measures holds and purchases per second of a system of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The `holdfast` program to measure; use a release build.
    #[arg(long)]
    holdfast: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    out: PathBuf,
    /// Where the measured system keeps its data: on a disk, in a folder that every user can enter
    /// (Postgres isn't run as root).
    #[arg(long, default_value = "/var/tmp")]
    data_root: PathBuf,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    /// Clients of the hold measurements.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    hold_clients: u32,
    /// Most customers that the purchase measurement is raised to.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(4..=1024))]
    customers_max: u32,
}

/// What is written.
#[derive(Debug, Serialize)]
struct Report {
    environment: Environment,
    /// How often a customer looks at a booking that it waits for.
    poll_ms: u128,
    /// Seconds without load before the memory was read.
    idle_s: u64,
    /// Resident memory of each process then, MiB.
    idle_memory_mib: BTreeMap<String, f64>,
    /// `fdatasync` before the load.
    fsync: Probe,
    /// Holds through gRPC, by seats a hold.
    holds: BTreeMap<u32, Measured>,
    /// Purchases over REST, end to end, with more and more customers until the rate is flat.
    purchases: Vec<Measured>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    fs::create_dir_all(&args.out).context("making the output folder")?;
    let length = Duration::from_secs(args.seconds);

    let environment = Environment::look(&args.holdfast, &args.data_root)?;

    eprintln!("starting a system");
    let mut options = Options::new(&args.holdfast);
    options.temp_root = args.data_root;
    let mut system = System::start(options).await?;
    eprintln!("{} s without load", IDLE.as_secs());
    tokio::time::sleep(IDLE).await;
    let idle_memory_mib = memory::resident(&system)?;
    let fsync = fsync_probe::probe(system.dir())?;

    let mut holds = BTreeMap::new();
    for seats_per_hold in [1, 4] {
        let clients = args.hold_clients as usize;
        eprintln!(
            "holds of {seats_per_hold} seats, {clients} clients, {} s",
            args.seconds
        );
        let load = holds::Load {
            clients,
            seats_per_hold,
            shows: 8,
            length,
        };
        let measured = holds::run(system.run()?.lockstore, load).await?;
        holds.insert(seats_per_hold, measured);
    }
    let purchases = purchases(&system, args.customers_max as usize, length).await?;

    let report = Report {
        environment,
        poll_ms: POLL.as_millis(),
        idle_s: IDLE.as_secs(),
        idle_memory_mib,
        fsync,
        holds,
        purchases,
    };
    print(&report);
    let path = args.out.join("first.json");
    fs::write(&path, serde_json::to_vec_pretty(&report)?)?;
    println!("written to {}", path.display());
    let status = system.stop().await.context("stopping the system")?;
    ensure!(status.success(), "the system ended with {status}");
    Ok(())
}

/// Doubles the customers until that raises the rate no more.
async fn purchases(
    system: &System,
    customers_max: usize,
    length: Duration,
) -> Result<Vec<Measured>> {
    let mut all: Vec<Measured> = Vec::new();
    let mut customers = CUSTOMERS_MIN;
    while customers <= customers_max {
        eprintln!("purchases, {customers} customers, {} s", length.as_secs());
        let measured = purchases::run(system, customers, length, POLL).await?;
        let rate = measured.per_second;
        let before = all.last().map(|before| before.per_second);
        all.push(measured);
        if before.is_some_and(|before| rate < before * RISE_MIN) {
            break;
        }
        customers *= 2;
    }
    Ok(all)
}

fn print(report: &Report) {
    let e = &report.environment;
    println!(
        "{} CPUs ({}), Linux {}, data on {}, {} build",
        e.cpus, e.cpu_model, e.kernel, e.file_system, e.build_profile
    );
    println!("memory after {} s without load, MiB:", report.idle_s);
    for (name, mib) in &report.idle_memory_mib {
        println!("  {name:<14} {mib:>8.1}");
    }
    println!(
        "fdatasync of 4 KiB: p50 {:.2} ms, p99 {:.2} ms",
        report.fsync.p50_ms, report.fsync.p99_ms
    );
    println!(
        "{:<28}{:>8}{:>10}{:>9}{:>9}{:>9}{:>9}{:>8}",
        "", "clients", "per s", "p50 ms", "p95 ms", "p99 ms", "refused", "failed"
    );
    for (seats, measured) in &report.holds {
        row(&format!("holds, {seats} seats, 3 replicas"), measured);
    }
    for measured in &report.purchases {
        row("purchases, REST, 2 seats", measured);
    }
    println!(
        "customers look every {} ms whether their purchase got further",
        report.poll_ms
    );
}

fn row(name: &str, m: &Measured) {
    println!(
        "{name:<28}{:>8}{:>10.1}{:>9.1}{:>9.1}{:>9.1}{:>9}{:>8}",
        m.clients, m.per_second, m.p50_ms, m.p95_ms, m.p99_ms, m.refused, m.failed
    );
    if let Some(failure) = &m.first_failure {
        println!("  first failure: {failure}");
    }
}
