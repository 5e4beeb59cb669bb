//! Seats that the store chooses, and the rule of the lone seat.

use lockstore_core::{BestAvailable, Hold, Refusal, RefusalReason, Selection, ShowState, State};

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
