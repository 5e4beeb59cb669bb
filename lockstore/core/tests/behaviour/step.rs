//! The words that scenarios are written in.

use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, Lineage, SeatNo, ShowId, UserId,
};
use lockstore_core::{
    AdvanceQueue, BlockSeats, ChangeShow, Command, CommitHold, ExtendHold, HoldSeats, LayoutSeat,
    LoadSeats, LoadedClaim, LoadedKind, OpenShow, ReleaseHold, Request, RequestId, ReturnSeats,
    Selection, ShowRules, ShowState, UnblockSeats,
};

/// One command, or one look, and the answer it has to get.
#[derive(Clone)]
pub(crate) struct Step {
    pub(super) ask: Ask,
    pub(super) expected: String,
    /// Why it is refused is enough, whatever is named with it.
    pub(super) is_reason_enough: bool,
    /// The hold it is about, by the name it was held under.
    pub(super) hold: Option<char>,
    /// It names an older fence than its hold's.
    pub(super) is_stale: bool,
    /// The name of the request, if another has the same; a hold's is its own.
    pub(super) request: Option<char>,
    /// The deadline in milliseconds from the store's time.
    pub(super) not_after: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) enum Ask {
    /// Without what the run knows: the show, the request, the hold's fence and, if none is named,
    /// its seats. `until` counts from the grant.
    Command(Command),
    Get(UserId),
    Look,
    Pass(u64),
}

impl Step {
    fn new(ask: Ask) -> Self {
        Self {
            ask,
            expected: String::new(),
            is_reason_enough: false,
            hold: None,
            is_stale: false,
            request: None,
            not_after: None,
        }
    }

    fn of(hold: char, command: Command) -> Self {
        Self {
            hold: Some(hold),
            ..Self::new(Ask::Command(command))
        }
    }

    /// The answer it has to get.
    pub(super) fn says(mut self, expected: &str) -> Self {
        expected.clone_into(&mut self.expected);
        self
    }

    /// Another customer asks.
    pub(super) fn by(mut self, customer: u8) -> Self {
        match &mut self.ask {
            Ask::Command(Command::ExtendHold(extend)) => extend.holder = user(customer),
            Ask::Command(Command::ReleaseHold(release)) => release.holder = user(customer),
            Ask::Command(Command::HoldSeats(hold)) => hold.holder = user(customer),
            Ask::Command(Command::BlockSeats(block)) => block.actor = user(customer),
            Ask::Get(holder) => *holder = user(customer),
            other => panic!("nobody asks {other:?}"),
        }
        self
    }

    pub(super) fn stale(mut self) -> Self {
        self.is_stale = true;
        self
    }

    pub(super) fn request(mut self, name: char) -> Self {
        self.request = Some(name);
        self
    }

    pub(super) fn not_after(mut self, from_now_ms: i64) -> Self {
        self.not_after = Some(from_now_ms);
        self
    }

    /// Of these seats, whatever the hold has.
    pub(super) fn of_seats(mut self, seat_nos: &[u32]) -> Self {
        let Ask::Command(Command::CommitHold(commit)) = &mut self.ask else {
            panic!("only a commit names its hold's seats")
        };
        commit.seat_nos = seats(seat_nos);
        self
    }

    pub(super) fn ttl(self, ms: u64) -> Self {
        self.with(|hold| hold.ttl = DurationMs(ms))
    }

    pub(super) fn late_money(self) -> Self {
        self.with(|hold| hold.late_money = true)
    }

    pub(super) fn price_version(self, version: u32) -> Self {
        self.with(|hold| hold.price_version = version)
    }

    fn with(mut self, change: impl FnOnce(&mut HoldSeats)) -> Self {
        let Ask::Command(Command::HoldSeats(hold)) = &mut self.ask else {
            panic!("it is no hold")
        };
        change(hold);
        self
    }

    /// The chunk doesn't put the show on sale.
    pub(super) fn not_on_sale(mut self) -> Self {
        let Ask::Command(Command::OpenShow(open)) = &mut self.ask else {
            panic!("it opens nothing")
        };
        open.on_sale = false;
        self
    }

    /// Whether only a caller who names requests or deadlines can ask it.
    pub(super) fn names_its_request(&self) -> bool {
        let is_hold = matches!(self.ask, Ask::Command(Command::HoldSeats(_)));
        self.not_after.is_some() || (self.request.is_some() && !is_hold)
    }
}

const REQUEST: Request = Request {
    id: RequestId([0; 16]),
    not_after: ClusterTime(0),
};
const SHOW: ShowId = ShowId::from_bytes([0; 16]);

/// What the run fills in of every command.
pub(super) fn names(command: &mut Command) -> (&mut Request, &mut ShowId) {
    match command {
        Command::OpenShow(c) => (&mut c.request, &mut c.show_id),
        Command::ChangeShow(c) => (&mut c.request, &mut c.show_id),
        Command::HoldSeats(c) => (&mut c.request, &mut c.show_id),
        Command::ExtendHold(c) => (&mut c.request, &mut c.show_id),
        Command::ReleaseHold(c) => (&mut c.request, &mut c.show_id),
        Command::CommitHold(c) => (&mut c.request, &mut c.show_id),
        Command::ReturnSeats(c) => (&mut c.request, &mut c.show_id),
        Command::BlockSeats(c) => (&mut c.request, &mut c.show_id),
        Command::UnblockSeats(c) => (&mut c.request, &mut c.show_id),
        Command::LoadSeats(c) => (&mut c.request, &mut c.show_id),
        Command::AdvanceQueue(c) => (&mut c.request, &mut c.show_id),
        Command::SetConfig(_) | Command::AdminRecord(_) | Command::Tick => {
            panic!("it is of no show")
        }
    }
}

fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub(super) fn hold_id(name: char) -> HoldId {
    HoldId::from_bytes([u8::try_from(name).expect("a letter"); 16])
}

fn seats(numbers: &[u32]) -> Vec<SeatNo> {
    numbers.iter().map(|n| SeatNo(*n)).collect()
}

/// A chunk of a show's layout.
pub(super) fn open(
    first_seat_no: u32,
    seats: Vec<LayoutSeat>,
    seat_count: u32,
    rules: ShowRules,
) -> Step {
    Step::new(Ask::Command(Command::OpenShow(OpenShow {
        request: REQUEST,
        show_id: SHOW,
        seat_count,
        rules,
        first_seat_no: SeatNo(first_seat_no),
        seats,
        on_sale: true,
    })))
}

pub(super) fn change(state: ShowState) -> Step {
    change_both(Some(state), None)
}

pub(super) fn change_rules(rules: ShowRules) -> Step {
    change_both(None, Some(rules))
}

pub(super) fn change_both(state: Option<ShowState>, rules: Option<ShowRules>) -> Step {
    Step::new(Ask::Command(Command::ChangeShow(ChangeShow {
        request: REQUEST,
        show_id: SHOW,
        state,
        rules,
    })))
}

/// Holds named seats.
pub(super) fn hold(name: char, customer: u8, seat_nos: &[u32]) -> Step {
    choose(name, customer, Selection::Seats(seats(seat_nos)))
}

/// Holds what is chosen.
pub(super) fn choose(name: char, customer: u8, selection: Selection) -> Step {
    let command = Command::HoldSeats(HoldSeats {
        request: REQUEST,
        show_id: SHOW,
        holder: user(customer),
        selection,
        ttl: DurationMs(0),
        price_version: 7,
        late_money: false,
    });
    Step::of(name, command).request(name)
}

/// By customer 1, as all that is about a hold. `until` in milliseconds from the grant.
pub(super) fn extend(name: char, until: u64) -> Step {
    let command = Command::ExtendHold(ExtendHold {
        request: REQUEST,
        show_id: SHOW,
        holder: user(1),
        hold_id: hold_id(name),
        fence: Fence::ZERO,
        until: ClusterTime(until),
    });
    Step::of(name, command)
}

pub(super) fn release(name: char) -> Step {
    let command = Command::ReleaseHold(ReleaseHold {
        request: REQUEST,
        show_id: SHOW,
        holder: user(1),
        hold_id: hold_id(name),
        fence: Fence::ZERO,
    });
    Step::of(name, command)
}

/// Sells the hold's seats to a booking.
pub(super) fn commit(name: char, booking: u8) -> Step {
    let command = Command::CommitHold(CommitHold {
        request: REQUEST,
        show_id: SHOW,
        hold_id: hold_id(name),
        fence: Fence::ZERO,
        seat_nos: Vec::new(),
        booking_id: BookingId::from_bytes([booking; 16]),
    });
    Step::of(name, command)
}

/// Gives seats back that were sold under the hold's fence.
pub(super) fn give_back(name: char, booking: u8, seat_nos: &[u32]) -> Step {
    let command = Command::ReturnSeats(ReturnSeats {
        request: REQUEST,
        show_id: SHOW,
        fence: Fence::ZERO,
        seat_nos: seats(seat_nos),
        booking_id: BookingId::from_bytes([booking; 16]),
    });
    Step::of(name, command)
}

pub(super) fn block(seat_nos: &[u32]) -> Step {
    Step::new(Ask::Command(Command::BlockSeats(BlockSeats {
        request: REQUEST,
        show_id: SHOW,
        seat_nos: seats(seat_nos),
        actor: user(200),
    })))
}

pub(super) fn unblock(seat_nos: &[u32]) -> Step {
    Step::new(Ask::Command(Command::UnblockSeats(UnblockSeats {
        request: REQUEST,
        show_id: SHOW,
        seat_nos: seats(seat_nos),
        actor: user(201),
    })))
}

/// A claim of the life of the cluster before all others, under that fence's index: a hold with 50 s
/// to its end, and 200 s to the latest one.
pub(super) fn claim(name: char, customer: u8, fence: u64, seat_nos: &[u32]) -> LoadedClaim {
    LoadedClaim {
        fence: Fence::new(Lineage(0), fence, 0),
        hold_id: hold_id(name),
        holder: user(customer),
        seat_nos: seats(seat_nos),
        kind: LoadedKind::Hold {
            left: DurationMs(50_000),
            extendable: DurationMs(200_000),
            price_version: 7,
        },
    }
}

/// The same, sold to a booking.
pub(super) fn sold(name: char, booking: u8, fence: u64, seat_nos: &[u32]) -> LoadedClaim {
    LoadedClaim {
        kind: LoadedKind::Sale {
            booking_id: BookingId::from_bytes([booking; 16]),
        },
        ..claim(name, 1, fence, seat_nos)
    }
}

pub(super) fn load(claims: impl Into<Vec<LoadedClaim>>) -> Step {
    Step::new(Ask::Command(Command::LoadSeats(LoadSeats {
        request: REQUEST,
        show_id: SHOW,
        claims: claims.into(),
    })))
}

pub(super) fn advance(joins: u32, serving: u64) -> Step {
    Step::new(Ask::Command(Command::AdvanceQueue(AdvanceQueue {
        request: REQUEST,
        show_id: SHOW,
        joins,
        serving,
    })))
}

/// Reads a live hold of customer 1.
pub(super) fn get(name: char) -> Step {
    Step {
        hold: Some(name),
        ..Step::new(Ask::Get(user(1)))
    }
}

/// Every seat by its letter: `A`vailable, `H`eld, `S`old, `B`locked. Spaces count for nothing.
pub(super) fn look(seats: &str) -> Step {
    Step::new(Ask::Look).says(&seats.replace(' ', ""))
}

/// Waits until so much of the store's time has passed.
pub(super) fn pass(ms: u64) -> Step {
    Step::new(Ask::Pass(ms))
}
