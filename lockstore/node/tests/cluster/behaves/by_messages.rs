//! A node that is asked by the messages of the wire, one call each.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{ClusterTime, Fence, HoldId, SeatNo, SeatState, ShowId, UserId};
use lockstore_core::{
    Command, Hold, LayoutSeat, LoadedClaim, LoadedKind, Outcome, Queue, Refusal, Request, SeatKind,
    SeatRefusal, Selection, ShowRules, ShowState,
};
use tonic::{Code, Response, Status};

use super::{REASONS, SHOW_STATES, same, too_many, wait_until};
use crate::{behaviour::Store, support::Cluster};

pub(super) struct Node<'a>(pub(super) &'a Cluster);

/// Sends one request and says what came, by a reading of the success.
macro_rules! answer {
    ($node:ident.$rpc:ident($request:expr), $module:ident::$success:ident($value:ident $(, $whole:ident)?) => $outcome:expr) => {{
        let request = $request;
        let answer = $node
            .0
            .until("the node answers", || {
                let (mut client, request) = ($node.0.client(1), request.clone());
                async move { decided(client.$rpc(request).await) }
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(status) => return too_many(status.message()),
        };
        $(let $whole = answer.clone();)?
        match answer.outcome.expect("an outcome") {
            pb::$module::Outcome::$success($value) => $outcome,
            pb::$module::Outcome::Refusal(refused) => Outcome::Refused(refusal(&refused)),
        }
    }};
}

impl Store for Node<'_> {
    const NAMES_REQUESTS: bool = true;

    async fn ask(&mut self, command: Command) -> Outcome {
        match command {
            Command::OpenShow(c) => answer!(
                self.open_show(pb::OpenShowRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    seat_count: c.seat_count,
                    rules: Some(rules(&c.rules)),
                    first_seat_no: c.first_seat_no.0,
                    seats: c.seats.iter().map(layout_seat).collect(),
                    on_sale: c.on_sale,
                }),
                open_show_response::Opened(opened) => Outcome::ShowOpened {
                    state: same(opened.state(), &SHOW_STATES),
                    seats_known: opened.seats_known,
                }
            ),
            Command::ChangeShow(c) => answer!(
                self.change_show(pb::ChangeShowRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    state: c.state.map_or(0, |state| state_to_pb(state).into()),
                    rules: c.rules.as_ref().map(rules),
                }),
                change_show_response::Changed(changed) => Outcome::ShowChanged {
                    state: same(changed.state(), &SHOW_STATES),
                }
            ),
            Command::HoldSeats(c) => answer!(
                self.hold_seats(pb::HoldSeatsRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    holder: bytes(c.holder.to_bytes()),
                    seat_nos: named(&c.selection),
                    ttl_ms: c.ttl.0,
                    price_version: c.price_version,
                    late_money: c.late_money,
                    choice: choice(&c.selection),
                }),
                hold_seats_response::Held(held, whole) => Outcome::Held {
                    hold: hold(&held, c.holder),
                    replayed: whole.replayed,
                }
            ),
            Command::ExtendHold(c) => answer!(
                self.extend_hold(pb::ExtendHoldRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    holder: bytes(c.holder.to_bytes()),
                    hold_id: bytes(c.hold_id.to_bytes()),
                    fence: c.fence.as_u64(),
                    until_ms: c.until.0,
                }),
                extend_hold_response::Extended(held) => Outcome::Extended {
                    hold: hold(&held, c.holder),
                }
            ),
            Command::ReleaseHold(c) => answer!(
                self.release_hold(pb::ReleaseHoldRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    holder: bytes(c.holder.to_bytes()),
                    hold_id: bytes(c.hold_id.to_bytes()),
                    fence: c.fence.as_u64(),
                }),
                release_hold_response::Released(done) => Outcome::Released {
                    seat_nos: seat_nos(&done.seat_nos),
                }
            ),
            Command::CommitHold(c) => answer!(
                self.commit_hold(pb::CommitHoldRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    hold_id: bytes(c.hold_id.to_bytes()),
                    fence: c.fence.as_u64(),
                    seat_nos: numbers(&c.seat_nos),
                    booking_id: bytes(c.booking_id.to_bytes()),
                }),
                commit_hold_response::Sold(done) => Outcome::Sold {
                    seat_nos: seat_nos(&done.seat_nos),
                    already: done.already,
                }
            ),
            Command::ReturnSeats(c) => answer!(
                self.return_seats(pb::ReturnSeatsRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    fence: c.fence.as_u64(),
                    seat_nos: numbers(&c.seat_nos),
                    booking_id: bytes(c.booking_id.to_bytes()),
                }),
                return_seats_response::Returned(done) => Outcome::Returned {
                    seat_nos: seat_nos(&done.seat_nos),
                    already: done.already,
                }
            ),
            Command::BlockSeats(c) => answer!(
                self.block_seats(pb::BlockSeatsRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    seat_nos: numbers(&c.seat_nos),
                    actor: bytes(c.actor.to_bytes()),
                }),
                block_seats_response::Blocked(done) => Outcome::Blocked {
                    seat_nos: seat_nos(&done.seat_nos),
                    already: done.already,
                }
            ),
            Command::UnblockSeats(c) => answer!(
                self.unblock_seats(pb::UnblockSeatsRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    seat_nos: numbers(&c.seat_nos),
                    actor: bytes(c.actor.to_bytes()),
                }),
                unblock_seats_response::Unblocked(done) => Outcome::Unblocked {
                    seat_nos: seat_nos(&done.seat_nos),
                    already: done.already,
                }
            ),
            Command::LoadSeats(c) => answer!(
                self.load_seats(pb::LoadSeatsRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    claims: c.claims.iter().map(loaded).collect(),
                }),
                load_seats_response::Loaded(done) => Outcome::Loaded {
                    claims: done.claims,
                    already: done.already,
                }
            ),
            Command::AdvanceQueue(c) => answer!(
                self.advance_queue(pb::AdvanceQueueRequest {
                    request: info(&c.request),
                    show_id: bytes(c.show_id.to_bytes()),
                    joins: c.joins,
                    serving: c.serving,
                }),
                advance_queue_response::Advanced(done) => {
                    let queue = done.queue.expect("a queue");
                    Outcome::QueueAdvanced {
                        first_no: done.first_no,
                        joins: done.joins,
                        queue: Queue { joined: queue.joined, serving: queue.serving },
                    }
                }
            ),
            Command::SetConfig(_) | Command::AdminRecord(_) | Command::Tick => {
                panic!("it is of no show")
            }
        }
    }

    async fn now(&mut self) -> ClusterTime {
        ClusterTime(self.0.now().await)
    }

    async fn pass(&mut self, time: ClusterTime) {
        let cluster = self.0;
        wait_until(time, async || ClusterTime(cluster.now().await)).await;
    }

    async fn show(&mut self, show_id: ShowId) -> Option<(ShowState, Vec<SeatState>)> {
        let show = self.0.show(&bytes(show_id.to_bytes())).await;
        let states = show.seat_states.iter().map(|state| {
            let state = pb::SeatState::try_from(i32::from(*state)).expect("a state");
            seat_state(state).expect("each seat has one")
        });
        show.found
            .then(|| (same(show.state(), &SHOW_STATES), states.collect()))
    }

    async fn hold(
        &mut self,
        show_id: ShowId,
        hold_id: HoldId,
        holder: UserId,
    ) -> Result<Arc<Hold>, Refusal> {
        let request = pb::GetHoldRequest {
            show_id: bytes(show_id.to_bytes()),
            hold_id: bytes(hold_id.to_bytes()),
            holder: bytes(holder.to_bytes()),
            ..Default::default()
        };
        let answer = self
            .0
            .ask(|mut client| {
                let request = request.clone();
                async move { client.get_hold(request).await }
            })
            .await;
        match answer.outcome.expect("an outcome") {
            pb::get_hold_response::Outcome::Hold(found) => Ok(hold(&found, holder)),
            pb::get_hold_response::Outcome::Refusal(refused) => Err(refusal(&refused)),
        }
    }
}

/// What is final: an answer, or that the message is malformed. Anything else passes.
fn decided<T>(answer: Result<Response<T>, Status>) -> Option<Result<T, Status>> {
    match answer {
        Ok(answer) => Some(Ok(answer.into_inner())),
        Err(status) if status.code() == Code::InvalidArgument => Some(Err(status)),
        Err(_) => None,
    }
}

fn bytes(id: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&id)
}

fn info(request: &Request) -> Option<pb::RequestInfo> {
    Some(pb::RequestInfo {
        id: bytes(request.id.0),
        not_after_ms: request.not_after.0,
    })
}

fn loaded(claim: &LoadedClaim) -> pb::LoadedClaim {
    use pb::loaded_claim::Kind;
    pb::LoadedClaim {
        fence: claim.fence.as_u64(),
        hold_id: bytes(claim.hold_id.to_bytes()),
        holder: bytes(claim.holder.to_bytes()),
        seat_nos: claim.seat_nos.iter().map(|seat| seat.0).collect(),
        kind: Some(match claim.kind {
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
        }),
    }
}

fn rules(rules: &ShowRules) -> pb::ShowRules {
    pb::ShowRules {
        hold_ttl_ms: rules.hold_ttl.0,
        hold_total_ms_max: rules.hold_total_max.0,
        seats_per_customer_max: rules.seats_per_customer_max,
        no_lone_seat: rules.no_lone_seat,
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

fn state_to_pb(state: ShowState) -> pb::ShowState {
    match state {
        ShowState::Opening => pb::ShowState::Opening,
        ShowState::OnSale => pb::ShowState::OnSale,
        ShowState::Paused => pb::ShowState::Paused,
        ShowState::Closed => pb::ShowState::Closed,
        ShowState::Cancelled => pb::ShowState::Cancelled,
    }
}

fn named(selection: &Selection) -> Vec<u32> {
    match selection {
        Selection::Seats(seat_nos) => numbers(seat_nos),
        Selection::Area { .. } | Selection::BestAvailable(_) => Vec::new(),
    }
}

fn choice(selection: &Selection) -> Option<pb::hold_seats_request::Choice> {
    use pb::hold_seats_request::Choice;
    let wide = |list: &[u16]| list.iter().copied().map(u32::from).collect();
    match selection {
        Selection::Seats(_) => None,
        Selection::Area { section_no, count } => Some(Choice::Area(pb::AreaPlaces {
            section_no: (*section_no).into(),
            count: *count,
        })),
        Selection::BestAvailable(best) => Some(Choice::BestAvailable(pb::BestAvailable {
            count: best.count,
            section_nos: wide(&best.sections),
            category_nos: wide(&best.categories),
            adjacent: best.adjacent,
            accessible: best.accessible,
        })),
    }
}

fn numbers(seat_nos: &[SeatNo]) -> Vec<u32> {
    seat_nos.iter().map(|seat_no| seat_no.0).collect()
}

fn seat_nos(numbers: &[u32]) -> Arc<[SeatNo]> {
    numbers.iter().copied().map(SeatNo).collect()
}

/// A node doesn't say who holds; it was asked by the holder.
fn hold(hold: &pb::Hold, holder: UserId) -> Arc<Hold> {
    Arc::new(Hold {
        id: HoldId::from_bytes(hold.hold_id.as_ref().try_into().expect("16 bytes")),
        holder,
        fence: Fence::from_u64(hold.fence).expect("a fence"),
        seat_nos: seat_nos(&hold.seat_nos),
        granted_at: ClusterTime(hold.granted_at_ms),
        expires_at: ClusterTime(hold.expires_at_ms),
        extendable_until: ClusterTime(hold.extendable_until_ms),
        price_version: hold.price_version,
    })
}

fn refusal(refusal: &pb::Refusal) -> Refusal {
    let seats = refusal.seats.iter().map(|seat| SeatRefusal {
        seat_no: SeatNo(seat.seat_no),
        state: seat_state(seat.state()),
    });
    Refusal {
        reason: same(refusal.reason(), &REASONS),
        seats: seats.collect(),
        limit: refusal.limit,
    }
}

fn seat_state(state: pb::SeatState) -> Option<SeatState> {
    match state {
        pb::SeatState::Unspecified => None,
        pb::SeatState::Available => Some(SeatState::Available),
        pb::SeatState::Held => Some(SeatState::Held),
        pb::SeatState::Sold => Some(SeatState::Sold),
        pb::SeatState::Blocked => Some(SeatState::Blocked),
    }
}
