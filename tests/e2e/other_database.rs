//! `holdfast up` on a server of somebody else's, named in `DATABASE_URL`.

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Customer, Scratch, with_system};

use crate::{demo_show, options};

#[tokio::test]
async fn up_sells_with_the_database_of_database_url_and_no_other_one() {
    let server = std::env::var("DATABASE_URL").expect("DATABASE_URL: see scripts/with-postgres");
    let scratch = Scratch::new(&server).await.expect("two databases");
    let [first, second] = scratch.urls();
    let mut options = options();
    options.env.push(("DATABASE_URL".into(), first));
    with_system(options, async |system| {
        ensure!(system.run()?.postgres.is_none(), "a private Postgres, too");
        let show = demo_show(system)?;
        let rest = system.rest()?;
        let free = rest.free_seats(show).await?;
        let customer = Customer::register(&rest).await?;
        customer.buy(show, &[&free[0]]).await?;
        system.cli(&["cluster", "audit"])?;
        ensure!(system.cli(&["events", "parked"])?.contains("nothing"));

        refused(system.cli(&["db", "init"]), "in use")?;
        ensure!(system.stop().await?.success());
        system.cli(&["db", "init"])?;
        system.cli(&["db", "init"])?;
        let of_another = ["up", "--database-url", &second];
        refused(system.cli(&of_another), "belongs to another database")?;
        let of_another = ["db", "init", "--database-url", &second];
        refused(system.cli(&of_another), "belongs to another database")?;
        let elsewhere = tempfile::tempdir()?;
        let elsewhere = elsewhere.path().to_string_lossy().into_owned();
        refused(
            system.cli(&["db", "init", "--data-dir", &elsewhere]),
            "belongs to another lock-store cluster",
        )?;

        system.restart().await?;
        ensure!(system.rest()?.free_seats(show).await?.len() == free.len() - 1);
        Ok(())
    })
    .await;
    scratch.remove().await.expect("databases to be removed");
}

fn refused(answer: Result<String>, why: &str) -> Result<()> {
    let error = answer.err().context("it was not refused")?;
    let text = format!("{error:#}");
    ensure!(text.contains(why), "expected {why:?}: {text}");
    Ok(())
}
