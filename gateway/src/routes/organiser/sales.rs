//! What became of a show's seats, for its organiser: figures, and seats kept for the house.

use axum::{Json, extract::State};
use holdfast_proto::{booking::v1 as booking, catalog::v1 as pb};
use holdfast_types::ShowId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::refused;
use crate::{
    call::Caller,
    extract::{Body, PathId},
    failure::ApiError,
    server::Shared,
    wire::{self, Money, required},
};

/// Seats that one request blocks or unblocks.
const SEATS_AT_ONCE_MAX: usize = 1_000;

/// Seats by what became of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeatCounts {
    #[schema(example = 600)]
    available: u32,
    #[schema(example = 8)]
    held: u32,
    #[schema(example = 120)]
    sold: u32,
    #[schema(example = 10)]
    blocked: u32,
    /// What the sold seats cost together, without fees; what was given back isn't among them.
    revenue: Money,
}

/// What was taken: bookings that were confirmed, those that ended since too.
#[derive(Serialize, ToSchema)]
pub(crate) struct Takings {
    /// What was paid, fees included.
    gross: Money,
    /// Of it, fees.
    fees: Money,
    /// What goes back of gross, or went.
    refunded: Money,
    /// Gross less refunded.
    net: Money,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CategorySales {
    #[schema(example = "Stalls")]
    category: String,
    price: Money,
    #[serde(flatten)]
    counts: SeatCounts,
    /// For its seats, with the fees for each ticket.
    takings: Takings,
}

/// Of all categories.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotalSales {
    #[serde(flatten)]
    counts: SeatCounts,
    /// Of the categories, and of `per_booking`.
    takings: Takings,
}

/// A show's sales: seats as the lock store has them at one revision, money as it was booked a moment later.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShowSales {
    show_id: Uuid,
    #[schema(example = "36028797019029504")]
    revision: String,
    /// ON_SALE, PAUSED, CLOSED, CANCELLED.
    #[schema(example = "ON_SALE")]
    state: String,
    total: TotalSales,
    categories: Vec<CategorySales>,
    /// Fees that are charged once a booking, which no category has.
    per_booking: Takings,
}

/// Seats of a show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HouseSeats {
    /// As the seat map has them; none twice.
    #[schema(min_items = 1, max_items = 1000, example = json!(["GROUND-3-A-7", "GROUND-3-A-8"]))]
    seat_ids: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedSeats {
    /// How many weren't so before.
    #[schema(example = 2)]
    changed: u32,
    /// `availability` shows it with this as `min_revision`.
    #[schema(example = "36028797019029504")]
    revision: String,
}

/// A show's sales
///
/// Its seats and what was taken, by category: gross, the fees in it, what goes back, and net. A refund counts when
/// it is asked for. Money that came late, twice or wrong and went back was never taken for a seat, and isn't in it.
/// What a bank took back in a dispute isn't taken off. Never cached.
#[utoipa::path(
    get, path = "/shows/{show_id}/sales", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The sales.", body = ShowSales)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn get_show_sales(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Json<ShowSales>, ApiError> {
    let request = pb::GetShowSalesRequest {
        show_id: show_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .get_show_sales(caller.request(request))
        .await;
    let sales = answer.map_err(|status| refused(&status))?.into_inner();
    let request = booking::GetTakingsRequest {
        show_id: show_id.to_bytes().to_vec(),
    };
    let answer = app.sales.clone().get_takings(caller.request(request)).await;
    let taken = answer.map_err(|status| refused(&status))?.into_inner();
    let money = |amount| Money {
        amount,
        currency: sales.currency.clone(),
    };
    let takings = |of: booking::Takings| Takings {
        gross: money(of.gross),
        fees: money(of.fees),
        refunded: money(of.refunded),
        net: money(of.net),
    };
    let of_category = |category: &str| {
        let of = taken.categories.iter().find(|of| of.category == category);
        of.and_then(|of| of.takings).unwrap_or_default()
    };
    let sum = |of: fn(&pb::CategorySales) -> u32| sales.categories.iter().map(of).sum();
    let total = SeatCounts {
        available: sum(|sales| sales.available),
        held: sum(|sales| sales.held),
        sold: sum(|sales| sales.sold),
        blocked: sum(|sales| sales.blocked),
        revenue: money(sales.categories.iter().map(|sales| sales.revenue).sum()),
    };
    let categories = sales.categories.iter().map(|of| CategorySales {
        category: of.category.clone(),
        price: money(of.price),
        counts: SeatCounts {
            available: of.available,
            held: of.held,
            sold: of.sold,
            blocked: of.blocked,
            revenue: money(of.revenue),
        },
        takings: takings(of_category(&of.category)),
    });
    Ok(Json(ShowSales {
        show_id: wire::id(&sales.show_id, "show_id")?,
        revision: sales.revision.to_string(),
        state: sales.state.clone(),
        total: TotalSales {
            counts: total,
            takings: takings(required(taken.total, "total")?),
        },
        categories: categories.collect(),
        per_booking: takings(required(taken.per_booking, "per_booking")?),
    }))
}

/// Keep seats for the house
///
/// Takes seats out of sale, all or none: not those that somebody holds or bought. Those that are blocked
/// already stay so.
#[utoipa::path(
    post, path = "/shows/{show_id}/block", tag = "organising",
    params(("show_id" = Uuid, Path)),
    request_body = HouseSeats,
    responses((status = 200, description = "They are out of sale.", body = ChangedSeats)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "SEAT_NOT_FOUND", "SEAT_LOCKED",
        "SEAT_NOT_AVAILABLE", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn block_seats(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
    Body(body): Body<HouseSeats>,
) -> Result<Json<ChangedSeats>, ApiError> {
    let request = booking::BlockSeatsRequest {
        show_id: show_id.to_bytes().to_vec(),
        seat_ids: body.checked()?,
    };
    let answer = app.sales.clone().block_seats(caller.request(request)).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    Ok(Json(ChangedSeats {
        changed: answer.changed,
        revision: answer.revision.to_string(),
    }))
}

/// Put the house's seats back on sale
///
/// Those that aren't blocked stay as they are.
#[utoipa::path(
    post, path = "/shows/{show_id}/unblock", tag = "organising",
    params(("show_id" = Uuid, Path)),
    request_body = HouseSeats,
    responses((status = 200, description = "None of them is blocked.", body = ChangedSeats)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "SEAT_NOT_FOUND", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn unblock_seats(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
    Body(body): Body<HouseSeats>,
) -> Result<Json<ChangedSeats>, ApiError> {
    let request = booking::UnblockSeatsRequest {
        show_id: show_id.to_bytes().to_vec(),
        seat_ids: body.checked()?,
    };
    let answer = app
        .sales
        .clone()
        .unblock_seats(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    Ok(Json(ChangedSeats {
        changed: answer.changed,
        revision: answer.revision.to_string(),
    }))
}

impl HouseSeats {
    fn checked(self) -> Result<Vec<String>, ApiError> {
        if !(1..=SEATS_AT_ONCE_MAX).contains(&self.seat_ids.len()) {
            let why = format!("must name 1 to {SEATS_AT_ONCE_MAX} seats");
            return Err(ApiError::invalid("seat_ids", why));
        }
        Ok(self.seat_ids)
    }
}
