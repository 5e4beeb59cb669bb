//! The body of a request, hashed, so that an id used with another body is noticed (HS-7).
//!
//! Always holds: the deadline and the price version are no part of a body (a retry may name
//! others), nor is the id (it is the key); seats are taken in ascending order, because the order
//! in which they were named means nothing. The encoding is the fields in the order below, as
//! [`StableHasher`] takes them, after one byte for the command's kind. What the first release's
//! commands could say has the encoding it had then; what they couldn't has a kind of its own.

use std::borrow::Cow;

use holdfast_types::SeatNo;

use crate::{
    BestAvailable, BodyHash, Command, LayoutSeat, LoadedClaim, LoadedKind, SeatKind, Selection,
    ShowRules, ShowState, StableHasher,
};

/// The hash of a command's body; `None` for a tick, which is no request.
pub fn body_hash(command: &Command) -> Option<BodyHash> {
    let hash = match command {
        Command::OpenShow(c) => {
            let bare = !c.rules.no_lone_seat && c.seats.iter().all(LayoutSeat::is_bare);
            let kind = if bare { 1 } else { 8 };
            let hash = rules(
                StableHasher::new(kind).bytes(&c.show_id.to_bytes()),
                &c.rules,
            )
            .u32(c.seat_count)
            .u32(c.first_seat_no.0)
            .u8(u8::from(c.on_sale))
            .u64(c.seats.len() as u64);
            if bare {
                c.seats.iter().fold(hash, |hash, seat| seat.hash_bare(hash))
            } else {
                let hash = hash.u8(u8::from(c.rules.no_lone_seat));
                c.seats.iter().fold(hash, |hash, seat| seat.hash_all(hash))
            }
        }
        Command::ChangeShow(c) => {
            let bare = !c.rules.is_some_and(|rules| rules.no_lone_seat);
            let hash = StableHasher::new(if bare { 2 } else { 9 })
                .bytes(&c.show_id.to_bytes())
                .u8(c.state.map_or(0, state_number))
                .u8(u8::from(c.rules.is_some()));
            c.rules.iter().fold(hash, rules)
        }
        Command::HoldSeats(c) => {
            let hash = StableHasher::new(match c.selection {
                Selection::Seats(_) => 3,
                Selection::Area { .. } => 10,
                Selection::BestAvailable(_) => 11,
            });
            let hash = hash
                .bytes(&c.show_id.to_bytes())
                .bytes(&c.holder.to_bytes())
                .u64(c.ttl.0)
                .u8(u8::from(c.late_money));
            match &c.selection {
                Selection::Seats(seat_nos) => seats(hash, seat_nos),
                Selection::Area { section_no, count } => {
                    hash.u32(u32::from(*section_no)).u32(*count)
                }
                Selection::BestAvailable(best) => best_available(hash, best),
            }
        }
        Command::ExtendHold(c) => StableHasher::new(4)
            .bytes(&c.show_id.to_bytes())
            .bytes(&c.holder.to_bytes())
            .bytes(&c.hold_id.to_bytes())
            .u64(c.fence.as_u64())
            .u64(c.until.0),
        Command::ReleaseHold(c) => StableHasher::new(5)
            .bytes(&c.show_id.to_bytes())
            .bytes(&c.holder.to_bytes())
            .bytes(&c.hold_id.to_bytes())
            .u64(c.fence.as_u64()),
        Command::CommitHold(c) => seats(
            StableHasher::new(6)
                .bytes(&c.show_id.to_bytes())
                .bytes(&c.hold_id.to_bytes())
                .u64(c.fence.as_u64())
                .bytes(&c.booking_id.to_bytes()),
            &c.seat_nos,
        ),
        Command::ReturnSeats(c) => seats(
            StableHasher::new(7)
                .bytes(&c.show_id.to_bytes())
                .u64(c.fence.as_u64())
                .bytes(&c.booking_id.to_bytes()),
            &c.seat_nos,
        ),
        Command::BlockSeats(c) => seats(
            StableHasher::new(12)
                .bytes(&c.show_id.to_bytes())
                .bytes(&c.actor.to_bytes()),
            &c.seat_nos,
        ),
        Command::UnblockSeats(c) => seats(
            StableHasher::new(13)
                .bytes(&c.show_id.to_bytes())
                .bytes(&c.actor.to_bytes()),
            &c.seat_nos,
        ),
        Command::LoadSeats(c) => c.claims.iter().fold(
            StableHasher::new(14)
                .bytes(&c.show_id.to_bytes())
                .u64(c.claims.len() as u64),
            claim,
        ),
        Command::AdvanceQueue(c) => StableHasher::new(15)
            .bytes(&c.show_id.to_bytes())
            .u32(c.joins)
            .u64(c.serving),
        Command::SetConfig(c) => StableHasher::new(16)
            .u8(u8::from(c.expiry_paused))
            .text(&c.operator)
            .text(&c.reason),
        Command::AdminRecord(c) => StableHasher::new(17).text(&c.operator).text(&c.text),
        Command::Tick => return None,
    };
    Some(BodyHash(hash.finish()))
}

/// The body of one claim, under which a loaded hold is remembered.
pub(crate) fn claim_hash(loaded: &LoadedClaim) -> BodyHash {
    BodyHash(claim(StableHasher::new(18), loaded).finish())
}

fn claim(hash: StableHasher, loaded: &LoadedClaim) -> StableHasher {
    let hash = hash
        .u64(loaded.fence.as_u64())
        .bytes(&loaded.hold_id.to_bytes())
        .bytes(&loaded.holder.to_bytes());
    let hash = match loaded.kind {
        LoadedKind::Hold {
            left,
            extendable,
            price_version,
        } => hash.u8(1).u64(left.0).u64(extendable.0).u32(price_version),
        LoadedKind::Sale { booking_id } => hash.u8(2).bytes(&booking_id.to_bytes()),
    };
    seats(hash, &loaded.seat_nos)
}

fn rules(hash: StableHasher, rules: &ShowRules) -> StableHasher {
    hash.u64(rules.hold_ttl.0)
        .u64(rules.hold_total_max.0)
        .u32(rules.seats_per_customer_max)
}

/// The order in which sections and categories were named means nothing.
fn best_available(hash: StableHasher, best: &BestAvailable) -> StableHasher {
    let hash = hash
        .u32(best.count)
        .u8(u8::from(best.adjacent))
        .u8(u8::from(best.accessible));
    [&best.sections, &best.categories]
        .into_iter()
        .fold(hash, |hash, list| {
            let mut sorted = list.clone();
            sorted.sort_unstable();
            sorted
                .iter()
                .fold(hash.u64(sorted.len() as u64), |hash, no| {
                    hash.u32(u32::from(*no))
                })
        })
}

fn seats(hash: StableHasher, seat_nos: &[SeatNo]) -> StableHasher {
    let sorted = ascending(seat_nos);
    sorted
        .iter()
        .fold(hash.u64(sorted.len() as u64), |hash, seat| hash.u32(seat.0))
}

/// As most callers name them already.
pub(crate) fn ascending(seat_nos: &[SeatNo]) -> Cow<'_, [SeatNo]> {
    if seat_nos.is_sorted() {
        return Cow::Borrowed(seat_nos);
    }
    let mut sorted = seat_nos.to_vec();
    sorted.sort_unstable();
    Cow::Owned(sorted)
}

/// The number a state has in the encoding; as in the wire contract.
const fn state_number(state: ShowState) -> u8 {
    match state {
        ShowState::Opening => 1,
        ShowState::OnSale => 2,
        ShowState::Paused => 3,
        ShowState::Closed => 4,
        ShowState::Cancelled => 5,
    }
}

impl LayoutSeat {
    /// It says no more than the first release's layouts could.
    pub(crate) fn is_bare(&self) -> bool {
        let bare = Self {
            row_no: self.row_no,
            gap_after: self.gap_after,
            ..Self::default()
        };
        *self == bare
    }

    pub(crate) fn hash_bare(&self, hash: StableHasher) -> StableHasher {
        hash.u32(self.row_no).u8(u8::from(self.gap_after))
    }

    pub(crate) fn hash_all(&self, hash: StableHasher) -> StableHasher {
        self.hash_bare(hash)
            .u32(u32::from(self.rank))
            .u32(u32::from(self.section_no))
            .u32(u32::from(self.category_no))
            .u8(match self.kind {
                SeatKind::Plain => 1,
                SeatKind::Accessible => 2,
                SeatKind::Companion => 3,
                SeatKind::Standing => 4,
            })
    }
}
