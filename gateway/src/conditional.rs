//! Answers that caches may keep: an entity tag over the body, and 304 where the client has it.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failure::ApiError;

/// Browsing may be a little stale: five seconds as fresh, thirty more while it is
/// fetched anew.
const CACHE_CONTROL: HeaderValue =
    HeaderValue::from_static("public, max-age=5, stale-while-revalidate=30");

/// Bytes of the body's hash in its tag: enough that two bodies of one page never meet.
const TAG_BYTES: usize = 16;

/// What is found may be as old as it is in our own cache, and not older: a change is to be found
/// within two seconds (SE-1).
const CACHE_CONTROL_FOUND: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// `body` as JSON with its tag, or 304 where `request_headers` name the tag.
pub(crate) fn json<T: Serialize>(
    request_headers: &HeaderMap,
    body: &T,
) -> Result<Response, ApiError> {
    cached(request_headers, body, CACHE_CONTROL)
}

/// The same for the results of a search.
pub(crate) fn found<T: Serialize>(
    request_headers: &HeaderMap,
    body: &T,
) -> Result<Response, ApiError> {
    cached(request_headers, body, CACHE_CONTROL_FOUND)
}

fn cached<T: Serialize>(
    request_headers: &HeaderMap,
    body: &T,
    cache_control: HeaderValue,
) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(body).map_err(|error| ApiError::defect(&error.to_string()))?;
    let tag = tag(&bytes);
    let cache = [
        (header::CACHE_CONTROL, cache_control),
        (
            header::ETAG,
            HeaderValue::from_str(&tag).expect("a quoted hash is a header"),
        ),
    ];
    if known(request_headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, cache).into_response());
    }
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    Ok((cache, json, bytes).into_response())
}

/// Weak, because the same body may go out compressed.
fn tag(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let hash = Sha256::digest(bytes);
    let hex = hash
        .iter()
        .take(TAG_BYTES)
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes all");
            text
        });
    format!("W/\"{hex}\"")
}

/// Weak comparison of RFC 9110 §13.1.2.
fn known(request_headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = request_headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    tags.any(|candidate| candidate.trim() == "*" || opaque(candidate) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_weak_or_strong() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))])
        };
        for value in ["W/\"a\"", "\"a\"", "\"b\", W/\"a\"", "*"] {
            assert!(known(&headers(value), "W/\"a\""), "{value}");
        }
        for value in ["\"b\"", "", "a"] {
            assert!(!known(&headers(value), "W/\"a\""), "{value}");
        }
    }

    #[test]
    fn tags_differ_when_bodies_do() {
        assert_ne!(tag(b"a"), tag(b"b"));
        assert_eq!(tag(b"a"), tag(b"a"));
    }
}
