//! Seats that the store chooses, and the rule of the lone seat.

use lockstore_core::{BestAvailable, LayoutSeat, Selection, ShowRules};

use super::{
    Scenario, Step,
    halls::{ARENA, BACK, CHEAP, DEAR, FRONT, best, rules},
    step::{block, change_rules, choose, commit, get, hold, look, release},
};

pub(super) fn area(count: u32) -> Selection {
    Selection::Area {
        section_no: ARENA,
        count,
    }
}

/// Customer 1 takes the best there are.
fn take(name: char, wanted: BestAvailable) -> Step {
    choose(name, 1, Selection::BestAvailable(wanted))
}

fn of(sections: &[u16], categories: &[u16]) -> BestAvailable {
    BestAvailable {
        sections: sections.to_vec(),
        categories: categories.to_vec(),
        ..best(2)
    }
}

fn apart(count: u32) -> BestAvailable {
    BestAvailable {
        adjacent: false,
        ..best(count)
    }
}

fn accessible(count: u32) -> BestAvailable {
    BestAvailable {
        accessible: true,
        ..best(count)
    }
}

/// One row: the first three seats of another price, an aisle after seat 5.
fn one_row(count: u32) -> Vec<LayoutSeat> {
    let seat = |n: u32| LayoutSeat {
        category_no: u16::from(n < 3),
        gap_after: n == 5,
        ..LayoutSeat::default()
    };
    (0..count).map(seat).collect()
}

pub(super) fn all() -> Vec<Scenario> {
    let filter = |entries: u16| BestAvailable {
        sections: (1..=entries).collect(),
        ..best(1)
    };
    vec![
        Scenario::hall(
            "best seats are side by side around the middle of the first row",
            false,
            [
                take('a', best(4)).says("held 3 4 5 6"),
                // What is left of that row comes as near as the middle of the next.
                take('b', best(2)).says("held 1 2"),
                take('c', best(3)).says("held 7 8 9"),
                take('d', best(3)).says("held 13 14 15"),
                take('e', best(10)).says("held 20 21 22 23 24 25 26 27 28 29"),
            ],
        ),
        Scenario::hall(
            "choice sent twice gives the same seats whatever came between",
            false,
            [
                take('a', best(4)).says("held 3 4 5 6"),
                take('b', best(4)).says("held 13 14 15 16"),
                take('a', best(4)).says("held 3 4 5 6 again"),
                // The order in which a list was named means nothing.
                take('c', of(&[BACK, FRONT], &[])).says("held 1 2"),
                take('c', of(&[FRONT, BACK], &[])).says("held 1 2 again"),
                take('a', best(5)).says("RequestReused"),
                hold('a', 1, &[3, 4, 5, 6]).says("RequestReused"),
            ],
        ),
        Scenario::hall(
            "block keeps to the sections and the prices asked for",
            false,
            [
                take('a', of(&[BACK], &[])).says("held 24 25"),
                take('b', of(&[], &[CHEAP])).says("held 34 35"),
                take('c', of(&[BACK, FRONT], &[DEAR])).says("held 4 5"),
                take('d', of(&[FRONT], &[CHEAP])).says("NoBlock"),
            ],
        ),
        Scenario::of(
            "block is of one price and bridges no aisle",
            rules(),
            one_row(9),
            [
                take('a', best(4)).says("NoBlock"),
                take('a', apart(4)).says("held 0 1 2 3"),
            ],
        ),
        Scenario::hall(
            "accessible places are kept for those who ask",
            false,
            [
                take('a', best(10)).says("held 0 1 2 3 4 5 6 7 8 9"),
                take('b', best(10)).says("held 10 11 12 13 14 15 16 17 18 19"),
                take('c', best(10)).says("held 20 21 22 23 24 25 26 27 28 29"),
                take('d', best(10)).says("held 30 31 32 33 34 35 36 37 38 39"),
                take('e', best(2)).says("NoBlock"),
                take('f', accessible(2)).says("held 40 41"),
                take('g', accessible(1)).says("held 43"),
                // A companion's seat alone is none.
                take('h', accessible(1)).says("NoBlock"),
                // Whoever names it has asked for it.
                hold('i', 3, &[42]).says("held 42"),
            ],
        ),
        Scenario::hall(
            "seats that need not be together come in the largest blocks there are",
            false,
            {
                let taken = ('w'..='z').zip([0, 10, 20, 30]).map(|(name, row)| {
                    let [a, b, c] = [row + 3, row + 4, row + 8];
                    hold(name, 9, &[a, b, c]).says(&format!("held {a} {b} {c}"))
                });
                let asked = [
                    take('a', best(4)).says("NoBlock"),
                    take('b', apart(5)).says("held 1 2 5 6 7"),
                    // 28 - 5 are left.
                    take('c', apart(24)).says("NoBlock"),
                    take('c', apart(23)).says(
                        "held 0 9 10 11 12 15 16 17 19 20 21 22 25 26 27 29 30 31 32 35 36 37 39",
                    ),
                ];
                taken.chain(asked).collect::<Vec<_>>()
            },
        ),
        Scenario::hall(
            "choice names as many seats and sections as it may",
            false,
            [
                take('a', best(0)).says("Invalid limit 64"),
                take('a', best(65)).says("Invalid limit 64"),
                take('a', best(64)).says("LimitExceeded limit 50"),
                take('a', filter(65)).says("Invalid limit 64"),
                take('a', filter(64)).says("held 4"),
                choose('b', 1, area(0)).says("Invalid limit 64"),
                choose('b', 1, area(65)).says("Invalid limit 64"),
                choose('b', 1, area(64)).says("LimitExceeded limit 50"),
            ],
        ),
        Scenario::hall(
            "whoever leaves a lone seat is told which",
            true,
            [
                hold('a', 1, &[1, 2]).says("LeavesLoneSeat 0A"),
                hold('b', 1, &[0, 1]).says("held 0 1"),
                hold('c', 1, &[3, 5, 8]).says("LeavesLoneSeat 2A 4A 9A"),
                hold('d', 1, &[2, 3, 4]).says("held 2 3 4"),
            ],
        ),
        Scenario::hall(
            "lone seat may be left where the row offers no other way",
            true,
            [
                // Three are free, and nothing else in the row.
                hold('a', 1, &[0, 1, 2, 3, 4, 5, 6]).says("held 0 1 2 3 4 5 6"),
                hold('b', 1, &[7, 8]).says("held 7 8"),
                // One that was alone before is nobody's fault.
                hold('c', 1, &[9]).says("held 9"),
                release('b').says("released 7 8"),
                // Two and two in the next row: one has to go somewhere, but two have another way.
                hold('d', 1, &[12, 13, 14, 15, 16, 17]).says("held 12 13 14 15 16 17"),
                hold('e', 1, &[10]).says("held 10"),
                hold('f', 1, &[11, 18]).says("LeavesLoneSeat 19A"),
                hold('g', 1, &[11]).says("held 11"),
                hold('h', 1, &[18]).says("held 18"),
            ],
        ),
        Scenario::hall(
            "late money may leave a lone seat",
            true,
            [hold('a', 1, &[1, 2]).late_money().says("held 1 2")],
        ),
        Scenario::hall(
            "show without the rule lets a lone seat be",
            false,
            [hold('a', 1, &[1, 2]).says("held 1 2")],
        ),
        Scenario::of(
            "lone seat is judged up to aisles and over the borders of prices",
            ShowRules {
                no_lone_seat: true,
                ..rules()
            },
            one_row(12),
            [
                // Seat 2 has company beyond the price's border, seat 5 none beyond the aisle.
                hold('a', 1, &[0, 1]).says("held 0 1"),
                hold('b', 2, &[3, 4]).says("LeavesLoneSeat 2A 5A"),
                release('a').says("released 0 1"),
                // A choice obeys it too: not 1 and 2.
                hold('c', 3, &[0]).says("held 0"),
                take(
                    'd',
                    BestAvailable {
                        categories: vec![1],
                        ..best(1)
                    },
                )
                .says("held 1"),
            ],
        ),
        Scenario::hall(
            "choice leaves no lone seat unless there is no other way",
            true,
            [
                // Seven are free in the first row, the nearest at its inner end: four leave three.
                hold('a', 1, &[0, 1, 2]).says("held 0 1 2"),
                take('b', best(2)).says("held 3 4"),
                take('c', best(4)).says("held 13 14 15 16"),
                // Five are left in the first: four of them leave one, here and in the section.
                take(
                    'd',
                    BestAvailable {
                        sections: vec![FRONT],
                        ..best(4)
                    },
                )
                .says("held 5 6 7 8"),
            ],
        ),
        Scenario::hall(
            "places of an area are given out from the lowest free one",
            true,
            [
                choose('a', 1, area(3)).says("held 44 45 46"),
                hold('b', 1, &[47, 48]).says("held 47 48"),
                choose('c', 1, area(2)).says("held 49 50"),
                release('b').says("released 47 48"),
                block(&[47]).says("blocked 47"),
                choose('d', 1, area(2)).says("held 48 51"),
                choose('e', 1, area(13)).says("NoBlock limit 12"),
                choose('e', 1, area(12)).says("held 52 53 54 55 56 57 58 59 60 61 62 63"),
                choose(
                    'f',
                    1,
                    Selection::Area {
                        section_no: FRONT,
                        count: 1,
                    },
                )
                .says("SeatUnknown"),
            ],
        ),
        Scenario::hall(
            "cap counts chosen seats and places like others",
            false,
            [
                change_rules(rules()).says("changed OnSale"),
                choose('a', 1, area(3)).says("held 44 45 46"),
                take('b', best(2)).says("held 4 5"),
                take('c', best(2)).says("LimitExceeded limit 6"),
                choose('d', 1, area(2)).says("LimitExceeded limit 6"),
                choose('e', 1, area(1)).says("held 47"),
            ],
        ),
        Scenario::hall(
            "chosen seats are sold like others",
            true,
            [
                take('a', best(2)).says("held 4 5"),
                choose('b', 1, area(1)).says("held 44"),
                get('a').says("live 4 5"),
                commit('a', 1).says("sold 4 5"),
                commit('b', 1).says("sold 44"),
                look("AAAASSAAAA AAAAAAAAAA AAAAAAAAAA AAAAAAAAAA AAAA SAAAAAAAAAAAAAAAAAAA"),
            ],
        ),
    ]
}
