//! Signing in: what a password's hash costs, how many people sign in a second, and how long holds take while
//! nobody does and while as many as can do.
//!
//! Always holds: a whole system is measured, over REST; a hash alone is measured with the parameters that
//! the system stored, on one thread, while the system has nothing to do; holds are the same requests at the
//! same rate with and without sign-ins, in one run.

use std::{
    hint::black_box,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use hdrhistogram::Histogram;
use holdfast_harness::{Customer, Options, ShowRules, System};
use holdfast_types::limits::SEATS_PER_SHOW_MAX;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    environment::Environment,
    fsync_probe::{self, Probe},
    load::{self, Ended, Load, Measured},
};

/// People, each with an account; all sign in at once, again and again, and all hold seats.
const PEOPLE: usize = 48;
/// Hashes of which the median is told.
const HASHES: usize = 21;
/// A modest rate: what is measured is how much later the same holds are answered.
const HOLDS_RATE: u32 = 100;
const HOLDS_IN_FLIGHT_MAX: usize = 512;
const HOLD_SEATS: usize = 4;
/// Of the show whose seats are held: enough for two loads of 30 s.
const ROWS: u32 = 250;
const ROW_SEATS: u32 = 100;
/// Connections are open and caches warm after it.
const WARM_UP: Duration = Duration::from_secs(2);
/// People sign in for so long before the first hold of a storm, and after the last.
const STORM_AROUND: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Debug)]
pub struct Plan {
    /// The program.
    pub holdfast: PathBuf,
    /// Where its data is kept.
    pub data_root: PathBuf,
    /// Of each load.
    pub length: Duration,
}

/// All that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    environment: Environment,
    /// `fdatasync` before the load.
    fsync: Probe,
    argon2id: Cost,
    /// Milliseconds of one hash alone: the median.
    hash_ms: f64,
    /// As many as can sign in, and nothing else.
    logins: Measured,
    /// Of the machine, whatever else used them.
    logins_per_s_per_core: f64,
    /// Holds of four seats while nobody signs in, and while as many as can do.
    holds_alone: Measured,
    holds_in_storm: Measured,
    storm: Measured,
    /// In the storm to alone.
    hold_p50_ratio: f64,
    hold_p99_ratio: f64,
}

/// What the system hashes passwords with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Report {
    fn print(&self) {
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = self.argon2id;
        println!("{}", self.environment);
        println!(
            "argon2id with {memory_kib} KiB, {passes} passes, {lanes} lanes: {:.1} ms a hash alone",
            self.hash_ms
        );
        println!(
            "{} people sign in all the time: {:.1} a second ({:.1} a core), p50 {:.0} ms, p99 {:.0} ms; {} refused, {} failed",
            self.logins.clients,
            self.logins.per_second,
            self.logins_per_s_per_core,
            self.logins.p50_ms,
            self.logins.p99_ms,
            self.logins.refused,
            self.logins.failed
        );
        told("while nobody signs in", &self.holds_alone);
        let storm = format!("while {:.1} sign in a second", self.storm.per_second);
        told(&storm, &self.holds_in_storm);
        println!(
            "holds in the storm to those alone: p50 {:.2} times, p99 {:.2} times",
            self.hold_p50_ratio, self.hold_p99_ratio
        );
        let all = [
            &self.logins,
            &self.holds_alone,
            &self.holds_in_storm,
            &self.storm,
        ];
        if let Some(failure) = all.iter().find_map(|load| load.first_failure.as_ref()) {
            println!("  first failure: {failure}");
        }
    }
}

fn told(when: &str, holds: &Measured) {
    println!(
        "{} holds a second of {HOLD_SEATS} seats {when}: {:.1} done, p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms; {} refused, {} failed, {} dropped",
        holds.rate.unwrap_or_default(),
        holds.per_second,
        holds.p50_ms,
        holds.p99_ms,
        holds.max_ms,
        holds.refused,
        holds.failed,
        holds.dropped
    );
}

/// Starts a system and measures it.
///
/// # Errors
/// If it doesn't start or stop, or nobody can sign in or hold a seat.
pub async fn measure(plan: &Plan, environment: Environment) -> Result<Report> {
    eprintln!("starting a system");
    let mut options = Options::new(&plan.holdfast);
    options.temp_root.clone_from(&plan.data_root);
    let mut system = System::start(options).await?;
    let fsync = fsync_probe::probe(system.dir())?;
    eprintln!("{PEOPLE} people make an account");
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(Customer::register(&system.rest()?).await?);
    }
    let people: Arc<[Customer]> = people.into();
    let seats = Arc::new(Seats::open(&system).await?);
    let argon2id = stored(&system).await?;
    let hash_ms = hash_alone(argon2id)?;

    eprintln!("warming up");
    holds(&people, &seats, WARM_UP).await?;
    sign_in(&people, WARM_UP).await?;
    eprintln!("{PEOPLE} people sign in all the time");
    let logins = sign_in(&people, plan.length).await?;
    eprintln!("holds while nobody signs in");
    let holds_alone = holds(&people, &seats, plan.length).await?;
    eprintln!("holds while {PEOPLE} people sign in all the time");
    let storm = sign_in(&people, plan.length + 2 * STORM_AROUND);
    let within = async {
        tokio::time::sleep(STORM_AROUND).await;
        holds(&people, &seats, plan.length).await
    };
    let (storm, holds_in_storm) = tokio::try_join!(storm, within)?;
    ensure!(
        logins.done > 0 && storm.done > 0 && holds_alone.done > 0 && holds_in_storm.done > 0,
        "nobody signed in or held a seat: {logins:?}, {storm:?}, {holds_alone:?}, {holds_in_storm:?}"
    );
    let report = Report {
        logins_per_s_per_core: logins.per_second / environment.cpus as f64,
        hold_p50_ratio: holds_in_storm.p50_ms / holds_alone.p50_ms,
        hold_p99_ratio: holds_in_storm.p99_ms / holds_alone.p99_ms,
        environment,
        fsync,
        argon2id,
        hash_ms,
        logins,
        holds_alone,
        holds_in_storm,
        storm,
    };
    report.print();
    let status = system.stop().await.context("stopping the system")?;
    ensure!(status.success(), "the system ended with {status}");
    Ok(report)
}

/// Seats, each held once.
struct Seats {
    show: Uuid,
    labels: Vec<String>,
    next: AtomicUsize,
}

impl Seats {
    async fn open(system: &System) -> Result<Self> {
        let rules = ShowRules {
            seats_per_customer_max: SEATS_PER_SHOW_MAX,
            ..ShowRules::default()
        };
        let mut organiser = system.organiser().await?;
        let show = organiser.open_show(ROWS, ROW_SEATS, rules).await?;
        Ok(Self {
            show,
            labels: system.rest()?.free_seats(show).await?,
            next: AtomicUsize::new(0),
        })
    }

    /// The next that nobody was given.
    fn take(&self) -> Option<&[String]> {
        let first = self.next.fetch_add(HOLD_SEATS, Ordering::Relaxed);
        self.labels.get(first..first + HOLD_SEATS)
    }
}

/// The parameters of the newest password's hash.
async fn stored(system: &System) -> Result<Cost> {
    let newest = "SELECT password_hash FROM identity.users WHERE user_id > $1 ORDER BY created_at DESC LIMIT 1";
    let database = system.database().await?;
    let hashes = database.texts(newest, Uuid::nil()).await?;
    cost_of(hashes.first().context("no stored password")?)
}

/// Reads `$argon2id$v=19$m=19456,t=2,p=1$...`.
fn cost_of(phc: &str) -> Result<Cost> {
    let parts: Vec<&str> = phc.split('$').collect();
    let ["", "argon2id", "v=19", parameters, ..] = parts.as_slice() else {
        bail!("passwords aren't hashed with argon2id of version 19");
    };
    let number = |name: &str| {
        let mut all = parameters.split(',').filter_map(|one| one.split_once('='));
        let (_, number) = all.find(|(there, _)| *there == name)?;
        number.parse().ok()
    };
    Ok(Cost {
        memory_kib: number("m").context("no memory in the hash")?,
        passes: number("t").context("no passes in the hash")?,
        lanes: number("p").context("no lanes in the hash")?,
    })
}

/// Milliseconds of one hash: the median.
fn hash_alone(cost: Cost) -> Result<f64> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None);
    let params = params.map_err(|error| anyhow::anyhow!("{cost:?}: {error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut times = Histogram::<u64>::new(3)?;
    for _ in 0..HASHES {
        let begun = std::time::Instant::now();
        let mut out = [0_u8; 32];
        let hashed = argon2.hash_password_into(b"correct horse", b"salt of sixteen b", &mut out);
        hashed.map_err(|error| anyhow::anyhow!("{cost:?}: {error}"))?;
        black_box(out);
        times.record(u64::try_from(begun.elapsed().as_micros())?)?;
    }
    Ok(times.value_at_quantile(0.5) as f64 / 1_000.0)
}

async fn sign_in(people: &Arc<[Customer]>, length: Duration) -> Result<Measured> {
    let people = Arc::clone(people);
    let load = Load {
        clients: PEOPLE,
        rate: None,
        length,
    };
    load::run(load, move |client| {
        let person = people[client].clone();
        async move {
            let answer = person.ask_to_sign_in().await?;
            match answer.status {
                200 => Ok(Ended::Done),
                429 => Ok(Ended::Refused),
                _ => bail!("signing in is answered {answer:?}"),
            }
        }
    })
    .await
}

async fn holds(people: &Arc<[Customer]>, seats: &Arc<Seats>, length: Duration) -> Result<Measured> {
    let (people, seats) = (Arc::clone(people), Arc::clone(seats));
    let asked = AtomicUsize::new(0);
    let load = Load {
        clients: HOLDS_IN_FLIGHT_MAX,
        rate: Some(HOLDS_RATE),
        length,
    };
    load::run(load, move |_| {
        let person = people[asked.fetch_add(1, Ordering::Relaxed) % PEOPLE].clone();
        let seats = Arc::clone(&seats);
        async move {
            let Some(taken) = seats.take() else {
                return Ok(Ended::Exhausted);
            };
            let labels: Vec<&str> = taken.iter().map(String::as_str).collect();
            let answer = person.hold(seats.show, &labels).await?;
            match answer.status {
                201 => Ok(Ended::Done),
                429 | 503 => Ok(Ended::Refused),
                _ => bail!("the hold is answered {answer:?}"),
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_the_stored_hashs() {
        let cost = Cost {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
        };
        let phc = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";
        assert_eq!(cost_of(phc).expect("reads"), cost);
        for other in [
            "",
            "$argon2i$v=19$m=1,t=1,p=1$a$b",
            "$argon2id$v=19$t=1$a$b",
        ] {
            assert!(cost_of(other).is_err(), "{other}");
        }
        let small = Cost {
            memory_kib: 64,
            ..cost
        };
        assert!(hash_alone(small).expect("hashes") > 0.0);
    }
}
