//! Results of searches that many ask for at once.
//!
//! Always holds: a result is given out for [`KEPT`] at most, whoever asks; of many who ask the
//! same at once, one asks search-svc; what failed isn't kept. Memory is bounded.

use std::{sync::Arc, time::Duration};

use holdfast_proto::search::v1::{SearchShowsRequest, SearchShowsResponse};
use moka::future::Cache;
use prost::Message;

use crate::failure::ApiError;

/// How long a result is given out. With it a change is still found within two seconds (SE-1).
const KEPT: Duration = Duration::from_secs(1);

/// Encoded bytes of all results kept; one page has some 10 kB.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The cache.
pub(crate) struct Searches(Cache<Vec<u8>, Arc<SearchShowsResponse>>);

impl Searches {
    pub(crate) fn new() -> Self {
        let weight = |key: &Vec<u8>, found: &Arc<SearchShowsResponse>| {
            u32::try_from(key.len() + found.encoded_len()).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .weigher(weight)
            .max_capacity(BYTES_MAX)
            .time_to_live(KEPT)
            .build();
        Self(cache)
    }

    /// What is kept of `request`, else what `ask` answers.
    pub(crate) async fn get(
        &self,
        request: &SearchShowsRequest,
        ask: impl Future<Output = Result<SearchShowsResponse, ApiError>>,
    ) -> Result<Arc<SearchShowsResponse>, ApiError> {
        let key = request.encode_to_vec();
        let found = self.0.try_get_with(key, async { ask.await.map(Arc::new) });
        found.await.map_err(|error| (*error).clone())
    }
}
