//! What choosing costs; printed, never judged. Run with `--release -- --ignored --nocapture`.

use std::time::Instant;

use holdfast_types::{DurationMs, Revision, SeatNo, UserId};
use lockstore_core::{
    BestAvailable, Command, HoldSeats, LayoutSeat, OpenShow, Outcome, Selection, ShowRules, State,
};

use crate::kit::*;

const SECTIONS: u32 = 20;
const ROWS_PER_SECTION: u32 = 40;
const SEATS_PER_ROW: u32 = 25;
const SEATS_PER_SECTION: u32 = ROWS_PER_SECTION * SEATS_PER_ROW;

/// Twenty sections of forty rows of twenty-five; the farther back, the cheaper.
fn arena_seat(n: u32) -> LayoutSeat {
    let (section, row, place) = (
        n / SEATS_PER_SECTION,
        n / SEATS_PER_ROW % ROWS_PER_SECTION,
        n % SEATS_PER_ROW,
    );
    LayoutSeat {
        row_no: n / SEATS_PER_ROW,
        rank: (100 * (section / 4) + 2 * row + place.abs_diff(SEATS_PER_ROW / 2)) as u16,
        section_no: section as u16,
        category_no: (section / 4) as u16,
        ..LayoutSeat::default()
    }
}

struct Arena {
    state: State,
    index: u64,
}

impl Arena {
    fn open(no_lone_seat: bool) -> Self {
        let mut arena = Self {
            state: State::new(LINEAGE),
            index: 0,
        };
        let seat_count = SECTIONS * SEATS_PER_SECTION;
        let layout: Vec<LayoutSeat> = (0..seat_count).map(arena_seat).collect();
        for (chunk_no, seats) in (0..).zip(layout.chunks(4_096)) {
            let command = Command::OpenShow(OpenShow {
                request: arena.request(),
                show_id: show_id(1),
                seat_count,
                rules: ShowRules {
                    no_lone_seat,
                    ..rules()
                },
                first_seat_no: SeatNo(chunk_no * 4_096),
                seats: seats.to_vec(),
                on_sale: true,
            });
            assert!(matches!(arena.apply(&command), Outcome::ShowOpened { .. }));
        }
        arena
    }

    fn request(&self) -> lockstore_core::Request {
        lockstore_core::Request {
            id: lockstore_core::RequestId((u128::from(self.index) + 1).to_be_bytes()),
            not_after: START.plus(DurationMs(5_000)),
        }
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        self.index += 1;
        let revision = Revision::new(LINEAGE, self.index, 0);
        self.state.apply(command, START, revision).0
    }

    fn hold(&self, selection: Selection) -> Command {
        Command::HoldSeats(HoldSeats {
            request: self.request(),
            show_id: show_id(1),
            holder: UserId::from_bytes(u128::from(self.index).to_be_bytes()),
            selection,
            ttl: DurationMs(0),
            price_version: 1,
            late_money: false,
        })
    }

    /// Sells out, four at a time; the nanoseconds of each command, and how many were granted.
    fn sell_out(&mut self, select: impl Fn(u64) -> Selection) -> (Vec<u128>, usize) {
        let mut costs = Vec::new();
        let mut refused = 0;
        for n in 0.. {
            let command = self.hold(select(n));
            #[expect(
                clippy::disallowed_methods,
                reason = "the clock measures; the state has none"
            )]
            let began = Instant::now();
            let outcome = self.apply(&command);
            costs.push(began.elapsed().as_nanos());
            refused += usize::from(matches!(outcome, Outcome::Refused(_)));
            if refused > 100 {
                break;
            }
        }
        let granted = costs.len() - refused;
        (costs, granted)
    }
}

fn print(what: &str, (mut costs, granted): (Vec<u128>, usize)) {
    costs.sort_unstable();
    let mean = costs.iter().sum::<u128>() / costs.len() as u128;
    let at = |part: usize| costs[(costs.len() - 1) * part / 1_000];
    println!(
        "{what}: {mean} ns a command (median {}, p99 {}, p99.9 {}, most {}), {granted} granted",
        at(500),
        at(990),
        at(999),
        at(1_000)
    );
}

#[test]
#[ignore = "a measurement"]
fn what_a_choice_costs_while_a_show_of_20_000_seats_sells_out() {
    for no_lone_seat in [false, true] {
        let rule = if no_lone_seat { "with" } else { "without" };
        let four = || Selection::BestAvailable(best(4));
        let sold = Arena::open(no_lone_seat).sell_out(|_| four());
        print(
            &format!("best four of all, {rule} the lone-seat rule"),
            sold,
        );
        let sold = Arena::open(no_lone_seat).sell_out(|n| {
            Selection::BestAvailable(BestAvailable {
                categories: (0..=(n % 5) as u16).collect(),
                ..best(4)
            })
        });
        print(&format!("best four up to a price, {rule} the rule"), sold);
        let sold = Arena::open(no_lone_seat).sell_out(|_| {
            Selection::BestAvailable(BestAvailable {
                adjacent: false,
                ..best(4)
            })
        });
        print(&format!("best four in any blocks, {rule} the rule"), sold);
    }
    let sold = Arena::open(false).sell_out(|n| {
        let first = (4 * n) as u32 % (SECTIONS * SEATS_PER_SECTION);
        Selection::Seats((first..first + 4).map(SeatNo).collect())
    });
    print("four named seats", sold);
}

/// Memory this process has now, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = pages
        .split(' ')
        .nth(1)
        .expect("the second is what is resident");
    pages.parse::<u64>().expect("a number") * 4_096
}

#[test]
#[ignore = "a measurement"]
fn what_a_layout_takes() {
    const SHOWS: u64 = 20;
    println!("{} bytes a seat of a layout", size_of::<LayoutSeat>());
    let before = resident();
    let shows: Vec<Arena> = (0..SHOWS).map(|_| Arena::open(false)).collect();
    let bytes = resident() - before;
    let seats = SHOWS * u64::from(SECTIONS * SEATS_PER_SECTION);
    println!(
        "{} bytes a seat of an open show that nothing was held in",
        bytes / seats
    );
    drop(shows);
}
