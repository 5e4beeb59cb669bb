//! Seating plans: files of the pretix format, in and out.

use axum::{
    Json,
    body::Bytes,
    extract::{
        FromRequest, Request, State,
        rejection::{BytesRejection, FailedToBufferBody},
    },
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{ErrorCode, PlanId, VenueId};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{made, refused, refused_to_make};
use crate::{
    call::{Caller, Roles},
    extract::{IdempotencyKey, Params, PathId, is_json},
    failure::ApiError,
    server::{App, Shared},
    wire::{self, Page},
};

/// Largest file that is read, in bytes; catalog-svc's bound.
pub(super) const PLAN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A plan's file as it came, and the place that it has among those being read.
pub(crate) struct PlanFile {
    bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

impl FromRequest<Shared> for PlanFile {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let message = "send the file with `content-type: application/json`";
            return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
        }
        let roles = request.extensions().get::<Roles>();
        if !roles.is_some_and(Roles::may_have_plans) {
            let message = "plans are imported by organisers and owners of venues";
            return Err(ApiError::new(ErrorCode::Forbidden, message));
        }
        let place = Arc::clone(&app.uploads).try_acquire_owned();
        let place = place.map_err(|_| {
            let message = "too many plans are being imported; try again";
            ApiError::new(ErrorCode::Unavailable, message)
        })?;
        match Bytes::from_request(request, app).await {
            Ok(bytes) => Ok(Self {
                bytes,
                _place: place,
            }),
            Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_))) => {
                let message = format!("the file may have {PLAN_BYTES_MAX} bytes at most");
                Err(ApiError::new(ErrorCode::PayloadTooLarge, message))
            }
            Err(_) => Err(ApiError::invalid("body", "could not be read to its end")),
        }
    }
}

/// A file of the pretix seating-plan format. What else it says is kept and given out again. Two things of ours
/// may be in it, which pretix ignores: a seat's `holdfast_kind` (`standard` unless said, `accessible`,
/// `companion`), and an area's `holdfast_standing` (`name`, `capacity`, `category`), which makes of the shape a
/// standing area whose places are sold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what catalog-svc reads")]
pub(crate) struct PretixPlan {
    #[schema(max_length = 120, example = "Stadium")]
    name: Option<String>,
    #[schema(example = json!({"width": 1200, "height": 800}))]
    size: serde_json::Value,
    #[schema(max_items = 100, example = json!([{"name": "Stalls", "color": "#F44336"}]))]
    categories: Vec<serde_json::Value>,
    #[schema(max_items = 1000, example = json!([{
        "name": "Ground floor", "position": {"x": 0, "y": 0}, "rows": [{
            "row_number": "A", "row_number_position": "both", "position": {"x": 0, "y": 0}, "seats": [{
                "seat_number": "1", "seat_guid": "g-a-1", "uuid": "8d2b2d0a-1f0e-4b4e-9f53-0a6f6c6d9f01",
                "position": {"x": 0, "y": 0}, "category": "Stalls", "holdfast_kind": "accessible"
            }]
        }], "areas": [{
            "shape": "rectangle", "position": {"x": 0, "y": 100}, "rectangle": {"width": 300, "height": 150},
            "holdfast_standing": {"name": "Golden circle", "capacity": 500, "category": "Stalls"}
        }]
    }]))]
    zones: Vec<serde_json::Value>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CategoryCount {
    #[schema(example = "Stalls")]
    category: String,
    #[schema(example = 738)]
    seats: u32,
}

/// What came of a file.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedPlan {
    /// Null of a `dry_run`.
    #[schema(required = true)]
    plan_id: Option<Uuid>,
    #[schema(example = "Stadium")]
    name: String,
    #[schema(example = 738)]
    seat_count: u32,
    /// Those that seats use: what a show has prices for.
    categories: Vec<CategoryCount>,
    /// What was read differently from how it is written.
    warnings: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Plan {
    plan_id: Uuid,
    venue_id: Uuid,
    #[schema(example = "Stadium")]
    name: String,
    #[schema(example = 738)]
    seat_count: u32,
    /// Those that seats use: what a show has prices for.
    categories: Vec<CategoryCount>,
    /// It is another's, who lent it to you.
    #[schema(example = false)]
    lent: bool,
}

fn plan(plan: pb::Plan) -> Result<Plan, ApiError> {
    Ok(Plan {
        plan_id: wire::id(&plan.plan_id, "plan_id")?,
        venue_id: wire::id(&plan.venue_id, "venue_id")?,
        name: plan.name,
        seat_count: plan.seat_count,
        categories: counts(plan.categories),
        lent: plan.lent,
    })
}

fn counts(categories: Vec<pb::CategoryCount>) -> Vec<CategoryCount> {
    let count = |count: pb::CategoryCount| CategoryCount {
        category: count.category,
        seats: count.seats,
    };
    categories.into_iter().map(count).collect()
}

/// Import a seating plan
///
/// The body is a file of the pretix seating-plan format, at most 8 MiB. Of a file with mistakes each is
/// named in `details.fields` by its place, a JSON pointer (RFC 6901), the first 20 at once. With
/// `dry_run` nothing is kept: a way to check a file. The same `Idempotency-Key`, name and file again
/// change nothing.
#[utoipa::path(
    post, path = "/venues/{venue_id}/plans", tag = "organising",
    params(
        ("venue_id" = Uuid, Path),
        ("name" = Option<String>, Query, description = "The plan's name; the file's own unless said.", max_length = 120),
        ("dry_run" = Option<bool>, Query, description = "Only say what would come of it."),
        ("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255),
    ),
    request_body = PretixPlan,
    responses(
        (status = 201, description = "The plan.", body = ImportedPlan, headers(("Location" = String))),
        (status = 200, description = "The key was known: the plan that it made. Or what would come of it, for a `dry_run`.", body = ImportedPlan),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN", "VENUE_NOT_FOUND"
    ]))),
)]
pub(crate) async fn import_plan(
    State(app): State<Shared>,
    caller: Caller,
    PathId(venue_id): PathId<VenueId>,
    IdempotencyKey(key): IdempotencyKey,
    mut params: Params,
    file: PlanFile,
) -> Result<Response, ApiError> {
    let dry_run = params.flag("dry_run")?;
    let name = params.text("name")?;
    params.finish()?;
    let request = pb::ImportPlanRequest {
        plan_id: Vec::new(),
        venue_id: venue_id.to_bytes().to_vec(),
        name,
        plan_json: file.bytes.to_vec(),
        dry_run,
        idempotency_key: key,
    };
    let answer = app
        .catalog
        .clone()
        .import_plan(caller.request(request))
        .await;
    let answer = answer
        .map_err(|status| refused_to_make(&status))?
        .into_inner();
    let id: Option<Uuid> = match dry_run {
        true => None,
        false => Some(wire::id(&answer.plan_id, "plan_id")?),
    };
    let imported = ImportedPlan {
        plan_id: id,
        name: answer.name,
        seat_count: answer.seat_count,
        categories: counts(answer.categories),
        warnings: answer.warnings,
    };
    let location = id.map(|id| format!("plans/{id}/file"));
    let location = location.unwrap_or_default();
    made(answer.replayed || dry_run, &location, "", imported)
}

/// Your plans of a venue
#[utoipa::path(
    get, path = "/venues/{venue_id}/plans", tag = "organising",
    params(
        ("venue_id" = Uuid, Path),
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of your plans.", body = Page<Plan>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "VENUE_NOT_FOUND"]))),
)]
pub(crate) async fn list_plans(
    State(app): State<Shared>,
    caller: Caller,
    PathId(venue_id): PathId<VenueId>,
    mut params: Params,
) -> Result<Json<Page<Plan>>, ApiError> {
    let request = pb::ListOwnPlansRequest {
        venue_id: venue_id.to_bytes().to_vec(),
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    page(&app, &caller, request).await
}

/// Plans that you may use
///
/// Yours, of every venue, and those that others lent you.
#[utoipa::path(
    get, path = "/me/plans", tag = "organising",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of plans.", body = Page<Plan>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_my_plans(
    State(app): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Page<Plan>>, ApiError> {
    let request = pb::ListOwnPlansRequest {
        venue_id: Vec::new(),
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    page(&app, &caller, request).await
}

async fn page(
    app: &App,
    caller: &Caller,
    request: pb::ListOwnPlansRequest,
) -> Result<Json<Page<Plan>>, ApiError> {
    let answer = app
        .catalog
        .clone()
        .list_own_plans(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let items = answer.plans.into_iter().map(plan);
    Ok(Json(Page::new(
        items.collect::<Result<_, _>>()?,
        answer.next_cursor,
    )))
}

/// Export a seating plan
///
/// A file of the pretix seating-plan format: the one that was imported, byte for byte, or one with the
/// same seats where none was.
#[utoipa::path(
    get, path = "/plans/{plan_id}/file", tag = "organising",
    params(("plan_id" = Uuid, Path)),
    responses((status = 200, description = "The file.", body = PretixPlan)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "PLAN_NOT_FOUND"]))),
)]
pub(crate) async fn export_plan(
    State(app): State<Shared>,
    caller: Caller,
    PathId(plan_id): PathId<PlanId>,
) -> Result<Response, ApiError> {
    let request = pb::ExportPlanRequest {
        plan_id: plan_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .export_plan(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], answer.plan_json).into_response())
}
