//! A real sale again: as many purchases in each second as tickets were reserved in it then, or a multiple.
//! Open loop: each begins when it is due, whatever became of those before.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use holdfast_harness::System;
use serde::{Deserialize, Serialize};
use tokio::{
    task::{JoinSet, LocalSet},
    time::Instant,
};

use super::{
    Buyers,
    buyer::{Met, Outcome, StepLatency, Wanted},
    open,
};

/// EMF 2024, tickets reserved in each second until all were sold: emfcamp/Website, issue 1901.
const SALE: &str = include_str!("../../data/emf-2024.json");

/// Purchases under way at once; what is due beyond is counted and not sent.
const UNDER_WAY_MAX: usize = 3_000;
/// Seats of a row.
const ROW_SEATS: u32 = 50;
/// Refused with these, a customer comes again later.
const COME_AGAIN: [u16; 2] = [429, 503];
/// Never right: a defect, or an answer that says nothing.
const NEVER: [u16; 3] = [500, 502, 504];

#[derive(Deserialize)]
struct Sale {
    interval_s: u64,
    reserved_per_second: Vec<u32>,
}

/// What a replay met.
#[derive(Debug, Serialize)]
pub struct Replay {
    /// So many times as many as there were.
    pub times: u32,
    pub seconds: f64,
    /// Purchases that were due, and those of them for which there was no room here.
    pub due: u64,
    pub dropped: u64,
    pub bought: u64,
    /// Holds refused because nothing was left: the show has as many seats as purchases were due, so none
    /// should be.
    pub sold_out: u64,
    /// Holds that were told to come again (429, 503); these customers don't.
    pub come_again: u64,
    /// Ended in another way after the hold, and how the first did.
    pub failed: u64,
    pub first_failure: Option<String>,
    /// Answers that said to come again (429, 503), a purchase that was sent.
    pub come_again_share: f64,
    /// Answers 500, 502, 504.
    pub never_right: u64,
    /// Seats that two purchases were given.
    pub doubled: u64,
    /// Seats that a purchase was given and that aren't sold in the end.
    pub lost: u64,
    /// What `holdfast cluster audit` said after it.
    pub audit: String,
    pub audit_is_clean: bool,
    pub statuses: BTreeMap<u16, u64>,
    pub steps: Vec<StepLatency>,
}

/// Sells a new show as it went then, `times` times as fast.
///
/// # Errors
/// If the show can't be made or looked at.
pub async fn replay(system: &System, buyers: &Buyers, times: u32) -> Result<Replay> {
    let sale: Sale = serde_json::from_str(SALE).context("the sale's data")?;
    let tickets: u32 = sale.reserved_per_second.iter().sum::<u32>() * times;
    let show = open(system, tickets.div_ceil(ROW_SEATS), ROW_SEATS).await?;
    let met = Rc::new(RefCell::new(Met::default()));
    let ends = Rc::new(RefCell::new(Ends::default()));
    let started = Instant::now();
    let sold = async {
        let mut under_way = JoinSet::new();
        let (mut due_count, mut dropped) = (0_u64, 0_u64);
        for (second, reserved) in (0_u64..).zip(&sale.reserved_per_second) {
            let begins = started + Duration::from_secs(second * sale.interval_s);
            let count = reserved * times;
            for nth in 0..count {
                let within = f64::from(nth) / f64::from(count) * sale.interval_s as f64;
                let due = begins + Duration::from_secs_f64(within);
                tokio::time::sleep_until(due).await;
                while under_way.try_join_next().is_some() {}
                due_count += 1;
                if under_way.len() >= UNDER_WAY_MAX {
                    dropped += 1;
                    continue;
                }
                let buyer = buyers.nth(usize::try_from(due_count).unwrap_or_default());
                let (met, ends) = (Rc::clone(&met), Rc::clone(&ends));
                under_way.spawn_local(async move {
                    let ended = buyer.buy(show, &Wanted::Best(1), due, &met).await;
                    ends.borrow_mut().count(ended);
                });
            }
        }
        while under_way.join_next().await.is_some() {}
        (due_count, dropped)
    };
    let (due, dropped) = LocalSet::new().run_until(sold).await;
    let seconds = started.elapsed().as_secs_f64();
    let (met, ends) = (met.take(), ends.take());
    let lost = lost(system, show, &ends.seats).await?;
    let of = |wanted: &[u16]| -> u64 {
        let found = wanted.iter().filter_map(|status| met.statuses.get(status));
        found.sum()
    };
    let audit = system.cli(&["cluster", "audit"]);
    Ok(Replay {
        times,
        seconds,
        due,
        dropped,
        bought: ends.bought,
        sold_out: ends.sold_out,
        failed: ends.failed,
        first_failure: ends.first_failure,
        come_again: ends.come_again,
        come_again_share: of(&COME_AGAIN) as f64 / (due - dropped).max(1) as f64,
        never_right: of(&NEVER),
        doubled: ends.doubled,
        lost,
        audit_is_clean: audit.is_ok(),
        audit: audit
            .unwrap_or_else(|error| format!("{error:#}"))
            .trim()
            .to_owned(),
        steps: met.steps(),
        statuses: met.statuses,
    })
}

impl Replay {
    /// What must never be.
    pub fn wrong(&self) -> Option<String> {
        let audit_is_clean = self.audit_is_clean;
        let wrong = self.never_right + self.doubled + self.lost > 0 || !audit_is_clean;
        wrong.then(|| {
            format!(
                "{} times as fast: {} answers 500/502/504, {} seats doubled, {} lost, audit: {}",
                self.times, self.never_right, self.doubled, self.lost, self.audit
            )
        })
    }

    pub fn print(&self) {
        println!(
            "a sale {} times as fast, {:.0} s: {} due, {} dropped here, {} bought, {} sold out, {} to come again, {} failed; \
             {:.2} answers a purchase said to come again, {} answers 500/502/504; {} seats doubled, {} lost",
            self.times,
            self.seconds,
            self.due,
            self.dropped,
            self.bought,
            self.sold_out,
            self.come_again,
            self.failed,
            self.come_again_share,
            self.never_right,
            self.doubled,
            self.lost
        );
        if let Some(failure) = &self.first_failure {
            println!("  first failure: {failure}");
        }
        super::print_steps(&self.steps);
        println!("  answers: {:?}", self.statuses);
        println!("  audit: {}", self.audit);
    }
}

#[derive(Debug, Default)]
struct Ends {
    bought: u64,
    sold_out: u64,
    come_again: u64,
    failed: u64,
    first_failure: Option<String>,
    doubled: u64,
    seats: HashSet<String>,
}

impl Ends {
    fn count(&mut self, ended: Result<Outcome>) {
        match ended {
            Ok(Outcome::Bought(seats)) => {
                self.bought += 1;
                for seat in seats {
                    self.doubled += u64::from(!self.seats.insert(seat));
                }
            }
            Ok(Outcome::SoldOut) => self.sold_out += 1,
            Ok(Outcome::Refused) => self.come_again += 1,
            Err(error) => {
                self.failed += 1;
                self.first_failure
                    .get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
}

async fn lost(system: &System, show: uuid::Uuid, bought: &HashSet<String>) -> Result<u64> {
    let path = format!("/shows/{show}/availability");
    let seats = system.rest()?.get(&path).await?.ok()?;
    let seats = seats.body["seats"].as_array().context("no seats")?.clone();
    ensure!(!seats.is_empty(), "a show without seats");
    let sold: HashSet<_> = seats
        .iter()
        .filter(|seat| seat["state"] == "SOLD")
        .filter_map(|seat| seat["seat_id"].as_str())
        .collect();
    let lost = bought.iter().filter(|seat| !sold.contains(seat.as_str()));
    Ok(lost.count() as u64)
}
