//! Documents and questions as Meilisearch has them.
//!
//! Always holds: a value in a filter is quoted, whatever is in it.

use std::fmt::Write as _;

use holdfast_proto::search::v1::FoundShow;
use holdfast_types::{EventId, ShowId, VenueId};
use meilisearch_sdk::settings::{
    MinWordSizeForTypos, PaginationSetting, Settings, TypoToleranceSettings,
};
use serde::{Deserialize, Serialize};

use crate::{
    document::{Document, SCHEMA_VERSION},
    fold,
    query::{Query, RESULTS_MAX, Sort},
};

/// The field that names a document.
pub(super) const PRIMARY_KEY: &str = "show_id";

/// What is searched for words, the most telling first.
const SEARCHABLE: [&str; 4] = ["title", "venue", "city", "description"];

const SORTABLE: [&str; 2] = ["starts_at_ms", "_geo"];

/// What an answer needs of a document.
pub(super) const SHOWN: [&str; 14] = [
    PRIMARY_KEY,
    "event_id",
    "title",
    "category",
    "venue_id",
    "venue",
    "city",
    "country",
    "time_zone",
    "starts_at_ms",
    "state",
    "currency",
    "price_from",
    "_geo",
];

/// A document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    show_id: ShowId,
    event_id: EventId,
    title: String,
    #[serde(default)]
    description: String,
    category: String,
    venue_id: VenueId,
    venue: String,
    city: String,
    /// What `city` is compared by.
    #[serde(default)]
    city_key: String,
    country: String,
    time_zone: String,
    starts_at_ms: i64,
    state: String,
    currency: String,
    #[serde(default)]
    price_from: Option<i64>,
    #[serde(rename = "_geo")]
    geo: Geo,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Geo {
    lat: f64,
    lng: f64,
}

impl From<Document> for Stored {
    fn from(document: Document) -> Self {
        let shown = document.shown;
        Self {
            show_id: document.show_id,
            event_id: id(&shown.event_id, EventId::from_bytes),
            title: shown.title,
            description: document.description,
            category: shown.category,
            venue_id: id(&shown.venue_id, VenueId::from_bytes),
            venue: shown.venue_name,
            city_key: fold::key(&shown.city),
            city: shown.city,
            country: shown.country,
            time_zone: shown.time_zone,
            starts_at_ms: shown.starts_at_ms,
            state: shown.state,
            currency: shown.currency,
            price_from: shown.price_from,
            geo: Geo {
                lat: document.place.latitude(),
                lng: document.place.longitude(),
            },
        }
    }
}

fn id<T>(bytes: &[u8], make: fn([u8; 16]) -> T) -> T {
    make(
        bytes
            .try_into()
            .expect("a document's ids were read as such"),
    )
}

impl From<Stored> for FoundShow {
    fn from(stored: Stored) -> Self {
        Self {
            show_id: stored.show_id.to_bytes().to_vec(),
            event_id: stored.event_id.to_bytes().to_vec(),
            title: stored.title,
            category: stored.category,
            venue_id: stored.venue_id.to_bytes().to_vec(),
            venue_name: stored.venue,
            city: stored.city,
            country: stored.country,
            latitude: stored.geo.lat,
            longitude: stored.geo.lng,
            time_zone: stored.time_zone,
            starts_at_ms: stored.starts_at_ms,
            state: stored.state,
            currency: stored.currency,
            price_from: stored.price_from,
            distance_m: None,
        }
    }
}

/// The name of an attribute that no document has: an index that may be filtered by it is of this
/// schema. It is swapped with the index, as a name or a note beside it wouldn't be.
fn schema_mark() -> String {
    format!("schema_{SCHEMA_VERSION}")
}

/// Settings of an index of ours.
pub(super) fn settings() -> Settings {
    let mark = schema_mark();
    Settings::new()
        .with_searchable_attributes(SEARCHABLE)
        .with_filterable_attributes([
            PRIMARY_KEY,
            "category",
            "city_key",
            "starts_at_ms",
            "_geo",
            &mark,
        ])
        .with_sortable_attributes(SORTABLE)
        // `sort` first, so that an asked-for order holds over all; it does nothing where none is.
        .with_ranking_rules([
            "sort",
            "words",
            "typo",
            "proximity",
            "attribute",
            "exactness",
            "starts_at_ms:asc",
        ])
        .with_typo_tolerance(TypoToleranceSettings {
            enabled: Some(true),
            min_word_size_for_typos: Some(MinWordSizeForTypos {
                one_typo: Some(4),
                two_typos: Some(8),
            }),
            // Another year is another year.
            disable_on_numbers: Some(true),
            ..TypoToleranceSettings::default()
        })
        .with_pagination(PaginationSetting {
            max_total_hits: RESULTS_MAX + 1,
        })
}

/// Whether an index with these settings is of the present schema.
pub(super) fn is_ours(settings: &Settings) -> bool {
    let mark = schema_mark();
    let filterable = settings.filterable_attributes.iter().flatten();
    filterable
        .into_iter()
        .any(|attribute| *attribute == mark.as_str().into())
}

/// All that must hold of a hit but its words.
pub(super) fn filter(query: &Query) -> String {
    let mut filter = format!("starts_at_ms >= {}", query.from_ms);
    let mut and = |condition: std::fmt::Arguments<'_>| {
        write!(filter, " AND {condition}").expect("a string takes all");
    };
    if let Some(to_ms) = query.to_ms {
        and(format_args!("starts_at_ms < {to_ms}"));
    }
    if let Some(category) = &query.category {
        and(format_args!("category = {}", quoted(category)));
    }
    if let Some(city) = &query.city {
        and(format_args!("city_key = {}", quoted(city)));
    }
    if let Some(near) = query.near {
        let (lat, lng) = (near.place.latitude(), near.place.longitude());
        and(format_args!("_geoRadius({lat}, {lng}, {})", near.radius_m));
    }
    filter
}

/// Any of the documents.
pub(super) fn named(ids: &[ShowId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| quoted(&id.to_string())).collect();
    format!("{PRIMARY_KEY} IN [{}]", ids.join(", "))
}

/// What comes first; nothing for relevance.
pub(super) fn sort(query: &Query) -> Vec<String> {
    let date = "starts_at_ms:asc".to_owned();
    match query.sort {
        Sort::Relevance => Vec::new(),
        Sort::Date => vec![date],
        Sort::Distance(from) => {
            let (lat, lng) = (from.latitude(), from.longitude());
            vec![format!("_geoPoint({lat}, {lng}):asc"), date]
        }
    }
}

/// In double quotes. The filter language knows one escape, of the quote; a backslash is itself,
/// but the one that would escape the closing quote. Neither is in any value of ours.
fn quoted(value: &str) -> String {
    let plain = value.replace('\\', " ").replace('"', "\\\"");
    format!("\"{plain}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{place::Place, query::Near};

    #[test]
    fn a_question_becomes_a_filter() {
        let place = Place::new(-0.5, 1e-7).expect("is there");
        let all = Query {
            words: Vec::new(),
            text: String::new(),
            category: Some("music".to_owned()),
            city: Some("l aquila".to_owned()),
            from_ms: 5,
            to_ms: Some(9),
            near: Some(Near {
                place,
                radius_m: 50,
            }),
            sort: Sort::Distance(place),
            offset: 0,
            limit: 1,
        };
        assert_eq!(
            filter(&all),
            r#"starts_at_ms >= 5 AND starts_at_ms < 9 AND category = "music" AND city_key = "l aquila" AND _geoRadius(-0.5, 0.0000001, 50)"#
        );
        assert_eq!(
            sort(&all),
            ["_geoPoint(-0.5, 0.0000001):asc", "starts_at_ms:asc"]
        );
    }

    #[test]
    fn a_value_can_not_leave_its_quotes() {
        for (value, expected) in [
            ("plain", r#""plain""#),
            (r#"a" OR b = "c"#, r#""a\" OR b = \"c""#),
            (r"ends with \", r#""ends with  ""#),
            (r#"\" OR x"#, r#"" \" OR x""#),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
