//! What customers do: each in a way of their own, retrying what is safe, as good clients do.

use std::{cell::Cell, collections::HashMap, rc::Rc, time::Duration};

use anyhow::{Result, bail, ensure};
use holdfast_harness::{Answer, Customer, Look, Rest, until_at};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    ending::{Ending, Tally},
    oracle::Oracle,
};

/// For one thing to happen: a killed process is back before, and what it left is taken over.
const LIMIT: Duration = Duration::from_secs(150);
const PACE: Duration = Duration::from_millis(200);
/// How long a customer of these shows has from hold to money.
pub(crate) const TOTAL: Duration = Duration::from_secs(12);
/// When late money arrives after it was sent.
const LATE_S: u32 = 16;
/// From the end of the hold on; a process may be killed meanwhile.
const LATE_LIMIT: Duration = Duration::from_secs(75);

/// What is shared by all.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) rest: Rest,
    pub(crate) customers: Rc<Vec<Customer>>,
    /// Where people buy who stay.
    pub(crate) show: Uuid,
    /// Where people buy whose show will be called off.
    pub(crate) doomed: Rc<Cell<Uuid>>,
    pub(crate) oracle: Oracle,
    pub(crate) tally: Tally,
    pub(crate) enough: Rc<Cell<bool>>,
}

/// How a plan went that didn't come to its end: seats were gone, time ran out while something was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    ToItsEnd,
    ToNothing,
}

/// What somebody is up to; those that take long are rarer.
const PLANS: [(Plan, u32); 13] = [
    (Plan::Buy, 6),
    (Plan::BuyDoomed, 4),
    (Plan::Decline, 3),
    (Plan::Fail, 3),
    (Plan::Abandon, 2),
    (Plan::Expire, 2),
    (Plan::PayLate, 3),
    (Plan::PayTwice, 3),
    (Plan::LoseAnswer, 3),
    (Plan::LateWebhook, 2),
    (Plan::Cancel, 4),
    (Plan::GiveBack, 3),
    (Plan::Dispute, 4),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Buy,
    BuyDoomed,
    Decline,
    Fail,
    Abandon,
    Expire,
    PayLate,
    PayTwice,
    LoseAnswer,
    LateWebhook,
    Cancel,
    GiveBack,
    Dispute,
}

/// What endings a plan leads to.
fn leads_to(plan: Plan) -> &'static [Ending] {
    match plan {
        Plan::Buy => &[Ending::Confirmed],
        Plan::BuyDoomed => &[Ending::ShowCancelledAndRefunded],
        Plan::Decline => &[Ending::DeclinedThenConfirmed],
        Plan::Fail => &[Ending::PaymentFailed],
        Plan::Abandon => &[Ending::HoldAbandoned],
        Plan::Expire => &[Ending::Expired],
        Plan::PayLate => &[Ending::PaidLateAndConfirmed, Ending::PaidLateAndRefunded],
        Plan::PayTwice => &[Ending::PaidTwice],
        Plan::LoseAnswer => &[Ending::AnswerLostThenConfirmed],
        Plan::LateWebhook => &[Ending::WebhookLateThenConfirmed],
        Plan::Cancel => &[Ending::CancelledUnpaid, Ending::CancelledAndRefunded],
        Plan::GiveBack => &[Ending::PartlyGivenBack],
        Plan::Dispute => &[Ending::DisputeWon, Ending::DisputeLost],
    }
}

/// Does one thing after the other until it is enough.
pub(crate) async fn live(world: World, nth: usize, mut rng: StdRng) -> Result<()> {
    while !world.enough.get() {
        let plan = choose(&world.tally, &mut rng);
        let person = Person {
            world: &world,
            nth,
            me: &world.customers[nth],
        };
        match person.follow(plan, &mut rng).await {
            Ok(Came::ToItsEnd | Came::ToNothing) => {}
            Err(error) => return Err(error.context(format!("customer {nth}, {plan:?}"))),
        }
    }
    Ok(())
}

/// By weight, and what is missing sooner.
fn choose(tally: &Tally, rng: &mut StdRng) -> Plan {
    let weights = PLANS.map(|(plan, weight)| {
        let is_missing = leads_to(plan).iter().any(|ending| tally.of(*ending) == 0);
        (plan, if is_missing { weight * 4 } else { weight })
    });
    let (plan, _) = weights
        .choose_weighted(rng, |(_, weight)| *weight)
        .expect("there are plans, and all have weights");
    *plan
}

struct Person<'a> {
    world: &'a World,
    nth: usize,
    me: &'a Customer,
}

impl Person<'_> {
    async fn follow(&self, plan: Plan, rng: &mut StdRng) -> Result<Came> {
        let doomed = plan == Plan::BuyDoomed;
        let show = if doomed {
            self.world.doomed.get()
        } else {
            self.world.show
        };
        let seats = if plan == Plan::GiveBack {
            3
        } else {
            rng.random_range(1..=3)
        };
        let Some(hold) = self.hold(show, seats, rng).await? else {
            return Ok(Came::ToNothing);
        };
        if plan == Plan::Abandon {
            return self.abandon(&hold).await;
        }
        let Some(booking) = self.book(show, &hold).await? else {
            return Ok(Came::ToNothing);
        };
        if plan == Plan::Expire {
            return self.settle(&booking, "EXPIRED", Ending::Expired).await;
        }
        if plan == Plan::Cancel && rng.random_bool(0.4) {
            self.cancel(&booking).await?;
            return self
                .settle(&booking, "CANCELLED", Ending::CancelledUnpaid)
                .await;
        }
        let Some(url) = self.payment_url(&booking).await? else {
            return Ok(Came::ToNothing);
        };
        match plan {
            Plan::Fail => {
                self.press(&url, &[("action", "decline"), ("delay_s", "0")])
                    .await?;
                return self.settle(&booking, "FAILED", Ending::PaymentFailed).await;
            }
            Plan::PayLate => return self.pay_late(show, &hold, &booking, &url, rng).await,
            Plan::Decline => self.press(&url, &[("action", "decline")]).await?,
            _ => {}
        }
        self.pay(plan, &url).await?;
        let ending = match plan {
            Plan::Decline => Ending::DeclinedThenConfirmed,
            Plan::PayTwice => Ending::PaidTwice,
            Plan::LoseAnswer => Ending::AnswerLostThenConfirmed,
            Plan::LateWebhook => Ending::WebhookLateThenConfirmed,
            _ => Ending::Confirmed,
        };
        let came = self.settle(&booking, "CONFIRMED", ending).await?;
        if came == Came::ToNothing {
            return Ok(came);
        }
        match plan {
            Plan::Cancel => {
                self.cancel(&booking).await?;
                self.settle(&booking, "CANCELLED", Ending::CancelledAndRefunded)
                    .await
            }
            Plan::GiveBack => self.give_back(&booking).await,
            Plan::Dispute => self.dispute(&url, &booking, rng.random_bool(0.5)).await,
            _ => Ok(came),
        }
    }

    /// Free seats, none if others were faster.
    async fn hold(&self, show: Uuid, seats: usize, rng: &mut StdRng) -> Result<Option<Value>> {
        let body = if rng.random_bool(0.3) {
            json!({ "show_id": show, "best_available": { "count": seats } })
        } else {
            let free = self.world.rest.free_seats(show).await.unwrap_or_default();
            let chosen: Vec<_> = free.sample(rng, seats).collect();
            if chosen.len() < seats {
                return Ok(None);
            }
            json!({ "show_id": show, "seat_ids": chosen })
        };
        let answer = post(self.me, "/holds", &new_key(), &body).await?;
        if answer.status == 409 || answer.status == 410 {
            return Ok(None);
        }
        Ok(Some(answer.ok()?.body))
    }

    async fn book(&self, show: Uuid, hold: &Value) -> Result<Option<String>> {
        let body = json!({ "hold_id": hold["hold_id"] });
        let key = new_key();
        let answer = post(self.me, "/bookings", &key, &body).await?;
        // Something was down for as long as the hold lived, or the show was called off.
        if matches!(answer.status, 404 | 409 | 410) {
            return Ok(None);
        }
        let booking = answer.ok()?.text("booking_id")?;
        self.world.oracle.acknowledged(&booking, self.nth, show);
        Ok(Some(booking))
    }

    async fn look(
        &self,
        booking: &str,
        what: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let seen = self.me.wait_booking(booking, what, LIMIT, good).await?;
        if seen["status"] == "CONFIRMED" {
            self.world.oracle.confirmed(booking);
        }
        Ok(seen)
    }

    /// Where to pay; none if the booking ended before that was known.
    async fn payment_url(&self, booking: &str) -> Result<Option<String>> {
        let known = |b: &Value| b["payment_url"].is_string() || b["status"] != "PENDING_PAYMENT";
        let seen = self.look(booking, "payable", known).await?;
        Ok(seen["payment_url"].as_str().map(str::to_owned))
    }

    /// Presses a button of the payment page until it has answered.
    async fn press(&self, url: &str, form: &[(&str, &str)]) -> Result<()> {
        let form: HashMap<_, _> = form.iter().copied().collect();
        until_at(PACE, "the payment page to answer", LIMIT, async || {
            let request = self.world.rest.page(url).form(&form);
            Ok(match self.world.rest.send(request).await {
                Ok(answer) if answer.status == 500 => bail!("the payment page: {answer:?}"),
                Ok(answer) if answer.status != 503 => Look::Found(()),
                seen => Look::NotYet(format!("{seen:?}")),
            })
        })
        .await
    }

    async fn pay(&self, plan: Plan, url: &str) -> Result<()> {
        match plan {
            Plan::PayTwice => {
                let form = [("action", "pay"), ("duplicate", "true")];
                let (first, second) = tokio::join!(self.press(url, &form), self.press(url, &form));
                first.and(second)
            }
            Plan::LoseAnswer => {
                let form = [("action", "pay"), ("lose_answer", "true")];
                self.press(url, &form).await
            }
            Plan::LateWebhook => {
                let form = [("action", "pay"), ("webhook_delay_s", "3")];
                self.press(url, &form).await
            }
            _ => self.press(url, &[("action", "pay")]).await,
        }
    }

    /// Waits until it has ended; counts the ending if it is the one that was meant.
    async fn settle(&self, booking: &str, status: &str, ending: Ending) -> Result<Came> {
        let with_refund = ending == Ending::CancelledAndRefunded;
        let is_over = |b: &Value| {
            let has_ended = b["status"] != "PENDING_PAYMENT" && b["status"] != "CONFIRMED";
            let is_as_meant = b["status"] == status;
            let is_refunding = with_refund && b["refund_status"] != "REFUNDED";
            (has_ended || is_as_meant) && !is_refunding
        };
        let seen = self.look(booking, status, is_over).await?;
        if seen["status"] != status {
            return Ok(Came::ToNothing);
        }
        self.world.tally.count(ending);
        Ok(Came::ToItsEnd)
    }

    async fn abandon(&self, hold: &Value) -> Result<Came> {
        let path = format!("/holds/{}", hold["hold_id"].as_str().unwrap_or_default());
        until_at(PACE, "the hold to end", LIMIT, async || {
            Ok(match self.me.get(&path).await {
                Ok(answer) if matches!(answer.status, 404 | 410) => Look::Found(()),
                seen => Look::NotYet(format!("{seen:?}")),
            })
        })
        .await?;
        self.world.tally.count(Ending::HoldAbandoned);
        Ok(Came::ToItsEnd)
    }

    async fn cancel(&self, booking: &str) -> Result<()> {
        self.world.oracle.ending_asked(booking);
        let path = format!("/bookings/{booking}/cancel");
        let answer = post(self.me, &path, &new_key(), &Value::Null).await?;
        // One that ended before by itself can't be called off.
        ensure!(matches!(answer.status, 200 | 409), "{answer:?}");
        Ok(())
    }

    async fn give_back(&self, booking: &str) -> Result<Came> {
        let seen = self.look(booking, "there", |_| true).await?;
        let body = json!({ "seat_ids": [seen["seat_ids"][0]] });
        let path = format!("/bookings/{booking}/return");
        post(self.me, &path, &new_key(), &body).await?.ok()?;
        let is_back = |b: &Value| b["refund_status"] == "PARTLY_REFUNDED";
        self.look(booking, "partly refunded", is_back).await?;
        self.world.tally.count(Ending::PartlyGivenBack);
        Ok(Came::ToItsEnd)
    }

    /// The bank decides; one that was won may be called off.
    async fn dispute(&self, url: &str, booking: &str, won: bool) -> Result<Came> {
        self.press(url, &[("action", "dispute")]).await?;
        if won {
            // What is asked for meanwhile waits for the bank.
            self.cancel(booking).await?;
            self.press(url, &[("action", "dispute_won")]).await?;
            return self.settle(booking, "CANCELLED", Ending::DisputeWon).await;
        }
        self.press(url, &[("action", "dispute_lost")]).await?;
        self.world.tally.count(Ending::DisputeLost);
        Ok(Came::ToItsEnd)
    }

    /// The money comes when the hold is gone: a ticket if the seats are free, else a refund.
    async fn pay_late(
        &self,
        show: Uuid,
        hold: &Value,
        booking: &str,
        url: &str,
        rng: &mut StdRng,
    ) -> Result<Came> {
        let delay = LATE_S.to_string();
        self.press(url, &[("action", "pay"), ("delay_s", &delay)])
            .await?;
        let has_ended = |b: &Value| b["status"] != "PENDING_PAYMENT";
        let ended = self.look(booking, "not pending", has_ended).await?;
        // It takes late money or a clock that was slow to be confirmed at once.
        if ended["status"] == "EXPIRED" && rng.random_bool(0.6) {
            let body = json!({ "show_id": show, "seat_ids": [hold["seat_ids"][0]] });
            let other = &self.world.customers[(self.nth + 1) % self.world.customers.len()];
            let hold = post(other, "/holds", &new_key(), &body).await?;
            if let Ok(hold) = hold.ok() {
                let body = json!({ "hold_id": hold.text("hold_id")? });
                let taken = post(other, "/bookings", &new_key(), &body).await?;
                if let Ok(taken) = taken.ok() {
                    let taken = taken.text("booking_id")?;
                    let other = Person {
                        nth: (self.nth + 1) % self.world.customers.len(),
                        me: other,
                        ..*self
                    };
                    self.world.oracle.acknowledged(&taken, other.nth, show);
                    if let Some(url) = other.payment_url(&taken).await? {
                        other.pay(Plan::Buy, &url).await?;
                    }
                }
            }
        }
        let is_over = |b: &Value| b["status"] == "CONFIRMED" || b["refund_status"] == "REFUNDED";
        let over = self
            .me
            .wait_booking(booking, "over", LATE_LIMIT, is_over)
            .await;
        let Ok(over) = over else {
            // The page answered when the session had ended: no money came.
            let is_unpaid = |b: &Value| b["refund_status"] == "NONE";
            self.look(booking, "ended and unpaid", is_unpaid).await?;
            return Ok(Came::ToNothing);
        };
        if over["status"] == "CONFIRMED" {
            self.world.oracle.confirmed(booking);
            self.world.tally.count(Ending::PaidLateAndConfirmed);
        } else {
            self.world.tally.count(Ending::PaidLateAndRefunded);
        }
        Ok(Came::ToItsEnd)
    }
}

/// The same request until it is answered by neither silence nor 503, whatever is down meanwhile.
async fn post(who: &Customer, path: &str, key: &str, body: &Value) -> Result<Answer> {
    until_at(
        PACE,
        &format!("an answer to POST {path}"),
        LIMIT,
        async || {
            Ok(match who.post(path, key, body).await {
                Ok(answer) if answer.status == 500 => bail!("POST {path} is answered {answer:?}"),
                Ok(answer) if answer.status < 500 && answer.code() != "IN_PROGRESS" => {
                    Look::Found(answer)
                }
                seen => Look::NotYet(format!("{seen:?}")),
            })
        },
    )
    .await
}

fn new_key() -> String {
    Uuid::new_v4().to_string()
}
