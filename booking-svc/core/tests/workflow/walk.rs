//! Every state that a booking can come to, and in each of them every input: walked from a new
//! booking until nothing new is found. What always holds is checked of each decision, and the page
//! `docs/purchase-workflow.md` is written from what was seen.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fmt::Write as _,
};

use booking_core::{
    Booking, Call, CommitAnswer, Decision, Ending, Fate, Happened, HoldAnswer, Input,
    LATE_HOLDS_MAX, Reason, Record, ReleaseAnswer, Step, decide, late_hold_id, part_refund_id,
    refund_id, timeline,
};
use holdfast_types::{BookingState, ClusterTime, Fence, HoldId, SeatNo};

use crate::fixtures::{END, eur, fence, paid, payment, pending};

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/purchase-workflow.md"
);

/// More than there are: a defect that makes ever new states ends the walk.
const STATES_MAX: usize = 200_000;

/// What is written in the database or asked of the store, by name; and what takes it back.
const EFFECTS: [Effect; 14] = [
    effect("MarkSeats", "seats `HELD` for the booking", &["FreeSeats"]),
    effect("SellSeats", "seats `SOLD`", &["FreeSeats"]),
    effect("IssueTickets", "a ticket a seat", &["VoidTickets"]),
    effect("FreeSeats", "seats `AVAILABLE`, their fence kept", &[]),
    effect("VoidTickets", "every ticket `VOID`", &[]),
    effect(
        "GiveBackSeats",
        "some seats `AVAILABLE`, their tickets `VOID`",
        &[],
    ),
    effect("Refund", "money is to go back, under its own id", &[]),
    effect("AnnounceConfirmed", "others are told", &["AnnounceEnded"]),
    effect("AnnounceEnded", "others are told", &[]),
    effect("RaiseAlarm", "people are told", &[]),
    effect("Release", "the store lets the hold go", &[]),
    effect("Commit", "the store sells the hold's seats", &["Return"]),
    effect(
        "HoldAgain",
        "the store holds the same seats",
        &["Release", "Commit"],
    ),
    effect("Return", "the store puts sold seats back on sale", &[]),
];

struct Effect {
    name: &'static str,
    what: &'static str,
    undone_by: &'static [&'static str],
}

const fn effect(
    name: &'static str,
    what: &'static str,
    undone_by: &'static [&'static str],
) -> Effect {
    Effect {
        name,
        what,
        undone_by,
    }
}

const STEPS: [(&str, &str, &str); 5] = [
    ("Idle", "nothing", "nothing to undo"),
    (
        "Releasing",
        "Release",
        "none: late money takes the seats again by `Holding`",
    ),
    ("Committing", "Commit", "`Returning`"),
    ("Holding", "HoldAgain", "`Releasing`, or the sale"),
    ("Returning", "Return", "none: it is itself an undo"),
];

fn record_name(record: &Record) -> &'static str {
    match record {
        Record::MarkSeats { .. } => "MarkSeats",
        Record::SellSeats { .. } => "SellSeats",
        Record::IssueTickets => "IssueTickets",
        Record::FreeSeats { .. } => "FreeSeats",
        Record::VoidTickets => "VoidTickets",
        Record::GiveBackSeats { .. } => "GiveBackSeats",
        Record::Refund { .. } => "Refund",
        Record::AnnounceConfirmed => "AnnounceConfirmed",
        Record::AnnounceEnded { .. } => "AnnounceEnded",
        Record::RaiseAlarm(_) => "RaiseAlarm",
    }
}

fn call_name(call: Call) -> &'static str {
    match call {
        Call::Release { .. } => "Release",
        Call::Commit { .. } => "Commit",
        Call::HoldAgain { .. } => "HoldAgain",
        Call::Return { .. } => "Return",
    }
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Idle => "Idle",
        Step::Releasing(_) => "Releasing",
        Step::Committing => "Committing",
        Step::Holding => "Holding",
        Step::Returning => "Returning",
    }
}

/// A booking and which of the effects with an undo stand.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    booking: Booking,
    stands: BTreeSet<&'static str>,
}

/// An input with its name on the page.
struct Told {
    name: &'static str,
    input: Input,
    now: ClusterTime,
}

const OTHER: HoldId = HoldId::from_bytes([9; 16]);

/// The fence of the hold that late money takes at `attempt`.
fn late_fence(attempt: u32) -> Fence {
    fence(10 + u64::from(attempt))
}

/// Every input that may come to `booking`: those that fit it, and their likes that come late.
fn inputs(booking: &Booking) -> Vec<Told> {
    let told = |name, input| Told {
        name,
        input,
        now: END,
    };
    let wrong = Input::PaymentSucceeded {
        payment_id: payment(3),
        amount: eur(1),
    };
    let attempt = booking.hold.attempt + 1;
    let (hold_id, next_fence) = (late_hold_id(booking.id, attempt), late_fence(attempt));
    let held = HoldAnswer::Held {
        hold_id,
        fence: next_fence,
        expires_at: END,
    };
    let mut all = vec![
        told(
            "session created",
            Input::SessionCreated {
                payment_id: payment(1),
                url: String::from("u"),
            },
        ),
        told("paid", paid(1)),
        told("paid", paid(2)),
        told("paid another amount", wrong),
        Told {
            now: ClusterTime(END.0 - 1),
            ..told("expiry due, too early", Input::ExpiryDue)
        },
        told("expiry due", Input::ExpiryDue),
        told("show cancelled", Input::ShowCancelled),
        told(
            "a seat given back",
            Input::SeatsGivenBack {
                seats: vec![SeatNo(4)],
                amount: 2_000,
            },
        ),
        told(
            "given back in vain",
            Input::SeatsGivenBack {
                seats: vec![SeatNo(4), SeatNo(5)],
                amount: 5_000,
            },
        ),
        told(
            "given back in vain",
            Input::SeatsGivenBack {
                seats: vec![SeatNo(4)],
                amount: 5_001,
            },
        ),
        told(
            "given back in vain",
            Input::SeatsGivenBack {
                seats: vec![SeatNo(6)],
                amount: 1,
            },
        ),
        told("resumed", Input::Resume),
        told(
            "not marked",
            Input::SeatsNotMarked {
                attempt,
                hold_id,
                fence: next_fence,
            },
        ),
        told(
            "stale: returned",
            Input::Returned {
                fence: booking.hold.fence,
                seats: booking.seats_to_return().len() + 1,
            },
        ),
        told(
            "stale: not marked",
            Input::SeatsNotMarked {
                attempt: attempt - 1,
                hold_id: OTHER,
                fence: fence(999),
            },
        ),
    ];
    for n in 1..=3 {
        let payment_id = payment(n);
        let failed = Input::PaymentFailed { payment_id };
        all.push(told("payment failed", failed.clone()));
        all.push(Told {
            now: ClusterTime(END.0 - 1),
            ..told("payment failed in time", failed)
        });
        let refund_id = refund_id(payment_id);
        all.push(told("refunded", Input::RefundSucceeded { refund_id }));
        let refund_id = part_refund_id(payment_id, 0);
        all.push(told("part refunded", Input::RefundSucceeded { refund_id }));
    }
    for (name, confirmed_too) in [("cancel", true), ("cancel if unpaid", false)] {
        all.push(told(name, Input::CancelRequested { confirmed_too }));
    }
    for (stale, fence) in [(false, booking.hold.fence), (true, fence(999))] {
        let named = |name, late| if stale { late } else { name };
        let released = |answer| Input::Released { fence, answer };
        let committed = |answer| Input::Committed { fence, answer };
        all.extend([
            told(
                named("hold ended", "stale: hold ended"),
                Input::HoldEnded { fence },
            ),
            told(
                named("released", "stale: released"),
                released(ReleaseAnswer::Gone),
            ),
            told(
                named("not released: sold", "stale: not released"),
                released(ReleaseAnswer::AlreadySold),
            ),
            told(named("sold", "stale: sold"), committed(CommitAnswer::Sold)),
            told(named("gone", "stale: gone"), committed(CommitAnswer::Gone)),
            told(
                named("refused", "stale: refused"),
                committed(CommitAnswer::Refused(Reason::ShowOver)),
            ),
            told(
                named("returned", "stale: returned"),
                Input::Returned {
                    fence,
                    seats: booking.seats_to_return().len(),
                },
            ),
            told(
                named("not sold here", "stale: not sold here"),
                Input::SeatsNotSold { fence },
            ),
        ]);
    }
    for (stale, attempt) in [(false, attempt), (true, attempt - 1)] {
        let answers = [
            (
                if stale {
                    "stale: held again"
                } else {
                    "held again"
                },
                held,
            ),
            (
                if stale { "stale: not held" } else { "not held" },
                HoldAnswer::Refused(Reason::SeatsGone),
            ),
        ];
        for (name, answer) in answers {
            all.push(told(name, Input::HeldAgain { attempt, answer }));
        }
    }
    all
}

/// What stands after `decision`, whose input may have been the answer to a question.
fn standing(before: &Place, input: &Input, decision: &Decision) -> BTreeSet<&'static str> {
    let mut stands = before.stands.clone();
    let mut happens = |name: &'static str| {
        stands.retain(|stood| !effect_named(stood).undone_by.contains(&name));
        if !effect_named(name).undone_by.is_empty() {
            stands.insert(name);
        }
    };
    if decision.next != before.booking {
        // What the store says it did. It may have sold though it never said so: what is asked is
        // taken for done until it says otherwise.
        match input {
            Input::Committed {
                answer: CommitAnswer::Sold,
                ..
            }
            | Input::Released {
                answer: ReleaseAnswer::AlreadySold,
                ..
            }
            | Input::SeatsNotSold { .. } => happens("Commit"),
            Input::HeldAgain {
                answer: HoldAnswer::Held { .. },
                ..
            }
            | Input::SeatsNotMarked { .. } => happens("HoldAgain"),
            Input::Committed {
                answer: CommitAnswer::Gone,
                ..
            } => happens("Release"),
            _ => {}
        }
        for record in &decision.records {
            happens(record_name(record));
        }
        match input {
            Input::Released {
                answer: ReleaseAnswer::Gone,
                ..
            } => happens("Release"),
            // Of a confirmed booking it is what was given back.
            Input::Returned { .. } if decision.next.state != BookingState::Confirmed => {
                happens("Return");
            }
            _ => {}
        }
    }
    stands
}

fn effect_named(name: &str) -> &'static Effect {
    EFFECTS
        .iter()
        .find(|effect| effect.name == name)
        .unwrap_or_else(|| panic!("{name} is not on the page"))
}

/// Places found, and what was seen on the way.
struct Walk {
    places: usize,
    rows: BTreeMap<String, BTreeSet<String>>,
}

fn walk(mut check: impl FnMut(&Place, &Told, &Decision, &Place)) -> Walk {
    let start = Place {
        booking: pending(),
        stands: BTreeSet::from(["MarkSeats"]),
    };
    let mut known = HashSet::from([format!("{:?}{:?}", start.booking, start.stands)]);
    let mut open = VecDeque::from([start]);
    let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while let Some(place) = open.pop_front() {
        for told in inputs(&place.booking) {
            // What the store sold it has sold until it is returned.
            let unsold = ["released", "gone", "refused"].contains(&told.name);
            if unsold && place.stands.contains("Commit") {
                continue;
            }
            let decision = decide(&place.booking, told.input.clone(), told.now);
            let sells = decision
                .records
                .iter()
                .any(|record| record_name(record) == "SellSeats");
            if sells && !place.stands.contains("MarkSeats") {
                // The database has no rows for it, so that "not sold here" is what comes of it.
                continue;
            }
            let next = Place {
                stands: standing(&place, &told.input, &decision),
                booking: decision.next.clone(),
            };
            check(&place, &told, &decision, &next);
            if decision.next != place.booking {
                let (from, row) = row(&place.booking, &told, &decision);
                rows.entry(from).or_default().insert(row);
            }
            if next != place && known.insert(format!("{:?}{:?}", next.booking, next.stands)) {
                assert!(known.len() < STATES_MAX, "ever new states");
                open.push_back(next);
            }
        }
    }
    Walk {
        places: known.len(),
        rows,
    }
}

#[test]
fn timeline_says_each_change_once_and_nothing_else() {
    let walk = walk(|before, told, decision, after| {
        let (was, is) = (&before.booking, &after.booking);
        let entries = timeline(was, &told.input, decision);
        let count = |happened| {
            let like = entries.iter().filter(|entry| entry.happened == happened);
            like.count()
        };
        if was == is && decision.records.is_empty() {
            assert_eq!(entries, [], "{}: nothing happened", told.name);
            return;
        }
        // What changes without an entry of its own is only the step that is open.
        assert!(!entries.is_empty(), "{}: {was:?} {is:?}", told.name);
        let endings = [
            (BookingState::Confirmed, Happened::Confirmed),
            (BookingState::Expired, Happened::Expired),
            (BookingState::Failed, Happened::Failed),
            (BookingState::Cancelled, Happened::Cancelled),
        ];
        for (state, happened) in endings {
            let moved = was.state != is.state && is.state == state;
            assert_eq!(
                count(happened),
                usize::from(moved),
                "{}: {entries:?}",
                told.name
            );
        }
        let ended = entries.iter().filter(|entry| {
            let ends = [Happened::Expired, Happened::Failed, Happened::Cancelled];
            ends.contains(&entry.happened)
        });
        for entry in ended {
            assert_eq!(entry.reason, is.reason.map(Reason::as_str), "{}", told.name);
        }
        let paid = is.payments.len() - was.payments.len();
        assert_eq!(count(Happened::Paid), paid, "{}: {entries:?}", told.name);
        let asked = decision.records.iter().filter_map(|record| match record {
            Record::Refund { refund_id, .. } => Some(Some(*refund_id)),
            _ => None,
        });
        let said = entries
            .iter()
            .filter(|entry| entry.happened == Happened::RefundRequested)
            .map(|entry| entry.refund_id);
        assert!(asked.eq(said), "{}: {entries:?}", told.name);
        let refunded = entries
            .iter()
            .filter(|entry| entry.happened == Happened::Refunded);
        for entry in refunded {
            let (payment, amount) = (entry.payment_id, entry.amount);
            assert!(payment.is_some() && amount.is_some(), "{entry:?}");
        }
    });
    assert!(walk.places > 100);
}

#[test]
fn codes_of_the_timeline_differ() {
    let codes: HashSet<_> = Happened::ALL.iter().map(|what| what.as_str()).collect();
    assert_eq!(codes.len(), Happened::ALL.len());
}

fn money(booking: &Booking) -> &'static str {
    let fate = |wanted: Fate| booking.payments.iter().any(|paid| paid.fate == wanted);
    if fate(Fate::Pending) {
        "money waits"
    } else if fate(Fate::Kept) {
        "money is kept"
    } else {
        "no money"
    }
}

fn step_text(step: Step) -> String {
    match step {
        Step::Releasing(ending) => {
            let ending = match ending {
                Ending::Expired => "expired",
                Ending::Cancelled => "cancelled",
                Ending::PaymentFailed => "payment failed",
                Ending::Ended => "has ended",
            };
            format!("Releasing ({ending})")
        }
        step => step_name(step).to_owned(),
    }
}

/// What a booking is on the page, and a row of it.
fn row(booking: &Booking, told: &Told, decision: &Decision) -> (String, String) {
    let place = |booking: &Booking| {
        let step = step_text(booking.step);
        format!("`{}` · {step} · {}", booking.state, money(booking))
    };
    let (from, to) = (place(booking), place(&decision.next));
    let becomes = if from == to { "stays" } else { &to };
    let names = decision.records.iter().map(record_name);
    let records = names.collect::<Vec<_>>().join(", ");
    let asks = decision.call.map_or("", call_name);
    let row = format!("| {} | {becomes} | {records} | {asks} |", told.name);
    (from, row)
}

#[test]
fn every_input_in_every_state_keeps_what_always_holds_and_the_page_says_so() {
    let walk = walk(|before, told, decision, after| {
        let name = told.name;
        let (was, is) = (&before.booking, &after.booking);
        let all =
            |fate: fn(&Fate) -> bool| is.payments.iter().filter(|paid| fate(&paid.fate)).count();
        let pending = all(|fate| *fate == Fate::Pending);
        let kept = all(|fate| *fate == Fate::Kept);
        assert!(pending + kept <= 1, "{name}: two payments stand: {is:?}");
        let confirmed = is.state == BookingState::Confirmed;
        assert_eq!(kept == 1, confirmed, "{name}: BK-2: {is:?}");
        assert!(
            pending == 0 || is.step != Step::Idle,
            "{name}: nobody is at work: {is:?}"
        );
        // Nothing is forgotten, and what goes back was asked for just then.
        assert!(is.payments.len() >= was.payments.len(), "{name}: {is:?}");
        for paid in &is.payments {
            let before = was
                .payments
                .iter()
                .find(|known| known.payment_id == paid.payment_id);
            let turns = matches!(paid.fate, Fate::Refunding(_))
                && before.is_none_or(|before| before.fate != paid.fate);
            let refunded = |id| {
                let refund = |record: &Record| matches!(record, Record::Refund { refund_id, .. } if *refund_id == id);
                decision.records.iter().any(refund)
            };
            let asked = refunded(refund_id(paid.payment_id));
            let parts = before.map_or(0, |before| before.parts.len());
            for n in 0..paid.parts.len() {
                let id = part_refund_id(paid.payment_id, n);
                assert_eq!(refunded(id), n >= parts, "{name}: a part: {was:?} {is:?}");
            }
            assert!(paid.left().amount >= 0, "{name}: more than came: {is:?}");
            assert_eq!(
                turns, asked,
                "{name}: a refund and its request: {was:?} {is:?}"
            );
            if let (Some(before), true) = (before, turns) {
                assert!(
                    matches!(before.fate, Fate::Pending | Fate::Kept),
                    "{name}: refunded again: {was:?}"
                );
            }
        }
        // BK-3, and tickets come and go with it.
        let recorded = |wanted| {
            decision
                .records
                .iter()
                .any(|record| record_name(record) == wanted)
        };
        let becomes = confirmed && was.state != BookingState::Confirmed;
        let sold = Input::Committed {
            fence: was.hold.fence,
            answer: CommitAnswer::Sold,
        };
        assert!(!becomes || told.input == sold, "{name}: BK-3: {was:?}");
        assert_eq!(becomes, recorded("IssueTickets"), "{name}");
        let leaves = !confirmed && was.state == BookingState::Confirmed;
        assert_eq!(leaves, recorded("VoidTickets"), "{name}");
        // A question is the open step's, and a change that leaves a step open asks it.
        assert!(decision.call.is_none() || is.step != Step::Idle, "{name}");
        if let Some(call) = decision.call {
            let asked = STEPS.iter().find(|(step, ..)| *step == step_name(is.step));
            assert_eq!(
                asked.map(|(_, asks, _)| *asks),
                Some(call_name(call)),
                "{name}: {is:?}"
            );
        }
        if is.step != was.step && is.step != Step::Idle {
            assert!(
                decision.call.is_some(),
                "{name}: a step is opened and not asked: {is:?}"
            );
        }
        // Late answers change nothing; the same again records nothing.
        if name.starts_with("stale: ") {
            assert_eq!((is, &decision.records), (was, &vec![]), "{name}");
        }
        let again = decide(is, told.input.clone(), told.now);
        assert_eq!(
            (&again.next, again.records),
            (is, vec![]),
            "{name}, twice, after {was:?}"
        );
        // Every effect was undone that doesn't belong to what the booking is now.
        if is.step == Step::Idle {
            let stands: Vec<_> = after.stands.iter().copied().collect();
            let expected: &[&str] = match is.state {
                BookingState::Confirmed => &[
                    "AnnounceConfirmed",
                    "Commit",
                    "IssueTickets",
                    "MarkSeats",
                    "SellSeats",
                ],
                BookingState::PendingPayment => &["MarkSeats"],
                _ => &[],
            };
            assert_eq!(stands, expected, "{name}: {was:?} {is:?}");
        }
        assert!(is.hold.attempt <= LATE_HOLDS_MAX, "{name}");
    });
    assert!(walk.places > 1_000, "only {} states", walk.places);
    page_is_current(walk.rows);
}

fn page_is_current(rows: BTreeMap<String, BTreeSet<String>>) {
    let mut page = String::from(
        "# The workflow of a purchase

<!-- Generated by walking `decide` of booking-svc/core through every state: `make fix` writes it, a test
compares it. -->

`decide(&Booking, Input, now)` says what a booking becomes, what is recorded with it, and what the
lock store is asked next. What is recorded is committed in the transaction of the change, the outbox
included; the question is asked after it, with no lock of the database held, and its answer is the
next input. A booking with an open step is taken over by whoever finds it (`resumed`): the same
question is asked again, and the store answers as it did.

## Steps

| Step | Asks the store | Undo |
|---|---|---|
",
    );
    for (step, asks, undo) in STEPS {
        writeln!(page, "| {step} | {asks} | {undo} |").expect("a string takes it");
    }
    page.push_str("\n## Effects\n\nEach may happen twice with the effect of once.\n\n| Effect | What it does | Undone by |\n|---|---|---|\n");
    for Effect {
        name,
        what,
        undone_by,
    } in &EFFECTS
    {
        let undo = match undone_by {
            [] => "nothing: it stands".to_owned(),
            names => names.join(", "),
        };
        writeln!(page, "| {name} | {what} | {undo} |").expect("a string takes it");
    }
    page.push_str(
        "\n## Decisions

What changes a booking, for each state, open step and whereabouts of its money. An input that isn't
listed changes nothing; if a step is open, `resumed` and news of a payment that is known ask its
question again. Several rows for one input differ in what came before: another payment that stands,
the time, late holds used up (at most 5).
",
    );
    for (from, rows) in rows {
        page.push_str("\n### ");
        page.push_str(&from);
        page.push_str("\n\n| Input | Becomes | Recorded | Asked |\n|---|---|---|---|\n");
        for row in rows {
            page.push_str(&row);
            page.push('\n');
        }
    }
    if option_env_update() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let there = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        there == page,
        "docs/purchase-workflow.md is out of date: `make fix`"
    );
}

#[expect(clippy::disallowed_methods, reason = "a test is no core")]
fn option_env_update() -> bool {
    std::env::var("UPDATE_DOCS").is_ok()
}
