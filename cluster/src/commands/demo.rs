//! `holdfast demo`: a whole purchase over REST, as a customer's program would make it, each step
//! printed. It knows nothing but the API's address and the demo show's id.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    data_dir::DataDir,
    error::Error,
    run_file::{RunFile, RunState},
    supervisor::say,
};

/// How long the session at the provider, and the confirmation, may take.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at the booking.
const POLL: Duration = Duration::from_millis(200);
/// How often other seats are tried when somebody else was faster.
const HOLDS_MAX: usize = 5;

/// Seats that somebody else got first, of an error's `error_code`.
const TAKEN: [&str; 2] = ["SEAT_LOCKED", "SEAT_NOT_AVAILABLE"];
/// States of a booking that was not and will not be paid for.
const ENDED: [&str; 3] = ["FAILED", "EXPIRED", "CANCELLED"];

/// Buys two seats of the demo show, neighbours if there are any; the last one where one is left.
///
/// # Errors
/// Any step's refusal, as the API words it; nothing running.
pub(crate) async fn demo(dir: DataDir) -> Result<(), Error> {
    let run = RunFile::read(&dir)?;
    let show = run.demo_show_id.clone().ok_or_else(|| Error::Unreachable {
        what: "the demo show".into(),
        why: match run.state {
            RunState::Starting => "`holdfast up` is still starting".into(),
            RunState::Ready => "`holdfast up` could not make one, and said why".into(),
        },
    })?;
    let client = Client::builder()
        .no_proxy()
        .timeout(WAIT_LIMIT)
        .build()
        .context("can't make an HTTP client")?;
    let mut api = Api {
        client,
        base: format!("{}/api/v1", run.api_url),
        token: None,
    };

    let email = format!("demo-{}@holdfast.example", Uuid::new_v4().simple());
    let password = Uuid::new_v4().simple().to_string();
    let account = json!({ "email": email, "password": password });
    api.send(Method::POST, "/auth/register", Some(&account), None)
        .await?;
    say(&format!("registered {email}"));
    let tokens = api
        .send(Method::POST, "/auth/login", Some(&account), None)
        .await?;
    api.token = Some(text(&tokens, "access_token")?);
    say("signed in");

    let page = api
        .send(Method::GET, &format!("/shows/{show}"), None, None)
        .await?;
    say(&format!(
        "show: {}, {}",
        page["event"]["title"].as_str().unwrap_or("?"),
        page["starts_at"].as_str().unwrap_or("?")
    ));
    let hold = api.hold_two(&show).await?;
    let key = Uuid::new_v4().to_string();
    let body = json!({ "hold_id": text(&hold, "hold_id")? });
    let booking = api
        .send(Method::POST, "/bookings", Some(&body), Some(&key))
        .await?;
    let path = format!("/bookings/{}", text(&booking, "booking_id")?);
    say(&format!(
        "booked: {} is {}",
        path.trim_start_matches("/bookings/"),
        text(&booking, "status")?
    ));

    let booking = api
        .wait(&path, "payable", |b| {
            b["payment_url"].as_str().is_some_and(|url| !url.is_empty())
        })
        .await?;
    let page = text(&booking, "payment_url")?;
    say(&format!("payment page: {page}"));
    let paid = api
        .client
        .post(&page)
        .form(&[("action", "pay")])
        .send()
        .await
        .context("the payment page doesn't answer")?;
    if !(paid.status().is_success() || paid.status().is_redirection()) {
        return Err(Error::Refused(format!(
            "the payment page answered {}",
            paid.status()
        )));
    }
    say("paid");
    let paid_at = Instant::now();
    api.wait(&path, "confirmed", |b| b["status"] == "CONFIRMED")
        .await?;
    say(&format!(
        "confirmed {:.1} s after the payment",
        paid_at.elapsed().as_secs_f32()
    ));
    let tickets = api
        .send(Method::GET, &format!("{path}/tickets"), None, None)
        .await?;
    for ticket in tickets["items"]
        .as_array()
        .context("the API gave no tickets")?
    {
        say(&format!(
            "ticket {}: seat {}, {}",
            text(ticket, "ticket_id")?,
            text(ticket, "seat_id")?,
            text(ticket, "state")?
        ));
        say(&format!("  QR: {}", text(ticket, "qr_payload")?));
    }
    Ok(())
}

struct Api {
    client: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Value, Error> {
        let (status, answer) = self.try_send(method.clone(), path, body, key).await?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(Error::Refused(format!(
            "{method} {path} was answered {status}: {answer}"
        )))
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(StatusCode, Value), Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |e: reqwest::Error| Error::Unreachable {
            what: self.base.clone(),
            why: e.to_string(),
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(unreachable)?;
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }

    /// Holds two neighbours, or others when somebody takes them in this moment.
    async fn hold_two(&self, show: &str) -> Result<Value, Error> {
        for _ in 0..HOLDS_MAX {
            let map = self
                .send(Method::GET, &format!("/shows/{show}/seatmap"), None, None)
                .await?;
            let availability = self
                .send(
                    Method::GET,
                    &format!("/shows/{show}/availability"),
                    None,
                    None,
                )
                .await?;
            let seats = two_free(&map, &availability)
                .ok_or_else(|| Error::Refused(none_free(&availability)))?;
            say(&format!("free seats: {}", seats.join(", ")));
            let body = json!({ "show_id": show, "seat_ids": seats });
            let key = Uuid::new_v4().to_string();
            match self
                .try_send(Method::POST, "/holds", Some(&body), Some(&key))
                .await?
            {
                (status, hold) if status.is_success() => {
                    say(&format!(
                        "held for {} s, {} {} in minor units",
                        hold["expires_in_s"],
                        hold["total"]["amount"],
                        hold["total"]["currency"].as_str().unwrap_or("")
                    ));
                    return Ok(hold);
                }
                (_, answer) if TAKEN.iter().any(|code| answer["error_code"] == *code) => {}
                (status, answer) => {
                    return Err(Error::Refused(format!(
                        "POST /holds was answered {status}: {answer}"
                    )));
                }
            }
        }
        Err(Error::Refused(format!(
            "others took the chosen seats first, {HOLDS_MAX} times"
        )))
    }

    async fn wait(
        &self,
        path: &str,
        what: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Result<Value, Error> {
        let end = Instant::now() + WAIT_LIMIT;
        loop {
            let booking = self.send(Method::GET, path, None, None).await?;
            if good(&booking) {
                return Ok(booking);
            }
            if ENDED.iter().any(|state| booking["status"] == *state) {
                let text = format!("the booking ended before it was {what}: {booking}");
                return Err(Error::Refused(text));
            }
            if Instant::now() >= end {
                return Err(anyhow!(
                    "the booking is not {what} after {} s: {booking}",
                    WAIT_LIMIT.as_secs()
                )
                .into());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Two free seats next to each other in a row, else any two, else the last one.
fn two_free(map: &Value, availability: &Value) -> Option<Vec<String>> {
    let free: std::collections::BTreeSet<&str> = availability["seats"]
        .as_array()?
        .iter()
        .filter(|seat| seat["state"] == "AVAILABLE")
        .filter_map(|seat| seat["seat_id"].as_str())
        .collect();
    let place = |seat: &Value| (seat["section"].clone(), seat["row"].clone());
    let seats = map["seats"].as_array()?;
    let name = |seat: &Value| {
        seat["seat_id"]
            .as_str()
            .filter(|id| free.contains(id))
            .map(str::to_owned)
    };
    let neighbours = seats.windows(2).find_map(|pair| {
        (place(&pair[0]) == place(&pair[1])).then_some(())?;
        Some(vec![name(&pair[0])?, name(&pair[1])?])
    });
    let any = || {
        free.iter()
            .take(2)
            .map(|id| (*id).to_owned())
            .collect::<Vec<_>>()
    };
    neighbours
        .or_else(|| Some(any()))
        .filter(|seats| !seats.is_empty())
}

/// Why nothing can be bought, where no seat is free: held seats may come back.
fn none_free(availability: &Value) -> String {
    let seats = availability["seats"].as_array();
    let held = seats.map_or(0, |seats| {
        seats.iter().filter(|seat| seat["state"] == "HELD").count()
    });
    match held {
        0 => "the demo show is sold out; the next `holdfast up` makes a fresh one".into(),
        held => format!("no seat is free now; {held} are held and may be free in some minutes"),
    }
}

fn text(value: &Value, field: &str) -> Result<String, Error> {
    let found = value[field].as_str().map(str::to_owned);
    found.ok_or_else(|| anyhow!("the API's answer has no {field}: {value}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_come_first_then_any_two_then_the_last_one() {
        let seat = |id: &str, row: &str| json!({ "seat_id": id, "section": "S", "row": row });
        let map = json!({ "seats": [seat("A-1", "A"), seat("A-2", "A"), seat("B-1", "B"), seat("B-2", "B")] });
        let with = |free: &[&str]| {
            let seats: Vec<Value> = free
                .iter()
                .map(|id| json!({ "seat_id": id, "state": "AVAILABLE" }))
                .collect();
            two_free(&map, &json!({ "seats": seats }))
        };
        assert_eq!(
            with(&["A-2", "B-1", "B-2"]),
            Some(vec!["B-1".into(), "B-2".into()])
        );
        assert_eq!(
            with(&["A-2", "B-1"]),
            Some(vec!["A-2".into(), "B-1".into()])
        );
        assert_eq!(with(&["B-2"]), Some(vec!["B-2".into()]));
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn sold_out_is_told_from_held() {
        let of = |states: &[&str]| {
            let seats: Vec<Value> = states.iter().map(|s| json!({ "state": s })).collect();
            none_free(&json!({ "seats": seats }))
        };
        assert!(of(&["SOLD", "SOLD"]).contains("sold out"));
        let text = of(&["SOLD", "HELD"]);
        assert!(
            text.contains("1 are held") && !text.contains("sold out"),
            "{text}"
        );
    }
}
