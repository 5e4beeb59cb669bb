//! Each difference between two readings of a show is found, and nothing else.

use holdfast_types::ShowId;

use super::*;

const GRACE: Duration = Duration::from_secs(900);

fn fence(index: u64) -> Fence {
    Fence::new(Lineage(1), index, 0)
}

fn id(n: u8) -> [u8; 16] {
    [n; 16]
}

/// Customer 1 has bought seat 0 (fence 10) as booking 1, customer 2 has booked seat 1 (fence 20) and
/// is paying, customer 3 holds seat 2 (fence 30), seat 3 was given back (fence 5), 4 is blocked.
fn in_order() -> (Found, Known) {
    let claim = |n: u8, booking: Option<u8>| Claim {
        fence: fence(u64::from(n) * 10),
        hold_id: HoldId::from_bytes(id(n)),
        holder: UserId::from_bytes(id(n)),
        booking_id: booking.map(|n| BookingId::from_bytes(id(n))),
    };
    let found = Found {
        lineage: Lineage(1),
        state: Some(ShowState::OnSale),
        seat_count: 10,
        seats_per_customer_max: 2,
        claims: vec![claim(1, Some(1)), claim(2, None), claim(3, None)],
        claimed: (0..3).map(|n| (SeatNo(n), n as usize)).collect(),
        blocked: BTreeSet::from([SeatNo(4)]),
        free: HashMap::from([(SeatNo(3), fence(5))]),
        violations: Vec::new(),
    };
    let seat = |seat_no, state, index, booking: Option<u8>| AuditedSeat {
        seat_no: SeatNo(seat_no),
        state,
        fence: fence(index),
        booking_id: booking.map(|n| BookingId::from_bytes(id(n))),
    };
    let booking = |n: u8, state| AuditedBooking {
        booking_id: BookingId::from_bytes(id(n)),
        user_id: UserId::from_bytes(id(n)),
        state,
        is_step_open: false,
        unchanged_for: Duration::from_secs(1),
        hold_id: HoldId::from_bytes(id(n)),
        fence: fence(u64::from(n) * 10),
    };
    let bookings = [
        booking(1, BookingState::Confirmed),
        booking(2, BookingState::PendingPayment),
    ];
    let known = Known {
        show: AuditedShow {
            show_id: ShowId::from_bytes(id(9)),
            state: ShowState::OnSale,
            seat_count: 10,
            seats_per_customer_max: 2,
        },
        seats: vec![
            seat(0, SeatState::Sold, 10, Some(1)),
            seat(1, SeatState::Held, 20, Some(2)),
            seat(3, SeatState::Available, 5, None),
        ],
        bookings: bookings.into_iter().map(|b| (b.booking_id, b)).collect(),
        house: AuditedHouse {
            blocked: vec![SeatNo(4)],
            comparison_late_for: None,
        },
    };
    (found, known)
}

fn kinds(found: &Found, known: &Known) -> Vec<(String, String)> {
    let findings = compare(Some(found), known, Some(Lineage(1)), GRACE);
    let mut kinds: Vec<_> = findings
        .into_iter()
        .map(|finding| (finding.invariant, finding.kind))
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// What is found once `spoil` has been at it.
fn spoilt(spoil: impl FnOnce(&mut Found, &mut Known)) -> Vec<(String, String)> {
    let (mut found, mut known) = in_order();
    spoil(&mut found, &mut known);
    kinds(&found, &known)
}

fn one(invariant: &str, kind: &str) -> Vec<(String, String)> {
    vec![(invariant.to_owned(), kind.to_owned())]
}

fn booking(known: &mut Known, n: u8) -> &mut AuditedBooking {
    let booking = known.bookings.get_mut(&BookingId::from_bytes(id(n)));
    booking.expect("is there")
}

#[test]
fn what_agrees_is_no_finding() {
    let (found, known) = in_order();
    assert_eq!(kinds(&found, &known), []);
}

#[test]
fn each_difference_of_a_seat_is_found() {
    let gone = |found: &mut Found, seat_no| found.claimed.remove(&SeatNo(seat_no));
    assert_eq!(
        spoilt(|found, known| {
            gone(found, 0);
            found.free.insert(SeatNo(0), fence(10));
            known.seats[0].fence = fence(10);
        }),
        one("BK-3", "SOLD_IN_DATABASE_ONLY")
    );
    let sold_here_is_free = |_: &mut Found, known: &mut Known| {
        known.seats[0].state = SeatState::Available;
        known.seats[0].booking_id = None;
    };
    assert_eq!(spoilt(sold_here_is_free), one("BK-3", "SOLD_IN_STORE_ONLY"));
    assert_eq!(
        spoilt(|_, known| known.bookings.clear()),
        one("HS-1", "HELD_FOR_NONE")
    );
    assert_eq!(
        spoilt(|found, _| {
            gone(found, 1);
            found.free.insert(SeatNo(1), fence(20));
        }),
        one("HS-1", "HELD_IN_DATABASE_ONLY")
    );
    assert_eq!(
        spoilt(|found, _| found.claims[1].hold_id = HoldId::from_bytes(id(7))),
        one("HS-1", "HELD_IN_DATABASE_ONLY")
    );
    assert_eq!(
        spoilt(|_, known| booking(known, 2).state = BookingState::Expired),
        one("HS-1", "HELD_FOR_NONE")
    );
    assert_eq!(
        spoilt(|found, _| found.claims[0].holder = UserId::from_bytes(id(7))),
        one("HS-1", "OTHER_HOLD")
    );
    assert_eq!(
        spoilt(|_, known| known.house.blocked.push(SeatNo(5))),
        one("HS-1", "BLOCKED_IN_DATABASE_ONLY")
    );
    assert_eq!(
        spoilt(|_, known| known.house.blocked.clear()),
        one("HS-1", "BLOCKED_IN_STORE_ONLY")
    );
    assert_eq!(
        spoilt(|_, known| known.seats[2].fence = fence(6)),
        one("HS-3", "FENCE_AHEAD")
    );
}

#[test]
fn each_difference_of_a_show_is_found() {
    assert_eq!(
        spoilt(|found, _| found.state = Some(ShowState::Paused)),
        one("SHOW", "SHOW_STATE_DIFFERS")
    );
    assert_eq!(
        spoilt(|found, _| found.seat_count = 11),
        one("SHOW", "SHOW_RULES_DIFFER")
    );
    assert_eq!(
        spoilt(|found, _| found.lineage = Lineage(0)),
        one("HS-3", "OTHER_LINEAGE")
    );
    assert_eq!(
        spoilt(|found, _| found.violations.push(("HS-2".to_owned(), "d".to_owned()))),
        one("HS-2", "STORE_VIOLATION")
    );
    let (_, known) = in_order();
    let findings = compare(None, &known, Some(Lineage(1)), GRACE);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].kind, "SHOW_NOT_IN_STORE");
}

#[test]
fn a_customer_over_the_cap_is_found_by_the_word_of_either() {
    let in_store = spoilt(|found, _| {
        for claim in &mut found.claims[1..] {
            claim.holder = UserId::from_bytes(id(3));
        }
        found.claimed.insert(SeatNo(5), 2);
    });
    assert_eq!(in_store, one("HS-8", "CAP_EXCEEDED"));
    let over = |_: &mut Found, known: &mut Known| {
        for seat in &mut known.seats {
            seat.state = SeatState::Sold;
            seat.booking_id = Some(BookingId::from_bytes(id(1)));
        }
        booking(known, 1).is_step_open = true;
    };
    assert_eq!(spoilt(over), one("HS-8", "CAP_EXCEEDED"));
    let closed = spoilt(|found, known| {
        over(found, known);
        found.state = Some(ShowState::Closed);
        known.show.state = ShowState::Closed;
    });
    assert_eq!(closed, [], "it counts until the show is closed");
}

#[test]
fn an_open_step_excuses_until_it_is_open_for_too_long() {
    let between = |unchanged_for| {
        spoilt(|_, known| {
            known.seats[0].state = SeatState::Held;
            let booking = booking(known, 1);
            booking.state = BookingState::PendingPayment;
            booking.is_step_open = true;
            booking.unchanged_for = unchanged_for;
        })
    };
    assert_eq!(between(Duration::from_secs(5)), []);
    let late = between(GRACE);
    assert!(
        late.contains(&("BK-3".to_owned(), "SOLD_IN_STORE_ONLY".to_owned())),
        "{late:?}"
    );
}

#[test]
fn a_rebuilt_store_knows_no_fences_of_free_seats() {
    assert_eq!(
        spoilt(|found, _| {
            found.free.clear();
            found.lineage = Lineage(2);
        }),
        one("HS-3", "OTHER_LINEAGE"),
        "and no fence is ahead"
    );
}

#[test]
fn house_seats_that_are_yet_to_be_compared_are_no_finding_unless_that_is_late() {
    let late_for = |late: Duration| {
        spoilt(|_, known| {
            known.house.blocked.clear();
            known.house.comparison_late_for = Some(late);
        })
    };
    assert_eq!(late_for(Duration::ZERO), []);
    assert_eq!(late_for(GRACE), one("HS-1", "BLOCKED_IN_STORE_ONLY"));
}
