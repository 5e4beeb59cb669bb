//! What the log may ask of the state machine. The shapes mirror `holdfast.lockstore.v1`; the node
//! converts.
//!
//! Always holds: a command is data, valid or not. Bounds are checked in `apply`, so that a bad
//! command gets the same refusal on every replica.

use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, SeatNo, ShowId, UserId,
    limits::{HOLD_TOTAL_MAX, HOLD_TTL_MAX, HOLD_TTL_MIN, SEATS_PER_SHOW_MAX},
};

/// The idempotency key of a request, chosen by its caller. It counts per show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub [u8; 16]);

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RequestId({:032x})", u128::from_be_bytes(self.0))
    }
}

impl From<HoldId> for RequestId {
    fn from(id: HoldId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<RequestId> for HoldId {
    fn from(id: RequestId) -> Self {
        Self::from_bytes(id.0)
    }
}

/// Names a request, and bounds how late a copy of it may take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The idempotency key.
    pub id: RequestId,
    /// The last instant of cluster time at which it may take effect; at most
    /// [`NOT_AFTER_AHEAD_MAX`](holdfast_types::limits::NOT_AFTER_AHEAD_MAX) ahead. Zero has
    /// always passed.
    pub not_after: ClusterTime,
}

/// The rules of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShowRules {
    /// TTL of a new hold.
    pub hold_ttl: DurationMs,
    /// Longest a hold may live in total, extensions included.
    pub hold_total_max: DurationMs,
    /// Seats one customer may have over all holds and purchases.
    pub seats_per_customer_max: u32,
    /// Nobody may leave a single free seat behind in a row, unless the row offers no other way.
    pub no_lone_seat: bool,
}

impl ShowRules {
    /// Whether they are in bounds (`holdfast_types::limits`): a TTL from 1 s to 1 h, a total from
    /// the TTL to 2 h, a cap from 1 to all seats that a show can have.
    pub fn are_valid(&self) -> bool {
        (HOLD_TTL_MIN..=HOLD_TTL_MAX).contains(&self.hold_ttl)
            && (self.hold_ttl..=HOLD_TOTAL_MAX).contains(&self.hold_total_max)
            && (1..=SEATS_PER_SHOW_MAX).contains(&self.seats_per_customer_max)
    }
}

/// What a seat is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum SeatKind {
    /// Anyone.
    #[default]
    Plain,
    /// A place for a wheelchair, or for who needs it for another reason; chosen for those who ask.
    Accessible,
    /// Beside such a place, for who comes along; chosen for those who ask.
    Companion,
    /// A place of an area, numbered so that it can be counted; nobody stands on a number.
    Standing,
}

/// What is known of a seat besides its number. All but the row is for choosing, and zero in a
/// layout that says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayoutSeat {
    /// Which row, dense from 0 over the show; the seats of a row are neighbours in seat order.
    pub row_no: u32,
    /// How far it is from what its section looks at, in any unit that is the same over the show:
    /// the lowest is the best.
    pub rank: u16,
    /// Its section, or its area; numbered by the caller. The places of an area come one after
    /// another.
    pub section_no: u16,
    /// Its price category; numbered by the caller.
    pub category_no: u16,
    /// What it is for.
    pub kind: SeatKind,
    /// No neighbour to the next seat of the row (an aisle).
    pub gap_after: bool,
}

/// A show's state as callers see it. Unlike [`holdfast_types::ShowState`] it knows no draft (such
/// a show isn't in the store) and knows that a layout can be on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShowState {
    /// The layout is still arriving; nothing can be held.
    Opening,
    /// Holds are granted.
    OnSale,
    /// No new holds; those there are go on.
    Paused,
    /// No new holds, for good; the holds that are left run out.
    Closed,
    /// Called off; there are no holds, and nothing is sold any more.
    Cancelled,
}

/// Makes a show known, or adds the next chunk of its layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenShow {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// Seats of the whole show; the same in every chunk.
    pub seat_count: u32,
    /// The rules; the same in every chunk.
    pub rules: ShowRules,
    /// The number of this chunk's first seat.
    pub first_seat_no: SeatNo,
    /// The seats of this chunk, 1 to
    /// [`LAYOUT_CHUNK_SEATS_MAX`](holdfast_types::limits::LAYOUT_CHUNK_SEATS_MAX).
    pub seats: Vec<LayoutSeat>,
    /// Put the show on sale if this chunk completes the layout; it is paused otherwise.
    pub on_sale: bool,
}

/// Changes a show's state or rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeShow {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// The state to be in; `None` leaves it.
    pub state: Option<ShowState>,
    /// The rules to have; `None` leaves them.
    pub rules: Option<ShowRules>,
}

/// Which seats to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those that are named: 1 to [`SEATS_PER_HOLD_MAX`](holdfast_types::limits::SEATS_PER_HOLD_MAX),
    /// none twice; their order means nothing.
    Seats(Vec<SeatNo>),
    /// So many places of an area, the lowest free ones.
    Area {
        /// The area.
        section_no: u16,
        /// 1 to [`SEATS_PER_HOLD_MAX`](holdfast_types::limits::SEATS_PER_HOLD_MAX).
        count: u32,
    },
    /// The best there are.
    BestAvailable(BestAvailable),
}

/// What the best seats have to be. Those of a block are side by side, of one section and of one
/// price category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BestAvailable {
    /// 1 to [`SEATS_PER_HOLD_MAX`](holdfast_types::limits::SEATS_PER_HOLD_MAX).
    pub count: u32,
    /// Of these sections only, at most
    /// [`FILTER_ENTRIES_MAX`](crate::limits::FILTER_ENTRIES_MAX); of any if none is named.
    pub sections: Vec<u16>,
    /// Of these price categories only, at most as many; of any if none is named.
    pub categories: Vec<u16>,
    /// All in one block; otherwise in the largest blocks that there are.
    pub adjacent: bool,
    /// From accessible places and their companions' seats, with an accessible place in each block;
    /// otherwise none of these is chosen.
    pub accessible: bool,
}

/// Holds seats, all or nothing (HS-2). `request.id` is the hold's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldSeats {
    /// Names the request and the hold.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// Who holds.
    pub holder: UserId,
    /// Which seats.
    pub selection: Selection,
    /// Zero for the show's own TTL; never more than it.
    pub ttl: DurationMs,
    /// The price version that was quoted; recorded, and no part of the body.
    pub price_version: u32,
    /// Money came after the hold ended: exempt from pause and from the lone-seat rule, not from the
    /// cap.
    pub late_money: bool,
}

/// Moves a hold's promised end to `until`; never earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendHold {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// Who holds.
    pub holder: UserId,
    /// The hold.
    pub hold_id: HoldId,
    /// The fence it was granted.
    pub fence: Fence,
    /// The end to have; an earlier one than now promised leaves it.
    pub until: ClusterTime,
}

/// Ends a hold and frees its seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseHold {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// Who holds.
    pub holder: UserId,
    /// The hold.
    pub hold_id: HoldId,
    /// The fence it was granted.
    pub fence: Fence,
}

/// Sells a hold's seats to a booking: the one atomic decision of a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitHold {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// The hold.
    pub hold_id: HoldId,
    /// The fence it was granted.
    pub fence: Fence,
    /// All seats of the hold; their order means nothing.
    pub seat_nos: Vec<SeatNo>,
    /// The purchase.
    pub booking_id: BookingId,
}

/// Puts sold seats back on sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnSeats {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// The fence they were sold under.
    pub fence: Fence,
    /// Some or all seats of the sale; their order means nothing.
    pub seat_nos: Vec<SeatNo>,
    /// The purchase they were sold to.
    pub booking_id: BookingId,
}

/// Takes seats out of sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSeats {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// 1 to [`SEATS_PER_BLOCK_MAX`](crate::limits::SEATS_PER_BLOCK_MAX) seats, none twice; their
    /// order means nothing.
    pub seat_nos: Vec<SeatNo>,
    /// Who of the staff asked; kept with each seat while it is blocked.
    pub actor: UserId,
}

/// Puts blocked seats back on sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnblockSeats {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// As in [`BlockSeats`].
    pub seat_nos: Vec<SeatNo>,
    /// Who of the staff asked.
    pub actor: UserId,
}

/// A claim of an earlier life of the cluster, which a rebuild puts back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedClaim {
    /// The fence it was granted then, of an earlier lineage.
    pub fence: Fence,
    /// The hold, or the hold that was sold.
    pub hold_id: HoldId,
    /// Who holds, or bought.
    pub holder: UserId,
    /// 1 to [`SEATS_PER_HOLD_MAX`](holdfast_types::limits::SEATS_PER_HOLD_MAX), none twice; of a
    /// sale those that are sold still. Their order means nothing.
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
        /// To the latest end that an extension may name, from now: from `left` to
        /// [`HOLD_TOTAL_MAX`].
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

/// Puts claims of an earlier life of the cluster into a paused show, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSeats {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// 1 to [`CLAIMS_PER_LOAD_MAX`](crate::limits::CLAIMS_PER_LOAD_MAX), with
    /// [`SEATS_PER_LOAD_MAX`](crate::limits::SEATS_PER_LOAD_MAX) seats in all, by ascending fences,
    /// which go on ascending from one load to the next.
    pub claims: Vec<LoadedClaim>,
}

/// Hands out numbers in a show's waiting room, and moves the threshold of who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvanceQueue {
    /// Names the request.
    pub request: Request,
    /// The show.
    pub show_id: ShowId,
    /// How many join, at most [`JOINS_PER_COMMAND_MAX`](crate::limits::JOINS_PER_COMMAND_MAX).
    pub joins: u32,
    /// The threshold to have; a lower one than it is leaves it.
    pub serving: u64,
}

/// Sets what holds for the whole store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetConfig {
    /// Names the request.
    pub request: Request,
    /// Who: 1 to [`OPERATOR_BYTES_MAX`](crate::limits::OPERATOR_BYTES_MAX) bytes.
    pub operator: String,
    /// Why: 1 to [`ACT_BYTES_MAX`](crate::limits::ACT_BYTES_MAX) bytes.
    pub reason: String,
    /// No hold ends by time.
    pub expiry_paused: bool,
}

/// Notes what an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminRecord {
    /// Names the request.
    pub request: Request,
    /// As in [`SetConfig`].
    pub operator: String,
    /// What: 1 to [`ACT_BYTES_MAX`](crate::limits::ACT_BYTES_MAX) bytes.
    pub text: String,
}

/// One command of a log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Command {
    OpenShow(OpenShow),
    ChangeShow(ChangeShow),
    HoldSeats(HoldSeats),
    ExtendHold(ExtendHold),
    ReleaseHold(ReleaseHold),
    CommitHold(CommitHold),
    ReturnSeats(ReturnSeats),
    BlockSeats(BlockSeats),
    UnblockSeats(UnblockSeats),
    LoadSeats(LoadSeats),
    AdvanceQueue(AdvanceQueue),
    SetConfig(SetConfig),
    AdminRecord(AdminRecord),
    /// Lets time pass: sweeps what is due, over all shows, up to a bound. Written by the leader
    /// when [`State::next_due`](crate::State::next_due) has come and nothing else sweeps.
    Tick,
}

impl Command {
    /// The request it carries; a tick has none.
    pub const fn request(&self) -> Option<&Request> {
        match self {
            Self::OpenShow(c) => Some(&c.request),
            Self::ChangeShow(c) => Some(&c.request),
            Self::HoldSeats(c) => Some(&c.request),
            Self::ExtendHold(c) => Some(&c.request),
            Self::ReleaseHold(c) => Some(&c.request),
            Self::CommitHold(c) => Some(&c.request),
            Self::ReturnSeats(c) => Some(&c.request),
            Self::BlockSeats(c) => Some(&c.request),
            Self::UnblockSeats(c) => Some(&c.request),
            Self::LoadSeats(c) => Some(&c.request),
            Self::AdvanceQueue(c) => Some(&c.request),
            Self::SetConfig(c) => Some(&c.request),
            Self::AdminRecord(c) => Some(&c.request),
            Self::Tick => None,
        }
    }

    /// The hold it is about, unless it makes one.
    pub const fn hold_id(&self) -> Option<HoldId> {
        match self {
            Self::ExtendHold(c) => Some(c.hold_id),
            Self::ReleaseHold(c) => Some(c.hold_id),
            Self::CommitHold(c) => Some(c.hold_id),
            _ => None,
        }
    }

    /// The show it names; a tick, and what is for the whole store, names none.
    pub const fn show_id(&self) -> Option<ShowId> {
        match self {
            Self::OpenShow(c) => Some(c.show_id),
            Self::ChangeShow(c) => Some(c.show_id),
            Self::HoldSeats(c) => Some(c.show_id),
            Self::ExtendHold(c) => Some(c.show_id),
            Self::ReleaseHold(c) => Some(c.show_id),
            Self::CommitHold(c) => Some(c.show_id),
            Self::ReturnSeats(c) => Some(c.show_id),
            Self::BlockSeats(c) => Some(c.show_id),
            Self::UnblockSeats(c) => Some(c.show_id),
            Self::LoadSeats(c) => Some(c.show_id),
            Self::AdvanceQueue(c) => Some(c.show_id),
            Self::SetConfig(_) | Self::AdminRecord(_) | Self::Tick => None,
        }
    }
}
