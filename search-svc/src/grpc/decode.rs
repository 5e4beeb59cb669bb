//! From a request to a question: bounds of every field, all that are wrong named at once.

use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_proto::search::v1::{self as wire, SearchShowsRequest};
use holdfast_types::limits::{PAGE_ITEMS_MAX, TIME_MS_MAX};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{
    cursor::Cursor,
    fold,
    place::Place,
    query::{Near, Query, RESULTS_MAX, Sort, WORDS_MAX},
};

/// Items in a page when the caller names no limit.
const PAGE_ITEMS_DEFAULT: usize = 20;
const TEXT_BYTES_MAX: usize = 300;
const CITY_BYTES_MAX: usize = 200;
const CATEGORY_BYTES_MAX: usize = 32;
/// A day's travel; a wider circle is no place any more.
const RADIUS_M_MAX: u32 = 1_000_000;

/// A question, and what its cursors name it by.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) question: u64,
}

pub(super) fn decode(request: &SearchShowsRequest, now: DateTime<Utc>) -> Result<Asked, Failure> {
    let mut wrong = Wrong::default();
    let question = question(request);
    let cursor = wrong.cursor(&request.cursor, question);
    let near = wrong.near(request.near);
    if request.q.len() > TEXT_BYTES_MAX {
        wrong.note("q", format!("is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let mut words = fold::words(&request.q);
    words.truncate(WORDS_MAX);
    let offset = cursor.map_or(0, |cursor| cursor.offset);
    let query = Query {
        text: fold::plain(&request.q, WORDS_MAX),
        sort: wrong.sort(request, near, !words.is_empty()),
        words,
        category: wrong.category(&request.category),
        city: wrong.city(&request.city),
        from_ms: match (cursor, request.from_ms) {
            (Some(cursor), _) => cursor.from_ms,
            (None, Some(ms)) => wrong.time("from_ms", ms),
            (None, None) => now.timestamp_millis(),
        },
        to_ms: request.to_ms.map(|ms| wrong.time("to_ms", ms)),
        near,
        offset,
        limit: wrong.limit(request.limit).min(RESULTS_MAX - offset),
    };
    wrong.finish()?;
    Ok(Asked { query, question })
}

/// All that makes another question: where a page of it begins and how long it is doesn't.
fn question(request: &SearchShowsRequest) -> u64 {
    let asked = SearchShowsRequest {
        limit: 0,
        cursor: String::new(),
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

    fn cursor(&mut self, text: &str, question: u64) -> Option<Cursor> {
        if text.is_empty() {
            return None;
        }
        match text.parse::<Cursor>() {
            Ok(cursor) if cursor.question == question => Some(cursor),
            Ok(_) => {
                self.note("cursor", "is of another search; ask again without it");
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
            (Err(_), _) => {
                self.note("sort", "must be relevance, date or distance");
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
    fn a_cursor_goes_on_with_the_same_question_only() {
        let first = SearchShowsRequest {
            q: "opera".into(),
            ..Default::default()
        };
        let asked = decode(&first, now()).expect("is good");
        assert_eq!(asked.query.from_ms, 1_800_000_000_000);
        let cursor = Cursor {
            offset: 40,
            from_ms: asked.query.from_ms,
            question: asked.question,
        };
        let next = SearchShowsRequest {
            cursor: cursor.to_string(),
            limit: 7,
            ..first
        };
        let later = now() + chrono::TimeDelta::hours(1);
        let asked = decode(&next, later).expect("is good");
        assert_eq!((asked.query.offset, asked.query.limit), (40, 7));
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
    fn the_last_page_ends_where_results_do() {
        let first = SearchShowsRequest::default();
        let question = decode(&first, now()).expect("is good").question;
        let cursor = Cursor {
            offset: RESULTS_MAX - 3,
            from_ms: 0,
            question,
        };
        let last = SearchShowsRequest {
            cursor: cursor.to_string(),
            ..first
        };
        assert_eq!(decode(&last, now()).expect("is good").query.limit, 3);
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
