//! Between this crate's types and the wire's.
//!
//! Always holds: a message of ours is complete; one of the store's that isn't understood is
//! [`Error::Malformed`], never guessed at.

mod request;

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, Lineage, Revision, SeatNo, SeatState, ShowId,
};

use crate::{
    AdvanceOutcome, Answer, BlockOutcome, Change, ChangeOutcome, Changes, CommitOutcome, Error,
    ExtendOutcome, GetHoldOutcome, Hold, HoldEnd, HoldOutcome, LoadOutcome, OpenOutcome, Queue,
    Refusal, RefusalReason, ReleaseOutcome, ReturnOutcome, SeatRefusal, Show, ShowChanges,
    ShowRules, ShowSnapshot, ShowState, UnblockOutcome,
};

pub(crate) use request::{
    advance_queue, block_seats, change_show, commit_hold, extend_hold, get_hold, get_show,
    get_time, hold_seats, load_seats, open_show, release_hold, return_seats, unblock_seats,
};

/// A request that carries an id and a deadline.
pub(crate) trait Named {
    fn name(&mut self, id: [u8; 16], not_after: ClusterTime);
}

/// An answer of the wire.
pub(crate) trait Answered {
    type Outcome;
    fn parts(self) -> Result<(Option<pb::AnswerInfo>, Self::Outcome), Error>;
    /// Whether it is the refusal of a deadline that has passed or is too far ahead.
    fn says_deadline_is_wrong(_: &Self::Outcome) -> bool {
        false
    }
}

pub(crate) fn answer<A: Answered>(message: A) -> Result<Answer<A::Outcome>, Error> {
    let (info, outcome) = message.parts()?;
    let info = info.ok_or(Error::Malformed("an answer without info"))?;
    let lineage = u8::try_from(info.lineage).map_err(|_| Error::Malformed("lineage"))?;
    Ok(Answer {
        lineage: Lineage(lineage),
        revision: revision(info.revision)?,
        cluster_time: ClusterTime(info.cluster_time_ms),
        outcome,
    })
}

macro_rules! named {
    ($($message:ident)+) => {
        $(impl Named for pb::$message {
            fn name(&mut self, id: [u8; 16], not_after: ClusterTime) {
                let not_after_ms = not_after.0;
                self.request = Some(pb::RequestInfo { id: bytes(id), not_after_ms });
            }
        })+
    };
}

named! {
    OpenShowRequest ChangeShowRequest HoldSeatsRequest ExtendHoldRequest ReleaseHoldRequest
    CommitHoldRequest ReturnSeatsRequest BlockSeatsRequest UnblockSeatsRequest LoadSeatsRequest
    AdvanceQueueRequest
}

macro_rules! answered {
    ($($response:ident, $module:ident, $outcome:ident: $success:ident($value:ident$(, $answer:ident)?) => $made:expr;)+) => {
        $(impl Answered for pb::$response {
            type Outcome = $outcome;

            fn parts(self) -> Result<(Option<pb::AnswerInfo>, $outcome), Error> {
                $(let $answer = &self;)?
                let outcome = match self.outcome.clone() {
                    Some(pb::$module::Outcome::$success($value)) => $made,
                    Some(pb::$module::Outcome::Refusal(refused)) => {
                        $outcome::Refused(refusal(refused)?)
                    }
                    None => return Err(Error::Malformed("an answer without outcome")),
                };
                Ok((self.info, outcome))
            }

            fn says_deadline_is_wrong(outcome: &$outcome) -> bool {
                matches!(
                    outcome,
                    $outcome::Refused(Refusal {
                        reason: RefusalReason::DeadlinePassed | RefusalReason::DeadlineTooFar,
                        ..
                    })
                )
            }
        })+
    };
}

answered! {
    OpenShowResponse, open_show_response, OpenOutcome: Opened(v) => OpenOutcome::Opened {
        state: show_state(v.state)?,
        seats_known: v.seats_known,
    };
    ChangeShowResponse, change_show_response, ChangeOutcome: Changed(v) => ChangeOutcome::Changed {
        state: show_state(v.state)?,
    };
    HoldSeatsResponse, hold_seats_response, HoldOutcome: Held(v, answer) => HoldOutcome::Held {
        hold: hold(v)?,
        replayed: answer.replayed,
    };
    ExtendHoldResponse, extend_hold_response, ExtendOutcome: Extended(v) =>
        ExtendOutcome::Extended(hold(v)?);
    ReleaseHoldResponse, release_hold_response, ReleaseOutcome: Released(v) =>
        ReleaseOutcome::Released { seat_nos: seat_nos(&v.seat_nos) };
    CommitHoldResponse, commit_hold_response, CommitOutcome: Sold(v) => CommitOutcome::Sold {
        seat_nos: seat_nos(&v.seat_nos),
        already: v.already,
    };
    ReturnSeatsResponse, return_seats_response, ReturnOutcome: Returned(v) =>
        ReturnOutcome::Returned { seat_nos: seat_nos(&v.seat_nos), already: v.already };
    BlockSeatsResponse, block_seats_response, BlockOutcome: Blocked(v) =>
        BlockOutcome::Blocked { seat_nos: seat_nos(&v.seat_nos), already: v.already };
    UnblockSeatsResponse, unblock_seats_response, UnblockOutcome: Unblocked(v) =>
        UnblockOutcome::Unblocked { seat_nos: seat_nos(&v.seat_nos), already: v.already };
    LoadSeatsResponse, load_seats_response, LoadOutcome: Loaded(v) =>
        LoadOutcome::Loaded { claims: v.claims, already: v.already };
    AdvanceQueueResponse, advance_queue_response, AdvanceOutcome: Advanced(v) =>
        AdvanceOutcome::Advanced {
            first_no: v.first_no,
            joins: v.joins,
            queue: queue(&v.queue.ok_or(Error::Malformed("an answer without queue"))?),
        };
    GetHoldResponse, get_hold_response, GetHoldOutcome: Hold(v) => GetHoldOutcome::Live(hold(v)?);
}

impl Answered for pb::GetShowResponse {
    type Outcome = Option<Show>;

    fn parts(self) -> Result<(Option<pb::AnswerInfo>, Option<Show>), Error> {
        if !self.found {
            return Ok((self.info, None));
        }
        let rules = self.rules.ok_or(Error::Malformed("a show without rules"))?;
        let show = Show {
            state: show_state(self.state)?,
            rules: ShowRules {
                hold_ttl: DurationMs(rules.hold_ttl_ms),
                hold_total_max: DurationMs(rules.hold_total_ms_max),
                seats_per_customer_max: rules.seats_per_customer_max,
                no_lone_seat: rules.no_lone_seat,
            },
            seat_states: seat_states(&self.seat_states)?,
            queue: self.queue.as_ref().map(queue).unwrap_or_default(),
        };
        Ok((self.info, Some(show)))
    }
}

impl Answered for pb::GetTimeResponse {
    type Outcome = ();

    fn parts(self) -> Result<(Option<pb::AnswerInfo>, ()), Error> {
        Ok((self.info, ()))
    }
}

pub(crate) fn bytes(id: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&id)
}

fn numbers(seat_nos: &[SeatNo]) -> Vec<u32> {
    seat_nos.iter().map(|seat_no| seat_no.0).collect()
}

fn seat_nos(numbers: &[u32]) -> Vec<SeatNo> {
    numbers.iter().map(|number| SeatNo(*number)).collect()
}

pub(crate) fn revision(number: u64) -> Result<Revision, Error> {
    Revision::from_u64(number).map_err(|_| Error::Malformed("revision"))
}

fn hold(hold: pb::Hold) -> Result<Hold, Error> {
    Ok(Hold {
        hold_id: HoldId::from_slice(&hold.hold_id).map_err(|_| Error::Malformed("hold id"))?,
        fence: Fence::from_u64(hold.fence).map_err(|_| Error::Malformed("fence"))?,
        seat_nos: seat_nos(&hold.seat_nos),
        granted_at: ClusterTime(hold.granted_at_ms),
        expires_at: ClusterTime(hold.expires_at_ms),
        extendable_until: ClusterTime(hold.extendable_until_ms),
        price_version: hold.price_version,
    })
}

fn queue(queue: &pb::ShowQueue) -> Queue {
    Queue {
        joined: queue.joined,
        serving: queue.serving,
    }
}

fn show_state(number: i32) -> Result<ShowState, Error> {
    match pb::ShowState::try_from(number) {
        Ok(pb::ShowState::Opening) => Ok(ShowState::Opening),
        Ok(pb::ShowState::OnSale) => Ok(ShowState::OnSale),
        Ok(pb::ShowState::Paused) => Ok(ShowState::Paused),
        Ok(pb::ShowState::Closed) => Ok(ShowState::Closed),
        Ok(pb::ShowState::Cancelled) => Ok(ShowState::Cancelled),
        Ok(pb::ShowState::Unspecified) | Err(_) => Err(Error::Malformed("show state")),
    }
}

/// `None` where there is no such seat.
fn seat_state(number: i32) -> Result<Option<SeatState>, Error> {
    match pb::SeatState::try_from(number) {
        Ok(pb::SeatState::Unspecified) => Ok(None),
        Ok(pb::SeatState::Available) => Ok(Some(SeatState::Available)),
        Ok(pb::SeatState::Held) => Ok(Some(SeatState::Held)),
        Ok(pb::SeatState::Sold) => Ok(Some(SeatState::Sold)),
        Ok(pb::SeatState::Blocked) => Ok(Some(SeatState::Blocked)),
        Err(_) => Err(Error::Malformed("seat state")),
    }
}

/// One byte a seat.
fn seat_states(states: &[u8]) -> Result<Vec<SeatState>, Error> {
    let state =
        |state: &u8| seat_state((*state).into())?.ok_or(Error::Malformed("a seat without state"));
    states.iter().map(state).collect()
}

pub(crate) fn snapshot(snapshot: pb::ShowSnapshot) -> Result<ShowSnapshot, Error> {
    let show = match snapshot.found {
        false => None,
        true => Some((
            show_state(snapshot.state)?,
            seat_states(&snapshot.seat_states)?,
        )),
    };
    Ok(ShowSnapshot {
        show_id: show_id(&snapshot.show_id)?,
        show,
    })
}

pub(crate) fn changes(changes: pb::RevisionChanges) -> Result<Changes, Error> {
    let show = |show: pb::ShowChanges| {
        Ok(ShowChanges {
            show_id: show_id(&show.show_id)?,
            previous: revision(show.previous_revision)?,
            // A kind that this release doesn't know is of nothing that it follows.
            changes: show
                .changes
                .into_iter()
                .filter_map(|changed| changed.change)
                .map(change)
                .collect::<Result<_, _>>()?,
        })
    };
    let shows = changes.shows.into_iter();
    Ok(Changes {
        revision: revision(changes.revision)?,
        shows: shows.map(show).collect::<Result<_, _>>()?,
    })
}

fn change(change: pb::show_change::Change) -> Result<Change, Error> {
    use pb::show_change::Change as Wire;
    let fence = |number| Fence::from_u64(number).map_err(|_| Error::Malformed("fence"));
    let hold_id = |id: &[u8]| HoldId::from_slice(id).map_err(|_| Error::Malformed("hold id"));
    let booking_id =
        |id: &[u8]| BookingId::from_slice(id).map_err(|_| Error::Malformed("booking id"));
    Ok(match change {
        Wire::State(state) => Change::State {
            state: show_state(state.state)?,
            seat_count: state.seat_count,
        },
        Wire::Held(held) => Change::Held {
            hold_id: hold_id(&held.hold_id)?,
            fence: fence(held.fence)?,
            seat_nos: seat_nos(&held.seat_nos),
            expires_at: ClusterTime(held.expires_at_ms),
        },
        Wire::Extended(extended) => Change::Extended {
            hold_id: hold_id(&extended.hold_id)?,
            fence: fence(extended.fence)?,
            expires_at: ClusterTime(extended.expires_at_ms),
        },
        Wire::Ended(ended) => Change::Ended {
            hold_id: hold_id(&ended.hold_id)?,
            fence: fence(ended.fence)?,
            why: match ended.reason() {
                pb::HoldEndReason::Expired => HoldEnd::Expired,
                pb::HoldEndReason::Released => HoldEnd::Released,
                pb::HoldEndReason::ShowCancelled => HoldEnd::ShowCancelled,
                pb::HoldEndReason::Unspecified => {
                    return Err(Error::Malformed("why a hold ended"));
                }
            },
            seat_nos: seat_nos(&ended.seat_nos),
        },
        Wire::Bought(bought) => Change::Sold {
            hold_id: hold_id(&bought.hold_id)?,
            fence: fence(bought.fence)?,
            seat_nos: seat_nos(&bought.seat_nos),
            booking_id: booking_id(&bought.booking_id)?,
        },
        Wire::PutBack(back) => Change::Returned {
            fence: fence(back.fence)?,
            seat_nos: seat_nos(&back.seat_nos),
            booking_id: booking_id(&back.booking_id)?,
        },
        Wire::Withdrawn(withdrawn) => Change::Blocked {
            seat_nos: seat_nos(&withdrawn.seat_nos),
        },
        Wire::Restored(restored) => Change::Unblocked {
            seat_nos: seat_nos(&restored.seat_nos),
        },
        Wire::Queue(now) => Change::Queue(queue(&now)),
    })
}

fn show_id(id: &[u8]) -> Result<ShowId, Error> {
    ShowId::from_slice(id).map_err(|_| Error::Malformed("show id"))
}

fn refusal(refusal: pb::Refusal) -> Result<Refusal, Error> {
    let seat = |seat: &pb::SeatRefusal| {
        Ok(SeatRefusal {
            seat_no: SeatNo(seat.seat_no),
            state: seat_state(seat.state)?,
        })
    };
    Ok(Refusal {
        reason: reason(refusal.reason)?,
        seats: refusal.seats.iter().map(seat).collect::<Result<_, _>>()?,
        limit: refusal.limit,
    })
}

fn reason(number: i32) -> Result<RefusalReason, Error> {
    use pb::RefusalReason as Wire;
    Ok(match Wire::try_from(number) {
        Ok(Wire::DeadlinePassed) => RefusalReason::DeadlinePassed,
        Ok(Wire::DeadlineTooFar) => RefusalReason::DeadlineTooFar,
        Ok(Wire::RequestReused) => RefusalReason::RequestReused,
        Ok(Wire::ShowNotFound) => RefusalReason::ShowNotFound,
        Ok(Wire::Invalid) => RefusalReason::Invalid,
        Ok(Wire::SeatUnknown) => RefusalReason::SeatUnknown,
        Ok(Wire::ShowNotOnSale) => RefusalReason::ShowNotOnSale,
        Ok(Wire::TooManyRequests) => RefusalReason::TooManyRequests,
        Ok(Wire::HoldNotFound) => RefusalReason::HoldNotFound,
        Ok(Wire::Expired) => RefusalReason::Expired,
        Ok(Wire::Released) => RefusalReason::Released,
        Ok(Wire::StaleFence) => RefusalReason::StaleFence,
        Ok(Wire::AlreadySold) => RefusalReason::AlreadySold,
        Ok(Wire::Conflict) => RefusalReason::Conflict,
        Ok(Wire::LimitExceeded) => RefusalReason::LimitExceeded,
        Ok(Wire::LeavesLoneSeat) => RefusalReason::LeavesLoneSeat,
        Ok(Wire::NoBlock) => RefusalReason::NoBlock,
        Ok(Wire::UntilTooLate) => RefusalReason::UntilTooLate,
        Ok(Wire::Unspecified) | Err(_) => return Err(Error::Malformed("refusal reason")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChangeShow;

    #[test]
    fn every_reason_and_state_of_the_wire_is_known_by_its_name() {
        for number in 1..=18 {
            let wire = pb::RefusalReason::try_from(number).expect("the contract lists 18");
            let ours = reason(number).expect("it is known");
            assert_eq!(format!("{ours:?}"), format!("{wire:?}"));
        }
        for number in 1..=5 {
            let wire = pb::ShowState::try_from(number).expect("the contract lists 5");
            let ours = show_state(number).expect("it is known");
            assert_eq!(format!("{ours:?}"), format!("{wire:?}"));
            let request = ChangeShow {
                show_id: ShowId::from_bytes([1; 16]),
                state: Some(ours),
                rules: None,
            };
            assert_eq!(change_show(&request).state, number);
        }
        for number in 1..=4 {
            let wire = pb::SeatState::try_from(number).expect("the contract lists 4");
            let ours = seat_state(number).expect("it is known").expect("it is one");
            assert_eq!(format!("{ours:?}"), format!("{wire:?}"));
        }
    }

    #[test]
    fn what_is_not_understood_is_malformed_and_not_guessed() {
        for number in [0, 19, -1] {
            assert!(matches!(reason(number), Err(Error::Malformed(_))));
        }
        assert!(show_state(0).is_err() && show_state(6).is_err() && seat_state(5).is_err());
        let with = |info| answer(pb::GetTimeResponse { info });
        let info = pb::AnswerInfo {
            lineage: 1,
            revision: 1 << 55,
            cluster_time_ms: 5,
        };
        assert!(with(Some(info)).is_ok());
        assert!(with(None).is_err());
        assert!(
            with(Some(pb::AnswerInfo {
                lineage: 256,
                ..info
            }))
            .is_err()
        );
        assert!(
            with(Some(pb::AnswerInfo {
                revision: 1 << 63,
                ..info
            }))
            .is_err()
        );
    }
}
