//! A customer's program: the REST API and the sandbox's payment page, nothing else.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Look, until_at};

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks: what a patient client would do, where nothing else is asked for.
const PACE: Duration = Duration::from_millis(250);
/// How long a step may take in all when it is retried: a killed process is back before.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// A defect, also while something is down: that is 503.
const INTERNAL_ERROR: u16 = 500;

/// The API of one system.
#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: String,
    pace: Duration,
    /// Sent with every request (W3C).
    traceparent: Option<String>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON, or null where the body is none.
    pub body: Value,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
}

impl Answer {
    /// `error_code` of an error.
    pub fn code(&self) -> &str {
        self.body["error_code"].as_str().unwrap_or("")
    }

    /// A text field of the body.
    ///
    /// # Errors
    /// It isn't there.
    pub fn text(&self, field: &str) -> Result<String> {
        self.body[field]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no {field} in {self:?}"))
    }

    /// Itself, if it is a success.
    ///
    /// # Errors
    /// Another status.
    pub fn ok(self) -> Result<Self> {
        ensure!((200..300).contains(&self.status), "not a success: {self:?}");
        Ok(self)
    }
}

impl Rest {
    /// For `http://host:port`.
    ///
    /// # Errors
    /// No HTTP client.
    pub fn new(base: &str) -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .timeout(REQUEST_LIMIT)
            .build()?;
        Ok(Self {
            client,
            base: base.to_owned(),
            pace: PACE,
            traceparent: None,
        })
    }

    /// Its customers look that often for what they wait for.
    #[must_use]
    pub fn polling_every(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Its requests are a part of the trace that `traceparent` names.
    #[must_use]
    pub fn in_trace(mut self, traceparent: &str) -> Self {
        self.traceparent = Some(traceparent.to_owned());
        self
    }

    /// A request to `path` below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.base);
        let request = self.client.request(method, url);
        match &self.traceparent {
            Some(parent) => request.header("traceparent", parent),
            None => request,
        }
    }

    /// A `POST` to a payment page.
    pub fn page(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    /// Sends it.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let header = |name| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let (retry_after, etag) = (header("retry-after"), header("etag"));
        let body = serde_json::from_slice(&answer.bytes().await?).unwrap_or(Value::Null);
        Ok(Answer {
            status,
            body,
            retry_after,
            etag,
        })
    }

    /// `GET` without a token.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// `GET` without a token; the status and the length of the body, which isn't looked at.
    ///
    /// # Errors
    /// No whole HTTP answer.
    pub async fn get_bytes(&self, path: &str) -> Result<(u16, usize)> {
        let answer = self.request(Method::GET, path).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.bytes().await?.len()))
    }

    /// The status that a whole URL is answered with.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn get_status(&self, url: &str) -> Result<u16> {
        Ok(self.client.get(url).send().await?.status().as_u16())
    }

    /// Labels of the seats of a show that are free now.
    ///
    /// # Errors
    /// No availability.
    pub async fn free_seats(&self, show: Uuid) -> Result<Vec<String>> {
        let answer = self
            .get(&format!("/shows/{show}/availability"))
            .await?
            .ok()?;
        let seats = answer.body["seats"].as_array().context("no seats")?;
        let free = seats.iter().filter(|seat| seat["state"] == "AVAILABLE");
        free.map(|seat| {
            seat["seat_id"]
                .as_str()
                .map(str::to_owned)
                .context("a seat without id")
        })
        .collect()
    }
}

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The API.
    pub rest: Rest,
    /// The access token.
    pub token: String,
    /// The address it was registered with.
    pub email: String,
    /// The account's.
    pub password: String,
}

impl Customer {
    /// Registers somebody new, and signs in.
    ///
    /// # Errors
    /// A refusal.
    pub async fn register(rest: &Rest) -> Result<Self> {
        let id = Uuid::new_v4().simple().to_string();
        let mut new = Self {
            rest: rest.clone(),
            token: String::new(),
            email: format!("{id}@test.example"),
            password: id,
        };
        let account = json!({ "email": new.email, "password": new.password });
        rest.send(rest.request(Method::POST, "/auth/register").json(&account))
            .await?
            .ok()?;
        new.sign_in(rest).await?;
        Ok(new)
    }

    /// Signs in again, perhaps at the API of a system that was started again.
    ///
    /// # Errors
    /// A refusal.
    pub async fn sign_in(&mut self, rest: &Rest) -> Result<()> {
        self.rest = rest.clone();
        self.token = self.ask_to_sign_in().await?.ok()?.text("access_token")?;
        Ok(())
    }

    /// Asks to sign in, once.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn ask_to_sign_in(&self) -> Result<Answer> {
        let account = json!({ "email": self.email, "password": self.password });
        let request = self.rest.request(Method::POST, "/auth/login");
        self.rest.send(request.json(&account)).await
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.rest.request(method, path).bearer_auth(&self.token)
    }

    /// `GET` with the token.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.rest.send(self.request(Method::GET, path)).await
    }

    /// `POST` with the token and a key.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        self.rest
            .send(
                self.request(Method::POST, path)
                    .header("idempotency-key", key)
                    .json(body),
            )
            .await
    }

    /// Asks for seats, once, with a new key.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn hold(&self, show: Uuid, seats: &[&str]) -> Result<Answer> {
        self.post(
            "/holds",
            &new_key(),
            &json!({ "show_id": show, "seat_ids": seats }),
        )
        .await
    }

    /// Books a hold, once, with a new key.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn book(&self, hold_id: &str) -> Result<Answer> {
        self.post("/bookings", &new_key(), &json!({ "hold_id": hold_id }))
            .await
    }

    /// The same request until it is answered by neither silence nor 503, as a good client does.
    ///
    /// # Errors
    /// No answer within the limit; 500, which is never right.
    pub async fn post_until_answered(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        until_at(
            self.rest.pace,
            &format!("an answer to POST {path}"),
            STEP_LIMIT,
            async || {
                Ok(match self.post(path, key, body).await {
                    Ok(answer) if answer.status == INTERNAL_ERROR => {
                        bail!("POST {path} is answered {answer:?}")
                    }
                    Ok(answer) if answer.status < 500 && answer.code() != "IN_PROGRESS" => {
                        Look::Found(answer)
                    }
                    seen => Look::NotYet(format!("{seen:?}")),
                })
            },
        )
        .await
    }

    /// Waits until the booking looks as wanted; silence and 503 are waited over.
    ///
    /// # Errors
    /// It doesn't within `limit`; 500, which is never right.
    pub async fn wait_booking(
        &self,
        id: &str,
        what: &str,
        limit: Duration,
        good: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        until_at(
            self.rest.pace,
            &format!("booking {id} to be {what}"),
            limit,
            async || match self.get(&format!("/bookings/{id}")).await {
                Ok(answer) if answer.status == 200 && good(&answer.body) => {
                    Ok(Look::Found(answer.body))
                }
                Ok(answer) if answer.status == 200 || answer.status > INTERNAL_ERROR => {
                    Ok(Look::NotYet(format!("{answer:?}")))
                }
                Ok(answer) => bail!("booking {id} is answered {answer:?}"),
                Err(e) => Ok(Look::NotYet(format!("{e:#}"))),
            },
        )
        .await
    }

    /// Waits for the address of the payment page.
    ///
    /// # Errors
    /// None within `limit`.
    pub async fn wait_payment_url(&self, id: &str, limit: Duration) -> Result<String> {
        let there = |b: &Value| b["payment_url"].as_str().is_some_and(|url| !url.is_empty());
        let booking = self.wait_booking(id, "payable", limit, there).await?;
        Ok(booking["payment_url"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Pays at the sandbox's page; the money arrives at once, or `delay_s` later if that isn't 0.
    ///
    /// # Errors
    /// The page refuses.
    pub async fn pay(&self, payment_url: &str, delay_s: u32) -> Result<()> {
        let mut form = vec![("action", "pay".to_owned())];
        // With a delay, of 0 too, the provider captures in a loop of its own, later.
        if delay_s > 0 {
            form.push(("delay_s", delay_s.to_string()));
        }
        let answer = self
            .rest
            .client
            .post(payment_url)
            .form(&form)
            .send()
            .await?;
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            bail!(
                "the payment page answered {status}: {}",
                answer.text().await.unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Holds, books, pays and waits for the confirmation, retrying what is safe. Gives the
    /// booking's id.
    ///
    /// # Errors
    /// A refusal, or no confirmation within a minute a step.
    pub async fn buy(&self, show: Uuid, seats: &[&str]) -> Result<String> {
        let body = json!({ "show_id": show, "seat_ids": seats });
        let hold = self
            .post_until_answered("/holds", &new_key(), &body)
            .await?
            .ok()?;
        self.buy_held(&hold).await
    }

    /// The rest of [`Customer::buy`] from an answered hold.
    ///
    /// # Errors
    /// As [`Customer::buy`].
    pub async fn buy_held(&self, hold: &Answer) -> Result<String> {
        let body = json!({ "hold_id": hold.text("hold_id")? });
        let booking = self
            .post_until_answered("/bookings", &new_key(), &body)
            .await?
            .ok()?;
        let id = booking.text("booking_id")?;
        let url = self.wait_payment_url(&id, STEP_LIMIT).await?;
        until_at(
            self.rest.pace,
            "the payment page to take the money",
            STEP_LIMIT,
            async || {
                let Err(error) = self.pay(&url, 0).await else {
                    return Ok(Look::Found(()));
                };
                // An answer that was lost on its way: the money may have been taken.
                let booking = self.get(&format!("/bookings/{id}")).await;
                let confirmed = booking.is_ok_and(|b| b.body["status"] == "CONFIRMED");
                Ok(if confirmed {
                    Look::Found(())
                } else {
                    Look::NotYet(format!("{error:#}"))
                })
            },
        )
        .await?;
        self.wait_booking(&id, "CONFIRMED", STEP_LIMIT, |b| b["status"] == "CONFIRMED")
            .await?;
        Ok(id)
    }

    /// Asks for the end of a booking.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn cancel(&self, booking: &str) -> Result<Answer> {
        let path = format!("/bookings/{booking}/cancel");
        self.rest.send(self.request(Method::POST, &path)).await
    }

    /// Seats of the valid tickets of a booking.
    ///
    /// # Errors
    /// A refusal.
    pub async fn valid_tickets(&self, booking: &str) -> Result<Vec<String>> {
        let path = format!("/bookings/{booking}/tickets");
        let what = format!("an answer to GET {path}");
        let answer = until_at(self.rest.pace, &what, STEP_LIMIT, async || {
            Ok(match self.get(&path).await {
                Ok(answer) if answer.status <= INTERNAL_ERROR => Look::Found(answer),
                seen => Look::NotYet(format!("{seen:?}")),
            })
        });
        let answer = answer.await?.ok()?;
        let items = answer.body["items"].as_array().context("no items")?;
        let valid = items.iter().filter(|ticket| ticket["state"] == "VALID");
        valid
            .map(|t| {
                t["seat_id"]
                    .as_str()
                    .map(str::to_owned)
                    .context("a ticket without a seat")
            })
            .collect()
    }
}

fn new_key() -> String {
    Uuid::new_v4().to_string()
}
