//! One peer as its channel knows it, and one try of a call to it.
//!
//! Always holds: every try has one end, told to breaker and connection alike: an answer (any status
//! that the peer sent), none, or nothing that could be said, since the caller went away early. A
//! connection that breaks counts as one failure, with however many calls. That a peer doesn't answer
//! any more, and that it does again, is logged as long as there are few such lines.
//! Leaves to others: further tries.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tonic::{ConnectError, Status, TimeoutExpired, body::Body};
use tower::ServiceExt;

use super::{
    NoAnswer,
    breaker::{Breaker, Permit},
    budget::Budget,
    connections::{Connections, Health, Place},
    contract::Contract,
    kept::Kept,
};
use crate::{deadline::Deadline, failure, metrics, sparse::Sparse};

/// A peer that had less time than this isn't blamed for giving no answer: what came before has used
/// it up.
const PATIENCE_MIN: Duration = Duration::from_millis(50);

/// A call that its caller drops so close to its deadline was dropped for that: whoever serves that
/// caller answers some milliseconds ahead, and on a busy machine the two read the clock as far apart.
const DEADLINE_SLACK: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(super) struct Destination {
    /// The service's name, for logs and metrics.
    pub(super) peer: Arc<str>,
    /// `host:port`.
    pub(super) address: Arc<str>,
    pub(super) contract: Contract,
    pub(super) connections: Connections,
    pub(super) breaker: Breaker,
    pub(super) budget: Budget,
    /// Lines about its coming and going.
    pub(super) said: Mutex<Sparse>,
}

/// How a try without an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The request surely never left.
    Unsent,
    /// It may have been done.
    Broken,
    /// Another try makes no sense: no time is left, or the request itself can't be sent.
    Final,
}

impl Destination {
    /// One try; `body` is whose copy `request` carries.
    pub(super) async fn try_once(
        &self,
        permit: Permit,
        request: Request<Body>,
        body: &Kept,
        deadline: Deadline,
    ) -> Result<Response<Body>, (NoAnswer, Loss)> {
        let began = Instant::now();
        let (place, channel) = self.connections.take(began);
        let mut attempt = Attempt {
            to: self,
            place,
            permit,
            began,
            deadline,
            is_over: false,
        };
        let answer = async move { channel.oneshot(request).await };
        let late = || (self.late(), Loss::Final, Health::Failed);
        let (error, loss, health) = match timeout_at(deadline.at(), answer).await {
            Ok(Ok(response)) => {
                attempt.answered();
                return Ok(response);
            }
            Ok(Err(error)) if has_cause::<TimeoutExpired>(&error) => late(),
            Ok(Err(error)) => {
                // Who couldn't connect has tried it for itself.
                let health = if has_cause::<ConnectError>(&error) {
                    Health::Failed
                } else {
                    Health::Broken
                };
                let loss = loss(&error);
                (self.no_answer(error), loss, health)
            }
            Err(_) => late(),
        };
        if body.is_broken() {
            return Err((error, Loss::Final));
        }
        attempt.failed(&error, health);
        Err((error, loss))
    }

    /// No answer, and no time left.
    pub(super) fn late(&self) -> NoAnswer {
        self.no_answer(Status::deadline_exceeded("no answer by the deadline"))
    }

    fn no_answer(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> NoAnswer {
        NoAnswer {
            peer: Arc::clone(&self.peer),
            address: Arc::clone(&self.address),
            source: source.into(),
        }
    }

    /// Whether a line about it may be said, and how many were left out.
    fn may_say(&self) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.may_say()
    }

    fn count_change(&self, to: &'static str) {
        let labels = [("peer", self.peer.to_string()), ("to", to.to_owned())];
        ::metrics::counter!(metrics::CLIENT_BREAKER_CHANGES, &labels).increment(1);
        let open =
            ::metrics::gauge!(metrics::CLIENT_BREAKERS_OPEN, "peer" => self.peer.to_string());
        if to == "open" {
            open.increment(1.0);
        } else {
            open.decrement(1.0);
        }
    }
}

/// A try that is under way; dropped, its caller went away.
struct Attempt<'a> {
    to: &'a Destination,
    place: Place,
    permit: Permit,
    began: Instant,
    deadline: Deadline,
    is_over: bool,
}

impl Attempt<'_> {
    fn answered(&mut self) {
        self.end(Health::Good);
        if let Some(open_for) = self.to.breaker.answered(self.permit, Instant::now()) {
            self.to.count_change("closed");
            if let Some(left_out) = self.to.may_say() {
                tracing::info!(
                    peer.name = %self.to.peer,
                    peer.address = %self.to.address,
                    open_ms = open_for.as_millis(),
                    left_out,
                    "a peer answers again"
                );
            }
        }
    }

    fn failed(&mut self, error: &NoAnswer, health: Health) {
        let is_news = self.end(health);
        let now = Instant::now();
        let had_time = self.deadline.at() - self.began >= PATIENCE_MIN;
        if !is_news || (!had_time && now >= self.deadline.at()) {
            self.to.breaker.given_up(self.permit, now);
        } else if self.to.breaker.failed(self.permit, now) {
            self.to.count_change("open");
            if let Some(left_out) = self.to.may_say() {
                tracing::warn!(
                    peer.name = %self.to.peer,
                    peer.address = %self.to.address,
                    error = failure::chain(error),
                    left_out,
                    "a peer doesn't answer; it is tried again from time to time, and other calls are refused"
                );
            }
        }
    }

    /// Whether this is news of the connection.
    fn end(&mut self, health: Health) -> bool {
        self.is_over = true;
        let connections = &self.to.connections;
        connections.give_back(&self.place, health, Instant::now())
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if self.deadline.remaining() <= DEADLINE_SLACK && self.began.elapsed() >= PATIENCE_MIN {
            self.failed(&self.to.late(), Health::Failed);
        } else {
            self.end(Health::Unknown);
            self.to.breaker.given_up(self.permit, Instant::now());
        }
    }
}

/// What an error of the transport says of the request.
fn loss(error: &(dyn Error + 'static)) -> Loss {
    let unsent = causes(error).any(|cause| {
        // hyper says "canceled" of a request that it still had when the connection ended.
        cause.is::<ConnectError>()
            || (cause.downcast_ref::<hyper::Error>()).is_some_and(hyper::Error::is_canceled)
    });
    if unsent { Loss::Unsent } else { Loss::Broken }
}

fn has_cause<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<E>())
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source()).take(failure::CAUSES_MAX)
}
