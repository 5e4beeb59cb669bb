//! `holdfast up` itself: one a data directory, ports, and nothing left behind.

use std::{fs, net::TcpListener, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use holdfast_harness::{
    Customer, DATABASE_AWAY, Expected, Look, System, UP_KILLED, is_alive, turn, until, with_system,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{assert_agreed, assert_sold, demo_show, options, organiser::organiser};

/// For processes to notice that their parent is gone, and to drain.
const GONE_LIMIT: Duration = Duration::from_secs(30);

/// The data of the first node was removed.
const NODE_WITHOUT_DATA: &[Expected] = &[
    Expected {
        process: "lockstore-1",
        words: &["lockstore failed: node 1 has no state, but node"],
        reason: "it must not start again under its old id, and says so",
    },
    Expected {
        process: "up",
        words: &["lockstore-1 ended (exit code 1); starting it again"],
        reason: "it is tried again",
    },
    Expected {
        process: "up",
        words: &["warning: lockstore-1 is not ready"],
        reason: "the others are enough",
    },
];

#[tokio::test]
async fn second_up_on_a_data_directory_is_refused_and_a_third_after_a_kill_goes_on() {
    let _turn = turn().await;
    let options = options()
        .expecting(UP_KILLED)
        .expecting(DATABASE_AWAY)
        .expecting(NODE_WITHOUT_DATA);
    let mut system = System::start(options)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    let work = async {
        let show = demo_show(&system)?;
        let customer = Customer::register(&system.rest()?).await?;
        let seats = system.rest()?.free_seats(show).await?;
        let booking = customer.buy(show, &[&seats[0]]).await?;
        let hold = customer.hold(show, &[&seats[1]]).await?.ok()?;
        let pending = customer.book(&hold.text("hold_id")?).await?.ok()?;
        let pending = pending.text("booking_id")?;
        let page = customer.wait_payment_url(&pending, GONE_LIMIT).await?;
        refuses_a_second(&system)?;

        let pids = all_pids(&system)?;
        ensure!(pids.len() == 6, "{pids:?}");
        system.kill_up()?;
        until(
            "every process to end with its parent",
            GONE_LIMIT,
            async || {
                let left: Vec<_> = pids.iter().filter(|(_, pid)| is_alive(*pid)).collect();
                Ok(if left.is_empty() {
                    Look::Found(())
                } else {
                    Look::NotYet(format!("{left:?}"))
                })
            },
        )
        .await
        .with_context(|| system.tails())?;
        for command in [&["demo"][..], &["cluster", "status"]] {
            let text = format!("{:#}", system.cli(command).err().context("it ran")?);
            ensure!(text.contains("was killed"), "{command:?}: {text}");
        }

        system.restart().await?;
        ensure!(
            demo_show(&system)? == show,
            "another demo show though the first is neither past nor sold out"
        );
        let mut customer = customer;
        customer.sign_in(&system.rest()?).await?;
        ensure!(customer.valid_tickets(&booking).await? == seats[..1]);
        // A payment page that was open before is still the one.
        customer.pay(&page, 0).await?;
        let paid = |b: &Value| b["status"] == "CONFIRMED";
        customer
            .wait_booking(&pending, "CONFIRMED", GONE_LIMIT, paid)
            .await?;
        ensure!(system.rest()?.free_seats(show).await?.len() == seats.len() - 2);
        assert_agreed(&system, show, 2).await?;

        let pids = all_pids(&system)?;
        ensure!(system.terminate().await?.success());
        let left: Vec<_> = pids.iter().filter(|(_, pid)| is_alive(*pid)).collect();
        ensure!(left.is_empty(), "left after an orderly stop: {left:?}");
        ensure!(!system.dir().join("run.json").exists(), "run.json is left");
        let house = sells_without_one_node(&mut system, show).await?;
        refuses_to_found_again(&system)?;
        rebuilds_what_was_lost(&mut system, show, &house).await?;
        system.check_said()
    };
    if let Err(error) = work.await {
        panic!("{error:#}");
    }
}

#[tokio::test]
async fn taken_default_ports_are_replaced_by_others() {
    // Whichever of these is free is taken now; one that isn't is taken by somebody else.
    let taken =
        [8080, 8081, 7101, 7401].map(|port| (port, TcpListener::bind(("127.0.0.1", port)).ok()));
    let mut options = options();
    options.other_ports = false;
    with_system(options, async |system| {
        let run = system.run()?;
        for url in [
            &run.api_url,
            &run.sandbox_url,
            &run.lockstore[0],
            &run.services["identity"],
        ] {
            for (port, _) in &taken {
                ensure!(!url.ends_with(&format!(":{port}")), "{url} is taken");
            }
        }
        let said = std::fs::read_to_string(system.dir().join("up.out"))?;
        ensure!(
            said.contains(&run.api_url),
            "it doesn't say where the API is: {said}"
        );
        ensure!(
            system
                .rest()?
                .get_status(&format!("{}/api/v1/openapi.json", run.api_url))
                .await?
                == 200
        );
        Ok(())
    })
    .await;
}

fn all_pids(system: &System) -> Result<Vec<(String, u32)>> {
    let run = system.run()?;
    let mut pids = vec![("up".to_owned(), run.up_pid)];
    for (name, process) in run.processes {
        pids.push((
            name.clone(),
            process.pid.with_context(|| format!("{name} doesn't run"))?,
        ));
    }
    Ok(pids)
}

fn refuses_a_second(system: &System) -> Result<()> {
    let run = system.run()?;
    match system.cli(&["up", "--ports", "auto"]) {
        Ok(text) => bail!("a second up on the same data ran: {text}"),
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(
                text.contains("in use") && text.contains(&run.up_pid.to_string()),
                "{text}"
            );
        }
    }
    ensure!(
        system.run()?.up_pid == run.up_pid,
        "run.json was changed by the refused one"
    );
    Ok(())
}

/// Two nodes of three are enough, also for a start. Returns a seat that is kept for the house from then on.
async fn sells_without_one_node(system: &mut System, show: Uuid) -> Result<String> {
    fs::remove_dir_all(system.dir().join("lockstore-1"))?;
    system.restart().await?;
    let said = fs::read_to_string(system.dir().join("up.out"))?;
    ensure!(
        said.contains("warning: lockstore-1 is not ready"),
        "it doesn't warn: {said}"
    );
    // It is started again and again, and what it would read is looked at before.
    let certificate = system.dir().join("tls/search.pem");
    fs::remove_file(&certificate)?;
    until("a missing certificate to be made", GONE_LIMIT, async || {
        Ok(if certificate.exists() {
            Look::Found(())
        } else {
            Look::NotYet("there is none".to_owned())
        })
    })
    .await?;
    let rest = system.rest()?;
    let free = rest.free_seats(show).await?;
    let customer = Customer::register(&rest).await?;
    customer.buy(show, &[&free[0]]).await?;
    assert_sold(system, show, 3).await?;
    let mut admin = organiser(system, &rest).await?;
    system.cli(&["user", "grant", &admin.email, "admin"])?;
    admin.sign_in(&rest).await?;
    let house = free.last().context("all is sold")?;
    let block = json!({"seat_ids": [house]});
    let path = format!("/shows/{show}/block");
    admin.post(&path, "b", &block).await?.ok()?;
    // What couldn't be compared is said, and isn't clean.
    let (code, said) = system.audit(900).await?;
    let missing = &said["not_checked"];
    ensure!(
        code == Some(3)
            && said["findings"] == json!([])
            && missing[0]["invariant"] == "HS-5"
            && missing[1].is_null()
            && said["counts"]["nodes_compared"] == 2,
        "{code:?} {said:#}"
    );
    ensure!(system.stop().await?.success());
    Ok(house.clone())
}

/// A lock store that lost all its data knows of no sale.
fn refuses_to_found_again(system: &System) -> Result<()> {
    for node in 1..=3 {
        fs::remove_dir_all(system.dir().join(format!("lockstore-{node}")))?;
    }
    let Err(error) = system.cli(&["up", "--ports", "auto"]) else {
        bail!("a new lock store was founded on a database with sales");
    };
    let text = format!("{error:#}");
    ensure!(text.contains("the lock store's data is gone"), "{text}");
    Ok(())
}

/// When that is asked for, a new one is loaded with what the database knows.
async fn rebuilds_what_was_lost(system: &mut System, show: Uuid, house: &str) -> Result<()> {
    system.restart_with(&["--rebuild-lock-store"]).await?;
    assert_agreed(system, show, 3).await?;
    let rest = system.rest()?;
    let free = rest.free_seats(show).await?;
    ensure!(
        !free.iter().any(|seat| seat == house),
        "{house} was kept for the house, and is on sale"
    );
    let customer = Customer::register(&rest).await?;
    customer.buy(show, &[&free[0]]).await?;
    assert_agreed(system, show, 4).await?;
    ensure!(system.stop().await?.success());
    let Err(error) = system.cli(&["up", "--ports", "auto", "--rebuild-lock-store"]) else {
        bail!("a lock store that is there was thrown away");
    };
    ensure!(format!("{error:#}").contains("isn't lost"), "{error:#}");
    system.restart().await?;
    ensure!(system.rest()?.free_seats(show).await?.len() == free.len() - 1);
    ensure!(system.stop().await?.success());
    Ok(())
}
