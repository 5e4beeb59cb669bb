//! What viewers are sent: each change once, in order, however they come and go.

use holdfast_types::{ClusterTime, HoldId, Lineage};
use lockstore_client::{Change, HoldEnd, ShowChanges};
use serde_json::{Value, json};

use super::*;
use crate::live::{gather::GATHER, history::REMEMBERED_MAX};

const SHOW: ShowId = ShowId::from_bytes([7; 16]);

fn at(index: u64) -> Revision {
    Revision::new(Lineage(1), index, 0)
}

fn replica(index: u64, seats: &str) -> ShowReplica {
    let seats = seats.chars().map(|letter| match letter {
        'A' => SeatState::Available,
        'H' => SeatState::Held,
        _ => SeatState::Sold,
    });
    ShowReplica::new(at(index), Some((ShowState::OnSale, seats.collect())))
}

fn show(seats: &str) -> LiveShow {
    let show = LiveShow::new(SHOW);
    show.begin(replica(5, seats));
    show
}

fn change(show: &LiveShow, index: u64, change: Change, now: Instant) {
    let changes = ShowChanges {
        show_id: SHOW,
        previous: at(4),
        changes: vec![change],
    };
    show.change(at(index), &changes, now).expect("follows");
}

fn held(index: u64, seats: &[u32]) -> Change {
    Change::Held {
        hold_id: HoldId::from_bytes([1; 16]),
        fence: at(index),
        seat_nos: seats.iter().copied().map(SeatNo).collect(),
        expires_at: ClusterTime(1),
    }
}

fn freed(seats: &[u32]) -> Change {
    Change::Ended {
        hold_id: HoldId::from_bytes([1; 16]),
        fence: at(1),
        seat_nos: seats.iter().copied().map(SeatNo).collect(),
        why: HoldEnd::Released,
    }
}

/// So long after what was before that viewers are told of it alone.
fn hold(show: &LiveShow, index: u64, seats: &[u32]) {
    let now = Instant::now() + GATHER * u32::try_from(index).expect("small");
    change(show, index, held(index, seats), now);
}

fn json_of(sent: &Sent) -> Value {
    serde_json::from_str(&sent.text).expect("is JSON")
}

/// All that a viewer is sent, each in a word.
fn words(view: &mut View) -> Vec<String> {
    let mut sent = std::mem::take(&mut view.first);
    while let Ok(next) = view.next.try_recv() {
        if !next.repeats(sent.last().map_or(Revision::ZERO, |last| last.revision)) {
            sent.push(next);
        }
    }
    sent.iter()
        .map(|sent| {
            let message = json_of(sent);
            let kind = message["type"].as_str().expect("has a type");
            format!("{kind} {}", sent.revision.index())
        })
        .collect()
}

#[test]
fn viewer_begins_with_everything_and_is_sent_what_changes() {
    let show = show("AAS");
    let mut view = show.view(None).expect("is there");
    hold(&show, 6, &[1]);
    let first = json_of(&view.first[0]);
    let expected = json!({
        "type": "snapshot",
        "show_id": SHOW.to_string(),
        "revision": at(5).to_string(),
        "show_state": "ON_SALE",
        "seat_count": 3,
        "bitmap": pack([SeatState::Available, SeatState::Available, SeatState::Sold].into_iter()),
    });
    assert_eq!(first, expected);
    let delta = json_of(&view.next.try_recv().expect("was sent"));
    let expected = json!({
        "type": "delta",
        "revision": at(6).to_string(),
        "previous_revision": at(5).to_string(),
        "changes": [{"seat_no": 1, "state": "HELD"}],
    });
    assert_eq!(delta, expected);
}

#[test]
fn viewer_that_comes_back_is_sent_what_it_missed_and_no_more() {
    let show = show("AAAA");
    for index in [6, 8, 9] {
        hold(&show, index, &[u32::try_from(index).expect("small") - 6]);
    }
    let back = |since: Revision| words(&mut show.view(Some(since)).expect("is there"));
    assert_eq!(back(at(5)), ["resumed 5", "delta 6", "delta 8", "delta 9"]);
    assert_eq!(back(at(7)), ["resumed 7", "delta 8", "delta 9"]);
    assert_eq!(back(at(9)), ["resumed 9"]);
    for elsewhere in [at(4), at(10), Revision::new(Lineage(2), 7, 0)] {
        assert_eq!(back(elsewhere), ["snapshot 9"]);
    }
}

#[test]
fn fast_changes_are_told_together_and_the_first_after_a_quiet_while_at_once() {
    let show = show("AAAA");
    let now = Instant::now();
    let mut view = show.view(None).expect("is there");
    change(&show, 6, held(6, &[0]), now);
    assert_eq!(words(&mut view), ["snapshot 5", "delta 6"]);
    let soon = now + GATHER / 2;
    change(&show, 7, held(7, &[3, 1]), soon);
    change(&show, 8, held(8, &[2]), soon);
    change(&show, 9, freed(&[1, 0]), soon);
    let due = show.state().gathered.due(soon).expect("something waits");
    assert_eq!(due, now + GATHER);
    assert!(view.next.try_recv().is_err());
    show.tell(&mut show.state(), due);
    let delta = json_of(&view.next.try_recv().expect("was sent"));
    // Seat 1 is what it was: somebody may have seen it held.
    let expected = json!({
        "type": "delta",
        "revision": at(9).to_string(),
        "previous_revision": at(6).to_string(),
        "changes": [
            {"seat_no": 0, "state": "AVAILABLE"},
            {"seat_no": 1, "state": "AVAILABLE"},
            {"seat_no": 2, "state": "HELD"},
            {"seat_no": 3, "state": "HELD"},
        ],
    });
    assert_eq!(delta, expected);
    // However much comes, one message a while, without a timer too.
    for nth in 1..=40_u32 {
        let index = 9 + u64::from(nth);
        let what = if nth % 2 == 0 {
            freed(&[0])
        } else {
            held(index, &[0])
        };
        change(&show, index, what, due + GATHER / 8 * nth);
    }
    let told = ["delta 17", "delta 25", "delta 33", "delta 41", "delta 49"];
    assert_eq!(words(&mut view), told);
}

#[test]
fn who_comes_while_changes_are_gathered_misses_and_repeats_nothing() {
    let show = show("AAAA");
    let now = Instant::now();
    change(&show, 6, held(6, &[0]), now);
    change(&show, 7, held(7, &[1]), now);
    change(&show, 9, freed(&[1]), now);
    let mut new = show.view(None).expect("is there");
    let back = |since| show.view(Some(at(since))).expect("is there");
    let (mut before, mut within, mut after) = (back(5), back(7), back(9));
    show.tell(&mut show.state(), now);
    assert_eq!(words(&mut new), ["snapshot 9"]);
    assert_eq!(words(&mut before), ["resumed 5", "delta 6", "delta 9"]);
    assert_eq!(words(&mut within), ["resumed 7", "delta 9"]);
    assert_eq!(words(&mut after), ["resumed 9"]);
    // One that another gateway told as far as the middle sees the seat free again.
    assert_eq!(words(&mut back(7)), ["resumed 7", "delta 9"]);
    let told = json_of(&back(7).first[1]);
    assert_eq!(
        told["changes"],
        json!([{"seat_no": 1, "state": "AVAILABLE"}])
    );
}

#[test]
fn bookmark_says_nothing_of_what_is_not_told() {
    let show = show("AAAA");
    let mut view = show.view(None).expect("is there");
    let now = Instant::now();
    change(&show, 6, held(6, &[0]), now);
    change(&show, 7, held(7, &[1]), now);
    show.confirm(at(8));
    let expected = ["snapshot 5", "delta 6", "delta 8", "bookmark 8"];
    assert_eq!(words(&mut view), expected);
}

#[test]
fn what_is_too_long_ago_is_forgotten() {
    let show = show(&"A".repeat(3_000));
    let last = 5 + REMEMBERED_MAX as u64 + 2;
    for index in 6..=last {
        hold(&show, index, &[u32::try_from(index).expect("small")]);
    }
    let back = |since| words(&mut show.view(Some(at(since))).expect("is there"));
    assert_eq!(back(6), [format!("snapshot {last}")]);
    assert_eq!(back(7).len(), 1 + REMEMBERED_MAX);
}

#[test]
fn beginning_anew_is_a_difference_unless_it_is_another_life() {
    let show = show("AHS");
    let mut view = show.view(None).expect("is there");
    show.begin(replica(20, "HHA"));
    assert_eq!(words(&mut view), ["snapshot 5", "delta 20"]);
    let mut back = show.view(Some(at(5))).expect("is there");
    let delta = json_of(&back.first[1]);
    let expected = json!([{"seat_no": 0, "state": "HELD"}, {"seat_no": 2, "state": "AVAILABLE"}]);
    assert_eq!(delta["changes"], expected);
    assert_eq!(words(&mut back), ["resumed 5", "delta 20"]);
    let next = Revision::new(Lineage(2), 1, 0);
    let seats = vec![SeatState::Available; 3];
    show.begin(ShowReplica::new(next, Some((ShowState::OnSale, seats))));
    assert_eq!(words(&mut view), ["snapshot 1"]);
    let mut back = show.view(Some(at(20))).expect("is there");
    assert_eq!(words(&mut back), ["snapshot 1"]);
}

#[test]
fn who_has_come_to_inside_a_jump_begins_anew() {
    // Up to 10, then anew at 20: nothing is known of a seat held at 12 and free again at 18.
    for after in ["AHS", "AAS"] {
        let show = show("AAS");
        show.confirm(at(10));
        show.begin(replica(20, after));
        hold(&show, 21, &[0]);
        let back = |since: u64| words(&mut show.view(Some(at(since))).expect("is there"));
        assert_eq!(back(15), ["snapshot 21"]);
        assert_eq!(back(20), ["resumed 20", "delta 21"]);
        let rest: Vec<String> = back(10).split_off(1);
        let jump = (after == "AHS").then_some("delta 20");
        let expected: Vec<&str> = jump.into_iter().chain(["delta 21"]).collect();
        assert_eq!(rest, expected);
    }
}

#[test]
fn very_many_changes_at_once_are_sent_as_a_whole() {
    let show = show(&"A".repeat(DELTA_SEATS_MAX + 1));
    let mut view = show.view(None).expect("is there");
    let all: Vec<u32> = (0..).take(DELTA_SEATS_MAX + 1).collect();
    hold(&show, 6, &all);
    assert_eq!(words(&mut view), ["snapshot 5", "snapshot 6"]);
}

#[test]
fn slow_viewer_is_told_that_it_missed_something() {
    let show = show("AA");
    let mut view = show.view(None).expect("is there");
    for index in 0..=QUEUE_MAX as u64 {
        show.confirm(at(10 + index));
        show.state().bookmarked = None;
    }
    let lagged = view.next.try_recv();
    assert!(
        matches!(lagged, Err(broadcast::error::TryRecvError::Lagged(1))),
        "{lagged:?}"
    );
}

#[test]
fn what_nobody_confirmed_lately_is_not_shown() {
    let show = show("AH");
    let now = Instant::now();
    assert!(
        show.shown(at(5), now).is_none(),
        "nobody said that it is so"
    );
    show.confirm(at(8));
    let shown = show.shown(at(8), now).expect("it is confirmed");
    assert_eq!((shown.revision, shown.seats.len()), (at(8), 2));
    assert!(show.shown(at(9), now).is_none(), "it isn't as new as that");
    let packed = show.packed(at(5), now).expect("it is confirmed");
    assert_eq!((packed.seat_count, &*packed.bitmap), (2, "BA=="));
    let later = Instant::now() + AGE_MAX;
    assert!(show.shown(at(5), later).is_none() && show.packed(at(5), later).is_none());
}

#[tokio::test]
async fn show_is_there_not_there_or_unknown() {
    let wait = Duration::from_millis(10);
    let show = LiveShow::new(SHOW);
    assert_eq!(show.is_there(wait).await, None);
    show.begin(ShowReplica::new(at(5), None));
    assert_eq!(show.is_there(wait).await, None);
    show.confirm(at(5));
    assert_eq!(show.is_there(wait).await, Some(false));
    assert!(show.view(None).is_none());
    show.begin(replica(6, "A"));
    assert_eq!(show.is_there(wait).await, Some(true));
    assert!(show.reach(at(6), wait).await && !show.reach(at(7), wait).await);
    let unconfirmed = LiveShow::new(SHOW);
    unconfirmed.begin(replica(5, "A"));
    assert_eq!(unconfirmed.is_there(wait).await, None);
}
