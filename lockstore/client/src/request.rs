//! What may be asked of the store, as types of this crate.

use holdfast_types::{BookingId, ClusterTime, DurationMs, Fence, HoldId, SeatNo, ShowId, UserId};

use crate::{ShowRules, ShowState};

/// The next chunk of a show's layout; the first makes the show known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenShow {
    /// The show.
    pub show_id: ShowId,
    /// Seats of the whole show, at most 100,000; the same in every chunk.
    pub seat_count: u32,
    /// The same in every chunk.
    pub rules: ShowRules,
    /// The number of this chunk's first seat; chunks come in order.
    pub first_seat_no: SeatNo,
    /// 1 to 4,096 seats.
    pub seats: Vec<LayoutSeat>,
    /// Put the show on sale if this chunk completes the layout; it is paused otherwise.
    pub on_sale: bool,
}

/// What the store knows of a seat besides its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutSeat {
    /// Which row, dense from 0 over the show; the seats of a row are neighbours in seat order.
    pub row_no: u32,
    /// No neighbour to the next seat of the row (an aisle).
    pub gap_after: bool,
}

/// A change of state, rules or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeShow {
    /// The show.
    pub show_id: ShowId,
    /// The state to be in; `None` leaves it.
    pub state: Option<ShowState>,
    /// The rules to have; `None` leaves them.
    pub rules: Option<ShowRules>,
}

/// Named seats to hold, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldSeats {
    /// The hold's id, chosen by the caller: the idempotency key. The same id and body again get
    /// the same answer, from any caller, until ten minutes after the hold ended.
    pub hold_id: HoldId,
    /// The show.
    pub show_id: ShowId,
    /// Who holds.
    pub holder: UserId,
    /// 1 to 64, none twice.
    pub seat_nos: Vec<SeatNo>,
    /// Zero for the show's own TTL; never more than it.
    pub ttl: DurationMs,
    /// The price version that was quoted; recorded.
    pub price_version: u32,
    /// Money came after the hold ended: exempt from pause, not from the cap.
    pub late_money: bool,
}

/// A later end for a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendHold {
    /// The show.
    pub show_id: ShowId,
    /// Who holds.
    pub holder: UserId,
    /// The hold.
    pub hold_id: HoldId,
    /// The fence it was granted.
    pub fence: Fence,
    /// The end to have; an earlier one than now promised leaves it.
    pub until: Until,
}

/// An end in cluster time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// That instant.
    At(ClusterTime),
    /// So long from now, by the client's knowledge of cluster time.
    FromNow(DurationMs),
}

/// A hold to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseHold {
    /// The show.
    pub show_id: ShowId,
    /// Who holds.
    pub holder: UserId,
    /// The hold.
    pub hold_id: HoldId,
    /// The fence it was granted.
    pub fence: Fence,
}

/// A hold to sell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitHold {
    /// The show.
    pub show_id: ShowId,
    /// The hold.
    pub hold_id: HoldId,
    /// The fence it was granted.
    pub fence: Fence,
    /// All seats of the hold.
    pub seat_nos: Vec<SeatNo>,
    /// The purchase.
    pub booking_id: BookingId,
}

/// Sold seats to put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnSeats {
    /// The show.
    pub show_id: ShowId,
    /// The fence they were sold under.
    pub fence: Fence,
    /// Some or all of the sale.
    pub seat_nos: Vec<SeatNo>,
    /// The purchase they were sold to.
    pub booking_id: BookingId,
}
