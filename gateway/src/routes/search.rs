//! `search`: shows by words, kind, city, time and place. Public and cacheable for a second.

use axum::{extract::State, http::HeaderMap, response::Response};
use chrono::{DateTime, FixedOffset};
use holdfast_proto::search::v1 as pb;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Call,
    conditional,
    extract::Params,
    failure::ApiError,
    server::Shared,
    wire::{self, Money, Page},
};

/// A circle's radius where none is given, and the largest, in kilometres.
const RADIUS_KM_DEFAULT: u32 = 50;
const RADIUS_KM_MAX: u32 = 1_000;

/// Longest text, in bytes: a line of a search box.
const TEXT_BYTES_MAX: usize = 300;

#[derive(Serialize, ToSchema)]
pub(crate) struct FoundVenue {
    venue_id: Uuid,
    #[schema(example = "Stadium")]
    name: String,
    #[schema(example = "Berlin")]
    city: String,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "DE")]
    country: String,
    #[schema(example = 52.5147)]
    latitude: f64,
    #[schema(example = 13.2395)]
    longitude: f64,
}

/// A show as a list of results says it; all of it is at `shows/{show_id}`.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundShow {
    show_id: Uuid,
    event_id: Uuid,
    #[schema(example = "Summer Night Concert")]
    title: String,
    /// One word, lower case.
    #[schema(example = "music")]
    category: String,
    venue: FoundVenue,
    /// With the venue's offset.
    #[schema(example = "2026-07-15T20:00:00+02:00")]
    starts_at: DateTime<FixedOffset>,
    /// The venue's, IANA.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// ON_SALE, PAUSED, CLOSED, CANCELLED.
    #[schema(example = "ON_SALE")]
    state: String,
    /// The lowest price; null where there is none.
    #[schema(required = true)]
    price_from: Option<Money>,
    /// From `near`, in kilometres; null without it.
    #[schema(required = true, example = 3.2)]
    distance_km: Option<f64>,
}

fn found(show: &pb::FoundShow) -> Result<FoundShow, ApiError> {
    Ok(FoundShow {
        show_id: wire::id(&show.show_id, "show_id")?,
        event_id: wire::id(&show.event_id, "event_id")?,
        title: show.title.clone(),
        category: show.category.clone(),
        venue: FoundVenue {
            venue_id: wire::id(&show.venue_id, "venue_id")?,
            name: show.venue_name.clone(),
            city: show.city.clone(),
            country: show.country.clone(),
            latitude: show.latitude,
            longitude: show.longitude,
        },
        starts_at: wire::local(show.starts_at_ms, &show.time_zone)?,
        time_zone: show.time_zone.clone(),
        state: show.state.clone(),
        price_from: show.price_from.map(|amount| Money {
            amount,
            currency: show.currency.clone(),
        }),
        // To 100 m: more would say that a venue is a point.
        distance_km: show
            .distance_m
            .map(|metres| (f64::from(metres) / 100.0).round() / 10.0),
    })
}

/// Search shows
///
/// Public shows that fit all of what is asked. What was just changed is found after a second or
/// two.
#[utoipa::path(
    get, path = "/search", tag = "catalogue",
    params(
        ("q" = Option<String>, Query, description = "Words of title, venue, city and description, at most 300 bytes, the first ten of them: all must be there. The last may be the beginning of one, longer ones may be misspelt; case, accents and punctuation don't count, and nothing is an operator.", example = json!("sumer night")),
        ("city" = Option<String>, Query, description = "Only venues in this city.", example = json!("Berlin")),
        ("near" = Option<String>, Query, description = "Only venues around this place: latitude and longitude in degrees.", example = json!("52.52,13.405")),
        ("radius_km" = Option<u32>, Query, description = "How far from `near`; 50 unless said.", minimum = 1, maximum = 1000),
        ("category" = Option<String>, Query, description = "Only events of this category.", example = json!("music")),
        ("from" = Option<String>, Query, description = "Starting then or later, RFC 3339; now unless said.", format = DateTime),
        ("to" = Option<String>, Query, description = "Starting before, RFC 3339.", format = DateTime),
        ("sort" = Option<String>, Query, description = "`relevance` (unless said, where there is a `q`), `date` (unless said, where there is none) or `distance` (needs `near`)."),
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before, with all else as it was. After 10,000 shows there is none."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "A page of shows.", body = Page<FoundShow>, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn search_shows(
    State(app): State<Shared>,
    call: Call,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let request = question(&mut params)?;
    params.finish()?;
    let ask = async {
        let mut search = app.search.clone();
        let answer = search.search_shows(call.request(request.clone())).await?;
        Ok(answer.into_inner())
    };
    let answer = app.searches.get(&request, ask).await?;
    let items = answer.shows.iter().map(found).collect::<Result<_, _>>()?;
    conditional::found(&headers, &Page::new(items, answer.next_cursor.clone()))
}

fn question(params: &mut Params) -> Result<pb::SearchShowsRequest, ApiError> {
    let q = params.text("q")?;
    if q.len() > TEXT_BYTES_MAX {
        let why = format!("is longer than {TEXT_BYTES_MAX} bytes");
        return Err(ApiError::invalid("q", why));
    }
    let from_ms = params.time_ms("from")?;
    let to_ms = params.time_ms("to")?;
    if from_ms.zip(to_ms).is_some_and(|(from, to)| to <= from) {
        return Err(ApiError::invalid("to", "must be later than `from`"));
    }
    let near = params.position("near")?;
    let radius_km = params.number("radius_km", 1..=RADIUS_KM_MAX)?;
    if near.is_none() && radius_km.is_some() {
        return Err(ApiError::invalid("radius_km", "needs `near`"));
    }
    let near = near.map(|(latitude, longitude)| pb::Near {
        latitude,
        longitude,
        radius_m: radius_km.unwrap_or(RADIUS_KM_DEFAULT) * 1000,
    });
    let sort = match params.text("sort")?.as_str() {
        "" => pb::Sort::Unspecified,
        "relevance" => pb::Sort::Relevance,
        "date" => pb::Sort::Date,
        "distance" if near.is_some() => pb::Sort::Distance,
        "distance" => return Err(ApiError::invalid("sort", "by distance needs `near`")),
        _ => {
            let why = "must be relevance, date or distance";
            return Err(ApiError::invalid("sort", why));
        }
    };
    Ok(pb::SearchShowsRequest {
        q,
        category: params.text("category")?,
        city: params.text("city")?,
        from_ms,
        to_ms,
        near,
        sort: sort.into(),
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    })
}
