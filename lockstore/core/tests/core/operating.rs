//! What operators set and note.

use lockstore_core::{
    ActKind, AdminRecord, Command, Outcome, Record, RefusalReason, Request, RequestId,
    RestoreError, SetConfig, ShowState, State, limits::ACTS_KEPT_MAX,
};

use crate::kit::*;

fn set(request: Request, expiry_paused: bool) -> Command {
    Command::SetConfig(SetConfig {
        request,
        operator: "ada".into(),
        reason: "the clock was wrong".into(),
        expiry_paused,
    })
}

fn note(request: Request, operator: &str, text: &str) -> Command {
    Command::AdminRecord(AdminRecord {
        request,
        operator: operator.into(),
        text: text.into(),
    })
}

fn is_set(expiry_paused: bool, already: bool) -> Outcome {
    Outcome::ConfigSet {
        expiry_paused,
        already,
    }
}

#[test]
fn no_hold_ends_by_time_while_expiry_is_paused() {
    let mut store = Store::with_show();
    let hold = store.held(1, &[1]);
    let pause = set(store.request(), true);
    assert_eq!(store.apply(pause), is_set(true, false));
    store.wait(OVERDUE_MS);
    let now = store.now();
    assert!(store.state.next_due().is_none_or(|due| due > now));
    assert_eq!(store.tick(), 0);
    assert_eq!(
        reason(&Outcome::Refused(store.hold(2, &[1]).expect_err("held"))),
        RefusalReason::Conflict
    );
    // What doesn't end by time goes on, and the state survives a restart as it is.
    let other = store.held(3, &[2]);
    assert!(matches!(store.release(&other), Outcome::Released { .. }));
    store.state = State::from_records(store.state.records()).expect("good records");
    assert!(store.state.is_expiry_paused());

    let resume = set(store.request(), false);
    assert_eq!(store.apply(resume), is_set(false, false));
    assert!(store.state.next_due().is_some_and(|due| due <= now));
    assert_eq!(store.tick(), 1);
    assert_eq!(
        reason(&store.commit(&hold, 1)),
        RefusalReason::Expired,
        "it lived until it was swept"
    );
}

#[test]
fn holds_of_a_cancelled_show_are_put_away_while_expiry_is_paused() {
    let (mut store, holds) = Store::with_crowd(5_000);
    let pause = set(store.request(), true);
    store.apply(pause);
    store.change(ShowState::Cancelled);
    let now = store.now();
    let mut swept = 0;
    while store.state.next_due().is_some_and(|due| due <= now) {
        let more = store.tick();
        assert!(more > 0, "a tick is due that has something to do");
        swept += more;
    }
    assert!(swept > 0 && (swept as usize) <= holds.len());
    let left = |record: &Record| matches!(record, Record::Hold(_));
    assert!(!store.state.records().any(|record| left(&record)));
}

#[test]
fn act_is_recorded_once_with_who_and_why() {
    let mut store = Store::with_show();
    let request = store.request();
    let Outcome::Recorded { revision } =
        store.apply(note(request, "ada", "moved node 3 to another rack"))
    else {
        panic!("it is recorded")
    };
    assert_eq!(revision, store.state.revision());
    let again = store.apply(note(request, "ada", "moved node 3 to another rack"));
    assert_eq!(again, Outcome::Recorded { revision });
    let other = store.apply(note(request, "ada", "moved node 2 to another rack"));
    assert_eq!(reason(&other), RefusalReason::RequestReused);

    let pause = set(store.request(), true);
    store.apply(pause.clone());
    let resume = set(store.request(), false);
    store.apply(resume);
    // A copy of the first doesn't pause again.
    assert_eq!(store.apply(pause), is_set(false, true));
    let idle = set(store.request(), false);
    assert_eq!(store.apply(idle), is_set(false, true));
    let acts: Vec<_> = store.state.operator_acts(None).collect();
    let kinds: Vec<_> = acts.iter().map(|(_, act)| act.kind).collect();
    assert_eq!(
        kinds,
        [ActKind::ExpiryResumed, ActKind::ExpiryPaused, ActKind::Note]
    );
    assert_eq!((acts[2].0, &*acts[2].1.operator), (revision, "ada"));
    assert_eq!(&*acts[2].1.text, "moved node 3 to another rack");
    let earlier: Vec<_> = store.state.operator_acts(Some(acts[1].0)).collect();
    assert_eq!(earlier, acts[2..]);
}

#[test]
fn act_is_refused_that_is_late_or_says_too_little_or_too_much() {
    let mut store = Store::with_show();
    let late = Request {
        not_after: START,
        ..store.request()
    };
    store.wait(1);
    let mut refused = |request, operator: &str, text: &str| {
        let outcome = store.apply(note(request, operator, text));
        assert_eq!(store.state.operator_acts(None).count(), 0);
        reason(&outcome)
    };
    assert_eq!(refused(late, "a", "b"), RefusalReason::DeadlinePassed);
    let far = Request {
        not_after: START.plus(holdfast_types::DurationMs(60_002)),
        ..late
    };
    assert_eq!(refused(far, "a", "b"), RefusalReason::DeadlineTooFar);
    let request = Request {
        not_after: START.plus(holdfast_types::DurationMs(1_000)),
        ..late
    };
    for (operator, text) in [
        ("", "b"),
        ("a", ""),
        (&*"a".repeat(65), "b"),
        ("a", &*"b".repeat(1_025)),
    ] {
        assert_eq!(refused(request, operator, text), RefusalReason::Invalid);
    }
    let longest = note(request, &"a".repeat(64), &"b".repeat(1_024));
    assert!(matches!(store.apply(longest), Outcome::Recorded { .. }));
}

#[test]
fn oldest_act_goes_when_no_copy_of_it_can_come() {
    let mut store = Store::with_show();
    for _ in 0..ACTS_KEPT_MAX {
        let request = store.request();
        let outcome = store.apply(note(request, "ada", "x"));
        assert!(matches!(outcome, Outcome::Recorded { .. }));
    }
    let request = store.request();
    let full = store.apply(note(request, "ada", "x"));
    assert_eq!(reason(&full), RefusalReason::TooManyRequests);
    store.wait(5_001);
    let request = store.request();
    let outcome = store.apply(note(request, "ada", "the newest"));
    assert!(matches!(outcome, Outcome::Recorded { .. }));
    assert_eq!(store.state.operator_acts(None).count(), ACTS_KEPT_MAX);
    let (_, newest) = store.state.operator_acts(None).next().expect("many");
    assert_eq!(&*newest.text, "the newest");
}

#[test]
fn acts_are_restored_in_order_and_before_the_shows_or_not_at_all() {
    let mut store = Store::with_show();
    for id in [1, 2] {
        let request = Request {
            id: RequestId([id; 16]),
            ..store.request()
        };
        store.apply(note(request, "ada", "x"));
    }
    let records: Vec<_> = store.state.records().collect();
    let restored = State::from_records(records.clone()).expect("good records");
    assert_eq!(restored.hash(), store.state.hash());
    let bad = |from: usize, to: usize| {
        let mut records = records.clone();
        let record = records.remove(from);
        records.insert(to, record);
        State::from_records(records).expect_err("out of order")
    };
    assert!(matches!(records[1], Record::Act(_)));
    assert!(matches!(bad(1, 2), RestoreError::BadRecord { .. }));
    assert!(matches!(bad(2, 4), RestoreError::BadRecord { .. }));
    let mut missing = records;
    missing.remove(1);
    let error = State::from_records(missing).expect_err("one is missing");
    assert!(matches!(error, RestoreError::HashDiffers { .. }));
}
