//! Three nodes, asked through `lockstore-client`: holds and what follows them go by its streams,
//! and it names requests and deadlines itself.

use std::{sync::Arc, time::Duration};

use holdfast_types::{ClusterTime, HoldId, SeatState, ShowId, UserId};
use lockstore_client::{self as client, Client};
use lockstore_core::{
    Command, Hold, LoadedClaim, LoadedKind, Outcome, Queue, Refusal, SeatKind, SeatRefusal,
    Selection, ShowRules, ShowState,
};

use super::{REASONS, SHOW_STATES, same, too_many, wait_until};
use crate::{behaviour::Store, support::Cluster};

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(super) struct Nodes(Client);

impl Nodes {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let ids = cluster.ids().into_iter();
        let endpoints = ids.map(|id| cluster.client_addr(id).to_owned());
        Self(Client::connect(endpoints.collect()))
    }
}

/// Asks, and says what came, by a reading of the success.
macro_rules! answer {
    ($nodes:ident.$method:ident($request:expr), $outcome:ident, $success:pat => $read:expr) => {{
        let answer = $nodes.0.$method($request, DEADLINE).await;
        let answer = match answer {
            Err(client::Error::Invalid(why)) => return too_many(&why),
            answer => answer.expect("an answer"),
        };
        match answer.outcome {
            $success => $read,
            client::$outcome::Refused(refused) => Outcome::Refused(refusal(refused)),
        }
    }};
}

impl Store for Nodes {
    const NAMES_REQUESTS: bool = false;

    async fn ask(&mut self, command: Command) -> Outcome {
        match command {
            Command::OpenShow(c) => answer!(
                self.open_show(client::OpenShow {
                    show_id: c.show_id,
                    seat_count: c.seat_count,
                    rules: rules(&c.rules),
                    first_seat_no: c.first_seat_no,
                    seats: c.seats.iter().map(layout_seat).collect(),
                    on_sale: c.on_sale,
                }),
                OpenOutcome,
                client::OpenOutcome::Opened { state, seats_known } => Outcome::ShowOpened {
                    state: same(state, &SHOW_STATES),
                    seats_known,
                }
            ),
            Command::ChangeShow(c) => answer!(
                self.change_show(client::ChangeShow {
                    show_id: c.show_id,
                    state: c.state.map(show_state),
                    rules: c.rules.as_ref().map(rules),
                }),
                ChangeOutcome,
                client::ChangeOutcome::Changed { state } => Outcome::ShowChanged {
                    state: same(state, &SHOW_STATES),
                }
            ),
            Command::HoldSeats(c) => answer!(
                self.hold(client::HoldSeats {
                    hold_id: c.request.id.into(),
                    show_id: c.show_id,
                    holder: c.holder,
                    selection: selection(c.selection),
                    ttl: c.ttl,
                    price_version: c.price_version,
                    late_money: c.late_money,
                }),
                HoldOutcome,
                client::HoldOutcome::Held { hold: held, replayed } => Outcome::Held {
                    hold: hold(held, c.holder),
                    replayed,
                }
            ),
            Command::ExtendHold(c) => answer!(
                self.extend(client::ExtendHold {
                    show_id: c.show_id,
                    holder: c.holder,
                    hold_id: c.hold_id,
                    fence: c.fence,
                    until: client::Until::At(c.until),
                }),
                ExtendOutcome,
                client::ExtendOutcome::Extended(held) => Outcome::Extended {
                    hold: hold(held, c.holder),
                }
            ),
            Command::ReleaseHold(c) => answer!(
                self.release(client::ReleaseHold {
                    show_id: c.show_id,
                    holder: c.holder,
                    hold_id: c.hold_id,
                    fence: c.fence,
                }),
                ReleaseOutcome,
                client::ReleaseOutcome::Released { seat_nos } => Outcome::Released {
                    seat_nos: seat_nos.into(),
                }
            ),
            Command::CommitHold(c) => answer!(
                self.commit(client::CommitHold {
                    show_id: c.show_id,
                    hold_id: c.hold_id,
                    fence: c.fence,
                    seat_nos: c.seat_nos,
                    booking_id: c.booking_id,
                }),
                CommitOutcome,
                client::CommitOutcome::Sold { seat_nos, already } => Outcome::Sold {
                    seat_nos: seat_nos.into(),
                    already,
                }
            ),
            Command::ReturnSeats(c) => answer!(
                self.return_seats(client::ReturnSeats {
                    show_id: c.show_id,
                    fence: c.fence,
                    seat_nos: c.seat_nos,
                    booking_id: c.booking_id,
                }),
                ReturnOutcome,
                client::ReturnOutcome::Returned { seat_nos, already } => Outcome::Returned {
                    seat_nos: seat_nos.into(),
                    already,
                }
            ),
            Command::BlockSeats(c) => answer!(
                self.block_seats(client::BlockSeats {
                    show_id: c.show_id,
                    seat_nos: c.seat_nos,
                    actor: c.actor,
                }),
                BlockOutcome,
                client::BlockOutcome::Blocked { seat_nos, already } => Outcome::Blocked {
                    seat_nos: seat_nos.into(),
                    already,
                }
            ),
            Command::UnblockSeats(c) => answer!(
                self.unblock_seats(client::UnblockSeats {
                    show_id: c.show_id,
                    seat_nos: c.seat_nos,
                    actor: c.actor,
                }),
                UnblockOutcome,
                client::UnblockOutcome::Unblocked { seat_nos, already } => Outcome::Unblocked {
                    seat_nos: seat_nos.into(),
                    already,
                }
            ),
            Command::LoadSeats(c) => answer!(
                self.load_seats(client::LoadSeats {
                    show_id: c.show_id,
                    claims: c.claims.into_iter().map(loaded).collect(),
                }),
                LoadOutcome,
                client::LoadOutcome::Loaded { claims, already } => Outcome::Loaded {
                    claims,
                    already,
                }
            ),
            Command::AdvanceQueue(c) => answer!(
                self.advance_queue(client::AdvanceQueue {
                    show_id: c.show_id,
                    joins: c.joins,
                    serving: c.serving,
                }),
                AdvanceOutcome,
                client::AdvanceOutcome::Advanced { first_no, joins, queue } => {
                    let queue = Queue { joined: queue.joined, serving: queue.serving };
                    Outcome::QueueAdvanced { first_no, joins, queue }
                }
            ),
            Command::SetConfig(_) | Command::AdminRecord(_) | Command::Tick => {
                panic!("it is of no show")
            }
        }
    }

    async fn now(&mut self) -> ClusterTime {
        time(&self.0).await
    }

    async fn pass(&mut self, until: ClusterTime) {
        wait_until(until, async || time(&self.0).await).await;
    }

    async fn show(&mut self, show_id: ShowId) -> Option<(ShowState, Vec<SeatState>)> {
        let show = self.0.show(show_id, DEADLINE).await.expect("an answer");
        let show = show.outcome?;
        Some((same(show.state, &SHOW_STATES), show.seat_states))
    }

    async fn hold(
        &mut self,
        show_id: ShowId,
        hold_id: HoldId,
        holder: UserId,
    ) -> Result<Arc<Hold>, Refusal> {
        let answer = self.0.get_hold(show_id, hold_id, holder, DEADLINE).await;
        match answer.expect("an answer").outcome {
            client::GetHoldOutcome::Live(found) => Ok(hold(found, holder)),
            client::GetHoldOutcome::Refused(refused) => Err(refusal(refused)),
        }
    }
}

async fn time(client: &Client) -> ClusterTime {
    let answer = client.time(DEADLINE).await;
    answer.expect("an answer").cluster_time
}

fn loaded(claim: LoadedClaim) -> client::LoadedClaim {
    client::LoadedClaim {
        fence: claim.fence,
        hold_id: claim.hold_id,
        holder: claim.holder,
        seat_nos: claim.seat_nos,
        kind: match claim.kind {
            LoadedKind::Hold {
                left,
                extendable,
                price_version,
            } => client::LoadedKind::Hold {
                left,
                extendable,
                price_version,
            },
            LoadedKind::Sale { booking_id } => client::LoadedKind::Sale { booking_id },
        },
    }
}

fn rules(rules: &ShowRules) -> client::ShowRules {
    client::ShowRules {
        hold_ttl: rules.hold_ttl,
        hold_total_max: rules.hold_total_max,
        seats_per_customer_max: rules.seats_per_customer_max,
        no_lone_seat: rules.no_lone_seat,
    }
}

fn layout_seat(seat: &lockstore_core::LayoutSeat) -> client::LayoutSeat {
    client::LayoutSeat {
        row_no: seat.row_no,
        gap_after: seat.gap_after,
        rank: seat.rank,
        section_no: seat.section_no,
        category_no: seat.category_no,
        kind: match seat.kind {
            SeatKind::Plain => client::SeatKind::Plain,
            SeatKind::Accessible => client::SeatKind::Accessible,
            SeatKind::Companion => client::SeatKind::Companion,
            SeatKind::Standing => client::SeatKind::Standing,
        },
    }
}

fn show_state(state: ShowState) -> client::ShowState {
    match state {
        ShowState::Opening => client::ShowState::Opening,
        ShowState::OnSale => client::ShowState::OnSale,
        ShowState::Paused => client::ShowState::Paused,
        ShowState::Closed => client::ShowState::Closed,
        ShowState::Cancelled => client::ShowState::Cancelled,
    }
}

fn selection(selection: Selection) -> client::Selection {
    match selection {
        Selection::Seats(seat_nos) => client::Selection::Seats(seat_nos),
        Selection::Area { section_no, count } => client::Selection::Area { section_no, count },
        Selection::BestAvailable(best) => client::Selection::BestAvailable(client::BestAvailable {
            count: best.count,
            sections: best.sections,
            categories: best.categories,
            adjacent: best.adjacent,
            accessible: best.accessible,
        }),
    }
}

/// A client isn't told who holds; it asked for the holder.
fn hold(hold: client::Hold, holder: UserId) -> Arc<Hold> {
    Arc::new(Hold {
        id: hold.hold_id,
        holder,
        fence: hold.fence,
        seat_nos: hold.seat_nos.into(),
        granted_at: hold.granted_at,
        expires_at: hold.expires_at,
        extendable_until: hold.extendable_until,
        price_version: hold.price_version,
    })
}

fn refusal(refusal: client::Refusal) -> Refusal {
    let seats = refusal.seats.into_iter().map(|seat| SeatRefusal {
        seat_no: seat.seat_no,
        state: seat.state,
    });
    Refusal {
        reason: same(refusal.reason, &REASONS),
        seats: seats.collect(),
        limit: refusal.limit,
    }
}
