//! The hash of each kind of record, for the sum that is a state's hash (HS-5).
//!
//! Always holds: every field that can make two states answer differently is in it. What follows
//! from other records (counts, queues, what is chosen from) isn't. Kinds count from 32, apart from
//! those of bodies; what the first release's records could say has the kind it had then.

use holdfast_types::{ClusterTime, Fence, Lineage, Revision, SeatNo, SeatState, ShowId, UserId};

use crate::{
    Act, ActKind, Effect, Hold, HoldEnd, LayoutSeat, Phase, Queue, RequestId, StableHasher,
    request::Remembered,
    show::{Sale, Seat, Show},
};

fn of_show(kind: u8, show_id: ShowId) -> StableHasher {
    StableHasher::new(kind).bytes(&show_id.to_bytes())
}

pub(crate) fn meta(lineage: Lineage, now: ClusterTime, revision: Revision) -> u128 {
    StableHasher::new(32)
        .u8(lineage.0)
        .u64(now.0)
        .u64(revision.as_u64())
        .finish()
}

pub(crate) fn show(show: &Show) -> u128 {
    let phase = match show.phase() {
        Phase::Opening => 1,
        Phase::OnSale => 2,
        Phase::Paused => 3,
        Phase::Closing => 4,
        Phase::Closed => 5,
        Phase::Cancelled => 6,
    };
    let all_rules = [show.rules(), show.opening_rules()];
    let bare = all_rules.iter().all(|rules| !rules.no_lone_seat);
    let (queue, loaded) = (show.queue(), show.loaded());
    let counts = queue != Queue::default() || loaded != Fence::ZERO;
    let kind = match (counts, bare) {
        (true, _) => 42,
        (false, true) => 33,
        (false, false) => 40,
    };
    let mut hash = of_show(kind, show.id()).u8(phase).u32(show.seat_count());
    for rules in all_rules {
        hash = hash
            .u64(rules.hold_ttl.0)
            .u64(rules.hold_total_max.0)
            .u32(rules.seats_per_customer_max);
        if counts || !bare {
            hash = hash.u8(u8::from(rules.no_lone_seat));
        }
    }
    if counts {
        hash = hash
            .u64(queue.joined)
            .u64(queue.serving)
            .u64(loaded.as_u64());
    }
    hash.finish()
}

pub(crate) fn expiry_paused() -> u128 {
    StableHasher::new(43).finish()
}

pub(crate) fn act(revision: Revision, act: &Act) -> u128 {
    StableHasher::new(44)
        .u64(revision.as_u64())
        .u64(act.at.0)
        .bytes(&act.id.0)
        .u128(act.body.0)
        .u64(act.not_after.0)
        .u8(match act.kind {
            ActKind::Note => 1,
            ActKind::ExpiryPaused => 2,
            ActKind::ExpiryResumed => 3,
        })
        .text(&act.operator)
        .text(&act.text)
        .finish()
}

pub(crate) fn layout(show_id: ShowId, seat_no: SeatNo, seat: &LayoutSeat) -> u128 {
    if seat.is_bare() {
        let hash = of_show(34, show_id).u32(seat_no.0);
        return seat.hash_bare(hash).finish();
    }
    let hash = of_show(39, show_id).u32(seat_no.0);
    seat.hash_all(hash).finish()
}

pub(crate) fn blocked(show_id: ShowId, seat_no: SeatNo, actor: UserId) -> u128 {
    of_show(41, show_id)
        .u32(seat_no.0)
        .bytes(&actor.to_bytes())
        .finish()
}

/// What the hashes of all seats of a show begin with.
pub(crate) fn of_seats(show_id: ShowId) -> StableHasher {
    of_show(35, show_id)
}

pub(crate) fn seat(of_seats: StableHasher, seat_no: SeatNo, seat: &Seat) -> u128 {
    let state = match seat.state {
        SeatState::Available => 1,
        SeatState::Held => 2,
        SeatState::Sold => 3,
        SeatState::Blocked => 4,
    };
    of_seats
        .u32(seat_no.0)
        .u8(state)
        .u64(seat.fence.as_u64())
        .finish()
}

pub(crate) fn hold(show_id: ShowId, hold: &Hold) -> u128 {
    hold_fields(of_show(36, show_id), hold).finish()
}

pub(crate) fn sale(show_id: ShowId, fence: Fence, sale: &Sale) -> u128 {
    of_show(37, show_id)
        .u64(fence.as_u64())
        .bytes(&sale.hold_id.to_bytes())
        .bytes(&sale.holder.to_bytes())
        .bytes(&sale.booking_id.to_bytes())
        .u32(sale.seat_count)
        .finish()
}

pub(crate) fn request(show_id: ShowId, id: RequestId, known: &Remembered) -> u128 {
    let hash = of_show(38, show_id)
        .bytes(&id.0)
        .u128(known.body.0)
        .u64(known.not_after.0)
        .u8(u8::from(known.keep_until.is_some()))
        .u64(known.keep_until.unwrap_or_default().0);
    match &known.effect {
        Effect::Done => hash.u8(0).finish(),
        Effect::Joined { first_no } => hash.u8(6).u64(*first_no).finish(),
        Effect::Held { hold, end } => {
            let end = match end {
                None => 1,
                Some(HoldEnd::Expired) => 2,
                Some(HoldEnd::Released) => 3,
                Some(HoldEnd::Sold) => 4,
                Some(HoldEnd::Cancelled) => 5,
            };
            hold_fields(hash.u8(end), hold).finish()
        }
    }
}

fn hold_fields(hash: StableHasher, hold: &Hold) -> StableHasher {
    let hash = hash
        .bytes(&hold.id.to_bytes())
        .bytes(&hold.holder.to_bytes())
        .u64(hold.fence.as_u64())
        .u64(hold.granted_at.0)
        .u64(hold.expires_at.0)
        .u64(hold.extendable_until.0)
        .u32(hold.price_version)
        .u64(hold.seat_nos.len() as u64);
    hold.seat_nos
        .iter()
        .fold(hash, |hash, seat_no| hash.u32(seat_no.0))
}
