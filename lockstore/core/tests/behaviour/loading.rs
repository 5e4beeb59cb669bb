//! Claims of an earlier life of the cluster, put back after it was lost.

use holdfast_types::{DurationMs, Fence, Lineage};
use lockstore_core::{LoadedClaim, LoadedKind, ShowState};

use super::{
    Scenario, Step,
    step::{
        block, change, claim, commit, extend, get, give_back, hold, load, look, pass, release,
        sold, unblock,
    },
};

fn paused() -> Step {
    change(ShowState::Paused).says("changed Paused")
}

fn on_sale() -> Step {
    change(ShowState::OnSale).says("changed OnSale")
}

/// With so much time left.
fn timed(name: char, fence: u64, seat_nos: &[u32], left: u64, extendable: u64) -> LoadedClaim {
    LoadedClaim {
        kind: LoadedKind::Hold {
            left: DurationMs(left),
            extendable: DurationMs(extendable),
            price_version: 7,
        },
        ..claim(name, 1, fence, seat_nos)
    }
}

/// Of the cluster's own life, or a later one.
fn of_lineage(lineage: u8) -> LoadedClaim {
    LoadedClaim {
        fence: Fence::new(Lineage(lineage), 5, 0),
        ..claim('a', 1, 5, &[1])
    }
}

fn of_one_seat_each(first: u8, count: u8) -> Vec<LoadedClaim> {
    (first..first + count)
        .map(|n| sold(char::from(n), n, u64::from(n) + 1, &[u32::from(n) % 20]))
        .collect()
}

pub(super) fn all() -> Vec<Scenario> {
    let mut all = going_on();
    all.extend(refused());
    all
}

fn going_on() -> Vec<Scenario> {
    let mut all = vec![
        Scenario::plain(
            "holds and sales of an earlier life go on as they were",
            [
                paused(),
                load([claim('a', 1, 5, &[2, 1]), sold('b', 9, 7, &[3, 4])]).says("loaded 2"),
                look("AHHSS AAAAA AAAAA AAAAA"),
                get('a').says("live 1 2"),
                on_sale(),
                hold('c', 3, &[2, 3]).says("Conflict 2H 3S"),
                commit('a', 1).says("sold 1 2"),
                give_back('b', 9, &[3]).says("returned 3"),
                hold('c', 3, &[3]).says("held 3"),
                look("ASSHS AAAAA AAAAA AAAAA"),
            ],
        ),
        Scenario::plain(
            "what is loaded counts for its customer's cap and isn't judged by it",
            [
                paused(),
                load([
                    claim('a', 1, 1, &[0, 1, 2, 3]),
                    sold('b', 9, 2, &[4, 5, 6, 7]),
                ])
                .says("loaded 2"),
                on_sale(),
                hold('c', 1, &[8]).says("LimitExceeded limit 6"),
                release('a').says("released 0 1 2 3"),
                hold('c', 1, &[0]).says("held 0"),
            ],
        ),
        Scenario::plain(
            "loaded hold is extended as far as it could be before",
            [
                paused(),
                load([claim('a', 1, 5, &[1])]).says("loaded 1"),
                extend('a', 200_001).says("UntilTooLate limit 200000"),
                extend('a', 200_000).says("extended to 200000"),
            ],
        ),
        Scenario::plain(
            "loaded hold ends when its time is over",
            [
                paused(),
                load([timed('a', 5, &[1], 500, 500)]).says("loaded 1"),
                pass(600),
                commit('a', 1).says("Expired"),
                look("AAAAA AAAAA AAAAA AAAAA"),
                load([timed('a', 5, &[1], 500, 500)]).says("StaleFence"),
            ],
        ),
        Scenario::plain(
            "claims that are there are success, whatever the show's state",
            [
                paused(),
                load([claim('a', 1, 5, &[1]), sold('b', 9, 7, &[3])]).says("loaded 2"),
                load([claim('a', 1, 5, &[1]), sold('b', 9, 7, &[3])]).says("loaded 0 already"),
                load([timed('a', 5, &[1], 1_000, 2_000)]).says("loaded 0 already"),
                on_sale(),
                load([sold('b', 9, 7, &[3])]).says("loaded 0 already"),
                load([sold('b', 8, 7, &[3])]).says("ShowNotOnSale"),
                load([claim('a', 2, 5, &[1])]).says("ShowNotOnSale"),
            ],
        ),
        Scenario::plain(
            "copy of a load is success, whatever came after",
            [
                paused(),
                load([sold('b', 9, 7, &[3])]).request('x').says("loaded 1"),
                give_back('b', 9, &[3]).says("returned 3"),
                load([sold('b', 9, 7, &[3])])
                    .request('x')
                    .says("loaded 0 already"),
                load([sold('b', 9, 8, &[3])])
                    .request('x')
                    .says("RequestReused"),
                load([sold('b', 9, 7, &[3])]).says("StaleFence"),
                look("AAAAA AAAAA AAAAA AAAAA"),
            ],
        ),
        Scenario::plain(
            "hold that another names again is known by its load",
            [
                paused(),
                load([claim('a', 1, 5, &[1])]).says("loaded 1"),
                on_sale(),
                hold('a', 1, &[1]).says("RequestReused"),
            ],
        ),
    ];
    let many = (0..128_u8).map(|n| u32::from(n) * 8);
    let many = many.zip(0_u8..).map(|(first, n)| {
        let seat_nos: Vec<u32> = (first..first + 8).collect();
        sold(char::from(n), n, u64::from(n) + 1, &seat_nos)
    });
    let many: Vec<LoadedClaim> = many.collect();
    let mut beyond = many.clone();
    beyond.push(sold('\u{80}', 200, 500, &[1_024]));
    let seats = super::halls::rows(0, 1_025);
    all.push(Scenario::of(
        "load has at most 1,024 seats",
        super::halls::rules(),
        seats,
        [
            paused(),
            load(beyond).says("Invalid limit 1024"),
            load(many).says("loaded 128"),
        ],
    ));
    all
}

fn refused() -> Vec<Scenario> {
    vec![
        Scenario::plain(
            "load is all or nothing",
            [
                paused(),
                load([sold('h', 9, 4, &[3])]).says("loaded 1"),
                load([claim('a', 1, 5, &[1]), sold('b', 9, 7, &[3, 2])]).says("Conflict 3S"),
                look("AAASA AAAAA AAAAA AAAAA"),
                load([claim('a', 1, 5, &[1])]).says("loaded 1"),
                load([sold('b', 9, 7, &[1])]).says("Conflict 1H"),
            ],
        ),
        Scenario::plain(
            "fences of a load ascend over all loads",
            [
                paused(),
                load([sold('b', 9, 7, &[3]), claim('a', 1, 5, &[1])]).says("Invalid"),
                load([claim('a', 1, 5, &[1]), sold('b', 9, 5, &[3])]).says("Invalid"),
                load([sold('b', 9, 7, &[3])]).says("loaded 1"),
                load([claim('a', 1, 5, &[1])]).says("StaleFence"),
                load([claim('a', 1, 7, &[1])]).says("StaleFence"),
                load([claim('a', 1, 8, &[1])]).says("loaded 1"),
            ],
        ),
        Scenario::plain(
            "seat on which something newer happened is not loaded",
            [
                hold('h', 1, &[3]).says("held 3"),
                release('h').says("released 3"),
                paused(),
                load([sold('b', 9, 7, &[3])]).says("StaleFence"),
                block(&[4]).says("blocked 4"),
                load([sold('b', 9, 7, &[4])]).says("Conflict 4B"),
                unblock(&[4]).says("unblocked 4"),
                load([sold('b', 9, 7, &[4])]).says("loaded 1"),
            ],
        ),
        Scenario::plain(
            "claim that can't be meant is refused",
            [
                paused(),
                load([]).says("Invalid limit 256"),
                load([of_lineage(1)]).says("Invalid"),
                load([of_lineage(255)]).says("Invalid"),
                load([claim('a', 1, 0, &[1])]).says("Invalid"),
                load([timed('a', 5, &[1], 0, 10)]).says("Invalid"),
                load([timed('a', 5, &[1], 11, 10)]).says("Invalid"),
                load([timed('a', 5, &[1], 10, 7_200_001)]).says("Invalid"),
                load([claim('a', 1, 5, &[])]).says("Invalid limit 64"),
                load([claim('a', 1, 5, &[1, 1])]).says("Invalid"),
                load([claim('a', 1, 5, &[20])]).says("SeatUnknown 20- limit 20"),
                load([claim('a', 1, 5, &[1]), claim('b', 1, 6, &[1])]).says("Invalid"),
                load([claim('a', 1, 5, &[1]), sold('a', 9, 6, &[2])]).says("Invalid"),
                load([claim('a', 1, 5, &[1])]).request('a').says("Invalid"),
                look("AAAAA AAAAA AAAAA AAAAA"),
            ],
        ),
        Scenario::plain(
            "load into a show that isn't paused is refused",
            [
                load([claim('a', 1, 5, &[1])]).says("ShowNotOnSale"),
                change(ShowState::Cancelled).says("changed Cancelled"),
                load([claim('a', 1, 5, &[1])]).says("ShowNotOnSale"),
            ],
        ),
        Scenario::plain(
            "load has at most 256 claims",
            [
                paused(),
                load([of_one_seat_each(0, 129), of_one_seat_each(0, 128)].concat())
                    .says("Invalid limit 256"),
            ],
        ),
    ]
}
