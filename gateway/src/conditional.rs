//! Answers that caches may keep: an entity tag over the body, and 304 where the client has it.

use std::{io::Write as _, sync::OnceLock, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use holdfast_mesh::auth::KEYS_AGE_MAX;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failure::ApiError;

/// RFC 7240.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Browsing may be a little stale: five seconds as fresh, thirty more while it is
/// fetched anew.
const CACHE_CONTROL: HeaderValue =
    HeaderValue::from_static("public, max-age=5, stale-while-revalidate=30");

/// Bytes of the body's hash in its tag: enough that two bodies of one page never meet.
const TAG_BYTES: usize = 16;

/// What is found may be so much older than it is in our own cache: a change is to be found within two
/// seconds (SE-1).
const CACHE_CONTROL_FOUND: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// Keys may be as old as our own services let them be ([`KEYS_AGE_MAX`]); a new one signs after twice that.
const CACHE_CONTROL_KEYS: HeaderValue = HeaderValue::from_static("public, max-age=300");
const _: () = assert!(KEYS_AGE_MAX.as_secs() == 300);

/// Compressed for those who accept it. The body is another one then, and the tag, being weak, the
/// same.
const GZIP: &str = "gzip";

/// `body` as JSON with its tag, or 304 where `request_headers` name the tag.
pub(crate) fn json<T: Serialize>(
    request_headers: &HeaderMap,
    body: &T,
) -> Result<Response, ApiError> {
    Ok(Encoded::new(body)?.answer(request_headers, CACHE_CONTROL))
}

/// The same for the keys of tokens.
pub(crate) fn keys<T: Serialize>(
    request_headers: &HeaderMap,
    body: &T,
) -> Result<Response, ApiError> {
    Ok(Encoded::new(body)?.answer(request_headers, CACHE_CONTROL_KEYS))
}

/// A page that was encoded and compressed once, to be answered many times.
#[derive(Debug)]
pub(crate) struct EncodedPage(Encoded);

impl EncodedPage {
    /// The largest take hundreds of milliseconds.
    pub(crate) fn new<T: Serialize>(page: &T) -> Result<Self, ApiError> {
        let mut encoded = Encoded::new(page)?;
        encoded.gzip = Some(gzip(&encoded.bytes)?);
        Ok(Self(encoded))
    }

    /// Bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        self.0.bytes.len() + self.0.gzip.as_ref().map_or(0, Bytes::len)
    }

    /// As [`json`].
    pub(crate) fn answer(&self, request_headers: &HeaderMap) -> Response {
        self.0.answer(request_headers, CACHE_CONTROL)
    }
}

/// How a page of search ends as long as it is fresh, and once it isn't.
const FRESH_END: &[u8] = b"\"stale\":false}";
const STALE_END: &[u8] = b"\"stale\":true}";

/// Results of a search that were encoded once; compressed once, too, if anyone accepts that.
#[derive(Debug)]
pub(crate) struct EncodedResults {
    page: Encoded,
    gzip: OnceLock<Bytes>,
}

impl EncodedResults {
    /// Of a page whose last field is `stale`, and false.
    pub(crate) fn new<T: Serialize>(page: &T) -> Result<Self, ApiError> {
        let page = Encoded::new(page)?;
        if !page.bytes.ends_with(FRESH_END) {
            return Err(ApiError::defect("a page of search doesn't say `stale`"));
        }
        Ok(Self::of(page))
    }

    fn of(page: Encoded) -> Self {
        let gzip = OnceLock::new();
        Self { page, gzip }
    }

    /// The same that says that it is stale.
    pub(crate) fn stale(&self) -> Self {
        let bytes = &self.page.bytes;
        let before = bytes.strip_suffix(FRESH_END).unwrap_or(bytes);
        Self::of(Encoded::of([before, STALE_END].concat()))
    }

    /// Bytes that it takes, or will take where it is compressed, too.
    pub(crate) fn bytes_max(&self) -> usize {
        2 * self.page.bytes.len()
    }

    /// As [`json`], for as long as what was found may be kept.
    pub(crate) fn answer(&self, request_headers: &HeaderMap) -> Result<Response, ApiError> {
        let mut page = self.page.clone();
        if accepts_gzip(request_headers) && !known(request_headers, &page.tag) {
            page.gzip = Some(match self.gzip.get() {
                Some(gzip) => gzip.clone(),
                None => {
                    let made = packed_fast(&page.bytes)?;
                    self.gzip.get_or_init(|| made).clone()
                }
            });
        }
        Ok(page.answer(request_headers, CACHE_CONTROL_FOUND))
    }
}

#[derive(Debug, Clone)]
struct Encoded {
    bytes: Bytes,
    /// Where it is made beforehand; else it is made on the way out.
    gzip: Option<Bytes>,
    tag: HeaderValue,
}

impl Encoded {
    fn new<T: Serialize>(body: &T) -> Result<Self, ApiError> {
        let bytes = serde_json::to_vec(body);
        let bytes = bytes.map_err(|error| ApiError::defect(&error.to_string()))?;
        Ok(Self::of(bytes))
    }

    fn of(bytes: Vec<u8>) -> Self {
        let tag = HeaderValue::from_str(&tag(&bytes)).expect("a quoted hash is a header");
        Self {
            bytes: bytes.into_boxed_slice().into(),
            gzip: None,
            tag,
        }
    }

    fn answer(&self, request_headers: &HeaderMap, cache_control: HeaderValue) -> Response {
        let mut headers = HeaderMap::with_capacity(HEADERS_USUAL);
        headers.insert(header::CACHE_CONTROL, cache_control);
        headers.insert(header::ETAG, self.tag.clone());
        // Of a 304, too.
        headers.insert(header::VARY, BY_CODING);
        if known(request_headers, &self.tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        match &self.gzip {
            Some(gzip) if accepts_gzip(request_headers) => json_bytes(headers, gzip.clone(), true),
            _ => json_bytes(headers, self.bytes.clone(), false),
        }
    }
}

/// Fields that an answer has at the end, and some to spare: without room for them they are moved as they
/// come.
pub(crate) const HEADERS_USUAL: usize = 18;

/// An answer of JSON that was encoded before.
pub(crate) fn json_bytes(mut headers: HeaderMap, bytes: Bytes, is_packed: bool) -> Response {
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    let mut response = Response::new(bytes.into());
    *response.headers_mut() = headers;
    response
}

/// What is there in each coding.
pub(crate) const BY_CODING: HeaderValue = HeaderValue::from_static("accept-encoding");

fn gzip(bytes: &[u8]) -> Result<Bytes, ApiError> {
    packed(bytes, Compression::default())
}

/// For what is sent for a second.
pub(crate) fn packed_fast(bytes: &[u8]) -> Result<Bytes, ApiError> {
    packed(bytes, Compression::fast())
}

fn packed(bytes: &[u8], level: Compression) -> Result<Bytes, ApiError> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    let packed = packed.map_err(|error| ApiError::defect(&error.to_string()))?;
    Ok(packed.into())
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

/// Every member of a header that is a list, over all lines of it.
fn members(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The tag of what the client has, without quotes; of several the first.
pub(crate) fn kept_tag(request_headers: &HeaderMap) -> Option<String> {
    let mut tags = members(request_headers, header::IF_NONE_MATCH);
    tags.find_map(|tag| Some(opaque(tag).strip_prefix('"')?.strip_suffix('"')?.to_owned()))
}

/// How long the client would wait for the answer (`Prefer: wait=`, RFC 7240 §4.3); zero if it doesn't say.
pub(crate) fn wait(request_headers: &HeaderMap) -> Duration {
    let mut preferences = members(request_headers, PREFER).flat_map(|member| member.split(';'));
    preferences
        .find_map(|preference| {
            let (name, seconds) = preference.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case("wait");
            named.then(|| seconds.trim().trim_matches('"').parse::<u32>().ok())?
        })
        .map_or(Duration::ZERO, |seconds| {
            Duration::from_secs(seconds.into())
        })
}

/// The version that a change is for (`If-Match`), without quotes; `None` for whichever. Tags are
/// compared by what they say, weak or not: a tag of ours stands for what the thing is, not for the bytes
/// of an answer.
pub(crate) fn if_match(request_headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut tags = members(request_headers, header::IF_MATCH);
    let Some(tag) = tags.next() else {
        return Ok(None);
    };
    let named = opaque(tag)
        .strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'));
    match (tag, named, tags.next()) {
        ("*", _, None) => Ok(None),
        (_, Some(named), None) if !named.is_empty() => Ok(Some(named.to_owned())),
        _ => Err(ApiError::invalid(
            "If-Match",
            "must be one `ETag` of ours, or `*`",
        )),
    }
}

/// The tag of a version; weak, because the same body may go out compressed. None of none.
pub(crate) fn version_tag(version: &str) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    if !version.is_empty() {
        let tag = HeaderValue::from_str(&format!("W/\"{version}\""));
        let tag = tag.map_err(|error| ApiError::defect(&error.to_string()))?;
        headers.insert(header::ETAG, tag);
    }
    Ok(headers)
}

fn opaque(tag: &str) -> &str {
    tag.trim_start_matches("W/")
}

/// Weak comparison of RFC 9110 §13.1.2.
pub(crate) fn known(request_headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.to_str().map(opaque).unwrap_or_default();
    let mut tags = members(request_headers, header::IF_NONE_MATCH);
    tags.any(|candidate| candidate == "*" || opaque(candidate) == tag)
}

/// Whether the layer around may choose a coding that the client didn't name.
pub(crate) fn takes_any_coding(request_headers: &HeaderMap) -> bool {
    let codings = members(request_headers, header::ACCEPT_ENCODING);
    codings.into_iter().any(|coding| coding.starts_with('*'))
}

/// RFC 9110 §12.5.3, by name: who takes anything (`*`) is served by the layer around.
pub(crate) fn accepts_gzip(request_headers: &HeaderMap) -> bool {
    let mut codings = members(request_headers, header::ACCEPT_ENCODING);
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=");
        let refused = weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case(GZIP) && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_tag_is_found_in_a_list_weak_or_strong() {
        let tag = HeaderValue::from_static("W/\"a\"");
        for value in ["W/\"a\"", "\"a\"", "\"b\", W/\"a\"", "*"] {
            assert!(
                known(&headers(header::IF_NONE_MATCH, value), &tag),
                "{value}"
            );
        }
        for value in ["\"b\"", "", "a"] {
            assert!(
                !known(&headers(header::IF_NONE_MATCH, value), &tag),
                "{value}"
            );
        }
    }

    #[test]
    fn a_change_is_for_one_version_or_for_whichever() {
        let of = |value| {
            let headers = headers(header::IF_MATCH, value);
            if_match(&headers).map_err(|error| error.code())
        };
        for value in ["W/\"a\"", "\"a\""] {
            assert_eq!(of(value), Ok(Some("a".to_owned())), "{value}");
        }
        assert_eq!(of("*"), Ok(None));
        let none = if_match(&HeaderMap::new());
        assert_eq!(none.map_err(|error| error.code()), Ok(None));
        for value in ["", "a", "\"\"", "\"a\", \"b\"", "*, \"a\""] {
            assert_eq!(
                of(value),
                Err(holdfast_types::ErrorCode::InvalidRequest),
                "{value}"
            );
        }
    }

    #[test]
    fn a_wait_is_read_among_other_preferences() {
        let waits = |value| wait(&headers(PREFER, value)).as_secs();
        for value in [
            "wait=8",
            "respond-async, wait=8",
            "return=minimal; Wait = \"8\"",
        ] {
            assert_eq!(waits(value), 8, "{value}");
        }
        for value in ["", "wait", "wait=soon", "wait=-1", "handling=strict"] {
            assert_eq!(waits(value), 0, "{value}");
        }
    }

    #[test]
    fn tags_differ_when_bodies_do() {
        assert_ne!(tag(b"a"), tag(b"b"));
        assert_eq!(tag(b"a"), tag(b"a"));
    }

    #[test]
    fn gzip_is_for_those_who_name_it_and_do_not_refuse_it() {
        let accepts = |value| accepts_gzip(&headers(header::ACCEPT_ENCODING, value));
        for value in ["gzip", "br, GZIP", "gzip;q=0.5, br", "gzip; q=1"] {
            assert!(accepts(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip", "*"] {
            assert!(!accepts(value), "{value}");
        }
    }
}
