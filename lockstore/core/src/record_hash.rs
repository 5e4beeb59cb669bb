//! The hash of each kind of record, for the sum that is a state's hash (HS-5).
//!
//! Always holds: every field that can make two states answer differently is in it. What follows
//! from other records (counts, queues, what is chosen from) isn't. Kinds count from 32, apart from
//! those of bodies; what the first release's records could say has the kind it had then.

use holdfast_types::{ClusterTime, Fence, Lineage, Revision, SeatNo, SeatState, ShowId, UserId};

use crate::{
    Act, ActKind, HoldEnd, LayoutSeat, Phase, Queue, RequestId, StableHasher,
    kept_hold::KeptHold,
    request::Done,
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

/// A live hold, as it stands.
pub(crate) fn hold(show_id: ShowId, kept: &KeptHold) -> u128 {
    hold_fields(of_show(36, show_id), kept, kept.expires_at()).finish()
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

pub(crate) fn done(show_id: ShowId, id: RequestId, done: &Done) -> u128 {
    let keep_until = Some(done.keep_until);
    let hash = of_show(38, show_id).bytes(&id.0).u128(done.body.0);
    let hash = remembered(hash, done.not_after, keep_until);
    match done.first_no {
        0 => hash.u8(0).finish(),
        first_no => hash.u8(6).u64(first_no).finish(),
    }
}

/// The request that made a hold.
pub(crate) fn hold_request(show_id: ShowId, kept: &KeptHold) -> u128 {
    let end = match kept.end() {
        None => 1,
        Some(HoldEnd::Expired) => 2,
        Some(HoldEnd::Released) => 3,
        Some(HoldEnd::Sold) => 4,
        Some(HoldEnd::Cancelled) => 5,
    };
    let hash = of_show(38, show_id)
        .bytes(&kept.id.to_bytes())
        .u128(kept.body.0);
    let hash = remembered(hash, kept.not_after, kept.keep_until()).u8(end);
    hold_fields(hash, kept, kept.granted_expires_at()).finish()
}

fn remembered(
    hash: StableHasher,
    not_after: ClusterTime,
    keep_until: Option<ClusterTime>,
) -> StableHasher {
    hash.u64(not_after.0)
        .u8(u8::from(keep_until.is_some()))
        .u64(keep_until.unwrap_or_default().0)
}

fn hold_fields(hash: StableHasher, kept: &KeptHold, expires_at: ClusterTime) -> StableHasher {
    let hash = hash
        .bytes(&kept.id.to_bytes())
        .bytes(&kept.holder.to_bytes())
        .u64(kept.fence.as_u64())
        .u64(kept.granted_at.0)
        .u64(expires_at.0)
        .u64(kept.extendable_until().0)
        .u32(kept.price_version())
        .u64(kept.seat_count().into());
    kept.seat_nos()
        .fold(hash, |hash, seat_no| hash.u32(seat_no.0))
}
