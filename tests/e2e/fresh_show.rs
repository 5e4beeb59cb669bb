//! `up` has something to sell each time.

use anyhow::ensure;
use holdfast_harness::with_system;

use crate::{demo_show, options};

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
