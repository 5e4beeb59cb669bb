//! Which seats are free, of whole shows: encoded once for each revision that is asked for, and answered many
//! times. The text of 20,000 seats takes longer to write than to send.
//!
//! Always holds: a list is what its show was at the revision that it says; of many who ask at once one
//! encodes; memory is bounded. Leaves to others: which revision is new enough.

use std::{future::Future, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
    response::Response,
};
use futures::FutureExt as _;
use holdfast_types::{Revision, ShowId};
use moka::future::Cache;
use serde::Serialize;

use crate::{
    conditional::{BY_CODING, HEADERS_USUAL, accepts_gzip, json_bytes, packed_fast},
    failure::ApiError,
};

/// Bytes of them all: of some fifty shows of 20,000 seats at a few revisions each.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A list is asked for while its show is as it says, at most for as long as a confirmation counts.
const KEPT: Duration = Duration::from_secs(2);

/// What one follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ListVersion {
    pub(crate) show_id: ShowId,
    pub(crate) revision: Revision,
    pub(crate) show_state: &'static str,
    /// Two bits a seat, instead of a list.
    pub(crate) is_bitmap: bool,
}

/// The lists.
pub(crate) struct Lists {
    plain: Cache<ListVersion, Bytes>,
    packed: Cache<ListVersion, Bytes>,
}

impl Lists {
    pub(crate) fn new() -> Self {
        let cache = || {
            Cache::builder()
                .weigher(|_, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX))
                .max_capacity(BYTES_MAX / 2)
                .time_to_live(KEPT)
                .build()
        };
        Self {
            plain: cache(),
            packed: cache(),
        }
    }

    /// The answer of `version`, if it was made already.
    pub(crate) fn at_hand(
        &self,
        version: &ListVersion,
        request_headers: &HeaderMap,
    ) -> Option<Response> {
        let is_packed = accepts_gzip(request_headers);
        let kept = if is_packed { &self.packed } else { &self.plain };
        let bytes = kept.get(version).now_or_never().flatten()?;
        Some(response(bytes, is_packed))
    }

    /// The answer of `version`, made by `make` where it isn't there.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        version: ListVersion,
        request_headers: &HeaderMap,
        make: impl Future<Output = T>,
    ) -> Result<Response, ApiError> {
        let encoding = async {
            let bytes = serde_json::to_vec(&make.await);
            let bytes = bytes.map_err(|error| ApiError::defect(&error.to_string()))?;
            Ok(Bytes::from(bytes))
        };
        let plain = self.plain.try_get_with(version, encoding).await;
        let plain = plain.map_err(|error: std::sync::Arc<ApiError>| (*error).clone())?;
        if !accepts_gzip(request_headers) {
            return Ok(response(plain, false));
        }
        let packing = async {
            let packing = tokio::task::spawn_blocking(move || packed_fast(&plain));
            let packed = packing.await;
            packed.map_err(|error| ApiError::defect(&error.to_string()))?
        };
        let packed = self.packed.try_get_with(version, packing).await;
        let packed = packed.map_err(|error: std::sync::Arc<ApiError>| (*error).clone())?;
        Ok(response(packed, true))
    }
}

fn response(bytes: Bytes, is_packed: bool) -> Response {
    let mut headers = HeaderMap::with_capacity(HEADERS_USUAL);
    headers.insert(header::VARY, BY_CODING);
    json_bytes(headers, bytes, is_packed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::{body::to_bytes, http::HeaderValue};
    use holdfast_types::Lineage;

    use super::*;

    fn version(index: u64) -> ListVersion {
        ListVersion {
            show_id: ShowId::from_bytes([1; 16]),
            revision: Revision::new(Lineage(1), index, 0),
            show_state: "ON_SALE",
            is_bitmap: false,
        }
    }

    #[tokio::test]
    async fn a_list_is_written_once_for_each_revision_and_packed_for_those_who_ask() {
        let (lists, written) = (Lists::new(), AtomicU32::new(0));
        let gzip =
            HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let read = async |index, headers: &HeaderMap| {
            let make = async {
                written.fetch_add(1, Ordering::Relaxed);
                vec![index; 1_000]
            };
            let answer = lists.answer(version(index), headers, make).await;
            let answer = answer.expect("is written");
            let coding = answer.headers().get(header::CONTENT_ENCODING).cloned();
            let bytes = to_bytes(answer.into_body(), 10_000)
                .await
                .expect("is small");
            (coding, bytes)
        };
        let plain = HeaderMap::new();
        let (coding, first) = read(1, &plain).await;
        assert!(coding.is_none() && first.starts_with(b"[1,1"));
        assert_eq!(read(1, &plain).await.1, first);
        let (coding, packed) = read(1, &gzip).await;
        assert!(coding.is_some() && packed.len() < first.len());
        assert_eq!(written.load(Ordering::Relaxed), 1);
        assert!(read(2, &plain).await.1.starts_with(b"[2,2"));
        assert_eq!(written.load(Ordering::Relaxed), 2);
    }
}
