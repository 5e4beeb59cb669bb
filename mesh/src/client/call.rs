//! One call: tries until there is an answer that stands, as far as repeating is safe.
//!
//! Always holds: a request that may have been done is sent again only if its rpc's contract allows
//! that; a repetition is paid from the peer's budget, comes after a pause, and tells the peer how
//! much time is left; none begins past the deadline. While the peer's breaker is open a call is
//! refused at once; one that had begun waits for the next trial with the tries that it has left.
//! Leaves to others: what happens to one try.

use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;

use super::{
    NoAnswer,
    contract::Repeat,
    destination::{Destination, Loss},
    kept::Kept,
};
use crate::{
    deadline::{self, Deadline},
    failure, metrics,
};

/// Tries of one call, the first one included.
const TRIES_MAX: u32 = 4;

/// The longest that the pause before the first repetition may be; before each further one it is
/// twice as long. The true pause is drawn from zero up, so that calls which failed together don't come
/// back together.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Where a call stands.
enum Outcome {
    Answered(Response<Body>),
    /// The peer answered `UNAVAILABLE`, and perhaps when to come again.
    Unavailable(Response<Body>, Option<Duration>),
    Lost(NoAnswer, Loss),
    /// The breaker is open, for so long.
    Refused(Duration),
}

/// Calls `to`.
///
/// # Errors
/// [`NoAnswer`] from the last try.
pub(super) async fn call(
    to: &Destination,
    request: Request<Body>,
) -> Result<Response<Body>, NoAnswer> {
    let deadline = Deadline::of_headers(request.headers());
    let repeat = to.contract.repeat(request.uri().path());
    let (head, body) = request.into_parts();
    let body = Kept::new(body);
    let mut is_repetition = false;
    to.budget.deposit();
    for turn in 1..=TRIES_MAX {
        if deadline.is_past() {
            return Err(to.late());
        }
        let outcome = match to.breaker.admit(Instant::now()) {
            Err(wait) => Outcome::Refused(wait),
            Ok(permit) => {
                let mut request = Request::from_parts(head.clone(), body.copy());
                request
                    .headers_mut()
                    .insert(deadline::HEADER, deadline.header());
                judged(to.try_once(permit, request, &body, deadline).await)
            }
        };
        let is_refused = matches!(outcome, Outcome::Refused(_));
        if is_repetition && !is_refused {
            let is_answered = matches!(outcome, Outcome::Answered(_));
            count(to, if is_answered { "answered" } else { "failed" });
        }
        let pause = wait_before_next(&outcome, repeat, turn).filter(|_| body.is_whole());
        let Some(pause) = pause.filter(|pause| *pause < deadline.remaining()) else {
            return outcome.end(to);
        };
        // What a turn that was refused would have cost is paid.
        if !is_refused && !to.budget.withdraw() {
            count(to, "over_budget");
            return outcome.end(to);
        }
        is_repetition = true;
        drop(outcome);
        sleep_until(Instant::now() + pause).await;
    }
    unreachable!("the last turn has no pause after it")
}

fn judged(tried: Result<Response<Body>, (NoAnswer, Loss)>) -> Outcome {
    let response = match tried {
        Ok(response) => response,
        Err((error, loss)) => return Outcome::Lost(error, loss),
    };
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::Unavailable => {
            let retry_info = status.get_details_retry_info();
            Outcome::Unavailable(response, retry_info.and_then(|info| info.retry_delay))
        }
        _ => Outcome::Answered(response),
    }
}

/// How long to wait before the next turn; none if there is to be none.
fn wait_before_next(outcome: &Outcome, repeat: Repeat, turn: u32) -> Option<Duration> {
    if turn >= TRIES_MAX {
        return None;
    }
    let (least, needs) = match outcome {
        Outcome::Answered(_) | Outcome::Lost(_, Loss::Final) => return None,
        Outcome::Unavailable(_, hint) => (hint.unwrap_or_default(), Repeat::Always),
        Outcome::Lost(_, Loss::Broken) => (Duration::ZERO, Repeat::Always),
        Outcome::Lost(_, Loss::Unsent) => (Duration::ZERO, Repeat::IfUnsent),
        // A later turn comes only after one that could be repeated.
        Outcome::Refused(_) if turn == 1 => return None,
        Outcome::Refused(wait) => (*wait, Repeat::IfUnsent),
    };
    let longest = PAUSE_FIRST * 2_u32.pow(turn - 1);
    let jitter = longest.mul_f64(rand::random_range(0.0..=1.0));
    (repeat >= needs).then(|| least + jitter)
}

fn count(to: &Destination, outcome: &'static str) {
    let labels = [
        ("peer", to.peer.to_string()),
        ("outcome", outcome.to_owned()),
    ];
    ::metrics::counter!(metrics::CLIENT_RETRIES, &labels).increment(1);
}

impl Outcome {
    /// As what the caller gets.
    fn end(self, to: &Destination) -> Result<Response<Body>, NoAnswer> {
        match self {
            Self::Answered(response) | Self::Unavailable(response, _) => Ok(response),
            Self::Lost(error, _) => Err(error),
            Self::Refused(wait) => {
                ::metrics::counter!(metrics::CLIENT_REFUSED, "peer" => to.peer.to_string())
                    .increment(1);
                tracing::debug!(peer.name = %to.peer, wait_ms = wait.as_millis(), "not called: its breaker is open");
                let refused = failure::away()
                    .with_metadata("peer", &*to.peer)
                    .with_retry_after(wait);
                Ok(Status::from(refused).into_http())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Response<Body> {
        Response::new(Body::empty())
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_where_that_is_safe() {
        let unavailable = || Outcome::Unavailable(answer(), None);
        for (repeat, is_safe) in [
            (Repeat::Always, true),
            (Repeat::IfUnsent, false),
            (Repeat::Never, false),
        ] {
            assert_eq!(
                wait_before_next(&unavailable(), repeat, 1).is_some(),
                is_safe,
                "{repeat:?}"
            );
        }
    }

    #[test]
    fn an_answer_and_a_refusal_at_the_beginning_are_final() {
        for outcome in [
            Outcome::Answered(answer()),
            Outcome::Refused(Duration::ZERO),
        ] {
            assert_eq!(wait_before_next(&outcome, Repeat::Always, 1), None);
        }
    }

    #[test]
    fn a_call_that_had_begun_waits_for_the_next_trial() {
        let wait = Duration::from_millis(70);
        let pause = wait_before_next(&Outcome::Refused(wait), Repeat::IfUnsent, 2);
        assert!(pause.expect("waits") >= wait);
    }

    #[test]
    fn a_peer_that_says_when_to_come_again_is_obeyed() {
        let hint = Duration::from_secs(3);
        let said = Outcome::Unavailable(answer(), Some(hint));
        let pause = wait_before_next(&said, Repeat::Always, 1).expect("safe");
        assert!(pause >= hint && pause <= hint + PAUSE_FIRST, "{pause:?}");
    }

    #[test]
    fn tries_are_counted() {
        let lost = || Outcome::Unavailable(answer(), None);
        assert!(wait_before_next(&lost(), Repeat::Always, TRIES_MAX - 1).is_some());
        assert_eq!(wait_before_next(&lost(), Repeat::Always, TRIES_MAX), None);
    }
}
