//! One show: its seats, holds, sales, counts per customer and remembered requests, apart from
//! every other show.
//!
//! Always holds: everything is in persistent trees, so a clone shares all of it; `hash` is the sum
//! over the records below (HS-5), and the counts and queues follow from them, because nothing
//! outside this file changes a field. A seat that was never held takes no memory.
//!
//! Leaves to `judge` what may be asked when, and to `request` how long a request is kept.

mod lifecycle;
mod places;

use std::sync::Arc;

use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, SeatNo, SeatState, ShowId, UserId,
};
use imbl::{OrdMap, OrdSet, Vector};

pub(crate) use self::places::{Places, Wanted};
use crate::{
    Effect, Hold, HoldEnd, LayoutSeat, RequestId, ShowRules, ShowState, StateHash,
    limits::FORGET_SLACK_MS, record_hash, request::Remembered,
};

/// Where a show stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The layout is still arriving.
    Opening,
    /// Holds are granted.
    OnSale,
    /// No new holds; those there are go on.
    Paused,
    /// No new holds, for good, and some are left; callers see it as closed.
    Closing,
    /// No new holds, for good, and none is left.
    Closed,
    /// Called off. To callers no hold is left; those still recorded are put away in batches, by
    /// this show's commands and by ticks.
    Cancelled,
}

impl Phase {
    /// As callers see it.
    pub const fn as_state(self) -> ShowState {
        match self {
            Self::Opening => ShowState::Opening,
            Self::OnSale => ShowState::OnSale,
            Self::Paused => ShowState::Paused,
            Self::Closing | Self::Closed => ShowState::Closed,
            Self::Cancelled => ShowState::Cancelled,
        }
    }
}

/// When a cancelled show is due whose holds are not all put away: before all others, since it is
/// always past.
pub(crate) const CANCELLED_DUE: ClusterTime = ClusterTime(0);

/// A show's waiting room, as far as it is counted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// Numbers handed out, from 1 on.
    pub joined: u64,
    /// The threshold of who is served; what it is compared with is the waiting room's.
    pub serving: u64,
}

/// What is known of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) state: SeatState,
    /// The last fence granted on it, kept when it is free (HS-3).
    pub(crate) fence: Fence,
}

impl Seat {
    const UNTOUCHED: Self = Self {
        state: SeatState::Available,
        fence: Fence::ZERO,
    };
}

/// Seats sold under one fence to one booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(crate) hold_id: HoldId,
    pub(crate) holder: UserId,
    pub(crate) booking_id: BookingId,
    /// How many are still sold; a sale without any is dropped.
    pub(crate) seat_count: u32,
}

/// What counts towards a customer's cap (HS-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) held: u32,
    pub(crate) sold: u32,
}

impl Count {
    pub(crate) const fn total(self) -> u32 {
        self.held.saturating_add(self.sold)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Show {
    id: ShowId,
    phase: Phase,
    seat_count: u32,
    rules: ShowRules,
    opening_rules: ShowRules,
    queue: Queue,
    /// The highest fence of the claims that were loaded.
    loaded: Fence,
    /// The layout, and what follows from it and from the seats.
    places: Places,
    seats: OrdMap<SeatNo, Seat>,
    holds: OrdMap<HoldId, Arc<Hold>>,
    sales: OrdMap<Fence, Sale>,
    /// Who had each blocked seat blocked.
    blocked: OrdMap<SeatNo, UserId>,
    requests: OrdMap<RequestId, Remembered>,
    /// Follows from holds and sales.
    customers: OrdMap<UserId, Count>,
    /// Live holds by when they may be swept.
    overdue: OrdSet<(ClusterTime, HoldId)>,
    /// Finished requests by when they may be forgotten.
    finished: OrdSet<(ClusterTime, RequestId)>,
    hash: StateHash,
}

/// Reading.
impl Show {
    pub(crate) const fn id(&self) -> ShowId {
        self.id
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it was called off: its holds have ended, whether put away or not.
    pub(crate) const fn is_cancelled(&self) -> bool {
        matches!(self.phase, Phase::Cancelled)
    }

    pub(crate) const fn seat_count(&self) -> u32 {
        self.seat_count
    }

    pub(crate) const fn rules(&self) -> &ShowRules {
        &self.rules
    }

    pub(crate) const fn opening_rules(&self) -> &ShowRules {
        &self.opening_rules
    }

    pub(crate) const fn queue(&self) -> Queue {
        self.queue
    }

    pub(crate) const fn loaded(&self) -> Fence {
        self.loaded
    }

    pub(crate) const fn layout(&self) -> &Vector<LayoutSeat> {
        self.places.layout()
    }

    pub(crate) const fn places(&self) -> &Places {
        &self.places
    }

    /// Seats of the layout that have arrived.
    pub(crate) fn seats_known(&self) -> u32 {
        u32::try_from(self.layout().len()).expect("a layout never exceeds its seat count, a u32")
    }

    pub(crate) fn seat(&self, seat_no: SeatNo) -> Seat {
        self.seats.get(&seat_no).copied().unwrap_or(Seat::UNTOUCHED)
    }

    pub(crate) const fn touched_seats(&self) -> &OrdMap<SeatNo, Seat> {
        &self.seats
    }

    pub(crate) const fn holds(&self) -> &OrdMap<HoldId, Arc<Hold>> {
        &self.holds
    }

    pub(crate) const fn sales(&self) -> &OrdMap<Fence, Sale> {
        &self.sales
    }

    pub(crate) const fn blocked(&self) -> &OrdMap<SeatNo, UserId> {
        &self.blocked
    }

    pub(crate) const fn requests(&self) -> &OrdMap<RequestId, Remembered> {
        &self.requests
    }

    pub(crate) const fn customers(&self) -> &OrdMap<UserId, Count> {
        &self.customers
    }

    pub(crate) const fn overdue(&self) -> &OrdSet<(ClusterTime, HoldId)> {
        &self.overdue
    }

    pub(crate) const fn finished(&self) -> &OrdSet<(ClusterTime, RequestId)> {
        &self.finished
    }

    pub(crate) const fn hash(&self) -> StateHash {
        self.hash
    }

    pub(crate) fn count(&self, customer: UserId) -> Count {
        self.customers.get(&customer).copied().unwrap_or_default()
    }

    /// The hold of that id as last known, and how it ended if it did: the live one as it stands,
    /// an ended one as it was granted.
    pub(crate) fn known_hold(&self, hold_id: HoldId) -> Option<(&Arc<Hold>, Option<HoldEnd>)> {
        let live = self.holds.get(&hold_id);
        if let Some(hold) = live.filter(|_| !self.is_cancelled()) {
            return Some((hold, None));
        }
        match self
            .requests
            .get(&RequestId::from(hold_id))
            .map(|known| &known.effect)
        {
            Some(Effect::Held { hold, end }) => {
                let end = end.or(live.map(|_| HoldEnd::Cancelled));
                Some((hold, end))
            }
            Some(Effect::Joined { .. } | Effect::Done) | None => None,
        }
    }

    /// When a tick is due for this show because of the first hold's end.
    pub(crate) fn sweep_due(&self) -> Option<ClusterTime> {
        self.overdue.get_min().map(|(at, _)| match self.phase {
            Phase::Cancelled => CANCELLED_DUE,
            _ => *at,
        })
    }

    /// When a tick is due for this show because of the first request to forget, which is in less of
    /// a hurry: a cancelled show's holds are put away before.
    pub(crate) fn forget_due(&self) -> Option<ClusterTime> {
        if self.is_cancelled() && !self.overdue.is_empty() {
            return None;
        }
        let (keep_until, _) = self.finished.get_min()?;
        Some(keep_until.plus(DurationMs(FORGET_SLACK_MS)))
    }

    /// The hash from scratch.
    pub(crate) fn recompute_hash(&self) -> StateHash {
        let mut hash = StateHash::default();
        hash.add(self.header_hash());
        for (seat_no, seat) in (0_u32..).zip(self.layout().iter()) {
            hash.add(record_hash::layout(self.id, SeatNo(seat_no), seat));
        }
        let of_seats = record_hash::of_seats(self.id);
        for (seat_no, seat) in self.seats.iter() {
            hash.add(record_hash::seat(of_seats, *seat_no, seat));
        }
        for hold in self.holds.values() {
            hash.add(record_hash::hold(self.id, hold));
        }
        for (fence, sale) in self.sales.iter() {
            hash.add(record_hash::sale(self.id, *fence, sale));
        }
        for (seat_no, actor) in self.blocked.iter() {
            hash.add(record_hash::blocked(self.id, *seat_no, *actor));
        }
        for (id, known) in self.requests.iter() {
            hash.add(record_hash::request(self.id, *id, known));
        }
        hash
    }

    fn header_hash(&self) -> u128 {
        record_hash::show(self)
    }
}

/// Putting records in and taking them out; each keeps hash, counts and queues.
impl Show {
    /// A show without layout.
    pub(crate) fn new(
        id: ShowId,
        phase: Phase,
        seat_count: u32,
        rules: ShowRules,
        opening_rules: ShowRules,
    ) -> Self {
        let mut show = Self {
            id,
            phase,
            seat_count,
            rules,
            opening_rules,
            queue: Queue::default(),
            loaded: Fence::ZERO,
            places: Places::default(),
            seats: OrdMap::new(),
            holds: OrdMap::new(),
            sales: OrdMap::new(),
            blocked: OrdMap::new(),
            requests: OrdMap::new(),
            customers: OrdMap::new(),
            overdue: OrdSet::new(),
            finished: OrdSet::new(),
            hash: StateHash::default(),
        };
        show.hash.add(show.header_hash());
        show
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.hash.subtract(self.header_hash());
        self.phase = phase;
        self.hash.add(self.header_hash());
    }

    pub(crate) fn set_rules(&mut self, rules: ShowRules) {
        self.hash.subtract(self.header_hash());
        self.rules = rules;
        self.hash.add(self.header_hash());
    }

    pub(crate) fn set_queue(&mut self, queue: Queue) {
        self.hash.subtract(self.header_hash());
        self.queue = queue;
        self.hash.add(self.header_hash());
    }

    pub(crate) fn set_loaded(&mut self, fence: Fence) {
        self.hash.subtract(self.header_hash());
        self.loaded = fence;
        self.hash.add(self.header_hash());
    }

    /// Adds seats to the layout; `places` is [`Places::with`] them.
    pub(crate) fn append_layout(&mut self, seats: &[LayoutSeat], places: Places) {
        for (seat_no, seat) in (self.seats_known()..).zip(seats) {
            self.hash
                .add(record_hash::layout(self.id, SeatNo(seat_no), seat));
        }
        self.places = places;
        debug_assert!(self.seats_known() <= self.seat_count);
    }

    /// Makes seats of the layout, in ascending order, the same thing.
    pub(crate) fn set_seats(&mut self, seat_nos: &[SeatNo], seat: Seat) {
        let of_seats = record_hash::of_seats(self.id);
        for seat_no in seat_nos {
            self.hash.add(record_hash::seat(of_seats, *seat_no, &seat));
            if let Some(old) = self.seats.insert(*seat_no, seat) {
                self.hash
                    .subtract(record_hash::seat(of_seats, *seat_no, &old));
            }
        }
        self.places
            .set_free(seat_nos, seat.state == SeatState::Available);
    }

    /// Makes a seat what it was before anything happened to it.
    fn forget_seat(&mut self, seat_no: SeatNo) {
        if let Some(old) = self.seats.remove(&seat_no) {
            let of_seats = record_hash::of_seats(self.id);
            self.hash
                .subtract(record_hash::seat(of_seats, seat_no, &old));
        }
        self.places.set_free(&[seat_no], true);
    }

    /// Notes who had a seat blocked.
    pub(crate) fn insert_blocked(&mut self, seat_no: SeatNo, actor: UserId) {
        self.hash.add(record_hash::blocked(self.id, seat_no, actor));
        self.blocked.insert(seat_no, actor);
    }

    fn remove_blocked(&mut self, seat_no: SeatNo) {
        let actor = self
            .blocked
            .remove(&seat_no)
            .expect("somebody had a blocked seat blocked");
        self.hash
            .subtract(record_hash::blocked(self.id, seat_no, actor));
    }

    pub(crate) fn insert_hold(&mut self, hold: Arc<Hold>) {
        self.hash.add(record_hash::hold(self.id, &hold));
        self.overdue.insert((hold.overdue_at(), hold.id));
        let seats = seats_of(&hold);
        self.recount(hold.holder, |count| count.held += seats);
        self.holds.insert(hold.id, hold);
    }

    fn remove_hold(&mut self, hold_id: HoldId) -> Arc<Hold> {
        let hold = self
            .holds
            .remove(&hold_id)
            .expect("only a live hold is ended");
        self.hash.subtract(record_hash::hold(self.id, &hold));
        self.overdue.remove(&(hold.overdue_at(), hold_id));
        let seats = seats_of(&hold);
        self.recount(hold.holder, |count| count.held -= seats);
        hold
    }

    pub(crate) fn insert_sale(&mut self, fence: Fence, sale: Sale) {
        self.hash.add(record_hash::sale(self.id, fence, &sale));
        self.recount(sale.holder, |count| count.sold += sale.seat_count);
        self.sales.insert(fence, sale);
    }

    fn remove_sale(&mut self, fence: Fence) -> Sale {
        let sale = self.sales.remove(&fence).expect("a sold seat has a sale");
        self.hash.subtract(record_hash::sale(self.id, fence, &sale));
        self.recount(sale.holder, |count| count.sold -= sale.seat_count);
        sale
    }

    /// Puts a request into memory, in place of what was there under its id.
    pub(crate) fn remember(&mut self, id: RequestId, known: Remembered) {
        self.hash.add(record_hash::request(self.id, id, &known));
        let keep_until = known.keep_until;
        if let Some(old) = self.requests.insert(id, known) {
            self.forgotten(id, &old);
        }
        if let Some(keep_until) = keep_until {
            self.finished.insert((keep_until, id));
        }
    }

    fn forget(&mut self, id: RequestId) {
        let known = self
            .requests
            .remove(&id)
            .expect("only a remembered request is forgotten");
        self.forgotten(id, &known);
    }

    /// Takes what follows from a request along that is no longer there.
    fn forgotten(&mut self, id: RequestId, known: &Remembered) {
        self.hash.subtract(record_hash::request(self.id, id, known));
        if let Some(keep_until) = known.keep_until {
            self.finished.remove(&(keep_until, id));
        }
    }

    fn recount(&mut self, customer: UserId, change: impl FnOnce(&mut Count)) {
        let mut count = self.count(customer);
        change(&mut count);
        if count.total() == 0 {
            self.customers.remove(&customer);
        } else {
            self.customers.insert(customer, count);
        }
    }
}

fn seats_of(hold: &Hold) -> u32 {
    u32::try_from(hold.seat_nos.len()).expect("a hold has at most 64 seats")
}
