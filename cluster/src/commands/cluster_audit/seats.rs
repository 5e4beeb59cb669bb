//! One show as the lock store has it, beside what the database knows of it: where they differ.
//!
//! Always holds: it is a function of two readings, which are of different moments; what a step of a booking
//! leaves between store and database is no difference until the step has been open for longer than `grace`.
//! Leaves to `looks` whether a difference lasts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use booking_svc::{AuditedBooking, AuditedSeat, AuditedShow};
use holdfast_proto::lockstore::v1::{InspectShowResponse, ShowState as StoreShowState};
use holdfast_types::{
    BookingId, BookingState, Fence, HoldId, Lineage, SeatNo, SeatState, ShowState, UserId,
};

use super::report::Finding;

/// Who has seats, by the store's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) fence: Fence,
    pub(super) hold_id: HoldId,
    pub(super) holder: UserId,
    /// Of a sale.
    pub(super) booking_id: Option<BookingId>,
}

/// A show in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) lineage: Lineage,
    pub(super) state: Option<ShowState>,
    pub(super) seat_count: u32,
    pub(super) seats_per_customer_max: u32,
    pub(super) claims: Vec<Claim>,
    /// Which of the claims has a seat.
    pub(super) claimed: HashMap<SeatNo, usize>,
    pub(super) blocked: BTreeSet<SeatNo>,
    /// The last fence of seats that nobody has.
    pub(super) free: HashMap<SeatNo, Fence>,
    /// Which of the store's own invariants don't hold, and where.
    pub(super) violations: Vec<(String, String)>,
}

/// A show in the database.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) show: AuditedShow,
    pub(super) seats: Vec<AuditedSeat>,
    pub(super) bookings: HashMap<BookingId, AuditedBooking>,
}

impl Found {
    /// What the store answered; none for a show that it doesn't have.
    ///
    /// # Errors
    /// An answer that can't be one.
    pub(super) fn of(answer: InspectShowResponse) -> anyhow::Result<Option<Self>> {
        if !answer.found {
            return Ok(None);
        }
        let state = match answer.state() {
            StoreShowState::OnSale => Some(ShowState::OnSale),
            StoreShowState::Paused => Some(ShowState::Paused),
            StoreShowState::Closed => Some(ShowState::Closed),
            StoreShowState::Cancelled => Some(ShowState::Cancelled),
            StoreShowState::Unspecified | StoreShowState::Opening => None,
        };
        let info = answer.info.unwrap_or_default();
        let rules = answer.rules.unwrap_or_default();
        let (mut claims, mut claimed) = (Vec::new(), HashMap::new());
        for claim in answer.claims {
            let is_sale = !claim.booking_id.is_empty();
            claimed.extend(
                claim
                    .seat_nos
                    .iter()
                    .map(|seat| (SeatNo(*seat), claims.len())),
            );
            claims.push(Claim {
                fence: Fence::from_u64(claim.fence)?,
                hold_id: HoldId::from_slice(&claim.hold_id)?,
                holder: UserId::from_slice(&claim.holder)?,
                booking_id: is_sale
                    .then(|| BookingId::from_slice(&claim.booking_id))
                    .transpose()?,
            });
        }
        let free = answer.free_seat_nos.iter().zip(&answer.free_seat_fences);
        let free = free.map(|(seat, fence)| Ok((SeatNo(*seat), Fence::from_u64(*fence)?)));
        Ok(Some(Self {
            lineage: Lineage(u8::try_from(info.lineage)?),
            state,
            seat_count: answer.seat_count,
            seats_per_customer_max: rules.seats_per_customer_max,
            claims,
            claimed,
            blocked: answer.blocked_seat_nos.into_iter().map(SeatNo).collect(),
            free: free.collect::<anyhow::Result<_>>()?,
            violations: answer
                .violations
                .into_iter()
                .map(|violation| (violation.id, violation.detail))
                .collect(),
        }))
    }

    /// Bookings that have sold seats.
    pub(super) fn buyers(&self) -> Vec<BookingId> {
        let buyers: BTreeSet<_> = self.claims.iter().filter_map(|c| c.booking_id).collect();
        buyers.into_iter().collect()
    }

    fn claim(&self, seat_no: SeatNo) -> Option<&Claim> {
        self.claims.get(*self.claimed.get(&seat_no)?)
    }

    /// The last fence granted on a seat; of a blocked one it isn't told.
    fn fence(&self, seat_no: SeatNo) -> Option<Fence> {
        if self.blocked.contains(&seat_no) {
            return None;
        }
        let claimed = self.claim(seat_no).map(|claim| claim.fence);
        let free = self.free.get(&seat_no).copied();
        Some(claimed.or(free).unwrap_or(Fence::ZERO))
    }
}

/// Where they differ. `lineage` is the database's.
pub(super) fn compare(
    found: Option<&Found>,
    known: &Known,
    lineage: Option<Lineage>,
    grace: Duration,
) -> Vec<Finding> {
    let mut comparison = Comparison {
        known,
        grace,
        findings: Vec::new(),
    };
    match found {
        Some(found) => {
            comparison.show(found, lineage);
            comparison.store_to_database(found);
            comparison.database_to_store(found);
            comparison.caps(found);
        }
        None => comparison.add(Finding::new(
            "SHOW",
            "SHOW_NOT_IN_STORE",
            format!(
                "the show is {} here, and not in the store",
                known.show.state
            ),
        )),
    }
    comparison.findings
}

struct Comparison<'a> {
    known: &'a Known,
    grace: Duration,
    findings: Vec<Finding>,
}

impl Comparison<'_> {
    fn add(&mut self, finding: Finding) {
        self.findings.push(Finding {
            show_id: Some(self.known.show.show_id),
            ..finding
        });
    }

    fn booking(&self, id: Option<BookingId>) -> Option<&AuditedBooking> {
        self.known.bookings.get(&id?)
    }

    /// Whether a question to the store is open, as yet for no longer than it may be.
    fn is_under_way(&self, id: Option<BookingId>) -> bool {
        let booking = self.booking(id);
        booking.is_some_and(|booking| booking.is_step_open && booking.unchanged_for < self.grace)
    }

    fn show(&mut self, found: &Found, lineage: Option<Lineage>) {
        for (id, detail) in &found.violations {
            self.add(Finding::new(
                id.as_str(),
                "STORE_VIOLATION",
                detail.as_str(),
            ));
        }
        if lineage.is_some_and(|lineage| lineage != found.lineage) {
            let what = format!("the store is of lineage {}", found.lineage);
            self.add(Finding::new("HS-3", "OTHER_LINEAGE", what));
        }
        let show = &self.known.show;
        if found.state != Some(show.state) {
            let state = found.state.map_or("OPENING", ShowState::as_str);
            let what = format!("the show is {} here, {state} in the store", show.state);
            self.add(Finding::new("SHOW", "SHOW_STATE_DIFFERS", what));
        }
        let rules = (found.seat_count, found.seats_per_customer_max);
        let known = &self.known.show;
        let known = (known.seat_count, known.seats_per_customer_max);
        if rules != known {
            let what = format!("seats and cap are {known:?} here, {rules:?} in the store");
            self.add(Finding::new("SHOW", "SHOW_RULES_DIFFER", what));
        }
    }

    /// Each seat that the store says is sold is sold here, to the same booking under the same fence.
    fn store_to_database(&mut self, found: &Found) {
        let known = self.known;
        let by_no: HashMap<SeatNo, &AuditedSeat> = known
            .seats
            .iter()
            .map(|seat| (seat.seat_no, seat))
            .collect();
        for (seat_no, nth) in &found.claimed {
            let claim = &found.claims[*nth];
            let Some(booking_id) = claim.booking_id else {
                continue;
            };
            let seat = by_no.get(seat_no);
            let is_same = seat.is_some_and(|seat| {
                seat.state == SeatState::Sold
                    && seat.fence == claim.fence
                    && seat.booking_id == Some(booking_id)
            });
            let booking = self.booking(Some(booking_id));
            let state = booking.map_or("unknown", |booking| booking.state.as_str());
            let finding = Finding {
                seat_no: Some(*seat_no),
                booking_id: Some(booking_id),
                ..Finding::default()
            };
            let finding = finding.of_fence(claim.fence);
            if !is_same && !self.is_under_way(Some(booking_id)) {
                let here = seat.map_or(SeatState::Available, |seat| seat.state);
                self.add(Finding {
                    invariant: "BK-3".to_owned(),
                    kind: "SOLD_IN_STORE_ONLY".to_owned(),
                    what: format!("sold in the store to a booking that is {state}; {here} here"),
                    ..finding
                });
            } else if is_same
                && booking.is_some_and(|booking| {
                    (booking.user_id, booking.hold_id) != (claim.holder, claim.hold_id)
                })
            {
                self.add(Finding {
                    invariant: "HS-1".to_owned(),
                    kind: "OTHER_HOLD".to_owned(),
                    what: "sold in the store under another hold or to another customer".to_owned(),
                    ..finding
                });
            }
        }
    }

    fn database_to_store(&mut self, found: &Found) {
        let known = self.known;
        for seat in &known.seats {
            let claim = found.claim(seat.seat_no);
            let finding = |invariant, kind, what: String| {
                let finding = Finding {
                    seat_no: Some(seat.seat_no),
                    booking_id: seat.booking_id,
                    ..Finding::new(invariant, kind, what)
                };
                finding.of_fence(seat.fence)
            };
            let granted = found.fence(seat.seat_no);
            // A rebuilt store knows no fence of seats that nobody had; the next is of its lineage.
            let is_ahead = seat.fence.lineage() >= found.lineage
                && granted.is_some_and(|granted| granted < seat.fence);
            if is_ahead {
                let what = format!("the store has granted {granted:?} on it at last");
                self.add(finding("HS-3", "FENCE_AHEAD", what));
            }
            if self.is_under_way(seat.booking_id) {
                continue;
            }
            let is_claimed = claim.is_some_and(|claim| claim.fence == seat.fence);
            let booking = self.booking(seat.booking_id);
            let there = match claim {
                Some(claim) if claim.booking_id.is_some() => "SOLD",
                Some(_) => "HELD",
                None if found.blocked.contains(&seat.seat_no) => "BLOCKED",
                None => "AVAILABLE",
            };
            match seat.state {
                SeatState::Sold => {
                    let is_sold = claim.is_some_and(|claim| claim.booking_id == seat.booking_id);
                    if !(is_claimed && is_sold) {
                        let what = format!("sold here, {there} in the store");
                        self.add(finding("BK-3", "SOLD_IN_DATABASE_ONLY", what));
                    }
                }
                SeatState::Held => {
                    let state = booking.map(|booking| booking.state);
                    let is_held = is_claimed
                        && claim.is_some_and(|claim| {
                            claim.booking_id.is_none()
                                && booking.is_some_and(|booking| booking.hold_id == claim.hold_id)
                        });
                    if state != Some(BookingState::PendingPayment) {
                        let state = state.map_or("unknown", BookingState::as_str);
                        let what = format!("held here for a booking that is {state}");
                        self.add(finding("HS-1", "HELD_FOR_NONE", what));
                    } else if !is_held {
                        let what = format!("held here for a pending booking, {there} in the store");
                        self.add(finding("HS-1", "HELD_IN_DATABASE_ONLY", what));
                    }
                }
                SeatState::Blocked if there != "BLOCKED" => {
                    let what = format!("blocked here, {there} in the store");
                    self.add(finding("HS-1", "BLOCKED_IN_DATABASE_ONLY", what));
                }
                SeatState::Blocked | SeatState::Available => {}
            }
        }
    }

    /// Nobody has more seats than the cap, by either's word, while the show isn't closed.
    fn caps(&mut self, found: &Found) {
        if !matches!(found.state, Some(ShowState::OnSale | ShowState::Paused)) {
            return;
        }
        let mut seats: BTreeMap<UserId, BTreeSet<SeatNo>> = BTreeMap::new();
        for (seat_no, nth) in &found.claimed {
            let holder = found.claims[*nth].holder;
            seats.entry(holder).or_default().insert(*seat_no);
        }
        for seat in &self.known.seats {
            if seat.state == SeatState::Sold
                && let Some(booking) = self.booking(seat.booking_id)
            {
                seats
                    .entry(booking.user_id)
                    .or_default()
                    .insert(seat.seat_no);
            }
        }
        let cap = found.seats_per_customer_max as usize;
        for (user_id, seats) in seats.into_iter().filter(|(_, seats)| seats.len() > cap) {
            let what = format!("a customer has {} seats, of {cap}", seats.len());
            self.add(Finding {
                id: Some(user_id.to_string()),
                ..Finding::new("HS-8", "CAP_EXCEEDED", what)
            });
        }
    }
}

#[cfg(test)]
mod tests {
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
            spoilt(|_, known| {
                known.seats[2].state = SeatState::Blocked;
            }),
            one("HS-1", "BLOCKED_IN_DATABASE_ONLY")
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
    fn a_customer_over_the_cap_is_found_by_the_words_of_both() {
        let over = |found: &mut Found, known: &mut Known| {
            // Two in the store, and one that only the database knows.
            found.claims[2].holder = UserId::from_bytes(id(1));
            known.seats[2].state = SeatState::Sold;
            known.seats[2].booking_id = Some(BookingId::from_bytes(id(1)));
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
}
