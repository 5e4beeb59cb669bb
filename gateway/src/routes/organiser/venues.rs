//! Venues: places that an organiser may plan shows at.

use axum::{Json, extract::State, response::Response};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::VenueId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{made, refused, refused_to_make};
use crate::{
    call::Caller,
    extract::{Body, IdempotencyKey, Params, PathId},
    failure::ApiError,
    routes::catalog::shapes::{Venue, venue},
    server::Shared,
    wire::{Page, required},
};

/// A place.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVenue {
    #[schema(min_length = 1, max_length = 400, example = "Stadium")]
    name: String,
    #[serde(default)]
    #[schema(max_length = 600, example = "Olympischer Platz 3")]
    address: String,
    #[schema(min_length = 1, max_length = 200, example = "Berlin")]
    city: String,
    #[serde(default)]
    #[schema(max_length = 40, example = "14053")]
    postal_code: String,
    /// State, county, Land.
    #[serde(default)]
    #[schema(max_length = 200, example = "Berlin")]
    region: String,
    /// ISO 3166-1 alpha-2.
    #[schema(pattern = "^[A-Z]{2}$", example = "DE")]
    country: String,
    #[schema(minimum = -90, maximum = 90, example = 52.5147)]
    latitude: f64,
    #[schema(minimum = -180, maximum = 180, example = 13.2395)]
    longitude: f64,
    /// IANA; its shows' times are told with its offset.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
}

/// Make a venue
///
/// The same `Idempotency-Key` and body again change nothing.
#[utoipa::path(
    post, path = "/venues", tag = "organising",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255)),
    request_body = NewVenue,
    responses(
        (status = 201, description = "The venue.", body = Venue, headers(("Location" = String))),
        (status = 200, description = "The key was known: the venue that it made.", body = Venue),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN"
    ]))),
)]
pub(crate) async fn create_venue(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Body(body): Body<NewVenue>,
) -> Result<Response, ApiError> {
    let request = pb::CreateVenueRequest {
        venue: Some(pb::Venue {
            venue_id: Vec::new(),
            name: body.name,
            address: body.address,
            city: body.city,
            country: body.country,
            latitude: body.latitude,
            longitude: body.longitude,
            time_zone: body.time_zone,
            postal_code: body.postal_code,
            region: body.region,
        }),
        idempotency_key: key,
    };
    let answer = app
        .catalog
        .clone()
        .create_venue(caller.request(request))
        .await;
    let answer = answer
        .map_err(|status| refused_to_make(&status))?
        .into_inner();
    let venue = venue(required(answer.venue, "venue")?)?;
    let location = format!("venues/{}", venue.venue_id);
    made(answer.replayed, &location, "", venue)
}

/// Your venues
#[utoipa::path(
    get, path = "/venues", tag = "organising",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of your venues.", body = Page<Venue>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_venues(
    State(app): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Page<Venue>>, ApiError> {
    let request = pb::ListOwnVenuesRequest {
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .catalog
        .clone()
        .list_own_venues(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let items = answer.venues.into_iter().map(venue);
    Ok(Json(Page::new(
        items.collect::<Result<_, _>>()?,
        answer.next_cursor,
    )))
}

/// One of your venues
#[utoipa::path(
    get, path = "/venues/{venue_id}", tag = "organising",
    params(("venue_id" = Uuid, Path)),
    responses((status = 200, description = "The venue.", body = Venue)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "VENUE_NOT_FOUND"]))),
)]
pub(crate) async fn get_venue(
    State(app): State<Shared>,
    caller: Caller,
    PathId(venue_id): PathId<VenueId>,
) -> Result<Json<Venue>, ApiError> {
    let request = pb::GetVenueRequest {
        venue_id: venue_id.to_bytes().to_vec(),
    };
    let answer = app.catalog.clone().get_venue(caller.request(request)).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    Ok(Json(venue(required(answer.venue, "venue")?)?))
}
