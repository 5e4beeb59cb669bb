//! A paid booking is cancelled: by its customer, or with its show.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_harness::{Customer, Look, ShowRules, until, with_system};
use serde_json::{Value, json};

use crate::{assert_agreed, options, sales};

/// For the money to go back and the seats to be free.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn cancelled_confirmed_booking_is_refunded_and_its_seats_are_sold_again() {
    with_system(options(), async |system| {
        let rules = ShowRules {
            seats_per_customer_max: 2,
            ..ShowRules::default()
        };
        let show = system.organiser().await?.open_show(1, 3, rules).await?;
        let rest = system.rest()?;
        let seats = rest.free_seats(show).await?;
        let wanted = [seats[0].as_str(), seats[1].as_str()];
        let customer = Customer::register(&rest).await?;
        let booking = customer.buy(show, &wanted).await?;
        assert_agreed(system, show, 2).await?;

        customer.cancel(&booking).await?.ok()?;
        let ended = customer
            .wait_booking(&booking, "refunded", LIMIT, |b| {
                b["refund_status"] == "REFUNDED"
            })
            .await?;
        ensure!(ended["status"] == "CANCELLED", "{ended}");
        ensure!(
            customer
                .valid_tickets(&booking)
                .await
                .unwrap_or_default()
                .is_empty(),
            "valid tickets of a cancelled booking"
        );
        until("the seats to be free again", LIMIT, async || {
            let free = rest.free_seats(show).await?;
            Ok(if free == seats {
                Look::Found(())
            } else {
                Look::NotYet(format!("{free:?}"))
            })
        })
        .await?;
        assert_agreed(system, show, 0).await?;
        let paid = system.organiser().await?.payments(&booking).await?;
        ensure!(
            paid.iter().all(|p| p.refunded == p.amount) && !paid.is_empty(),
            "{paid:?}"
        );

        let next = Customer::register(&rest).await?;
        let again = next.buy(show, &wanted).await?;
        let tickets = next.valid_tickets(&again).await?;
        ensure!(json!(tickets) == json!(wanted), "{tickets:?}");
        // The one who cancelled may buy again: the seats don't count against the limit any more.
        customer.buy(show, &[&seats[2]]).await?;
        sales::are_counted(system, show).await?;
        assert_agreed(system, show, 3).await
    })
    .await;
}

#[tokio::test]
async fn cancelled_show_is_refunded_by_the_operator() {
    with_system(options(), async |system| {
        let mut organiser = system.organiser().await?;
        let show = organiser.open_show(1, 4, ShowRules::default()).await?;
        let rest = system.rest()?;
        let seats = rest.free_seats(show).await?;
        let mut bookings = Vec::new();
        for pair in seats.chunks(2) {
            let customer = Customer::register(&rest).await?;
            let booking = customer.buy(show, &[&pair[0], &pair[1]]).await?;
            bookings.push((customer, booking));
        }
        let refund = |more: &[&str]| {
            let show = show.to_string();
            let args = [&["show", "refund", &show, "-o", "json"], more].concat();
            let said = system.cli(&args)?;
            serde_json::from_str::<Value>(&said).context(said)
        };
        let dry = refund(&["--dry-run"])?;
        ensure!(
            dry["state"] == "NOT_ASKED" && dry["bookings_left"] == 2 && dry["seats_left"] == 4,
            "{dry}"
        );
        ensure!(refund(&[]).is_err(), "it is on sale");
        organiser.change_state(show, "CANCELLED").await?;
        let asked = refund(&[])?;
        ensure!(asked["bookings"] == 2, "{asked}");
        until("everybody to be refunded", LIMIT, async || {
            let now = refund(&["--dry-run"])?;
            let done = now["state"] == "FINISHED"
                && now["bookings_left"] == 0
                && now["refunds_under_way"] == 0;
            Ok(if done {
                Look::Found(())
            } else {
                Look::NotYet(now.to_string())
            })
        })
        .await?;
        for (customer, booking) in &bookings {
            let ended = customer
                .wait_booking(booking, "refunded", LIMIT, |b| {
                    b["refund_status"] == "REFUNDED"
                })
                .await?;
            ensure!(ended["reason"] == "SHOW_CANCELLED", "{ended}");
            let paid = organiser.payments(booking).await?;
            ensure!(paid.iter().all(|p| p.refunded == p.amount), "{paid:?}");
        }
        assert_agreed(system, show, 0).await
    })
    .await;
}
