//! Seats that the store chooses, and the rule of the lone seat.

use holdfast_types::SeatNo;
use lockstore_core::{
    BestAvailable, Command, Hold, LayoutSeat, OpenShow, Refusal, RefusalReason, SeatKind,
    Selection, ShowState, State, limits,
};

use crate::kit::*;

fn numbers(hold: &Hold) -> Vec<u32> {
    hold.seat_nos.iter().map(|seat_no| seat_no.0).collect()
}

fn choose(store: &mut Store, wanted: BestAvailable) -> Result<Vec<u32>, RefusalReason> {
    let held = store.choose(1, Selection::BestAvailable(wanted));
    held.map(|hold| numbers(&hold))
        .map_err(|refusal| refusal.reason)
}

fn take_places(store: &mut Store, count: u32) -> Result<Vec<u32>, Refusal> {
    let area = Selection::Area {
        section_no: ARENA,
        count,
    };
    store.choose(1, area).map(|hold| numbers(&hold))
}

#[test]
fn same_seats_are_chosen_after_a_restart() {
    let mut store = Store::with_hall(true);
    for holder in 1..5 {
        store
            .choose(holder, Selection::BestAvailable(best(u32::from(holder))))
            .expect("free");
    }
    take_places(&mut store, 2).expect("free");
    let mut restored = store.clone();
    restored.state = State::from_records(store.state.records()).expect("good records");
    for count in [4, 3, 2, 1, 4] {
        let expected = choose(&mut store, best(count));
        assert_eq!(choose(&mut restored, best(count)), expected);
    }
    assert_eq!(take_places(&mut restored, 4), take_places(&mut store, 4));
    assert_eq!(store.state.hash(), restored.state.hash());
}

#[test]
fn layout_with_an_area_in_pieces_or_too_many_sections_is_refused() {
    let mut store = Store::new();
    let place = |row_no: u32, section_no: u16, kind| LayoutSeat {
        row_no,
        section_no,
        kind,
        ..LayoutSeat::default()
    };
    let standing = SeatKind::Standing;
    let pieces = vec![
        place(0, 1, standing),
        place(1, 2, SeatKind::Plain),
        place(2, 1, standing),
    ];
    let sections = u16::try_from(limits::ZONES_PER_SHOW_MAX).expect("small") + 1;
    let many = (0..sections).map(|n| place(u32::from(n), n, SeatKind::Plain));
    for seats in [pieces, many.collect()] {
        let request = store.request();
        let outcome = store.apply(Command::OpenShow(OpenShow {
            request,
            show_id: show_id(1),
            seat_count: u32::try_from(seats.len()).expect("few"),
            rules: rules(),
            first_seat_no: SeatNo(0),
            seats,
            on_sale: true,
        }));
        assert_eq!(reason(&outcome), RefusalReason::Invalid);
        assert_eq!(store.state.show_count(), 0);
    }
}

#[test]
fn chosen_seats_go_back_and_are_chosen_again() {
    let mut store = Store::with_hall(true);
    for _ in 0..3 {
        let held = store
            .choose(1, Selection::BestAvailable(best(4)))
            .expect("free");
        assert_eq!(numbers(&held), [3, 4, 5, 6]);
        store.wait(OVERDUE_MS);
        store.tick();
    }
    store.change(ShowState::Closed);
    assert_eq!(
        choose(&mut store, best(1)),
        Err(RefusalReason::ShowNotOnSale)
    );
}
