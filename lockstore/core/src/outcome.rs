//! What the state machine answers. A refusal is an answer like any other, the same on every
//! replica.

use std::sync::Arc;

use holdfast_types::{ClusterTime, Revision, SeatNo, SeatState};

use crate::{Hold, Queue, ShowState};

/// The answer to a [`Command`](crate::Command). Each command has one way to succeed; any may be
/// refused except a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To `OpenShow`.
    ShowOpened {
        /// The state the show is in now.
        state: ShowState,
        /// Seats of the layout that have arrived.
        seats_known: u32,
    },
    /// To `ChangeShow`.
    ShowChanged {
        /// The state the show is in now.
        state: ShowState,
    },
    /// To `HoldSeats`.
    Held {
        /// The hold as it was granted.
        hold: Arc<Hold>,
        /// The id was known: `hold` is the answer given then.
        replayed: bool,
    },
    /// To `ExtendHold`: the hold with its new end.
    Extended {
        /// The hold as it stands.
        hold: Arc<Hold>,
    },
    /// To `ReleaseHold`: its seats, which it has no more.
    Released {
        /// In ascending order.
        seat_nos: Arc<[SeatNo]>,
    },
    /// To `CommitHold`.
    Sold {
        /// In ascending order.
        seat_nos: Arc<[SeatNo]>,
        /// They were sold to this booking under this fence before.
        already: bool,
    },
    /// To `ReturnSeats`.
    Returned {
        /// Those that this command put back, in ascending order.
        seat_nos: Arc<[SeatNo]>,
        /// None of those named was sold to this booking under this fence any more.
        already: bool,
    },
    /// To `BlockSeats`.
    Blocked {
        /// Those that this command blocked, in ascending order.
        seat_nos: Arc<[SeatNo]>,
        /// All of those named were blocked before.
        already: bool,
    },
    /// To `UnblockSeats`.
    Unblocked {
        /// Those that this command put back on sale, in ascending order.
        seat_nos: Arc<[SeatNo]>,
        /// None of those named was blocked any more.
        already: bool,
    },
    /// To `LoadSeats`.
    Loaded {
        /// Claims that this command put in.
        claims: u32,
        /// All of those named were there before.
        already: bool,
    },
    /// To `AdvanceQueue`.
    QueueAdvanced {
        /// The first of the numbers handed out, the others follow it; 0 if none was.
        first_no: u64,
        /// How many were.
        joins: u32,
        /// The queue as it stands now.
        queue: Queue,
    },
    /// To `SetConfig`.
    ConfigSet {
        /// As it stands now.
        expiry_paused: bool,
        /// It was so before, or this request was dealt with before.
        already: bool,
    },
    /// To `AdminRecord`.
    Recorded {
        /// The revision it is recorded under.
        revision: Revision,
    },
    /// To `Tick`.
    Ticked {
        /// Holds that ended.
        swept: u32,
    },
    /// To any command but a tick: nothing was changed by it.
    Refused(Refusal),
}

/// Why a command was refused. Where several apply, the one listed first here is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalReason {
    /// `not_after` has passed, and the request is not remembered.
    DeadlinePassed,
    /// `not_after` is too far ahead of cluster time.
    DeadlineTooFar,
    /// The id was used with another body.
    RequestReused,
    /// No such show.
    ShowNotFound,
    /// A rule, a chunk or a selection is out of bounds.
    Invalid,
    /// A seat number is beyond the layout, or there is no such area.
    SeatUnknown,
    /// Opening, paused, closed or cancelled.
    ShowNotOnSale,
    /// The show remembers as many requests as it may, or the store knows as many shows.
    TooManyRequests,
    /// No such hold, or its holder is another.
    HoldNotFound,
    /// The hold ended by time.
    Expired,
    /// The hold ended by release.
    Released,
    /// The fence is not this hold's.
    StaleFence,
    /// The hold was committed.
    AlreadySold,
    /// Seats are held, sold or blocked.
    Conflict,
    /// More seats than the show allows one customer.
    LimitExceeded,
    /// It would leave seats alone that have company now, and their row offers another way.
    LeavesLoneSeat,
    /// There is no such block, or the area has too few free places.
    NoBlock,
    /// The new end is past the latest end allowed.
    UntilTooLate,
}

/// A refusal with what helps the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// The seats in the way, or those that would be left alone, in ascending order; never who has
    /// them.
    pub seats: Vec<SeatRefusal>,
    /// The limit that was met, where there is one: cluster time in milliseconds for
    /// `DeadlinePassed` (now), `DeadlineTooFar` and `UntilTooLate` (the latest allowed); a number
    /// for `LimitExceeded`, `TooManyRequests`, `SeatUnknown` (the show's seats, if one was named),
    /// `NoBlock` in an area (its free places) and, where one is meant, `Invalid`; else zero.
    pub limit: u64,
}

/// One seat in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatRefusal {
    /// Which.
    pub seat_no: SeatNo,
    /// What it is; `None` where the layout has no such seat.
    pub state: Option<SeatState>,
}

impl Refusal {
    pub(crate) const fn new(reason: RefusalReason) -> Self {
        Self {
            reason,
            seats: Vec::new(),
            limit: 0,
        }
    }

    pub(crate) const fn with_limit(reason: RefusalReason, limit: u64) -> Self {
        Self {
            reason,
            seats: Vec::new(),
            limit,
        }
    }

    pub(crate) const fn with_time(reason: RefusalReason, time: ClusterTime) -> Self {
        Self::with_limit(reason, time.0)
    }
}

impl From<RefusalReason> for Refusal {
    fn from(reason: RefusalReason) -> Self {
        Self::new(reason)
    }
}
