//! A show of 100,000 seats is put on sale, though its processes are killed meanwhile.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Result, ensure};
use holdfast_harness::{
    Customer, Look, POLL, SERVICES_KILLED, System, until, until_at, with_system,
};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::{
    assert_agreed, options,
    organiser::{organiser, post},
};

/// Seats of the largest show: rows, and seats in each.
const ROWS: usize = 500;
const SEATS_PER_ROW: usize = 200;
/// For one request about all of them, on a machine that does much else.
const REQUEST_LIMIT: Duration = Duration::from_secs(90);
/// For something to have begun, or to be done at last.
const LIMIT: Duration = Duration::from_secs(240);

/// A plan of them, in as few bytes as the format takes.
fn largest_plan() -> String {
    let mut file = String::from(
        r##"{"name":"Field","size":{"width":4000,"height":9000},"categories":[{"name":"A","color":"#abc"}],"zones":[{"name":"F","position":{"x":0,"y":0},"rows":["##,
    );
    for row in 0..ROWS {
        let comma = if row == 0 { "" } else { "," };
        let _ = write!(
            file,
            r#"{comma}{{"row_number":"{row}","position":{{"x":0,"y":{row}}},"seats":["#
        );
        for seat in 0..SEATS_PER_ROW {
            let comma = if seat == 0 { "" } else { "," };
            let _ = write!(
                file,
                r#"{comma}{{"seat_number":"{seat}","uuid":"{row}-{seat}","position":{{"x":{seat},"y":0}},"category":"A"}}"#
            );
        }
        file.push_str("]}");
    }
    file.push_str("]}]}");
    file
}

/// A draft in it.
async fn draft(ada: &Customer) -> Result<Uuid> {
    let venue = json!({
        "name": "Field", "city": "Berlin", "country": "DE",
        "latitude": 52.5, "longitude": 13.4, "time_zone": "Europe/Berlin",
    });
    let venue = ada.post("/venues", "v", &venue).await?.ok()?;
    let plans = format!("/venues/{}/plans", venue.text("venue_id")?);
    let import = ada
        .request(Method::POST, &plans)
        .header("idempotency-key", "p")
        .header("content-type", "application/json")
        .timeout(REQUEST_LIMIT)
        .body(largest_plan());
    let plan = ada.rest.send(import).await?.ok()?;
    ensure!(plan.body["seat_count"] == ROWS * SEATS_PER_ROW, "{plan:?}");
    let event = json!({"title": "Festival", "category": "music"});
    let event = ada.post("/events", "e", &event).await?.ok()?;
    let show = json!({
        "plan_id": plan.text("plan_id")?, "starts_at": "2099-07-15T20:00:00+02:00", "currency": "EUR",
        "prices": [{"category": "A", "amount": 2_500}],
    });
    let shows = format!("/events/{}/shows", event.text("event_id")?);
    let show = ada.post(&shows, "s", &show).await?.ok()?;
    Ok(show.text("show_id")?.parse()?)
}

/// Publishes, and kills the services once `begun` finds a row; whatever comes of the request.
async fn publish_and_kill(
    system: &System,
    ada: &Customer,
    show: Uuid,
    begun: &'static str,
) -> Result<()> {
    let database = system.database().await?;
    let path = format!("/shows/{show}/publish");
    let publish = ada.request(Method::POST, &path).timeout(REQUEST_LIMIT);
    let kill = async {
        until_at(POLL, "publishing to have begun", LIMIT, async || {
            Ok(match database.texts(begun, show).await?.is_empty() {
                false => Look::Found(()),
                true => Look::NotYet("nothing of it is there".to_owned()),
            })
        })
        .await?;
        system.kill("all")
    };
    let (_, killed) = tokio::join!(publish.send(), kill);
    system.wait_back("all", killed?).await
}

#[tokio::test]
async fn the_largest_show_is_published_by_asking_again_after_every_kill() {
    let options = options().expecting(SERVICES_KILLED);
    with_system(options, async |system| {
        let rest = system.rest()?;
        let ada = organiser(system, &rest).await?;
        let show = draft(&ada).await?;
        for begun in [
            "SELECT state FROM catalog.shows WHERE show_id = $1 AND opening",
            "SELECT state FROM booking.shows WHERE show_id = $1",
        ] {
            publish_and_kill(system, &ada, show, begun).await?;
        }
        let path = format!("/shows/{show}/publish");
        until("the show to be on sale", LIMIT, async || {
            let publish = ada.request(Method::POST, &path).timeout(REQUEST_LIMIT);
            let answer = ada.rest.send(publish).await?;
            Ok(match answer.status {
                200 => Look::Found(()),
                _ => Look::NotYet(format!("{answer:?}")),
            })
        })
        .await?;
        let again = post(&ada, &path).await?.ok()?;
        ensure!(again.body["state"] == "ON_SALE", "{again:?}");
        let free = rest.free_seats(show).await?;
        ensure!(
            free.len() == ROWS * SEATS_PER_ROW,
            "{} are free",
            free.len()
        );
        let last = format!("F-{}-{}", ROWS - 1, SEATS_PER_ROW - 1);
        ensure!(free.last() == Some(&last), "the last is {:?}", free.last());
        let customer = Customer::register(&rest).await?;
        customer.buy(show, &[&last]).await?;
        let sales = ada.get(&format!("/shows/{show}/sales")).await?.ok()?;
        ensure!(
            (
                &sales.body["total"]["sold"],
                &sales.body["total"]["available"]
            ) == (&json!(1), &json!(ROWS * SEATS_PER_ROW - 1)),
            "{sales:?}"
        );
        assert_agreed(system, show, 1).await
    })
    .await;
}
