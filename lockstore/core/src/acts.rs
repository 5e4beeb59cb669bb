//! What operators set and did, kept in the state so that it can be read back.
//!
//! Always holds: acts are in the order of their revisions, at most
//! [`ACTS_KEPT_MAX`](crate::limits::ACTS_KEPT_MAX); the oldest goes when another comes, but none
//! goes while a copy of its request may still come (HS-7).

use std::sync::Arc;

use holdfast_types::{ClusterTime, Revision};
use imbl::OrdMap;

use crate::{
    BodyHash, Refusal, RefusalReason, Request, RequestId, StateHash,
    limits::{ACT_BYTES_MAX, ACTS_KEPT_MAX, OPERATOR_BYTES_MAX},
    record_hash,
};

/// What an act was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActKind {
    /// A note of something done elsewhere.
    Note,
    /// From here on no hold ends by time.
    ExpiryPaused,
    /// From here on holds end when their time is over.
    ExpiryResumed,
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Of the request.
    pub id: RequestId,
    /// What it asked.
    pub body: BodyHash,
    /// The latest deadline that any copy of it named.
    pub not_after: ClusterTime,
    /// Cluster time.
    pub at: ClusterTime,
    /// Who.
    pub operator: Arc<str>,
    /// What, or why.
    pub text: Arc<str>,
    /// What it was.
    pub kind: ActKind,
}

/// The acts that are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acts {
    kept: OrdMap<Revision, Arc<Act>>,
    hash: StateHash,
}

impl Acts {
    pub(crate) const fn kept(&self) -> &OrdMap<Revision, Arc<Act>> {
        &self.kept
    }

    pub(crate) const fn hash(&self) -> StateHash {
        self.hash
    }

    pub(crate) fn recompute_hash(&self) -> StateHash {
        let mut hash = StateHash::default();
        for (revision, act) in self.kept.iter() {
            hash.add(record_hash::act(*revision, act));
        }
        hash
    }

    /// The act of that request, if it is kept. Looks at each: there are few, and hardly ever asked for.
    pub(crate) fn of_request(&self, id: RequestId) -> Option<(Revision, &Arc<Act>)> {
        let mut newest_first = self.kept.iter().rev();
        let (revision, act) = newest_first.find(|(_, act)| act.id == id)?;
        Some((*revision, act))
    }

    /// # Errors
    /// `TooManyRequests` if as many are kept as may be, and a copy of the oldest may still come.
    pub(crate) fn check_room(&self, now: ClusterTime) -> Result<(), Refusal> {
        let oldest = self.kept.get_min();
        let is_needed = oldest.is_some_and(|(_, act)| act.not_after >= now);
        if self.kept.len() >= ACTS_KEPT_MAX && is_needed {
            let limit = ACTS_KEPT_MAX as u64;
            return Err(Refusal::with_limit(RefusalReason::TooManyRequests, limit));
        }
        Ok(())
    }

    /// Keeps one more, the newest.
    pub(crate) fn insert(&mut self, revision: Revision, act: Arc<Act>) {
        self.hash.add(record_hash::act(revision, &act));
        self.kept.insert(revision, act);
        while self.kept.len() > ACTS_KEPT_MAX {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((revision, act)) = self.kept.get_min().cloned() {
            self.hash.subtract(record_hash::act(revision, &act));
            self.kept.remove(&revision);
        }
    }

    /// A copy of a request came that was dealt with.
    pub(crate) fn keep_longer(&mut self, revision: Revision, request: &Request) {
        let Some(act) = self.kept.get(&revision).cloned() else {
            return;
        };
        if request.not_after <= act.not_after {
            return;
        }
        let longer = Act {
            not_after: request.not_after,
            ..Act::clone(&act)
        };
        self.hash.subtract(record_hash::act(revision, &act));
        self.hash.add(record_hash::act(revision, &longer));
        self.kept.insert(revision, Arc::new(longer));
    }
}

/// Bounds of what an act says.
///
/// # Errors
/// `Invalid`, with the bytes there may be.
pub(crate) fn check_text(operator: &str, text: &str) -> Result<(), Refusal> {
    for (value, bytes_max) in [(operator, OPERATOR_BYTES_MAX), (text, ACT_BYTES_MAX)] {
        if value.is_empty() || value.len() > bytes_max {
            return Err(Refusal::with_limit(
                RefusalReason::Invalid,
                bytes_max as u64,
            ));
        }
    }
    Ok(())
}
