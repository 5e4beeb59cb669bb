//! Holding seats.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_proto::{booking::v1 as pb, catalog::v1::GetShowRequest};
use holdfast_types::{ErrorCode, ShowId, limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Caller,
    extract::{Body, IdempotencyKey, PathId},
    failure::ApiError,
    server::{App, Shared},
    wire::{self, ChargedFee, Money, required},
};

/// What to hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    #[schema(value_type = Uuid)]
    show_id: String,
    /// As the seat map has them; none twice. Either these, or `area`, or `best_available`. A companion's
    /// seat only together with an accessible one.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 64, example = json!(["GROUND-3-A-7", "GROUND-3-A-8"]))]
    seat_ids: Vec<String>,
    #[serde(default)]
    area: Option<AreaPlaces>,
    #[serde(default)]
    best_available: Option<BestAvailable>,
}

/// Places of a standing area: the lowest free ones are given out when they are held.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AreaPlaces {
    /// As the seat map has it.
    #[schema(example = "GOLDEN")]
    name: String,
    #[schema(minimum = 1, maximum = 64, example = 2)]
    count: u32,
}

/// The best seats there are, chosen when they are held: of one section and one price, nearest to
/// the middle of the foremost row.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BestAvailable {
    #[schema(minimum = 1, maximum = 64, example = 4)]
    count: u32,
    /// Of these only; of any if none is named.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["GROUND"]))]
    sections: Vec<String>,
    /// No seat may cost more; in minor units of the show's currency.
    #[schema(minimum = 0, example = 12_000)]
    max_price: Option<i64>,
    /// Side by side in one row; otherwise in several groups if need be.
    #[serde(default = "yes")]
    adjacent: bool,
    /// From places for wheelchairs and the seats beside them, with such a place in each group; nobody else
    /// is given these.
    #[serde(default)]
    accessible: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Hold {
    /// Opaque.
    #[schema(example = "h_01...")]
    hold_id: String,
    show_id: Uuid,
    #[schema(example = json!(["GROUND-3-A-7", "GROUND-3-A-8"]))]
    seat_ids: Vec<String>,
    /// What is to be paid: the seats and the fees.
    total: Money,
    seats_total: Money,
    /// In the order in which they are to be shown.
    fees: Vec<ChargedFee>,
    expires_at: DateTime<Utc>,
    /// Seconds left when this was first answered.
    #[schema(example = 600)]
    expires_in_s: u32,
    /// When the seats were taken, in the store's history: `availability` shows them as held with
    /// this as `min_revision`.
    #[schema(example = "36028797019029504")]
    revision: String,
}

fn hold(hold: pb::Hold) -> Result<Hold, ApiError> {
    let (total, seats_total, fees) = wire::cost(hold.total, hold.seats_total, hold.fees)?;
    Ok(Hold {
        hold_id: hold.hold_id,
        show_id: wire::id(&hold.show_id, "show_id")?,
        seat_ids: hold.seat_ids,
        total,
        seats_total,
        fees,
        expires_at: wire::utc(hold.expires_at_ms)?,
        expires_in_s: hold.expires_in_s,
        revision: hold.revision.to_string(),
    })
}

impl NewHold {
    /// What needs no look at the show; the rest is the service's to judge.
    fn check(self, idempotency_key: String) -> Result<(ShowId, pb::CreateHoldRequest), ApiError> {
        let show_id: ShowId = self.show_id.parse().map_err(|error| {
            let error: holdfast_types::IdError = error;
            ApiError::invalid("show_id", error.to_string())
        })?;
        let most = limits::SEATS_PER_HOLD_MAX;
        let (chosen, count) = match (&self.best_available, &self.area) {
            (None, None) => ("", 1),
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid("area", "not with `best_available`"));
            }
            (Some(best), None) => ("best_available", best.count),
            (None, Some(area)) => ("area", area.count),
        };
        if chosen.is_empty() {
            check_seats(&self.seat_ids)?;
        } else if !self.seat_ids.is_empty() {
            let why = format!("not with `{chosen}`");
            return Err(ApiError::invalid("seat_ids", why));
        }
        if !(1..=most).contains(&(count as usize)) {
            let why = format!("must be 1 to {most}");
            return Err(ApiError::invalid(&format!("{chosen}.count"), why));
        }
        let best_available = self.best_available.map(|best| pb::BestAvailable {
            count: best.count,
            sections: best.sections,
            max_price: best.max_price,
            adjacent: best.adjacent,
            accessible: best.accessible,
        });
        let area = self.area.map(|area| pb::AreaPlaces {
            name: area.name,
            count: area.count,
        });
        let request = pb::CreateHoldRequest {
            show_id: show_id.to_bytes().to_vec(),
            seat_ids: self.seat_ids,
            idempotency_key,
            best_available,
            area,
        };
        Ok((show_id, request))
    }
}

fn check_seats(seat_ids: &[String]) -> Result<(), ApiError> {
    if !(1..=limits::SEATS_PER_HOLD_MAX).contains(&seat_ids.len()) {
        let why = format!("must name 1 to {} seats", limits::SEATS_PER_HOLD_MAX);
        return Err(ApiError::invalid("seat_ids", why));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(again) = seat_ids.iter().position(|seat| !seen.insert(seat)) {
        let field = format!("seat_ids[{again}]");
        return Err(ApiError::invalid(&field, "is there twice"));
    }
    Ok(())
}

/// Hold seats
///
/// Holds all the seats named, or as many of the best or of an area's places as asked for, or none, for some
/// minutes. The
/// same `Idempotency-Key` and body again get the same answer and hold nothing twice.
#[utoipa::path(
    post, path = "/holds", tag = "buying",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255, pattern = r"^[!-~]+$")),
    request_body = NewHold,
    responses(
        (status = 201, description = "The seats are yours until `expires_at`.", body = Hold, headers(("Location" = String))),
        (status = 200, description = "The key was known: the answer given then. A first request may get it, too, where its work was done twice on the way.", body = Hold),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN",
        "SHOW_NOT_FOUND", "SEAT_NOT_FOUND", "SHOW_NOT_ON_SALE", "SEAT_LOCKED",
        "SEAT_NOT_AVAILABLE", "SEAT_LIMIT_EXCEEDED", "LEAVES_LONE_SEAT"
    ]))),
)]
pub(crate) async fn create_hold(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(body): Body<NewHold>,
) -> Result<Response, ApiError> {
    let (show_id, request) = body.check(idempotency_key)?;
    let answer = app
        .booking
        .clone()
        .create_hold(caller.request(request))
        .await;
    let answer = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(refused(&app, &caller, show_id, &status).await),
    };
    let hold = hold(required(answer.hold, "hold")?)?;
    if answer.replayed {
        return Ok(Json(hold).into_response());
    }
    let location = format!("/api/v1/holds/{}", hold.hold_id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(hold),
    )
        .into_response())
}

/// Why nothing is held. booking-svc knows no show that was never for sale; the catalogue may have
/// announced it.
async fn refused(app: &App, caller: &Caller, show_id: ShowId, status: &tonic::Status) -> ApiError {
    let failure = Failure::from_status(status);
    if failure.code() != ErrorCode::ShowNotFound {
        return failure.into();
    }
    let request = caller.request(GetShowRequest {
        show_id: show_id.to_bytes().to_vec(),
    });
    match app.catalog.clone().get_show(request).await {
        Ok(_) => ApiError::new(ErrorCode::ShowNotOnSale, "this show isn't on sale"),
        Err(_) => failure.into(),
    }
}

/// One of your holds
#[utoipa::path(
    get, path = "/holds/{hold_id}", tag = "buying",
    params(("hold_id" = String, Path)),
    responses((status = 200, description = "The hold.", body = Hold)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "HOLD_NOT_FOUND", "HOLD_EXPIRED", "INVALID_STATE"]))),
)]
pub(crate) async fn get_hold(
    State(app): State<Shared>,
    caller: Caller,
    PathId(hold_id): PathId<String>,
) -> Result<Json<Hold>, ApiError> {
    let request = caller.request(pb::GetHoldRequest { hold_id });
    let answer = app.booking.clone().get_hold(request).await?.into_inner();
    Ok(Json(hold(required(answer.hold, "hold")?)?))
}

/// Give seats back
///
/// Ends a hold that isn't booked. Of a booked one cancel the booking.
#[utoipa::path(
    delete, path = "/holds/{hold_id}", tag = "buying",
    params(("hold_id" = String, Path)),
    responses((status = 204, description = "The seats are free.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "HOLD_NOT_FOUND", "INVALID_STATE"]))),
)]
pub(crate) async fn release_hold(
    State(app): State<Shared>,
    caller: Caller,
    PathId(hold_id): PathId<String>,
) -> Result<StatusCode, ApiError> {
    app.booking
        .clone()
        .release_hold(caller.request(pb::ReleaseHoldRequest { hold_id }))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keep a hold for longer
///
/// Lengthens a hold by up to its first duration from now, within the show's longest total.
#[utoipa::path(
    post, path = "/holds/{hold_id}/extend", tag = "buying",
    params(("hold_id" = String, Path)),
    responses((status = 200, description = "The hold with its new end.", body = Hold)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "HOLD_NOT_FOUND", "HOLD_EXPIRED", "SHOW_NOT_ON_SALE", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn extend_hold(
    State(app): State<Shared>,
    caller: Caller,
    PathId(hold_id): PathId<String>,
) -> Result<Json<Hold>, ApiError> {
    let request = caller.request(pb::ExtendHoldRequest { hold_id });
    let answer = app.booking.clone().extend_hold(request).await?.into_inner();
    Ok(Json(hold(required(answer.hold, "hold")?)?))
}
