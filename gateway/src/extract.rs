//! Reading requests: JSON bodies, path and query parameters, the idempotency key.
//!
//! Always holds: whatever is wrong is an [`ApiError`] that names the field, parameter or header;
//! unknown and repeated ones are refused, because a misspelt filter that is ignored would answer
//! another question.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use axum::{
    body::{Bytes, HttpBody as _},
    extract::{
        FromRequest, FromRequestParts, Query, RawPathParams, Request,
        rejection::{BytesRejection, FailedToBufferBody},
    },
    http::{HeaderMap, header, request::Parts},
};
use chrono::{DateTime, NaiveDate};
use holdfast_types::{ErrorCode, Revision, limits};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{call::Roles, cursors, failure::ApiError, server::Shared};

/// Header that makes a POST repeatable.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A body of at most [`limits::REST_BODY_BYTES_MAX`], as it came.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = whole(request, state, limits::REST_BODY_BYTES_MAX).await;
        bytes.map(Self)
    }
}

/// All of a body; its route reads at most `most` bytes.
async fn whole<S: Send + Sync>(
    request: Request,
    state: &S,
    most: usize,
) -> Result<Bytes, ApiError> {
    match Bytes::from_request(request, state).await {
        Ok(bytes) => Ok(bytes),
        Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_))) => {
            let message = format!("the body may have {most} bytes at most");
            Err(ApiError::new(ErrorCode::PayloadTooLarge, message))
        }
        Err(_) => Err(ApiError::invalid("body", "could not be read to its end")),
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        require_json(&request)?;
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body on a route that reads up to `MOST` bytes. Few that are larger than others' are read at once.
pub(crate) struct LargeBody<T, const MOST: usize>(pub(crate) T);

impl<T: DeserializeOwned, const MOST: usize> FromRequest<Shared> for LargeBody<T, MOST> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, ApiError> {
        require_json(&request)?;
        let size = request.body().size_hint().upper();
        let is_small = size.is_some_and(|size| size <= limits::REST_BODY_BYTES_MAX as u64);
        let roles = request.extensions().get::<Roles>();
        if !is_small && !roles.is_some_and(Roles::may_have_plans) {
            let message = "a body of this size is for organisers to send";
            return Err(ApiError::new(ErrorCode::Forbidden, message));
        }
        let _place = match is_small {
            true => None,
            false => Some(app.uploads.try_acquire().map_err(|_| {
                let message = "too many large bodies are being read; try again";
                ApiError::new(ErrorCode::Unavailable, message)
            })?),
        };
        parse(&whole(request, app, MOST).await?).map(Self)
    }
}

fn require_json(request: &Request) -> Result<(), ApiError> {
    let why = if !is_json(request.headers()) {
        "send JSON with `content-type: application/json`"
    } else if is_packed(request.headers()) {
        "send the body as it is, without `content-encoding`"
    } else {
        return Ok(());
    };
    Err(ApiError::new(ErrorCode::UnsupportedMediaType, why))
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Nothing is unpacked here: what is small on its way would be large in memory.
fn is_packed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde would read a list as a struct's fields, and name the struct where it gets none.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        let why = match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => "must be an object".to_owned(),
            Err(error) => format!("is not JSON: {error}"),
        };
        return Err(ApiError::invalid("body", why));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let text = inner.to_string();
        if !inner.is_data() {
            return ApiError::invalid("body", format!("is not JSON: {text}"));
        }
        // serde names these two in its text only; their path is the parent's. Where in the text
        // it happened is of no use to those who don't write JSON by hand.
        let why = text.split(" at line ").next().unwrap_or(&text);
        if let Some(expected) = expected(why) {
            let field = if path == "." { "body" } else { &path };
            return ApiError::invalid(field, format!("must be {expected}"));
        }
        let named = |says: &str| why.strip_prefix(says)?.strip_suffix('`').map(str::to_owned);
        if let Some(field) = named("missing field `") {
            return ApiError::invalid(&field, "is missing");
        }
        if let Some(field) = named("duplicate field `") {
            return ApiError::invalid(&field, "is there twice");
        }
        ApiError::invalid(if path == "." { "body" } else { &path }, why)
    })?;
    json.end()
        .map_err(|_| ApiError::invalid("body", "has more than one JSON value"))?;
    Ok(value)
}

/// What should have been there, of a message of serde's that says what was: that is the caller's, may be
/// a secret, and goes nowhere.
fn expected(why: &str) -> Option<&str> {
    if !["invalid type: ", "invalid value: "]
        .iter()
        .any(|start| why.starts_with(start))
    {
        return None;
    }
    let (_, expected) = why.rsplit_once(", expected ")?;
    Some(match expected {
        "a sequence" => "a list",
        "a boolean" => "true or false",
        // Types of ours have names that say nothing to others.
        named if named.starts_with("struct ") || named == "a map" => "an object",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => {
            "a whole number within its bounds"
        }
        "f64" => "a number",
        other => other,
    })
}

/// The one path parameter of a route, as a typed id.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for PathId<T>
where
    T: FromStr<Err: Display>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::invalid("path", "is not UTF-8"))?;
        let (name, text) = params
            .iter()
            .next()
            .ok_or_else(|| ApiError::defect("a route without its parameter"))?;
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| ApiError::invalid(name, error.to_string()))
    }
}

/// The two path parameters of a route, as typed ids.
pub(crate) struct PathIds<A, B>(pub(crate) A, pub(crate) B);

impl<A, B, S> FromRequestParts<S> for PathIds<A, B>
where
    A: FromStr<Err: Display>,
    B: FromStr<Err: Display>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::invalid("path", "is not UTF-8"))?;
        let mut params = params.iter();
        let mut next = || {
            let param = params.next();
            param.ok_or_else(|| ApiError::defect("a route without its parameters"))
        };
        let ((first, a), (second, b)) = (next()?, next()?);
        Ok(Self(body_id(first, a)?, body_id(second, b)?))
    }
}

/// A moment, or a day of some calendar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TimeOrDay {
    /// Milliseconds since 1970.
    TimeMs(i64),
    Day(NaiveDate),
}

/// The query, each parameter taken once by name; [`Params::finish`] refuses what is left.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::invalid("query", "can't be read"))?;
        Ok(Self(pairs))
    }
}

impl Params {
    /// The text of `name`; empty when absent.
    pub(crate) fn text(&mut self, name: &str) -> Result<String, ApiError> {
        Ok(self.take(name)?.unwrap_or_default())
    }

    /// The number `name`, within `range`.
    pub(crate) fn number(
        &mut self,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let refuse = || {
            ApiError::invalid(
                name,
                format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
            )
        };
        number.map(Some).ok_or_else(refuse)
    }

    /// How many items a page may have; 0 for the service's own choice.
    pub(crate) fn limit(&mut self) -> Result<u32, ApiError> {
        Ok(self
            .number("limit", 1..=limits::PAGE_ITEMS_MAX)?
            .unwrap_or(0))
    }

    /// The flag `name`, `true` or `false`; absent is `false`.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid(name, "must be true or false")),
        }
    }

    /// The id `name`.
    pub(crate) fn id<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let id = text.parse::<T>();
        id.map(Some)
            .map_err(|error| ApiError::invalid(name, error.to_string()))
    }

    /// The position `name`, `latitude,longitude` in degrees.
    pub(crate) fn position(&mut self, name: &str) -> Result<Option<(f64, f64)>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let degrees = |text: &str, max: f64| {
            let degrees: f64 = text.trim().parse().ok()?;
            // Refuses what is no number, too.
            (degrees.abs() <= max).then_some(degrees)
        };
        let position = text.split_once(',').and_then(|(latitude, longitude)| {
            Some((degrees(latitude, 90.0)?, degrees(longitude, 180.0)?))
        });
        let why = "must be latitude and longitude in degrees, e.g. 52.52,13.405";
        position
            .map(Some)
            .ok_or_else(|| ApiError::invalid(name, why))
    }

    /// The time `name`, in milliseconds since 1970.
    pub(crate) fn time_ms(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let why = "must be a time of RFC 3339, e.g. 2026-11-22T20:00:00%2B01:00 (a + in a URL is written %2B)";
        time_ms(name, &text, why).map(Some)
    }

    /// The time or the day `name`.
    pub(crate) fn time_or_day(&mut self, name: &str) -> Result<Option<TimeOrDay>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        // It reads 2027-1-2, too.
        if let Ok(day) = text.parse::<NaiveDate>()
            && day.to_string() == text
        {
            return Ok(Some(TimeOrDay::Day(day)));
        }
        let why = "must be a day, e.g. 2027-01-31, or a time of RFC 3339, e.g. 2026-11-22T20:00:00%2B01:00 (a + in a URL is written %2B)";
        time_ms(name, &text, why).map(|ms| Some(TimeOrDay::TimeMs(ms)))
    }

    /// The number `name`, not negative.
    pub(crate) fn amount(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let amount = text.parse().ok().filter(|amount: &i64| *amount >= 0);
        let refuse = || ApiError::invalid(name, "must be a whole number of minor units, e.g. 2500");
        amount.map(Some).ok_or_else(refuse)
    }

    /// The revision `name`.
    pub(crate) fn revision(&mut self, name: &str) -> Result<Option<Revision>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let revision = text.parse::<Revision>();
        revision
            .map(Some)
            .map_err(|error| ApiError::invalid(name, error.to_string()))
    }

    /// Refuses parameters that nobody took.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::invalid(name, "is no parameter of this route")),
        }
    }

    fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut found = self.0.extract_if(.., |(key, _)| key == name);
        let value = found.next().map(|(_, value)| value);
        let value = match value {
            Some(text) if name == cursors::PARAMETER => Some(cursors::read(&text)?),
            value => value,
        };
        let again = found.next().is_some();
        drop(found);
        if again {
            Err(ApiError::invalid(name, "is there twice"))
        } else {
            Ok(value)
        }
    }
}

/// The time that a body has in `field`, in milliseconds since 1970.
pub(crate) fn body_time_ms(field: &str, text: &str) -> Result<i64, ApiError> {
    let why = "must be a time of RFC 3339, e.g. 2026-11-22T20:00:00+01:00";
    time_ms(field, text, why)
}

/// The id that a body has in `field`, or a path.
pub(crate) fn body_id<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, ApiError> {
    let id = text.parse::<T>();
    id.map_err(|error| ApiError::invalid(field, error.to_string()))
}

fn time_ms(name: &str, text: &str, why: &str) -> Result<i64, ApiError> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| ApiError::invalid(name, why))?;
    let ms = time.timestamp_millis();
    if !(0..=limits::TIME_MS_MAX).contains(&ms) {
        return Err(ApiError::invalid(name, "must be from 1970 to 2200"));
    }
    Ok(ms)
}

/// The `Idempotency-Key` that holds and bookings need.
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        match idempotency_key(&parts.headers)? {
            Some(key) => Ok(Self(key)),
            None => {
                let message = "send an Idempotency-Key: a new one for something new, the same to repeat a request";
                Err(ApiError::new(ErrorCode::IdempotencyKeyRequired, message))
            }
        }
    }
}

/// The `Idempotency-Key` of a request that may do without; empty then.
pub(crate) struct AnyIdempotencyKey(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for AnyIdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let key = idempotency_key(&parts.headers)?;
        Ok(Self(key.unwrap_or_default()))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let visible = |text: &&str| {
        (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic())
    };
    match (value.to_str().ok().filter(visible), values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => {
            let why = format!(
                "must be there once, with 1 to {} visible ASCII characters",
                limits::IDEMPOTENCY_KEY_BYTES_MAX
            );
            Err(ApiError::invalid("Idempotency-Key", why))
        }
    }
}
