//! One customer's way from nothing to tickets, over REST and the sandbox's page, step by step.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use holdfast_harness::{Answer, Customer};
use reqwest::{Client, Method, redirect::Policy};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

/// Longest latency that is told apart, in microseconds: one minute.
const LATENCY_US_MAX: u64 = 60_000_000;
/// How long a step may take that is asked for again and again.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// Sent as `Prefer: wait`: the most that the gateway takes.
const WAIT_S: u64 = 8;
/// Where an answer asks to come again and doesn't say when.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a purchase takes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `POST holds`.
    Hold,
    /// `POST bookings`.
    Book,
    /// `GET bookings/{id}` until it says where to pay.
    Payable,
    /// The form of the sandbox's page; the page isn't looked at.
    Pay,
    /// `GET bookings/{id}` until it is confirmed.
    Confirmed,
    /// `GET bookings/{id}/tickets`.
    Tickets,
    /// All of it.
    Whole,
}

/// What was met on the way.
#[derive(Debug, Default)]
pub struct Met {
    latencies: BTreeMap<Step, Latencies>,
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
}

#[derive(Debug)]
struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_max(LATENCY_US_MAX, 3).expect("valid bounds"))
    }
}

/// Latencies of a step, milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct StepLatency {
    pub step: Step,
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Met {
    fn took(&mut self, step: Step, since: Instant) {
        let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX);
        self.latencies
            .entry(step)
            .or_default()
            .0
            .saturating_record(us);
    }

    fn answered(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }

    /// As it is reported.
    pub fn steps(&self) -> Vec<StepLatency> {
        let ms = |us: u64| us as f64 / 1000.0;
        self.latencies
            .iter()
            .map(|(step, Latencies(seen))| StepLatency {
                step: *step,
                count: seen.len(),
                p50_ms: ms(seen.value_at_quantile(0.5)),
                p99_ms: ms(seen.value_at_quantile(0.99)),
            })
            .collect()
    }
}

/// Which seats are wanted, as the body of `POST holds` says it.
pub enum Wanted {
    /// These.
    Named(Vec<String>),
    /// So many of the best.
    Best(u32),
}

/// How a purchase ended.
pub enum Outcome {
    /// With these seats.
    Bought(Vec<String>),
    /// There was nothing left to hold.
    SoldOut,
    /// The hold was refused, to come again (429, 503).
    Refused,
}

/// Somebody who buys.
#[derive(Debug, Clone)]
pub struct Buyer {
    customer: Customer,
    /// Doesn't follow the page's redirect to itself.
    payer: Client,
}

impl Buyer {
    /// # Errors
    /// No HTTP client.
    pub fn new(customer: Customer) -> Result<Self> {
        let payer = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(STEP_LIMIT)
            .build()?;
        Ok(Self { customer, payer })
    }

    /// Buys, and counts what it takes from `due` on. What a hold is refused with is an outcome; after it
    /// each request is sent until it is answered by neither silence nor 503, as a good client does.
    ///
    /// # Errors
    /// Any other refusal, an answer that can't be, no end within a minute a step.
    pub async fn buy(
        &self,
        show: Uuid,
        wanted: &Wanted,
        due: Instant,
        met: &std::cell::RefCell<Met>,
    ) -> Result<Outcome> {
        let body = match wanted {
            Wanted::Named(seats) => json!({ "show_id": show, "seat_ids": seats }),
            Wanted::Best(count) => {
                json!({ "show_id": show, "best_available": { "count": count, "adjacent": false } })
            }
        };
        let key = Uuid::new_v4().to_string();
        let hold = self.customer.post("/holds", &key, &body).await?;
        met.borrow_mut().answered(hold.status);
        match (hold.status, hold.code()) {
            (200 | 201, _) => {}
            (409, "SEAT_NOT_AVAILABLE") => return Ok(Outcome::SoldOut),
            (429 | 503, _) => return Ok(Outcome::Refused),
            _ => bail!("the hold is answered {hold:?}"),
        }
        met.borrow_mut().took(Step::Hold, due);

        let began = Instant::now();
        let body = json!({ "hold_id": hold.text("hold_id")? });
        let key = Uuid::new_v4().to_string();
        let booked = self
            .until_answered(began, met, async || {
                self.customer.post("/bookings", &key, &body).await
            })
            .await?;
        met.borrow_mut().took(Step::Book, began);
        let id = booked.text("booking_id")?;

        let began = Instant::now();
        let (payable, url) = self
            .wait(&id, booked.etag, began, met, |booking| {
                booking["payment_url"].as_str().map(str::to_owned)
            })
            .await?;
        met.borrow_mut().took(Step::Payable, began);

        let began = Instant::now();
        self.pay(&url, began, met).await?;
        met.borrow_mut().took(Step::Pay, began);

        let began = Instant::now();
        let (confirmed, ()) = self
            .wait(&id, payable.etag, began, met, |booking| {
                (booking["status"] == "CONFIRMED").then_some(())
            })
            .await?;
        met.borrow_mut().took(Step::Confirmed, began);

        let began = Instant::now();
        let path = format!("/bookings/{id}/tickets");
        let tickets = self
            .until_answered(began, met, async || self.customer.get(&path).await)
            .await?;
        met.borrow_mut().took(Step::Tickets, began);
        met.borrow_mut().took(Step::Whole, due);
        let seats = texts(&confirmed.body["seat_ids"])?;
        let items = tickets.body["items"].as_array().context("no tickets")?;
        let valid: Vec<_> = items.iter().filter(|t| t["state"] == "VALID").collect();
        if valid.len() != seats.len() {
            bail!(
                "{} seats are confirmed with {} tickets",
                seats.len(),
                valid.len()
            );
        }
        Ok(Outcome::Bought(seats))
    }

    /// The same request until it is answered with a success.
    async fn until_answered(
        &self,
        began: Instant,
        met: &std::cell::RefCell<Met>,
        ask: impl AsyncFn() -> Result<Answer>,
    ) -> Result<Answer> {
        loop {
            let pause = match ask().await {
                Ok(answer) => {
                    met.borrow_mut().answered(answer.status);
                    match answer.status {
                        200..300 | 304 => return Ok(answer),
                        429 | 503 => pause_of(&answer),
                        _ if answer.code() == "IN_PROGRESS" => pause_of(&answer),
                        _ => bail!("answered {answer:?}"),
                    }
                }
                Err(error) if began.elapsed() >= STEP_LIMIT => return Err(error),
                Err(_) => AGAIN_AFTER,
            };
            if began.elapsed() + pause >= STEP_LIMIT {
                bail!("not answered within {STEP_LIMIT:?}");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits for the booking to be as wanted.
    async fn wait<T>(
        &self,
        id: &str,
        seen: Option<String>,
        began: Instant,
        met: &std::cell::RefCell<Met>,
        good: impl Fn(&Value) -> Option<T>,
    ) -> Result<(Answer, T)> {
        let path = format!("/bookings/{id}");
        let mut seen = seen;
        while began.elapsed() < STEP_LIMIT {
            let answer = self
                .until_answered(began, met, async || {
                    let mut request = self.customer.request(Method::GET, &path);
                    if let Some(tag) = &seen {
                        request = request
                            .header("if-none-match", tag)
                            .header("prefer", format!("wait={WAIT_S}"));
                    }
                    self.customer.rest.send(request).await
                })
                .await?;
            if let Some(found) = good(&answer.body) {
                return Ok((answer, found));
            }
            if answer.status == 304 && answer.retry_after.is_some() {
                tokio::time::sleep(pause_of(&answer)).await;
            }
            seen = answer.etag.or(seen);
        }
        bail!("the booking is not as wanted within {STEP_LIMIT:?}")
    }

    async fn pay(&self, url: &str, began: Instant, met: &std::cell::RefCell<Met>) -> Result<()> {
        loop {
            let answer = self.payer.post(url).body("action=pay");
            let answer = answer.header("content-type", "application/x-www-form-urlencoded");
            match answer.send().await {
                Ok(answer) => {
                    let status = answer.status();
                    met.borrow_mut().answered(status.as_u16());
                    if status.is_success() || status.is_redirection() {
                        return Ok(());
                    }
                    if status.as_u16() != 503 {
                        bail!("the payment page answered {status}");
                    }
                }
                Err(error) if began.elapsed() >= STEP_LIMIT => return Err(error.into()),
                Err(_) => {}
            }
            if began.elapsed() >= STEP_LIMIT {
                bail!("the payment page takes no money");
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

fn pause_of(answer: &Answer) -> Duration {
    let seconds = answer.retry_after.as_deref().and_then(|s| s.parse().ok());
    seconds.map_or(AGAIN_AFTER, Duration::from_secs)
}

fn texts(value: &Value) -> Result<Vec<String>> {
    let items = value.as_array().context("no list")?;
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).context("no text"))
        .collect()
}
