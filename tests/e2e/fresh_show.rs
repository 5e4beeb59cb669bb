//! `up` has something to sell each time.

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use holdfast_harness::{Customer, System, with_system};
use uuid::Uuid;

use crate::{assert_agreed, demo_show, options};

/// Seats that one customer may have of the demo show: its rule when none is given.
const SEATS_EACH: usize = 10;
/// Customers buying at once.
const BUYING_AT_ONCE: usize = 8;

#[tokio::test]
async fn a_demo_show_that_is_past_or_called_off_is_followed_by_a_fresh_one() {
    with_system(options(), async |system| {
        let first = demo_show(system)?;
        let past =
            "UPDATE catalog.shows SET starts_at = now() - interval '1 hour' WHERE show_id = $1";
        ensure!(system.database().await?.change(past, first).await? == 1);
        ensure!(system.stop().await?.success());
        system.restart().await?;
        let second = demo_show(system)?;
        ensure!(second != first, "the show of yesterday is for sale");

        let mut organiser = system.organiser().await?;
        organiser.change_state(second, "CANCELLED").await?;
        ensure!(system.stop().await?.success());
        system.restart().await?;
        let third = demo_show(system)?;
        ensure!(third != second && third != first, "{third}");
        let demo = system.cli(&["demo"])?;
        ensure!(demo.matches("VALID").count() == 2, "{demo}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_sold_out_demo_show_is_followed_by_a_fresh_one() {
    with_system(options(), async |system| {
        let sold = demo_show(system)?;
        sell_out(system, sold).await?;
        ensure!(system.stop().await?.success());
        system.restart().await?;
        ensure!(demo_show(system)? != sold, "nothing is left to buy");
        let demo = system.cli(&["demo"])?;
        ensure!(demo.matches("VALID").count() == 2, "{demo}");
        Ok(())
    })
    .await;
}

async fn sell_out(system: &System, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let seats = rest.free_seats(show).await?;
    let buy = async |some: &[String]| -> Result<()> {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        Customer::register(&rest).await?.buy(show, &some).await?;
        Ok(())
    };
    stream::iter(seats.chunks(SEATS_EACH))
        .map(buy)
        .buffer_unordered(BUYING_AT_ONCE)
        .try_collect::<()>()
        .await?;
    ensure!(rest.free_seats(show).await?.is_empty());
    assert_agreed(system, show, seats.len()).await
}
