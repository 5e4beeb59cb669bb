//! Answers of search that many ask for at once, and that stand in while search is down.
//!
//! Always holds: an answer is given out for [`KEPT`] at most, whoever asks; of many who ask the
//! same at once, one asks search-svc; what failed isn't kept. While search is down the last answer to
//! the same question stands in for [`STANDS_IN`] at most since it was asked for, and says so. Memory is
//! bounded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use holdfast_types::ErrorCode;
use moka::future::Cache;
use prost::Message;

use crate::{failure::ApiError, metrics};

/// How long an answer is given out. With it, and the second that a cache in front of us may keep it, a
/// change is still found within two seconds (SE-1).
const KEPT: Duration = Duration::from_millis(500);

/// How long the last answer is better than none: search that is begun anew with a million shows is
/// there again, and what is on hardly changes meanwhile.
const STANDS_IN: Duration = Duration::from_secs(300);

/// Encoded bytes of all answers kept, of each kind in each of the two caches that they are in; one
/// page has some 10 kB. What is in both is there once.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// RFC 7234 §5.5.1, for those who still look there; `stale` in the body says the same.
const STALE: HeaderValue = HeaderValue::from_static("110 - \"Response is Stale\"");

/// An answer to be given.
pub(crate) struct Given<A> {
    pub(crate) answer: Arc<A>,
    /// How old it is, where it stands in for one that search would give.
    stale_for: Option<Duration>,
}

impl<A> Given<A> {
    pub(crate) fn is_stale(&self) -> bool {
        self.stale_for.is_some()
    }

    /// `response` with how old it is.
    pub(crate) fn marked(&self, mut response: Response) -> Response {
        if let Some(age) = self.stale_for {
            let age = HeaderValue::from(age.as_secs());
            let headers = response.headers_mut();
            headers.insert(header::AGE, age);
            headers.insert(header::WARNING, STALE);
        }
        response
    }
}

struct Dated<A> {
    answer: Arc<A>,
    asked: Instant,
}

impl<A> Clone for Dated<A> {
    fn clone(&self) -> Self {
        Self {
            answer: Arc::clone(&self.answer),
            asked: self.asked,
        }
    }
}

impl<A> Dated<A> {
    fn may_stand_in(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked) < STANDS_IN
    }
}

/// Answers of one kind.
pub(crate) struct Answers<A> {
    fresh: Cache<Vec<u8>, Dated<A>>,
    last: Cache<Vec<u8>, Dated<A>>,
}

impl<A: Message + Send + Sync + 'static> Answers<A> {
    pub(crate) fn new() -> Self {
        let cache = |kept| {
            let weight = |key: &Vec<u8>, found: &Dated<A>| {
                u32::try_from(key.len() + found.answer.encoded_len()).unwrap_or(u32::MAX)
            };
            Cache::builder()
                .weigher(weight)
                .max_capacity(BYTES_MAX)
                .time_to_live(kept)
                .build()
        };
        Self {
            fresh: cache(KEPT),
            last: cache(STANDS_IN),
        }
    }

    /// What is kept of `request`, else what `ask` answers.
    pub(crate) async fn get(
        &self,
        request: &impl Message,
        ask: impl Future<Output = Result<A, ApiError>>,
    ) -> Result<Given<A>, ApiError> {
        let key = request.encode_to_vec();
        let asking = async {
            let asked = Instant::now();
            let answer = Dated {
                answer: Arc::new(ask.await?),
                asked,
            };
            self.last.insert(key.clone(), answer.clone()).await;
            Ok(answer)
        };
        let found = self.fresh.try_get_with_by_ref(&key, asking).await;
        let error = match found.map_err(|error: Arc<ApiError>| (*error).clone()) {
            Ok(found) => {
                return Ok(Given {
                    answer: found.answer,
                    stale_for: None,
                });
            }
            Err(error) => error,
        };
        if error.code() != ErrorCode::Unavailable {
            return Err(error);
        }
        let now = Instant::now();
        let last = self.last.get(&key).await;
        let last = last.filter(|last| last.may_stand_in(now)).ok_or(error)?;
        metrics::search_was_stale();
        Ok(Given {
            answer: last.answer,
            stale_for: Some(now.saturating_duration_since(last.asked)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_in_from_when_it_was_asked_for() {
        let asked = Instant::now();
        let last = Dated {
            answer: Arc::new(()),
            asked,
        };
        assert!(last.may_stand_in(asked + STANDS_IN - Duration::from_millis(1)));
        assert!(!last.may_stand_in(asked + STANDS_IN));
    }
}
