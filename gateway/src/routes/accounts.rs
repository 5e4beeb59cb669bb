//! `me`: the signed-in account.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use holdfast_proto::identity::v1 as pb;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{call::Caller, failure::ApiError, server::Shared, wire};

#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    user_id: Uuid,
    #[schema(example = "ada@example.org")]
    email: String,
    /// customer, organiser, venue_owner, staff, admin.
    #[schema(example = json!(["customer"]))]
    roles: Vec<String>,
    created_at: DateTime<Utc>,
}

/// Your account
#[utoipa::path(
    get, path = "/me", tag = "accounts",
    responses((status = 200, description = "The account behind the access token.", body = Me)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([]))),
)]
pub(crate) async fn get_me(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<Me>, ApiError> {
    let answer = app
        .identity
        .clone()
        .get_me(caller.request(pb::GetMeRequest {}))
        .await?
        .into_inner();
    Ok(Json(Me {
        user_id: wire::id(&answer.user_id, "user_id")?,
        email: answer.email,
        roles: answer.roles,
        created_at: wire::utc(answer.created_at_ms)?,
    }))
}
