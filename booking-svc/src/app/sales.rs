//! What an organiser is told of a show's sales: its bookings, and who comes.
//!
//! Always holds: only whose show it is, and admins, are told; pages are bounded. Leaves to others: names
//! and addresses of customers (identity-svc), sums by category (catalog-svc).

use holdfast_mesh::Failure;
use holdfast_types::{BookingId, Currency, Money, SeatNo, ShowId};

use super::{
    App,
    inventory::{Inventory, show_not_found},
    rights::Actor,
};
use crate::{
    error::Error,
    store::{
        sales::{self, AttendeeRow, SaleRow, ShowTakings, Takings},
        shows,
    },
};

/// Most items of a page, and how many one has when the caller names no number.
const PAGE_ITEMS_MAX: u32 = 1_000;

/// A booking that was confirmed, with labels.
#[derive(Debug)]
pub(crate) struct Sale {
    pub(crate) row: SaleRow,
    pub(crate) seat_ids: Vec<String>,
    pub(crate) returned_seat_ids: Vec<String>,
    /// Of the total.
    pub(crate) fees: Money,
}

/// What was taken for a show.
#[derive(Debug)]
pub(crate) struct ShowSums {
    pub(crate) currency: Currency,
    pub(crate) takings: ShowTakings,
    /// What the total has besides the categories.
    pub(crate) per_booking: Takings,
}

/// Somebody who may come in, with the seat's label and section.
#[derive(Debug)]
pub(crate) struct Attendee {
    pub(crate) row: AttendeeRow,
    pub(crate) seat_id: String,
    pub(crate) section: String,
}

impl App {
    /// A page of the show's sales, and the cursor of the next.
    pub(crate) async fn list_sales(
        &self,
        actor: Actor,
        show_id: ShowId,
        limit: u32,
        cursor: &str,
    ) -> Result<(Vec<Sale>, String), Error> {
        let limit = page_limit(limit)?;
        let inventory = self.inventory_of(actor, show_id).await?;
        let after = match cursor {
            "" => None,
            text => Some(text.parse::<BookingId>().map_err(|_| no_cursor())?),
        };
        let mut rows = sales::sales(&self.pool, show_id, after, limit + 1).await?;
        let next = next(&mut rows, limit, |last| last.booking_id.to_string());
        let sale = |row: SaleRow| Sale {
            seat_ids: inventory.labels(&row.seats),
            returned_seat_ids: inventory.labels(&row.returned),
            fees: Money {
                amount: row.total.amount - inventory.cost(&row.seats).seats.amount,
                ..row.total
            },
            row,
        };
        Ok((rows.into_iter().map(sale).collect(), next))
    }

    /// What was taken for the show, by category.
    pub(crate) async fn takings(&self, actor: Actor, show_id: ShowId) -> Result<ShowSums, Error> {
        let inventory = self.inventory_of(actor, show_id).await?;
        let permit = self.takings.acquire().await;
        let permit = permit.expect("the semaphore is never closed");
        let takings = sales::takings(&self.pool, show_id).await?;
        drop(permit);
        let mut per_booking = takings.total;
        for (_, of) in &takings.categories {
            per_booking.gross -= of.gross;
            per_booking.fees -= of.fees;
            per_booking.refunded -= of.refunded;
        }
        Ok(ShowSums {
            currency: inventory.currency,
            takings,
            per_booking,
        })
    }

    /// A page of the show's tickets that aren't void, and the cursor of the next.
    pub(crate) async fn list_attendees(
        &self,
        actor: Actor,
        show_id: ShowId,
        limit: u32,
        cursor: &str,
    ) -> Result<(Vec<Attendee>, String), Error> {
        let limit = page_limit(limit)?;
        let inventory = self.inventory_of(actor, show_id).await?;
        let after = match cursor {
            "" => None,
            text => Some(SeatNo(text.parse().map_err(|_| no_cursor())?)),
        };
        let mut rows = sales::attendees(&self.pool, show_id, after, limit + 1).await?;
        let next = next(&mut rows, limit, |last| last.seat_no.0.to_string());
        let attendee = |row: AttendeeRow| {
            let seat = inventory.seat(row.seat_no);
            Attendee {
                seat_id: inventory.label(row.seat_no).to_owned(),
                section: seat.map_or_else(String::new, |seat| seat.section.clone()),
                row,
            }
        };
        Ok((rows.into_iter().map(attendee).collect(), next))
    }

    /// The inventory of a show that is the actor's.
    async fn inventory_of(
        &self,
        actor: Actor,
        show_id: ShowId,
    ) -> Result<std::sync::Arc<Inventory>, Error> {
        let show = shows::find(&self.pool, show_id).await?;
        actor.check(show.ok_or_else(show_not_found)?.owner)?;
        self.inventories.get(show_id).await
    }
}

fn page_limit(limit: u32) -> Result<u32, Failure> {
    match limit {
        0 => Ok(PAGE_ITEMS_MAX),
        1..=PAGE_ITEMS_MAX => Ok(limit),
        _ => Err(Failure::invalid("limit", format!("1 to {PAGE_ITEMS_MAX}"))),
    }
}

fn no_cursor() -> Failure {
    Failure::invalid("cursor", "not one of ours")
}

/// Cuts a page that was read with one item more than `limit`, and says where the next begins; empty on
/// the last page.
fn next<T>(rows: &mut Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> String {
    if rows.len() <= limit as usize {
        return String::new();
    }
    rows.truncate(limit as usize);
    rows.last().map(cursor).unwrap_or_default()
}
