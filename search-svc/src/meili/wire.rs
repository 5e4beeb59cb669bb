//! Documents and questions as Meilisearch has them.
//!
//! Always holds: a value in a filter is quoted, whatever is in it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use holdfast_proto::search::v1::FoundShow;
use holdfast_types::{EventId, ShowId, VenueId};
use meilisearch_sdk::settings::{
    FacetSortValue, FacetingSettings, MinWordSizeForTypos, PaginationSetting, Settings,
    TypoToleranceSettings,
};
use serde::{Deserialize, Serialize};

use crate::{
    document::{Document, SCHEMA_VERSION},
    facet::{Counts, Facet, VALUES_MAX, is_better_spelt},
    fold,
    query::{ONE_TYPO_LETTERS, Query, RESULTS_MAX, Sort, TWO_TYPOS_LETTERS},
    suggest::Kind,
    synonyms,
};

/// The field that names a document.
pub(super) const PRIMARY_KEY: &str = "show_id";

/// Of documents, settings and questions to the server; a change of them raises it.
const VERSION: u32 = 2;

/// What is searched for words, the most telling first.
const SEARCHABLE: [&str; 7] = [
    "title",
    "performers",
    "names_in_kana",
    "venue",
    "city",
    "description",
    "other_in_kana",
];

const SORTABLE: [&str; 4] = ["starts_at_ms", "price_from", ID_START, "_geo"];

/// In the order of their ids, but for those that begin with the same numbers.
pub(super) const BY_ID: [&str; 1] = ["id_start:asc"];

/// What filters name, beside the mark of the schema.
const FILTERABLE: [&str; 15] = [
    PRIMARY_KEY,
    ID_START,
    "category_path",
    "city",
    "city_key",
    "country",
    "state",
    "currency",
    "price_from",
    "price_max",
    "starts_at_ms",
    "day",
    "sale_from_ms",
    "sale_until_ms",
    "_geo",
];

/// The first 48 bits of the id as a number, which keeps its order and is exact in the server's
/// numbers.
const ID_START: &str = "id_start";

/// Values of a facet that the server counts: spellings of one city are joined afterwards.
const VALUES_COUNTED_MAX: usize = 4 * VALUES_MAX;

/// What an answer needs of a document.
pub(super) const SHOWN: [&str; 17] = [
    PRIMARY_KEY,
    "event_id",
    "title",
    "performers",
    "category",
    "category_path",
    "venue_id",
    "venue",
    "city",
    "country",
    "time_zone",
    "starts_at_ms",
    "state",
    "currency",
    "price_from",
    "price_max",
    "_geo",
];

/// What is compared of a document.
pub(super) const COMPARED: [&str; 2] = [PRIMARY_KEY, "content"];

/// A document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    show_id: ShowId,
    event_id: EventId,
    title: String,
    #[serde(default)]
    performers: Vec<String>,
    /// Performers and titles that have kana, with all of them in hiragana, as they are searched for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names_in_kana: Vec<String>,
    /// The same of all else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_in_kana: Vec<String>,
    #[serde(default)]
    description: String,
    category: String,
    #[serde(default)]
    category_path: Vec<String>,
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
    #[serde(default)]
    price_max: Option<i64>,
    #[serde(default)]
    day: i32,
    #[serde(default)]
    sale_from_ms: i64,
    #[serde(default)]
    sale_until_ms: i64,
    #[serde(default)]
    id_start: u64,
    /// In sixteen digits: more than a number is exact to.
    #[serde(default)]
    content: String,
    #[serde(rename = "_geo")]
    geo: Geo,
}

/// What is compared of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Compared {
    show_id: ShowId,
    content: String,
}

impl Compared {
    /// A content that can't be read is none that a show has.
    pub(super) fn read(&self) -> (ShowId, u64) {
        let content = u64::from_str_radix(&self.content, 16).unwrap_or_default();
        (self.show_id, content)
    }
}

/// Names of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    title: String,
    #[serde(default)]
    performers: Vec<String>,
    #[serde(default)]
    venue: String,
    #[serde(default)]
    city: String,
}

impl Named {
    pub(super) fn of(self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::Title => vec![self.title],
            Kind::Performer => self.performers,
            Kind::Venue => vec![self.venue],
            Kind::City => vec![self.city],
        }
    }
}

/// The attribute with names of a kind.
pub(super) fn named_in(kind: Kind) -> &'static str {
    match kind {
        Kind::Title => "title",
        Kind::Performer => "performers",
        Kind::Venue => "venue",
        Kind::City => "city",
    }
}

/// The attribute with the values of a facet.
pub(super) fn counted_in(facet: Facet) -> &'static str {
    match facet {
        Facet::Category => "category_path",
        Facet::City => "city",
        Facet::Country => "country",
        Facet::State => "state",
    }
}

/// What the server counted, spellings of one city joined.
pub(super) fn counts(facet: Facet, values: &HashMap<String, usize>) -> Counts {
    let mut joined: HashMap<String, (String, u64)> = HashMap::new();
    for (value, shows) in values {
        let key = match facet {
            Facet::City => fold::key(value),
            Facet::Category | Facet::Country | Facet::State => value.clone(),
        };
        let (spelt, count) = joined.entry(key).or_default();
        *count += *shows as u64;
        if spelt.is_empty() || is_better_spelt(value, spelt) {
            value.clone_into(spelt);
        }
    }
    let mut counts = Counts::new(facet, joined.into_values().collect());
    counts.more |= values.len() >= VALUES_COUNTED_MAX;
    counts
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Geo {
    lat: f64,
    lng: f64,
}

impl From<Document> for Stored {
    fn from(document: Document) -> Self {
        let content = format!("{:016x}", document.content());
        let shown = document.shown;
        let names = shown.performers.iter().chain([&shown.title]);
        let other = [&shown.venue_name, &shown.city, &document.description];
        let in_kana = |text: &String| fold::in_hiragana(text);
        let names_in_kana = names.filter_map(in_kana).collect();
        let other_in_kana = other.into_iter().filter_map(in_kana).collect();
        Self {
            show_id: document.show_id,
            event_id: id(&shown.event_id, EventId::from_bytes),
            title: shown.title,
            performers: shown.performers,
            names_in_kana,
            other_in_kana,
            description: document.description,
            category: shown.category,
            category_path: shown.category_path,
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
            price_max: shown.price_max,
            day: document.day,
            sale_from_ms: document.sale.from_ms,
            sale_until_ms: document.sale.until_ms,
            id_start: id_start(document.show_id),
            content,
            geo: Geo {
                lat: document.place.latitude(),
                lng: document.place.longitude(),
            },
        }
    }
}

fn id_start(id: ShowId) -> u64 {
    let [a, b, c, d, e, f, ..] = id.to_bytes();
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
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
            price_max: stored.price_max,
            performers: stored.performers,
            category_path: stored.category_path,
            distance_m: None,
            highlights: Vec::new(),
        }
    }
}

/// The name of an attribute that no document has: an index that may be filtered by it is of this
/// schema. It is swapped with the index, as a name or a note beside it wouldn't be.
pub(crate) fn schema_mark() -> String {
    format!("schema_{SCHEMA_VERSION}_{VERSION}")
}

/// Settings of an index of ours.
pub(super) fn settings() -> Settings {
    let mark = schema_mark();
    Settings::new()
        .with_searchable_attributes(SEARCHABLE)
        .with_filterable_attributes(FILTERABLE.into_iter().chain([&*mark]))
        .with_sortable_attributes(SORTABLE)
        // `sort` first, so that an asked-for order holds over all; it does nothing where none is.
        .with_ranking_rules([
            "sort",
            "words",
            "typo",
            "proximity",
            // Of the band before of more than it (Queen, Queens of Comedy), wherever either is.
            "exactness",
            "attribute",
            "starts_at_ms:asc",
        ])
        .with_typo_tolerance(TypoToleranceSettings {
            enabled: Some(true),
            min_word_size_for_typos: Some(MinWordSizeForTypos {
                one_typo: Some(ONE_TYPO_LETTERS as u8),
                two_typos: Some(TWO_TYPOS_LETTERS as u8),
            }),
            // Another year is another year.
            disable_on_numbers: Some(true),
            ..TypoToleranceSettings::default()
        })
        .with_pagination(PaginationSetting {
            max_total_hits: RESULTS_MAX + 1,
        })
        .with_faceting(FacetingSettings {
            max_values_per_facet: VALUES_COUNTED_MAX,
            sort_facet_values_by: Some(BTreeMap::from([("*".to_owned(), FacetSortValue::Count)])),
        })
        .with_synonyms(synonyms::all().collect::<HashMap<_, _>>())
}

/// Whether an index with these settings is of the present schema.
pub(super) fn is_ours(settings: &Settings) -> bool {
    let mark = schema_mark();
    let filterable = settings.filterable_attributes.iter().flatten();
    filterable
        .into_iter()
        .any(|attribute| *attribute == mark.as_str().into())
}

/// From then on.
pub(super) fn from(from_ms: i64) -> String {
    format!("starts_at_ms >= {from_ms}")
}

/// All that must hold of a hit but its words.
pub(super) fn filter(query: &Query) -> String {
    let mut filter = from(query.from_ms);
    let mut and = |condition: std::fmt::Arguments<'_>| {
        write!(filter, " AND {condition}").expect("a string takes all");
    };
    if let Some(to_ms) = query.to_ms {
        and(format_args!("starts_at_ms < {to_ms}"));
    }
    let exactly = [
        ("category_path", query.category.as_deref()),
        ("city_key", query.city.as_deref()),
        ("country", query.country.as_deref()),
        ("state", query.on_sale_at_ms.map(|_| "ON_SALE")),
        (
            "currency",
            query.price.as_ref().map(|price| &*price.currency),
        ),
    ];
    for (attribute, value) in exactly {
        if let Some(value) = value {
            and(format_args!("{attribute} = {}", quoted(value)));
        }
    }
    if let Some(day) = query.from_day {
        and(format_args!("day >= {day}"));
    }
    if let Some(day) = query.to_day {
        and(format_args!("day <= {day}"));
    }
    if let Some(now) = query.on_sale_at_ms {
        and(format_args!(
            "sale_from_ms <= {now} AND sale_until_ms > {now}"
        ));
    }
    if let Some(max) = query.price.as_ref().and_then(|price| price.max) {
        and(format_args!("price_from <= {max}"));
    }
    if let Some(min) = query.price.as_ref().and_then(|price| price.min) {
        and(format_args!("price_max >= {min}"));
    }
    if let Some(near) = query.near {
        let (lat, lng) = (near.place.latitude(), near.place.longitude());
        and(format_args!("_geoRadius({lat}, {lng}, {})", near.radius_m));
    }
    filter
}

/// Documents with ids around these: all after the one and up to the other are among them.
pub(super) fn around(after: Option<ShowId>, up_to: Option<ShowId>) -> String {
    let least = after.map_or(0, id_start);
    let most = up_to.map_or(u64::MAX >> 16, id_start);
    format!("{ID_START} >= {least} AND {ID_START} <= {most}")
}

/// Any of the documents.
pub(super) fn named(ids: &[ShowId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| quoted(&id.to_string())).collect();
    format!("{PRIMARY_KEY} IN [{}]", ids.join(", "))
}

/// What is asked for by words. To the server the last one is whole where something is behind it.
pub(super) fn words(query: &Query) -> String {
    let words = fold::in_hiragana(&query.text).unwrap_or_else(|| query.text.clone());
    match query.last_is_begun {
        true => words,
        false => words + " ",
    }
}

/// What comes first; nothing for relevance.
pub(super) fn sort(query: &Query) -> Vec<String> {
    let date = "starts_at_ms:asc".to_owned();
    match query.sort {
        Sort::Relevance => Vec::new(),
        Sort::Date => vec![date],
        Sort::Price => vec!["price_from:asc".to_owned(), date],
        Sort::Distance(from) => {
            let (lat, lng) = (from.latitude(), from.longitude());
            vec![format!("_geoPoint({lat}, {lng}):asc"), date]
        }
    }
}

/// In double quotes. The filter language knows one escape, of the quote; a backslash is itself,
/// but the one that would escape the closing quote. Neither is in any value of ours, so that in the
/// backslash's place may be what is in none, either; a space the server would take away at the end.
fn quoted(value: &str) -> String {
    let plain = value.replace('\\', "\u{fffd}").replace('"', "\\\"");
    format!("\"{plain}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        place::Place,
        query::{Near, Price, Spelling},
    };

    #[test]
    fn a_question_becomes_a_filter() {
        let place = Place::new(-0.5, 1e-7).expect("is there");
        let all = Query {
            words: Vec::new(),
            text: String::new(),
            pairs: Vec::new(),
            spelling: Spelling::Usual,
            category: Some("music".to_owned()),
            city: Some("l aquila".to_owned()),
            country: Some("IT".to_owned()),
            from_ms: 5,
            to_ms: Some(9),
            from_day: Some(739_000),
            to_day: Some(739_001),
            price: Some(Price {
                currency: "EUR".to_owned(),
                min: Some(1),
                max: Some(2),
            }),
            on_sale_at_ms: Some(7),
            near: Some(Near {
                place,
                radius_m: 50,
            }),
            sort: Sort::Distance(place),
            facets: Vec::new(),
            after: None,
            offset: 0,
            limit: 1,
            known: Vec::new(),
            last_is_begun: true,
        };
        assert_eq!(
            filter(&all),
            r#"starts_at_ms >= 5 AND starts_at_ms < 9 AND category_path = "music" AND city_key = "l aquila" AND country = "IT" AND state = "ON_SALE" AND currency = "EUR" AND day >= 739000 AND day <= 739001 AND sale_from_ms <= 7 AND sale_until_ms > 7 AND price_from <= 2 AND price_max >= 1 AND _geoRadius(-0.5, 0.0000001, 50)"#
        );
        assert_eq!(
            sort(&all),
            ["_geoPoint(-0.5, 0.0000001):asc", "starts_at_ms:asc"]
        );
    }

    #[test]
    fn a_range_of_ids_has_all_that_are_in_it() {
        let id = |byte| ShowId::from_bytes([byte; 16]);
        assert_eq!(
            around(None, None),
            "id_start >= 0 AND id_start <= 281474976710655"
        );
        assert_eq!(
            around(Some(id(1)), Some(id(255))),
            "id_start >= 1103823438081 AND id_start <= 281474976710655"
        );
    }

    #[test]
    fn spellings_of_one_city_count_together() {
        let values = [("Sao Paulo", 2), ("São Paulo", 3), ("Berlin", 4)];
        let values = values.map(|(city, shows)| (city.to_owned(), shows)).into();
        let counts = counts(Facet::City, &values);
        let expected = [("São Paulo".to_owned(), 5), ("Berlin".to_owned(), 4)];
        assert_eq!((counts.values, counts.more), (expected.to_vec(), false));
    }

    #[test]
    fn words_are_asked_for_in_one_kana_and_whole_where_they_are() {
        for (text, last_is_begun, expected) in [
            ("taylor swi", true, "taylor swi"),
            ("air", false, "air "),
            ("ゴジラ live", true, "ごじら live"),
        ] {
            let query = Query {
                text: text.to_owned(),
                last_is_begun,
                ..crate::tests::shows::all()
            };
            assert_eq!(words(&query), expected);
        }
    }

    #[test]
    fn a_value_can_not_leave_its_quotes() {
        for (value, expected) in [
            ("plain", r#""plain""#),
            (r#"a" OR b = "c"#, r#""a\" OR b = \"c""#),
            (r"ends with \", "\"ends with \u{fffd}\""),
            (r#"\" OR x"#, "\"\u{fffd}\\\" OR x\""),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
