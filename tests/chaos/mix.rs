//! A random mix of all endings while every process is killed in turn, then a clean audit.
//!
//! `HOLDFAST_MIX_SECONDS` says for how long, `HOLDFAST_MIX_SEED` what is chosen: who does what, and which
//! process is killed when. How it interleaves is the machine's.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use holdfast_harness::{
    Customer, DATABASE_AWAY, Expected, Look, Options, Organiser, POSTGRES_KILLED, SERVICES_KILLED,
    STORE_NODE_KILLED, ShowRules, System, until, until_at, with_system,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    ending::{Ending, Tally},
    oracle::Oracle,
    people::{TOTAL, World, live},
};

/// What `up` says of processes that are killed again soon after they are back.
const KILLED_OFTEN: &[Expected] = &[
    Expected {
        process: "up",
        words: &[" ended (signal 9); starting it again every"],
        reason: "the test killed it, as often before",
    },
    Expected {
        process: "up",
        words: &["postgres ended (exit code 1); starting it again every"],
        reason: "the test killed it, as often before",
    },
    Expected {
        process: "up",
        words: &["all ended (exit code 1); starting it again"],
        reason: "it was back before Postgres was",
    },
    Expected {
        process: "postgres",
        words: &["WARNING:  there is no transaction in progress"],
        reason: "whoever asked gave up just as a transaction began: there was nothing to roll back",
    },
];

/// How long, unless the environment says: enough for each process to be killed once.
const SECONDS: u64 = 40;
/// How much longer it may go on until each ending has happened.
const LONGER: Duration = Duration::from_secs(120);
const CUSTOMERS: usize = 6;
/// More seats than are sold at once in ten minutes, so that few plans come to nothing.
const ROWS: u32 = 60;
const SEATS_PER_ROW: u32 = 20;
/// Of a show that will be called off.
const DOOMED_ROWS: u32 = 4;
/// Every process, each to be killed once a round.
const PROCESSES: [&str; 5] = [
    "lockstore-1",
    "lockstore-2",
    "lockstore-3",
    "all",
    "postgres",
];
/// Between two kills, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 500..4_000;
/// How long a show is sold before it is called off, in milliseconds.
const DOOM_MS: std::ops::Range<u64> = 9_000..15_000;
/// For one thing that an organiser or operator asks for, whatever is down meanwhile.
const LIMIT: Duration = Duration::from_secs(150);
/// For all refunds of a show: one that met a dead provider is sent again after up to 5 minutes.
const REFUNDS_LIMIT: Duration = Duration::from_secs(420);
const PACE: Duration = Duration::from_millis(500);
/// Of the audit, in seconds: all has settled before.
const GRACE_S: u32 = 60;
/// The same while processes are killed: a lease on a step of a killed process, and the wait of a refund
/// before it is sent again, are within it.
const MEANWHILE_GRACE_S: u32 = 300;

/// What people do here on purpose, and payment-svc tells people of.
const DISPUTED: Expected = Expected {
    process: "all",
    words: &["a payment is disputed"],
    reason: "customers of the test do that",
};

#[tokio::test]
async fn every_ending_while_every_process_is_killed_leaves_a_clean_audit() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("HOLDFAST_MIX_SECONDS").unwrap_or(SECONDS);
    let seed = number("HOLDFAST_MIX_SEED").unwrap_or_else(rand::random);
    println!(
        "replay: HOLDFAST_MIX_SEED={seed} HOLDFAST_MIX_SECONDS={seconds} cargo test --workspace --test chaos -- --nocapture"
    );
    let mut options = Options::new(env!("CARGO_BIN_EXE_holdfast"))
        .expecting(STORE_NODE_KILLED)
        .expecting(SERVICES_KILLED)
        .expecting(POSTGRES_KILLED)
        .expecting(DATABASE_AWAY)
        .expecting(&[DISPUTED])
        .expecting(KILLED_OFTEN);
    // So that what was lost with a process is found out within the minute.
    for (name, value) in [("AFTER", "3000"), ("PERIOD", "1000")] {
        let name = format!("HOLDFAST__PAYMENT__RECONCILE_{name}_MS");
        options.env.push((name, value.to_owned()));
    }
    with_system(options, async |system| {
        let span = Duration::from_secs(seconds);
        mix(system, span, StdRng::seed_from_u64(seed)).await
    })
    .await;
}

async fn mix(system: &System, span: Duration, mut rng: StdRng) -> Result<()> {
    let rest = system.rest()?;
    let mut organiser = system.organiser().await?;
    let show = organiser.open_show(ROWS, SEATS_PER_ROW, rules()).await?;
    let doomed = organiser
        .open_show(DOOMED_ROWS, SEATS_PER_ROW, rules())
        .await?;
    let mut customers = Vec::new();
    for _ in 0..CUSTOMERS {
        customers.push(Customer::register(&rest).await?);
    }
    let world = World {
        rest: rest.clone(),
        customers: Rc::new(customers.clone()),
        show,
        doomed: Rc::new(Cell::new(doomed)),
        oracle: Oracle::default(),
        tally: Tally::default(),
        enough: Rc::new(Cell::new(false)),
    };
    let mut people = JoinSet::new();
    for nth in 0..CUSTOMERS {
        let own = StdRng::seed_from_u64(rng.random());
        people.spawn_local(live(world.clone(), nth, own));
    }
    let of_organiser = StdRng::seed_from_u64(rng.random());
    let begun = Instant::now();
    let call_off = call_off_shows(system, &world, of_organiser);
    let kill = kill_in_turn(system, &world, &mut people, begun, span, &mut rng);
    let look = audit_meanwhile(system, &world);
    let (called_off, kills, audits) = tokio::join!(call_off, kill, look);
    let kills = kills?;
    called_off?;
    let audits = audits?;
    while let Some(ended) = people.join_next().await {
        ended??;
    }
    println!(
        "{} s of it, {kills} kills, {audits} audits meanwhile, {} bookings:",
        begun.elapsed().as_secs(),
        world.oracle.len()
    );
    println!("{}", world.tally);
    ensure!(
        world.tally.missing().is_empty(),
        "these endings never happened: {:?}",
        world.tally.missing()
    );
    for customer in &mut customers {
        customer.sign_in(&rest).await?;
    }
    world.oracle.check(system, &customers).await?;
    audit(system).await
}

fn rules() -> ShowRules {
    ShowRules {
        hold_ttl: TOTAL,
        hold_total_max: TOTAL,
        seats_per_customer_max: ROWS * SEATS_PER_ROW,
    }
}

/// Kills one process after the other, each once a round; ends when it is enough.
async fn kill_in_turn(
    system: &System,
    world: &World,
    people: &mut JoinSet<Result<()>>,
    begun: Instant,
    span: Duration,
    rng: &mut StdRng,
) -> Result<u32> {
    let killed = async {
        let mut kills = 0;
        loop {
            let mut processes = PROCESSES;
            processes.shuffle(rng);
            for process in processes {
                tokio::time::sleep(Duration::from_millis(rng.random_range(PAUSE_MS))).await;
                let before = system.kill(process)?;
                system.wait_back(process, before).await?;
                kills += 1;
                // Somebody saw what can't be.
                while let Some(ended) = people.try_join_next() {
                    ended??;
                }
                if begun.elapsed() >= span && kills >= PROCESSES.len() as u32 {
                    return Ok(kills);
                }
            }
        }
    };
    let killed = killed.await;
    if killed.is_ok() {
        let all = until("each ending to have happened", LONGER, async || {
            while let Some(ended) = people.try_join_next() {
                ended??;
            }
            let missing = world.tally.missing();
            Ok(if missing.is_empty() {
                Look::Found(())
            } else {
                Look::NotYet(format!("{missing:?}"))
            })
        });
        if let Err(error) = all.await {
            println!("{error:#}");
        }
    }
    world.enough.set(true);
    killed
}

/// One show after the other is sold for a while, called off, and refunded as a whole.
async fn call_off_shows(system: &System, world: &World, mut rng: StdRng) -> Result<()> {
    while !world.enough.get() {
        let until = Instant::now() + Duration::from_millis(rng.random_range(DOOM_MS));
        while Instant::now() < until && !world.enough.get() {
            tokio::time::sleep(PACE).await;
        }
        let show = world.doomed.get();
        let next = asked(system, async |mut organiser| {
            organiser
                .open_show(DOOMED_ROWS, SEATS_PER_ROW, rules())
                .await
        });
        world.doomed.set(next.await?);
        world.oracle.show_ending_asked(show);
        asked(system, async |mut organiser| {
            organiser.change_state(show, "CANCELLED").await
        })
        .await?;
        let refunded = refund_all(system, show).await?;
        for _ in 0..refunded {
            world.tally.count(Ending::ShowCancelledAndRefunded);
        }
    }
    Ok(())
}

/// Asks as an organiser until it is done: services may be down.
async fn asked<T>(system: &System, mut ask: impl AsyncFnMut(Organiser) -> Result<T>) -> Result<T> {
    until_at(PACE, "an organiser to be answered", LIMIT, async || {
        let done = match system.organiser().await {
            Ok(organiser) => ask(organiser).await,
            Err(error) => Err(error),
        };
        Ok(match done {
            Ok(done) => Look::Found(done),
            Err(error) => Look::NotYet(format!("{error:#}")),
        })
    })
    .await
}

/// How many bookings of a cancelled show were refunded.
async fn refund_all(system: &System, show: Uuid) -> Result<u64> {
    let show = show.to_string();
    let finished = until_at(PACE, "a show to be refunded", REFUNDS_LIMIT, async || {
        let mut command = system.command();
        command.args(["show", "refund", &show, "-o", "json"]);
        let output = tokio::process::Command::from(command).output().await?;
        let said = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        let done = said["state"] == "FINISHED"
            && said["bookings_left"] == 0
            && said["refunds_under_way"] == 0;
        Ok(if done {
            Look::Found(said)
        } else {
            Look::NotYet(format!("{said} {output:?}"))
        })
    });
    finished.await?["bookings"].as_u64().context("no count")
}

/// Audits what goes on: it may be unable to check something, and finds nothing. Says how many audits could
/// check everything.
async fn audit_meanwhile(system: &System, world: &World) -> Result<u32> {
    let mut whole = 0;
    while !world.enough.get() {
        // Without the database it says nothing that could be read.
        let Ok((code, said)) = system.audit(MEANWHILE_GRACE_S).await else {
            tokio::time::sleep(PACE).await;
            continue;
        };
        if said["findings"] != Value::Array(Vec::new()) {
            world.enough.set(true);
            bail!("found while people buy: {code:?} {said:#}");
        }
        whole += u32::from(code == Some(0));
        tokio::time::sleep(PACE).await;
    }
    Ok(whole)
}

/// Nothing is wrong, and there was something to compare.
async fn audit(system: &System) -> Result<()> {
    let (code, said) = system.audit(GRACE_S).await?;
    println!("audit: {}", said["counts"]);
    ensure!(
        code == Some(0) && said["clean"] == true,
        "{code:?} {said:#}"
    );
    for count in [
        "seats_compared",
        "claims_compared",
        "tickets_compared",
        "journals_compared",
        "captured_compared",
        "refunds_asked_compared",
        "sessions_paid_compared",
        "sessions_refunded_compared",
        "captured_at_provider_compared",
    ] {
        ensure!(
            said["counts"][count].as_u64() > Some(0),
            "no {count}: {said:#}"
        );
    }
    ensure!(said["counts"]["nodes_compared"] == 3, "{said:#}");
    Ok(())
}
