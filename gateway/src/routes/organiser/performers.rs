//! Performers: who is on at an organiser's events.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::PerformerId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{given, made, refused, refused_to_make, tagged};
use crate::{
    call::Caller,
    conditional,
    extract::{Body, IdempotencyKey, Params, PathId},
    failure::ApiError,
    routes::catalog::shapes::{Performer, performer},
    server::Shared,
    wire::{Page, required},
};

/// Who is on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPerformer {
    #[schema(min_length = 1, max_length = 400, example = "The Harbour Lights")]
    name: String,
}

/// What is to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerformerChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 400, example = "The Harbour Lights")]
    name: Option<String>,
}

/// Make a performer
///
/// To be named by your events. The same `Idempotency-Key` and body again change nothing, and are answered
/// with the performer as it is by then.
#[utoipa::path(
    post, path = "/performers", tag = "organising",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255)),
    request_body = NewPerformer,
    responses(
        (status = 201, description = "The performer.", body = Performer, headers(("Location" = String), ("ETag" = String))),
        (status = 200, description = "The key was known: the performer that it made.", body = Performer, headers(("ETag" = String))),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN"
    ]))),
)]
pub(crate) async fn create_performer(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Body(body): Body<NewPerformer>,
) -> Result<Response, ApiError> {
    let request = pb::CreatePerformerRequest {
        performer: Some(pb::Performer {
            performer_id: Vec::new(),
            name: body.name,
            version: String::new(),
        }),
        idempotency_key: key,
    };
    let answer = app
        .catalog
        .clone()
        .create_performer(caller.request(request))
        .await;
    let answer = answer
        .map_err(|status| refused_to_make(&status))?
        .into_inner();
    let there = required(answer.performer, "performer")?;
    let version = there.version.clone();
    let performer = performer(there)?;
    let location = format!("performers/{}", performer.performer_id);
    made(answer.replayed, &location, &version, performer)
}

/// One of your performers
///
/// Its `ETag` is what `PATCH performers/{performer_id}` takes as `If-Match`.
#[utoipa::path(
    get, path = "/performers/{performer_id}", tag = "organising",
    params(("performer_id" = Uuid, Path)),
    responses((status = 200, description = "The performer.", body = Performer, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "PERFORMER_NOT_FOUND"]))),
)]
pub(crate) async fn get_performer(
    State(app): State<Shared>,
    caller: Caller,
    PathId(performer_id): PathId<PerformerId>,
) -> Result<Response, ApiError> {
    let request = pb::GetPerformerRequest {
        performer_id: performer_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .get_performer(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let there = required(answer.performer, "performer")?;
    let version = there.version.clone();
    tagged(&version, performer(there)?)
}

/// Change a performer
///
/// Your events that name it say so at once; search finds their shows by it within seconds.
#[utoipa::path(
    patch, path = "/performers/{performer_id}", tag = "organising",
    params(
        ("performer_id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what the change is made to: if it was changed meanwhile, the answer is 412. Without it the change is made to whatever there is."),
    ),
    request_body = PerformerChange,
    responses((status = 200, description = "The performer as it is now.", body = Performer, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "PERFORMER_NOT_FOUND", "PRECONDITION_FAILED"
    ]))),
)]
pub(crate) async fn update_performer(
    State(app): State<Shared>,
    caller: Caller,
    PathId(performer_id): PathId<PerformerId>,
    headers: HeaderMap,
    Body(body): Body<PerformerChange>,
) -> Result<Response, ApiError> {
    let if_version = conditional::if_match(&headers)?.unwrap_or_default();
    let Some(name) = body.name else {
        return Err(ApiError::invalid("body", "names nothing to change"));
    };
    let request = pb::UpdatePerformerRequest {
        performer: Some(pb::Performer {
            performer_id: performer_id.to_bytes().to_vec(),
            name,
            version: String::new(),
        }),
        fields: vec!["name".to_owned()],
        if_version,
    };
    let answer = app
        .catalog
        .clone()
        .update_performer(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let there = required(answer.performer, "performer")?;
    let version = there.version.clone();
    tagged(&version, performer(there)?)
}

/// Your performers
#[utoipa::path(
    get, path = "/performers", tag = "organising",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of your performers.", body = Page<Performer>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_performers(
    State(app): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Page<Performer>>, ApiError> {
    let request = pb::ListOwnPerformersRequest {
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .catalog
        .clone()
        .list_own_performers(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let items = answer.performers.into_iter().map(performer);
    Ok(Json(Page::new(
        items.collect::<Result<_, _>>()?,
        answer.next_cursor,
    )))
}
