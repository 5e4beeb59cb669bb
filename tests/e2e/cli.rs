//! The commands against a running system.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Customer, System, plan_of, with_system};
use serde_json::Value;
use uuid::Uuid;

use crate::{accounts::verify, assert_agreed, demo_show, import_plan, metric_names, options};

#[tokio::test]
async fn commands_do_what_they_say_against_a_running_system() {
    with_system(options(), async |system| {
        buys_as_printed(system)?;
        system.leader().await?;
        let status: Value =
            serde_json::from_str(&system.cli(&["cluster", "status", "-o", "json"])?)?;
        let nodes = status["nodes"].as_array().context("no nodes")?;
        ensure!(
            nodes.len() == 3 && nodes.iter().filter(|n| n["role"] == "LEADER").count() == 1,
            "{status}"
        );
        ensure!(system.cli(&["cluster", "status"])?.contains("leads"));

        let demo = system.cli(&["demo"])?;
        ensure!(
            demo.contains("confirmed") && demo.matches("VALID").count() == 2,
            "{demo}"
        );
        assert_agreed(system, demo_show(system)?, 3).await?;
        metric_names::are_documented(system).await?;

        let path = system.dir().join("plan.json");
        std::fs::write(&path, plan_of(2, 3))?;
        let path = path.to_string_lossy().into_owned();
        let hall = import_plan(&path, "Small hall");
        let first = system.cli(&hall)?;
        ensure!(first.contains("6 seats"), "{first}");
        ensure!(
            system.cli(&hall)? == first,
            "the same file again is the same plan"
        );
        let elsewhere = hall.map(|word| if word == "13.25" { "13.26" } else { word });
        let error = system.cli(&elsewhere).err();
        let error = error.context("a venue was moved")?.to_string();
        let (_, id) = error.split_once("--venue ").context("says what to do")?;
        let id = id.split_whitespace().next().context("names the venue")?;
        let again = system.cli(&["import", "plan", &path, "--venue", id])?;
        ensure!(again.contains("6 seats") && again.contains(id), "{again}");

        let rest = system.rest()?;
        let customer = Customer::register(&rest).await?;
        verify(system, &rest, &customer.email).await?;
        let granted = system.cli(&["user", "grant", &customer.email, "staff"])?;
        ensure!(granted.contains("staff"), "{granted}");
        ensure!(
            system
                .cli(&["user", "grant", "nobody@test.example", "staff"])
                .is_err()
        );
        let elsewhere = tempfile::tempdir()?;
        let output = system
            .command()
            .args(["cluster", "status", "--data-dir"])
            .arg(elsewhere.path())
            .output()?;
        ensure!(
            output.status.code() == Some(3),
            "nothing runs there: {output:?}"
        );
        operated(system)?;
        parked_events(system).await
    })
    .await;
}

/// The lines that `up` prints buy a ticket, as they stand.
fn buys_as_printed(system: &System) -> Result<()> {
    let said = std::fs::read_to_string(system.dir().join("up.out"))?;
    let (_, lines) = said
        .split_once("Buy a first ticket:")
        .with_context(|| format!("no lines to buy with: {said}"))?;
    let output = Command::new("bash").args(["-c", lines]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains(r#""state":"VALID""#), "{output:?}");
    Ok(())
}

/// Expiry is paused and resumed, and the record says who did it and why.
fn operated(system: &System) -> Result<()> {
    let expiry =
        |to, reason| system.cli(&["cluster", "expiry", to, "--reason", reason, "--by", "ada"]);
    ensure!(expiry("pause", "a drill")?.contains("paused"));
    ensure!(
        system
            .cli(&["cluster", "status"])?
            .contains("expiry is paused")
    );
    ensure!(expiry("pause", "again")?.contains("as before"));
    ensure!(expiry("resume", "it is over")?.contains("expiry runs"));
    ensure!(
        !system
            .cli(&["cluster", "status"])?
            .contains("expiry is paused")
    );
    system.cli(&["cluster", "note", "moved node 3", "--by", "grace"])?;
    let acts: Value = serde_json::from_str(&system.cli(&["cluster", "acts", "-o", "json"])?)?;
    let said = |n: usize| (&acts[n]["operator"], &acts[n]["act"], &acts[n]["text"]);
    let expected = [
        ("grace", "note", "moved node 3"),
        ("ada", "resume expiry", "it is over"),
        ("ada", "pause expiry", "a drill"),
    ];
    for (n, (operator, act, text)) in expected.into_iter().enumerate() {
        ensure!(
            said(n) == (&operator.into(), &act.into(), &text.into()),
            "{acts}"
        );
    }
    ensure!(acts.as_array().context("a list")?.len() == 3, "{acts}");
    // A bad field is named, and nothing is recorded.
    let refused = system.cli(&["cluster", "note", "two\nlines"]);
    ensure!(format!("{:#}", refused.expect_err("refused")).contains("text"));
    Ok(())
}

/// A key that a consumer gave up on is listed, and goes on when it is replayed.
async fn parked_events(system: &System) -> Result<()> {
    let key = Uuid::new_v4();
    let sql = "INSERT INTO eventlog.troubled_keys (consumer, key, state, tries, failures, error, next_try_at)
        SELECT min(name), $1::uuid::text, 'PARKED', 9, 9, 'made by a test', now() FROM eventlog.consumers";
    ensure!(system.database().await?.change(sql, key).await? == 1);
    let key = key.to_string();
    let parked: Value = serde_json::from_str(&system.cli(&["events", "parked", "-o", "json"])?)?;
    ensure!(
        parked[0]["key"] == *key && parked[0]["error"] == "made by a test",
        "{parked}"
    );
    ensure!(system.cli(&["events", "parked"])?.contains(&key));
    let consumer = parked[0]["consumer"].as_str().context("no consumer")?;
    inspected_events(system, consumer, &key).await?;
    let replay = ["events", "replay", consumer, &key];
    ensure!(system.cli(&replay)?.contains("goes on"));
    ensure!(system.cli(&["events", "parked"])?.contains("nothing"));
    let again = system.cli(&replay).err().context("replayed twice")?;
    ensure!(
        format!("{again:#}").contains("has parked no key"),
        "{again:#}"
    );
    Ok(())
}

/// What waits behind a parked key is shown with what it says.
async fn inspected_events(system: &System, consumer: &str, key: &str) -> Result<()> {
    // Any event of the purchases before.
    let wait = "WITH old AS (
            SELECT seq, key FROM eventlog.events WHERE event_type = 'BookingCreated' ORDER BY seq LIMIT 1)
        INSERT INTO eventlog.set_aside (consumer, seq, key)
        SELECT t.consumer, old.seq, t.key FROM old, eventlog.troubled_keys t WHERE t.key = $1::uuid::text";
    let database = system.database().await?;
    let waits = database.change(wait, key.parse()?).await?;
    let inspect = ["events", "inspect", consumer, key];
    let json = [&inspect[..], &["-o", "json"]].concat();
    let said: Value = serde_json::from_str(&system.cli(&json)?)?;
    ensure!(
        said["state"] == "PARKED" && said["error"] == "made by a test" && said["waiting"] == waits,
        "{said:#}"
    );
    if waits > 0 {
        let event = &said["events"][0];
        let booking = event["payload"]["booking_id"].as_str();
        ensure!(
            event["event_type"] == "BookingCreated" && booking == event["key"].as_str(),
            "{said:#}"
        );
    }
    let text = system.cli(&inspect)?;
    ensure!(text.contains("made by a test"), "{text}");
    let undo = "DELETE FROM eventlog.set_aside WHERE key = $1::uuid::text";
    ensure!(database.change(undo, key.parse()?).await? == waits);
    let other = ["events", "inspect", consumer, "of-no-trouble"];
    let other = system.cli(&other).err().context("shown")?;
    ensure!(format!("{other:#}").contains("no trouble"), "{other:#}");
    Ok(())
}

#[test]
fn a_setting_that_can_not_be_used_is_refused_by_its_key_before_anything_is_bound() {
    for (role, variable, key) in [
        (
            "identity",
            "HOLDFAST__IDENTITY__DATABASE_CONNECTIONS_MAX",
            "identity.database_connections_max",
        ),
        (
            "catalog",
            "HOLDFAST__CATALOG__DATABASE_CONNECTIONS_MAX",
            "catalog.database_connections_max",
        ),
        (
            "payment",
            "HOLDFAST__PAYMENT__DATABASE_CONNECTIONS_MAX",
            "payment.database_connections_max",
        ),
        (
            "booking",
            "HOLDFAST__BOOKING__SWEEP_PERIOD_MS",
            "booking.sweep_period_ms",
        ),
        (
            "lockstore",
            "HOLDFAST__LOCKSTORE__LINEAGE",
            "lockstore.lineage",
        ),
        (
            "gateway",
            "HOLDFAST__GATEWAY__REQUEST_TIMEOUT_MS",
            "gateway.request_timeout_ms",
        ),
    ] {
        let with_database = ["IDENTITY", "CATALOG", "PAYMENT"]
            .map(|section| format!("HOLDFAST__{section}__DATABASE_URL"));
        let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["serve", role])
            .envs(with_database.map(|key| (key, "postgres://a@127.0.0.1/b")))
            .env("HOLDFAST__PAYMENT__SANDBOX_API_KEY", "k")
            .env("HOLDFAST__PAYMENT__WEBHOOK_SECRET", "s")
            .env(variable, "0")
            .output()
            .expect("the program runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{role}: {text}");
        assert!(text.contains(&format!("configuration: {key}: ")), "{text}");
    }
}
