//! An organiser's work over REST alone: venue, plan, event, show; on sale, sold, and told of.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Answer, Customer, Look, Rest, System, plan_of, until, with_system};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{accounts::verify, assert_agreed, options, search::finds};

/// For a page to be another one.
const PAGE_KEPT_MAX: Duration = Duration::from_secs(30);

/// Somebody with the role, signed in.
pub(crate) async fn organiser(system: &System, rest: &Rest) -> Result<Customer> {
    let mut new = Customer::register(rest).await?;
    verify(system, rest, &new.email).await?;
    system.cli(&["user", "grant", &new.email, "organiser"])?;
    new.sign_in(rest).await?;
    Ok(new)
}

/// `PATCH` with the tag of what is changed.
async fn patch(who: &Customer, path: &str, tag: &str, body: &Value) -> Result<Answer> {
    let request = who.request(Method::PATCH, path).header("if-match", tag);
    who.rest.send(request.json(body)).await
}

/// `POST` without a body.
pub(crate) async fn post(who: &Customer, path: &str) -> Result<Answer> {
    who.rest.send(who.request(Method::POST, path)).await
}

fn refused(answer: &Answer, status: u16, code: &str) -> Result<()> {
    let found = (answer.status, answer.code());
    ensure!(found == (status, code), "not {status} {code}: {answer:?}");
    Ok(())
}

async fn text(who: &Customer, path: &str) -> Result<String> {
    let answer = who.request(Method::GET, path).send().await?;
    ensure!(answer.status().is_success(), "{path}: {}", answer.status());
    Ok(answer.text().await?)
}

/// A draft with all it needs: its id, its plan's, its event's path.
async fn draft(ada: &Customer, file: &Value) -> Result<(Uuid, String, String)> {
    let venue = json!({
        "name": "Harbour Hall", "address": "Kai 1", "city": "Hamburg", "country": "DE",
        "latitude": 53.54, "longitude": 9.98, "time_zone": "Europe/Berlin",
    });
    let made = ada.post("/venues", "v", &venue).await?;
    ensure!(made.status == 201, "{made:?}");
    let again = ada.post("/venues", "v", &venue).await?;
    ensure!(
        (again.status, &again.body) == (200, &made.body),
        "{again:?}"
    );
    let plans = format!("/venues/{}/plans", made.text("venue_id")?);
    let mut broken = file.clone();
    broken["zones"][0]["rows"][0]["seats"][1]["category"] = json!("None such");
    let answer = ada.post(&plans, "p0", &broken).await?;
    refused(&answer, 400, "INVALID_REQUEST")?;
    let place = &answer.body["details"]["fields"][0]["field"];
    ensure!(
        place == "/zones/0/rows/0/seats/1/category",
        "the place of the mistake: {answer:?}"
    );
    let plan = ada.post(&plans, "p", file).await?.ok()?;
    let performer = json!({"name": "The Harbour Lights"});
    let performer = ada.post("/performers", "f", &performer).await?.ok()?;
    let event = json!({
        "title": "Concert", "category": "music",
        "performer_ids": [performer.text("performer_id")?],
    });
    let event = ada.post("/events", "e", &event).await?.ok()?;
    let path = format!("/events/{}", event.text("event_id")?);
    let show = json!({
        "plan_id": plan.text("plan_id")?, "starts_at": "2099-07-15T20:00:00+02:00", "currency": "EUR",
        "prices": [{"category": "Any", "amount": 2_500}],
    });
    let show = ada.post(&format!("{path}/shows"), "s", &show).await?.ok()?;
    ensure!(show.body["state"] == "DRAFT", "{show:?}");
    Ok((show.text("show_id")?.parse()?, plan.text("plan_id")?, path))
}

#[tokio::test]
async fn an_organiser_sells_a_show_over_rest_alone() {
    with_system(options(), async |system| {
        let rest = system.rest()?;
        let ada = organiser(system, &rest).await?;
        let bob = organiser(system, &rest).await?;
        let file: Value = serde_json::from_str(&plan_of(2, 3))?;
        let (show, plan, event) = draft(&ada, &file).await?;
        let exported = text(&ada, &format!("/plans/{plan}/file")).await?;
        ensure!(
            serde_json::from_str::<Value>(&exported)? == file,
            "the file came back otherwise"
        );

        // Nobody sees the draft, and another organiser changes nothing of it.
        let path = format!("/shows/{show}");
        refused(&rest.get(&path).await?, 404, "SHOW_NOT_FOUND")?;
        refused(
            &post(&bob, &format!("{path}/publish")).await?,
            404,
            "SHOW_NOT_FOUND",
        )?;
        let own = ada.get(&format!("/me{event}")).await?.ok()?;
        let tag = own.etag.context("an event has a tag")?;
        let title = json!({"title": "Summer Concert"});
        refused(
            &patch(&bob, &event, &tag, &title).await?,
            404,
            "EVENT_NOT_FOUND",
        )?;
        patch(&ada, &event, &tag, &title).await?.ok()?;
        let stale = patch(&ada, &event, &tag, &json!({"title": "Winter"})).await?;
        refused(&stale, 412, "PRECONDITION_FAILED")?;
        let mere = Customer::register(&rest).await?;
        let performer = json!({"name": "Nobody"});
        let answer = mere.post("/performers", "f", &performer).await?;
        refused(&answer, 403, "FORBIDDEN")?;

        for _ in 0..2 {
            let published = post(&ada, &format!("{path}/publish")).await?.ok()?;
            ensure!(published.body["state"] == "ON_SALE", "{published:?}");
        }
        let listed = rest.get(&path).await?.ok()?;
        ensure!(
            listed.body["event"]["title"] == "Summer Concert",
            "{listed:?}"
        );
        let dearer = json!({"prices": [{"category": "Any", "amount": 9_900}]});
        let own = ada.get(&format!("/me{path}")).await?.ok()?;
        let tag = own.etag.context("a show has a tag")?;
        refused(
            &patch(&ada, &path, &tag, &dearer).await?,
            409,
            "INVALID_STATE",
        )?;
        renamed(&rest, &ada, show).await?;
        sells(system, &rest, &ada, &bob, show).await?;
        Ok(())
    })
    .await;
}

/// Venue and performer are called something else: pages say so, and search finds the show by that. Where it is
/// and by which clock it begins stays.
async fn renamed(rest: &Rest, ada: &Customer, show: Uuid) -> Result<()> {
    let mut changed = Vec::new();
    for (list, id, body) in [
        (
            "/venues",
            "venue_id",
            json!({"name": "Elbe Hall", "region": "Hanse"}),
        ),
        (
            "/performers",
            "performer_id",
            json!({"name": "Marmalade Orchestra"}),
        ),
    ] {
        let listed = ada.get(list).await?.ok()?;
        let id = &listed.body["items"][0][id];
        let path = format!("{list}/{}", id.as_str().context("an id")?);
        let own = ada.get(&path).await?.ok()?;
        let tag = own.etag.context("it has a tag")?;
        if list == "/venues" {
            for elsewhere in [
                json!({"time_zone": "Asia/Tokyo"}),
                json!({"city": "Altona"}),
            ] {
                let answer = patch(ada, &path, &tag, &elsewhere).await?;
                refused(&answer, 409, "INVALID_STATE")?;
            }
        }
        changed.push(patch(ada, &path, &tag, &body).await?.ok()?.body);
        let stale = patch(ada, &path, &tag, &json!({"name": "Another"})).await?;
        refused(&stale, 412, "PRECONDITION_FAILED")?;
    }
    finds(rest, "q=marmalade%20elbe&city=hamburg", show).await?;
    // What is kept of a page is a second old at most.
    until("the page says so", PAGE_KEPT_MAX, async || {
        let page = rest.get(&format!("/shows/{show}")).await?.ok()?;
        let named = [&page.body["venue"], &page.body["event"]["performers"][0]];
        Ok(if named == [&changed[0], &changed[1]] {
            Look::Found(())
        } else {
            Look::NotYet(format!("{page:?}"))
        })
    })
    .await
}

/// A seat is kept for the house, two are bought, and the figures say so; the sale pauses and ends.
async fn sells(
    system: &System,
    rest: &Rest,
    ada: &Customer,
    bob: &Customer,
    show: Uuid,
) -> Result<()> {
    let path = format!("/shows/{show}");
    let seats = rest.free_seats(show).await?;
    let house = json!({"seat_ids": [seats[0]]});
    refused(
        &bob.post(&format!("{path}/block"), "b", &house).await?,
        403,
        "FORBIDDEN",
    )?;
    let blocked = ada
        .post(&format!("{path}/block"), "b", &house)
        .await?
        .ok()?;
    ensure!(blocked.body["changed"] == 1, "{blocked:?}");
    let customer = Customer::register(rest).await?;
    let booking = customer.buy(show, &[&seats[1], &seats[2]]).await?;
    let sales = ada.get(&format!("{path}/sales")).await?.ok()?;
    let eur = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let total = json!({
        "available": 3, "held": 0, "sold": 2, "blocked": 1, "revenue": eur(5_000),
        "takings": {"gross": eur(5_000), "fees": eur(0), "refunded": eur(0), "net": eur(5_000)},
    });
    ensure!(sales.body["total"] == total, "{sales:?}");
    refused(&bob.get(&format!("{path}/sales")).await?, 403, "FORBIDDEN")?;
    let table = text(ada, &format!("{path}/sales.csv")).await?;
    ensure!(
        table.contains(&booking) && table.contains(",50.00,EUR,0.00,0.00,50.00\r\n"),
        "{table}"
    );
    let attendees = text(ada, &format!("{path}/attendees.csv")).await?;
    for seat in &seats[1..3] {
        ensure!(
            attendees.contains(&format!(",{seat},")),
            "{seat} isn't in {attendees}"
        );
    }
    let unblocked = ada.post(&format!("{path}/unblock"), "u", &house).await?;
    ensure!(unblocked.ok()?.body["changed"] == 1, "nothing was put back");

    post(ada, &format!("{path}/pause")).await?.ok()?;
    let hold = json!({"show_id": show, "seat_ids": [seats[0]]});
    let late = customer.post("/holds", "h1", &hold).await?;
    refused(&late, 409, "SHOW_NOT_ON_SALE")?;
    post(ada, &format!("{path}/resume")).await?.ok()?;
    customer.post("/holds", "h2", &hold).await?.ok()?;
    assert_agreed(system, show, 2).await?;
    let over = post(ada, &format!("{path}/close")).await?.ok()?;
    ensure!(over.body["state"] == "CLOSED", "{over:?}");
    refused(
        &post(ada, &format!("{path}/publish")).await?,
        409,
        "INVALID_STATE",
    )?;
    Ok(())
}
