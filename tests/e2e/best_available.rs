//! Couples that want seats together, and don't care which.

use anyhow::{Result, ensure};
use holdfast_harness::{Customer, ShowRules, with_system};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{assert_agreed, options};

const ROWS: u32 = 3;
/// From the middle outwards it is three pairs.
const SEATS_PER_ROW: u32 = 6;
const SEATS: usize = (ROWS * SEATS_PER_ROW) as usize;

#[tokio::test]
async fn couples_sit_together_and_none_is_told_of_a_conflict() {
    with_system(options(), async |system| {
        let rest = system.rest()?;
        let mut organiser = system.organiser().await?;
        let show = organiser
            .open_show(ROWS, SEATS_PER_ROW, ShowRules::default())
            .await?;
        let mut customers = Vec::new();
        for _ in 0..SEATS / 2 {
            customers.push(Customer::register(&rest).await?);
        }
        let mut rush = JoinSet::new();
        for customer in customers {
            rush.spawn_local(sit_together(customer, show));
        }
        let bought: Result<Vec<usize>> = rush.join_all().await.into_iter().collect();
        let bought: usize = bought?.into_iter().sum();
        ensure!(bought == SEATS, "{bought} bought");

        let late = Customer::register(&rest).await?;
        let answer = late.post("/holds", &key(), &two(show)).await?;
        ensure!(
            answer.status == 409 && answer.code() == "SEAT_NOT_AVAILABLE",
            "{answer:?}"
        );
        assert_agreed(system, show, bought).await
    })
    .await;
}

fn key() -> String {
    Uuid::new_v4().to_string()
}

fn two(show: Uuid) -> Value {
    json!({ "show_id": show, "best_available": { "count": 2 } })
}

/// Holds two and buys them; how many tickets that made.
async fn sit_together(customer: Customer, show: Uuid) -> Result<usize> {
    let (key, body) = (key(), two(show));
    let hold = customer.post("/holds", &key, &body).await?.ok()?;
    let again = customer.post("/holds", &key, &body).await?.ok()?;
    ensure!(
        again.status == 200 && again.body["seat_ids"] == hold.body["seat_ids"],
        "{again:?}"
    );
    let booking = customer.buy_held(&hold).await?;
    let tickets = customer.valid_tickets(&booking).await?;
    ensure!(tickets.len() == 2, "{tickets:?}");
    Ok(tickets.len())
}
