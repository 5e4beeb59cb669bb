//! Money that arrives after the hold ran out: a ticket where the seats are free, else a refund.

use std::time::Duration;

use anyhow::{Result, ensure};
use holdfast_harness::{Customer, ShowRules, System, with_system};
use uuid::Uuid;

use crate::{assert_agreed, options, sales};

/// How long a customer of these shows has from hold to money: enough to get to the payment page.
const TOTAL: Duration = Duration::from_secs(12);
/// When the money arrives after it was sent: when the hold has run out, and somebody faster has
/// bought.
const LATE_S: u32 = 20;
/// For an ending after the money has arrived.
const LIMIT: Duration = Duration::from_secs(45);

#[tokio::test]
async fn late_money_is_confirmed_when_the_seats_are_free_and_refunded_when_they_are_not() {
    with_system(options(), async |system| {
        let rules = ShowRules {
            hold_ttl: TOTAL,
            hold_total_max: TOTAL,
            seats_per_customer_max: 4,
        };
        let show = system.organiser().await?.open_show(2, 4, rules).await?;
        let rest = system.rest()?;
        let seats = rest.free_seats(show).await?;
        let (lucky, unlucky, faster) = (
            Customer::register(&rest).await?,
            Customer::register(&rest).await?,
            Customer::register(&rest).await?,
        );

        let free_ones = [seats[0].as_str(), seats[1].as_str()];
        let taken_ones = [seats[4].as_str(), seats[5].as_str()];
        let lucky_booking = pay_late(&lucky, show, &free_ones).await?;
        let unlucky_booking = pay_late(&unlucky, show, &taken_ones).await?;

        for (customer, booking) in [(&lucky, &lucky_booking), (&unlucky, &unlucky_booking)] {
            customer
                .wait_booking(booking, "EXPIRED", LIMIT, |b| b["status"] == "EXPIRED")
                .await?;
        }
        let faster_booking = faster.buy(show, &[taken_ones[0]]).await?;

        let confirmed = lucky
            .wait_booking(&lucky_booking, "CONFIRMED", LIMIT, |b| {
                b["status"] == "CONFIRMED"
            })
            .await?;
        ensure!(confirmed["refund_status"] == "NONE", "{confirmed}");
        ensure!(lucky.valid_tickets(&lucky_booking).await?.len() == 2);
        let refunded = unlucky
            .wait_booking(&unlucky_booking, "refunded", LIMIT, |b| {
                b["refund_status"] == "REFUNDED"
            })
            .await?;
        ensure!(refunded["status"] == "FAILED", "{refunded}");
        ensure!(
            unlucky.valid_tickets(&unlucky_booking).await.is_err(),
            "tickets of a refunded booking"
        );
        ensure!(faster.valid_tickets(&faster_booking).await?.len() == 1);
        money_is_where_it_belongs(system, &lucky_booking, &unlucky_booking).await?;
        sales::are_counted(system, show).await?;
        assert_agreed(system, show, 3).await
    })
    .await;
}

/// Holds, books, and pays so that the money comes too late.
async fn pay_late(customer: &Customer, show: Uuid, seats: &[&str]) -> Result<String> {
    let hold = customer.hold(show, seats).await?.ok()?.text("hold_id")?;
    let booking = customer.book(&hold).await?.ok()?.text("booking_id")?;
    let url = customer.wait_payment_url(&booking, TOTAL).await?;
    customer.pay(&url, LATE_S).await?;
    Ok(booking)
}

/// BK-2: each captured unit is with a confirmed booking or went back.
async fn money_is_where_it_belongs(system: &System, confirmed: &str, refunded: &str) -> Result<()> {
    let mut organiser = system.organiser().await?;
    for (booking, back) in [(confirmed, false), (refunded, true)] {
        let payments = organiser.payments(booking).await?;
        let captured: i64 = payments
            .iter()
            .filter(|p| p.state == "SUCCEEDED")
            .map(|p| p.amount)
            .sum();
        let sent_back: i64 = payments.iter().map(|p| p.refunded).sum();
        ensure!(
            captured > 0 && sent_back == if back { captured } else { 0 },
            "{booking}: {payments:?}"
        );
    }
    Ok(())
}
