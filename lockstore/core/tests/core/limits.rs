//! Bounds of work and memory that no command names: at the bound and one beyond it.

use holdfast_types::SeatNo;
use lockstore_core::{
    BestAvailable, Command, LayoutSeat, OpenShow, Outcome, RefusalReason, SeatKind, Selection,
    ShowRules, limits,
};

use crate::kit::*;

/// Seats side by side that are looked at as one.
const SEGMENT_SEATS: u32 = 512;
/// Seats of a row for which the lone-seat rule is judged.
const ROW_SEATS_JUDGED: u32 = 512;
/// Free stretches that a choice looks into.
const STRETCHES_EXAMINED: u32 = 512;
/// Seats that a choice looks at in all.
const SEATS_WALKED: u32 = 1 << 18;

/// With show 1 of these seats on sale, or why not.
fn opened(seats: Vec<LayoutSeat>, no_lone_seat: bool) -> Result<Store, RefusalReason> {
    opened_in(Store::new(), seats, no_lone_seat)
}

fn opened_in(
    mut store: Store,
    seats: Vec<LayoutSeat>,
    no_lone_seat: bool,
) -> Result<Store, RefusalReason> {
    let request = store.request();
    let outcome = store.apply(Command::OpenShow(OpenShow {
        request,
        show_id: show_id(1),
        seat_count: u32::try_from(seats.len()).expect("few"),
        rules: ShowRules {
            no_lone_seat,
            seats_per_customer_max: 64,
            ..rules()
        },
        first_seat_no: SeatNo(0),
        seats,
        on_sale: true,
    }));
    match outcome {
        Outcome::ShowOpened { .. } => Ok(store),
        other => Err(reason(&other)),
    }
}

fn chosen(store: &mut Store, wanted: BestAvailable) -> Result<Vec<u32>, RefusalReason> {
    let held = store.choose(1, Selection::BestAvailable(wanted));
    held.map(|hold| hold.seat_nos.iter().map(|seat_no| seat_no.0).collect())
        .map_err(|refusal| refusal.reason)
}

#[test]
fn show_has_so_many_pairs_of_section_and_price_and_no_more() {
    let pairs = |count: usize| {
        (0..u16::try_from(count).expect("small"))
            .map(|n| LayoutSeat {
                row_no: n.into(),
                section_no: n / 2,
                category_no: n % 2,
                ..LayoutSeat::default()
            })
            .collect()
    };
    assert!(opened(pairs(limits::ZONES_PER_SHOW_MAX), false).is_ok());
    let refused = opened(pairs(limits::ZONES_PER_SHOW_MAX + 1), false);
    assert_eq!(refused.map(|_| ()), Err(RefusalReason::Invalid));
}

#[test]
fn longer_row_is_cut_and_no_block_is_over_the_cut() {
    let around = |seat_no: u32| {
        let near = |n: u32| LayoutSeat {
            rank: if n.abs_diff(seat_no) <= 4 { 0 } else { 9 },
            ..LayoutSeat::default()
        };
        let mut store = opened((0..600).map(near).collect(), false).expect("good seats");
        chosen(&mut store, best(8)).expect("there are many")
    };
    let within = around(SEGMENT_SEATS - 20);
    assert_eq!(within, (488..496).collect::<Vec<_>>(), "the best there are");
    let at_the_cut = around(SEGMENT_SEATS);
    let is_left_of_it = |seat_no: &u32| *seat_no < SEGMENT_SEATS;
    let left = at_the_cut.iter().filter(|n| is_left_of_it(n)).count();
    assert!(left == 0 || left == 8, "{at_the_cut:?}");
}

#[test]
fn row_that_is_too_long_to_judge_is_free_of_the_lone_seat_rule() {
    let row = |count| vec![LayoutSeat::default(); count as usize];
    let mut store = opened(row(ROW_SEATS_JUDGED), true).expect("good seats");
    let refusal = store.hold(1, &[1]).expect_err("seat 0 is left");
    assert_eq!(refusal.reason, RefusalReason::LeavesLoneSeat);
    let mut store = opened(row(ROW_SEATS_JUDGED + 1), true).expect("good seats");
    store.held(1, &[1]);
}

#[test]
fn choice_looks_into_so_many_stretches_before_it_gives_up() {
    // Rows of companions, in each of which it is found only on looking that none is accessible.
    let rows_before = |count: u32| {
        let seat = |row_no: u32| LayoutSeat {
            row_no,
            rank: u16::from(row_no == count),
            kind: if row_no == count {
                SeatKind::Accessible
            } else {
                SeatKind::Companion
            },
            ..LayoutSeat::default()
        };
        let mut store = opened((0..=count).map(seat).collect(), false).expect("good seats");
        let wanted = BestAvailable {
            accessible: true,
            ..best(1)
        };
        chosen(&mut store, wanted)
    };
    let last = STRETCHES_EXAMINED - 1;
    assert_eq!(rows_before(last), Ok(vec![last]));
    assert_eq!(rows_before(last + 1), Err(RefusalReason::NoBlock));
}

#[test]
fn one_tick_forgets_so_many_requests_and_the_next_go_on() {
    const HOLDS: u32 = 700;
    let (mut store, _) = Store::with_crowd(HOLDS);
    let remembered = |store: &Store| {
        let show = store.state.show(show_id(1)).expect("there");
        show.request_count()
    };
    store.wait(OVERDUE_MS);
    while store.tick() > 0 {}
    assert!(remembered(&store) >= HOLDS as usize);
    store.wait(FORGOTTEN_MS + limits::FORGET_SLACK_MS);
    let before = remembered(&store);
    store.tick();
    let left = before - limits::FORGET_PER_ENTRY_MAX;
    assert_eq!(remembered(&store), left);
    store.tick();
    assert_eq!(remembered(&store), 0);
}

/// Eight rows for companions in front, and behind them accessible places, each alone: whoever wants
/// several looks along all rows for each, and before that for two together, three, and so on.
#[test]
fn choice_looks_at_so_many_seats_and_no_more_from_behaviour_2_on() {
    const COMPANIONS: u32 = 8 * 503;
    let seat = |n: u32| {
        let is_companion = n < COMPANIONS;
        LayoutSeat {
            row_no: if is_companion {
                n / 503
            } else {
                8 + n - COMPANIONS
            },
            rank: if is_companion { 0 } else { 9 },
            kind: if is_companion {
                SeatKind::Companion
            } else {
                SeatKind::Accessible
            },
            ..LayoutSeat::default()
        }
    };
    let hall: Vec<_> = (0..COMPANIONS + 64).map(seat).collect();
    let chosen_by = |behaviour, count| {
        let store = Store::following(behaviour);
        let mut store = opened_in(store, hall.clone(), false).expect("good seats");
        let wanted = BestAvailable {
            adjacent: false,
            accessible: true,
            ..best(count)
        };
        chosen(&mut store, wanted)
    };
    // So many seats are looked at for 33 places, and two first stretches at each turn.
    let walked = (32 + 33) * (COMPANIONS + 2) + 33;
    assert!((SEATS_WALKED - COMPANIONS..=SEATS_WALKED).contains(&walked));
    let places = |count| Ok((COMPANIONS..COMPANIONS + count).collect::<Vec<_>>());
    assert_eq!(chosen_by(2, 33), places(33));
    assert_eq!(chosen_by(2, 34), Err(RefusalReason::NoBlock));
    assert_eq!(chosen_by(1, 34), places(34));
}
