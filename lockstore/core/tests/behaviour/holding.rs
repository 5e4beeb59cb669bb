//! Holds: granted, refused, extended, released, expired; and requests that come twice.

use holdfast_types::DurationMs;
use lockstore_core::{ShowRules, ShowState};

use super::{
    Scenario,
    halls::{TOTAL_MS, TTL_MS, rules},
    step::{
        change, change_rules, choose, commit, extend, get, give_back, hold, look, pass, release,
    },
};

/// The shortest TTL, and when such a hold is overdue.
const SHORT_MS: u64 = 1_000;
const SHORT_OVERDUE_MS: u64 = 1_010;

pub(super) fn all() -> Vec<Scenario> {
    let many: Vec<u32> = (0..65).collect();
    vec![
        Scenario::plain(
            "hold takes all its seats or none, and a conflict names the seats",
            [
                hold('a', 1, &[3, 4]).says("held 3 4"),
                hold('b', 2, &[5, 4, 3, 2]).says("Conflict 3H 4H"),
                look("AAAHHAAAAA AAAAAAAAAA"),
                get('a').says("live 3 4"),
                get('b').says("HoldNotFound"),
            ],
        ),
        Scenario::plain(
            "conflict names seats that are held, sold and blocked, in ascending order",
            [
                hold('a', 1, &[7]).says("held 7"),
                hold('b', 1, &[2]).says("held 2"),
                commit('b', 1).says("sold 2"),
                super::step::block(&[5]).says("blocked 5"),
                hold('c', 2, &[7, 5, 2, 1]).says("Conflict 2S 5B 7H"),
            ],
        ),
        Scenario::plain(
            "expired hold can be taken by another customer",
            [
                hold('a', 1, &[1, 2]).ttl(SHORT_MS).says("held 1 2"),
                pass(SHORT_OVERDUE_MS),
                hold('b', 2, &[2]).says("held 2"),
                commit('a', 1).says("Expired"),
                extend('a', TTL_MS).says("Expired"),
                release('a').says("Expired"),
                get('a').says("Expired"),
                look("AAHAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "fence outlives the hold on a free seat",
            [
                hold('a', 1, &[1]).says("held 1"),
                release('a').says("released 1"),
                hold('b', 1, &[1]).ttl(SHORT_MS).says("held 1"),
                pass(SHORT_OVERDUE_MS),
                hold('c', 1, &[1]).says("held 1"),
                extend('b', TTL_MS).says("Expired"),
                release('a').says("released 1"),
                get('c').says("live 1"),
            ],
        ),
        Scenario::plain(
            "hold sent twice has one effect and one answer, even after its end",
            [
                hold('a', 1, &[1, 2]).says("held 1 2"),
                hold('a', 1, &[2, 1])
                    .price_version(9)
                    .says("held 1 2 again"),
                release('a').says("released 1 2"),
                hold('a', 1, &[1, 2]).says("held 1 2 again"),
                look("AAAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "id of a hold can't be used with another body",
            [
                hold('a', 1, &[1]).says("held 1"),
                hold('a', 1, &[2]).says("RequestReused"),
                hold('a', 2, &[1]).says("RequestReused"),
                hold('a', 1, &[1]).ttl(50_000).says("RequestReused"),
                hold('a', 1, &[1]).late_money().says("RequestReused"),
                look("AHAAAAAAAA AAAAAAAAAA"),
            ],
        ),
        Scenario::plain(
            "id of a hold can't be used by another command",
            [
                hold('a', 1, &[1]).says("held 1"),
                change(ShowState::Paused).request('a').says("RequestReused"),
                hold('b', 1, &[2]).says("held 2"),
            ],
        ),
        Scenario::plain(
            "deadline has not passed and is at most a minute ahead",
            [
                hold('a', 1, &[1]).not_after(-1).says("DeadlinePassed"),
                // A store whose time goes on while it is asked is a little further by then.
                hold('a', 1, &[1]).not_after(600_000).says("DeadlineTooFar"),
                look("AAAAAAAAAA AAAAAAAAAA"),
                hold('a', 1, &[1]).says("held 1"),
                // It is remembered, so its deadline counts for nothing any more.
                hold('a', 1, &[1]).not_after(-1).says("held 1 again"),
            ],
        ),
        Scenario::plain(
            "refused hold is judged anew",
            [
                hold('a', 1, &[1]).says("held 1"),
                hold('b', 2, &[1]).says("Conflict 1H"),
                release('a').says("released 1"),
                hold('b', 2, &[1]).says("held 1"),
            ],
        ),
        Scenario::plain(
            "bad selections are refused",
            [
                hold('a', 1, &[]).says("Invalid limit 64"),
                hold('a', 1, &[1, 2, 1]).says("Invalid"),
                hold('a', 1, &many).says("Invalid limit 64"),
                hold('a', 1, &[1, 25, 20]).says("SeatUnknown 20- 25- limit 20"),
                hold('a', 1, &[1])
                    .ttl(TTL_MS + 1)
                    .says("Invalid limit 100000"),
                hold('a', 1, &[1])
                    .ttl(SHORT_MS - 1)
                    .says("Invalid limit 100000"),
                hold('a', 1, &[1]).ttl(TTL_MS).says("held 1"),
            ],
        ),
        Scenario::of(
            "hold has at most 64 seats",
            ShowRules {
                seats_per_customer_max: 100,
                ..rules()
            },
            super::halls::rows(0, 80),
            [
                hold('a', 1, &many).says("Invalid limit 64"),
                hold('b', 1, &many[..64]).says(&{
                    let held = many[..64].iter().map(|n| format!(" {n}"));
                    format!("held{}", held.collect::<String>())
                }),
            ],
        ),
        Scenario::plain(
            "cap counts holds and purchases together",
            [
                hold('a', 1, &[0, 1, 2, 3]).says("held 0 1 2 3"),
                commit('a', 1).says("sold 0 1 2 3"),
                hold('b', 1, &[4]).says("held 4"),
                hold('c', 1, &[5, 6]).says("LimitExceeded limit 6"),
                hold('d', 2, &[5, 6]).says("held 5 6"),
                // What is given up or given back counts no more.
                release('b').says("released 4"),
                give_back('a', 1, &[0]).says("returned 0"),
                hold('e', 1, &[0, 4, 7]).says("held 0 4 7"),
                hold('f', 1, &[8]).says("LimitExceeded limit 6"),
            ],
        ),
        Scenario::plain(
            "late money is exempt from pause and not from the cap or the end",
            [
                change(ShowState::Paused).says("changed Paused"),
                hold('a', 1, &[1]).says("ShowNotOnSale"),
                hold('b', 1, &[1, 2, 3, 4])
                    .late_money()
                    .says("held 1 2 3 4"),
                hold('c', 1, &[5, 6, 7])
                    .late_money()
                    .says("LimitExceeded limit 6"),
                change(ShowState::Closed).says("changed Closed"),
                hold('d', 1, &[5]).late_money().says("ShowNotOnSale"),
            ],
        ),
        Scenario::plain(
            "extension moves the end never back and never past the total",
            [
                hold('a', 1, &[1]).says("held 1"),
                extend('a', 200_000).says("extended to 200000"),
                extend('a', 150_000).says("extended to 200000"),
                extend('a', TOTAL_MS).says("extended to 300000"),
                extend('a', TOTAL_MS + 1).says("UntilTooLate limit 300000"),
            ],
        ),
        Scenario::plain(
            "hold of another is not found and a wrong fence is stale",
            [
                hold('a', 1, &[1]).says("held 1"),
                extend('a', 150_000).by(2).says("HoldNotFound"),
                release('a').by(2).says("HoldNotFound"),
                get('a').by(2).says("HoldNotFound"),
                extend('a', 150_000).stale().says("StaleFence"),
                release('a').stale().says("StaleFence"),
                commit('a', 1).stale().says("StaleFence"),
                commit('z', 1).says("HoldNotFound"),
                extend('z', 1).says("HoldNotFound"),
                release('z').says("HoldNotFound"),
                get('a').says("live 1"),
            ],
        ),
        Scenario::plain(
            "release is idempotent and says when it is too late",
            [
                hold('a', 1, &[1, 2]).says("held 1 2"),
                release('a').says("released 1 2"),
                release('a').says("released 1 2"),
                commit('a', 1).says("Released"),
                extend('a', TTL_MS).says("Released"),
                hold('b', 1, &[1]).says("held 1"),
                commit('b', 1).says("sold 1"),
                release('b').says("AlreadySold"),
                extend('b', TTL_MS).says("AlreadySold"),
                get('b').says("AlreadySold"),
            ],
        ),
        Scenario::plain(
            "copy of an extension or a release changes nothing more",
            [
                hold('a', 1, &[1]).says("held 1"),
                extend('a', 150_000).request('x').says("extended to 150000"),
                extend('a', 250_000).says("extended to 250000"),
                extend('a', 150_000).request('x').says("extended to 250000"),
                extend('a', 160_000).request('x').says("RequestReused"),
                release('a').request('y').says("released 1"),
                hold('b', 2, &[1]).says("held 1"),
                release('a').request('y').says("released 1"),
                get('b').by(2).says("live 1"),
            ],
        ),
        Scenario::plain(
            "new rules count for new holds",
            [
                hold('a', 1, &[1, 2, 3]).says("held 1 2 3"),
                change_rules(ShowRules {
                    seats_per_customer_max: 2,
                    hold_ttl: DurationMs(10_000),
                    ..rules()
                })
                .says("changed OnSale"),
                hold('b', 1, &[4]).says("LimitExceeded limit 2"),
                hold('c', 2, &[4]).says("held 4"),
                extend('a', TTL_MS - 1).says("extended to 100000"),
            ],
        ),
        Scenario::of(
            "every command of an unknown show is refused",
            rules(),
            Vec::new(),
            [
                hold('a', 1, &[1]).says("ShowNotFound"),
                choose('a', 1, super::choosing::area(1)).says("ShowNotFound"),
                extend('a', 1).says("ShowNotFound"),
                release('a').says("ShowNotFound"),
                commit('a', 1).says("ShowNotFound"),
                give_back('a', 1, &[1]).says("ShowNotFound"),
                change(ShowState::Cancelled).says("ShowNotFound"),
                super::step::block(&[1]).says("ShowNotFound"),
                super::step::unblock(&[1]).says("ShowNotFound"),
                get('a').says("ShowNotFound"),
                super::step::look("no show").says("no show"),
            ],
        ),
        Scenario::of(
            "late request of an unknown show is late",
            rules(),
            Vec::new(),
            [hold('a', 1, &[1]).not_after(-1).says("DeadlinePassed")],
        ),
    ]
}
