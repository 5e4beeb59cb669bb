//! From a request to a question: bounds of every field, all that are wrong named at once.

use chrono::{DateTime, NaiveDate, Utc};
use holdfast_mesh::Failure;
use holdfast_proto::search::v1::{
    self as wire, CompareShowsRequest, SearchShowsRequest, SuggestNamesRequest,
};
use holdfast_types::{
    Currency, ShowId,
    limits::{PAGE_ITEMS_MAX, TIME_MS_MAX},
};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{
    clients::catalog::PAGE_SHOWS,
    compare::Which,
    cursor::Cursor,
    document::day_number,
    facet::Facet,
    fold,
    looser::{Asked, Looseness},
    place::Place,
    query::{Near, Price, Query, RESULTS_MAX, Sort, Spelling, WORDS_MAX, pairs},
    suggest::{Begun, SUGGESTIONS_MAX},
};

/// Items in a page when the caller names no limit.
const PAGE_ITEMS_DEFAULT: usize = 20;
const TEXT_BYTES_MAX: usize = 300;
const CITY_BYTES_MAX: usize = 200;
const CATEGORY_BYTES_MAX: usize = 32;
const OF_ANOTHER_SEARCH: &str = "is of another search; ask again without it";
/// A day's travel; a wider circle is no place any more.
const RADIUS_M_MAX: u32 = 1_000_000;

/// What is on sale now is what was on sale when this began: so it is the same question for a while, and
/// what was answered is good for it. A sale that begins or ends is seen so much later.
const ON_SALE_STEP_MS: i64 = 1_000;

pub(super) fn decode(request: &SearchShowsRequest, now: DateTime<Utc>) -> Result<Asked, Failure> {
    let mut wrong = Wrong::default();
    let question = question(request);
    let cursor = wrong.cursor(&request.cursor, question);
    let near = wrong.near(request.near);
    let words = wrong.words(&request.q);
    let offset = cursor.map_or(0, |cursor| cursor.offset);
    let now_ms = now.timestamp_millis();
    let mut query = Query {
        text: fold::plain(&request.q, WORDS_MAX),
        pairs: pairs(&words),
        last_is_begun: true,
        spelling: Spelling::Usual,
        sort: wrong.sort(request, near, !words.is_empty()),
        words,
        category: wrong.category(&request.category),
        city: wrong.city(&request.city),
        country: wrong.country(&request.country),
        from_ms: match (cursor, request.from_ms) {
            (Some(cursor), _) => cursor.from_ms,
            (None, Some(ms)) => wrong.time("from_ms", ms),
            // All of that day.
            (None, None) if !request.from_date.is_empty() => 0,
            (None, None) => now_ms,
        },
        to_ms: request.to_ms.map(|ms| wrong.time("to_ms", ms)),
        from_day: wrong.date("from_date", &request.from_date),
        to_day: wrong.date("to_date", &request.to_date),
        price: wrong.price(request),
        on_sale_at_ms: request
            .on_sale
            .then(|| now_ms / ON_SALE_STEP_MS * ON_SALE_STEP_MS),
        near,
        facets: wrong.facets(&request.facets),
        offset,
        after: cursor.and_then(|cursor| cursor.after),
        limit: wrong.limit(request.limit).min(RESULTS_MAX - offset),
        known: request.known_tag.clone(),
    };
    let taken = cursor.map(|cursor| cursor.looseness);
    if let Some(looseness) = taken.filter(|taken| *taken != Looseness::AsAsked) {
        match looseness.loosened(&query, &request.q) {
            Some(looser) => query = looser,
            None => wrong.note("cursor", OF_ANOTHER_SEARCH),
        }
    }
    wrong.finish()?;
    Ok(Asked {
        query,
        q: request.q.clone(),
        taken,
        question,
        now_ms,
    })
}

/// What was typed so far, and how many suggestions there may be; nothing where no word was.
pub(super) fn decode_begun(
    request: &SuggestNamesRequest,
    now: DateTime<Utc>,
) -> Result<Option<(Begun, usize)>, Failure> {
    let mut wrong = Wrong::default();
    let words = wrong.words(&request.q);
    let limit = match request.limit as usize {
        0 => SUGGESTIONS_MAX,
        limit @ 1..=SUGGESTIONS_MAX => limit,
        _ => {
            wrong.note("limit", format!("must be from 1 to {SUGGESTIONS_MAX}"));
            SUGGESTIONS_MAX
        }
    };
    wrong.finish()?;
    let begun = Begun {
        words,
        text: fold::plain(&request.q, WORDS_MAX),
        from_ms: now.timestamp_millis(),
    };
    Ok((!begun.words.is_empty()).then_some((begun, limit)))
}

/// Which shows are compared.
pub(super) fn decode_compared(request: &CompareShowsRequest) -> Result<Which, Failure> {
    let id = |bytes: &Vec<u8>, field: &str| {
        ShowId::from_slice(bytes).map_err(|error| Failure::invalid(field, error.to_string()))
    };
    if request.show_ids.is_empty() {
        let after = &request.after_show_id;
        let after = (!after.is_empty()).then(|| id(after, "after_show_id"));
        return Ok(Which::After(after.transpose()?));
    }
    if request.show_ids.len() > PAGE_SHOWS {
        let why = format!("has more than {PAGE_SHOWS}");
        return Err(Failure::invalid("show_ids", why));
    }
    if !request.after_show_id.is_empty() {
        let why = "goes with no `show_ids`";
        return Err(Failure::invalid("after_show_id", why));
    }
    let ids = request.show_ids.iter().map(|bytes| id(bytes, "show_ids"));
    Ok(Which::Named(ids.collect::<Result<_, _>>()?))
}

/// All that makes another question: where a page of it begins and how long it is doesn't.
fn question(request: &SearchShowsRequest) -> u64 {
    let asked = SearchShowsRequest {
        limit: 0,
        cursor: String::new(),
        known_tag: Vec::new(),
        ..request.clone()
    };
    let hash = Sha256::digest(asked.encode_to_vec());
    let first = hash.first_chunk().expect("a hash has 32 bytes");
    u64::from_be_bytes(*first)
}

/// What is wrong so far. Each reader notes what it can't use, and answers with something that is
/// thrown away.
#[derive(Default)]
struct Wrong(Option<Failure>);

impl Wrong {
    fn note(&mut self, field: &str, why: impl Into<String>) {
        self.0 = Some(match self.0.take() {
            None => Failure::invalid(field, why),
            Some(failure) => failure.and_field(field, why),
        });
    }

    fn finish(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), Err)
    }

    fn words(&mut self, text: &str) -> Vec<String> {
        if text.len() > TEXT_BYTES_MAX {
            self.note("q", format!("is longer than {TEXT_BYTES_MAX} bytes"));
            return Vec::new();
        }
        let mut words = fold::words(text);
        words.truncate(WORDS_MAX);
        words
    }

    fn cursor(&mut self, text: &str, question: u64) -> Option<Cursor> {
        if text.is_empty() {
            return None;
        }
        match text.parse::<Cursor>() {
            Ok(cursor) if cursor.question == question => Some(cursor),
            Ok(_) => {
                self.note("cursor", OF_ANOTHER_SEARCH);
                None
            }
            Err(error) => {
                self.note("cursor", error.to_string());
                None
            }
        }
    }

    fn near(&mut self, near: Option<wire::Near>) -> Option<Near> {
        let near = near?;
        let place = Place::new(near.latitude, near.longitude);
        if place.is_none() {
            self.note(
                "near",
                "must be a latitude from -90 to 90 and a longitude from -180 to 180",
            );
        }
        if !(1..=RADIUS_M_MAX).contains(&near.radius_m) {
            self.note("near.radius_m", format!("must be from 1 to {RADIUS_M_MAX}"));
        }
        Some(Near {
            place: place?,
            radius_m: near.radius_m,
        })
    }

    fn sort(&mut self, request: &SearchShowsRequest, near: Option<Near>, has_words: bool) -> Sort {
        let relevance = if has_words {
            Sort::Relevance
        } else {
            Sort::Date
        };
        match (wire::Sort::try_from(request.sort), near) {
            (Ok(wire::Sort::Unspecified | wire::Sort::Relevance), _) => relevance,
            (Ok(wire::Sort::Date), _) => Sort::Date,
            (Ok(wire::Sort::Distance), Some(near)) => Sort::Distance(near.place),
            (Ok(wire::Sort::Distance), None) => {
                if request.near.is_none() {
                    self.note("sort", "by distance needs `near`");
                }
                relevance
            }
            (Ok(wire::Sort::Price), _) => {
                if request.currency.is_empty() {
                    self.note("sort", "by price needs `currency`: others don't compare");
                }
                Sort::Price
            }
            (Err(_), _) => {
                self.note("sort", "must be relevance, date, distance or price");
                relevance
            }
        }
    }

    /// As catalog-svc has them.
    fn category(&mut self, text: &str) -> Option<String> {
        let is_word = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_word || text.len() > CATEGORY_BYTES_MAX {
            let why = format!(
                "must be one word of lower-case letters, at most {CATEGORY_BYTES_MAX}, e.g. music"
            );
            self.note("category", why);
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn city(&mut self, text: &str) -> Option<String> {
        if text.len() > CITY_BYTES_MAX {
            self.note("city", format!("is longer than {CITY_BYTES_MAX} bytes"));
        }
        let key = fold::key(text);
        if key.is_empty() && !text.trim().is_empty() {
            self.note("city", "has no letter");
        }
        (!key.is_empty()).then_some(key)
    }

    fn country(&mut self, text: &str) -> Option<String> {
        let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
        if !is_code && !text.is_empty() {
            let why = "must be two capital letters of ISO 3166-1, e.g. DE";
            self.note("country", why);
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn date(&mut self, field: &str, text: &str) -> Option<i32> {
        if text.is_empty() {
            return None;
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        // It reads 2027-1-2, too.
        let date = date.filter(|date| date.to_string() == text);
        if date.is_none() {
            self.note(field, "must be a date, e.g. 2027-01-31");
        }
        date.map(day_number)
    }

    fn price(&mut self, request: &SearchShowsRequest) -> Option<Price> {
        let (min, max) = (request.price_min, request.price_max);
        for (field, amount) in [("price_min", min), ("price_max", max)] {
            if amount.is_some_and(|amount| amount < 0) {
                self.note(field, "must not be negative");
            } else if amount.is_some() && request.currency.is_empty() {
                self.note(field, "needs `currency`: others don't compare");
            }
        }
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            self.note("price_max", "must not be less than `price_min`");
        }
        if request.currency.is_empty() {
            return None;
        }
        if let Err(error) = request.currency.parse::<Currency>() {
            self.note("currency", error.to_string());
        }
        Some(Price {
            currency: request.currency.clone(),
            min,
            max,
        })
    }

    fn facets(&mut self, asked: &[i32]) -> Vec<Facet> {
        let mut facets = Vec::new();
        for by in asked {
            let facet = match wire::FacetBy::try_from(*by) {
                Ok(wire::FacetBy::Category) => Facet::Category,
                Ok(wire::FacetBy::City) => Facet::City,
                Ok(wire::FacetBy::Country) => Facet::Country,
                Ok(wire::FacetBy::State) => Facet::State,
                Ok(wire::FacetBy::Unspecified) | Err(_) => {
                    self.note("facets", "must be category, city, country or state");
                    return facets;
                }
            };
            if facets.contains(&facet) {
                self.note("facets", "names one twice");
                return facets;
            }
            facets.push(facet);
        }
        facets
    }

    fn time(&mut self, field: &str, ms: i64) -> i64 {
        if !(0..=TIME_MS_MAX).contains(&ms) {
            self.note(
                field,
                "must be milliseconds since 1970, before the year 2200",
            );
        }
        ms
    }

    fn limit(&mut self, limit: u32) -> usize {
        match limit {
            0 => PAGE_ITEMS_DEFAULT,
            1..=PAGE_ITEMS_MAX => limit as usize,
            _ => {
                self.note("limit", format!("must be from 1 to {PAGE_ITEMS_MAX}"));
                PAGE_ITEMS_DEFAULT
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000).expect("in range")
    }

    fn fields(request: &SearchShowsRequest) -> Vec<String> {
        let refused = decode(request, now()).expect_err("is refused");
        let fields = refused.fields().iter();
        fields.map(|violation| violation.field.clone()).collect()
    }

    fn near(latitude: f64, longitude: f64, radius_m: u32) -> Option<wire::Near> {
        Some(wire::Near {
            latitude,
            longitude,
            radius_m,
        })
    }

    #[test]
    fn a_question_out_of_bounds_is_refused_by_field() {
        type Request = SearchShowsRequest;
        let request = Request::default;
        let distance = wire::Sort::Distance.into();
        #[rustfmt::skip]
        let cases = [
            ("q", Request { q: "x".repeat(301), ..request() }),
            ("category", Request { category: "Music".into(), ..request() }),
            ("category", Request { category: "a\" OR b = \"c".into(), ..request() }),
            ("city", Request { city: "x".repeat(201), ..request() }),
            ("city", Request { city: "'\"".into(), ..request() }),
            ("from_ms", Request { from_ms: Some(-1), ..request() }),
            ("to_ms", Request { to_ms: Some(i64::MAX), ..request() }),
            ("near", Request { near: near(90.5, 0.0, 5), ..request() }),
            ("near", Request { near: near(0.0, f64::NAN, 5), sort: distance, ..request() }),
            ("near.radius_m", Request { near: near(0.0, 0.0, 0), ..request() }),
            ("near.radius_m", Request { near: near(0.0, 0.0, 1_000_001), ..request() }),
            ("sort", Request { sort: 9, ..request() }),
            ("sort", Request { sort: distance, ..request() }),
            ("limit", Request { limit: 101, ..request() }),
            ("country", Request { country: "de".into(), ..request() }),
            ("country", Request { country: "DE\" OR".into(), ..request() }),
            ("from_date", Request { from_date: "2027-2-1".into(), ..request() }),
            ("to_date", Request { to_date: "2027-02-30".into(), ..request() }),
            ("currency", Request { currency: "euro".into(), ..request() }),
            ("price_min", Request { price_min: Some(1), ..request() }),
            ("price_max", Request { price_max: Some(-1), currency: "EUR".into(), ..request() }),
            ("price_max", Request { price_min: Some(2), price_max: Some(1), currency: "EUR".into(), ..request() }),
            ("sort", Request { sort: wire::Sort::Price.into(), ..request() }),
            ("facets", Request { facets: vec![0], ..request() }),
            ("facets", Request { facets: vec![2, 2], ..request() }),
            ("facets", Request { facets: vec![99], ..request() }),
            ("cursor", Request { cursor: "q1".into(), ..request() }),
        ];
        for (field, request) in cases {
            assert_eq!(fields(&request), [field], "{request:?}");
        }
        let all = SearchShowsRequest {
            q: "x".repeat(301),
            city: "!".into(),
            limit: 101,
            ..request()
        };
        assert_eq!(fields(&all), ["q", "city", "limit"]);
    }

    #[test]
    fn text_without_a_word_asks_for_all() {
        let junk = [
            "\"\"\"(((",
            "-- !' ~^*",
            "🎸🎸🎸",
            "\u{200d}\u{fe0f}",
            "\0\u{7}",
            "\"unbalanced",
        ];
        for q in junk {
            let request = SearchShowsRequest {
                q: q.to_owned(),
                ..Default::default()
            };
            let query = decode(&request, now()).expect("is good").query;
            let words: &[&str] = if q.contains("unb") {
                &["unbalanced"]
            } else {
                &[]
            };
            assert_eq!(query.words, words, "{q:?}");
            assert_eq!(query.text, words.join(" "), "{q:?}");
        }
        let long = SearchShowsRequest {
            q: "a ".repeat(5_000),
            ..Default::default()
        };
        assert_eq!(fields(&long), ["q"]);
    }

    #[test]
    fn what_was_typed_is_begun_and_bounded() {
        let asked = |q: &str, limit| {
            let q = q.to_owned();
            decode_begun(&SuggestNamesRequest { q, limit }, now())
        };
        assert!(asked(" -", 3).expect("is good").is_none());
        let (begun, limit) = asked("Tay", 0).expect("is good").expect("has a word");
        assert_eq!((begun.words, limit), (vec!["tay".to_owned()], 10));
        assert_eq!(begun.from_ms, 1_800_000_000_000);
        for (q, limit, field) in [("x", 11, "limit"), (&"x".repeat(301), 1, "q")] {
            let refused = asked(q, limit).expect_err("is refused");
            assert_eq!(refused.fields()[0].field, field);
        }
    }

    #[test]
    fn a_day_begins_where_it_does_at_the_venue() {
        let request = SearchShowsRequest {
            from_date: "2027-01-31".to_owned(),
            ..Default::default()
        };
        let query = decode(&request, now()).expect("is good").query;
        let day = NaiveDate::from_ymd_opt(2027, 1, 31).expect("is one");
        assert_eq!((query.from_ms, query.from_day), (0, Some(day_number(day))));
    }

    #[test]
    fn a_cursor_goes_on_with_the_same_question_only() {
        let first = SearchShowsRequest {
            q: "opera".into(),
            ..Default::default()
        };
        let asked = decode(&first, now()).expect("is good");
        assert_eq!(asked.query.from_ms, 1_800_000_000_000);
        let cursor = Cursor {
            offset: 40,
            after: Some((1, -2, 3)),
            from_ms: asked.query.from_ms,
            question: asked.question,
            looseness: Looseness::AsAsked,
        };
        let next = SearchShowsRequest {
            cursor: cursor.to_string(),
            limit: 7,
            ..first
        };
        let later = now() + chrono::TimeDelta::hours(1);
        let asked = decode(&next, later).expect("is good");
        assert_eq!((asked.query.offset, asked.query.limit), (40, 7));
        assert_eq!(asked.query.after, Some((1, -2, 3)));
        assert_eq!(
            asked.query.from_ms, 1_800_000_000_000,
            "as on the first page"
        );
        let other = SearchShowsRequest {
            q: "opera house".into(),
            ..next
        };
        assert_eq!(fields(&other), ["cursor"]);
    }

    #[test]
    fn a_cursor_goes_on_with_words_taken_as_on_the_first_page() {
        let page = |q: &str, looseness| {
            let first = SearchShowsRequest {
                q: q.to_owned(),
                ..Default::default()
            };
            let cursor = Cursor {
                offset: 20,
                after: None,
                from_ms: 0,
                question: question(&first),
                looseness,
            };
            SearchShowsRequest {
                cursor: cursor.to_string(),
                ..first
            }
        };
        let q = "tickets for The Koofii Mreau";
        for (looseness, words, spelling) in [
            (
                Looseness::AsAsked,
                "tickets for the koofii mreau",
                Spelling::Usual,
            ),
            (
                Looseness::WithoutAsking,
                "the koofii mreau",
                Spelling::Usual,
            ),
            (Looseness::WithoutArticles, "koofii mreau", Spelling::Usual),
            (Looseness::Misspelt, "koofii mreau", Spelling::Looser),
        ] {
            let asked = decode(&page(q, looseness), now()).expect("is good");
            assert_eq!(asked.taken, Some(looseness));
            assert_eq!(asked.query.words.join(" "), words);
            assert_eq!(fold::key(&asked.query.text), words);
            assert_eq!(asked.query.spelling, spelling);
        }
        let never_given_out = page("koofii", Looseness::WithoutAsking);
        assert_eq!(fields(&never_given_out), ["cursor"]);
    }

    #[test]
    fn the_last_page_ends_where_results_do() {
        let first = SearchShowsRequest::default();
        let question = decode(&first, now()).expect("is good").question;
        let cursor = Cursor {
            offset: RESULTS_MAX - 3,
            after: None,
            from_ms: 0,
            question,
            looseness: Looseness::AsAsked,
        };
        let last = SearchShowsRequest {
            cursor: cursor.to_string(),
            ..first
        };
        assert_eq!(decode(&last, now()).expect("is good").query.limit, 3);
    }

    #[test]
    fn what_is_on_sale_now_is_the_same_question_for_a_second() {
        let asked = |later_ms| {
            let request = SearchShowsRequest {
                on_sale: true,
                ..Default::default()
            };
            let now = now() + chrono::TimeDelta::milliseconds(later_ms);
            let query = decode(&request, now).expect("is good").query;
            let on_sale_at_ms = query.on_sale_at_ms.expect("was asked for");
            let start = 1_800_000_000_000;
            (query.from_ms - start, on_sale_at_ms - start)
        };
        assert_eq!(asked(0), (0, 0));
        assert_eq!(asked(999), (999, 0));
        assert_eq!(asked(1_000), (1_000, 1_000));
    }

    #[test]
    fn without_words_relevance_is_date() {
        let sorted = |q: &str, sort: wire::Sort| {
            let request = SearchShowsRequest {
                q: q.into(),
                sort: sort.into(),
                ..Default::default()
            };
            decode(&request, now()).expect("is good").query.sort
        };
        assert_eq!(sorted("", wire::Sort::Unspecified), Sort::Date);
        assert_eq!(sorted(" - ", wire::Sort::Relevance), Sort::Date);
        assert_eq!(sorted("opera", wire::Sort::Unspecified), Sort::Relevance);
        assert_eq!(sorted("opera", wire::Sort::Date), Sort::Date);
    }
}
