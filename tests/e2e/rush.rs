//! Many customers want the same few seats at the same moment.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use holdfast_harness::{Answer, Customer, ShowRules, with_system};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{assert_agreed, options};

const CUSTOMERS: usize = 200;
const ARRIVING_AT_ONCE: usize = 4;
const ROWS: u32 = 5;
const SEATS_PER_ROW: u32 = 10;
const SEATS: usize = (ROWS * SEATS_PER_ROW) as usize;
/// From the first hold to the last confirmation, on two cores with unoptimised builds.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn two_hundred_customers_on_fifty_seats_get_fifty_tickets_each_seat_once() {
    with_system(options(), async |system| {
        let rest = system.rest()?;
        let rules = ShowRules {
            seats_per_customer_max: 1,
            ..ShowRules::default()
        };
        let show = system
            .organiser()
            .await?
            .open_show(ROWS, SEATS_PER_ROW, rules)
            .await?;
        ensure!(rest.free_seats(show).await?.len() == SEATS);

        // They are there before the sale begins: password hashing is not what is rushed here.
        let customers: Vec<Customer> = stream::iter(0..CUSTOMERS)
            .map(|_| Customer::register(&rest))
            .buffer_unordered(ARRIVING_AT_ONCE)
            .try_collect()
            .await?;

        let mut rush = JoinSet::new();
        for (nth, customer) in customers.into_iter().enumerate() {
            rush.spawn_local(async move {
                tokio::time::timeout(LIMIT, want_one(customer, show, nth))
                    .await
                    .context("the rush takes too long")?
            });
        }
        let outcomes = rush
            .join_all()
            .await
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let mut seats: Vec<String> = outcomes.into_iter().flatten().collect();
        seats.sort();
        let bought = seats.len();
        seats.dedup();
        ensure!(
            bought == SEATS && seats.len() == SEATS,
            "{bought} tickets for {} seats",
            seats.len()
        );
        assert_agreed(system, show, SEATS).await
    })
    .await;
}

/// Tries for any seat until it has one or none is free; pays for it. Everybody begins at the same
/// seats, so that they collide.
async fn want_one(customer: Customer, show: Uuid, nth: usize) -> Result<Option<String>> {
    loop {
        let free = customer.rest.free_seats(show).await?;
        if free.is_empty() {
            return Ok(None);
        }
        let seat = &free[nth % free.len().min(8)];
        let key = Uuid::new_v4().to_string();
        let answer = customer
            .post_until_answered(
                "/holds",
                &key,
                &json!({ "show_id": show, "seat_ids": [seat] }),
            )
            .await?;
        match answer.code() {
            "SEAT_LOCKED" | "SEAT_NOT_AVAILABLE" => continue,
            _ => return buy(&customer, answer.ok()?).await.map(Some),
        }
    }
}

async fn buy(customer: &Customer, hold: Answer) -> Result<String> {
    let booking = customer.buy_held(&hold).await?;
    let tickets = customer.valid_tickets(&booking).await?;
    ensure!(tickets.len() == 1, "{tickets:?}");
    Ok(tickets[0].clone())
}
