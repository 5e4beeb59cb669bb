//! Outcomes and what reads show, as clients see them.

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{Revision, SeatState, ShowId};
use lockstore_core as core;

pub(crate) fn show_state_to_pb(state: core::ShowState) -> pb::ShowState {
    match state {
        core::ShowState::Opening => pb::ShowState::Opening,
        core::ShowState::OnSale => pb::ShowState::OnSale,
        core::ShowState::Paused => pb::ShowState::Paused,
        core::ShowState::Closed => pb::ShowState::Closed,
        core::ShowState::Cancelled => pb::ShowState::Cancelled,
    }
}

pub(super) fn seat_state_to_pb(state: SeatState) -> pb::SeatState {
    match state {
        SeatState::Available => pb::SeatState::Available,
        SeatState::Held => pb::SeatState::Held,
        SeatState::Sold => pb::SeatState::Sold,
        SeatState::Blocked => pb::SeatState::Blocked,
    }
}

/// One byte a seat, in seat order.
pub(crate) fn seat_states_to_pb(show: core::ShowView<'_>) -> Bytes {
    let states = show.seat_states();
    states
        .map(|state| seat_state_to_pb(state) as u8)
        .collect::<Vec<u8>>()
        .into()
}

pub(crate) fn queue_to_pb(queue: core::Queue) -> pb::ShowQueue {
    pb::ShowQueue {
        joined: queue.joined,
        serving: queue.serving,
    }
}

/// Where there is one.
pub(crate) fn queue_of_pb(queue: core::Queue) -> Option<pb::ShowQueue> {
    (queue != core::Queue::default()).then(|| queue_to_pb(queue))
}

pub(crate) fn expiry_to_pb(paused: bool) -> pb::ExpiryState {
    if paused {
        pb::ExpiryState::Paused
    } else {
        pb::ExpiryState::Running
    }
}

pub(crate) fn act_to_pb(revision: Revision, act: &core::Act) -> pb::OperatorAct {
    pb::OperatorAct {
        revision: revision.as_u64(),
        at_ms: act.at.0,
        operator: act.operator.to_string(),
        text: act.text.to_string(),
        expiry: act_kind_to_pb(act.kind).into(),
    }
}

/// What it set.
pub(super) fn act_kind_to_pb(kind: core::ActKind) -> pb::ExpiryState {
    match kind {
        core::ActKind::Note => pb::ExpiryState::Unspecified,
        core::ActKind::ExpiryPaused => pb::ExpiryState::Paused,
        core::ActKind::ExpiryResumed => pb::ExpiryState::Running,
    }
}

/// A show as a watcher begins with it.
pub(crate) fn show_snapshot(state: &core::State, show_id: ShowId) -> pb::ShowSnapshot {
    let id = Bytes::copy_from_slice(&show_id.to_bytes());
    match state.show(show_id) {
        None => pb::ShowSnapshot {
            show_id: id,
            ..Default::default()
        },
        Some(show) => pb::ShowSnapshot {
            show_id: id,
            found: true,
            state: show_state_to_pb(show.state()).into(),
            seat_states: seat_states_to_pb(show),
            queue: queue_of_pb(show.queue()),
        },
    }
}

/// A show as an operator compares it; the answer's info is the caller's to add.
pub(crate) fn inspection(state: &core::State, show_id: ShowId) -> pb::InspectShowResponse {
    let Some(show) = state.inspect(show_id) else {
        return pb::InspectShowResponse::default();
    };
    let claim = |claim: core::Claim| pb::ShowClaim {
        fence: claim.fence.as_u64(),
        hold_id: Bytes::copy_from_slice(&claim.hold_id.to_bytes()),
        holder: Bytes::copy_from_slice(&claim.holder.to_bytes()),
        seat_nos: claim.seat_nos.iter().map(|seat| seat.0).collect(),
        booking_id: claim
            .booking_id
            .map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.to_bytes())),
    };
    let violations = core::invariants::violations_of(state, show_id);
    pb::InspectShowResponse {
        info: None,
        found: true,
        state: show_state_to_pb(show.state).into(),
        rules: Some(rules_to_pb(show.rules)),
        seat_count: show.seat_count,
        claims: show.claims.into_iter().map(claim).collect(),
        blocked_seat_nos: show.blocked.iter().map(|seat| seat.0).collect(),
        free_seat_nos: show.free.iter().map(|(seat, _)| seat.0).collect(),
        free_seat_fences: show.free.iter().map(|(_, fence)| fence.as_u64()).collect(),
        violations: violations
            .into_iter()
            .map(|violation| pb::InvariantViolation {
                id: violation.id.to_owned(),
                detail: violation.detail,
            })
            .collect(),
    }
}

pub(crate) fn rules_to_pb(rules: core::ShowRules) -> pb::ShowRules {
    pb::ShowRules {
        hold_ttl_ms: rules.hold_ttl.0,
        hold_total_ms_max: rules.hold_total_max.0,
        seats_per_customer_max: rules.seats_per_customer_max,
        no_lone_seat: rules.no_lone_seat,
    }
}

pub(crate) fn hold_to_pb(hold: &core::Hold) -> pb::Hold {
    pb::Hold {
        hold_id: Bytes::copy_from_slice(&hold.id.to_bytes()),
        fence: hold.fence.as_u64(),
        seat_nos: hold.seat_nos.iter().map(|seat| seat.0).collect(),
        granted_at_ms: hold.granted_at.0,
        expires_at_ms: hold.expires_at.0,
        extendable_until_ms: hold.extendable_until.0,
        price_version: hold.price_version,
    }
}

fn reason_to_pb(reason: core::RefusalReason) -> pb::RefusalReason {
    use core::RefusalReason as R;
    match reason {
        R::DeadlinePassed => pb::RefusalReason::DeadlinePassed,
        R::DeadlineTooFar => pb::RefusalReason::DeadlineTooFar,
        R::RequestReused => pb::RefusalReason::RequestReused,
        R::ShowNotFound => pb::RefusalReason::ShowNotFound,
        R::Invalid => pb::RefusalReason::Invalid,
        R::SeatUnknown => pb::RefusalReason::SeatUnknown,
        R::ShowNotOnSale => pb::RefusalReason::ShowNotOnSale,
        R::TooManyRequests => pb::RefusalReason::TooManyRequests,
        R::HoldNotFound => pb::RefusalReason::HoldNotFound,
        R::Expired => pb::RefusalReason::Expired,
        R::Released => pb::RefusalReason::Released,
        R::StaleFence => pb::RefusalReason::StaleFence,
        R::AlreadySold => pb::RefusalReason::AlreadySold,
        R::Conflict => pb::RefusalReason::Conflict,
        R::LimitExceeded => pb::RefusalReason::LimitExceeded,
        R::LeavesLoneSeat => pb::RefusalReason::LeavesLoneSeat,
        R::NoBlock => pb::RefusalReason::NoBlock,
        R::UntilTooLate => pb::RefusalReason::UntilTooLate,
    }
}

pub(crate) fn refusal_to_pb(refusal: &core::Refusal) -> pb::Refusal {
    pb::Refusal {
        reason: reason_to_pb(refusal.reason).into(),
        seats: refusal
            .seats
            .iter()
            .map(|seat| pb::SeatRefusal {
                seat_no: seat.seat_no.0,
                state: seat
                    .state
                    .map_or(pb::SeatState::Unspecified, seat_state_to_pb)
                    .into(),
            })
            .collect(),
        limit: refusal.limit,
    }
}
