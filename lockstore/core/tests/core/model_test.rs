//! Random histories, judged by the state machine and by the naive model side by side; with time
//! jumps, copies, late copies, reused ids, and snapshots in between.

use std::collections::BTreeMap;

use holdfast_types::{
    ClusterTime, DurationMs, Fence, HoldId, Lineage, Revision, SeatNo, SeatState, ShowId,
};
use lockstore_core::{
    AdminRecord, AdvanceQueue, BestAvailable, BlockSeats, ChangeShow, Command, CommitHold, Event,
    ExtendHold, Hold, HoldEnd, HoldSeats, LayoutSeat, LoadSeats, LoadedClaim, LoadedKind, OpenShow,
    Outcome, Queue, ReleaseHold, Request, RequestId, ReturnSeats, SeatKind, Selection, SetConfig,
    ShowRules, ShowState, State, UnblockSeats, invariants,
};
use proptest::prelude::*;

use crate::{kit::*, model::Model};

const SEATS: u32 = 24;

/// Show 1 says nothing of its seats; the others have a row with an aisle, in two price categories,
/// one with seats kept back at its end, and an area.
fn layout_of(show: u8, first: u32, count: u32) -> Vec<LayoutSeat> {
    if show == 1 {
        return rows(first, count);
    }
    let seat = |n: u32| {
        let (row_no, section_no, kind) = match n {
            0..9 => (0, 1, SeatKind::Plain),
            9..15 => (1, 2, SeatKind::Plain),
            15 | 18 => (1, 2, SeatKind::Accessible),
            16 | 17 => (1, 2, SeatKind::Companion),
            _ => (2, 3, SeatKind::Standing),
        };
        LayoutSeat {
            row_no,
            rank: (n % 9).abs_diff(5) as u16,
            section_no,
            category_no: if n < 6 { 1 } else { 2 },
            kind,
            gap_after: n == 2,
        }
    };
    (first..first + count).map(seat).collect()
}

fn rules_of(show: u8) -> ShowRules {
    ShowRules {
        no_lone_seat: show != 1,
        ..rules()
    }
}

/// What one step does; numbers pick from what the history has so far.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Open {
        show: u8,
        chunk: bool,
        on_sale: bool,
    },
    Change {
        show: u8,
        state: Option<ShowState>,
        cap: Option<u32>,
        no_lone_seat: bool,
    },
    Hold {
        show: u8,
        request: u8,
        holder: u8,
        selection: Selection,
        ttl: u64,
        late_money: bool,
    },
    Block {
        show: u8,
        request: u8,
        seat_nos: Vec<u32>,
    },
    Unblock {
        show: u8,
        request: u8,
        seat_nos: Vec<u32>,
    },
    Extend {
        pick: usize,
        request: u8,
        by: u64,
        twist: Twist,
    },
    Release {
        pick: usize,
        request: u8,
        twist: Twist,
    },
    Commit {
        pick: usize,
        request: u8,
        booking: u8,
        twist: Twist,
    },
    Return {
        pick: usize,
        request: u8,
        booking: u8,
        skip: usize,
        twist: Twist,
    },
    /// Claims of lineage 0, with fences from `first` on.
    Load {
        show: u8,
        request: u8,
        first: u64,
        claims: Vec<Claim>,
    },
    Advance {
        show: u8,
        request: u8,
        joins: u32,
        serving: u64,
    },
    Configure {
        request: u8,
        expiry_paused: bool,
    },
    Note {
        request: u8,
        length: usize,
    },
    /// An earlier command once more, as it was or with a new deadline.
    Again {
        pick: usize,
        new_deadline: bool,
    },
    Tick,
}

#[derive(Debug, Clone, Copy)]
enum Twist {
    Straight,
    OtherHolder,
    OtherFence,
    OtherSeats,
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        8 => Just(Twist::Straight),
        1 => Just(Twist::OtherHolder),
        1 => Just(Twist::OtherFence),
        1 => Just(Twist::OtherSeats),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        Just(0_u64),
        Just(1),
        Just(999),
        Just(5_000),
        Just(5_001),
        Just(60_000),
        Just(TTL_MS),
        Just(OVERDUE_MS),
        Just(600_000),
        Just(600_001),
        0..20_000_u64,
    ];
    let state = prop_oneof![
        6 => Just(None),
        6 => Just(Some(ShowState::OnSale)),
        4 => Just(Some(ShowState::Paused)),
        1 => Just(Some(ShowState::Closed)),
        1 => Just(Some(ShowState::Cancelled)),
    ];
    let seat_nos = || prop::collection::vec(0..SEATS + 1, 0..5);
    let side_by_side =
        (0..SEATS, 1..4_u32).prop_map(|(first, count)| (first..first + count).collect());
    let named =
        prop_oneof![seat_nos(), side_by_side].prop_map(|n: Vec<u32>| Selection::Seats(seats(&n)));
    let area =
        (3..5_u16, 0..4_u32).prop_map(|(section_no, count)| Selection::Area { section_no, count });
    let some = || prop::collection::vec(1..4_u16, 0..2);
    let best = (
        0..6_u32,
        some(),
        some(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(count, sections, categories, adjacent, accessible)| {
            Selection::BestAvailable(BestAvailable {
                count,
                sections,
                categories,
                adjacent,
                accessible,
            })
        });
    let selection = prop_oneof![4 => named, 1 => area, 4 => best];
    let ttl = prop_oneof![3 => Just(0_u64), 1 => 1_000..=TTL_MS];
    let pick = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    // Few request ids: most are used again, some while remembered.
    let request = 0..40_u8;
    let claim = (0..40_u8, 1..4_u8, seat_nos(), prop::option::of(1..4_u8));
    let load = (
        1..4_u8,
        request.clone(),
        0..30_u64,
        prop::collection::vec(claim, 0..3),
    )
        .prop_map(|(show, request, first, claims)| Step::Load {
            show,
            request,
            first,
            claims,
        });
    prop_oneof![
        6 => wait.prop_map(Step::Wait),
        1 => (1..4_u8, any::<bool>(), any::<bool>())
            .prop_map(|(show, chunk, on_sale)| Step::Open { show, chunk, on_sale }),
        1 => (1..4_u8, state, prop::option::of(3..8_u32), any::<bool>()).prop_map(
            |(show, state, cap, no_lone_seat)| Step::Change { show, state, cap, no_lone_seat }
        ),
        12 => (1..4_u8, request.clone(), 1..4_u8, selection, ttl, prop::bool::weighted(0.2)).prop_map(
            |(show, request, holder, selection, ttl, late_money)| Step::Hold {
                show, request, holder, selection, ttl, late_money
            }
        ),
        1 => (1..4_u8, request.clone(), seat_nos())
            .prop_map(|(show, request, seat_nos)| Step::Block { show, request, seat_nos }),
        1 => (1..4_u8, request.clone(), seat_nos())
            .prop_map(|(show, request, seat_nos)| Step::Unblock { show, request, seat_nos }),
        4 => (pick.clone(), request.clone(), 0..2 * TOTAL_MS, twist())
            .prop_map(|(pick, request, by, twist)| Step::Extend { pick, request, by, twist }),
        4 => (pick.clone(), request.clone(), twist())
            .prop_map(|(pick, request, twist)| Step::Release { pick, request, twist }),
        6 => (pick.clone(), request.clone(), 1..4_u8, twist())
            .prop_map(|(pick, request, booking, twist)| Step::Commit { pick, request, booking, twist }),
        4 => (pick.clone(), request.clone(), 1..4_u8, 0..4_usize, twist()).prop_map(
            |(pick, request, booking, skip, twist)| Step::Return { pick, request, booking, skip, twist }
        ),
        4 => load,
        1 => (1..4_u8, request.clone(), 0..3_u32, 0..5_u64).prop_map(
            |(show, request, joins, serving)| Step::Advance { show, request, joins, serving }
        ),
        1 => (request.clone(), prop::bool::weighted(0.3))
            .prop_map(|(request, expiry_paused)| Step::Configure { request, expiry_paused }),
        1 => (request, 0..3_usize).prop_map(|(request, length)| Step::Note { request, length }),
        5 => (pick, any::<bool>()).prop_map(|(pick, new_deadline)| Step::Again { pick, new_deadline }),
        1 => Just(Step::Tick),
    ]
}

/// A history being made.
struct History {
    now: ClusterTime,
    /// Holds that were granted, with their show.
    granted: Vec<(u8, Hold)>,
    sent: Vec<Command>,
}

impl History {
    fn request(&self, id: u8) -> Request {
        Request {
            id: RequestId([id; 16]),
            not_after: self.now.plus(DurationMs(5_000)),
        }
    }

    fn pick(&self, pick: usize, twist: Twist) -> Option<(u8, Hold)> {
        let index = pick.checked_rem(self.granted.len())?;
        let (show, mut hold) = self.granted[self.granted.len() - 1 - index].clone();
        match twist {
            Twist::Straight => {}
            Twist::OtherHolder => hold.holder = user(9),
            Twist::OtherFence => {
                let index = hold.fence.index().saturating_sub(1);
                hold.fence = Fence::new(LINEAGE, index, 0);
            }
            Twist::OtherSeats => hold.seat_nos = [SeatNo(0), SeatNo(5)].into(),
        }
        Some((show, hold))
    }

    fn command(&self, step: &Step) -> Option<Command> {
        Some(match step {
            Step::Wait(_) => return None,
            Step::Tick => Command::Tick,
            Step::Again { pick, new_deadline } => {
                let index = pick.checked_rem(self.sent.len())?;
                let mut command = self.sent[index].clone();
                if *new_deadline {
                    let not_after = self.now.plus(DurationMs(60_000));
                    match &mut command {
                        Command::HoldSeats(c) => c.request.not_after = not_after,
                        Command::ChangeShow(c) => c.request.not_after = not_after,
                        Command::ReturnSeats(c) => c.request.not_after = not_after,
                        Command::ExtendHold(c) => c.request.not_after = not_after,
                        Command::CommitHold(c) => c.request.not_after = not_after,
                        Command::BlockSeats(c) => c.request.not_after = not_after,
                        Command::UnblockSeats(c) => c.request.not_after = not_after,
                        Command::OpenShow(c) => c.request.not_after = not_after,
                        Command::ReleaseHold(c) => c.request.not_after = not_after,
                        Command::LoadSeats(c) => c.request.not_after = not_after,
                        Command::AdvanceQueue(c) => c.request.not_after = not_after,
                        Command::SetConfig(c) => c.request.not_after = not_after,
                        Command::AdminRecord(c) => c.request.not_after = not_after,
                        Command::Tick => {}
                    }
                }
                command
            }
            Step::Open {
                show,
                chunk,
                on_sale,
            } => Command::OpenShow(OpenShow {
                request: self.request(100 + show * 4 + u8::from(*chunk) * 2 + u8::from(*on_sale)),
                show_id: show_id(*show),
                seat_count: SEATS,
                rules: rules_of(*show),
                first_seat_no: SeatNo(if *chunk { 7 } else { 0 }),
                seats: if *chunk {
                    layout_of(*show, 7, SEATS - 7)
                } else {
                    layout_of(*show, 0, 7)
                },
                on_sale: *on_sale,
            }),
            Step::Change {
                show,
                state,
                cap,
                no_lone_seat,
            } => Command::ChangeShow(ChangeShow {
                request: self.request(200 + (self.sent.len() % 50) as u8),
                show_id: show_id(*show),
                state: *state,
                rules: cap.map(|cap| ShowRules {
                    seats_per_customer_max: cap,
                    no_lone_seat: *no_lone_seat,
                    ..rules()
                }),
            }),
            Step::Hold {
                show,
                request,
                holder,
                selection,
                ttl,
                late_money,
            } => Command::HoldSeats(HoldSeats {
                request: self.request(*request),
                show_id: show_id(*show),
                holder: user(*holder),
                selection: selection.clone(),
                ttl: DurationMs(*ttl),
                price_version: self.sent.len() as u32,
                late_money: *late_money,
            }),
            Step::Block {
                show,
                request,
                seat_nos,
            } => Command::BlockSeats(BlockSeats {
                request: self.request(*request),
                show_id: show_id(*show),
                seat_nos: seats(seat_nos),
                actor: user(200),
            }),
            Step::Unblock {
                show,
                request,
                seat_nos,
            } => Command::UnblockSeats(UnblockSeats {
                request: self.request(*request),
                show_id: show_id(*show),
                seat_nos: seats(seat_nos),
                actor: user(200),
            }),
            Step::Load {
                show,
                request,
                first,
                claims,
            } => Command::LoadSeats(LoadSeats {
                request: self.request(*request),
                show_id: show_id(*show),
                claims: (*first..).zip(claims).map(loaded).collect(),
            }),
            Step::Advance {
                show,
                request,
                joins,
                serving,
            } => Command::AdvanceQueue(AdvanceQueue {
                request: self.request(*request),
                show_id: show_id(*show),
                joins: *joins,
                serving: *serving,
            }),
            Step::Configure {
                request,
                expiry_paused,
            } => Command::SetConfig(SetConfig {
                request: self.request(*request),
                operator: "ada".into(),
                reason: "a drill".into(),
                expiry_paused: *expiry_paused,
            }),
            Step::Note { request, length } => Command::AdminRecord(AdminRecord {
                request: self.request(*request),
                operator: "ada".into(),
                text: "x".repeat(*length),
            }),
            Step::Extend {
                pick,
                request,
                by,
                twist,
            } => {
                let (show, hold) = self.pick(*pick, *twist)?;
                Command::ExtendHold(ExtendHold {
                    request: self.request(*request),
                    show_id: show_id(show),
                    holder: hold.holder,
                    hold_id: hold.id,
                    fence: hold.fence,
                    until: hold.granted_at.plus(DurationMs(*by)),
                })
            }
            Step::Release {
                pick,
                request,
                twist,
            } => {
                let (show, hold) = self.pick(*pick, *twist)?;
                Command::ReleaseHold(ReleaseHold {
                    request: self.request(*request),
                    show_id: show_id(show),
                    holder: hold.holder,
                    hold_id: hold.id,
                    fence: hold.fence,
                })
            }
            Step::Commit {
                pick,
                request,
                booking: booking_no,
                twist,
            } => {
                let (show, hold) = self.pick(*pick, *twist)?;
                Command::CommitHold(CommitHold {
                    request: self.request(*request),
                    show_id: show_id(show),
                    hold_id: hold.id,
                    fence: hold.fence,
                    seat_nos: hold.seat_nos.to_vec(),
                    booking_id: booking(*booking_no),
                })
            }
            Step::Return {
                pick,
                request,
                booking: booking_no,
                skip,
                twist,
            } => {
                let (show, hold) = self.pick(*pick, *twist)?;
                Command::ReturnSeats(ReturnSeats {
                    request: self.request(*request),
                    show_id: show_id(show),
                    fence: hold.fence,
                    seat_nos: hold.seat_nos.iter().skip(*skip).copied().collect(),
                    booking_id: booking(*booking_no),
                })
            }
        })
    }
}

/// Of a claim: the hold, the holder, the seats, and whom it is sold to.
type Claim = (u8, u8, Vec<u32>, Option<u8>);

fn loaded((fence, (id, holder, seat_nos, sold_to)): (u64, &Claim)) -> LoadedClaim {
    LoadedClaim {
        fence: Fence::new(Lineage(0), fence, 0),
        hold_id: HoldId::from_bytes([*id; 16]),
        holder: user(*holder),
        seat_nos: seats(seat_nos),
        kind: match sold_to {
            Some(booking_no) => LoadedKind::Sale {
                booking_id: booking(*booking_no),
            },
            None => LoadedKind::Hold {
                left: DurationMs(5_000),
                extendable: DurationMs(TOTAL_MS),
                price_version: 3,
            },
        },
    }
}

/// Shows 1 and 2 are opened first; show 3 only if a step does.
fn opening() -> Vec<Step> {
    (1..3_u8)
        .flat_map(|show| {
            [false, true].map(|chunk| Step::Open {
                show,
                chunk,
                on_sale: true,
            })
        })
        .collect()
}

/// Chunks out of order, rules out of bounds and zero extensions are the scenarios' business.
fn is_modelled(state: &State, command: &Command) -> bool {
    match command {
        Command::OpenShow(c) => {
            let known = state.show(c.show_id).map_or(0, |show| show.seats_known());
            c.first_seat_no.0 <= known
        }
        Command::ExtendHold(c) => c.until > ClusterTime(0),
        _ => true,
    }
}

/// What somebody knows of the shows who is told the events and nothing else.
#[derive(Default)]
struct Told {
    shows: BTreeMap<ShowId, (ShowState, Vec<SeatState>)>,
    /// What is told now is of a load.
    loads: bool,
}

impl Told {
    /// Fails at an event that changes nothing, or that can't follow what was told before.
    fn hear(&mut self, event: &Event) -> Result<(), TestCaseError> {
        if let Event::ShowOpened {
            show_id,
            state,
            seat_count,
        } = event
        {
            let seats = vec![SeatState::Available; *seat_count as usize];
            self.shows.insert(*show_id, (*state, seats));
            return Ok(());
        }
        // A show that is closed while its layout arrives was never opened, and nothing is held in it.
        let (state, seats) = match event {
            Event::QueueAdvanced { .. } => return Ok(()),
            Event::ShowStateChanged { show_id, .. } => self
                .shows
                .entry(*show_id)
                .or_insert((ShowState::Opening, Vec::new())),
            _ => {
                let known = self.shows.get_mut(&event.show_id());
                known.ok_or_else(|| TestCaseError::fail(format!("{event:?} of no show")))?
            }
        };
        let (seat_nos, from, to) = match event {
            Event::ShowOpened { .. } | Event::HoldExtended { .. } | Event::QueueAdvanced { .. } => {
                return Ok(());
            }
            Event::ShowStateChanged { state: new, .. } => {
                prop_assert_ne!(*state, *new);
                *state = *new;
                if *new == ShowState::Cancelled {
                    let held = seats.iter_mut().filter(|seat| **seat == SeatState::Held);
                    held.for_each(|seat| *seat = SeatState::Available);
                }
                return Ok(());
            }
            // Of a cancelled show there is no held seat any more.
            Event::HoldEnded {
                end: HoldEnd::Cancelled,
                ..
            } => return Ok(()),
            Event::HoldEnded { seat_nos, .. } if *state == ShowState::Cancelled => {
                (seat_nos, SeatState::Available, SeatState::Available)
            }
            Event::HoldEnded { seat_nos, .. } => (seat_nos, SeatState::Held, SeatState::Available),
            Event::SeatsHeld { seat_nos, .. } => (seat_nos, SeatState::Available, SeatState::Held),
            // A sale that was loaded wasn't held before.
            Event::SeatsSold {
                seat_nos, fence, ..
            } if fence.lineage() < LINEAGE && self.loads => {
                (seat_nos, SeatState::Available, SeatState::Sold)
            }
            Event::SeatsSold { seat_nos, .. } => (seat_nos, SeatState::Held, SeatState::Sold),
            Event::SeatsReturned { seat_nos, .. } => {
                (seat_nos, SeatState::Sold, SeatState::Available)
            }
            Event::SeatsBlocked { seat_nos, .. } => {
                (seat_nos, SeatState::Available, SeatState::Blocked)
            }
            Event::SeatsUnblocked { seat_nos, .. } => {
                (seat_nos, SeatState::Blocked, SeatState::Available)
            }
        };
        prop_assert!(!seat_nos.is_empty(), "{:?}", event);
        for seat_no in &**seat_nos {
            let seat = &mut seats[seat_no.0 as usize];
            prop_assert_eq!(*seat, from, "{} by {:?}", seat_no, event);
            *seat = to;
        }
        Ok(())
    }

    /// That it is the state, of every show that it can have been told of.
    fn is(&self, state: &State) -> Result<(), TestCaseError> {
        for show_id in (1..4).map(show_id) {
            let Some(show) = state.show(show_id) else {
                prop_assert!(!self.shows.contains_key(&show_id));
                continue;
            };
            let opening = (ShowState::Opening, Vec::new());
            let (told_state, told_seats) = self.shows.get(&show_id).unwrap_or(&opening);
            prop_assert_eq!(show.state(), *told_state);
            for (n, seat) in show.seat_states().enumerate() {
                let told = told_seats.get(n).unwrap_or(&SeatState::Available);
                prop_assert_eq!(seat, *told, "seat {} of {:?}", n, show_id);
            }
        }
        Ok(())
    }
}

fn run(steps: Vec<Step>, restore_every: usize, behaviour: u32) -> Result<State, TestCaseError> {
    let mut state = State::new(LINEAGE);
    state.follow(behaviour);
    let mut model = Model::default();
    let mut history = History {
        now: START,
        granted: Vec::new(),
        sent: Vec::new(),
    };
    let (mut index, mut told) = (0, Told::default());
    for step in opening().into_iter().chain(steps) {
        if let Step::Wait(ms) = step {
            history.now = history.now.plus(DurationMs(ms));
            continue;
        }
        let Some(command) = history.command(&step) else {
            continue;
        };
        if !is_modelled(&state, &command) {
            continue;
        }
        index += 1;
        let revision = Revision::new(LINEAGE, index, 0);
        let before = state.clone();
        let (outcome, events) = state.apply(&command, history.now, revision);
        told.loads = matches!(command, Command::LoadSeats(_));
        for event in &events {
            told.hear(event)?;
        }
        told.is(&state)?;
        let expected = model.apply(&command, history.now, revision);
        prop_assert_eq!(&outcome, &expected, "{:?}", command);
        invariants::check(&state)
            .map_err(|v| TestCaseError::fail(format!("{v} after {command:?}")))?;
        invariants::check_step(&before, &state)
            .map_err(|v| TestCaseError::fail(format!("{v} after {command:?}")))?;
        prop_assert_eq!(state.is_expiry_paused(), model.is_expiry_paused());
        if let Some(id) = command.show_id() {
            let queue = state.show(id).map_or(Queue::default(), |show| show.queue());
            prop_assert_eq!(queue, model.queue(id));
            let seats: Vec<_> = state
                .show(id)
                .map_or(Vec::new(), |show| show.seat_states().collect());
            prop_assert_eq!(seats, model.seat_states(id));
            let live = model.live_holds(id);
            prop_assert_eq!(
                state.show(id).map_or(0, |show| show.hold_count()),
                live.len()
            );
            for hold in live {
                let found = state
                    .hold(id, hold.id, hold.holder)
                    .map(|found| (*found).clone());
                prop_assert_eq!(found, Ok(hold));
            }
        }
        if let (
            Outcome::Held {
                hold,
                replayed: false,
            },
            Some(id),
        ) = (&outcome, command.show_id())
        {
            history.granted.push((id.to_bytes()[0], (**hold).clone()));
        }
        if let (Command::LoadSeats(load), Outcome::Loaded { already: false, .. }) =
            (&command, &outcome)
        {
            let show = load.show_id.to_bytes()[0];
            let holds = load.claims.iter().map(|claim| (show, as_hold(claim)));
            history.granted.extend(holds);
        }
        if command != Command::Tick {
            history.sent.push(command);
        }
        if restore_every > 0 && index % restore_every as u64 == 0 {
            state = State::from_records(state.records())
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            state.follow(behaviour);
        }
    }
    Ok(state)
}

/// As far as what follows on it names it.
fn as_hold(claim: &LoadedClaim) -> Hold {
    let mut seat_nos = claim.seat_nos.clone();
    seat_nos.sort();
    Hold {
        id: claim.hold_id,
        holder: claim.holder,
        fence: claim.fence,
        seat_nos: seat_nos.into(),
        granted_at: START,
        expires_at: START,
        extendable_until: START,
        price_version: 0,
    }
}

/// Enough for every change; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.map_or(96, |cases| cases.parse().expect("a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn state_machine_answers_as_the_model_does(
        steps in prop::collection::vec(step(), 1..400),
        behaviour in 0..=NEWEST,
    ) {
        run(steps, 0, behaviour)?;
    }

    /// HS-5: wherever a node was restarted from a snapshot, it ends with the same hash, having
    /// given the same answers.
    #[test]
    fn restarts_from_snapshots_change_nothing(
        steps in prop::collection::vec(step(), 1..150),
        restore_every in 1..20_usize,
        behaviour in 0..=NEWEST,
    ) {
        let straight = run(steps.clone(), 0, behaviour)?;
        let restarted = run(steps, restore_every, behaviour)?;
        prop_assert_eq!(straight.hash(), restarted.hash());
        prop_assert_eq!(straight.next_due(), restarted.next_due());
    }
}
