//! A state with its log, and short ways to write commands.

use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, Lineage, Revision, SeatNo, SeatState, ShowId, UserId,
};
use lockstore_core::{
    BlockSeats, ChangeShow, Command, CommitHold, Event, ExtendHold, Hold, HoldSeats, OpenShow,
    Outcome, Refusal, RefusalReason, ReleaseHold, Request, RequestId, ReturnSeats, Selection,
    ShowRules, ShowState, State, UnblockSeats, invariants,
};
use std::sync::Arc;

pub(crate) use crate::behaviour::halls::*;

pub(crate) const LINEAGE: Lineage = Lineage(1);
/// The newest behaviour that commands can have.
pub(crate) const NEWEST: u32 = 2;
pub(crate) const START: ClusterTime = ClusterTime(1_000_000);
/// The TTL and its padding of 1 %.
pub(crate) const OVERDUE_MS: u64 = 101_000;
/// Longer than any request is remembered.
pub(crate) const FORGOTTEN_MS: u64 = 601_000;

pub(crate) fn show_id(n: u8) -> ShowId {
    ShowId::from_bytes([n; 16])
}

pub(crate) fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub(crate) fn booking(n: u8) -> BookingId {
    BookingId::from_bytes([n; 16])
}

pub(crate) fn seats(numbers: &[u32]) -> Vec<SeatNo> {
    numbers.iter().map(|n| SeatNo(*n)).collect()
}

/// A state fed command by command; every step is checked against the invariants.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) state: State,
    pub(crate) log: Vec<(Command, ClusterTime, Revision)>,
    pub(crate) events: Vec<Event>,
    now: ClusterTime,
    requests: u64,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self::following(NEWEST)
    }

    /// An empty one of an older behaviour.
    pub(crate) fn following(behaviour: u32) -> Self {
        let mut state = State::new(LINEAGE);
        state.follow(behaviour);
        Self {
            state,
            log: Vec::new(),
            events: Vec::new(),
            now: START,
            requests: 0,
        }
    }

    /// With show 1 of 20 seats on sale.
    pub(crate) fn with_show() -> Self {
        Self::new().with_seats()
    }

    fn with_seats(mut self) -> Self {
        let command = open(self.request(), 20, true);
        assert_eq!(
            self.apply(command),
            Outcome::ShowOpened {
                state: ShowState::OnSale,
                seats_known: 20
            }
        );
        self
    }

    /// Of an older behaviour, with show 1 of 20 seats on sale.
    pub(crate) fn with_show_following(behaviour: u32) -> Self {
        Self::following(behaviour).with_seats()
    }

    /// With show 1 on sale, whose seats are told apart: see [`hall`].
    pub(crate) fn with_hall(no_lone_seat: bool) -> Self {
        let mut store = Self::new();
        let request = store.request();
        let opened = store.apply(Command::OpenShow(OpenShow {
            request,
            show_id: show_id(1),
            seat_count: HALL_SEATS,
            rules: ShowRules {
                no_lone_seat,
                seats_per_customer_max: 50,
                ..rules()
            },
            first_seat_no: SeatNo(0),
            seats: hall(),
            on_sale: true,
        }));
        assert!(matches!(opened, Outcome::ShowOpened { .. }), "{opened:?}");
        store
    }

    pub(crate) fn now(&self) -> ClusterTime {
        self.now
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(DurationMs(ms));
    }

    /// A request of its own, good for 5 s.
    pub(crate) fn request(&mut self) -> Request {
        self.requests += 1;
        let id = RequestId((u128::from(self.requests) << 64).to_be_bytes());
        Request {
            id,
            not_after: self.now.plus(DurationMs(5_000)),
        }
    }

    /// With show 1 of 8,000 seats on sale, of which the first `holds` are held, each by another
    /// customer.
    pub(crate) fn with_crowd(holds: u32) -> (Self, Vec<Arc<Hold>>) {
        Self::new().crowded(holds)
    }

    pub(crate) fn crowded(mut self, holds: u32) -> (Self, Vec<Arc<Hold>>) {
        let store = &mut self;
        for first in [0, 4_000] {
            let request = store.request();
            let Command::OpenShow(command) = open(request, 8_000, true) else {
                panic!("open makes this command")
            };
            store.apply(Command::OpenShow(OpenShow {
                first_seat_no: SeatNo(first),
                seats: rows(first, 4_000),
                ..command
            }));
        }
        // Checking every step of thousands would be quadratic; the end is checked.
        let grant = |n: u32| {
            let hold = HoldSeats {
                holder: UserId::from_bytes(u128::from(n).to_be_bytes()),
                ..store.hold_command(1, &[n])
            };
            match store.apply_unchecked(Command::HoldSeats(hold)) {
                Outcome::Held { hold, .. } => hold,
                other => panic!("a hold answered {other:?}"),
            }
        };
        let holds = (0..holds).map(grant).collect();
        invariants::check(&self.state).expect("every state satisfies the invariants");
        (self, holds)
    }

    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        self.apply_entry([command]).remove(0)
    }

    /// Commands of one entry.
    pub(crate) fn apply_entry(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
    ) -> Vec<Outcome> {
        let before = self.state.clone();
        let index = self.log.last().map_or(1, |(_, _, last)| last.index() + 1);
        self.events.clear();
        let apply = |(place, command)| {
            let revision = Revision::new(LINEAGE, index, place);
            let (outcome, events) = self.state.apply(&command, self.now, revision);
            self.events.extend(events);
            self.log.push((command, self.now, revision));
            outcome
        };
        let outcomes = (0..).zip(commands).map(apply).collect();
        invariants::check(&self.state).expect("every state satisfies the invariants");
        invariants::check_step(&before, &self.state).expect("every step is a legal one");
        outcomes
    }

    fn apply_unchecked(&mut self, command: Command) -> Outcome {
        let revision = Revision::new(LINEAGE, self.log.len() as u64 + 1, 0);
        let (outcome, events) = self.state.apply(&command, self.now, revision);
        self.events = events;
        self.log.push((command, self.now, revision));
        outcome
    }

    pub(crate) fn tick(&mut self) -> u32 {
        match self.apply(Command::Tick) {
            Outcome::Ticked { swept } => swept,
            other => panic!("a tick answered {other:?}"),
        }
    }

    pub(crate) fn hold_command(&mut self, holder: u8, seat_nos: &[u32]) -> HoldSeats {
        HoldSeats {
            request: self.request(),
            show_id: show_id(1),
            holder: user(holder),
            selection: Selection::Seats(seats(seat_nos)),
            ttl: DurationMs(0),
            price_version: 7,
            late_money: false,
        }
    }

    pub(crate) fn hold(&mut self, holder: u8, seat_nos: &[u32]) -> Result<Arc<Hold>, Refusal> {
        let command = self.hold_command(holder, seat_nos);
        self.grant(command)
    }

    /// As [`Self::hold`], of seats that the store chooses.
    pub(crate) fn choose(
        &mut self,
        holder: u8,
        selection: Selection,
    ) -> Result<Arc<Hold>, Refusal> {
        let command = HoldSeats {
            selection,
            ..self.hold_command(holder, &[])
        };
        self.grant(command)
    }

    fn grant(&mut self, command: HoldSeats) -> Result<Arc<Hold>, Refusal> {
        match self.apply(Command::HoldSeats(command)) {
            Outcome::Held {
                hold,
                replayed: false,
            } => Ok(hold),
            Outcome::Refused(refusal) => Err(refusal),
            other => panic!("a hold answered {other:?}"),
        }
    }

    pub(crate) fn held(&mut self, holder: u8, seat_nos: &[u32]) -> Arc<Hold> {
        self.hold(holder, seat_nos).expect("the seats are free")
    }

    pub(crate) fn extend(&mut self, hold: &Hold, until: ClusterTime) -> Outcome {
        let request = self.request();
        self.apply(extend(request, hold, until))
    }

    pub(crate) fn release(&mut self, hold: &Hold) -> Outcome {
        let request = self.request();
        self.apply(release(request, hold))
    }

    pub(crate) fn commit(&mut self, hold: &Hold, booking_no: u8) -> Outcome {
        let request = self.request();
        self.apply(commit(request, hold, booking_no))
    }

    pub(crate) fn give_back(&mut self, fence: Fence, seat_nos: &[u32], booking_no: u8) -> Outcome {
        let request = self.request();
        self.apply(Command::ReturnSeats(ReturnSeats {
            request,
            show_id: show_id(1),
            fence,
            seat_nos: seats(seat_nos),
            booking_id: booking(booking_no),
        }))
    }

    pub(crate) fn block(&mut self, seat_nos: &[u32]) -> Outcome {
        let request = self.request();
        self.apply(Command::BlockSeats(BlockSeats {
            request,
            show_id: show_id(1),
            seat_nos: seats(seat_nos),
            actor: user(200),
        }))
    }

    pub(crate) fn unblock(&mut self, seat_nos: &[u32]) -> Outcome {
        let request = self.request();
        self.apply(Command::UnblockSeats(UnblockSeats {
            request,
            show_id: show_id(1),
            seat_nos: seats(seat_nos),
            actor: user(201),
        }))
    }

    pub(crate) fn change(&mut self, state: ShowState) -> Outcome {
        let request = self.request();
        self.apply(change(request, Some(state), None))
    }

    pub(crate) fn seat(&self, seat_no: usize) -> SeatState {
        let show = self.state.show(show_id(1)).expect("show 1 is there");
        show.seat_states().nth(seat_no).expect("the seat is there")
    }
}

pub(crate) fn open(request: Request, seat_count: u32, on_sale: bool) -> Command {
    Command::OpenShow(OpenShow {
        request,
        show_id: show_id(1),
        seat_count,
        rules: rules(),
        first_seat_no: SeatNo(0),
        seats: rows(0, seat_count),
        on_sale,
    })
}

pub(crate) fn extend(request: Request, hold: &Hold, until: ClusterTime) -> Command {
    Command::ExtendHold(ExtendHold {
        request,
        show_id: show_id(1),
        holder: hold.holder,
        hold_id: hold.id,
        fence: hold.fence,
        until,
    })
}

pub(crate) fn release(request: Request, hold: &Hold) -> Command {
    Command::ReleaseHold(ReleaseHold {
        request,
        show_id: show_id(1),
        holder: hold.holder,
        hold_id: hold.id,
        fence: hold.fence,
    })
}

pub(crate) fn commit(request: Request, hold: &Hold, booking_no: u8) -> Command {
    Command::CommitHold(CommitHold {
        request,
        show_id: show_id(1),
        hold_id: hold.id,
        fence: hold.fence,
        seat_nos: hold.seat_nos.to_vec(),
        booking_id: booking(booking_no),
    })
}

pub(crate) fn change(
    request: Request,
    state: Option<ShowState>,
    rules: Option<ShowRules>,
) -> Command {
    Command::ChangeShow(ChangeShow {
        request,
        show_id: show_id(1),
        state,
        rules,
    })
}

/// Why it was refused.
pub(crate) fn reason(outcome: &Outcome) -> RefusalReason {
    match outcome {
        Outcome::Refused(refusal) => refusal.reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
