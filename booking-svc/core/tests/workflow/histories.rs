//! Random histories: events in any order and number, calls that run late, twice or never, answers
//! that are lost or come again, other customers, a database that refuses rows. A model of the
//! store judges; afterwards everything heals and must add up.

use std::collections::{BTreeMap, BTreeSet};

use booking_core::{
    Booking, Call, CommitAnswer, Decision, Fate, HoldAnswer, Input, Reason, Record, ReleaseAnswer,
    Step, decide,
};
use holdfast_types::{BookingState, ClusterTime, Fence, HoldId, Money, PaymentId, SeatNo};
use proptest::prelude::*;
use uuid::Uuid;

use crate::fixtures::{END, eur, fence, payment, pending};

/// Questions that healing may take; the longest chain is all late holds plus an ending.
const HEALING_STEPS_MAX: usize = 40;

#[derive(Debug, Clone)]
enum Event {
    Paid {
        n: u8,
        amount: i64,
    },
    Failed {
        n: u8,
    },
    Session {
        n: u8,
    },
    Refunded {
        n: u8,
    },
    Sweep,
    /// The watch tells, truly or not, that a hold ended.
    Told {
        fence_no: u64,
    },
    Cancel {
        confirmed_too: bool,
    },
    CallOff,
    /// One of the two seats, for its price or for too much.
    GiveBack {
        seat: u32,
        amount: i64,
    },
    /// From here on decisions are made at this distance from the booking's end.
    Time {
        after_end: i64,
    },
    Resume,
    /// Run the `i`th call ever asked (again), keeping its answer.
    Run {
        i: usize,
    },
    /// Deliver the `i`th answer ever given (again); the database may refuse rows.
    Answer {
        i: usize,
        refuse: bool,
    },
    HoldRunsOut,
    OtherTakes,
    OtherLeaves,
    ShowEnds,
    /// An answer that no store would give.
    Nonsense {
        fence_no: u64,
        attempt: u32,
        kind: u8,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (1_u8..4, prop_oneof![4 => Just(5_000_i64), 1 => -1_i64..9_000])
            .prop_map(|(n, amount)| Event::Paid { n, amount }),
        1 => (1_u8..4).prop_map(|n| Event::Failed { n }),
        1 => (1_u8..4).prop_map(|n| Event::Session { n }),
        1 => (1_u8..4).prop_map(|n| Event::Refunded { n }),
        2 => Just(Event::Sweep),
        1 => (0_u64..4).prop_map(|fence_no| Event::Told { fence_no }),
        1 => any::<bool>().prop_map(|confirmed_too| Event::Cancel { confirmed_too }),
        1 => Just(Event::CallOff),
        1 => (4_u32..7, prop_oneof![3 => Just(2_500_i64), 1 => 0_i64..6_000])
            .prop_map(|(seat, amount)| Event::GiveBack { seat, amount }),
        2 => (-2_i64..3).prop_map(|after_end| Event::Time { after_end }),
        2 => Just(Event::Resume),
        8 => any::<usize>().prop_map(|i| Event::Run { i }),
        8 => (any::<usize>(), prop::bool::weighted(0.05))
            .prop_map(|(i, refuse)| Event::Answer { i, refuse }),
        1 => Just(Event::HoldRunsOut),
        1 => Just(Event::OtherTakes),
        1 => Just(Event::OtherLeaves),
        1 => Just(Event::ShowEnds),
    ];
    prop::collection::vec(event, 1..60)
}

fn nonsense() -> impl Strategy<Value = Vec<Event>> {
    let wild =
        (0_u64..6, 0_u32..7, 0_u8..8).prop_map(|(fence_no, attempt, kind)| Event::Nonsense {
            fence_no,
            attempt,
            kind,
        });
    (
        events(),
        prop::collection::vec((any::<prop::sample::Index>(), wild), 0..30),
    )
        .prop_map(|(mut events, wild)| {
            for (at, event) in wild {
                let at = at.index(events.len());
                events.insert(at, event);
            }
            events
        })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seats {
    Free,
    Held(HoldId, Fence),
    Sold(Fence),
    Other,
}

/// The store, as far as one booking's seats go.
struct Store {
    seats: Seats,
    over: bool,
    fences: u64,
    granted: BTreeMap<HoldId, Fence>,
    /// Of those that are sold, by the sale's fence: put back on sale.
    returned: BTreeMap<Fence, BTreeSet<SeatNo>>,
}

impl Store {
    /// As asked for `booking` as it is.
    fn run(&mut self, call: Call, booking: &Booking) -> Input {
        match call {
            Call::Release { hold_id, fence } => {
                if self.seats == Seats::Held(hold_id, fence) {
                    self.seats = Seats::Free;
                }
                let sold = self.seats == Seats::Sold(fence);
                let answer = if sold {
                    ReleaseAnswer::AlreadySold
                } else {
                    ReleaseAnswer::Gone
                };
                Input::Released { fence, answer }
            }
            Call::Commit { hold_id, fence } => {
                let answer = if self.seats == Seats::Sold(fence) {
                    CommitAnswer::Sold
                } else if self.over {
                    CommitAnswer::Refused(Reason::ShowOver)
                } else if self.seats == Seats::Held(hold_id, fence) {
                    self.seats = Seats::Sold(fence);
                    CommitAnswer::Sold
                } else {
                    CommitAnswer::Gone
                };
                Input::Committed { fence, answer }
            }
            Call::HoldAgain { hold_id, attempt } => {
                let known = self.granted.get(&hold_id).copied();
                let answer = if let Some(fence) = known {
                    HoldAnswer::Held {
                        hold_id,
                        fence,
                        expires_at: END,
                    }
                } else if self.over {
                    HoldAnswer::Refused(Reason::ShowOver)
                } else if self.seats == Seats::Free {
                    self.fences += 1;
                    let fence = fence(self.fences);
                    self.seats = Seats::Held(hold_id, fence);
                    self.granted.insert(hold_id, fence);
                    HoldAnswer::Held {
                        hold_id,
                        fence,
                        expires_at: END,
                    }
                } else {
                    HoldAnswer::Refused(Reason::SeatsGone)
                };
                Input::HeldAgain { attempt, answer }
            }
            Call::Return { fence } => {
                let seats = booking.seats_to_return();
                if self.seats == Seats::Sold(fence) {
                    let returned = self.returned.entry(fence).or_default();
                    returned.extend(seats);
                    if returned.len() == booking.seats.len() {
                        self.seats = Seats::Free;
                    }
                }
                let seats = seats.len();
                Input::Returned { fence, seats }
            }
        }
    }
}

/// One history.
struct History {
    booking: Booking,
    /// As the deciding process has it; several don't agree, so it may fall.
    now: ClusterTime,
    store: Store,
    calls: Vec<Call>,
    answers: Vec<Input>,
    captured: BTreeMap<PaymentId, Money>,
    /// By payment, what was asked back under which id.
    refunds: BTreeMap<PaymentId, BTreeMap<Uuid, i64>>,
    sold_answers: BTreeSet<Fence>,
    tickets: bool,
}

impl History {
    fn new() -> Self {
        let booking = pending();
        let seats = Seats::Held(booking.hold.hold_id, booking.hold.fence);
        Self {
            booking,
            now: ClusterTime(0),
            store: Store {
                seats,
                over: false,
                fences: 1,
                granted: BTreeMap::new(),
                returned: BTreeMap::new(),
            },
            calls: Vec::new(),
            answers: Vec::new(),
            captured: BTreeMap::new(),
            refunds: BTreeMap::new(),
            sold_answers: BTreeSet::new(),
            tickets: false,
        }
    }

    /// Decides and commits as the driver does; `refuse`: the database has too few rows.
    fn feed(&mut self, input: Input, refuse: bool) {
        if let Input::Committed {
            fence,
            answer: CommitAnswer::Sold,
        } = input
        {
            self.sold_answers.insert(fence);
        }
        let mut decision = decide(&self.booking, input.clone(), self.now);
        if refuse && let Some(refusal) = refusal_of(&decision) {
            decision = decide(&self.booking, refusal, self.now);
            assert!(
                refusal_of(&decision).is_none(),
                "a refusal asks for the same rows again"
            );
        }
        self.commit(decision);
    }

    fn commit(&mut self, decision: Decision) {
        for record in &decision.records {
            match *record {
                Record::Refund {
                    payment_id,
                    refund_id,
                    amount,
                    ..
                } => {
                    let refunds = self.refunds.entry(payment_id).or_default();
                    let before = refunds.insert(refund_id, amount.amount);
                    assert_eq!(before, None, "refunded twice");
                    let captured = self.captured[&payment_id];
                    assert_eq!(captured.currency, amount.currency);
                    assert!(
                        refunds.values().sum::<i64>() <= captured.amount,
                        "refunded too much"
                    );
                }
                Record::IssueTickets => {
                    assert!(!self.tickets, "tickets issued twice");
                    self.tickets = true;
                }
                Record::VoidTickets => self.tickets = false,
                _ => {}
            }
        }
        self.booking = decision.next;
        self.calls.extend(decision.call);
        self.check();
    }

    fn check(&self) {
        let booking = &self.booking;
        let known: BTreeMap<_, _> = booking
            .payments
            .iter()
            .map(|paid| (paid.payment_id, paid.amount))
            .collect();
        assert_eq!(
            known.len(),
            booking.payments.len(),
            "a payment is recorded twice"
        );
        assert_eq!(known, self.captured, "captured money was lost or invented");
        let mut standing = 0;
        for paid in &booking.payments {
            match paid.fate {
                Fate::Pending | Fate::Kept => {
                    standing += 1;
                    let refunds = self.refunds.get(&paid.payment_id);
                    let parts = refunds.map_or(0, BTreeMap::len);
                    assert_eq!(parts, paid.parts.len(), "refunded and standing");
                    assert_eq!(paid.amount, booking.total);
                }
                Fate::Refunding(_) | Fate::Refunded(_) => {
                    let refunds = &self.refunds[&paid.payment_id];
                    let asked: i64 = refunds.values().sum();
                    assert_eq!(asked, paid.amount.amount, "refund was never asked");
                }
            }
        }
        assert!(standing <= 1, "two payments stand");
        let kept = booking.payments.iter().any(|paid| paid.fate == Fate::Kept);
        let confirmed = booking.state == BookingState::Confirmed;
        assert_eq!(kept, confirmed);
        assert_eq!(
            self.tickets, confirmed,
            "tickets without confirmation, or the reverse"
        );
        if confirmed {
            assert!(
                self.sold_answers.contains(&booking.hold.fence),
                "confirmed, never sold"
            );
            let idle = matches!(booking.step, Step::Idle | Step::Returning);
            assert!(idle, "{:?}", booking.step);
        }
        if booking.pending_payment().is_some() {
            assert_ne!(
                booking.step,
                Step::Idle,
                "pending money with nobody at work"
            );
        }
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Paid { n, amount } => {
                let amount = eur(amount);
                if amount.amount > 0 {
                    self.captured.entry(payment(n)).or_insert(amount);
                }
                let amount = self.captured.get(&payment(n)).copied().unwrap_or(amount);
                self.feed(
                    Input::PaymentSucceeded {
                        payment_id: payment(n),
                        amount,
                    },
                    false,
                );
            }
            Event::Failed { n } => {
                self.feed(
                    Input::PaymentFailed {
                        payment_id: payment(n),
                    },
                    false,
                );
            }
            Event::Session { n } => {
                let url = String::from("u");
                self.feed(
                    Input::SessionCreated {
                        payment_id: payment(n),
                        url,
                    },
                    false,
                );
            }
            Event::Refunded { n } => {
                let refund_id = booking_core::part_refund_id(payment(n), 0);
                self.feed(Input::RefundSucceeded { refund_id }, false);
                let refund_id = booking_core::refund_id(payment(n));
                self.feed(Input::RefundSucceeded { refund_id }, false);
            }
            Event::Sweep => self.feed(Input::ExpiryDue, false),
            Event::Told { fence_no } => {
                let fence = fence(fence_no);
                self.feed(Input::HoldEnded { fence }, false);
            }
            Event::Cancel { confirmed_too } => {
                self.feed(Input::CancelRequested { confirmed_too }, false);
            }
            Event::GiveBack { seat, amount } => {
                let seats = vec![SeatNo(seat)];
                self.feed(Input::SeatsGivenBack { seats, amount }, false);
            }
            Event::CallOff => self.feed(Input::ShowCancelled, false),
            Event::Time { after_end } => {
                self.now = ClusterTime(END.0.saturating_add_signed(after_end));
            }
            Event::Resume => self.feed(Input::Resume, false),
            Event::Run { i } => {
                if let Some(call) = pick(&self.calls, i) {
                    self.answers.push(self.store.run(call, &self.booking));
                }
            }
            Event::Answer { i, refuse } => {
                if let Some(answer) = pick(&self.answers, i) {
                    self.feed(answer, refuse);
                }
            }
            Event::HoldRunsOut => {
                if let Seats::Held(..) = self.store.seats {
                    self.store.seats = Seats::Free;
                }
            }
            Event::OtherTakes => {
                if self.store.seats == Seats::Free {
                    self.store.fences += 1;
                    self.store.seats = Seats::Other;
                }
            }
            Event::OtherLeaves => {
                if self.store.seats == Seats::Other {
                    self.store.seats = Seats::Free;
                }
            }
            Event::ShowEnds => self.store.over = true,
            Event::Nonsense {
                fence_no,
                attempt,
                kind,
            } => {
                self.feed(nonsense_input(fence_no, attempt, kind), false);
            }
        }
    }

    /// Everything is delivered and every call answered, until nothing is open.
    fn heal(&mut self) {
        for _ in 0..HEALING_STEPS_MAX {
            let decision = decide(&self.booking, Input::Resume, self.now);
            let Some(call) = decision.call else { return };
            let answer = self.store.run(call, &self.booking);
            self.feed(answer, false);
        }
        panic!(
            "still open after {HEALING_STEPS_MAX} answers: {:?}",
            self.booking
        );
    }
}

fn pick<T: Clone>(items: &[T], i: usize) -> Option<T> {
    (!items.is_empty()).then(|| items[i % items.len()].clone())
}

fn refusal_of(decision: &Decision) -> Option<Input> {
    let hold = decision.next.hold;
    decision.records.iter().find_map(|record| match *record {
        Record::SellSeats { fence } => Some(Input::SeatsNotSold { fence }),
        Record::MarkSeats { fence, .. } => Some(Input::SeatsNotMarked {
            attempt: hold.attempt,
            hold_id: hold.hold_id,
            fence,
        }),
        _ => None,
    })
}

fn nonsense_input(fence_no: u64, attempt: u32, kind: u8) -> Input {
    let fence = fence(fence_no);
    let hold_id = HoldId::from_bytes([9; 16]);
    match kind {
        0 => Input::Released {
            fence,
            answer: ReleaseAnswer::Gone,
        },
        1 => Input::Released {
            fence,
            answer: ReleaseAnswer::AlreadySold,
        },
        2 => Input::Committed {
            fence,
            answer: CommitAnswer::Sold,
        },
        3 => Input::Committed {
            fence,
            answer: CommitAnswer::Gone,
        },
        4 => Input::Returned {
            fence,
            seats: usize::try_from(attempt).unwrap_or_default(),
        },
        5 => Input::SeatsNotMarked {
            attempt,
            hold_id,
            fence,
        },
        6 => Input::SeatsNotSold { fence },
        _ => Input::HeldAgain {
            attempt,
            answer: HoldAnswer::Held {
                hold_id,
                fence,
                expires_at: END,
            },
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_with_money_and_seats_in_one_place(events in events()) {
        let mut history = History::new();
        for event in events {
            history.play(event);
            let confirmed = history.booking.state == BookingState::Confirmed;
            if confirmed {
                prop_assert_eq!(history.store.seats, Seats::Sold(history.booking.hold.fence));
            }
        }
        history.heal();
        // Copies of old calls that were still on their way.
        for call in history.calls.clone() {
            let answer = history.store.run(call, &history.booking);
            history.feed(answer, false);
        }
        history.heal();
        let booking = &history.booking;
        prop_assert_eq!(booking.step, Step::Idle);
        prop_assert!(booking.pending_payment().is_none(), "money without an ending");
        let sold = matches!(history.store.seats, Seats::Sold(_));
        prop_assert_eq!(sold, booking.state == BookingState::Confirmed);
        if sold {
            let none = BTreeSet::new();
            let returned = history.store.returned.get(&booking.hold.fence).unwrap_or(&none);
            prop_assert!(returned.iter().eq(&booking.returned), "{returned:?}");
        }
    }

    #[test]
    fn answers_that_no_store_gives_never_break_a_promise(events in nonsense()) {
        let mut history = History::new();
        for event in events {
            history.play(event);
        }
    }
}
