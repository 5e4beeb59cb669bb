//! What customers saw, kept as they saw it, and checked when all has settled.
//!
//! Always holds: a booking that was acknowledged is never lost; one that was seen confirmed is confirmed
//! still, or ended because somebody asked for it; no seat has tickets of two customers; each captured unit
//! of money stands for a ticket or went back (BK-1, BK-2, BK-3, HS-6).

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Customer, Look, Organiser, System, until_at};
use serde_json::Value;
use uuid::Uuid;

/// What each seat costs.
const PRICE: i64 = 1_500;
/// For all bookings to be at rest: a refund that met a dead provider is sent again after up to 5 minutes.
const SETTLE_LIMIT: Duration = Duration::from_secs(420);
const PACE: Duration = Duration::from_millis(500);

/// A booking that was acknowledged.
#[derive(Debug, Clone)]
struct Seen {
    customer: usize,
    show: Uuid,
    /// Somebody saw it confirmed.
    confirmed: bool,
    /// Somebody asked for its end.
    ending_asked: bool,
}

/// All that was acknowledged, by booking, and the shows whose end was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    bookings: Rc<RefCell<HashMap<String, Seen>>>,
    ended_shows: Rc<RefCell<BTreeSet<Uuid>>>,
}

impl Oracle {
    pub(crate) fn acknowledged(&self, booking: &str, customer: usize, show: Uuid) {
        let seen = Seen {
            customer,
            show,
            confirmed: false,
            ending_asked: false,
        };
        self.bookings.borrow_mut().insert(booking.to_owned(), seen);
    }

    pub(crate) fn confirmed(&self, booking: &str) {
        if let Some(seen) = self.bookings.borrow_mut().get_mut(booking) {
            seen.confirmed = true;
        }
    }

    pub(crate) fn ending_asked(&self, booking: &str) {
        if let Some(seen) = self.bookings.borrow_mut().get_mut(booking) {
            seen.ending_asked = true;
        }
    }

    /// The end of a show was asked for.
    pub(crate) fn show_ending_asked(&self, show: Uuid) {
        self.ended_shows.borrow_mut().insert(show);
    }

    pub(crate) fn len(&self) -> usize {
        self.bookings.borrow().len()
    }

    /// Waits until every booking is at rest, then checks all that was seen.
    ///
    /// # Errors
    /// One doesn't come to rest; a promise is broken.
    pub(crate) async fn check(&self, system: &System, customers: &[Customer]) -> Result<()> {
        let mut organiser = system.organiser().await?;
        let mut taken = BTreeSet::new();
        let all: Vec<_> = self.bookings.borrow().clone().into_iter().collect();
        for (id, seen) in all {
            let customer = &customers[seen.customer];
            let booking = at_rest(customer, &id).await?;
            let status = booking["status"].as_str().unwrap_or_default();
            let is_asked = seen.ending_asked || self.ended_shows.borrow().contains(&seen.show);
            let is_fair =
                !seen.confirmed || status == "CONFIRMED" || (status == "CANCELLED" && is_asked);
            ensure!(
                is_fair,
                "{id} was confirmed, and nobody ended it: {booking}"
            );
            let tickets = if status == "CONFIRMED" {
                customer.valid_tickets(&id).await?
            } else {
                Vec::new()
            };
            for seat in &tickets {
                ensure!(
                    taken.insert((seen.show, seat.clone())),
                    "seat {seat} of show {} has two tickets, one of {id}",
                    seen.show
                );
            }
            money(&mut organiser, &id, tickets.len()).await?;
        }
        Ok(())
    }
}

async fn at_rest(customer: &Customer, id: &str) -> Result<Value> {
    let what = format!("booking {id} to be at rest");
    until_at(PACE, &what, SETTLE_LIMIT, async || {
        let answer = match customer.get(&format!("/bookings/{id}")).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Look::NotYet(format!("{error:#}"))),
        };
        ensure!(
            answer.status != 404 && answer.status != 500,
            "acknowledged booking {id}: {answer:?}"
        );
        let is_pending = answer.body["status"] == "PENDING_PAYMENT";
        let is_refunding = answer.body["refund_status"] == "PENDING";
        Ok(if answer.status == 200 && !is_pending && !is_refunding {
            Look::Found(answer.body)
        } else {
            Look::NotYet(format!("{answer:?}"))
        })
    })
    .await
}

/// Each captured unit stands for a ticket, or went back.
async fn money(organiser: &mut Organiser, id: &str, tickets: usize) -> Result<()> {
    let what = format!("the money of {id} to be where it belongs");
    let kept = PRICE * i64::try_from(tickets)?;
    until_at(PACE, &what, SETTLE_LIMIT, async || {
        let payments = organiser.payments(id).await.context(what.clone())?;
        let captured = payments.iter().filter(|p| p.state == "SUCCEEDED");
        let captured: i64 = captured.map(|p| p.amount).sum();
        let sent_back: i64 = payments.iter().map(|p| p.refunded).sum();
        Ok(if captured - sent_back == kept {
            Look::Found(())
        } else {
            Look::NotYet(format!("{tickets} tickets, {payments:?}"))
        })
    })
    .await
}
