//! A show's immutable inventory, kept in memory: labels, numbers, prices; and when its sale begins and ends.
//!
//! Always holds: only shows that the lock store knows whole are kept, and what is kept never
//! changes, so nothing ever has to be dropped but for room. Of the sale's times the latest that this
//! process was told of count; [`super::sale_times`] tells them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use booking_core::Terms;
use chrono::{DateTime, SecondsFormat, Utc};
use holdfast_mesh::Failure;
use holdfast_types::{Currency, ErrorCode, LateMoney, Money, SeatNo, ShowId, ShowState, UserId};
use lockstore_client::SeatKind;
use moka::future::Cache;
use sqlx::PgPool;

use super::store_numbers::StoreNumbers;
use crate::{
    error::Error,
    store::shows::{self, Fee, SaleTimes},
};

/// Seats kept in memory over all shows; about 150 bytes each.
const SEATS_KEPT_MAX: u64 = 2_000_000;

/// One show's.
#[derive(Debug)]
pub(crate) struct Inventory {
    pub(crate) show_id: ShowId,
    /// Who may change the show besides admins, if anybody.
    pub(crate) owner: Option<UserId>,
    pub(crate) title: String,
    starts_at: DateTime<Utc>,
    pub(crate) currency: Currency,
    pub(crate) price_version: u32,
    pub(crate) hold_ttl_ms: u64,
    pub(crate) hold_total_ms_max: u64,
    /// `None` where the store doesn't tell sections and prices apart.
    pub(crate) numbers: Option<StoreNumbers>,
    sale: RwLock<SaleTimes>,
    fees: Vec<Fee>,
    late_money: LateMoney,
    seats: Vec<shows::Seat>,
    by_label: HashMap<String, SeatNo>,
    /// Sections of places that nobody sits on.
    areas: HashSet<String>,
}

impl Inventory {
    /// Why nothing new may be held now, by this machine's clock, whatever the store would say.
    pub(crate) fn refuses_holds(&self) -> Option<Failure> {
        if self.has_begun() {
            return Some(show_has_begun());
        }
        let sale = self.sale();
        let now = Utc::now();
        let message = if let Some(at) = sale.starts_at.filter(|at| now < *at) {
            format!("the sale of this show begins at {}", in_words(at))
        } else if let Some(at) = sale.ends_at.filter(|at| now >= *at) {
            format!("the sale of this show ended at {}", in_words(at))
        } else {
            return None;
        };
        let times = [
            ("sale_starts_at", sale.starts_at),
            ("sale_ends_at", sale.ends_at),
        ];
        let failure = Failure::new(ErrorCode::ShowNotOnSale, message);
        Some(
            times
                .into_iter()
                .fold(failure, |failure, (key, at)| match at {
                    Some(at) => failure.with_metadata(key, in_words(at)),
                    None => failure,
                }),
        )
    }

    /// What is decided without the store, now, as long as nothing is known of the customer.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            has_begun: self.has_begun(),
            late_money: self.late_money,
            buyer_left: false,
        }
    }

    fn sale(&self) -> SaleTimes {
        // Nothing that holds it can panic.
        *self.sale.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the sale's times, unless those that are known are as late.
    fn set_sale(&self, sale: SaleTimes) {
        let mut known = self.sale.write().unwrap_or_else(PoisonError::into_inner);
        if known.version < sale.version {
            *known = sale;
        }
    }

    /// Whether the show has begun, by this machine's clock: from then on nothing of it is sold.
    pub(crate) fn has_begun(&self) -> bool {
        self.starts_at <= Utc::now()
    }

    /// The seat of that label.
    pub(crate) fn seat_no(&self, label: &str) -> Option<SeatNo> {
        self.by_label.get(label).copied()
    }

    /// The store's number of a standing area, by the name of its section.
    pub(crate) fn area(&self, name: &str) -> Option<u16> {
        self.areas.get(name)?;
        self.numbers.as_ref()?.section(name)
    }

    /// The label of a seat; empty for a number beyond the layout.
    pub(crate) fn label(&self, seat: SeatNo) -> &str {
        self.seat(seat).map_or("", |seat| seat.label.as_str())
    }

    /// The labels of seats, in their order.
    pub(crate) fn labels(&self, seats: &[SeatNo]) -> Vec<String> {
        seats
            .iter()
            .map(|seat| self.label(*seat).to_owned())
            .collect()
    }

    /// Every seat's label and section, in seat order.
    pub(crate) fn seats(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.seats
            .iter()
            .map(|seat| (seat.label.as_str(), seat.section.as_str()))
    }

    /// What whoever holds or buys seats is charged, and what that is made of.
    pub(crate) fn cost(&self, seats: &[SeatNo]) -> Cost {
        let tickets = seats.len() as i64;
        let charged = |fee: &Fee| ChargedFee {
            name: fee.name.clone(),
            amount: fee.amount * if fee.per_ticket { tickets } else { 1 },
        };
        Cost {
            seats: self.money(self.prices(seats)),
            fees: self.fees.iter().map(charged).collect(),
        }
    }

    /// What goes back for seats that are given back while others of their booking stay: what they cost, and
    /// their fees per ticket.
    pub(crate) fn given_back(&self, seats: &[SeatNo]) -> Money {
        let per_ticket = self.fees.iter().filter(|fee| fee.per_ticket);
        let fees: i64 = per_ticket.map(|fee| fee.amount).sum();
        self.money(self.prices(seats) + fees * seats.len() as i64)
    }

    fn prices(&self, seats: &[SeatNo]) -> i64 {
        // Prices and fees are bounded by PRICE_MAX and seats by SEATS_PER_HOLD_MAX, so no sum overflows.
        let seats = seats.iter().filter_map(|seat| self.seat(*seat));
        seats.map(|seat| seat.price).sum()
    }

    const fn money(&self, amount: i64) -> Money {
        Money {
            amount,
            currency: self.currency,
        }
    }

    /// `None` for a number beyond the layout.
    pub(super) fn seat(&self, seat: SeatNo) -> Option<&shows::Seat> {
        self.seats.get(usize::try_from(seat.0).ok()?)
    }
}

/// What seats cost, and the fees for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) seats: Money,
    pub(crate) fees: Vec<ChargedFee>,
}

/// What a fee came to; one per ticket for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChargedFee {
    pub(crate) name: String,
    pub(crate) amount: i64,
}

impl Cost {
    /// All of it.
    pub(crate) fn total(&self) -> Money {
        let fees: i64 = self.fees.iter().map(|fee| fee.amount).sum();
        Money {
            amount: self.seats.amount + fees,
            ..self.seats
        }
    }
}

/// Those of all shows, read when first needed.
#[derive(Debug)]
pub(crate) struct Inventories {
    pool: PgPool,
    kept: Cache<ShowId, Arc<Inventory>>,
}

impl Inventories {
    pub(crate) fn new(pool: PgPool) -> Self {
        let weight = |_: &ShowId, inventory: &Arc<Inventory>| {
            u32::try_from(inventory.seats.len()).unwrap_or(u32::MAX)
        };
        Self {
            pool,
            kept: Cache::builder()
                .max_capacity(SEATS_KEPT_MAX)
                .weigher(weight)
                .build(),
        }
    }

    /// A show's inventory; `SHOW_NOT_FOUND` if it isn't open.
    pub(crate) async fn get(&self, show_id: ShowId) -> Result<Arc<Inventory>, Error> {
        let load = async { read(&self.pool, show_id).await.map_err(Failure::from) };
        self.kept
            .try_get_with(show_id, load)
            .await
            .map_err(|failure| Error::Refused(Arc::unwrap_or_clone(failure)))
    }
}

impl Inventories {
    /// Tells a show's inventory, if it is in memory, when the sale begins and ends.
    pub(super) async fn set_sale(&self, show_id: ShowId, sale: SaleTimes) {
        if let Some(inventory) = self.kept.get(&show_id).await {
            inventory.set_sale(sale);
        }
    }
}

fn in_words(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

async fn read(pool: &PgPool, show_id: ShowId) -> Result<Arc<Inventory>, Error> {
    let show = shows::find(pool, show_id)
        .await?
        .filter(|show| show.state != ShowState::Draft)
        .ok_or_else(show_not_found)?;
    let seats = shows::seats(pool, show_id).await?;
    let by_label = (0..)
        .map(SeatNo)
        .zip(&seats)
        .map(|(seat_no, seat)| (seat.label.clone(), seat_no))
        .collect();
    let areas = seats
        .iter()
        .filter(|seat| seat.kind == SeatKind::Standing)
        .map(|seat| &seat.section)
        .collect::<HashSet<_>>();
    let areas = areas.into_iter().cloned().collect();
    let numbers = StoreNumbers::of(seats.iter().map(|seat| (seat.section.as_str(), seat.price)));
    Ok(Arc::new(Inventory {
        show_id,
        owner: show.owner,
        title: show.title,
        starts_at: show.starts_at,
        currency: show.currency,
        price_version: show.price_version,
        hold_ttl_ms: show.hold_ttl_ms,
        hold_total_ms_max: show.hold_total_ms_max,
        sale: RwLock::new(show.sale),
        fees: show.fees,
        late_money: show.late_money,
        numbers,
        seats,
        by_label,
        areas,
    }))
}

/// `SHOW_NOT_ON_SALE` for a show that has begun.
pub(crate) fn show_has_begun() -> Failure {
    Failure::new(ErrorCode::ShowNotOnSale, "this show has begun")
}

pub(crate) fn show_not_found() -> Failure {
    Failure::new(ErrorCode::ShowNotFound, "no such show")
}
