//! What staff does: shows opened chunk by chunk and changed, seats blocked and put back.

use holdfast_types::DurationMs;
use lockstore_core::{LayoutSeat, SeatKind, ShowRules, ShowState};

use super::{
    Scenario, Step,
    halls::{TOTAL_MS, rows, rules},
    step::{
        block, change, change_both, change_rules, commit, give_back, hold, look, open, pass,
        unblock,
    },
};

/// A chunk of the rows of a show of `seat_count`.
fn chunk(first: u32, count: u32, seat_count: u32) -> Step {
    open(first, rows(first, count), seat_count, rules())
}

fn whole(seats: Vec<LayoutSeat>) -> Step {
    let seat_count = u32::try_from(seats.len()).expect("few");
    open(0, seats, seat_count, rules())
}

fn nothing_open(name: &str, steps: impl Into<Vec<Step>>) -> Scenario {
    Scenario::of(name, rules(), Vec::new(), steps)
}

pub(super) fn all() -> Vec<Scenario> {
    let mut all = shows();
    all.extend(blocks());
    all
}

fn shows() -> Vec<Scenario> {
    let tight = ShowRules {
        seats_per_customer_max: 2,
        ..rules()
    };
    let place = |row_no, section_no, kind| LayoutSeat {
        row_no,
        section_no,
        kind,
        ..LayoutSeat::default()
    };
    let in_pieces = vec![
        place(0, 1, SeatKind::Standing),
        place(1, 2, SeatKind::Plain),
        place(2, 1, SeatKind::Standing),
    ];
    vec![
        nothing_open(
            "layout arrives in chunks and a chunk again changes nothing",
            [
                chunk(12, 12, 30).says("Invalid"),
                look("no show").says("no show"),
                chunk(0, 12, 30).says("opened Opening 12"),
                chunk(0, 12, 31).says("Invalid limit 12"),
                chunk(13, 10, 30).says("Invalid limit 12"),
                chunk(11, 10, 30).says("Invalid limit 12"),
                hold('a', 1, &[1]).says("ShowNotOnSale"),
                chunk(0, 12, 30).says("opened Opening 12"),
                chunk(12, 18, 30).says("opened OnSale 30"),
                chunk(12, 18, 30).says("opened OnSale 30"),
                change_both(Some(ShowState::Paused), Some(tight)).says("changed Paused"),
                chunk(12, 18, 30).says("opened Paused 30"),
                hold('b', 1, &[1]).says("ShowNotOnSale"),
            ],
        ),
        nothing_open(
            "chunk has at most 4,096 seats",
            [
                chunk(0, 0, 30).says("Invalid limit 4096"),
                chunk(0, 4_097, 5_000).says("Invalid limit 4096"),
                chunk(0, 4_096, 5_000).says("opened Opening 4096"),
                chunk(4_096, 904, 5_000).says("opened OnSale 5000"),
            ],
        ),
        nothing_open(
            "show has at most 100,000 seats",
            [
                chunk(0, 10, 0).says("Invalid limit 100000"),
                chunk(0, 10, 100_001).says("Invalid limit 100000"),
                chunk(0, 10, 100_000).says("opened Opening 10"),
            ],
        ),
        nothing_open(
            "show not put on sale is paused when its layout is there",
            [
                chunk(0, 5, 5).not_on_sale().says("opened Paused 5"),
                change(ShowState::OnSale).says("changed OnSale"),
                hold('a', 1, &[1]).says("held 1"),
            ],
        ),
        nothing_open(
            "layout with an area in pieces is refused",
            [
                whole(in_pieces).says("Invalid limit 2048"),
                look("no show").says("no show"),
            ],
        ),
        Scenario::plain(
            "rules are in bounds",
            [
                (TOTAL_MS + 1, TOTAL_MS, 1, "Invalid"),
                (999, TOTAL_MS, 1, "Invalid"),
                (3_600_001, 7_200_000, 1, "Invalid"),
                (3_600_000, 7_200_001, 1, "Invalid"),
                (1_000, TOTAL_MS, 0, "Invalid"),
                (1_000, TOTAL_MS, 100_001, "Invalid"),
                (1_000, 1_000, 1, "changed OnSale"),
                (3_600_000, 7_200_000, 100_000, "changed OnSale"),
            ]
            .map(|(ttl, total, seats_per_customer_max, says)| {
                let rules = ShowRules {
                    hold_ttl: DurationMs(ttl),
                    hold_total_max: DurationMs(total),
                    seats_per_customer_max,
                    no_lone_seat: false,
                };
                change_rules(rules).says(says)
            }),
        ),
        Scenario::plain(
            "late copy of a change does not undo a later one",
            [
                change(ShowState::Paused)
                    .request('x')
                    .says("changed Paused"),
                change(ShowState::OnSale).says("changed OnSale"),
                change(ShowState::Paused)
                    .request('x')
                    .says("changed OnSale"),
                hold('a', 1, &[1]).says("held 1"),
            ],
        ),
    ]
}

fn blocks() -> Vec<Scenario> {
    let many: Vec<u32> = (0..1_025).collect();
    vec![
        Scenario::plain(
            "blocked seat is not sold until it is put back",
            [
                block(&[3, 1]).says("blocked 1 3"),
                block(&[1, 2]).says("blocked 2"),
                block(&[1, 2]).says("blocked already"),
                hold('a', 1, &[1, 4]).says("Conflict 1B"),
                unblock(&[1, 4]).says("unblocked 1"),
                unblock(&[1, 4]).says("unblocked already"),
                hold('b', 1, &[1, 4]).says("held 1 4"),
                look("AHBBHAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "seat is never blocked under its holder or its owner",
            [
                hold('a', 1, &[1]).ttl(1_000).says("held 1"),
                hold('b', 2, &[2]).says("held 2"),
                commit('b', 1).says("sold 2"),
                block(&[0, 2]).says("Conflict 2S"),
                unblock(&[2]).says("unblocked already"),
                give_back('b', 1, &[2]).says("returned 2"),
                pass(1_010),
                block(&[0, 1, 2]).says("blocked 0 1 2"),
            ],
        ),
        Scenario::plain(
            "block of a held seat is refused as a whole",
            [
                hold('a', 1, &[1]).says("held 1"),
                block(&[0, 1]).says("Conflict 1H"),
                unblock(&[0, 1]).says("unblocked already"),
                look("AHAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "bad blocks are refused",
            [
                block(&[]).says("Invalid limit 1024"),
                block(&[1, 1]).says("Invalid"),
                block(&[1, 20]).says("SeatUnknown 20- limit 20"),
                unblock(&[]).says("Invalid limit 1024"),
                unblock(&[1, 20]).says("SeatUnknown 20- limit 20"),
                look("AAAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::of("block has at most 1,024 seats", rules(), rows(0, 1_100), {
            let all: String = many[..1_024].iter().map(|n| format!(" {n}")).collect();
            [
                block(&many).says("Invalid limit 1024"),
                block(&many[..1_024]).says(&format!("blocked{all}")),
                unblock(&many).says("Invalid limit 1024"),
                unblock(&many[..1_024]).says(&format!("unblocked{all}")),
            ]
        }),
        Scenario::of(
            "refusal names at most 64 seats",
            ShowRules {
                seats_per_customer_max: 40,
                ..rules()
            },
            rows(0, 80),
            {
                let named = |from: u32, letter: char| -> String {
                    (from..from + 64).map(|n| format!(" {n}{letter}")).collect()
                };
                let held = |from: usize| -> String {
                    let numbers = many[from..from + 40].iter();
                    numbers.map(|n| format!(" {n}")).collect()
                };
                [
                    hold('a', 1, &many[..40]).says(&format!("held{}", held(0))),
                    hold('b', 2, &many[40..80]).says(&format!("held{}", held(40))),
                    block(&many[..80]).says(&format!("Conflict{}", named(0, 'H'))),
                    block(&many[80..200]).says(&format!("SeatUnknown{} limit 80", named(80, '-'))),
                ]
            },
        ),
        Scenario::plain(
            "copy of a block does not undo what came after",
            [
                block(&[5]).request('x').says("blocked 5"),
                unblock(&[5]).request('y').says("unblocked 5"),
                block(&[5]).request('x').says("blocked already"),
                block(&[5]).says("blocked 5"),
                unblock(&[5]).request('y').says("unblocked already"),
                block(&[5]).request('x').by(7).says("RequestReused"),
                look("AAAAABAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "seats are blocked in any state but a cancelled show's and unblocked in all",
            [
                change(ShowState::Paused).says("changed Paused"),
                block(&[1]).says("blocked 1"),
                change(ShowState::Closed).says("changed Closed"),
                block(&[2]).says("blocked 2"),
                change(ShowState::Cancelled).says("changed Cancelled"),
                block(&[3]).says("ShowNotOnSale"),
                unblock(&[1, 2, 3]).says("unblocked 1 2"),
            ],
        ),
        nothing_open(
            "nothing is blocked while the layout arrives, nor in a show that was closed then",
            [
                chunk(0, 12, 30).says("opened Opening 12"),
                block(&[1]).says("ShowNotOnSale"),
                unblock(&[1]).says("unblocked already"),
                change(ShowState::Closed).says("changed Closed"),
                block(&[1]).says("ShowNotOnSale"),
                block(&[20]).says("ShowNotOnSale"),
            ],
        ),
    ]
}
