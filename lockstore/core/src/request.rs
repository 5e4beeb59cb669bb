//! The memory of requests that had an effect, so that a copy has no second one (HS-7).
//!
//! Always holds: a request is remembered while the hold it made lives, then for ten minutes more
//! and past the latest deadline that any copy of it named. Nothing is forgotten earlier; a show at
//! its limit refuses new holds instead. A request without an effect (refused, or asking for what
//! is so already) isn't remembered and is judged anew.

use std::sync::Arc;

use holdfast_types::{ClusterTime, limits::FINISHED_REQUEST_KEPT};

use crate::{BodyHash, Hold, HoldEnd, kept_hold::KeptHold};

/// What a remembered request did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `HoldSeats` granted a hold. A copy is answered as the first was, whatever came after.
    Held {
        /// The hold as it was granted.
        hold: Arc<Hold>,
        /// How it ended; `None` while it lives.
        end: Option<HoldEnd>,
    },
    /// `AdvanceQueue` handed out numbers. A copy is answered with them.
    Joined {
        /// The first of them.
        first_no: u64,
    },
    /// Any other command changed something. A copy is answered by how things stand now, and can't
    /// change them again: extensions never shorten, ends and returns name a fence that is over,
    /// a chunk is there already; `ChangeShow`, `BlockSeats`
    /// and `AdvanceQueue` need this memory to be kept from it.
    Done,
}

/// One remembered request, under its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) body: BodyHash,
    pub(crate) not_after: ClusterTime,
    pub(crate) keep_until: Option<ClusterTime>,
    pub(crate) effect: Effect,
}

/// One that did anything but grant a hold, as it is kept; one that did is kept with its hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) body: BodyHash,
    pub(crate) not_after: ClusterTime,
    pub(crate) keep_until: ClusterTime,
    /// The first of the numbers that it handed out; 0 for none.
    pub(crate) first_no: u64,
}

impl From<&Done> for Remembered {
    fn from(done: &Done) -> Self {
        Self {
            body: done.body,
            not_after: done.not_after,
            keep_until: Some(done.keep_until),
            effect: match done.first_no {
                0 => Effect::Done,
                first_no => Effect::Joined { first_no },
            },
        }
    }
}

impl From<&KeptHold> for Remembered {
    fn from(kept: &KeptHold) -> Self {
        Self {
            body: kept.body,
            not_after: kept.not_after,
            keep_until: kept.keep_until(),
            effect: Effect::Held {
                hold: Arc::new(kept.granted_hold()),
                end: kept.end(),
            },
        }
    }
}

/// Until when a request that finished at `now` is remembered.
pub(crate) fn keep_until(now: ClusterTime, not_after: ClusterTime) -> ClusterTime {
    now.plus(FINISHED_REQUEST_KEPT).max(not_after)
}
