//! What may be asked of the store, as types of this crate.

use std::time::Duration;

use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, Revision, SeatNo, ShowId, UserId,
};

use crate::{ShowRules, ShowState};

/// How fresh what is read must be; see [`Client::reading`](crate::Client::reading).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Every write that was acknowledged before is in it. The leader alone answers.
    #[default]
    Linearizable,
    /// Whatever the answer that carried this revision saw or did is in it. Any node answers, and one
    /// that hasn't come so far waits for it.
    AtLeast(Revision),
    /// Everything that was decided until so long before is in it, by the clock of the node that
    /// answers; 1 ms to 60 s. Any node answers that knows this of its state, for so long also
    /// without a leader. Much under 300 ms hardly any can promise.
    Stale {
        /// How long.
        max_age: Duration,
    },
}

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

/// What the store knows of a seat besides its number. All but the row is for choosing, and zero in
/// a layout that says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayoutSeat {
    /// Which row, dense from 0 over the show; the seats of a row are neighbours in seat order.
    pub row_no: u32,
    /// No neighbour to the next seat of the row (an aisle).
    pub gap_after: bool,
    /// How far it is from what its section looks at, in any unit that is the same over the show:
    /// the lowest is the best.
    pub rank: u16,
    /// Its section, or its area, numbered by the caller. The places of an area come one after
    /// another.
    pub section_no: u16,
    /// Its price category, numbered by the caller. A show has at most 2,048 pairs of section and
    /// price category.
    pub category_no: u16,
    /// What it is for.
    pub kind: SeatKind,
}

/// What a seat is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeatKind {
    /// Anyone.
    #[default]
    Plain,
    /// A place for a wheelchair, or for who needs it for another reason.
    Accessible,
    /// Beside such a place, for who comes along.
    Companion,
    /// A place of an area: nobody stands on a number.
    Standing,
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

/// Which seats to hold. Choices are made when the hold is decided, so that no two are in each
/// other's way; a copy of the request gets the seats that were chosen then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Named ones: 1 to 64, none twice.
    Seats(Vec<SeatNo>),
    /// So many places of an area, 1 to 64: the lowest free ones.
    Area {
        /// The area.
        section_no: u16,
        /// How many.
        count: u32,
    },
    /// The best there are.
    BestAvailable(BestAvailable),
}

/// What the best seats have to be. Those of a block are side by side in one row, of one section and
/// of one price category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BestAvailable {
    /// 1 to 64.
    pub count: u32,
    /// Of these sections only, at most 64; of any if none is named.
    pub sections: Vec<u16>,
    /// Of these price categories only, at most 64; of any if none is named.
    pub categories: Vec<u16>,
    /// All in one block. Otherwise in several if need be, the largest that there are.
    pub adjacent: bool,
    /// From accessible places and their companions' seats, with an accessible place in each block.
    /// Otherwise none of these is chosen.
    pub accessible: bool,
}

/// Seats to hold, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldSeats {
    /// The hold's id, chosen by the caller: the idempotency key. The same id and body again get
    /// the same answer, from any caller, until ten minutes after the hold ended.
    pub hold_id: HoldId,
    /// The show.
    pub show_id: ShowId,
    /// Who holds.
    pub holder: UserId,
    /// Which seats.
    pub selection: Selection,
    /// Zero for the show's own TTL; never more than it.
    pub ttl: DurationMs,
    /// The price version that was quoted; recorded.
    pub price_version: u32,
    /// Money came after the hold ended: exempt from pause and from the lone-seat rule, not from
    /// the cap.
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

/// Seats to take out of sale, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSeats {
    /// The show.
    pub show_id: ShowId,
    /// 1 to 1,024, none twice.
    pub seat_nos: Vec<SeatNo>,
    /// Who of the staff asked; kept while they are blocked.
    pub actor: UserId,
}

/// Blocked seats to put back on sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnblockSeats {
    /// The show.
    pub show_id: ShowId,
    /// 1 to 1,024, none twice.
    pub seat_nos: Vec<SeatNo>,
    /// Who of the staff asked.
    pub actor: UserId,
}

/// Claims of an earlier life of the cluster to put back, all or none, into a paused show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSeats {
    /// The show.
    pub show_id: ShowId,
    /// 1 to 256 with 1,024 seats in all, by ascending fences, which go on ascending from one load to
    /// the next.
    pub claims: Vec<LoadedClaim>,
}

/// A hold, or a sale, of an earlier life of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedClaim {
    /// The fence it was granted then.
    pub fence: Fence,
    /// The hold, or the hold that was sold.
    pub hold_id: HoldId,
    /// Who holds, or bought.
    pub holder: UserId,
    /// Its seats; of a sale those that are sold still.
    pub seat_nos: Vec<SeatNo>,
    /// What it is.
    pub kind: LoadedKind,
}

/// What a loaded claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadedKind {
    /// A hold that lives on.
    Hold {
        /// To its promised end, from now; more than zero.
        left: DurationMs,
        /// To the latest end that an extension may name, from now; from `left` to 2 h.
        extendable: DurationMs,
        /// The price version that was quoted.
        price_version: u32,
    },
    /// A sale.
    Sale {
        /// The purchase.
        booking_id: BookingId,
    },
}

/// Numbers of a waiting room to hand out, and the threshold of who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvanceQueue {
    /// The show.
    pub show_id: ShowId,
    /// How many join, at most 100,000; 0 to move the threshold alone.
    pub joins: u32,
    /// The threshold to have; a lower one than it is leaves it.
    pub serving: u64,
}
