//! Confirmed purchases per second over REST: hold, book, pay at the sandbox's page, confirmed.
//! Each client is a customer of its own and polls its booking, so a latency has up to two waits of
//! `poll` in it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use holdfast_harness::{Customer, ShowRules, System};

use crate::load::{self, Ended, Load, Measured};

/// Rows and seats of a row of the show that is sold.
const ROWS: u32 = 100;
const ROW_SEATS: u32 = 100;
/// Seats of one purchase; neighbours.
const SEATS_PER_PURCHASE: u32 = 2;

/// Buys seats of a new show until the time is over.
///
/// # Errors
/// If the show or a customer can't be made.
pub async fn run(system: &System, load: Load, poll: Duration) -> Result<Measured> {
    let rules = ShowRules {
        seats_per_customer_max: ROWS * ROW_SEATS,
        ..ShowRules::default()
    };
    let show = system
        .organiser()
        .await?
        .open_show(ROWS, ROW_SEATS, rules)
        .await?;
    let rest = system.rest()?.polling_every(poll);
    let labels = Arc::new(rest.free_seats(show).await?);
    let mut customers = Vec::new();
    for _ in 0..load.clients {
        customers.push(Customer::register(&rest).await?);
    }
    let customers = Arc::new(customers);
    let next = Arc::new(AtomicU32::new(0));
    load::run_on_one_thread(load, move |client| {
        let (customers, labels, next) = (
            Arc::clone(&customers),
            Arc::clone(&labels),
            Arc::clone(&next),
        );
        async move {
            let first = (next.fetch_add(1, Ordering::Relaxed) * SEATS_PER_PURCHASE) as usize;
            let Some(seats) = labels.get(first..first + SEATS_PER_PURCHASE as usize) else {
                return Ok(Ended::Exhausted);
            };
            let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
            customers[client].buy(show, &seats).await?;
            Ok(Ended::Done)
        }
    })
    .await
}
