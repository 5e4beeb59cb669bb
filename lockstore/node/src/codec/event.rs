//! What changed, as watchers see it: never who holds.

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{SeatNo, ShowId};
use lockstore_core::{Event, HoldEnd};
use pb::show_change::Change;

use super::{queue_to_pb, show_state_to_pb};
use crate::watch::{Changes, ShowChanges};

/// The changes of `show`, or of all.
pub(crate) fn changes_to_pb(changes: &Changes, show: Option<ShowId>) -> pb::RevisionChanges {
    let shows = changes.shows.iter();
    pb::RevisionChanges {
        revision: changes.revision.as_u64(),
        shows: shows
            .filter(|changed| show.is_none_or(|show_id| show_id == changed.show_id))
            .map(show_changes_to_pb)
            .collect(),
    }
}

fn show_changes_to_pb(show: &ShowChanges) -> pb::ShowChanges {
    let changes = show.events.iter().map(|event| pb::ShowChange {
        change: Some(change_to_pb(event, show.seat_count)),
    });
    pb::ShowChanges {
        show_id: Bytes::copy_from_slice(&show.show_id.to_bytes()),
        previous_revision: show.previous.as_u64(),
        changes: changes.collect(),
    }
}

fn change_to_pb(event: &Event, seat_count: u32) -> Change {
    match event {
        Event::ShowOpened { state, .. } | Event::ShowStateChanged { state, .. } => {
            Change::State(pb::ShowStateChanged {
                state: show_state_to_pb(*state).into(),
                seat_count,
            })
        }
        Event::SeatsHeld {
            hold_id,
            fence,
            seat_nos,
            expires_at,
            ..
        } => Change::Held(pb::SeatsHeld {
            hold_id: Bytes::copy_from_slice(&hold_id.to_bytes()),
            fence: fence.as_u64(),
            seat_nos: numbers(seat_nos),
            expires_at_ms: expires_at.0,
        }),
        Event::HoldExtended {
            hold_id,
            fence,
            expires_at,
            ..
        } => Change::Extended(pb::HoldExtended {
            hold_id: Bytes::copy_from_slice(&hold_id.to_bytes()),
            fence: fence.as_u64(),
            expires_at_ms: expires_at.0,
        }),
        Event::HoldEnded {
            hold_id,
            fence,
            seat_nos,
            end,
            ..
        } => Change::Ended(pb::HoldEnded {
            hold_id: Bytes::copy_from_slice(&hold_id.to_bytes()),
            fence: fence.as_u64(),
            seat_nos: numbers(seat_nos),
            reason: reason_to_pb(*end).into(),
        }),
        Event::SeatsSold {
            hold_id,
            booking_id,
            fence,
            seat_nos,
            ..
        } => Change::Bought(pb::SeatsBought {
            hold_id: Bytes::copy_from_slice(&hold_id.to_bytes()),
            fence: fence.as_u64(),
            seat_nos: numbers(seat_nos),
            booking_id: Bytes::copy_from_slice(&booking_id.to_bytes()),
        }),
        Event::SeatsReturned {
            booking_id,
            fence,
            seat_nos,
            ..
        } => Change::PutBack(pb::SeatsPutBack {
            fence: fence.as_u64(),
            seat_nos: numbers(seat_nos),
            booking_id: Bytes::copy_from_slice(&booking_id.to_bytes()),
        }),
        Event::SeatsBlocked { seat_nos, .. } => Change::Withdrawn(pb::SeatsWithdrawn {
            seat_nos: numbers(seat_nos),
        }),
        Event::SeatsUnblocked { seat_nos, .. } => Change::Restored(pb::SeatsRestored {
            seat_nos: numbers(seat_nos),
        }),
        Event::QueueAdvanced { queue, .. } => Change::Queue(queue_to_pb(*queue)),
    }
}

fn reason_to_pb(end: HoldEnd) -> pb::HoldEndReason {
    match end {
        HoldEnd::Expired => pb::HoldEndReason::Expired,
        HoldEnd::Released => pb::HoldEndReason::Released,
        HoldEnd::Cancelled => pb::HoldEndReason::ShowCancelled,
        // Never: that is `SeatsSold`.
        HoldEnd::Sold => pb::HoldEndReason::Unspecified,
    }
}

fn numbers(seat_nos: &[SeatNo]) -> Vec<u32> {
    seat_nos.iter().map(|seat| seat.0).collect()
}
