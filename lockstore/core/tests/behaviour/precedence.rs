//! Where several refusals apply, the one listed first is answered: every pair that can meet.

use lockstore_core::{RefusalReason, Selection, ShowRules, ShowState};

use super::{
    Scenario, Step,
    halls::{TTL_MS, best, rules},
    step::{block, change, change_rules, choose, claim, commit, hold, load},
};

pub(super) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(pairs("a hold", &HOLD, holding));
    all.extend(pairs("a choice", &CHOICE, choosing));
    all.extend(pairs("a block", &BLOCK, blocking));
    all.extend(pairs("a load", &LOAD, loading));
    all
}

/// One scenario for each fault alone and each pair of them. `asked` prepares the faults, and then
/// asks what is at fault.
fn pairs(
    what: &str,
    faults: &[RefusalReason],
    asked: fn(&[RefusalReason]) -> Vec<Step>,
) -> Vec<Scenario> {
    assert!(faults.is_sorted(), "the list is the order of the contract");
    let mut scenarios = Vec::new();
    for (n, first) in faults.iter().enumerate() {
        for second in &faults[n..] {
            let name = format!("refusal of {what} for {first:?} and {second:?}");
            let mut steps = asked(&[*first, *second]);
            let last = steps.last_mut().expect("something is asked");
            last.expected = format!("{first:?}");
            last.is_reason_enough = true;
            scenarios.push(Scenario::hall(&name, true, steps));
        }
    }
    scenarios
}

/// What makes a hold of the seats 0 and 2 of the hall be refused, by itself.
const HOLD: [RefusalReason; 8] = [
    RefusalReason::DeadlineTooFar,
    RefusalReason::RequestReused,
    RefusalReason::Invalid,
    RefusalReason::SeatUnknown,
    RefusalReason::ShowNotOnSale,
    RefusalReason::Conflict,
    RefusalReason::LimitExceeded,
    RefusalReason::LeavesLoneSeat,
];

fn holding(faults: &[RefusalReason]) -> Vec<Step> {
    let has = |fault| faults.contains(&fault);
    let mut steps = Vec::new();
    if has(RefusalReason::RequestReused) {
        steps.push(hold('a', 1, &[30]).says("held 30"));
    }
    if has(RefusalReason::Conflict) {
        steps.push(hold('b', 2, &[0, 1, 2]).says("held 0 1 2"));
    }
    let rules = ShowRules {
        no_lone_seat: has(RefusalReason::LeavesLoneSeat),
        seats_per_customer_max: if has(RefusalReason::LimitExceeded) {
            1
        } else {
            50
        },
        ..rules()
    };
    steps.push(change_rules(rules).says("changed OnSale"));
    if has(RefusalReason::ShowNotOnSale) {
        steps.push(change(ShowState::Paused).says("changed Paused"));
    }
    let seat_nos: &[u32] = if has(RefusalReason::SeatUnknown) {
        &[0, 2, 99]
    } else {
        &[0, 2]
    };
    let mut asked = hold('a', 1, seat_nos);
    if has(RefusalReason::Invalid) {
        asked = asked.ttl(TTL_MS + 1);
    }
    if has(RefusalReason::DeadlineTooFar) {
        asked = asked.not_after(600_000);
    }
    steps.push(asked);
    steps
}

const CHOICE: [RefusalReason; 4] = [
    RefusalReason::Invalid,
    RefusalReason::ShowNotOnSale,
    RefusalReason::LimitExceeded,
    RefusalReason::NoBlock,
];

fn choosing(faults: &[RefusalReason]) -> Vec<Step> {
    let has = |fault| faults.contains(&fault);
    let mut steps = Vec::new();
    if has(RefusalReason::LimitExceeded) {
        let tight = ShowRules {
            seats_per_customer_max: 3,
            ..rules()
        };
        steps.push(change_rules(tight).says("changed OnSale"));
    }
    if has(RefusalReason::ShowNotOnSale) {
        steps.push(change(ShowState::Paused).says("changed Paused"));
    }
    let mut wanted = best(4);
    if has(RefusalReason::NoBlock) {
        wanted.categories = vec![77];
    }
    if has(RefusalReason::Invalid) {
        wanted.count = 65;
    }
    steps.push(choose('a', 1, Selection::BestAvailable(wanted)));
    steps
}

const BLOCK: [RefusalReason; 4] = [
    RefusalReason::Invalid,
    RefusalReason::SeatUnknown,
    RefusalReason::ShowNotOnSale,
    RefusalReason::Conflict,
];

fn blocking(faults: &[RefusalReason]) -> Vec<Step> {
    let has = |fault| faults.contains(&fault);
    let mut steps = Vec::new();
    if has(RefusalReason::Conflict) {
        steps.push(hold('a', 1, &[0, 1]).says("held 0 1"));
        steps.push(commit('a', 1).says("sold 0 1"));
    }
    if has(RefusalReason::ShowNotOnSale) {
        steps.push(change(ShowState::Cancelled).says("changed Cancelled"));
    }
    let mut seat_nos = vec![0, 1];
    if has(RefusalReason::SeatUnknown) {
        seat_nos.push(99);
    }
    if has(RefusalReason::Invalid) {
        seat_nos.push(1);
    }
    steps.push(block(&seat_nos));
    steps
}

const LOAD: [RefusalReason; 5] = [
    RefusalReason::Invalid,
    RefusalReason::SeatUnknown,
    RefusalReason::ShowNotOnSale,
    RefusalReason::StaleFence,
    RefusalReason::Conflict,
];

fn loading(faults: &[RefusalReason]) -> Vec<Step> {
    let has = |fault| faults.contains(&fault);
    let mut steps = Vec::new();
    if has(RefusalReason::Conflict) {
        steps.push(block(&[0]).says("blocked 0"));
    }
    steps.push(change(ShowState::Paused).says("changed Paused"));
    if has(RefusalReason::StaleFence) {
        steps.push(load([claim('a', 1, 9, &[5])]).says("loaded 1"));
    }
    if has(RefusalReason::ShowNotOnSale) {
        steps.push(change(ShowState::OnSale).says("changed OnSale"));
    }
    let seat_nos: &[u32] = if has(RefusalReason::SeatUnknown) {
        &[0, 99]
    } else {
        &[0]
    };
    let fence = if has(RefusalReason::Invalid) { 0 } else { 8 };
    steps.push(load([claim('b', 1, fence, seat_nos)]));
    steps
}
