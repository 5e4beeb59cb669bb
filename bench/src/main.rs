//! `holdfast-bench`: figures of this machine, measured in the run that reports them.
//!
//! Starts a whole system of its own on loopback, loads it for a bounded time, prints a table and
//! writes JSON. Latencies stand beside what a durable write costs here, before and during the load.

mod compare;
mod environment;
mod fsync_probe;
mod holds;
mod load;
mod logins;
mod memory;
mod nodes;
mod purchases;
mod reads;
mod report;
mod scale;
mod search;
mod servers;
mod views;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use holdfast_harness::{Options, System};

use environment::Environment;
use load::{Load, Measured};
use reads::What;
use report::{Report, Row};

/// How long a system has nothing to do before its memory is read.
const IDLE: Duration = Duration::from_secs(20);

/// Measures a system of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The `holdfast` program to measure; use a release build.
    #[arg(long)]
    holdfast: PathBuf,
    /// Where the JSON goes, a file named as the command.
    #[arg(long)]
    out: PathBuf,
    /// Where the measured system keeps its data: on a disk, in a folder that every user can enter
    /// (Postgres isn't run as root).
    #[arg(long, default_value = "/var/tmp")]
    data_root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Idle memory, then holds and reads in closed loops.
    All {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
        seconds: u64,
    },
    /// Holds through gRPC, on three replicas.
    Holds {
        /// Seats of each hold.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10))]
        seats: u32,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Holds on three replicas and nothing else, beside etcd, Redis and PostgreSQL doing the same.
    Compare {
        /// Who is compared.
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "holdfast,etcd,redis_aof_always,redis_none,postgres"
        )]
        systems: Vec<compare::Kind>,
        /// How often all of it is measured; a figure is the median.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
        rounds: u32,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
        /// Clients with a request in flight.
        #[arg(long, value_delimiter = ',', default_value = "64,256,512", value_parser = clap::value_parser!(u32).range(1..=4096))]
        clients: Vec<u32>,
        /// Seats of each hold.
        #[arg(long, value_delimiter = ',', default_value = "1,4", value_parser = clap::value_parser!(u32).range(1..=10))]
        seats: Vec<u32>,
        /// Folder of PostgreSQL's programs.
        #[arg(long)]
        postgres_bin: PathBuf,
    },
    /// A million live holds: memory, reads, many that end at once, a start with them.
    Million {
        /// Live holds, in thousands.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=2_000))]
        thousands: u32,
    },
    /// Whole purchases over REST: closed loops, an open one at half of what they reached, and a real
    /// sale again.
    Purchase {
        /// Clients of the closed loops, each buying all the time.
        #[arg(long, value_delimiter = ',', default_value = "8,32,64", value_parser = clap::value_parser!(u32).range(1..=1024))]
        clients: Vec<u32>,
        /// Seconds of each loop.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
        seconds: u64,
        /// How many times as fast the sale goes again.
        #[arg(long, value_delimiter = ',', default_value = "1,10,50", value_parser = clap::value_parser!(u32).range(1..=100))]
        times: Vec<u32>,
        /// Folder of PostgreSQL's programs, `pgbench` among them.
        #[arg(long)]
        postgres_bin: PathBuf,
    },
    /// Pages and availability beside nginx, one search through the gateway, open seat maps in a rush.
    Views {
        /// How often each page is measured at each server; a figure is the median.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
        rounds: u32,
        /// Seconds of one measurement of a page.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
        /// Made-up shows that are searched among.
        #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
        shows: u32,
        /// Searches through the gateway, and as many without it.
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
        searches: u32,
        /// Seat maps that are open.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=12_000))]
        sockets: u32,
        /// Seconds of the rush.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        rush_seconds: u64,
    },
    /// Search among many shows: building the index, distinct and popular questions, how soon changes are
    /// found.
    Search {
        /// Made-up shows that are searched among.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
        shows: u32,
        /// Seconds of each load.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
    /// Signing in: what a hash costs, sign-ins a second, and holds without them and meanwhile.
    Logins {
        /// Seconds of each load.
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..=30))]
        seconds: u64,
    },
    /// Opens seat maps and writes down what comes; `views` starts it, for the files of a process of its own.
    #[command(hide = true)]
    Viewers(views::sockets::ViewersArgs),
    /// Reads over REST.
    Read {
        /// What is read.
        #[arg(long, value_enum, default_value_t = What::Availability)]
        what: What,
        #[command(flatten)]
        load: LoadArgs,
    },
}

#[derive(Debug, clap::Args)]
struct LoadArgs {
    /// Requests in flight: always so many, or with --rate at most so many.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    clients: u32,
    /// Requests a second, whatever became of those before (an open loop); without it each client
    /// sends its next request when it has the answer to the last (a closed loop).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Seconds of the measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
}

impl LoadArgs {
    fn load(&self) -> Load {
        Load {
            clients: self.clients as usize,
            rate: self.rate,
            length: Duration::from_secs(self.seconds),
        }
    }
}

impl Args {
    /// What is compared, if that is what is asked for.
    fn comparison(&self) -> Option<compare::Plan> {
        let Command::Compare {
            systems,
            rounds,
            seconds,
            clients,
            seats,
            postgres_bin,
        } = &self.command
        else {
            return None;
        };
        Some(compare::Plan {
            holdfast: self.holdfast.clone(),
            postgres_bin: postgres_bin.clone(),
            data_root: self.data_root.clone(),
            systems: systems.clone(),
            rounds: *rounds,
            clients: clients.iter().map(|clients| *clients as usize).collect(),
            seats: seats.clone(),
            length: Duration::from_secs(*seconds),
        })
    }
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::All { .. } => "all",
            Self::Holds { .. } => "holds-load",
            Self::Compare { .. } => "holds",
            Self::Million { .. } => "million",
            Self::Purchase { .. } => "purchase",
            Self::Views { .. } => "read",
            Self::Search { .. } => "search",
            Self::Logins { .. } => "login",
            Self::Viewers(_) => "viewers",
            Self::Read { .. } => "read-load",
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Command::Viewers(viewers) = &args.command {
        return views::sockets::view(viewers).await;
    }
    fs::create_dir_all(&args.out).context("making the output folder")?;
    let environment = Environment::look(&args.holdfast, &args.data_root)?;

    let path = args.out.join(format!("{}.json", args.command.name()));
    if let Some(plan) = args.comparison() {
        let comparison = compare::run(&plan, environment).await?;
        comparison.print(&plan);
        fs::write(&path, serde_json::to_vec_pretty(&comparison)?)?;
    } else if let Command::Million { thousands } = args.command {
        let plan = scale::Plan {
            holdfast: args.holdfast,
            data_root: args.data_root,
            thousands,
        };
        let scale = scale::run(&plan, environment).await?;
        scale.print();
        fs::write(&path, serde_json::to_vec_pretty(&scale)?)?;
    } else if let Command::Views {
        rounds,
        seconds,
        shows,
        searches,
        sockets,
        rush_seconds,
    } = args.command
    {
        let plan = views::Plan {
            holdfast: args.holdfast,
            data_root: args.data_root,
            rounds,
            length: Duration::from_secs(seconds),
            shows,
            searches,
            sockets,
            rush: Duration::from_secs(rush_seconds),
        };
        let found = views::measure(&plan, environment).await?;
        fs::write(&path, serde_json::to_vec_pretty(&found)?)?;
    } else if let Command::Search { shows, seconds } = args.command {
        let plan = search::Plan {
            holdfast: args.holdfast,
            data_root: args.data_root,
            shows,
            length: Duration::from_secs(seconds),
        };
        let found = search::measure(&plan, environment).await?;
        fs::write(&path, serde_json::to_vec_pretty(&found)?)?;
    } else if let Command::Logins { seconds } = args.command {
        let plan = logins::Plan {
            holdfast: args.holdfast,
            data_root: args.data_root,
            length: Duration::from_secs(seconds),
        };
        let found = logins::measure(&plan, environment).await?;
        fs::write(&path, serde_json::to_vec_pretty(&found)?)?;
    } else if let Command::Purchase {
        clients,
        seconds,
        times,
        postgres_bin,
    } = args.command
    {
        let plan = purchases::Plan {
            holdfast: args.holdfast,
            data_root: args.data_root,
            postgres_bin,
            clients: clients.iter().map(|clients| *clients as usize).collect(),
            length: Duration::from_secs(seconds),
            times,
        };
        let purchases = purchases::measure(&plan, environment).await?;
        fs::write(&path, serde_json::to_vec_pretty(&purchases)?)?;
        purchases.check()?;
    } else {
        measure_one(args, environment, &path).await?;
    }
    println!("written to {}", path.display());
    Ok(())
}

/// Starts a whole system, and does to it what is asked for.
async fn measure_one(args: Args, environment: Environment, path: &Path) -> Result<()> {
    eprintln!("starting a system");
    let mut options = Options::new(&args.holdfast);
    options.temp_root = args.data_root;
    let mut system = System::start(options).await?;
    let mut bench = Bench {
        report: Report::new(environment, fsync_probe::probe(system.dir())?),
        system: &system,
    };
    bench.measure(&args.command).await?;
    let report = bench.report;
    report.print();
    fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    let status = system.stop().await.context("stopping the system")?;
    ensure!(status.success(), "the system ended with {status}");
    Ok(())
}

/// The measured system and what is known of it.
struct Bench<'a> {
    system: &'a System,
    report: Report,
}

impl Bench<'_> {
    async fn measure(&mut self, command: &Command) -> Result<()> {
        match command {
            Command::All { seconds } => self.all(Duration::from_secs(*seconds)).await,
            Command::Holds { seats, load } => self.holds(*seats, load.load()).await,
            Command::Read { what, load } => self.reads(*what, load.load()).await,
            Command::Compare { .. }
            | Command::Million { .. }
            | Command::Purchase { .. }
            | Command::Views { .. }
            | Command::Search { .. }
            | Command::Logins { .. }
            | Command::Viewers(_) => {
                bail!("this has processes of its own")
            }
        }
    }

    async fn all(&mut self, length: Duration) -> Result<()> {
        eprintln!("{} s without load", IDLE.as_secs());
        tokio::time::sleep(IDLE).await;
        self.report.idle(IDLE, memory::resident(self.system)?);
        let closed = |clients| Load {
            clients,
            rate: None,
            length,
        };
        for seats in [1, 4] {
            self.holds(seats, closed(64)).await?;
        }
        for what in What::ALL {
            self.reads(what, closed(64)).await?;
        }
        Ok(())
    }

    async fn holds(&mut self, seats: u32, load: Load) -> Result<()> {
        let name = format!("holds, {seats} seats, 3 replicas");
        self.row(name, load, holds::run(self.system, seats, load))
            .await?;
        Ok(())
    }

    async fn reads(&mut self, what: What, load: Load) -> Result<()> {
        let name = format!("GET {}, REST", what.name());
        self.row(name, load, reads::run(self.system, what, load))
            .await?;
        Ok(())
    }

    /// Measures, with a probe of the disk beside it, and gives the rate.
    async fn row(
        &mut self,
        name: String,
        load: Load,
        run: impl Future<Output = Result<Measured>>,
    ) -> Result<f64> {
        let rate = load
            .rate
            .map_or(String::new(), |rate| format!(", {rate}/s"));
        let (clients, seconds) = (load.clients, load.length.as_secs());
        eprintln!("{name}, {clients} clients{rate}, {seconds} s");
        let beside = fsync_probe::Beside::start(self.system.dir());
        let measured = run.await;
        let fsync = beside.stop()?;
        let measured = measured?;
        let per_second = measured.per_second;
        self.report.rows.push(Row {
            name,
            measured,
            fsync,
        });
        Ok(per_second)
    }
}
