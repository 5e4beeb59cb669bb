//! `events` and `shows`: what is on, where the seats are, what they cost. Public and cacheable.

use axum::{extract::State, http::HeaderMap, response::Response};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{EventId, ShowId};

use crate::{
    call::Call,
    conditional,
    extract::{Params, PathId},
    failure::ApiError,
    server::Shared,
    wire::Page,
};

pub(crate) use shapes::{Event, EventPage, SeatMap, Show};
use shapes::{event, show};

pub(crate) mod shapes;

/// List events
///
/// Events with a public show, in an order that stays: by id, descending.
#[utoipa::path(
    get, path = "/events", tag = "catalogue",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "A page of events.", body = Page<Event>, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn list_events(
    State(app): State<Shared>,
    call: Call,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let request = pb::ListEventsRequest {
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .catalog
        .clone()
        .list_events(call.request(request))
        .await?
        .into_inner();
    let items = answer
        .events
        .into_iter()
        .map(event)
        .collect::<Result<_, _>>()?;
    conditional::json(&headers, &Page::new(items, answer.next_cursor))
}

/// One event
///
/// An event with its public shows.
#[utoipa::path(
    get, path = "/events/{event_id}", tag = "catalogue",
    params(
        ("event_id" = Uuid, Path),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "The event.", body = EventPage, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "EVENT_NOT_FOUND"]))),
)]
pub(crate) async fn get_event(
    State(app): State<Shared>,
    call: Call,
    PathId(event_id): PathId<EventId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let page = app.kept.event(&app, &call, event_id).await?;
    Ok(page.answer(&headers))
}

/// List shows
///
/// Public shows by the time they start: those that are or were for sale, and announced ones, whose
/// `state` is DRAFT and of which nothing is for sale yet.
#[utoipa::path(
    get, path = "/shows", tag = "catalogue",
    params(
        ("category" = Option<String>, Query, description = "Only events of this category, or of one that belongs to it.", example = json!("music")),
        ("city" = Option<String>, Query, description = "Only venues in this city; case doesn't count.", example = json!("Berlin")),
        ("from" = Option<String>, Query, description = "Starting then or later, RFC 3339; now unless said.", format = DateTime),
        ("to" = Option<String>, Query, description = "Starting before, RFC 3339.", format = DateTime),
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "A page of shows.", body = Page<Show>, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn list_shows(
    State(app): State<Shared>,
    call: Call,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let from_ms = params.time_ms("from")?;
    let to_ms = params.time_ms("to")?;
    if from_ms.zip(to_ms).is_some_and(|(from, to)| to <= from) {
        return Err(ApiError::invalid("to", "must be later than `from`"));
    }
    let request = pb::ListShowsRequest {
        category: params.text("category")?,
        city: params.text("city")?,
        from_ms,
        to_ms,
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .catalog
        .clone()
        .list_shows(call.request(request))
        .await?
        .into_inner();
    let items = answer
        .shows
        .into_iter()
        .map(show)
        .collect::<Result<_, _>>()?;
    conditional::json(&headers, &Page::new(items, answer.next_cursor))
}

/// One show
#[utoipa::path(
    get, path = "/shows/{show_id}", tag = "catalogue",
    params(
        ("show_id" = Uuid, Path),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "The show.", body = Show, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "SHOW_NOT_FOUND"]))),
)]
pub(crate) async fn get_show(
    State(app): State<Shared>,
    call: Call,
    PathId(show_id): PathId<ShowId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let show = app.kept.show(&app, &call, show_id).await?;
    Ok(show.answer(&headers))
}

/// A show's seat map
///
/// Every seat with its label, position and price, and where standing areas lie. Which are free is `availability`.
#[utoipa::path(
    get, path = "/shows/{show_id}/seatmap", tag = "catalogue",
    params(
        ("show_id" = Uuid, Path),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "The seat map.", body = SeatMap, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "SHOW_NOT_FOUND"]))),
)]
pub(crate) async fn get_seat_map(
    State(app): State<Shared>,
    call: Call,
    PathId(show_id): PathId<ShowId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let map = app.kept.seat_map(&app, &call, show_id).await?;
    Ok(map.answer(&headers))
}
