//! A million live holds on three nodes: what they take, what reads of them cost, what many that end at
//! once do to the others, and how long a start with them takes.

use std::{
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use holdfast_types::{DurationMs, HoldId, SeatNo, ShowId, UserId, limits::HOLD_TTL_DEFAULT};
use lockstore_client::{Client, GetHoldOutcome, HoldOutcome, HoldSeats, Selection};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    environment::Environment,
    holds::{CALL_LIMIT, open_show},
    load::{self, Ended, Load, Measured},
    nodes::Nodes,
};

const CLIENTS: usize = 512;
const CONNECTIONS: usize = 4;
/// Seats of each show, one a hold.
const SHOW_SEATS: u32 = 100_000;
/// Long enough that none ends while all of this is measured.
const TTL: DurationMs = HOLD_TTL_DEFAULT;
/// How many end at once.
const ENDING: u32 = 100_000;
/// How long they live: enough to make them all, and to measure before.
const ENDING_AFTER: Duration = Duration::from_secs(45);
/// How long before and around their end is measured.
const WINDOW: Duration = Duration::from_secs(8);
/// Part of the most that is written meanwhile: at that load a store has room for more.
const LOAD_PART: f64 = 0.3;
/// How long making all holds may take.
const MAKING_LIMIT: Duration = Duration::from_secs(300);
/// Holds that are looked at to see whether all are there, or none.
const SAMPLE: usize = 1_000;
/// How long reads are measured.
const READING: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// The `holdfast` program.
    pub holdfast: PathBuf,
    /// Where the nodes keep their data, on a disk.
    pub data_root: PathBuf,
    /// Live holds, in thousands: a show has a hundred.
    pub thousands: u32,
}

/// All that one run found. Memory of each node in MiB, times in seconds.
#[derive(Debug, Serialize)]
pub struct Scale {
    environment: Environment,
    holds: u32,
    empty_mib: Vec<f64>,
    shows_open_mib: Vec<f64>,
    full_mib: Vec<f64>,
    made: Measured,
    reads: Measured,
    reads_over_writes: f64,
    ending: u32,
    before: Measured,
    around: Measured,
    p99_around_over_before: f64,
    /// From the start of the processes, after all were killed, until a linearizable read was answered.
    started_s: f64,
}

/// Holds of one seat each, handed out to all clients.
struct Seats {
    shows: Vec<ShowId>,
    next: AtomicU32,
}

impl Seats {
    /// The next, with an id and a holder that follow from its number.
    fn next(&self, end: u32) -> Option<Hold> {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        (nth < end).then(|| self.nth(nth))
    }

    fn nth(&self, nth: u32) -> Hold {
        // As spread as random ones, and known again.
        let spread = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Hold {
            show_id: self.shows[(nth / SHOW_SEATS) as usize],
            seat: SeatNo(nth % SHOW_SEATS),
            hold_id: HoldId::from_uuid(Uuid::from_u128(spread(2 * u128::from(nth) + 1))),
            holder: UserId::from_uuid(Uuid::from_u128(spread(2 * u128::from(nth) + 2))),
        }
    }
}

struct Hold {
    show_id: ShowId,
    seat: SeatNo,
    hold_id: HoldId,
    holder: UserId,
}

impl Hold {
    async fn make(self, client: &Client, ttl: DurationMs) -> Result<Ended> {
        let request = HoldSeats {
            hold_id: self.hold_id,
            show_id: self.show_id,
            holder: self.holder,
            selection: Selection::Seats(vec![self.seat]),
            ttl,
            price_version: 1,
            late_money: false,
        };
        Ok(match client.hold(request, CALL_LIMIT).await?.outcome {
            HoldOutcome::Held { .. } => Ended::Done,
            HoldOutcome::Refused(_) => Ended::Refused,
        })
    }

    async fn is_live(&self, client: &Client) -> Result<bool> {
        let answer = client.get_hold(self.show_id, self.hold_id, self.holder, CALL_LIMIT);
        Ok(matches!(answer.await?.outcome, GetHoldOutcome::Live(_)))
    }
}

/// Measures it.
///
/// # Errors
/// The nodes don't start, or holds are refused or lost.
pub async fn run(plan: &Plan, environment: Environment) -> Result<Scale> {
    let folder = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir_in(&plan.data_root)?;
    let mut nodes = Nodes::start(folder.path(), &plan.holdfast).await?;
    let empty_mib = nodes.resident_mib()?;
    let client = nodes.client(CONNECTIONS);
    let holds = plan.thousands * 1000;
    // Room for those that end, and for those written meanwhile.
    let shows = holds.div_ceil(SHOW_SEATS) + 11;
    eprintln!("opening {shows} shows of {SHOW_SEATS} seats");
    let mut seats = Seats {
        shows: Vec::new(),
        next: AtomicU32::new(0),
    };
    for _ in 0..shows {
        seats.shows.push(open_show(&client, SHOW_SEATS).await?);
    }
    let seats = Arc::new(seats);
    let shows_open_mib = nodes.resident_mib()?;

    eprintln!("making {holds} holds");
    let made = make(&client, &seats, holds, TTL, MAKING_LIMIT).await?;
    ensure!(
        made.done == u64::from(holds),
        "made {} only: {made:?}",
        made.done
    );
    let full_mib = nodes.resident_mib()?;
    let reads = read(&client, &seats, holds).await?;
    ensure!(reads.failed == 0, "{:?}", reads.first_failure);

    seats.next.store(holds, Ordering::Relaxed);
    eprintln!("making {ENDING} holds that end at once");
    let (before, around) = end_at_once(&client, &seats, holds, made.per_second).await?;
    let ended = sample(holds..holds + ENDING);
    ensure!(live(&client, &seats, ended).await? == 0, "holds didn't end");

    eprintln!("killing all nodes, and starting them");
    nodes.kill()?;
    let began = Instant::now();
    nodes.run().await.context("after a kill")?;
    let started_s = began.elapsed().as_secs_f64();
    let kept = live(&nodes.client(1), &seats, sample(0..holds)).await?;
    ensure!(kept == SAMPLE, "{kept} of {SAMPLE} holds were there");
    Ok(Scale {
        environment,
        holds,
        empty_mib,
        shows_open_mib,
        full_mib,
        reads_over_writes: reads.per_second / made.per_second,
        made,
        reads,
        ending: ENDING,
        p99_around_over_before: around.p99_ms / before.p99_ms,
        before,
        around,
        started_s,
    })
}

/// So many numbers of `range`, spread over it.
fn sample(range: Range<u32>) -> impl Iterator<Item = u32> {
    let step = range.len() / SAMPLE;
    range.step_by(step).take(SAMPLE)
}

/// How many of them live.
async fn live(client: &Client, seats: &Seats, of: impl Iterator<Item = u32>) -> Result<usize> {
    let mut live = 0;
    for nth in of {
        live += usize::from(seats.nth(nth).is_live(client).await?);
    }
    Ok(live)
}

/// Makes holds up to number `end`.
async fn make(
    client: &Client,
    seats: &Arc<Seats>,
    end: u32,
    ttl: DurationMs,
    limit: Duration,
) -> Result<Measured> {
    let (client, seats) = (client.clone(), Arc::clone(seats));
    let closed = Load {
        clients: CLIENTS,
        rate: None,
        length: limit,
    };
    load::run(closed, move |_| {
        let (client, hold) = (client.clone(), seats.next(end));
        async move {
            match hold {
                Some(hold) => hold.make(&client, ttl).await,
                None => Ok(Ended::Exhausted),
            }
        }
    })
    .await
}

/// Reads the holds, one after another, each as of now.
async fn read(client: &Client, seats: &Arc<Seats>, holds: u32) -> Result<Measured> {
    seats.next.store(0, Ordering::Relaxed);
    let (client, seats) = (client.clone(), Arc::clone(seats));
    let closed = Load {
        clients: CLIENTS,
        rate: None,
        length: READING,
    };
    load::run(closed, move |_| {
        let (client, hold) = (client.clone(), seats.next(holds));
        async move {
            let Some(hold) = hold else {
                return Ok(Ended::Exhausted);
            };
            ensure!(hold.is_live(&client).await?, "a hold was lost");
            Ok(Ended::Done)
        }
    })
    .await
}

/// Writes at a steady rate, and what that takes before many holds end and while they do.
async fn end_at_once(
    client: &Client,
    seats: &Arc<Seats>,
    first: u32,
    most: f64,
) -> Result<(Measured, Measured)> {
    let end = Instant::now() + ENDING_AFTER;
    let (making, making_seats) = (client.clone(), Arc::clone(seats));
    let closed = Load {
        clients: CLIENTS,
        rate: None,
        length: ENDING_AFTER / 2,
    };
    let made = load::run(closed, move |_| {
        let (client, hold) = (making.clone(), making_seats.next(first + ENDING));
        async move {
            let Some(hold) = hold else {
                return Ok(Ended::Exhausted);
            };
            let left = end.saturating_duration_since(Instant::now());
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            hold.make(&client, DurationMs(left)).await
        }
    });
    let made = made.await?;
    ensure!(
        made.done == u64::from(ENDING),
        "made {} only: {made:?}",
        made.done
    );
    let last = u32::try_from(seats.shows.len())? * SHOW_SEATS;
    seats.next.store(first + ENDING, Ordering::Relaxed);
    let steady = async |length| {
        let (client, seats) = (client.clone(), Arc::clone(seats));
        let open = Load {
            clients: CLIENTS,
            rate: Some((most * LOAD_PART) as u32),
            length,
        };
        load::run(open, move |_| {
            let (client, hold) = (client.clone(), seats.next(last));
            async move {
                match hold {
                    Some(hold) => hold.make(&client, TTL).await,
                    None => Ok(Ended::Exhausted),
                }
            }
        })
        .await
    };
    let before = steady(WINDOW).await?;
    // They end a hundredth of their time later than promised (HS-4).
    let start = end
        .checked_sub(WINDOW / 4)
        .context("the clock began just now")?;
    ensure!(
        Instant::now() < start,
        "the measurement before took too long"
    );
    tokio::time::sleep_until(start.into()).await;
    let around = steady(WINDOW).await?;
    Ok((before, around))
}

impl Scale {
    /// As a table, for people.
    pub fn print(&self) {
        println!("{}", self.environment);
        let mib = |figures: &[f64]| {
            let figures: Vec<String> = figures.iter().map(|mib| format!("{mib:.0}")).collect();
            figures.join(", ")
        };
        println!("  memory of the nodes, MiB: {} empty", mib(&self.empty_mib));
        println!("    {} with the shows open", mib(&self.shows_open_mib));
        println!("    {} with {} live holds", mib(&self.full_mib), self.holds);
        let rate = |what: &str, m: &Measured| {
            println!(
                "  {what}: {:.0}/s, p99 {:.1} ms, {} failed",
                m.per_second, m.p99_ms, m.failed
            );
        };
        rate("holds", &self.made);
        rate("linearizable reads", &self.reads);
        println!("    {:.2} x the holds", self.reads_over_writes);
        rate("holds before many end", &self.before);
        rate("holds while many end", &self.around);
        println!(
            "    {:.2} x the p99, {} ended",
            self.p99_around_over_before, self.ending
        );
        println!(
            "  serves {:.1} s after a start with all of it",
            self.started_s
        );
    }
}
