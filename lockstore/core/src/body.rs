//! The body of a request, hashed, so that an id used with another body is noticed (HS-7).
//!
//! Always holds: the deadline and the price version are no part of a body (a retry may name
//! others), nor is the id (it is the key); seats are taken in ascending order, because the order
//! in which they were named means nothing. The encoding is the fields in the order below, as
//! [`StableHasher`] takes them, after one byte for the command's kind.

use holdfast_types::SeatNo;

use crate::{BodyHash, Command, ShowRules, ShowState, StableHasher};

/// The hash of a command's body; `None` for a tick, which is no request.
pub fn body_hash(command: &Command) -> Option<BodyHash> {
    let hash = match command {
        Command::OpenShow(c) => {
            let mut hash = rules(StableHasher::new(1).bytes(&c.show_id.to_bytes()), &c.rules)
                .u32(c.seat_count)
                .u32(c.first_seat_no.0)
                .u8(u8::from(c.on_sale))
                .u64(c.seats.len() as u64);
            for seat in &c.seats {
                hash = hash.u32(seat.row_no).u8(u8::from(seat.gap_after));
            }
            hash
        }
        Command::ChangeShow(c) => {
            let hash = StableHasher::new(2)
                .bytes(&c.show_id.to_bytes())
                .u8(c.state.map_or(0, state_number))
                .u8(u8::from(c.rules.is_some()));
            c.rules.iter().fold(hash, rules)
        }
        Command::HoldSeats(c) => seats(
            StableHasher::new(3)
                .bytes(&c.show_id.to_bytes())
                .bytes(&c.holder.to_bytes())
                .u64(c.ttl.0)
                .u8(u8::from(c.late_money)),
            &c.seat_nos,
        ),
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
        Command::Tick => return None,
    };
    Some(BodyHash(hash.finish()))
}

fn rules(hash: StableHasher, rules: &ShowRules) -> StableHasher {
    hash.u64(rules.hold_ttl.0)
        .u64(rules.hold_total_max.0)
        .u32(rules.seats_per_customer_max)
}

fn seats(hash: StableHasher, seat_nos: &[SeatNo]) -> StableHasher {
    let mut sorted = seat_nos.to_vec();
    sorted.sort_unstable();
    sorted
        .iter()
        .fold(hash.u64(sorted.len() as u64), |hash, seat| hash.u32(seat.0))
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
