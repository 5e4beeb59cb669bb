//! An account from its first letter to its end, and an organisation, over REST on a running system.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Answer, Customer, Look, Rest, System, until, with_system};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{demo_show, options};

/// Longest wait for a letter.
const LIMIT: Duration = Duration::from_secs(30);

const ORGANISATION: &str = "Holdfast-Organisation";

#[tokio::test]
async fn accounts_live_and_end_and_organisations_share() {
    with_system(options(), async |system| {
        letters_set_passwords(system).await?;
        what_was_bought_stays(system).await?;
        members_share_and_keys_read(system).await
    })
    .await;
}

/// The newest letter to that address with that subject.
async fn letter(system: &System, to: &str, subject: &str) -> Result<String> {
    let folder = system.dir().join("mail");
    let found = until("a letter", LIMIT, async || {
        let files = fs::read_dir(&folder).map(|files| files.filter_map(Result::ok));
        let Ok(files) = files else {
            return Ok(Look::NotYet("no folder".to_owned()));
        };
        let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
        paths.sort();
        let texts = paths
            .iter()
            .rev()
            .filter_map(|path| fs::read_to_string(path).ok());
        let wanted = |text: &String| {
            text.contains(&format!("To: {to}\r\n"))
                && text.contains(&format!("Subject: {subject}\r\n"))
        };
        let mut wanted = texts.filter(wanted);
        Ok(match wanted.next() {
            Some(text) => Look::Found(text),
            None => Look::NotYet(format!("{} letters", paths.len())),
        })
    });
    found.await
}

/// Shows that the address of an account that was just made is its owner's.
pub(crate) async fn verify(system: &System, rest: &Rest, email: &str) -> Result<()> {
    let asked = letter(system, email, "Please confirm your e-mail address").await?;
    let token = json!({"token": token_in(&asked)?});
    post(rest, "", "/auth/verify", token).await?.ok()?;
    Ok(())
}

fn token_in(letter: &str) -> Result<&str> {
    let (_, rest) = letter.split_once("?token=").context("no link")?;
    Ok(rest.split_whitespace().next().unwrap_or_default())
}

async fn post(rest: &Rest, token: &str, path: &str, body: Value) -> Result<Answer> {
    let request = rest.request(Method::POST, path).json(&body);
    let request = match token {
        "" => request,
        token => request.bearer_auth(token),
    };
    rest.send(request).await
}

async fn login(rest: &Rest, email: &str, password: &str) -> Result<Answer> {
    let body = json!({"email": email, "password": password});
    post(rest, "", "/auth/login", body).await
}

fn text(body: &Value, field: &str) -> Result<String> {
    let text = body[field].as_str();
    Ok(text
        .with_context(|| format!("no {field}: {body}"))?
        .to_owned())
}

async fn letters_set_passwords(system: &System) -> Result<()> {
    let rest = system.rest()?;
    let customer = Customer::register(&rest).await?;
    let email = customer.email.as_str();
    let early = system.cli(&["user", "grant", email, "staff"]);
    ensure!(
        early.is_err(),
        "nobody knows whose address it is: {early:?}"
    );
    verify(system, &rest, email).await?;
    post(&rest, "", "/auth/password/forgot", json!({"email": email}))
        .await?
        .ok()?;
    let asked = letter(system, email, "Your new password").await?;
    let new = json!({"token": token_in(&asked)?, "password": "battery staple"});
    post(&rest, "", "/auth/password/reset", new).await?.ok()?;
    letter(system, email, "Your password was changed").await?;
    let page = format!("{}/mail", system.run()?.api_url);
    ensure!(rest.get_status(&page).await? == 200, "letters have a page");
    let again = login(&rest, email, "battery staple").await?.ok()?;
    let token = text(&again.body, "access_token")?;

    let rotated = system.cli(&["identity", "rotate-keys"])?;
    ensure!(rotated.contains("nobody is signed out"), "{rotated}");
    let ask = |method, path: &str| rest.request(method, path).bearer_auth(&token);
    let me = rest.send(ask(Method::GET, "/me")).await?.ok()?;
    ensure!(me.body["email_verified"] == true, "{me:?}");
    let audit = system.cli(&["user", "audit", email])?;
    ensure!(
        audit.contains("password_reset from 127.0.0.1") && audit.contains("signed_in"),
        "{audit}"
    );
    let export = rest.send(ask(Method::GET, "/me/export")).await?.ok()?;
    ensure!(
        export.body["complete"] == true && export.body["email"] == email,
        "{export:?}"
    );
    system.cli(&["user", "grant", email, "staff"])?;
    let revoked = system.cli(&["user", "revoke", email, "staff"])?;
    ensure!(revoked.contains("is now: customer"), "{revoked}");
    system.cli(&["user", "disable", email])?;
    ensure!(login(&rest, email, "battery staple").await?.status == 401);
    let refused = rest.send(ask(Method::GET, "/me")).await?;
    ensure!(refused.status == 401, "{refused:?}");
    system.cli(&["user", "enable", email])?;
    login(&rest, email, "battery staple").await?.ok()?;

    let hold_of = json!({"show_id": demo_show(system)?, "best_available": {"count": 1}});
    let to_hold = ask(Method::POST, "/holds").header("Idempotency-Key", "hold");
    let hold = rest.send(to_hold.json(&hold_of)).await?.ok()?;
    let password = json!({"password": "battery staple"});
    rest.send(ask(Method::DELETE, "/me").json(&password))
        .await?
        .ok()?;
    // The token counts for some minutes more, and buys nothing.
    let book = ask(Method::POST, "/bookings").header("Idempotency-Key", "book");
    let book = book.json(&json!({"hold_id": hold.body["hold_id"]}));
    let refused = rest.send(book).await?;
    ensure!(
        refused.status == 409 && refused.body["error_code"] == "INVALID_STATE",
        "{refused:?}"
    );
    ensure!(login(&rest, email, "battery staple").await?.status == 401);
    ensure!(
        system.cli(&["user", "audit", email]).is_err(),
        "nobody has the address"
    );
    Ok(())
}

/// Who leaves takes along what they bought, and it counts on.
async fn what_was_bought_stays(system: &System) -> Result<()> {
    let rest = system.rest()?;
    let customer = Customer::register(&rest).await?;
    let show = demo_show(system)?;
    let free = rest.free_seats(show).await?;
    let booking = customer.buy(show, &[&free[0]]).await?;
    let export = customer.get("/me/export").await?.ok()?.body;
    ensure!(
        export["complete"] == true
            && export["bookings"][0]["booking_id"] == booking.as_str()
            && export["bookings"][0]["status"] == "CONFIRMED",
        "{export}"
    );
    let tickets = customer.valid_tickets(&booking).await?;
    ensure!(tickets.len() == 1, "{tickets:?}");
    let password = json!({"password": customer.password});
    rest.send(customer.request(Method::DELETE, "/me").json(&password))
        .await?
        .ok()?;
    ensure!(customer.ask_to_sign_in().await?.status == 401);
    // By a token of before, while it counts.
    ensure!(customer.valid_tickets(&booking).await? == tickets);
    ensure!(!rest.free_seats(show).await?.contains(&free[0]));
    Ok(())
}

async fn members_share_and_keys_read(system: &System) -> Result<()> {
    let rest = system.rest()?;
    let accounts: Value = serde_json::from_slice(&fs::read(system.dir().join("accounts.json"))?)?;
    let demo = &accounts["organiser"];
    let (email, password) = (text(demo, "email")?, text(demo, "password")?);
    let owner = login(&rest, &email, &password).await?.ok()?;
    let token = text(&owner.body, "access_token")?;
    let new = rest
        .request(Method::POST, "/organisations")
        .bearer_auth(&token);
    let new = new
        .header("idempotency-key", "o1")
        .json(&json!({"name": "Ours"}));
    let made = rest.send(new).await?.ok()?;
    let id = text(&made.body, "organisation_id")?;

    let mut other = Customer::register(&rest).await?;
    let invitation = json!({"email": other.email, "role": "manager"});
    let path = format!("/organisations/{id}/invitations");
    post(&rest, &token, &path, invitation).await?.ok()?;
    let letter = letter(system, &other.email, "You are invited").await?;
    let accept = json!({"token": token_in(&letter)?});
    post(&rest, &other.token, "/invitations/accept", accept)
        .await?
        .ok()?;
    // Tokens say so from now on.
    other.sign_in(&rest).await?;
    let venue = json!({
        "name": "Our hall", "city": "Berlin", "country": "DE",
        "latitude": 52.5, "longitude": 13.25, "time_zone": "Europe/Berlin",
    });
    let create = |in_name_of: Option<&str>| {
        let request = rest
            .request(Method::POST, "/venues")
            .bearer_auth(&other.token);
        let request = request.header("idempotency-key", "v1").json(&venue);
        match in_name_of {
            Some(id) => request.header(ORGANISATION, id),
            None => request,
        }
    };
    ensure!(
        rest.send(create(None)).await?.status == 403,
        "a customer in their own name"
    );
    rest.send(create(Some(&id))).await?.ok()?;
    let key = json!({"name": "box office", "scopes": ["catalogue:read"], "organisation_id": id});
    let key = post(&rest, &other.token, "/me/api-keys", key).await?.ok()?;
    let secret = text(&key.body, "secret")?;
    let venues = rest.request(Method::GET, "/venues").bearer_auth(&secret);
    let venues = rest.send(venues).await?.ok()?;
    ensure!(
        venues.body["items"]
            .as_array()
            .is_some_and(|items| items.len() == 1),
        "{venues:?}"
    );
    let me = rest.request(Method::GET, "/me").bearer_auth(&secret);
    ensure!(rest.send(me).await?.status == 403, "a key sees no account");
    let keys = format!("/organisations/{id}/api-keys");
    let of_owner = |method, path: &str| rest.request(method, path).bearer_auth(&token);
    let seen = rest.send(of_owner(Method::GET, &keys)).await?.ok()?;
    let one = &seen.body["items"][0];
    ensure!(one["email"] == other.email.as_str(), "{seen:?}");
    let one = format!("{keys}/{}", text(one, "key_id")?);
    rest.send(of_owner(Method::DELETE, &one)).await?.ok()?;
    let none = rest.send(of_owner(Method::GET, &keys)).await?.ok()?;
    ensure!(none.body["items"] == json!([]), "{none:?}");

    // Whoever owns it can't be asked any more.
    let shown = system.cli(&["organisation", "members", &id])?;
    ensure!(
        shown.contains(&other.email) && shown.contains("manager"),
        "{shown}"
    );
    let made = system.cli(&["organisation", "appoint", &id, &other.email])?;
    ensure!(
        made.contains("owns Ours now, and was its manager"),
        "{made}"
    );
    self::letter(system, &other.email, "You own an organisation").await?;
    let shown = system.cli(&["organisation", "members", &id, "--output", "json"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    ensure!(
        shown["without_owner"] == false && shown["members"][1]["role"] == "owner",
        "{shown}"
    );
    Ok(())
}
