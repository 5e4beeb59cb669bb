//! What a customer finds of a purchase afterwards: the same answer to the same request, the booking in
//! the list at once, and its timeline.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use holdfast_harness::{Answer, Customer, ShowRules, with_system};
use serde_json::{Value, json};

use crate::{assert_agreed, options};

/// For the money to go back.
const LIMIT: Duration = Duration::from_secs(30);

/// Copies of one request at once.
const COPIES: usize = 5;

/// Items of a page of the customer's bookings, and the cursor of the next.
async fn bookings(customer: &Customer, query: &str) -> Result<(Vec<Value>, Option<String>)> {
    let answer = customer.get(&format!("/me/bookings{query}")).await?.ok()?;
    let items = answer.body["items"].as_array().context("a page")?.clone();
    let next = answer.body["next_cursor"].as_str().map(str::to_owned);
    Ok((items, next))
}

fn is_replay_of(first: &Answer, again: &Answer) -> Result<()> {
    ensure!(
        again.status == 200 && again.body == first.body,
        "{again:?} after {first:?}"
    );
    Ok(())
}

#[tokio::test]
async fn purchase_is_answered_once_listed_at_once_and_told_in_order() {
    with_system(options(), async |system| {
        let rules = ShowRules::default();
        let show = system.organiser().await?.open_show(1, 5, rules).await?;
        let rest = system.rest()?;
        let seats = rest.free_seats(show).await?;
        let customer = Customer::register(&rest).await?;
        let hold = customer.hold(show, &[&seats[0], &seats[1]]).await?.ok()?;
        let book = json!({ "hold_id": hold.text("hold_id")? });

        // Copies at once: one makes the booking, all are told of it.
        let copies = (0..COPIES).map(|_| customer.post("/bookings", "book", &book));
        let answers = join_all(copies).await;
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        let made: Vec<&Answer> = answers.iter().filter(|a| a.status == 201).collect();
        let [first] = made[..] else {
            anyhow::bail!("one of them is made: {answers:?}");
        };
        for again in answers.iter().filter(|a| a.status != 201) {
            is_replay_of(first, again)?;
        }
        let id = first.text("booking_id")?;
        let (listed, _) = bookings(&customer, "").await?;
        ensure!(
            listed.len() == 1 && listed[0]["booking_id"] == *id,
            "{listed:?}"
        );

        // From the moment that it is confirmed the list says so, too.
        let url = customer.wait_payment_url(&id, LIMIT).await?;
        customer.pay(&url, 0).await?;
        let confirmed = |b: &Value| b["status"] == "CONFIRMED";
        let booking = customer
            .wait_booking(&id, "confirmed", LIMIT, confirmed)
            .await?;
        let (listed, _) = bookings(&customer, "").await?;
        ensure!(listed == [booking], "{listed:?}");
        is_replay_of(first, &customer.post("/bookings", "book", &book).await?)?;

        let give_back = json!({ "seat_ids": [seats[1]] });
        let path = format!("/bookings/{id}/return");
        let returned = customer.post(&path, "return", &give_back).await?.ok()?;
        let path_of_cancel = format!("/bookings/{id}/cancel");
        let reused = customer.post(&path_of_cancel, "return", &json!({})).await?;
        ensure!(
            reused.status == 422 && reused.code() == "IDEMPOTENCY_KEY_REUSED",
            "{reused:?}"
        );
        let cancelled = customer
            .post(&path_of_cancel, "cancel", &json!({}))
            .await?
            .ok()?;
        ensure!(cancelled.body["status"] == "CANCELLED", "{cancelled:?}");
        customer
            .wait_booking(&id, "refunded", LIMIT, |b| b["refund_status"] == "REFUNDED")
            .await?;
        is_replay_of(
            &returned,
            &customer.post(&path, "return", &give_back).await?,
        )?;
        is_replay_of(
            &cancelled,
            &customer.post(&path_of_cancel, "cancel", &json!({})).await?,
        )?;

        timeline(&customer, &id).await?;

        // Pages go on where the one before ended, whatever is bought meanwhile.
        let second = customer.buy(show, &[&seats[2]]).await?;
        let (newest, next) = bookings(&customer, "?limit=1").await?;
        ensure!(
            newest[0]["booking_id"] == *second && confirmed(&newest[0]),
            "{newest:?}"
        );
        let third = customer.buy(show, &[&seats[3]]).await?;
        let cursor = next.context("there is an older one")?;
        let (oldest, end) = bookings(&customer, &format!("?limit=1&cursor={cursor}")).await?;
        ensure!(
            oldest.len() == 1 && oldest[0]["booking_id"] == *id,
            "{oldest:?}"
        );
        ensure!(end.is_none(), "{end:?}");
        let (all, _) = bookings(&customer, "").await?;
        let ids: Vec<&str> = all
            .iter()
            .filter_map(|b| b["booking_id"].as_str())
            .collect();
        ensure!(ids == [&*third, &*second, &*id], "{ids:?}");
        let bad = customer.get("/me/bookings?cursor=x").await?;
        ensure!(
            bad.code() == "INVALID_REQUEST"
                && bad.body["details"]["fields"][0]["field"] == "cursor",
            "{bad:?}"
        );
        assert_agreed(system, show, 2).await
    })
    .await;
}

async fn timeline(customer: &Customer, id: &str) -> Result<()> {
    let path = format!("/bookings/{id}/timeline?limit=100");
    let told = customer.get(&path).await?.ok()?;
    let items = told.body["items"].as_array().context("a page")?;
    let happened: Vec<&str> = items
        .iter()
        .filter_map(|entry| entry["happened"].as_str())
        .collect();
    let begins = [
        "HOLD_EXTENDED",
        "CREATED",
        "SESSION_CREATED",
        "PAID",
        "COMMITTED",
        "TICKETS_ISSUED",
        "CONFIRMED",
        "REFUND_REQUESTED",
        "TICKETS_GIVEN_BACK",
    ];
    ensure!(happened.starts_with(&begins), "{happened:?}");
    // When which part of the money went is the provider's to choose.
    let count = |what: &str| happened.iter().filter(|told| **told == what).count();
    for (what, times) in [
        ("REFUND_REQUESTED", 2),
        ("REFUNDED", 2),
        ("CANCELLED", 1),
        ("SEATS_RETURNED", 2),
    ] {
        ensure!(count(what) == times, "{what}: {happened:?}");
    }
    let cancelled = items.iter().find(|entry| entry["happened"] == "CANCELLED");
    let reason = cancelled.map(|entry| &entry["reason"]);
    ensure!(
        reason == Some(&json!("CANCELLED_BY_CUSTOMER")),
        "{reason:?}"
    );
    let revision = items[4]["revision"].as_str().context("a revision")?;
    let fence = items[4]["fence"].as_str().context("a fence")?;
    ensure!(
        revision.parse::<u64>()? > fence.parse::<u64>()?,
        "{items:?}"
    );
    Ok(())
}
