//! What the store answers, as types of this crate.

use holdfast_types::{
    ClusterTime, DurationMs, Fence, HoldId, Lineage, Revision, SeatNo, SeatState,
};

/// An answer, and what every answer carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// Which life of the cluster answered.
    pub lineage: Lineage,
    /// The revision of the write, or the one a read saw.
    pub revision: Revision,
    /// Cluster time at that revision.
    pub cluster_time: ClusterTime,
    /// The answer itself.
    pub outcome: T,
}

/// To [`Client::open_show`](crate::Client::open_show).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenOutcome {
    /// The chunk is there.
    Opened {
        /// The state the show is in now.
        state: ShowState,
        /// Seats of the layout that have arrived.
        seats_known: u32,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::change_show`](crate::Client::change_show).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is so.
    Changed {
        /// The state the show is in now.
        state: ShowState,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::hold`](crate::Client::hold).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldOutcome {
    /// All the seats are held.
    Held {
        /// The hold as it was granted.
        hold: Hold,
        /// The id was known: `hold` is the answer given then, and may have ended since.
        replayed: bool,
    },
    /// None of the seats was taken.
    Refused(Refusal),
}

/// To [`Client::extend`](crate::Client::extend).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtendOutcome {
    /// The hold as it stands now.
    Extended(Hold),
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::release`](crate::Client::release).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The hold is over.
    Released {
        /// The seats it had.
        seat_nos: Vec<SeatNo>,
    },
    /// Nothing was changed; `AlreadySold` says that the hold became a purchase.
    Refused(Refusal),
}

/// To [`Client::commit`](crate::Client::commit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The seats are sold to the booking.
    Sold {
        /// Which.
        seat_nos: Vec<SeatNo>,
        /// They were before.
        already: bool,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::return_seats`](crate::Client::return_seats).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReturnOutcome {
    /// None of the seats named is sold to the booking any more.
    Returned {
        /// Those that were put back now.
        seat_nos: Vec<SeatNo>,
        /// None was sold to it before.
        already: bool,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::block_seats`](crate::Client::block_seats).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockOutcome {
    /// All the seats are blocked, or were.
    Blocked {
        /// Those that were blocked now.
        seat_nos: Vec<SeatNo>,
        /// None was now.
        already: bool,
    },
    /// Nothing was changed; `Conflict` names the seats that are held or sold.
    Refused(Refusal),
}

/// To [`Client::unblock_seats`](crate::Client::unblock_seats).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnblockOutcome {
    /// None of the seats is blocked, or none was when this first came.
    Unblocked {
        /// Those that were put back now.
        seat_nos: Vec<SeatNo>,
        /// None was now.
        already: bool,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::load_seats`](crate::Client::load_seats).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadOutcome {
    /// All the claims are there.
    Loaded {
        /// Those that were put in now.
        claims: u32,
        /// All were there before.
        already: bool,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::advance_queue`](crate::Client::advance_queue).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdvanceOutcome {
    /// It is so.
    Advanced {
        /// The first of the numbers handed out, the others follow it; 0 if none was.
        first_no: u64,
        /// How many were.
        joins: u32,
        /// The queue as it stands now.
        queue: Queue,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// To [`Client::get_hold`](crate::Client::get_hold).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GetHoldOutcome {
    /// It lives.
    Live(Hold),
    /// It doesn't, or is another's.
    Refused(Refusal),
}

/// A timed claim on seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub hold_id: HoldId,
    /// What it was granted; larger than any before on these seats.
    pub fence: Fence,
    /// In ascending order.
    pub seat_nos: Vec<SeatNo>,
    /// Cluster time of the grant.
    pub granted_at: ClusterTime,
    /// The promised end.
    pub expires_at: ClusterTime,
    /// The latest end that an extension may name.
    pub extendable_until: ClusterTime,
    /// The price version that was quoted.
    pub price_version: u32,
}

/// A show at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Show {
    /// Its state.
    pub state: ShowState,
    /// Its rules.
    pub rules: ShowRules,
    /// What each seat is, by seat number.
    pub seat_states: Vec<SeatState>,
    /// Its waiting room.
    pub queue: Queue,
}

/// A show's waiting room, as far as the store counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// Numbers handed out, from 1 on.
    pub joined: u64,
    /// The threshold of who is served; what it is compared with is the waiting room's.
    pub serving: u64,
}

/// A show's state in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShowState {
    /// The layout is still arriving; nothing can be held.
    Opening,
    /// Holds are granted.
    OnSale,
    /// No new holds; those there are go on.
    Paused,
    /// No new holds, for good.
    Closed,
    /// Called off.
    Cancelled,
}

/// The rules of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShowRules {
    /// TTL of a new hold: 1 s to 1 h.
    pub hold_ttl: DurationMs,
    /// Longest a hold may live in total, extensions included: from the TTL to 2 h.
    pub hold_total_max: DurationMs,
    /// Seats one customer may have over all holds and purchases: at least 1.
    pub seats_per_customer_max: u32,
    /// Nobody may leave a single free seat behind in a row, unless the row offers no other way.
    pub no_lone_seat: bool,
}

/// Why the store refused, and what helps the caller. It is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// The seats in the way, at most 64.
    pub seats: Vec<SeatRefusal>,
    /// The limit that was met, where there is one: a number, or cluster time in milliseconds.
    pub limit: u64,
}

/// One seat in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatRefusal {
    /// Which.
    pub seat_no: SeatNo,
    /// What it is; `None` where the show has no such seat.
    pub state: Option<SeatState>,
}

/// Why the store refused. Where several apply, the one listed first is answered. The wire
/// contract (`holdfast.lockstore.v1`) says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "as in the wire contract")]
pub enum RefusalReason {
    DeadlinePassed,
    DeadlineTooFar,
    RequestReused,
    ShowNotFound,
    Invalid,
    SeatUnknown,
    ShowNotOnSale,
    TooManyRequests,
    HoldNotFound,
    Expired,
    Released,
    StaleFence,
    AlreadySold,
    Conflict,
    LimitExceeded,
    LeavesLoneSeat,
    NoBlock,
    UntilTooLate,
}
