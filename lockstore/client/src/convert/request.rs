//! Requests, as messages that still lack their id and deadline.

use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{ClusterTime, HoldId, ShowId, UserId};

use super::{bytes, numbers};
use crate::{
    AdvanceQueue, BlockSeats, ChangeShow, CommitHold, Consistency, ExtendHold, HoldSeats,
    LayoutSeat, LoadSeats, LoadedClaim, LoadedKind, OpenShow, ReleaseHold, ReturnSeats, SeatKind,
    Selection, ShowRules, ShowState, UnblockSeats,
};

pub(crate) fn open_show(request: OpenShow) -> pb::OpenShowRequest {
    pb::OpenShowRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        seat_count: request.seat_count,
        rules: Some(rules(&request.rules)),
        first_seat_no: request.first_seat_no.0,
        seats: request.seats.iter().map(layout_seat).collect(),
        on_sale: request.on_sale,
    }
}

fn layout_seat(seat: &LayoutSeat) -> pb::LayoutSeat {
    let kind = match seat.kind {
        SeatKind::Plain => pb::SeatKind::Unspecified,
        SeatKind::Accessible => pb::SeatKind::Accessible,
        SeatKind::Companion => pb::SeatKind::Companion,
        SeatKind::Standing => pb::SeatKind::Standing,
    };
    pb::LayoutSeat {
        row_no: seat.row_no,
        gap_after: seat.gap_after,
        rank: seat.rank.into(),
        section_no: seat.section_no.into(),
        category_no: seat.category_no.into(),
        kind: kind.into(),
    }
}

pub(crate) fn change_show(request: &ChangeShow) -> pb::ChangeShowRequest {
    let state = match request.state {
        None => pb::ShowState::Unspecified,
        Some(ShowState::Opening) => pb::ShowState::Opening,
        Some(ShowState::OnSale) => pb::ShowState::OnSale,
        Some(ShowState::Paused) => pb::ShowState::Paused,
        Some(ShowState::Closed) => pb::ShowState::Closed,
        Some(ShowState::Cancelled) => pb::ShowState::Cancelled,
    };
    pb::ChangeShowRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        state: state.into(),
        rules: request.rules.as_ref().map(rules),
    }
}

pub(crate) fn hold_seats(request: &HoldSeats) -> pb::HoldSeatsRequest {
    use pb::hold_seats_request::Choice;
    let wide = |list: &[u16]| list.iter().copied().map(u32::from).collect();
    let (seat_nos, choice) = match &request.selection {
        Selection::Seats(seat_nos) => (numbers(seat_nos), None),
        Selection::Area { section_no, count } => {
            let area = pb::AreaPlaces {
                section_no: (*section_no).into(),
                count: *count,
            };
            (Vec::new(), Some(Choice::Area(area)))
        }
        Selection::BestAvailable(best) => {
            let best = pb::BestAvailable {
                count: best.count,
                section_nos: wide(&best.sections),
                category_nos: wide(&best.categories),
                adjacent: best.adjacent,
                accessible: best.accessible,
            };
            (Vec::new(), Some(Choice::BestAvailable(best)))
        }
    };
    pb::HoldSeatsRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        holder: bytes(request.holder.to_bytes()),
        seat_nos,
        ttl_ms: request.ttl.0,
        price_version: request.price_version,
        late_money: request.late_money,
        choice,
    }
}

pub(crate) fn extend_hold(request: &ExtendHold, until: ClusterTime) -> pb::ExtendHoldRequest {
    pb::ExtendHoldRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        holder: bytes(request.holder.to_bytes()),
        hold_id: bytes(request.hold_id.to_bytes()),
        fence: request.fence.as_u64(),
        until_ms: until.0,
    }
}

pub(crate) fn release_hold(request: &ReleaseHold) -> pb::ReleaseHoldRequest {
    pb::ReleaseHoldRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        holder: bytes(request.holder.to_bytes()),
        hold_id: bytes(request.hold_id.to_bytes()),
        fence: request.fence.as_u64(),
    }
}

pub(crate) fn commit_hold(request: &CommitHold) -> pb::CommitHoldRequest {
    pb::CommitHoldRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        hold_id: bytes(request.hold_id.to_bytes()),
        fence: request.fence.as_u64(),
        seat_nos: numbers(&request.seat_nos),
        booking_id: bytes(request.booking_id.to_bytes()),
    }
}

pub(crate) fn return_seats(request: &ReturnSeats) -> pb::ReturnSeatsRequest {
    pb::ReturnSeatsRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        fence: request.fence.as_u64(),
        seat_nos: numbers(&request.seat_nos),
        booking_id: bytes(request.booking_id.to_bytes()),
    }
}

pub(crate) fn block_seats(request: &BlockSeats) -> pb::BlockSeatsRequest {
    pb::BlockSeatsRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        seat_nos: numbers(&request.seat_nos),
        actor: bytes(request.actor.to_bytes()),
    }
}

pub(crate) fn unblock_seats(request: &UnblockSeats) -> pb::UnblockSeatsRequest {
    pb::UnblockSeatsRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        seat_nos: numbers(&request.seat_nos),
        actor: bytes(request.actor.to_bytes()),
    }
}

pub(crate) fn load_seats(request: &LoadSeats) -> pb::LoadSeatsRequest {
    pb::LoadSeatsRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        claims: request.claims.iter().map(loaded_claim).collect(),
    }
}

fn loaded_claim(claim: &LoadedClaim) -> pb::LoadedClaim {
    use pb::loaded_claim::Kind;
    let kind = match claim.kind {
        LoadedKind::Hold {
            left,
            extendable,
            price_version,
        } => Kind::Hold(pb::LoadedHold {
            left_ms: left.0,
            extendable_ms: extendable.0,
            price_version,
        }),
        LoadedKind::Sale { booking_id } => Kind::Sale(pb::LoadedSale {
            booking_id: bytes(booking_id.to_bytes()),
        }),
    };
    pb::LoadedClaim {
        fence: claim.fence.as_u64(),
        hold_id: bytes(claim.hold_id.to_bytes()),
        holder: bytes(claim.holder.to_bytes()),
        seat_nos: numbers(&claim.seat_nos),
        kind: Some(kind),
    }
}

pub(crate) fn advance_queue(request: &AdvanceQueue) -> pb::AdvanceQueueRequest {
    pb::AdvanceQueueRequest {
        request: None,
        show_id: bytes(request.show_id.to_bytes()),
        joins: request.joins,
        serving: request.serving,
    }
}

pub(crate) fn get_show(show_id: ShowId, reads: Consistency) -> pb::GetShowRequest {
    pb::GetShowRequest {
        show_id: bytes(show_id.to_bytes()),
        consistency: consistency(reads),
    }
}

pub(crate) fn get_hold(
    show_id: ShowId,
    hold_id: HoldId,
    holder: UserId,
    reads: Consistency,
) -> pb::GetHoldRequest {
    pb::GetHoldRequest {
        show_id: bytes(show_id.to_bytes()),
        hold_id: bytes(hold_id.to_bytes()),
        holder: bytes(holder.to_bytes()),
        consistency: consistency(reads),
    }
}

pub(crate) fn get_time(reads: Consistency) -> pb::GetTimeRequest {
    pb::GetTimeRequest {
        consistency: consistency(reads),
    }
}

fn consistency(reads: Consistency) -> Option<pb::ReadConsistency> {
    use pb::read_consistency::Level;
    let level = match reads {
        Consistency::Linearizable => return None,
        Consistency::AtLeast(revision) => Level::AtLeastRevision(revision.as_u64()),
        Consistency::Stale { max_age } => {
            Level::StaleMaxAgeMs(u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX))
        }
    };
    Some(pb::ReadConsistency { level: Some(level) })
}

fn rules(rules: &ShowRules) -> pb::ShowRules {
    pb::ShowRules {
        hold_ttl_ms: rules.hold_ttl.0,
        hold_total_ms_max: rules.hold_total_max.0,
        seats_per_customer_max: rules.seats_per_customer_max,
        no_lone_seat: rules.no_lone_seat,
    }
}
