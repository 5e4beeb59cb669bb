//! An organiser's events: what they say about themselves, whether or not others see them yet.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{EventId, PerformerId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{given, made, refused, refused_to_make, tagged};
use crate::{
    call::Caller,
    conditional,
    extract::{Body, IdempotencyKey, Params, PathId, body_id},
    failure::ApiError,
    routes::catalog::shapes::{Event, event},
    server::Shared,
    wire::{Page, required},
};

/// What kind of event, from broad to narrow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClassification {
    #[schema(min_length = 1, max_length = 120, example = "Arts & Theatre")]
    segment: String,
    #[serde(default)]
    #[schema(max_length = 120, example = "Classical")]
    genre: Option<String>,
    /// Not without a genre.
    #[serde(default)]
    #[schema(max_length = 120, example = "Opera")]
    sub_genre: Option<String>,
}

impl From<NewClassification> for pb::Classification {
    fn from(words: NewClassification) -> Self {
        Self {
            segment: words.segment,
            genre: words.genre.unwrap_or_default(),
            sub_genre: words.sub_genre.unwrap_or_default(),
        }
    }
}

/// What is on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvent {
    #[schema(min_length = 1, max_length = 400, example = "Summer Night Concert")]
    title: String,
    #[serde(default)]
    #[schema(max_length = 20_000, example = "Two hours under the sky.")]
    description: String,
    /// One of `categories`.
    #[schema(pattern = "^[a-z][a-z0-9-]*$", max_length = 32, example = "music")]
    category: String,
    #[serde(default)]
    classification: Option<NewClassification>,
    /// Performers of yours, in the order of the bill; none twice.
    #[serde(default)]
    #[schema(value_type = Vec<Uuid>, max_items = 50)]
    performer_ids: Vec<String>,
    /// A picture, `https`.
    #[serde(default)]
    #[schema(
        format = "uri",
        max_length = 2_000,
        example = "https://images.example/concert.jpg"
    )]
    image_url: Option<String>,
}

/// What is to change; what isn't named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 400, example = "Summer Night Concert")]
    title: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, max_length = 20_000)]
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, pattern = "^[a-z][a-z0-9-]*$", max_length = 32, example = "music")]
    category: Option<String>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<NewClassification>, required = false)]
    classification: Option<Option<NewClassification>>,
    /// All of the bill, in its order.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<Uuid>, required = false, max_items = 50)]
    performer_ids: Option<Vec<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, required = false, format = "uri", max_length = 2_000)]
    image_url: Option<Option<String>>,
}

fn bill(performer_ids: &[String]) -> Result<Vec<pb::Performer>, ApiError> {
    let performers = performer_ids.iter().enumerate().map(|(index, text)| {
        let id: PerformerId = body_id(&format!("performer_ids[{index}]"), text)?;
        Ok(pb::Performer {
            performer_id: id.to_bytes().to_vec(),
            ..pb::Performer::default()
        })
    });
    performers.collect()
}

impl EventChange {
    fn into_request(
        self,
        event_id: EventId,
        if_version: String,
    ) -> Result<pb::UpdateEventRequest, ApiError> {
        let mut fields = Vec::new();
        let mut changes = |name: &str, given: bool| {
            if given {
                fields.push(name.to_owned());
            }
        };
        changes("title", self.title.is_some());
        changes("description", self.description.is_some());
        changes("category", self.category.is_some());
        changes("classification", self.classification.is_some());
        changes("performers", self.performer_ids.is_some());
        changes("image_url", self.image_url.is_some());
        if fields.is_empty() {
            return Err(ApiError::invalid("body", "names nothing to change"));
        }
        let event = pb::Event {
            event_id: event_id.to_bytes().to_vec(),
            title: self.title.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            category: self.category.unwrap_or_default(),
            classification: self.classification.flatten().map(Into::into),
            performers: bill(&self.performer_ids.unwrap_or_default())?,
            version: String::new(),
            category_path: Vec::new(),
            image_url: self.image_url.flatten().unwrap_or_default(),
        };
        Ok(pb::UpdateEventRequest {
            event: Some(event),
            fields,
            if_version,
        })
    }
}

/// Make an event
///
/// Nobody else sees it until it has a show that is announced or on sale. The same `Idempotency-Key` and
/// body again change nothing, and are answered with the event as it is by then.
#[utoipa::path(
    post, path = "/events", tag = "organising",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255)),
    request_body = NewEvent,
    responses(
        (status = 201, description = "The event.", body = Event, headers(("Location" = String), ("ETag" = String))),
        (status = 200, description = "The key was known: the event that it made.", body = Event, headers(("ETag" = String))),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN"
    ]))),
)]
pub(crate) async fn create_event(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Body(body): Body<NewEvent>,
) -> Result<Response, ApiError> {
    let new = pb::Event {
        event_id: Vec::new(),
        title: body.title,
        description: body.description,
        category: body.category,
        classification: body.classification.map(Into::into),
        performers: bill(&body.performer_ids)?,
        version: String::new(),
        category_path: Vec::new(),
        image_url: body.image_url.unwrap_or_default(),
    };
    let request = pb::CreateEventRequest {
        event: Some(new),
        idempotency_key: key,
    };
    let answer = app
        .catalog
        .clone()
        .create_event(caller.request(request))
        .await;
    let answer = answer
        .map_err(|status| refused_to_make(&status))?
        .into_inner();
    let there = required(answer.event, "event")?;
    let version = there.version.clone();
    let event = event(there)?;
    let location = format!("me/events/{}", event.event_id);
    made(answer.replayed, &location, &version, event)
}

/// Change an event
///
/// Its shows say so at once, those on sale too; what was sold keeps the title that it was sold under.
#[utoipa::path(
    patch, path = "/events/{event_id}", tag = "organising",
    params(
        ("event_id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what the change is made to: if it was changed meanwhile, the answer is 412. Without it the change is made to whatever there is."),
    ),
    request_body = EventChange,
    responses((status = 200, description = "The event as it is now.", body = Event, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "EVENT_NOT_FOUND", "PRECONDITION_FAILED"
    ]))),
)]
pub(crate) async fn update_event(
    State(app): State<Shared>,
    caller: Caller,
    PathId(event_id): PathId<EventId>,
    headers: HeaderMap,
    Body(body): Body<EventChange>,
) -> Result<Response, ApiError> {
    let if_version = conditional::if_match(&headers)?.unwrap_or_default();
    let request = body.into_request(event_id, if_version)?;
    let answer = app
        .catalog
        .clone()
        .update_event(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let there = required(answer.event, "event")?;
    let version = there.version.clone();
    tagged(&version, event(there)?)
}

/// Your events
///
/// Whether or not others see them.
#[utoipa::path(
    get, path = "/me/events", tag = "organising",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of your events.", body = Page<Event>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_my_events(
    State(app): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Page<Event>>, ApiError> {
    let request = pb::ListOwnEventsRequest {
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .catalog
        .clone()
        .list_own_events(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let items = answer.events.into_iter().map(event);
    Ok(Json(Page::new(
        items.collect::<Result<_, _>>()?,
        answer.next_cursor,
    )))
}

/// One of your events
///
/// Its `ETag` is what `PATCH events/{event_id}` takes as `If-Match`.
#[utoipa::path(
    get, path = "/me/events/{event_id}", tag = "organising",
    params(("event_id" = Uuid, Path)),
    responses((status = 200, description = "The event.", body = Event, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "EVENT_NOT_FOUND"]))),
)]
pub(crate) async fn get_my_event(
    State(app): State<Shared>,
    caller: Caller,
    PathId(event_id): PathId<EventId>,
) -> Result<Response, ApiError> {
    let request = pb::GetOwnEventRequest {
        event_id: event_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .get_own_event(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let there = required(answer.event, "event")?;
    let version = there.version.clone();
    tagged(&version, event(there)?)
}
