//! Numbers of the waiting room.

use lockstore_core::ShowState;

use super::{
    Scenario,
    step::{advance, change},
};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::plain(
            "those who join get numbers one after another and the threshold never goes back",
            [
                advance(3, 0).says("3 from 1 of 3, serving 0"),
                advance(2, 4).says("2 from 4 of 5, serving 4"),
                advance(0, 2).says("0 from 0 of 5, serving 4"),
                advance(0, 9).says("0 from 0 of 5, serving 9"),
                advance(100_000, 0).says("100000 from 6 of 100005, serving 9"),
                advance(0, 0).says("0 from 0 of 100005, serving 9"),
            ],
        ),
        Scenario::plain(
            "copy is answered with the numbers of the first",
            [
                advance(3, 0).request('x').says("3 from 1 of 3, serving 0"),
                advance(2, 0).says("2 from 4 of 5, serving 0"),
                advance(3, 0).request('x').says("3 from 1 of 5, serving 0"),
                advance(4, 0).request('x').says("RequestReused"),
            ],
        ),
        Scenario::plain(
            "at most 100,000 join at once",
            [advance(100_001, 0).says("Invalid limit 100000")],
        ),
        Scenario::plain(
            "nobody joins for a show that is over",
            [
                change(ShowState::Paused).says("changed Paused"),
                advance(1, 0).says("1 from 1 of 1, serving 0"),
                change(ShowState::Closed).says("changed Closed"),
                advance(1, 0).says("ShowNotOnSale"),
            ],
        ),
        Scenario::of(
            "nobody joins for a show that isn't there",
            super::halls::rules(),
            Vec::new(),
            [advance(1, 0).says("ShowNotFound")],
        ),
    ]
}
