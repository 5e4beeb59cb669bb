//! Answers of search that many ask for at once, and that stand in while search is down.
//!
//! Always holds: an answer is given out for [`KEPT`] at most without a look whether it still is one,
//! whoever asks; of many who ask the same at once, one asks search-svc, and that answers what is here
//! already only by saying so; what failed isn't kept. While search is down the last answer to the same
//! question stands in for [`STANDS_IN`] at most since it was last seen to be one, and says so; once call after
//! call has failed, without being asked for but now and then. Memory is bounded.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use holdfast_mesh::Failure;
use holdfast_types::ErrorCode;
use moka::future::Cache;
use prost::Message;

use crate::{conditional::EncodedResults, failure::ApiError, metrics};

/// How long an answer is given out. With it, and the second that a cache in front of us may keep it, a
/// change is still found within two seconds (SE-1).
const KEPT: Duration = Duration::from_millis(500);

/// How long the last answer is better than none: search that is begun anew with a million shows is
/// there again, and what is on hardly changes meanwhile.
const STANDS_IN: Duration = Duration::from_secs(300);

/// Calls that failed one after the other from which on search is taken to be down, and how often it is tried then:
/// whoever tries may wait for seconds, and all others needn't.
const FAILURES_MIN: u32 = 3;
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Whoever leaves after so long without an answer had none.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// How long an answer is waited for, and when to come again, where search doesn't say. Who searches waits no longer,
/// and what was answered before is better than an answer that is late; search-svc, when it is down, says to come
/// again after that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of all answers kept, of each kind in each of the two caches that they are in; one has some
/// 20 kB. What is in both is there once.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// About what an answer takes beside its bytes.
const ENTRY_BYTES: usize = 700;

/// RFC 7234 §5.5.1, for those who still look there; `stale` in the body says the same.
const STALE: HeaderValue = HeaderValue::from_static("110 - \"Response is Stale\"");

/// What search-svc answered.
pub(crate) enum Answer {
    /// A page, and what search-svc knows it by; nothing where it doesn't.
    Page { page: EncodedResults, tag: Vec<u8> },
    /// The one that it was told of is the answer still.
    Unchanged,
}

#[derive(Clone)]
struct Dated {
    kept: Arc<Kept>,
    /// When search-svc was last asked for it.
    asked: Instant,
}

struct Kept {
    page: EncodedResults,
    tag: Vec<u8>,
}

impl Dated {
    fn may_stand_in(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked) < STANDS_IN
    }
}

/// How calls went lately.
#[derive(Default)]
struct Outage {
    failures: u32,
    /// When the next one is made.
    next: Option<Instant>,
}

impl Outage {
    /// Whether to ask now; during an outage for one in [`TRY_EVERY`].
    fn may_ask(&mut self, now: Instant) -> bool {
        if self.failures < FAILURES_MIN {
            return true;
        }
        let may = self.next.is_none_or(|next| now >= next);
        if may {
            self.next = Some(now + TRY_EVERY);
        }
        may
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        // Later ones, of who asks what isn't kept, put no try off.
        if self.failures == FAILURES_MIN {
            self.next = Some(now + TRY_EVERY);
        }
    }
}

/// One call: however it ends, it counts.
struct Asking<'a> {
    answers: &'a Answers,
    begun: Instant,
    is_over: bool,
}

impl Asking<'_> {
    fn ended(mut self, answer: &Result<Answer, ApiError>) {
        self.is_over = true;
        match answer {
            Ok(_) => self.answers.outage(|outage| *outage = Outage::default()),
            Err(error) if error.code() == ErrorCode::Unavailable => {
                self.answers.outage(|outage| outage.failed(Instant::now()));
            }
            // What is refused needs no engine.
            Err(_) => {}
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.begun.elapsed() >= GIVEN_UP {
            self.answers.outage(|outage| outage.failed(Instant::now()));
        }
    }
}

/// Answers of one kind.
pub(crate) struct Answers {
    fresh: Cache<Vec<u8>, Dated>,
    last: Cache<Vec<u8>, Dated>,
    outage: Mutex<Outage>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let cache = |kept| {
            let weight = |key: &Vec<u8>, found: &Dated| {
                let bytes = key.len() + found.kept.tag.len() + found.kept.page.bytes_max();
                u32::try_from(ENTRY_BYTES + bytes).unwrap_or(u32::MAX)
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
            outage: Mutex::default(),
        }
    }

    fn outage<T>(&self, with: impl FnOnce(&mut Outage) -> T) -> T {
        with(&mut self.outage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer to `request` that is kept, else what `ask` answers, who is told the tag of the last
    /// one; none is empty.
    pub(crate) async fn get<F>(
        &self,
        request_headers: &HeaderMap,
        request: &impl Message,
        ask: impl FnOnce(Vec<u8>) -> F,
    ) -> Result<Response, ApiError>
    where
        F: Future<Output = Result<Answer, ApiError>>,
    {
        let key = request.encode_to_vec();
        if !self.outage(|outage| outage.may_ask(Instant::now()))
            && let Some(last) = self.stand_in(&key).await
        {
            return stale(&last, request_headers);
        }
        let asking = async {
            let last = self.last.get(&key).await.map(|last| last.kept);
            let asked = Instant::now();
            let tag = last.as_ref().map(|last| last.tag.clone());
            let asking = Asking {
                answers: self,
                begun: asked,
                is_over: false,
            };
            let answer = ask(tag.unwrap_or_default()).await;
            asking.ended(&answer);
            let kept = match (answer?, last) {
                (Answer::Page { page, tag }, _) => Arc::new(Kept { page, tag }),
                (Answer::Unchanged, Some(last)) => last,
                (Answer::Unchanged, None) => {
                    return Err(ApiError::defect("an answer is unchanged that nobody has"));
                }
            };
            let answer = Dated { kept, asked };
            self.last.insert(key.clone(), answer.clone()).await;
            Ok(answer)
        };
        let found = self.fresh.try_get_with_by_ref(&key, asking).await;
        let error = match found.map_err(|error: Arc<ApiError>| (*error).clone()) {
            Ok(found) => return found.kept.page.answer(request_headers),
            Err(error) => error,
        };
        if error.code() != ErrorCode::Unavailable {
            return Err(error);
        }
        match self.stand_in(&key).await {
            Some(last) => stale(&last, request_headers),
            None if error.says_when() => Err(error),
            None => {
                let down = Failure::new(ErrorCode::Unavailable, "search is down; try again");
                Err(down.with_retry_after(PATIENCE).into())
            }
        }
    }

    async fn stand_in(&self, key: &[u8]) -> Option<Dated> {
        let last = self.last.get(key).await;
        last.filter(|last| last.may_stand_in(Instant::now()))
    }
}

fn stale(last: &Dated, request_headers: &HeaderMap) -> Result<Response, ApiError> {
    metrics::search_was_stale();
    let mut response = last.kept.page.stale().answer(request_headers)?;
    let age = Instant::now()
        .saturating_duration_since(last.asked)
        .as_secs();
    let headers = response.headers_mut();
    headers.insert(header::AGE, HeaderValue::from(age));
    headers.insert(header::WARNING, STALE);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_after_call_that_fails_is_an_outage_which_is_tried_now_and_then() {
        let now = Instant::now();
        let mut outage = Outage::default();
        for _ in 0..3 {
            assert!(outage.may_ask(now));
            outage.failed(now);
        }
        assert!(!outage.may_ask(now));
        let later = now + TRY_EVERY;
        outage.failed(later);
        assert!(outage.may_ask(later), "that put nothing off");
        assert!(!outage.may_ask(later), "one does");
    }

    #[tokio::test]
    async fn calls_count_however_they_end() {
        let answers = Answers::new();
        let asking = |ago| Asking {
            answers: &answers,
            begun: Instant::now().checked_sub(ago).expect("the clock has run"),
            is_over: false,
        };
        let failures = || answers.outage(|outage| outage.failures);
        let down = ApiError::new(ErrorCode::Unavailable, "down");
        asking(Duration::ZERO).ended(&Err(down));
        drop(asking(GIVEN_UP));
        assert_eq!(failures(), 2);
        drop(asking(Duration::ZERO));
        let refused = ApiError::new(ErrorCode::InvalidRequest, "no");
        asking(Duration::ZERO).ended(&Err(refused));
        assert_eq!(failures(), 2, "neither says anything");
        asking(Duration::ZERO).ended(&Ok(Answer::Unchanged));
        assert_eq!(failures(), 0);
    }

    #[test]
    fn an_answer_stands_in_from_when_it_was_asked_for() {
        let asked = Instant::now();
        let page = EncodedResults::new(&serde_json::json!({"stale": false}));
        let page = page.expect("it says whether it is stale");
        let last = Dated {
            kept: Arc::new(Kept {
                page,
                tag: Vec::new(),
            }),
            asked,
        };
        assert!(last.may_stand_in(asked + STANDS_IN - Duration::from_millis(1)));
        assert!(!last.may_stand_in(asked + STANDS_IN));
    }
}
