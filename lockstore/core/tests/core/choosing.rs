//! Seats that the store chooses, and the rule of the lone seat.

use holdfast_types::{SeatNo, SeatState};
use lockstore_core::{
    BestAvailable, Command, Hold, HoldSeats, LayoutSeat, OpenShow, Outcome, Refusal, RefusalReason,
    SeatKind, Selection, ShowState, State, limits,
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
fn best_seats_are_side_by_side_around_the_middle_of_the_first_row() {
    let mut store = Store::with_hall(false);
    assert_eq!(choose(&mut store, best(4)), Ok(vec![3, 4, 5, 6]));
    // What is left of that row comes as near as the middle of the next.
    assert_eq!(choose(&mut store, best(2)), Ok(vec![1, 2]));
    assert_eq!(choose(&mut store, best(3)), Ok(vec![7, 8, 9]));
    assert_eq!(choose(&mut store, best(3)), Ok(vec![13, 14, 15]));
    assert_eq!(choose(&mut store, best(10)), Ok((20..30).collect()));
}

#[test]
fn choice_sent_twice_gives_the_same_seats_whatever_came_between() {
    let mut store = Store::with_hall(false);
    let command = HoldSeats {
        selection: Selection::BestAvailable(best(4)),
        ..store.hold_command(1, &[])
    };
    let first = store.apply(Command::HoldSeats(command.clone()));
    let Outcome::Held { hold, .. } = first else {
        panic!("{first:?}")
    };
    choose(&mut store, best(4)).expect("there are more");
    let mut copies = [command.clone(), command.clone(), command];
    // The order in which a list was named means nothing; another number is another request.
    for (n, copy) in (1..).zip(&mut copies) {
        let Selection::BestAvailable(wanted) = &mut copy.selection else {
            panic!("it is one")
        };
        wanted.count += n / 3;
    }
    for copy in &copies[..2] {
        let again = store.apply(Command::HoldSeats(copy.clone()));
        let hold = hold.clone();
        assert_eq!(
            again,
            Outcome::Held {
                hold,
                replayed: true
            }
        );
    }
    let other = store.apply(Command::HoldSeats(copies[2].clone()));
    assert_eq!(reason(&other), RefusalReason::RequestReused);
}

#[test]
fn block_keeps_to_the_sections_and_the_prices_asked_for() {
    let mut store = Store::with_hall(false);
    let of = |sections: &[u16], categories: &[u16]| BestAvailable {
        sections: sections.to_vec(),
        categories: categories.to_vec(),
        ..best(2)
    };
    assert_eq!(choose(&mut store, of(&[BACK], &[])), Ok(vec![24, 25]));
    assert_eq!(choose(&mut store, of(&[], &[CHEAP])), Ok(vec![34, 35]));
    assert_eq!(
        choose(&mut store, of(&[BACK, FRONT], &[DEAR])),
        Ok(vec![4, 5])
    );
    let none = choose(&mut store, of(&[FRONT], &[CHEAP]));
    assert_eq!(none, Err(RefusalReason::NoBlock));
}

#[test]
fn block_is_of_one_price_and_bridges_no_aisle() {
    let mut store = Store::new();
    let request = store.request();
    let seat = |n: u32| LayoutSeat {
        category_no: u16::from(n < 3),
        gap_after: n == 5,
        ..LayoutSeat::default()
    };
    store.apply(Command::OpenShow(OpenShow {
        request,
        show_id: show_id(1),
        seat_count: 9,
        rules: rules(),
        first_seat_no: SeatNo(0),
        seats: (0..9).map(seat).collect(),
        on_sale: true,
    }));
    assert_eq!(choose(&mut store, best(4)), Err(RefusalReason::NoBlock));
    let apart = BestAvailable {
        adjacent: false,
        ..best(4)
    };
    assert_eq!(choose(&mut store, apart), Ok(vec![0, 1, 2, 3]));
}

#[test]
fn accessible_places_are_kept_for_those_who_ask() {
    let mut store = Store::with_hall(false);
    let asked = |count| BestAvailable {
        accessible: true,
        ..best(count)
    };
    for _ in 0..4 {
        choose(&mut store, best(10)).expect("four rows");
    }
    assert_eq!(choose(&mut store, best(2)), Err(RefusalReason::NoBlock));
    assert_eq!(choose(&mut store, asked(2)), Ok(vec![40, 41]));
    assert_eq!(choose(&mut store, asked(1)), Ok(vec![43]));
    let companion_alone = choose(&mut store, asked(1));
    assert_eq!(companion_alone, Err(RefusalReason::NoBlock));
    // Whoever names it has asked for it.
    store.held(3, &[42]);
}

#[test]
fn seats_that_need_not_be_together_come_in_the_largest_blocks_there_are() {
    let mut store = Store::with_hall(false);
    for row in 0..4 {
        let taken: Vec<u32> = [3, 4, 8].map(|n| 10 * row + n).into();
        store.held(9, &taken);
    }
    let apart = |count| BestAvailable {
        adjacent: false,
        ..best(count)
    };
    assert_eq!(choose(&mut store, best(4)), Err(RefusalReason::NoBlock));
    assert_eq!(choose(&mut store, apart(5)), Ok(vec![1, 2, 5, 6, 7]));
    // 28 - 5 are left.
    assert_eq!(choose(&mut store, apart(24)), Err(RefusalReason::NoBlock));
    assert_eq!(
        choose(&mut store, apart(23)).map(|seats| seats.len()),
        Ok(23)
    );
}

#[test]
fn whoever_leaves_a_lone_seat_is_told_which() {
    let mut store = Store::with_hall(true);
    let refusal = store.hold(1, &[1, 2]).expect_err("seat 0 is left");
    assert_eq!(refusal.reason, RefusalReason::LeavesLoneSeat);
    assert_eq!(refusal.seats[0].seat_no, SeatNo(0));
    assert_eq!(refusal.seats[0].state, Some(SeatState::Available));
    store.held(1, &[0, 1]);
    let refusal = store.hold(1, &[3, 5, 8]).expect_err("2, 4 and 9 are left");
    let left: Vec<u32> = refusal.seats.iter().map(|seat| seat.seat_no.0).collect();
    assert_eq!(left, [2, 4, 9]);
    store.held(1, &[2, 3, 4]);
}

#[test]
fn lone_seat_may_be_left_where_the_row_offers_no_other_way() {
    let mut store = Store::with_hall(true);
    // Three are free, and nothing else in the row.
    store.held(1, &[0, 1, 2, 3, 4, 5, 6]);
    let first = store.held(2, &[7, 8]);
    assert_eq!(store.seat(9), SeatState::Available);
    // One that was alone before is nobody's fault.
    store.held(3, &[9]);
    store.release(&first);
    // Two and two in the next row: one has to go somewhere, but two have another way.
    store.held(1, &[12, 13, 14, 15, 16, 17]);
    store.held(2, &[10]);
    let refusal = store
        .hold(3, &[11, 18])
        .expect_err("18 and 19 are together");
    assert_eq!(refusal.reason, RefusalReason::LeavesLoneSeat);
    store.held(3, &[11]);
    store.held(3, &[18]);
}

#[test]
fn late_money_and_shows_without_the_rule_may_leave_a_lone_seat() {
    let mut store = Store::with_hall(true);
    let late = HoldSeats {
        late_money: true,
        ..store.hold_command(1, &[1, 2])
    };
    let outcome = store.apply(Command::HoldSeats(late));
    assert!(matches!(outcome, Outcome::Held { .. }));
    Store::with_hall(false).held(1, &[1, 2]);
}

#[test]
fn lone_seat_is_judged_up_to_aisles_and_over_the_borders_of_prices() {
    let mut store = Store::new();
    let request = store.request();
    let seat = |n: u32| LayoutSeat {
        category_no: u16::from(n < 3),
        gap_after: n == 5,
        ..LayoutSeat::default()
    };
    store.apply(Command::OpenShow(OpenShow {
        request,
        show_id: show_id(1),
        seat_count: 12,
        rules: lockstore_core::ShowRules {
            no_lone_seat: true,
            ..rules()
        },
        first_seat_no: SeatNo(0),
        seats: (0..12).map(seat).collect(),
        on_sale: true,
    }));
    // Seat 2 has company beyond the price's border, seat 5 none beyond the aisle.
    let held = store.held(1, &[0, 1]);
    let refusal = store.hold(2, &[3, 4]).expect_err("2 and 5 are left");
    let left: Vec<u32> = refusal.seats.iter().map(|seat| seat.seat_no.0).collect();
    assert_eq!(left, [2, 5]);
    store.release(&held);
    // A choice obeys it too: not 1 and 2.
    store.held(3, &[0]);
    let dear = BestAvailable {
        categories: vec![1],
        ..best(1)
    };
    assert_eq!(choose(&mut store, dear), Ok(vec![1]));
}

#[test]
fn choice_leaves_no_lone_seat() {
    let mut store = Store::with_hall(true);
    // Seven are free in the first row, the nearest at its inner end: four from there leave three.
    store.held(1, &[0, 1, 2]);
    assert_eq!(choose(&mut store, best(2)), Ok(vec![3, 4]));
    assert_eq!(choose(&mut store, best(4)), Ok(vec![13, 14, 15, 16]));
    // Five are left in the first: four of them would leave one.
    let first_row = BestAvailable {
        sections: vec![FRONT],
        ..best(4)
    };
    assert_eq!(
        choose(&mut store, first_row),
        Ok(vec![5, 6, 7, 8]),
        "there is no other way in this row, nor in this section"
    );
}

#[test]
fn places_of_an_area_are_given_out_from_the_lowest_free_one() {
    let mut store = Store::with_hall(true);
    assert_eq!(take_places(&mut store, 3), Ok(vec![44, 45, 46]));
    let back = store.held(2, &[47, 48]);
    assert_eq!(take_places(&mut store, 2), Ok(vec![49, 50]));
    store.release(&back);
    store.block(&[47]);
    assert_eq!(take_places(&mut store, 2), Ok(vec![48, 51]));
    let refusal = take_places(&mut store, 13).expect_err("twelve are left");
    assert_eq!(
        (refusal.reason, refusal.limit),
        (RefusalReason::NoBlock, 12)
    );
    assert_eq!(take_places(&mut store, 12), Ok((52..64).collect()));
    let elsewhere = Selection::Area {
        section_no: FRONT,
        count: 1,
    };
    let refusal = store.choose(1, elsewhere).expect_err("it is no area");
    assert_eq!(refusal.reason, RefusalReason::SeatUnknown);
}

#[test]
fn cap_counts_chosen_seats_and_places_like_others() {
    let mut store = Store::with_hall(false);
    let request = store.request();
    let capped = lockstore_core::ShowRules {
        seats_per_customer_max: 6,
        ..rules()
    };
    store.apply(change(request, None, Some(capped)));
    take_places(&mut store, 3).expect("free");
    choose(&mut store, best(2)).expect("free");
    assert_eq!(
        choose(&mut store, best(2)),
        Err(RefusalReason::LimitExceeded)
    );
    let refusal = take_places(&mut store, 2).expect_err("one is left");
    assert_eq!(refusal.reason, RefusalReason::LimitExceeded);
    take_places(&mut store, 1).expect("it is the last");
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
