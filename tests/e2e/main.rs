//! The whole system from outside: real processes, REST as customers use it, and a look into
//! Postgres and the lock store to see that they agree (HS-1, HS-6, BK-1, BK-2, BK-3, SE-1).
//!
//! Each test starts a system of its own and waits its turn for it.

mod accounts;
mod audit;
mod bad_input;
mod best_available;
mod cancel;
mod catalogue;
mod cli;
mod crash;
mod foreign_clients;
mod fresh_show;
mod fuzzed;
mod history;
mod hostile;
mod late_money;
mod leader_loss;
mod live;
mod metric_names;
mod mutual_tls;
mod organiser;
mod other_database;
mod publishing;
mod rush;
mod sales;
mod search;
mod supervision;
mod traces;
mod viewer;

use holdfast_harness::{Options, System};
use uuid::Uuid;

/// A system with a new data directory and ports of its own.
fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_holdfast"))
}

/// Reads a plan of a new venue.
fn import_plan<'a>(path: &'a str, venue_name: &'a str) -> [&'a str; 15] {
    let [city, country] = ["Berlin", "DE"];
    [
        "import",
        "plan",
        path,
        "--venue-name",
        venue_name,
        "--city",
        city,
        "--country",
        country,
        "--latitude",
        "52.5",
        "--longitude",
        "13.25",
        "--time-zone",
        "Europe/Berlin",
    ]
}

/// The demo show.
fn demo_show(system: &System) -> anyhow::Result<Uuid> {
    let id = system
        .run()?
        .demo_show_id
        .ok_or_else(|| anyhow::anyhow!("no demo show"))?;
    Ok(id.parse()?)
}

/// Asserts what must be true of a show at rest: Postgres and the lock store call the same seats
/// sold, each sold seat has exactly one valid ticket, no other has one, and the audit finds nothing.
async fn assert_agreed(system: &System, show: Uuid, sold: usize) -> anyhow::Result<()> {
    assert_sold(system, show, sold).await?;
    system.cli(&["cluster", "audit"])?;
    Ok(())
}

/// The same without the audit.
async fn assert_sold(system: &System, show: Uuid, sold: usize) -> anyhow::Result<()> {
    use anyhow::ensure;
    use holdfast_proto::lockstore::v1::SeatState;

    let store = system.store()?.seats(show).await?;
    let in_store: Vec<String> = (0..)
        .zip(&store)
        .filter(|(_, s)| **s == SeatState::Sold)
        .map(|(no, _): (u32, _)| no.to_string())
        .collect();
    let database = system.database().await?;
    let in_postgres = database.texts("SELECT seat_no::text FROM booking.seats WHERE show_id = $1 AND state = 'SOLD' ORDER BY seats.seat_no", show).await?;
    let tickets = database.texts("SELECT seat_no::text FROM booking.tickets WHERE show_id = $1 AND state = 'VALID' ORDER BY tickets.seat_no", show).await?;
    ensure!(
        in_store == in_postgres,
        "sold in the store {in_store:?}, in Postgres {in_postgres:?}"
    );
    ensure!(
        tickets == in_postgres,
        "tickets for {tickets:?}, sold {in_postgres:?}"
    );
    ensure!(
        tickets.len() == sold,
        "{} sold, expected {sold}",
        tickets.len()
    );
    Ok(())
}
