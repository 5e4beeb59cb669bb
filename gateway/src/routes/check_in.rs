//! The door: a ticket's code is scanned, and whoever has it comes in, once.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use holdfast_proto::booking::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Caller,
    extract::{Body, IdempotencyKey},
    failure::ApiError,
    server::Shared,
    wire,
};

/// A code that was scanned.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scan {
    /// What the ticket's QR code says: `qr_payload` of the ticket.
    #[schema(max_length = 512)]
    code: String,
    /// The show at this door; whichever unless said.
    show_id: Option<Uuid>,
}

/// What the scan found.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckedIn {
    /// ADMITTED, ALREADY_USED, VOID (given back or refunded), OTHER_SHOW (than the one at this door). Only
    /// with ADMITTED does somebody come in.
    #[schema(example = "ADMITTED")]
    result: String,
    ticket_id: Uuid,
    show_id: Uuid,
    #[schema(example = "GROUND-3-A-7")]
    seat_id: String,
    #[schema(example = "GROUND-3")]
    section: String,
    /// When somebody came in with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_at: Option<DateTime<Utc>>,
}

/// Let somebody in
///
/// Checks a ticket's code and uses the ticket, which lets in once. The scan that let somebody in, sent again
/// with its key, is answered so again. For the show's organiser, and for staff.
#[utoipa::path(
    post, path = "/checkin", tag = "organising",
    params(("Idempotency-Key" = String, Header, description = "Names this scan.", min_length = 1, max_length = 255, pattern = r"^[!-~]+$")),
    request_body = Scan,
    responses((status = 200, description = "What the scan found.", body = CheckedIn)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn check_in(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(scan): Body<Scan>,
) -> Result<Json<CheckedIn>, ApiError> {
    let request = pb::CheckInRequest {
        code: scan.code,
        show_id: scan
            .show_id
            .map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
        idempotency_key,
    };
    let answer = app.sales.clone().check_in(caller.request(request)).await?;
    let checked = answer.into_inner();
    Ok(Json(CheckedIn {
        result: checked.result,
        ticket_id: wire::id(&checked.ticket_id, "ticket_id")?,
        show_id: wire::id(&checked.show_id, "show_id")?,
        seat_id: checked.seat_id,
        section: checked.section,
        used_at: checked.used_at_ms.map(wire::utc).transpose()?,
    }))
}
