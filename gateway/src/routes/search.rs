//! `search`: shows by words, kind, city, time, place and price; `search/suggest`: names while somebody
//! types. Public, cacheable for a second; while search is down, what was answered before.

use axum::{extract::State, http::HeaderMap, response::Response};
use chrono::{DateTime, FixedOffset};
use holdfast_proto::search::v1 as pb;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Call,
    conditional, cursors,
    extract::{Params, TimeOrDay},
    failure::ApiError,
    searches::{Answer, PATIENCE},
    server::Shared,
    wire::{self, Money},
};

/// A circle's radius where none is given, and the largest, in kilometres.
const RADIUS_KM_DEFAULT: u32 = 50;
const RADIUS_KM_MAX: u32 = 1_000;

/// Suggestions at most.
const SUGGESTIONS_MAX: u32 = 10;

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
    /// In the order of the bill.
    performers: Vec<String>,
    /// One word, lower case.
    #[schema(example = "music")]
    category: String,
    /// From broad to narrow; the last is `category`.
    category_path: Vec<String>,
    venue: FoundVenue,
    /// With the venue's offset.
    #[schema(example = "2026-07-15T20:00:00+02:00")]
    starts_at: DateTime<FixedOffset>,
    /// The venue's, IANA.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// ON_SALE, PAUSED, CLOSED, CANCELLED; DRAFT of one that is announced.
    #[schema(example = "ON_SALE")]
    state: String,
    /// The lowest price; null where there is none.
    #[schema(required = true)]
    price_from: Option<Money>,
    /// The highest price; null where there is none.
    #[schema(required = true)]
    price_max: Option<Money>,
    /// From `near`, in kilometres; null without it.
    #[schema(required = true, example = 3.2)]
    distance_km: Option<f64>,
    /// Where the words of `q` are.
    highlights: Vec<Highlight>,
}

/// A text with words of `q` in it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Highlight {
    /// title, performer, venue, city.
    #[schema(example = "title")]
    field: String,
    parts: Vec<Part>,
}

/// A piece of a text: all one after the other are the text. It is text, not HTML.
#[derive(Serialize, ToSchema)]
pub(crate) struct Part {
    #[schema(example = "Summer")]
    text: String,
    /// It is there because of what was asked.
    #[schema(example = true)]
    matched: bool,
}

fn parts(parts: &[pb::Part]) -> Vec<Part> {
    let parts = parts.iter().map(|part| Part {
        text: part.text.clone(),
        matched: part.matched,
    });
    parts.collect()
}

/// A page of what was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundPage {
    items: Vec<FoundShow>,
    /// Send it as `cursor` for the next page; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
    total: Total,
    /// As they were asked for.
    facets: Vec<FacetCounts>,
    /// Nothing fits what was asked, and this is what fits its words taken more loosely: how. Null where
    /// something fits as it was asked, and where nothing does.
    #[schema(required = true)]
    loosened: Option<Loosened>,
    /// Search is down, and this was found before, at most five minutes ago (`Age`).
    // The last field: what is kept is answered with another end.
    stale: bool,
}

/// How words were taken that nothing fits. Filters always hold as they are.
#[derive(Serialize, ToSchema)]
pub(crate) struct Loosened {
    /// Words of `q` that needn't be there, because they only ask for tickets or for when and where, as
    /// they were written.
    #[schema(example = json!(["tickets", "for"]))]
    without_words: Vec<String>,
    /// Words that no show has may be misspelt more than otherwise: what was found may be something else.
    #[schema(example = false)]
    misspelt: bool,
}

/// How many shows fit, on all pages.
#[derive(Serialize, ToSchema)]
pub(crate) struct Total {
    #[schema(example = 42)]
    shows: u64,
    /// Counted, not estimated.
    #[schema(example = true)]
    exact: bool,
}

/// All that was found, by value.
#[derive(Serialize, ToSchema)]
pub(crate) struct FacetCounts {
    /// category, city, country, state.
    #[schema(example = "city")]
    facet: &'static str,
    /// The most frequent first, at most 100.
    values: Vec<FacetValue>,
    /// There are others.
    more: bool,
}

/// A value, and how many shows have it.
#[derive(Serialize, ToSchema)]
pub(crate) struct FacetValue {
    /// As the filter of that name takes it.
    #[schema(example = "Berlin")]
    value: String,
    #[schema(example = 7)]
    shows: u64,
}

/// A name that may be meant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Suggestion {
    /// title, performer, venue, city.
    #[schema(example = "performer")]
    kind: String,
    #[schema(example = "Summer Night Orchestra")]
    text: String,
    /// The text in pieces.
    parts: Vec<Part>,
}

/// Names that may be meant, the best first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Suggestions {
    items: Vec<Suggestion>,
    /// Search is down, and these were suggested before, at most five minutes ago (`Age`).
    // The last field, as above.
    stale: bool,
}

const FACETS: [(&str, pb::FacetBy); 4] = [
    ("category", pb::FacetBy::Category),
    ("city", pb::FacetBy::City),
    ("country", pb::FacetBy::Country),
    ("state", pb::FacetBy::State),
];

fn loosened(how: &pb::Loosened) -> Loosened {
    Loosened {
        without_words: how.without_words.clone(),
        misspelt: how.misspelt,
    }
}

fn facet(counts: &pb::Facet) -> Result<FacetCounts, ApiError> {
    let mut names = FACETS.iter().filter(|(_, by)| *by == counts.by());
    let (facet, _) = names
        .next()
        .ok_or_else(|| ApiError::defect("a facet that nobody asked for"))?;
    let values = counts.values.iter().map(|value| FacetValue {
        value: value.value.clone(),
        shows: value.shows,
    });
    Ok(FacetCounts {
        facet,
        values: values.collect(),
        more: counts.more,
    })
}

fn found(show: &pb::FoundShow) -> Result<FoundShow, ApiError> {
    let money = |amount| Money {
        amount,
        currency: show.currency.clone(),
    };
    let highlights = show.highlights.iter().map(|highlight| Highlight {
        field: highlight.field.clone(),
        parts: parts(&highlight.parts),
    });
    Ok(FoundShow {
        show_id: wire::id(&show.show_id, "show_id")?,
        event_id: wire::id(&show.event_id, "event_id")?,
        title: show.title.clone(),
        performers: show.performers.clone(),
        category: show.category.clone(),
        category_path: show.category_path.clone(),
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
        price_from: show.price_from.map(money),
        price_max: show.price_max.map(money),
        // To 100 m: more would say that a venue is a point.
        distance_km: show
            .distance_m
            .map(|metres| (f64::from(metres) / 100.0).round() / 10.0),
        highlights: highlights.collect(),
    })
}

/// Search shows
///
/// Public shows that fit all of what is asked; all of them where nothing is. Where nothing fits, the words
/// are taken more loosely, and the answer says how (`loosened`): without those that only ask (tickets,
/// when), then with others misspelt more. What was just changed is found after a second or two. While
/// search is down, what was found before is answered with `stale` for five minutes, then 503; `GET shows`
/// goes on.
#[utoipa::path(
    get, path = "/search", tag = "catalogue",
    params(
        ("q" = Option<String>, Query, description = "Words of title, performers, venue, city and description, at most 300 bytes, the first ten of them: all must be there. The last may be the beginning of one, longer ones may be misspelt, and some stand for others (gig, concert); case, accents and punctuation don't count, and nothing is an operator.", example = json!("sumer night")),
        ("city" = Option<String>, Query, description = "Only venues in this city.", example = json!("Berlin")),
        ("country" = Option<String>, Query, description = "Only venues in this country, ISO 3166-1 alpha-2.", example = json!("DE")),
        ("near" = Option<String>, Query, description = "Only venues around this place: latitude and longitude in degrees.", example = json!("52.52,13.405")),
        ("radius_km" = Option<u32>, Query, description = "How far from `near`; 50 unless said.", minimum = 1, maximum = 1000),
        ("category" = Option<String>, Query, description = "Only events of this category or one below it.", example = json!("music")),
        ("from" = Option<String>, Query, description = "Starting then or later, RFC 3339, or on that day of the venue's calendar or later; now unless said.", example = json!("2027-01-30")),
        ("to" = Option<String>, Query, description = "Starting before, RFC 3339, or on that day of the venue's calendar or before.", example = json!("2027-01-31")),
        ("currency" = Option<String>, Query, description = "Only shows sold in this currency, ISO 4217.", example = json!("EUR")),
        ("price_min" = Option<i64>, Query, description = "Only shows with a seat for at least so much, in minor units; needs `currency`.", minimum = 0),
        ("price_max" = Option<i64>, Query, description = "Only shows with a seat for at most so much, in minor units; needs `currency`.", minimum = 0, example = json!(5000)),
        ("on_sale" = Option<bool>, Query, description = "Only shows that can be bought now: published, not paused or over, and within their sale."),
        ("facets" = Option<String>, Query, description = "What to count all that is found by: some of `category`, `city`, `country`, `state`, with commas between.", example = json!("category,city")),
        ("sort" = Option<String>, Query, description = "`relevance` (unless said, where there is a `q`), `date` (unless said, where there is none), `distance` (needs `near`) or `price` (needs `currency`)."),
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before, with all else as it was. After 10,000 shows there is none."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "A page of shows.", body = FoundPage, headers(("ETag" = String))),
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
    let call = call.within(PATIENCE);
    let ask = async |known_tag| {
        let mut search = app.search.clone();
        let asked = pb::SearchShowsRequest {
            known_tag,
            ..request.clone()
        };
        let answer = search.search_shows(call.request(asked)).await;
        // Days of the calendar are `from` and `to` here.
        let answer = answer.map_err(|status| {
            ApiError::from(status).in_words(|field| match field {
                "from_date" | "from_ms" => "from".to_owned(),
                "to_date" | "to_ms" => "to".to_owned(),
                field => field.to_owned(),
            })
        })?;
        let answer = answer.into_inner();
        if answer.unchanged {
            return Ok(Answer::Unchanged);
        }
        Ok(Answer::Page {
            page: conditional::EncodedResults::new(&page(&answer)?)?,
            tag: answer.tag,
        })
    };
    app.searches.get(&headers, &request, ask).await
}

fn page(answer: &pb::SearchShowsResponse) -> Result<FoundPage, ApiError> {
    let cursor = &answer.next_cursor;
    Ok(FoundPage {
        items: answer.shows.iter().map(found).collect::<Result<_, _>>()?,
        next_cursor: (!cursor.is_empty()).then(|| cursors::sign(cursor)),
        total: Total {
            shows: answer.total,
            exact: !answer.total_is_estimated,
        },
        facets: answer.facets.iter().map(facet).collect::<Result<_, _>>()?,
        loosened: answer.loosened.as_ref().map(loosened),
        stale: false,
    })
}

/// Suggest names
///
/// Performers, titles, cities and venues of shows to come that have what was typed so far: its last
/// word may be the beginning of one, longer ones may be misspelt. The best first, none twice.
#[utoipa::path(
    get, path = "/search/suggest", tag = "catalogue",
    params(
        ("q" = Option<String>, Query, description = "What was typed so far, at most 300 bytes. For nothing nothing is suggested.", example = json!("sum")),
        ("limit" = Option<u32>, Query, description = "Suggestions at most; 10 unless said.", minimum = 1, maximum = 10),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
    ),
    responses(
        (status = 200, description = "Names.", body = Suggestions, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn suggest_names(
    State(app): State<Shared>,
    call: Call,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let request = pb::SuggestNamesRequest {
        q: text(&mut params)?,
        limit: params
            .number("limit", 1..=SUGGESTIONS_MAX)?
            .unwrap_or_default(),
    };
    params.finish()?;
    let call = call.within(PATIENCE);
    let ask = async |_| {
        let mut search = app.search.clone();
        let answer = search.suggest_names(call.request(request.clone())).await?;
        let items = answer.get_ref().suggestions.iter().map(suggested);
        let suggestions = Suggestions {
            items: items.collect(),
            stale: false,
        };
        Ok(Answer::Page {
            page: conditional::EncodedResults::new(&suggestions)?,
            tag: Vec::new(),
        })
    };
    app.suggestions.get(&headers, &request, ask).await
}

fn suggested(suggestion: &pb::Suggestion) -> Suggestion {
    let pieces = suggestion.parts.iter().map(|part| part.text.as_str());
    Suggestion {
        kind: suggestion.kind.clone(),
        text: pieces.collect(),
        parts: parts(&suggestion.parts),
    }
}

fn text(params: &mut Params) -> Result<String, ApiError> {
    let q = params.text("q")?;
    if q.len() > TEXT_BYTES_MAX {
        let why = format!("is longer than {TEXT_BYTES_MAX} bytes");
        return Err(ApiError::invalid("q", why));
    }
    Ok(q)
}

fn question(params: &mut Params) -> Result<pb::SearchShowsRequest, ApiError> {
    let q = text(params)?;
    let (from, to) = (params.time_or_day("from")?, params.time_or_day("to")?);
    let is_empty = match (from, to) {
        (Some(TimeOrDay::TimeMs(from)), Some(TimeOrDay::TimeMs(to))) => to <= from,
        (Some(TimeOrDay::Day(from)), Some(TimeOrDay::Day(to))) => to < from,
        _ => false,
    };
    if is_empty {
        return Err(ApiError::invalid("to", "must be later than `from`"));
    }
    let (from_ms, from_date) = time_and_date(from);
    let (to_ms, to_date) = time_and_date(to);
    let near = near(params)?;
    let currency = params.text("currency")?;
    let sort = sort(&params.text("sort")?, near.is_some(), !currency.is_empty())?;
    let (price_min, price_max) = (params.amount("price_min")?, params.amount("price_max")?);
    for (name, amount) in [("price_min", price_min), ("price_max", price_max)] {
        if amount.is_some() && currency.is_empty() {
            return Err(ApiError::invalid(name, "needs `currency`"));
        }
    }
    Ok(pb::SearchShowsRequest {
        q,
        category: params.text("category")?,
        city: params.text("city")?,
        country: params.text("country")?,
        from_ms,
        to_ms,
        from_date,
        to_date,
        currency,
        price_min,
        price_max,
        on_sale: params.flag("on_sale")?,
        near,
        sort: sort.into(),
        facets: facets(&params.text("facets")?)?,
        limit: params.limit()?,
        cursor: params.text("cursor")?,
        known_tag: Vec::new(),
    })
}

fn time_and_date(given: Option<TimeOrDay>) -> (Option<i64>, String) {
    match given {
        None => (None, String::new()),
        Some(TimeOrDay::TimeMs(ms)) => (Some(ms), String::new()),
        Some(TimeOrDay::Day(day)) => (None, day.to_string()),
    }
}

fn near(params: &mut Params) -> Result<Option<pb::Near>, ApiError> {
    let near = params.position("near")?;
    let radius_km = params.number("radius_km", 1..=RADIUS_KM_MAX)?;
    if near.is_none() && radius_km.is_some() {
        return Err(ApiError::invalid("radius_km", "needs `near`"));
    }
    Ok(near.map(|(latitude, longitude)| pb::Near {
        latitude,
        longitude,
        radius_m: radius_km.unwrap_or(RADIUS_KM_DEFAULT) * 1000,
    }))
}

fn sort(text: &str, has_near: bool, has_currency: bool) -> Result<pb::Sort, ApiError> {
    let refused = |why| Err(ApiError::invalid("sort", why));
    match text {
        "" => Ok(pb::Sort::Unspecified),
        "relevance" => Ok(pb::Sort::Relevance),
        "date" => Ok(pb::Sort::Date),
        "distance" if has_near => Ok(pb::Sort::Distance),
        "distance" => refused("by distance needs `near`"),
        "price" if has_currency => Ok(pb::Sort::Price),
        "price" => refused("by price needs `currency`"),
        _ => refused("must be relevance, date, distance or price"),
    }
}

fn facets(text: &str) -> Result<Vec<i32>, ApiError> {
    let mut facets = Vec::new();
    for name in text.split(',').filter(|_| !text.is_empty()) {
        let known = FACETS.iter().find(|(facet, _)| *facet == name);
        let Some((_, by)) = known else {
            let why = "must be some of category, city, country, state, with commas between";
            return Err(ApiError::invalid("facets", why));
        };
        if facets.contains(&i32::from(*by)) {
            return Err(ApiError::invalid("facets", "names one twice"));
        }
        facets.push((*by).into());
    }
    Ok(facets)
}
