//! Loans: who may make shows with another's plan.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{PlanId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::refused;
use crate::{
    call::Caller,
    extract::{PathId, PathIds},
    failure::ApiError,
    server::Shared,
    wire,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct Loan {
    /// The account, as its own `me` says.
    user_id: Uuid,
    lent_at: DateTime<Utc>,
}

/// Whom a plan is lent to; at most 1,000.
#[derive(Serialize, ToSchema)]
pub(crate) struct Loans {
    items: Vec<Loan>,
}

/// Lend a plan
///
/// That account may make shows with it from then on. It sees neither the plan's file nor your shows.
#[utoipa::path(
    put, path = "/plans/{plan_id}/loans/{user_id}", tag = "organising",
    params(("plan_id" = Uuid, Path), ("user_id" = Uuid, Path, description = "The account, as its own `me` says.")),
    responses((status = 204, description = "It is lent.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "PLAN_NOT_FOUND", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn lend_plan(
    State(app): State<Shared>,
    caller: Caller,
    PathIds(plan_id, user_id): PathIds<PlanId, UserId>,
) -> Result<StatusCode, ApiError> {
    let request = pb::LendPlanRequest {
        plan_id: plan_id.to_bytes().to_vec(),
        user_id: user_id.to_bytes().to_vec(),
    };
    let answer = app.catalog.clone().lend_plan(caller.request(request)).await;
    answer.map_err(|status| refused(&status))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a lent plan back
///
/// Shows that were made with it stay.
#[utoipa::path(
    delete, path = "/plans/{plan_id}/loans/{user_id}", tag = "organising",
    params(("plan_id" = Uuid, Path), ("user_id" = Uuid, Path, description = "The account that it was lent to.")),
    responses((status = 204, description = "It isn't lent to that account.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "PLAN_NOT_FOUND"]))),
)]
pub(crate) async fn take_plan_back(
    State(app): State<Shared>,
    caller: Caller,
    PathIds(plan_id, user_id): PathIds<PlanId, UserId>,
) -> Result<StatusCode, ApiError> {
    let request = pb::TakePlanBackRequest {
        plan_id: plan_id.to_bytes().to_vec(),
        user_id: user_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .take_plan_back(caller.request(request))
        .await;
    answer.map_err(|status| refused(&status))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whom a plan is lent to
#[utoipa::path(
    get, path = "/plans/{plan_id}/loans", tag = "organising",
    params(("plan_id" = Uuid, Path)),
    responses((status = 200, description = "All loans of it.", body = Loans)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "PLAN_NOT_FOUND"]))),
)]
pub(crate) async fn list_loans(
    State(app): State<Shared>,
    caller: Caller,
    PathId(plan_id): PathId<PlanId>,
) -> Result<Json<Loans>, ApiError> {
    let request = pb::ListPlanLoansRequest {
        plan_id: plan_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .list_plan_loans(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let loans = answer.loans.into_iter().map(|loan| {
        Ok(Loan {
            user_id: wire::id(&loan.user_id, "user_id")?,
            lent_at: wire::utc(loan.lent_at_ms)?,
        })
    });
    Ok(Json(Loans {
        items: loans.collect::<Result<_, ApiError>>()?,
    }))
}
