//! Venues: places that an organiser may plan shows at.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::VenueId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{given, made, refused, refused_to_make, tagged};
use crate::{
    call::Caller,
    conditional,
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

/// What is to change; what isn't named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VenueChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 400, example = "Stadium")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, max_length = 600)]
    address: Option<String>,
    /// Stays once a show at the venue was put on sale.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    city: Option<String>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, required = false, max_length = 40)]
    postal_code: Option<Option<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, required = false, max_length = 200)]
    region: Option<Option<String>>,
    /// ISO 3166-1 alpha-2. Stays once a show at the venue was put on sale.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, pattern = "^[A-Z]{2}$")]
    country: Option<String>,
    /// Stays once a show at the venue was put on sale.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = f64, required = false, minimum = -90, maximum = 90)]
    latitude: Option<f64>,
    /// Stays once a show at the venue was put on sale.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = f64, required = false, minimum = -180, maximum = 180)]
    longitude: Option<f64>,
    /// IANA. Stays once a show at the venue was put on sale.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    time_zone: Option<String>,
}

impl VenueChange {
    fn into_request(
        self,
        venue_id: VenueId,
        if_version: String,
    ) -> Result<pb::UpdateVenueRequest, ApiError> {
        let given = [
            ("name", self.name.is_some()),
            ("address", self.address.is_some()),
            ("city", self.city.is_some()),
            ("postal_code", self.postal_code.is_some()),
            ("region", self.region.is_some()),
            ("country", self.country.is_some()),
            ("latitude", self.latitude.is_some()),
            ("longitude", self.longitude.is_some()),
            ("time_zone", self.time_zone.is_some()),
        ];
        let fields = given.into_iter().filter(|(_, given)| *given);
        let fields: Vec<String> = fields.map(|(name, _)| name.to_owned()).collect();
        if fields.is_empty() {
            return Err(ApiError::invalid("body", "names nothing to change"));
        }
        let venue = pb::Venue {
            venue_id: venue_id.to_bytes().to_vec(),
            name: self.name.unwrap_or_default(),
            address: self.address.unwrap_or_default(),
            city: self.city.unwrap_or_default(),
            postal_code: self.postal_code.flatten().unwrap_or_default(),
            region: self.region.flatten().unwrap_or_default(),
            country: self.country.unwrap_or_default(),
            latitude: self.latitude.unwrap_or_default(),
            longitude: self.longitude.unwrap_or_default(),
            time_zone: self.time_zone.unwrap_or_default(),
            version: String::new(),
        };
        Ok(pb::UpdateVenueRequest {
            venue: Some(venue),
            fields,
            if_version,
        })
    }
}

/// Make a venue
///
/// The same `Idempotency-Key` and body again change nothing, and are answered with the venue as it is by then.
#[utoipa::path(
    post, path = "/venues", tag = "organising",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255)),
    request_body = NewVenue,
    responses(
        (status = 201, description = "The venue.", body = Venue, headers(("Location" = String), ("ETag" = String))),
        (status = 200, description = "The key was known: the venue that it made.", body = Venue, headers(("ETag" = String))),
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
            version: String::new(),
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
    let there = required(answer.venue, "venue")?;
    let version = there.version.clone();
    let venue = venue(there)?;
    let location = format!("venues/{}", venue.venue_id);
    made(answer.replayed, &location, &version, venue)
}

/// Change a venue
///
/// Its shows say so at once, those on sale too. `city`, `country`, `latitude`, `longitude` and `time_zone` stay once
/// a show at the venue was put on sale, or that has begun (409 `INVALID_STATE`, which names such a show): people rely
/// on when and where it is. `name`, `address`, `postal_code` and `region` may change all the same.
#[utoipa::path(
    patch, path = "/venues/{venue_id}", tag = "organising",
    params(
        ("venue_id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what the change is made to: if it was changed meanwhile, the answer is 412. Without it the change is made to whatever there is."),
    ),
    request_body = VenueChange,
    responses((status = 200, description = "The venue as it is now.", body = Venue, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "VENUE_NOT_FOUND", "INVALID_STATE", "PRECONDITION_FAILED"
    ]))),
)]
pub(crate) async fn update_venue(
    State(app): State<Shared>,
    caller: Caller,
    PathId(venue_id): PathId<VenueId>,
    headers: HeaderMap,
    Body(body): Body<VenueChange>,
) -> Result<Response, ApiError> {
    let if_version = conditional::if_match(&headers)?.unwrap_or_default();
    let request = body.into_request(venue_id, if_version)?;
    let answer = app
        .catalog
        .clone()
        .update_venue(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let there = required(answer.venue, "venue")?;
    let version = there.version.clone();
    tagged(&version, venue(there)?)
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
///
/// Its `ETag` is what `PATCH venues/{venue_id}` takes as `If-Match`.
#[utoipa::path(
    get, path = "/venues/{venue_id}", tag = "organising",
    params(("venue_id" = Uuid, Path)),
    responses((status = 200, description = "The venue.", body = Venue, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "VENUE_NOT_FOUND"]))),
)]
pub(crate) async fn get_venue(
    State(app): State<Shared>,
    caller: Caller,
    PathId(venue_id): PathId<VenueId>,
) -> Result<Response, ApiError> {
    let request = pb::GetVenueRequest {
        venue_id: venue_id.to_bytes().to_vec(),
    };
    let answer = app.catalog.clone().get_venue(caller.request(request)).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let there = required(answer.venue, "venue")?;
    let version = there.version.clone();
    tagged(&version, venue(there)?)
}
