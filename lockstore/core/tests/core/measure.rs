//! What choosing costs; printed, never judged. Run with `--release -- --ignored --nocapture`.

use std::time::Instant;

use holdfast_types::{ClusterTime, DurationMs, Revision, SeatNo, UserId};
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

/// A crowd of holds of one seat each, in shows of 100,000 seats, with ids and holders as spread as
/// random ones.
struct Crowd {
    state: State,
    index: u64,
    now: ClusterTime,
}

const CROWD_SHOWS: u8 = 10;
const CROWD_SEATS: u32 = 100_000;

impl Crowd {
    fn open() -> Self {
        let mut crowd = Self {
            state: State::new(LINEAGE),
            index: 0,
            now: START,
        };
        crowd.state.follow(NEWEST);
        for show in 1..=CROWD_SHOWS {
            for first in (0..CROWD_SEATS).step_by(4_000) {
                let command = Command::OpenShow(OpenShow {
                    request: crowd.request(u128::from(crowd.index)),
                    show_id: show_id(show),
                    seat_count: CROWD_SEATS,
                    rules: rules(),
                    first_seat_no: SeatNo(first),
                    seats: (first..first + 4_000).map(arena_seat).collect(),
                    on_sale: true,
                });
                let outcome = crowd.apply(&command);
                assert!(matches!(outcome, Outcome::ShowOpened { .. }), "{outcome:?}");
            }
        }
        crowd
    }

    fn request(&self, id: u128) -> lockstore_core::Request {
        lockstore_core::Request {
            id: lockstore_core::RequestId(id.to_be_bytes()),
            not_after: self.now.plus(DurationMs(5_000)),
        }
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        self.index += 1;
        let revision = Revision::new(LINEAGE, self.index, 0);
        self.state.apply(command, self.now, revision).0
    }

    /// A hundred holds in each millisecond.
    fn hold_all(&mut self) -> u64 {
        let spread = |n: u32| u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let holds = u32::from(CROWD_SHOWS) * CROWD_SEATS;
        for n in 0..holds {
            if n % 100 == 0 {
                self.now = self.now.plus(DurationMs(1));
            }
            let command = Command::HoldSeats(HoldSeats {
                request: self.request(spread(2 * n + 1)),
                show_id: show_id((n / CROWD_SEATS) as u8 + 1),
                holder: UserId::from_bytes(spread(2 * n + 2).to_be_bytes()),
                selection: Selection::Seats(vec![SeatNo(n % CROWD_SEATS)]),
                ttl: DurationMs(0),
                price_version: 1,
                late_money: false,
            });
            let outcome = self.apply(&command);
            assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
        }
        u64::from(holds)
    }
}

/// What `work` takes of the processor, in nanoseconds.
fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let spent = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
        let spent = stat.split(' ').next().expect("the first is time spent");
        spent.parse::<u64>().expect("a number")
    };
    let before = spent();
    let result = work();
    (result, spent() - before)
}

#[test]
#[ignore = "a measurement"]
fn what_a_million_holds_take_and_cost() {
    let mut crowd = Crowd::open();
    let before = resident();
    let (holds, ns) = timed(|| crowd.hold_all());
    println!("{} bytes a live hold", (resident() - before) / holds);
    println!("{} ns to make one", ns / holds);
    let (restored, ns) = timed(|| State::from_records(crowd.state.records()).expect("good"));
    println!("{} ns to restore one", ns / holds);
    assert_eq!(restored.hash(), crowd.state.hash());
    drop(restored);

    crowd.now = crowd.now.plus(DurationMs(OVERDUE_MS));
    let (mut entries, mut most) = (0, 0);
    let (_, ns) = timed(|| {
        loop {
            let (outcome, ns) = timed(|| crowd.apply(&Command::Tick));
            let Outcome::Ticked { swept } = outcome else {
                panic!("a tick answered {outcome:?}")
            };
            if swept == 0 {
                break;
            }
            entries += 1;
            most = most.max(ns);
        }
    });
    println!(
        "{} ns to end one, in {entries} ticks of at most {most} ns",
        ns / holds
    );
}
