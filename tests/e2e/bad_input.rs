//! What a client can do wrong gets a clear error with nothing internal in it, and changes nothing.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use holdfast_harness::{Answer, Customer, Look, ShowRules, System, plan_of, until, with_system};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

use crate::{demo_show, import_plan, options};

/// Above what the API reads.
const LARGE: usize = 70 * 1024;

#[tokio::test]
async fn bad_input_gets_a_clear_error_and_changes_nothing() {
    with_system(options(), async |system| {
        let show = demo_show(system)?;
        let free_before = system.rest()?.free_seats(show).await?;
        tokens(system, show).await?;
        sessions(system).await?;
        seats(system, show).await?;
        requests(system, show).await?;
        others(system, show).await?;
        shows_and_time(system).await?;
        let free_after = system.rest()?.free_seats(show).await?;
        ensure!(free_before == free_after, "seats of the demo show changed");
        plans(system).await
    })
    .await;
}

/// Asserts status and code, and the error's shape.
fn refused(what: &str, answer: &Answer, status: u16, code: &str) -> Result<()> {
    ensure!(
        answer.status == status && answer.code() == code,
        "{what}: expected {status} {code}, got {answer:?}"
    );
    is_error(what, answer)
}

/// Asserts the shape of an error, and that nothing internal is in it.
pub(crate) fn is_error(what: &str, answer: &Answer) -> Result<()> {
    let body = answer
        .body
        .as_object()
        .with_context(|| format!("{what}: {answer:?}"))?;
    for field in ["error_code", "message", "details", "request_id"] {
        ensure!(body.contains_key(field), "{what}: no {field} in {answer:?}");
    }
    let text = answer.body.to_string().to_lowercase();
    for internal in [
        "sqlx",
        "postgres",
        "panicked",
        "src/",
        "rocksdb",
        "openraft",
        "tonic",
        "127.0.0.1",
    ] {
        ensure!(!text.contains(internal), "{what}: {internal} in {text}");
    }
    Ok(())
}

fn hold_of(show: Uuid, seats: &[&str]) -> Value {
    json!({ "show_id": show, "seat_ids": seats })
}

async fn tokens(system: &System, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let good = Customer::register(&rest).await?;
    let forged = {
        let mut parts: Vec<&str> = good.token.split('.').collect();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let claims: Value = serde_json::from_slice(&engine.decode(parts[1])?)?;
        let mut claims = claims.as_object().context("claims")?.clone();
        claims.insert("roles".into(), json!(["admin"]));
        let claims = engine.encode(serde_json::to_vec(&claims)?);
        parts[1] = &claims;
        parts.join(".")
    };
    let none_signed = format!(
        "eyJhbGciOiJub25lIn0.{}.",
        good.token.split('.').nth(1).unwrap_or_default()
    );
    let body = hold_of(show, &["X-1"]);
    let answer = rest
        .send(
            rest.request(Method::POST, "/holds")
                .header("idempotency-key", "k")
                .json(&body),
        )
        .await?;
    refused("no token", &answer, 401, "UNAUTHORIZED")?;
    for (what, token) in [
        ("forged token", forged),
        ("unsigned token", none_signed),
        ("no token at all", "abc".into()),
    ] {
        let answer = rest
            .send(rest.request(Method::GET, "/me").bearer_auth(token))
            .await?;
        refused(what, &answer, 401, "UNAUTHORIZED")?;
    }
    let answer = rest
        .send(
            rest.request(Method::POST, "/auth/login")
                .json(&json!({ "email": good.email, "password": "wrong password" })),
        )
        .await?;
    refused("wrong password", &answer, 401, "UNAUTHORIZED")
}

/// A browser's session from its beginning to its end; pages of other sites have no part in it.
async fn sessions(system: &System) -> Result<()> {
    let (rest, own) = (system.rest()?, system.run()?.api_url);
    let account =
        json!({ "email": format!("{}@test.example", Uuid::new_v4()), "password": "correct horse" });
    let register = rest.request(Method::POST, "/auth/register");
    rest.send(register.json(&account)).await?.ok()?;
    let session = |method: Method, path: &str, origin: &str, cookies: &str| {
        let request = rest.request(method, path).header("origin", origin);
        request.header("cookie", cookies)
    };
    let evil = "https://evil.example";
    let sign_in = |origin| session(Method::POST, "/auth/session", origin, "").json(&account);
    refused(
        "a page elsewhere signs in",
        &rest.send(sign_in(evil)).await?,
        403,
        "FORBIDDEN",
    )?;
    let cookies = cookies(sign_in(&own)).await?;
    let me = rest.request(Method::GET, "/me").header("cookie", &cookies);
    let me = rest.send(me).await?.ok()?;
    ensure!(me.body["email"] == account["email"], "{me:?}");

    let refresh = "/auth/session/refresh";
    let elsewhere = session(Method::POST, refresh, evil, &cookies);
    refused(
        "a page elsewhere renews",
        &rest.send(elsewhere).await?,
        403,
        "FORBIDDEN",
    )?;
    let renewed = self::cookies(session(Method::POST, refresh, &own, &cookies)).await?;
    ensure!(renewed != cookies, "the tokens are new ones");
    let end = session(Method::DELETE, "/auth/session", &own, &renewed);
    let ended = rest.send(end).await?;
    ensure!(ended.status == 204, "{ended:?}");
    let again = session(Method::POST, refresh, &own, &renewed);
    refused(
        "a session that was ended",
        &rest.send(again).await?,
        401,
        "UNAUTHORIZED",
    )
}

/// What a browser sends after this answer.
async fn cookies(request: reqwest::RequestBuilder) -> Result<String> {
    let answer = request.send().await?.error_for_status()?;
    let set = answer.headers().get_all("set-cookie").iter();
    let pairs: Vec<&str> = set
        .filter_map(|line| line.to_str().ok()?.split(';').next())
        .collect();
    ensure!(pairs.len() == 2, "{pairs:?}");
    Ok(pairs.join("; "))
}

async fn seats(system: &System, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let customer = Customer::register(&rest).await?;
    let free = rest.free_seats(show).await?;
    let first = free[0].as_str();
    let many: Vec<&str> = free.iter().take(11).map(String::as_str).collect();
    let more_than_any: Vec<String> = (0..65).map(|n| format!("X-{n}")).collect();
    let more_than_any: Vec<&str> = more_than_any.iter().map(String::as_str).collect();
    for (what, seats, status, code) in [
        ("no seats", &[][..], 400, "INVALID_REQUEST"),
        (
            "unknown seat",
            &[first, "NO-SUCH-SEAT"],
            404,
            "SEAT_NOT_FOUND",
        ),
        ("repeated seat", &[first, first], 400, "INVALID_REQUEST"),
        ("more seats than the cap", &many, 409, "SEAT_LIMIT_EXCEEDED"),
        (
            "more seats than a hold may have",
            &more_than_any,
            400,
            "INVALID_REQUEST",
        ),
    ] {
        refused(what, &customer.hold(show, seats).await?, status, code)?;
    }
    refused(
        "unknown show",
        &customer.hold(Uuid::new_v4(), &[first]).await?,
        404,
        "SHOW_NOT_FOUND",
    )
}

async fn requests(system: &System, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let customer = Customer::register(&rest).await?;
    let free = rest.free_seats(show).await?;
    let (first, second) = (free[0].as_str(), free[1].as_str());
    let post = || customer.request(Method::POST, "/holds");

    let answer = rest.send(post().json(&hold_of(show, &[first]))).await?;
    refused(
        "no idempotency key",
        &answer,
        400,
        "IDEMPOTENCY_KEY_REQUIRED",
    )?;
    let answer = rest
        .send(
            post()
                .header("idempotency-key", "k")
                .header("content-type", "application/json")
                .body("{\"show_id\": "),
        )
        .await?;
    refused("malformed JSON", &answer, 400, "INVALID_REQUEST")?;
    let answer = rest
        .send(
            post()
                .header("idempotency-key", "k")
                .json(&json!({ "show_id": show, "seat_ids": [first], "seats": 1 })),
        )
        .await?;
    refused("unknown field", &answer, 400, "INVALID_REQUEST")?;
    let answer = rest
        .send(
            post()
                .header("idempotency-key", "k")
                .json(&hold_of(show, &[&"x".repeat(LARGE)])),
        )
        .await?;
    refused("too large a body", &answer, 413, "PAYLOAD_TOO_LARGE")?;
    refused(
        "unknown route",
        &rest.get("/no-such-route").await?,
        404,
        "NOT_FOUND",
    )?;

    let hold = customer
        .post("/holds", "one", &hold_of(show, &[first]))
        .await?
        .ok()?;
    let again = customer
        .post("/holds", "one", &hold_of(show, &[first]))
        .await?;
    ensure!(
        again.status == 200 && again.body == hold.body,
        "a replay is the same answer: {again:?} after {hold:?}"
    );
    let other = customer
        .post("/holds", "one", &hold_of(show, &[second]))
        .await?;
    refused(
        "the same key with another body",
        &other,
        422,
        "IDEMPOTENCY_KEY_REUSED",
    )?;
    let id = hold.text("hold_id")?;
    let answer = rest
        .send(customer.request(Method::DELETE, &format!("/holds/{id}")))
        .await?;
    ensure!((200..300).contains(&answer.status), "release: {answer:?}");
    Ok(())
}

async fn others(system: &System, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let (owner, stranger) = (
        Customer::register(&rest).await?,
        Customer::register(&rest).await?,
    );
    let free = rest.free_seats(show).await?;
    let hold = owner.hold(show, &[&free[0]]).await?.ok()?.text("hold_id")?;
    let taken = stranger.hold(show, &[&free[0]]).await?;
    refused("a seat that another holds", &taken, 409, "SEAT_LOCKED")?;
    ensure!(
        taken.body["details"]["seats"]
            .to_string()
            .contains(&free[0]),
        "it names the seat: {taken:?}"
    );
    refused(
        "somebody else's hold",
        &stranger.get(&format!("/holds/{hold}")).await?,
        404,
        "HOLD_NOT_FOUND",
    )?;
    refused(
        "booking somebody else's hold",
        &stranger.book(&hold).await?,
        404,
        "HOLD_NOT_FOUND",
    )?;
    let booking = owner.book(&hold).await?.ok()?.text("booking_id")?;
    refused(
        "somebody else's booking",
        &stranger.get(&format!("/bookings/{booking}")).await?,
        404,
        "BOOKING_NOT_FOUND",
    )?;
    let path = format!("/bookings/{booking}/cancel");
    let answer = rest.send(stranger.request(Method::POST, &path)).await?;
    refused(
        "cancelling somebody else's booking",
        &answer,
        404,
        "BOOKING_NOT_FOUND",
    )?;
    refused(
        "tickets before payment",
        &owner.get(&format!("/bookings/{booking}/tickets")).await?,
        409,
        "INVALID_STATE",
    )?;
    rest.send(owner.request(Method::POST, &path)).await?.ok()?;
    let free = || rest.free_seats(show);
    until(
        "the cancelled booking's seat to be free",
        Duration::from_secs(20),
        async || {
            let now = free().await?;
            Ok(if now.len() == 738 {
                Look::Found(())
            } else {
                Look::NotYet(format!("{} free", now.len()))
            })
        },
    )
    .await
}

async fn shows_and_time(system: &System) -> Result<()> {
    let rest = system.rest()?;
    let customer = Customer::register(&rest).await?;
    let mut organiser = system.organiser().await?;
    let draft = organiser.draft_show(1, 2, ShowRules::default()).await?;
    refused(
        "a draft",
        &rest.get(&format!("/shows/{draft}")).await?,
        404,
        "SHOW_NOT_FOUND",
    )?;

    let short = ShowRules {
        hold_ttl: Duration::from_secs(1),
        hold_total_max: Duration::from_secs(1),
        seats_per_customer_max: 2,
    };
    let show = organiser.open_show(1, 2, short).await?;
    let seats = rest.free_seats(show).await?;
    let hold = customer
        .hold(show, &[&seats[0]])
        .await?
        .ok()?
        .text("hold_id")?;
    until("the hold to run out", Duration::from_secs(20), async || {
        let now = rest.free_seats(show).await?;
        Ok(if now.len() == 2 {
            Look::Found(())
        } else {
            Look::NotYet(format!("{now:?}"))
        })
    })
    .await?;
    refused(
        "an expired hold",
        &customer.book(&hold).await?,
        410,
        "HOLD_EXPIRED",
    )?;

    organiser.change_state(show, "PAUSED").await?;
    refused(
        "a paused show",
        &customer.hold(show, &[&seats[0]]).await?,
        409,
        "SHOW_NOT_ON_SALE",
    )
}

/// The CLI names zone, row and seat of each mistake in a plan, and makes no venue for it.
async fn plans(system: &System) -> Result<()> {
    let mut plan: Value = serde_json::from_str(&plan_of(2, 3))?;
    plan["zones"][0]["rows"][1]["seats"][2]["category"] = json!("Nowhere");
    let uuid = plan["zones"][0]["rows"][0]["seats"][0]["uuid"].clone();
    plan["zones"][0]["rows"][0]["seats"][1]["uuid"] = uuid.clone();
    let path = system.dir().join("broken.json");
    std::fs::write(&path, plan.to_string())?;
    let path = path.to_string_lossy().into_owned();
    let error = system
        .cli(&import_plan(&path, "Broken"))
        .err()
        .context("a broken plan was imported")?;
    let text = format!("{error:#}");
    for mistake in [
        format!(
            r#"zones[0] "Hall" row "1" seat "2" uuid: {uuid} is the uuid of zones[0].rows[0].seats[0] too (in zones[0].rows[0].seats[1])"#
        ),
        r#"zones[0] "Hall" row "2" seat "3" category: "Nowhere" is none of the file's categories (in zones[0].rows[1].seats[2])"#.to_owned(),
    ] {
        ensure!(text.contains(&mistake), "expected {mistake}: {text}");
    }
    let sql = "SELECT name FROM catalog.venues WHERE venue_id <> $1";
    let venues = system.database().await?.texts(sql, Uuid::nil()).await?;
    ensure!(
        !venues.is_empty() && !venues.iter().any(|name| name == "Broken"),
        "{venues:?}"
    );
    Ok(())
}
