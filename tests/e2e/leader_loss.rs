//! The store's leader is killed in the middle of a purchase.

use std::time::Duration;

use anyhow::ensure;
use holdfast_harness::{Customer, STORE_NODE_KILLED, with_system};
use serde_json::json;

use crate::{assert_agreed, demo_show, options};

#[tokio::test]
async fn purchase_survives_sigkill_of_the_leader_between_hold_and_payment() {
    with_system(options().expecting(STORE_NODE_KILLED), async |system| {
        let (rest, show) = (system.rest()?, demo_show(system)?);
        let customer = Customer::register(&rest).await?;
        let free = rest.free_seats(show).await?;
        let seats = [free[0].as_str(), free[1].as_str()];
        let hold = customer.hold(show, &seats).await?.ok()?.text("hold_id")?;

        let leader = system.leader().await?;
        let before = system.kill(&leader)?;

        let body = json!({ "hold_id": hold });
        let booking = customer
            .post_until_answered("/bookings", "after-the-kill", &body)
            .await?
            .ok()?
            .text("booking_id")?;
        let url = customer
            .wait_payment_url(&booking, Duration::from_secs(30))
            .await?;
        customer.pay(&url, 0).await?;
        let confirmed = customer
            .wait_booking(&booking, "CONFIRMED", Duration::from_secs(30), |b| {
                b["status"] == "CONFIRMED"
            })
            .await?;
        ensure!(confirmed["seat_ids"] == json!(seats), "{confirmed}");
        let mut tickets = customer.valid_tickets(&booking).await?;
        tickets.sort();
        let mut wanted = seats.map(str::to_owned);
        wanted.sort();
        ensure!(tickets == wanted, "{tickets:?}");

        system.wait_back(&leader, before).await?;
        system.store()?.wait_same_state().await?;
        assert_agreed(system, show, 2).await
    })
    .await;
}
