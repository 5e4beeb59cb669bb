//! One show as the lock store has it, beside what the database knows of it: where they differ.
//!
//! Always holds: it is a function of two readings, which are of different moments; what a step of a booking
//! leaves between store and database is no difference until the step has been open for longer than `grace`.
//! Leaves to `looks` whether a difference lasts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use booking_svc::{AuditedBooking, AuditedHouse, AuditedSeat, AuditedShow};
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
    pub(super) house: AuditedHouse,
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
            comparison.house(found);
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
                // House seats are apart from what bookings do to seats.
                SeatState::Blocked | SeatState::Available => {}
            }
        }
    }

    /// The same seats are kept for the house by both. While booking-svc is yet to compare them itself, whoever
    /// changed some may be between the two.
    fn house(&mut self, found: &Found) {
        let known = &self.known.house;
        if known
            .comparison_late_for
            .is_some_and(|late| late < self.grace)
        {
            return;
        }
        let here: BTreeSet<SeatNo> = known.blocked.iter().copied().collect();
        let finding = |seat_no: &SeatNo, kind, what: &str| Finding {
            seat_no: Some(*seat_no),
            ..Finding::new("HS-1", kind, what)
        };
        for seat_no in here.difference(&found.blocked) {
            let what = "kept for the house here, and not in the store";
            self.add(finding(seat_no, "BLOCKED_IN_DATABASE_ONLY", what));
        }
        for seat_no in found.blocked.difference(&here) {
            let what = "kept for the house in the store, and not here";
            self.add(finding(seat_no, "BLOCKED_IN_STORE_ONLY", what));
        }
    }

    /// Nobody has more seats than the cap, by the word of either, while the show isn't closed. Each is of
    /// one moment, and what the database has sold the store has, too; together they are of two.
    fn caps(&mut self, found: &Found) {
        if !matches!(found.state, Some(ShowState::OnSale | ShowState::Paused)) {
            return;
        }
        let known = self.known;
        let mut in_store: BTreeMap<UserId, usize> = BTreeMap::new();
        for nth in found.claimed.values() {
            *in_store.entry(found.claims[*nth].holder).or_default() += 1;
        }
        let mut here: BTreeMap<UserId, usize> = BTreeMap::new();
        let sold = known.seats.iter().filter(|s| s.state == SeatState::Sold);
        for booking in sold.filter_map(|seat| known.bookings.get(&seat.booking_id?)) {
            *here.entry(booking.user_id).or_default() += 1;
        }
        let cap = found.seats_per_customer_max as usize;
        for (place, seats) in [("in the store", in_store), ("here", here)] {
            for (user_id, seats) in seats.into_iter().filter(|(_, seats)| *seats > cap) {
                let what = format!("a customer has {seats} seats {place}, of {cap}");
                self.add(Finding {
                    id: Some(user_id.to_string()),
                    about: place.to_owned(),
                    ..Finding::new("HS-8", "CAP_EXCEEDED", what)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
