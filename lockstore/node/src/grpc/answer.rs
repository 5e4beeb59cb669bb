//! What the state machine decided, as clients see it.

use holdfast_proto::lockstore::v1 as pb;
use lockstore_core::Outcome;
use tonic::Status;

use super::failure;
use crate::{codec, machine::Reply};

/// What every answer to a write carries.
pub(super) fn info(reply: &Reply) -> pb::AnswerInfo {
    pb::AnswerInfo {
        lineage: reply.revision.lineage().0.into(),
        revision: reply.revision.as_u64(),
        cluster_time_ms: reply.now.0,
    }
}

/// # Errors
/// The state machine answered another command.
pub(super) fn hold_seats(reply: &Reply) -> Result<pb::HoldSeatsResponse, Status> {
    use pb::hold_seats_response::Outcome as Answer;
    let (outcome, replayed) = match &reply.outcome {
        Outcome::Held { hold, replayed } => (Answer::Held(codec::hold_to_pb(hold)), *replayed),
        Outcome::Refused(refusal) => (Answer::Refusal(codec::refusal_to_pb(refusal)), false),
        _ => return Err(failure::internal("HoldSeats")),
    };
    Ok(pb::HoldSeatsResponse {
        info: Some(info(reply)),
        outcome: Some(outcome),
        replayed,
    })
}

/// # Errors
/// As [`hold_seats`].
pub(super) fn extend_hold(reply: &Reply) -> Result<pb::ExtendHoldResponse, Status> {
    use pb::extend_hold_response::Outcome as Answer;
    let outcome = match &reply.outcome {
        Outcome::Extended { hold } => Answer::Extended(codec::hold_to_pb(hold)),
        Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
        _ => return Err(failure::internal("ExtendHold")),
    };
    Ok(pb::ExtendHoldResponse {
        info: Some(info(reply)),
        outcome: Some(outcome),
    })
}

/// # Errors
/// As [`hold_seats`].
pub(super) fn release_hold(reply: &Reply) -> Result<pb::ReleaseHoldResponse, Status> {
    use pb::release_hold_response::Outcome as Answer;
    let outcome = match &reply.outcome {
        Outcome::Released { seat_nos } => Answer::Released(pb::HoldReleased {
            seat_nos: numbers(seat_nos),
        }),
        Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
        _ => return Err(failure::internal("ReleaseHold")),
    };
    Ok(pb::ReleaseHoldResponse {
        info: Some(info(reply)),
        outcome: Some(outcome),
    })
}

/// # Errors
/// As [`hold_seats`].
pub(super) fn commit_hold(reply: &Reply) -> Result<pb::CommitHoldResponse, Status> {
    use pb::commit_hold_response::Outcome as Answer;
    let outcome = match &reply.outcome {
        Outcome::Sold { seat_nos, already } => Answer::Sold(pb::SeatsSold {
            seat_nos: numbers(seat_nos),
            already: *already,
        }),
        Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
        _ => return Err(failure::internal("CommitHold")),
    };
    Ok(pb::CommitHoldResponse {
        info: Some(info(reply)),
        outcome: Some(outcome),
    })
}

/// Numbers as the wire has them.
pub(super) fn numbers(seat_nos: &[holdfast_types::SeatNo]) -> Vec<u32> {
    seat_nos.iter().map(|seat| seat.0).collect()
}
