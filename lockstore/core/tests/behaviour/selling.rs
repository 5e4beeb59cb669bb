//! Sales and returns, which are judged by the seats.

use super::{
    Scenario,
    step::{change, commit, extend, get, give_back, hold, look, pass, release},
};
use lockstore_core::ShowState;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::plain(
            "sale is judged by the seats",
            [
                hold('a', 1, &[1, 2]).says("held 1 2"),
                commit('a', 1).says("sold 1 2"),
                commit('a', 1).says("sold 1 2 already"),
                commit('a', 2).says("AlreadySold"),
                change(ShowState::Cancelled).says("changed Cancelled"),
                commit('a', 1).says("sold 1 2 already"),
                give_back('a', 1, &[1, 2]).says("returned 1 2"),
                commit('a', 1).says("ShowNotOnSale"),
            ],
        ),
        Scenario::plain(
            "sale names exactly the seats of the hold",
            [
                hold('a', 1, &[1, 2]).says("held 1 2"),
                commit('a', 1).of_seats(&[1]).says("Invalid"),
                commit('a', 1).of_seats(&[1, 2, 3]).says("Invalid"),
                commit('a', 1).of_seats(&[1, 3]).says("Invalid"),
                commit('a', 1)
                    .of_seats(&[1, 20])
                    .says("SeatUnknown 20- limit 20"),
                commit('a', 1).of_seats(&[2, 1]).says("sold 1 2"),
            ],
        ),
        Scenario::plain(
            "copy of a sale does not sell returned seats again",
            [
                hold('a', 1, &[1]).says("held 1"),
                commit('a', 1).request('x').says("sold 1"),
                give_back('a', 1, &[1]).says("returned 1"),
                hold('b', 1, &[1]).says("held 1"),
                commit('a', 1).request('x').says("AlreadySold"),
                get('b').says("live 1"),
            ],
        ),
        Scenario::plain(
            "later sale of seats that were returned is refused",
            [
                hold('a', 1, &[1]).says("held 1"),
                commit('a', 1).says("sold 1"),
                give_back('a', 1, &[1]).says("returned 1"),
                hold('b', 1, &[1]).says("held 1"),
                commit('a', 1).says("AlreadySold"),
                get('b').says("live 1"),
            ],
        ),
        Scenario::plain(
            "sale does not claim a seat that was sold to another since",
            [
                hold('a', 1, &[1, 2]).says("held 1 2"),
                commit('a', 1).says("sold 1 2"),
                give_back('a', 1, &[1]).says("returned 1"),
                hold('b', 2, &[1]).says("held 1"),
                commit('b', 2).says("sold 1"),
                commit('a', 1).says("AlreadySold"),
            ],
        ),
        Scenario::plain(
            "return puts back what this booking bought under this fence only",
            [
                hold('a', 1, &[1, 2, 3]).says("held 1 2 3"),
                commit('a', 1).says("sold 1 2 3"),
                give_back('a', 2, &[1]).says("returned already"),
                give_back('a', 1, &[1]).stale().says("returned already"),
                give_back('a', 1, &[1, 5]).says("returned 1"),
                give_back('a', 1, &[1]).says("returned already"),
                hold('b', 2, &[1]).says("held 1"),
                give_back('a', 1, &[1, 2, 3]).says("returned 2 3"),
                look("AHAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "copy of a return does not return what was sold again since",
            [
                hold('a', 1, &[1]).says("held 1"),
                commit('a', 1).says("sold 1"),
                give_back('a', 1, &[1]).request('x').says("returned 1"),
                hold('b', 1, &[1]).says("held 1"),
                commit('b', 1).says("sold 1"),
                give_back('a', 1, &[1])
                    .request('x')
                    .says("returned already"),
                look("ASAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "bad returns are refused",
            [
                hold('a', 1, &[1]).says("held 1"),
                commit('a', 1).says("sold 1"),
                give_back('a', 1, &[]).says("Invalid limit 64"),
                give_back('a', 1, &[1, 1]).says("Invalid"),
                give_back('a', 1, &[1, 20]).says("SeatUnknown 20- limit 20"),
                look("ASAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "closing show lets holds finish",
            [
                hold('a', 1, &[1]).says("held 1"),
                hold('b', 2, &[2]).ttl(1_000).says("held 2"),
                change(ShowState::Closed).says("changed Closed"),
                hold('c', 3, &[3]).says("ShowNotOnSale"),
                change(ShowState::OnSale).says("ShowNotOnSale"),
                extend('a', 150_000).says("extended to 150000"),
                commit('a', 1).says("sold 1"),
                pass(1_010),
                commit('b', 2).says("Expired"),
                give_back('a', 1, &[1]).says("returned 1"),
                change(ShowState::Cancelled).says("changed Cancelled"),
                look("AAAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "cancelling ends holds at once and refuses sales but not returns",
            [
                hold('a', 1, &[1]).says("held 1"),
                commit('a', 1).says("sold 1"),
                hold('b', 1, &[2]).says("held 2"),
                change(ShowState::Cancelled).says("changed Cancelled"),
                look("ASAAAAAAAA AAAAAAAAAA"),
                commit('b', 2).says("ShowNotOnSale"),
                release('b').says("released 2"),
                give_back('a', 1, &[1]).says("returned 1"),
                change(ShowState::Closed).says("ShowNotOnSale"),
            ],
        ),
        Scenario::plain(
            "paused show sells what is held",
            [
                hold('a', 1, &[1]).says("held 1"),
                hold('b', 1, &[2]).says("held 2"),
                change(ShowState::Paused).says("changed Paused"),
                extend('a', 150_000).says("extended to 150000"),
                commit('a', 1).says("sold 1"),
                release('b').says("released 2"),
                change(ShowState::OnSale).says("changed OnSale"),
                hold('c', 1, &[2]).says("held 2"),
            ],
        ),
    ]
}
