//! Money back to everybody who has tickets of a show that was called off.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use holdfast_proto::booking::v1 as pb;
use holdfast_types::ShowId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::refused;
use crate::{
    call::Caller,
    extract::PathId,
    failure::ApiError,
    server::Shared,
    wire::{Money, required},
};

/// How far the refunding of a show's bookings is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShowRefunds {
    show_id: Uuid,
    /// NOT_ASKED, RUNNING, FINISHED.
    #[schema(example = "RUNNING")]
    state: String,
    /// Confirmed bookings when it was asked for; 0 before.
    #[schema(example = 212)]
    bookings: u32,
    /// Confirmed bookings that have yet to be refunded; of one that has FINISHED, those that were left
    /// because a ticket of theirs was used.
    #[schema(example = 40)]
    bookings_left: u32,
    #[schema(example = 93)]
    seats_left: u32,
    /// What was paid for those.
    amount_left: Money,
    /// Refunds of the show's bookings, for whatever reason, whose money hasn't gone yet.
    #[schema(example = 12)]
    refunds_under_way: u32,
}

async fn ask(
    app: &Shared,
    caller: &Caller,
    show_id: ShowId,
    dry_run: bool,
) -> Result<ShowRefunds, ApiError> {
    let request = pb::RefundShowRequest {
        show_id: show_id.to_bytes().to_vec(),
        dry_run,
    };
    let answer = app
        .inventory
        .clone()
        .refund_show(caller.request(request))
        .await;
    let progress = answer.map_err(|status| refused(&status))?.into_inner();
    let left = required(progress.amount_left, "amount_left")?;
    Ok(ShowRefunds {
        show_id: show_id.as_uuid(),
        state: progress.state,
        bookings: progress.bookings,
        bookings_left: progress.bookings_left,
        seats_left: progress.seats_left,
        amount_left: Money {
            amount: left.amount,
            currency: left.currency,
        },
        refunds_under_way: progress.refunds_under_way,
    })
}

/// Refund a show that was called off
///
/// Every confirmed booking of it: its tickets are void, and what was paid goes back. That happens in the
/// background; asked for again, this says how far it is, and looks once more for bookings that are left when
/// it had finished.
#[utoipa::path(
    post, path = "/shows/{show_id}/refunds", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 202, description = "It is under way.", body = ShowRefunds, headers(("Location" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn refund_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    let progress = ask(&app, &caller, show_id, false).await?;
    let location = [(header::LOCATION, path(show_id))];
    Ok((StatusCode::ACCEPTED, location, Json(progress)).into_response())
}

/// How far a show's refunds are
///
/// Before they are asked for, of a show in any state: what there would be to refund.
#[utoipa::path(
    get, path = "/shows/{show_id}/refunds", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "How far it is.", body = ShowRefunds)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND"]))),
)]
pub(crate) async fn get_show_refunds(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Json<ShowRefunds>, ApiError> {
    ask(&app, &caller, show_id, true).await.map(Json)
}

/// Where a show's refunds are asked for.
pub(super) fn path(show_id: ShowId) -> String {
    format!("/api/v1/shows/{show_id}/refunds")
}
