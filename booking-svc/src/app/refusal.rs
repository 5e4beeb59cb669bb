//! What the lock store's refusals are to a customer.

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, SeatState};
use lockstore_client::{Refusal, RefusalReason};

use super::inventory::{Inventory, show_not_found};
use crate::error::Error;

/// The failure that a customer sees for a refusal of `what`. Seats are named by label and state,
/// never by who has them.
pub(crate) fn to_error(what: &'static str, refusal: &Refusal, inventory: &Inventory) -> Error {
    let failure = match refusal.reason {
        RefusalReason::Conflict => conflict(refusal, inventory),
        RefusalReason::LimitExceeded => Failure::new(
            ErrorCode::SeatLimitExceeded,
            format!(
                "at most {} seats of this show for one customer",
                refusal.limit
            ),
        )
        .with_metadata("limit", refusal.limit.to_string()),
        RefusalReason::LeavesLoneSeat => {
            Failure::new(ErrorCode::LeavesLoneSeat, "that would leave a single seat")
                .with_metadata("seats", seats_json(refusal, inventory))
        }
        RefusalReason::NoBlock => Failure::new(
            ErrorCode::SeatNotAvailable,
            "there are no such seats any more",
        ),
        RefusalReason::ShowNotOnSale => {
            Failure::new(ErrorCode::ShowNotOnSale, "this show isn't on sale")
        }
        RefusalReason::RequestReused => key_reused(),
        RefusalReason::TooManyRequests => Failure::new(
            ErrorCode::RateLimited,
            "too many requests for this show; try again",
        )
        .with_retry_after(std::time::Duration::from_secs(1)),
        RefusalReason::ShowNotFound => show_not_found(),
        RefusalReason::HoldNotFound | RefusalReason::StaleFence => hold_not_found(),
        RefusalReason::Expired | RefusalReason::Released => {
            Failure::new(ErrorCode::HoldExpired, "the hold has ended")
        }
        RefusalReason::AlreadySold => {
            Failure::new(ErrorCode::InvalidState, "these seats were bought already")
        }
        RefusalReason::UntilTooLate => Failure::new(
            ErrorCode::InvalidState,
            "the hold can't be lengthened any more",
        ),
        reason => {
            return Error::LockStoreRefused {
                what,
                reason: format!("{reason:?}"),
            };
        }
    };
    Error::Refused(failure)
}

pub(super) fn key_reused() -> Failure {
    Failure::new(
        ErrorCode::IdempotencyKeyReused,
        "this idempotency key was used with another body",
    )
}

pub(crate) fn hold_not_found() -> Failure {
    Failure::new(ErrorCode::HoldNotFound, "no such hold")
}

/// Waiting may help where every seat in the way is only held.
fn conflict(refusal: &Refusal, inventory: &Inventory) -> Failure {
    let only_held = refusal
        .seats
        .iter()
        .all(|seat| seat.state == Some(SeatState::Held));
    let (code, message) = if only_held {
        (
            ErrorCode::SeatLocked,
            "other customers hold some of these seats right now",
        )
    } else {
        (
            ErrorCode::SeatNotAvailable,
            "some of these seats are not available",
        )
    };
    Failure::new(code, message).with_metadata("seats", seats_json(refusal, inventory))
}

fn seats_json(refusal: &Refusal, inventory: &Inventory) -> String {
    let seats: Vec<_> = refusal
        .seats
        .iter()
        .map(|seat| {
            let state = seat.state.map_or("", SeatState::as_str);
            serde_json::json!({ "seat_id": inventory.label(seat.seat_no), "state": state })
        })
        .collect();
    serde_json::Value::from(seats).to_string()
}
