//! Performers: who is on at an organiser's events.

use axum::{Json, extract::State, response::Response};
use holdfast_proto::catalog::v1 as pb;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{made, refused, refused_to_make};
use crate::{
    call::Caller,
    extract::{Body, IdempotencyKey, Params},
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

/// Make a performer
///
/// To be named by your events. The same `Idempotency-Key` and body again change nothing.
#[utoipa::path(
    post, path = "/performers", tag = "organising",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255)),
    request_body = NewPerformer,
    responses(
        (status = 201, description = "The performer.", body = Performer, headers(("Location" = String))),
        (status = 200, description = "The key was known: the performer that it made.", body = Performer),
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
    let performer = performer(required(answer.performer, "performer")?)?;
    // They are read in lists and with events alone.
    made(answer.replayed, "performers", "", performer)
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
