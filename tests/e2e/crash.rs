//! Every process is killed while people buy.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use holdfast_harness::{
    Customer, DATABASE_AWAY, Look, POSTGRES_KILLED, Rest, SERVICES_KILLED, STORE_NODE_KILLED,
    ShowRules, System, until, with_system,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{assert_agreed, options};

/// Customers buying one seat after the other, each in a row of their own.
const BUYERS: u32 = 4;
/// Seats in each one's row: more than they get to.
const SEATS: u32 = 200;
/// Every process, each to be killed once.
const PROCESSES: [&str; 5] = [
    "lockstore-1",
    "all",
    "lockstore-2",
    "postgres",
    "lockstore-3",
];
/// From a kill to the next purchase that began after the process was back.
const GOES_ON_LIMIT: Duration = Duration::from_secs(60);

/// A purchase that was acknowledged as confirmed.
type Bought = Arc<Mutex<Vec<(usize, String)>>>;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_every_process_is_killed_in_turn() {
    let options = options()
        .expecting(STORE_NODE_KILLED)
        .expecting(SERVICES_KILLED)
        .expecting(POSTGRES_KILLED)
        .expecting(DATABASE_AWAY);
    with_system(options, async |system| {
        let rest = system.rest()?;
        let rules = ShowRules {
            seats_per_customer_max: SEATS,
            ..ShowRules::default()
        };
        let show = system
            .organiser()
            .await?
            .open_show(BUYERS, SEATS, rules)
            .await?;
        let free = rest.free_seats(show).await?;
        let mut customers = Vec::new();
        for _ in 0..BUYERS {
            customers.push(Customer::register(&rest).await?);
        }

        let bought = Bought::default();
        let enough = Arc::new(AtomicBool::new(false));
        let mut buyers = JoinSet::new();
        for (nth, (customer, row)) in customers
            .iter()
            .cloned()
            .zip(free.chunks(SEATS as usize))
            .enumerate()
        {
            buyers.spawn_local(keep_buying(
                nth,
                customer,
                show,
                row.to_vec(),
                Arc::clone(&bought),
                Arc::clone(&enough),
            ));
        }
        goes_on(&bought, &mut buyers).await?;
        for process in PROCESSES {
            let before = system.kill(process)?;
            system.wait_back(process, before).await?;
            goes_on(&bought, &mut buyers).await?;
        }
        enough.store(true, Ordering::Relaxed);
        buyers
            .join_all()
            .await
            .into_iter()
            .collect::<Result<()>>()?;
        let bought = bought.lock().expect("no buyer panicked").clone();
        check(system, show, &customers, &bought).await?;

        ensure!(system.stop().await?.success());
        system.restart().await?;
        let rest = system.rest()?;
        for customer in &mut customers {
            customer.sign_in(&rest).await?;
        }
        check(system, show, &customers, &bought).await?;
        still_sells(&rest, show).await
    })
    .await;
}

async fn keep_buying(
    nth: usize,
    customer: Customer,
    show: Uuid,
    seats: Vec<String>,
    bought: Bought,
    enough: Arc<AtomicBool>,
) -> Result<()> {
    for seat in &seats {
        if enough.load(Ordering::Relaxed) {
            return Ok(());
        }
        let booking = customer.buy(show, &[seat]).await?;
        bought
            .lock()
            .expect("no buyer panicked")
            .push((nth, booking));
    }
    anyhow::bail!(
        "all {} seats are bought, and the test isn't done",
        seats.len()
    )
}

/// Waits until every buyer has got further, or one has failed.
async fn goes_on(bought: &Bought, buyers: &mut JoinSet<Result<()>>) -> Result<()> {
    let count = || bought.lock().expect("no buyer panicked").len();
    // One purchase of each may have been under way; the next ones began now.
    let target = count() + 2 * BUYERS as usize;
    until("purchases to go on", GOES_ON_LIMIT, async || {
        if let Some(ended) = buyers.try_join_next() {
            ended??;
        }
        Ok(if count() >= target {
            Look::Found(())
        } else {
            Look::NotYet(format!("{} of {target}", count()))
        })
    })
    .await
}

async fn check(
    system: &System,
    show: Uuid,
    customers: &[Customer],
    bought: &[(usize, String)],
) -> Result<()> {
    for (nth, booking) in bought {
        let tickets = customers[*nth].valid_tickets(booking).await?;
        ensure!(
            tickets.len() == 1,
            "booking {booking} was confirmed and has the tickets {tickets:?}"
        );
    }
    system.store()?.wait_same_state().await?;
    assert_agreed(system, show, bought.len()).await
}

async fn still_sells(rest: &Rest, show: Uuid) -> Result<()> {
    let customer = Customer::register(rest).await?;
    let free = rest.free_seats(show).await?;
    customer.buy(show, &[&free[0]]).await?;
    Ok(())
}
