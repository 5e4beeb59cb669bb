//! What a watch gives out, as types of this crate.

use holdfast_types::{BookingId, ClusterTime, Fence, HoldId, Revision, SeatNo, SeatState, ShowId};

use crate::{Queue, ShowState};

/// One item of a [`Watch`](crate::Watch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchItem {
    /// What was known is void: as many snapshots follow, then what changes after `revision`.
    Begun {
        /// The revision that the snapshots show.
        revision: Revision,
        /// How many there are.
        snapshots: u64,
        /// It isn't the first time: what happened in between is in the snapshots alone.
        anew: bool,
    },
    /// One show as it was at the beginning.
    Snapshot(ShowSnapshot),
    /// What one revision changed.
    Changes(Changes),
    /// There was nothing else up to `revision`, which is as new as about a second.
    Bookmark {
        /// What was given out is complete up to here.
        revision: Revision,
        /// Cluster time when it was said.
        cluster_time: ClusterTime,
    },
}

/// One show at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowSnapshot {
    /// Which.
    pub show_id: ShowId,
    /// State and seats; `None` where the store has no such show.
    pub show: Option<(ShowState, Vec<SeatState>)>,
}

/// What one revision changed, of what is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Which.
    pub revision: Revision,
    /// By show.
    pub shows: Vec<ShowChanges>,
}

/// What one revision changed in one show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowChanges {
    /// Which.
    pub show_id: ShowId,
    /// Nothing of the show changed after this revision and before that of the changes.
    pub previous: Revision,
    /// In the order in which they took effect.
    pub changes: Vec<Change>,
}

/// One change. Seats are in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named as in the answers")]
pub enum Change {
    /// The layout is complete, or the state is another. In a cancelled show no seat is held.
    State { state: ShowState, seat_count: u32 },
    /// Available → held.
    Held {
        hold_id: HoldId,
        fence: Fence,
        seat_nos: Vec<SeatNo>,
        expires_at: ClusterTime,
    },
    /// The promised end of a hold moved.
    Extended {
        hold_id: HoldId,
        fence: Fence,
        expires_at: ClusterTime,
    },
    /// Held → available.
    Ended {
        hold_id: HoldId,
        fence: Fence,
        seat_nos: Vec<SeatNo>,
        why: HoldEnd,
    },
    /// Held → sold; or available → sold, where a sale of an earlier life of the cluster was loaded.
    Sold {
        hold_id: HoldId,
        fence: Fence,
        seat_nos: Vec<SeatNo>,
        booking_id: BookingId,
    },
    /// Sold → available.
    Returned {
        fence: Fence,
        seat_nos: Vec<SeatNo>,
        booking_id: BookingId,
    },
    /// Available → blocked.
    Blocked { seat_nos: Vec<SeatNo> },
    /// Blocked → available.
    Unblocked { seat_nos: Vec<SeatNo> },
    /// The waiting room, as it stands now.
    Queue(Queue),
}

/// How a hold ended that wasn't sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldEnd {
    /// Its time was over.
    Expired,
    /// Its holder gave it up.
    Released,
    /// The show was called off.
    ShowCancelled,
}
