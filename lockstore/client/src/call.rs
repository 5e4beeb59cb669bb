//! One call: tries until an answer or the deadline, on whichever node leads, or on any node.
//!
//! Always holds: all tries carry the same message, id included. A try has a limit of its own, so
//! that a node that hangs costs a part of the deadline and not all of it. What is said at the end
//! is honest: once a try may have had an effect, no later "unavailable" hides it.

use std::{future::Future, sync::Arc, time::Duration};

use holdfast_types::Lineage;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

use crate::{
    Error,
    budget::Budget,
    peers::{Peer, Peers},
    status::Failed,
};

/// Longest wait for one try: several times a slow commit, less than a caller's usual deadline.
const TRY_MAX: Duration = Duration::from_secs(2);
/// A try that could not take that long isn't begun: its answer would hardly come, and a write
/// that was surely not done would end as one of which nothing is known.
const TRY_MIN: Duration = Duration::from_millis(50);
/// Tries of one call at most, leader addresses followed not counted. With the pauses between them
/// they take minutes: the deadline ends a call, and a failover however long doesn't.
const TRIES_MAX: u32 = 1_024;
/// Leader addresses followed in a row without a pause: nodes that point at each other during an
/// election must not make a busy loop.
const HINTS_IN_A_ROW_MAX: u32 = 2;
/// How often in a row a node may say that it is overloaded before another is asked: a busy leader
/// leads on, but one that is cut off from the rest may say so for ever.
const OVERLOADS_IN_A_ROW_MAX: u32 = 2;
/// Pause before the first retry, and the longest one; the true pause is drawn from the upper half.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How calls are made: shared by all clones of a client.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) peers: Peers,
    pub(crate) budget: Budget,
    pub(crate) decorate: Option<fn(&mut MetadataMap)>,
}

/// One try: what to ask, what goes along, and how long the answer is waited for.
pub(crate) struct Try<M> {
    pub(crate) message: M,
    pub(crate) metadata: MetadataMap,
    pub(crate) wait: Duration,
}

impl<M> Try<M> {
    /// As a call of its own.
    pub(crate) fn call(self) -> Request<M> {
        let mut request = Request::from_parts(self.metadata, Extensions::new(), self.message);
        request.set_timeout(self.wait);
        request
    }
}

/// What a call of its own came to.
pub(crate) fn answered<A>(result: Result<Response<A>, Status>) -> Result<A, Failed> {
    match result {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => Err(Failed::of(&status)),
    }
}

/// What the tries of one call have come to.
#[derive(Debug, Default)]
struct Tries {
    count: u32,
    pauses: u32,
    hints_in_a_row: u32,
    maybe_done: bool,
    overloaded: Option<Duration>,
    /// The last leader that was found had too little disk space.
    out_of_space: bool,
    /// Which node said so, and how often in a row.
    overloads: Option<(Arc<Peer>, u32)>,
}

impl Tries {
    /// Why the call ends without an answer.
    fn give_up(&self, is_write: bool) -> Error {
        match self.overloaded {
            _ if self.maybe_done && is_write => Error::OutcomeUnknown,
            Some(retry_after) => Error::Overloaded { retry_after },
            None if self.out_of_space => Error::OutOfSpace,
            None => Error::Unavailable,
        }
    }

    /// How often in a row `peer` said that it is overloaded, this time included.
    fn overloads_of(&mut self, peer: &Arc<Peer>) -> u32 {
        let before = self.overloads.take();
        let count = match before {
            Some((other, count)) if Arc::ptr_eq(&other, peer) => count + 1,
            _ => 1,
        };
        self.overloads = Some((Arc::clone(peer), count));
        count
    }

    fn pause(&mut self) -> Duration {
        let longest = PAUSE_FIRST
            .saturating_mul(1 << self.pauses.min(10))
            .min(PAUSE_MAX);
        self.pauses += 1;
        longest.mul_f64(rand::random_range(0.5..=1.0))
    }
}

impl Caller {
    /// Calls `method` with `message` until there is an answer, at most until `deadline`. With the
    /// answer comes when its try was sent.
    pub(crate) async fn call<M, A, F>(
        &self,
        is_write: bool,
        deadline: Instant,
        message: M,
        method: impl Fn(Arc<Peer>, Try<M>) -> F,
    ) -> Result<(A, Instant), Error>
    where
        M: Clone,
        F: Future<Output = Result<A, Failed>>,
    {
        self.budget.deposit();
        let mut tries = Tries::default();
        while tries.count < TRIES_MAX {
            let Some(peer) = self.peers.preferred() else {
                return Err(Error::Invalid("no usable endpoint".to_owned()));
            };
            let sent = Instant::now();
            let ask = self.ask(message.clone());
            let failed = match try_once(&peer, deadline, ask, &method).await {
                Ok(answer) => {
                    self.peers.prefer(&peer);
                    return Ok((answer, sent));
                }
                Err(failed) => failed,
            };
            tracing::debug!(lockstore.endpoint = %peer.uri, ?failed, "a try failed");
            let wait = self.learn(&peer, &mut tries, failed)?;
            let resume = Instant::now() + wait.unwrap_or_default();
            if resume + TRY_MIN >= deadline {
                break;
            }
            if wait.is_some() {
                if !self.budget.withdraw() {
                    break;
                }
                sleep_until(resume).await;
            }
        }
        Err(tries.give_up(is_write))
    }

    fn ask<M>(&self, message: M) -> Try<M> {
        let mut metadata = MetadataMap::new();
        if let Some(decorate) = self.decorate {
            decorate(&mut metadata);
        }
        Try {
            message,
            metadata,
            wait: Duration::ZERO,
        }
    }

    /// Calls `method`, which changes nothing, with `message` on one node after the other until there
    /// is an answer, at most until `deadline`: none has to lead. `lineage` is what it asks for.
    pub(crate) async fn call_any<M, A, F>(
        &self,
        lineage: Option<Lineage>,
        deadline: Instant,
        message: M,
        method: impl Fn(Arc<Peer>, Try<M>) -> F,
    ) -> Result<A, Error>
    where
        M: Clone,
        F: Future<Output = Result<A, Failed>>,
    {
        self.budget.deposit();
        let (mut tries, mut last, mut leader) = (Tries::default(), None, None);
        while tries.count < TRIES_MAX {
            let next = leader
                .take()
                .or_else(|| self.peers.any_after(last.as_ref()));
            let Some(peer) = next else {
                return Err(Error::Invalid("no usable endpoint".to_owned()));
            };
            // There is time for another, whatever this one does.
            let now = Instant::now();
            let half = deadline.saturating_duration_since(now) / 2;
            let end = deadline.min(now + half.max(TRY_MIN));
            let ask = self.ask(message.clone());
            let failed = match try_once(&peer, end, ask, &method).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            tracing::debug!(lockstore.endpoint = %peer.uri, ?failed, "a try failed");
            tries.count += 1;
            tries.overloaded = None;
            match failed {
                Failed::Invalid(why) => return Err(Error::Invalid(why)),
                // One of an earlier life may still be there.
                Failed::LineageChanged(found) if lineage.is_none_or(|asked| asked < found) => {
                    return Err(Error::LineageChanged { lineage: found });
                }
                Failed::Overloaded { retry_after } => tries.overloaded = Some(retry_after),
                // Of a release where the leader alone answers.
                Failed::NotLeader(Some(uri)) if self.peers.prefer_uri(&uri) => {
                    leader = self.peers.preferred();
                }
                _ => {}
            }
            peer.avoid();
            last = Some(peer);
            // Each is asked once before a pause.
            let pauses =
                leader.is_none() && (tries.count as usize).is_multiple_of(self.peers.count());
            let wait = if pauses {
                tries.overloaded.unwrap_or_default().max(tries.pause())
            } else {
                Duration::ZERO
            };
            let resume = Instant::now() + wait;
            if resume + TRY_MIN >= deadline || !self.budget.withdraw() {
                break;
            }
            sleep_until(resume).await;
        }
        Err(tries.give_up(false))
    }

    /// What a failed try says about whom to ask next, and how long to wait before; `None` to go on
    /// at once.
    fn learn(
        &self,
        peer: &Arc<Peer>,
        tries: &mut Tries,
        failed: Failed,
    ) -> Result<Option<Duration>, Error> {
        if let Failed::NotLeader(Some(uri)) = &failed
            && tries.hints_in_a_row < HINTS_IN_A_ROW_MAX
            && self.peers.prefer_uri(uri)
        {
            tries.hints_in_a_row += 1;
            tries.overloads = None;
            return Ok(None);
        }
        tries.count += 1;
        tries.hints_in_a_row = 0;
        match failed {
            Failed::Invalid(why) => return Err(Error::Invalid(why)),
            Failed::Overloaded { retry_after } => {
                tries.overloaded = Some(retry_after);
                if tries.overloads_of(peer) >= OVERLOADS_IN_A_ROW_MAX {
                    self.peers.pass_over(peer);
                    tries.overloads = None;
                }
                return Ok(Some(retry_after.max(tries.pause())));
            }
            // Another leads soon, if one has space.
            Failed::OutOfSpace => tries.out_of_space = true,
            Failed::NotLeader(_) => {}
            Failed::NotNow => tries.out_of_space = false,
            // Nobody named a revision here.
            Failed::LineageChanged(_) | Failed::Unknown => {
                tries.maybe_done = true;
                tries.out_of_space = false;
            }
        }
        tries.overloaded = None;
        tries.overloads = None;
        self.peers.pass_over(peer);
        Ok(Some(tries.pause()))
    }
}

async fn try_once<M, A, F>(
    peer: &Arc<Peer>,
    deadline: Instant,
    mut ask: Try<M>,
    method: &impl Fn(Arc<Peer>, Try<M>) -> F,
) -> Result<A, Failed>
where
    F: Future<Output = Result<A, Failed>>,
{
    let now = Instant::now();
    let end = deadline.min(now + TRY_MAX);
    ask.wait = end.saturating_duration_since(now);
    match timeout_at(end, method(Arc::clone(peer), ask)).await {
        Ok(result) => result,
        Err(_) => Err(Failed::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn deadline_ends_a_call_whose_leader_is_dead_while_others_point_at_it() {
        let dead = "http://127.0.0.1:9";
        let survivor = "http://127.0.0.1:19";
        let caller = Caller {
            peers: Peers::new(
                &[survivor.to_owned(), dead.to_owned()],
                crate::Options::default(),
            ),
            budget: Budget::new(),
            decorate: None,
        };
        let (mut tries, mut waited, mut hints) = (Tries::default(), Duration::ZERO, 0);
        while tries.count < TRIES_MAX {
            let peer = caller.peers.preferred().expect("two are known");
            let failed = if peer.uri == dead {
                Failed::NotNow
            } else {
                Failed::NotLeader(Some(dead.to_owned()))
            };
            match caller.learn(&peer, &mut tries, failed) {
                Ok(Some(wait)) => waited += wait,
                Ok(None) => hints += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(hints, TRIES_MAX, "one before each try of the dead one");
        assert!(waited > Duration::from_secs(120), "after {waited:?}");
    }
}
