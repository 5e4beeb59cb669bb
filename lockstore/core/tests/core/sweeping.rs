//! How much time does at once: before behaviour 2 by command, from it on by entry.

use std::sync::Arc;

use holdfast_types::DurationMs;
use lockstore_core::{
    Command, Event, Hold, Outcome, RefusalReason, ShowState,
    limits::{FORGET_PER_ENTRY_MAX, FORGET_SLACK_MS, SWEEP_PER_ENTRY_MAX, SWEEP_PER_TICK_MAX},
};

use crate::kit::*;

/// More than one command swept and forgot in the first releases.
const CROWD: u32 = 5_000;

/// Released before there was a bound of an entry.
const OLD: u32 = 1;

fn hold_by(store: &mut Store, holder: u8, seat_no: u32) -> Command {
    Command::HoldSeats(store.hold_command(holder, &[seat_no]))
}

fn ended(store: &Store) -> usize {
    let ended = |event: &&Event| matches!(event, Event::HoldEnded { .. });
    store.events.iter().filter(ended).count()
}

fn remembered(store: &Store) -> usize {
    store.state.show(show_id(1)).expect("there").request_count()
}

/// The hashes are those of the program before behaviour 2.
#[test]
fn a_log_of_the_first_releases_is_applied_as_it_always_was() {
    for behaviour in [0, OLD] {
        let (crowded, _) = Store::following(behaviour).crowded(CROWD);
        let mut store = crowded.clone();
        let mut hashes = Vec::new();
        let mut then = |store: &mut Store, command: Command| {
            store.apply(command);
            hashes.push(store.state.hash().to_string());
        };
        store.wait(OVERDUE_MS);
        let command = hold_by(&mut store, 9, CROWD - 1);
        then(&mut store, command);
        then(&mut store, Command::Tick);
        store.wait(FORGOTTEN_MS);
        let command = hold_by(&mut store, 9, CROWD);
        then(&mut store, command);
        store.wait(OVERDUE_MS);
        then(&mut store, Command::Tick);

        let mut store = crowded;
        let request = store.request();
        then(
            &mut store,
            change(request, Some(ShowState::Cancelled), None),
        );
        let command = hold_by(&mut store, 9, 1);
        then(&mut store, command);
        let expected = [
            "6323bef814d95ea85cc3cf8d7b0db900",
            "6cc4a5b57e4310242286d7ddfe4a046a",
            "0192acd034fbda331e97789f1d5f92a8",
            "5f9be57fd59524edc9d2eeb79731eb5a",
            "6737f25d4f325bde84bc33147a420a0f",
            "99cc156d38982c42748c1c2c939cc324",
        ];
        assert_eq!(hashes, expected);
    }
}

#[test]
fn what_an_older_command_sweeps_is_bounded() {
    let (mut store, _) = Store::following(OLD).crowded(CROWD);
    store.wait(OVERDUE_MS);
    assert_eq!(store.tick(), 4_096);
    assert_eq!(store.state.next_due(), Some(store.now()));
    store.state.follow(NEWEST);
    assert_eq!(store.tick(), 128);
    store.state.follow(OLD);
    assert_eq!(store.tick(), 904 - 128);
}

#[test]
fn one_entry_sweeps_a_bounded_number_oldest_first_whatever_its_commands() {
    let (mut store, holds) = Store::with_crowd(1_000);
    store.wait(OVERDUE_MS);
    let commands: Vec<Command> = (0..20).map(|n| hold_by(&mut store, 9, 1_000 + n)).collect();
    store.apply_entry(std::iter::once(Command::Tick).chain(commands));
    assert_eq!(ended(&store), SWEEP_PER_TICK_MAX);
    let mut oldest: Vec<_> = holds.iter().map(|hold| hold.id).collect();
    oldest.sort_unstable();
    let first = store.events.iter().zip(&oldest);
    for (event, oldest) in first.take(SWEEP_PER_TICK_MAX) {
        assert!(matches!(event, Event::HoldEnded { hold_id, .. } if hold_id == oldest));
    }
    // What is left is due, and the next entry goes on, with a tick or without.
    assert_eq!(store.state.next_due(), Some(store.now()));
    let command = hold_by(&mut store, 9, 1_100);
    store.apply(command);
    assert_eq!(ended(&store), SWEEP_PER_TICK_MAX);
    assert_eq!(store.tick(), 128);
    // Ticks of one entry have their share each, up to a bound.
    let swept = |swept| Outcome::Ticked { swept };
    let outcomes = store.apply_entry(vec![Command::Tick; 6]);
    let expected = [128, 128, 128, 128, 0, 0].map(swept);
    assert_eq!(outcomes, expected);
    assert_eq!(ended(&store), SWEEP_PER_ENTRY_MAX);
    assert_eq!(store.tick(), 1_000 - 7 * 128);
    assert_eq!(store.tick(), 0);
}

#[test]
fn command_finds_its_own_hold_ended_however_many_are_overdue() {
    let (mut store, holds) = Store::with_crowd(1_000);
    store.wait(OVERDUE_MS);
    let youngest = &holds[999];
    let later = store.now().plus(DurationMs(1));
    let asked = [
        commit(store.request(), youngest, 1),
        extend(store.request(), youngest, later),
        release(store.request(), &holds[998]),
    ];
    for outcome in store
        .apply_entry(std::iter::once(Command::Tick).chain(asked))
        .drain(1..)
    {
        assert_eq!(reason(&outcome), RefusalReason::Expired);
    }
    assert_eq!(ended(&store), SWEEP_PER_TICK_MAX + 2);
}

#[test]
fn one_entry_forgets_a_bounded_number_and_each_command_more_than_it_adds() {
    let (mut store, _) = Store::with_crowd(1_000);
    store.wait(OVERDUE_MS);
    while store.tick() > 0 {}
    store.wait(FORGOTTEN_MS);
    let before = remembered(&store);
    let commands: Vec<Command> = (0..10)
        .map(|n| hold_by(&mut store, 9 + n, u32::from(n)))
        .collect();
    store.apply_entry(commands);
    assert_eq!(
        remembered(&store),
        before - FORGET_PER_ENTRY_MAX - 9 * 2 + 10
    );
    // A tick is for it after a while, and hurries as little.
    store.wait(FORGET_SLACK_MS);
    store.tick();
    assert_eq!(remembered(&store), 10);
}

/// However much there is to forget, holds end in time.
#[test]
fn forgetting_keeps_no_hold_from_ending() {
    let (mut store, _) = Store::with_crowd(1_000);
    store.wait(OVERDUE_MS);
    while store.tick() > 0 {}
    let request = store.request();
    let Command::OpenShow(mut other) = open(request, 20, true) else {
        panic!("open makes this command")
    };
    other.show_id = show_id(2);
    store.apply(Command::OpenShow(other));
    store.wait(FORGOTTEN_MS + FORGET_SLACK_MS - OVERDUE_MS);
    let mut hold = store.hold_command(1, &[1]);
    hold.show_id = show_id(2);
    store.apply(Command::HoldSeats(hold));
    store.wait(OVERDUE_MS);
    assert_eq!(store.tick(), 1);
    assert_eq!(ended(&store), 1);
}

/// Every command that holds, sells and gives back, in an order without rhyme.
#[test]
fn a_long_log_ends_with_the_hash_it_always_had() {
    let mut store = Store::with_show_following(OLD);
    let mut held: Vec<Arc<Hold>> = Vec::new();
    let mut sold = Vec::new();
    let (mut random, mut all) = (1_u64, 0_u128);
    for _ in 0..3_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (dice, pick) = ((random >> 33) as u8, (random >> 41) as usize);
        let seat = (pick % 20) as u32;
        let any = |held: &[Arc<Hold>]| held.get(pick % held.len().max(1)).cloned();
        match dice % 16 {
            0..=5 => {
                let count = 1 + u32::from(dice / 16) % 4;
                let seats: Vec<u32> = (0..count).map(|n| (seat + n * n) % 20).collect();
                held.extend(store.hold(dice / 16, &seats));
            }
            6..=7 => {
                if let Some(hold) = any(&held) {
                    let until = hold.expires_at.plus(DurationMs(u64::from(dice) * 100));
                    store.extend(&hold, until);
                }
            }
            8 => {
                if let Some(hold) = any(&held) {
                    store.release(&hold);
                }
            }
            9..=10 => {
                if let Some(hold) = any(&held) {
                    store.commit(&hold, dice);
                    sold.push((hold, dice));
                }
            }
            11 => {
                if let Some((hold, booking)) = sold.get(pick % sold.len().max(1)).cloned() {
                    let seats: Vec<u32> = hold.seat_nos.iter().map(|seat_no| seat_no.0).collect();
                    let some = &seats[pick % seats.len()..];
                    store.give_back(hold.fence, some, booking);
                }
            }
            12 => drop(store.block(&[seat])),
            13 => drop(store.unblock(&[seat, (seat + 1) % 20])),
            14 => store.wait(u64::from(dice) * 50),
            _ => drop(store.tick()),
        }
        if held.len() > 40 {
            held.remove(0);
        }
        all = all.wrapping_add(store.state.hash().0);
    }
    assert_eq!(sold.len(), 403);
    assert_eq!(format!("{all:032x}"), "1cebf40c63e5fc6c4b2567721d32d957");
}
