//! Catalogues of others and made-up ones, through the CLI, seen by customers.

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Customer, System, with_system};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::options;

/// A real event: Radiohead, with a price range.
const EVENT: &str = include_str!("../../data/discovery/event.json");

#[tokio::test]
async fn catalogues_are_imported_through_the_cli_and_can_be_bought_from() {
    with_system(options(), async |system| {
        built_in_events_are_listed(system).await?;
        import(system).await?;
        broken_files_leave_nothing_behind(system).await?;
        made_up(system).await
    })
    .await;
}

async fn shows(system: &System, query: &str) -> Result<Vec<Value>> {
    let answer = system
        .rest()?
        .get(&format!("/shows?limit=100&{query}"))
        .await?
        .ok()?;
    Ok(answer.body["items"].as_array().context("no items")?.clone())
}

fn title(show: &Value) -> &str {
    show["event"]["title"].as_str().unwrap_or_default()
}

async fn built_in_events_are_listed(system: &System) -> Result<()> {
    let music = shows(system, "category=music&city=new%20york").await?;
    ensure!(
        music.len() == 1 && title(&music[0]) == "Radiohead",
        "{music:?}"
    );
    let show = &music[0];
    ensure!(
        show["state"] == "ON_SALE" && show["seat_count"] == 1000,
        "{show}"
    );
    let starts_at = show["starts_at"].as_str().context("no time")?;
    ensure!(starts_at.contains("T19:30:00-0"), "{starts_at}");
    ensure!(
        show["price_range"]["min"] == json!({ "amount": 8000, "currency": "USD" }),
        "{show}"
    );
    ensure!(
        show["event"]["performers"][0]["name"] == "Radiohead",
        "{show}"
    );
    ensure!(show["event"]["classification"]["genre"] == "Rock", "{show}");
    ensure!(show["venue"]["region"] == "New York", "{show}");
    let golf = shows(system, "category=sports").await?;
    ensure!(golf.len() == 1 && golf[0]["state"] == "DRAFT", "{golf:?}");
    ensure!(
        golf[0]["time_to_be_announced"] == true && golf[0]["price_range"].is_null(),
        "{golf:?}"
    );

    let customer = Customer::register(&system.rest()?).await?;
    let id: Uuid = golf[0]["show_id"].as_str().context("no id")?.parse()?;
    let too_early = customer.hold(id, &["GROUND-1-A-1"]).await?;
    ensure!(too_early.code() == "SHOW_NOT_ON_SALE", "{too_early:?}");
    let rest = system.rest()?;
    let seats = rest.get(&format!("/shows/{id}/availability")).await?;
    ensure!(seats.code() == "SHOW_NOT_ON_SALE", "{seats:?}");
    let made_up = Uuid::new_v4();
    let seats = rest.get(&format!("/shows/{made_up}/availability")).await?;
    ensure!(seats.code() == "SHOW_NOT_FOUND", "{seats:?}");
    let id = show["show_id"].as_str().context("no id")?.parse()?;
    customer
        .hold(id, &["GROUND-1-A-1", "GROUND-1-A-2"])
        .await?
        .ok()?;
    Ok(())
}

async fn import(system: &System) -> Result<()> {
    let mut events: Vec<Value> = Vec::new();
    for (id, bend) in [
        ("one", None),
        ("two", Some(("/priceRanges", Value::Null))),
        ("three", Some(("/dates/start/timeTBA", json!(true)))),
        ("test", Some(("/_embedded/venues/0/test", json!(true)))),
    ] {
        let mut event: Value = serde_json::from_str(EVENT)?;
        event["id"] = json!(id);
        event["name"] = json!(format!("Event {id}"));
        if let Some((pointer, value)) = bend {
            *event.pointer_mut(pointer).context("no such place")? = value;
        }
        events.push(event);
    }
    let path = system.dir().join("page.json");
    std::fs::write(
        &path,
        json!({ "_embedded": { "events": events } }).to_string(),
    )?;
    let path = path.to_string_lossy().into_owned();
    let import = [
        "import",
        "discovery",
        &path,
        "--shift-years",
        "auto",
        "--hall-seats",
        "200",
    ];
    let first = system.cli(&import)?;
    for line in [
        "read 3 events in 1 files",
        "shows:      created 3, updated 0, unchanged 0",
        "venues:     created 0, updated 0, unchanged 1",
        "on sale:    1 (1 put there now)",
        "DRAFT:      1 without a price range",
        "DRAFT:      1 with the time to be announced",
        "skipped:    1 made for testing",
    ] {
        ensure!(first.contains(line), "no {line:?} in {first}");
    }
    let again = system.cli(&import)?;
    for line in [
        "events:     created 0, updated 0, unchanged 3",
        "shows:      created 0, updated 0, unchanged 3",
        "on sale:    1 (0 put there now)",
    ] {
        ensure!(again.contains(line), "no {line:?} in {again}");
    }
    called_off_since(system, events.swap_remove(0))?;
    let listed = shows(system, "city=New%20York").await?;
    ensure!(listed.len() == 4, "{listed:?}");
    ensure!(
        !listed.iter().any(|show| title(show) == "Event test"),
        "{listed:?}"
    );
    Ok(())
}

/// An event that is on sale here and that its source has cancelled, beside one that can't be read.
fn called_off_since(system: &System, mut event: Value) -> Result<()> {
    let mut bad = event.clone();
    bad["name"] = json!(7);
    event["dates"]["status"]["code"] = json!("cancelled");
    event["priceRanges"] = Value::Null;
    let path = system.dir().join("cancelled.json");
    std::fs::write(&path, format!("{event}\n{bad}"))?;
    let told = system.cli(&[
        "import",
        "discovery",
        &path.to_string_lossy(),
        "--shift-years",
        "auto",
        "--hall-seats",
        "200",
        "--skip-bad",
    ])?;
    for line in [
        "kept as they are 1 (on sale by now, or about to be)",
        "STILL ON SALE: 1 that the file calls \"cancelled\"; pause or cancel them",
        "skipped:    1 with mistakes",
        "cancelled.json:2: name (event \"one\"): invalid type",
    ] {
        ensure!(told.contains(line), "no {line:?} in {told}");
    }
    Ok(())
}

async fn broken_files_leave_nothing_behind(system: &System) -> Result<()> {
    let before = shows(system, "city=New%20York").await?;
    let mut bad: Value = serde_json::from_str(EVENT)?;
    bad["id"] = json!("four");
    let good = bad.clone();
    bad["dates"]["timezone"] = json!("Mars/Olympus");
    for (name, text, told) in [
        (
            "zone.json",
            format!("{good}\n{bad}"),
            "zone.json:2: dates.timezone (event \"four\")",
        ),
        ("cut.json", EVENT[..3_000].to_owned(), "ends in the middle"),
        (
            "venue.json",
            "{\"type\":\"venue\"}".to_owned(),
            "venue.json:1:",
        ),
    ] {
        let path = system.dir().join(name);
        std::fs::write(&path, text)?;
        let refused = system.cli(&["import", "discovery", &path.to_string_lossy()]);
        let refused = format!("{:#}", refused.err().context("it was taken")?);
        ensure!(refused.contains(told), "no {told:?} in {refused}");
    }
    let none = system.cli(&["import", "discovery", "no-such.json"]).err();
    ensure!(none.is_some_and(|error| format!("{error:#}").contains("no-such.json")));
    ensure!(shows(system, "city=New%20York").await? == before);
    Ok(())
}

async fn made_up(system: &System) -> Result<()> {
    let make = [
        "demo",
        "catalogue",
        "--shows",
        "1000",
        "--seed",
        "5",
        "--on-sale",
        "2",
    ];
    let first = system.cli(&make)?;
    ensure!(
        first.contains("shows:      created 1000, updated 0, unchanged 0"),
        "{first}"
    );
    ensure!(first.contains("on sale:    2 (2 put there now)"), "{first}");
    let again = system.cli(&make)?;
    ensure!(
        again.contains("shows:      created 0, updated 0, unchanged 1000"),
        "{again}"
    );
    ensure!(
        again.contains("venues:     created 0, updated 0, unchanged"),
        "{again}"
    );
    ensure!(again.contains("on sale:    2 (0 put there now)"), "{again}");
    let films = shows(system, "category=film").await?;
    ensure!(films.len() > 10, "{films:?}");
    Ok(())
}
