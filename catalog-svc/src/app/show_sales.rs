//! What became of a show's seats, by category.
//!
//! Always holds: the figures are of one revision of the lock store, and add up to the show's seats; a
//! seat that was returned isn't sold. Leaves to others: what was paid, and to whom it goes back
//! (booking-svc, payment-svc).

use std::collections::HashMap;

use holdfast_mesh::Failure;
use holdfast_proto::booking::v1::SeatAvailability;
use holdfast_types::{ErrorCode, SeatState, ShowId, ShowState};

use super::{Catalog, changeable};
use crate::{
    access::Actor,
    clients::inventory::OnBehalf,
    model::Show,
    prices::PriceList,
    store::{self, seat_map},
};

/// A show's sales.
#[derive(Debug)]
pub(crate) struct Sales {
    pub(crate) show: Show,
    pub(crate) revision: u64,
    /// The lock store's.
    pub(crate) state: String,
    pub(crate) categories: Vec<CategorySales>,
}

/// Seats of a category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CategorySales {
    pub(crate) category: String,
    pub(crate) price: i64,
    pub(crate) available: u32,
    pub(crate) held: u32,
    pub(crate) sold: u32,
    pub(crate) blocked: u32,
    /// What its sold seats cost together, each at its own price.
    pub(crate) revenue: i64,
}

/// booking-svc sells other seats than the plan has.
#[derive(Debug, thiserror::Error)]
#[error("booking-svc's seats of show {show_id} aren't those of its plan")]
struct OtherSeats {
    show_id: ShowId,
}

impl Catalog {
    pub(crate) async fn show_sales(
        &self,
        actor: Actor,
        on_behalf: &OnBehalf,
        show_id: ShowId,
    ) -> Result<Sales, Failure> {
        let show = changeable(actor, store::shows::find(&self.pool, show_id).await?)?;
        if show.state == ShowState::Draft {
            return Err(Failure::new(
                ErrorCode::InvalidState,
                "a show that was never on sale has no sales",
            ));
        }
        let _permit = self.large_read_permit().await;
        let availability = match self.inventory.availability(on_behalf, show_id).await {
            // A draft that was called off was never opened.
            Err(failure) if failure.code() == ErrorCode::ShowNotFound => {
                return Err(Failure::new(
                    ErrorCode::InvalidState,
                    "a show that was never on sale has no sales",
                ));
            }
            answer => answer?,
        };
        let mut connection = self.pool.acquire().await.map_err(store::Error::from)?;
        let seats = seat_map::seats(&mut connection, show.plan_id).await?;
        drop(connection);
        let categories = seat_map::categories(&self.pool, show.plan_id).await?;
        let categories = tally(&show, categories, &seats, &availability.seats)?;
        Ok(Sales {
            show,
            revision: availability.revision,
            state: availability.show_state,
            categories,
        })
    }
}

/// Both lists of seats are in seat order.
fn tally(
    show: &Show,
    categories: Vec<seat_map::Category>,
    seats: &[seat_map::Seat],
    states: &[SeatAvailability],
) -> Result<Vec<CategorySales>, Failure> {
    let prices = PriceList::new(&show.prices, &show.exact_prices);
    let mut sales: Vec<CategorySales> = categories
        .into_iter()
        .map(|category| CategorySales {
            price: prices.of_category(&category.name).unwrap_or_default(),
            category: category.name,
            ..CategorySales::default()
        })
        .collect();
    let index: HashMap<String, usize> = sales
        .iter()
        .enumerate()
        .map(|(index, sales)| (sales.category.clone(), index))
        .collect();
    let show_id = show.show_id;
    let other = || Failure::internal(&OtherSeats { show_id });
    if seats.len() != states.len() {
        return Err(other());
    }
    for (seat, told) in seats.iter().zip(states) {
        let of = index.get(&seat.category).and_then(|at| sales.get_mut(*at));
        let (Some(of), Ok(state), true) = (of, told.state.parse(), seat.label == told.seat_id)
        else {
            return Err(other());
        };
        match state {
            SeatState::Available => of.available += 1,
            SeatState::Held => of.held += 1,
            SeatState::Sold => {
                of.sold += 1;
                // Prices are bounded by PRICE_MAX and seats by SEATS_PER_SHOW_MAX: far below 2^63.
                of.revenue = of
                    .revenue
                    .saturating_add(prices.of(seat).unwrap_or_default());
            }
            SeatState::Blocked => of.blocked += 1,
        }
    }
    Ok(sales)
}
