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
mod restoring;
mod seats;

use std::sync::Arc;

use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, SeatNo, SeatState, ShowId, UserId,
};
use imbl::{OrdMap, Vector};

pub(crate) use self::{
    places::{Places, Wanted},
    seats::Seats,
};
use crate::{
    HoldEnd, LayoutSeat, RequestId, ShowRules, ShowState, StateHash,
    kept_hold::KeptHold,
    limits::FORGET_SLACK_MS,
    paged::PagedMap,
    record_hash,
    request::{Done, Remembered},
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

/// Ids by time.
type Timed<Id> = PagedMap<(ClusterTime, Id), ()>;

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
    seats: Seats,
    /// Those that live, and those that ended and whose requests are remembered.
    holds: PagedMap<HoldId, Arc<KeptHold>>,
    /// How many live; follows from the holds.
    live: usize,
    sales: OrdMap<Fence, Sale>,
    /// Who had each blocked seat blocked.
    blocked: OrdMap<SeatNo, UserId>,
    /// Remembered requests that made no hold.
    done: PagedMap<RequestId, Done>,
    /// Follows from holds and sales.
    customers: PagedMap<UserId, Count>,
    /// Live holds by when they may be swept.
    overdue: Timed<HoldId>,
    /// Finished requests by when they may be forgotten.
    finished: Timed<RequestId>,
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
        self.seats.get(seat_no).unwrap_or(Seat::UNTOUCHED)
    }

    pub(crate) const fn touched_seats(&self) -> &Seats {
        &self.seats
    }

    pub(crate) const fn live_count(&self) -> usize {
        self.live
    }

    /// Every live hold, in the order of ids.
    pub(crate) fn live_holds(&self) -> impl Iterator<Item = &Arc<KeptHold>> {
        self.kept_holds().filter(|kept| kept.is_live())
    }

    /// Every hold whose request is remembered, in the order of ids.
    pub(crate) fn kept_holds(&self) -> impl Iterator<Item = &Arc<KeptHold>> {
        self.holds.values()
    }

    pub(crate) const fn sales(&self) -> &OrdMap<Fence, Sale> {
        &self.sales
    }

    pub(crate) const fn blocked(&self) -> &OrdMap<SeatNo, UserId> {
        &self.blocked
    }

    /// Remembered requests.
    pub(crate) const fn request_count(&self) -> usize {
        self.holds.len() + self.done.len()
    }

    pub(crate) fn request(&self, id: RequestId) -> Option<Remembered> {
        match self.holds.get(&HoldId::from(id)) {
            Some(kept) => Some(Remembered::from(&**kept)),
            None => self.done.get(&id).map(Remembered::from),
        }
    }

    /// Every remembered request, in the order of ids.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (RequestId, Remembered)> {
        let mut held = self.kept_holds().peekable();
        let mut done = self.done.iter().peekable();
        std::iter::from_fn(move || {
            let next_done = done.peek().map(|(id, _)| *id);
            let is_next = |kept: &&Arc<KeptHold>| {
                let id = RequestId::from(kept.id);
                next_done.is_none_or(|done| id < done)
            };
            if let Some(kept) = held.next_if(is_next) {
                return Some((kept.id.into(), Remembered::from(&**kept)));
            }
            let (id, done) = done.next()?;
            Some((*id, Remembered::from(done)))
        })
    }

    pub(crate) const fn done(&self) -> &PagedMap<RequestId, Done> {
        &self.done
    }

    pub(crate) const fn customers(&self) -> &PagedMap<UserId, Count> {
        &self.customers
    }

    pub(crate) const fn overdue(&self) -> &Timed<HoldId> {
        &self.overdue
    }

    pub(crate) const fn finished(&self) -> &Timed<RequestId> {
        &self.finished
    }

    pub(crate) const fn hash(&self) -> StateHash {
        self.hash
    }

    pub(crate) fn count(&self, customer: UserId) -> Count {
        self.customers.get(&customer).copied().unwrap_or_default()
    }

    /// The hold of that id as last known, and how it ended if it did.
    pub(crate) fn known_hold(&self, hold_id: HoldId) -> Option<(&Arc<KeptHold>, Option<HoldEnd>)> {
        let kept = self.holds.get(&hold_id)?;
        let cancelled = self.is_cancelled().then_some(HoldEnd::Cancelled);
        Some((kept, kept.end().or(cancelled)))
    }

    /// When a tick is due for this show because of the first hold's end.
    pub(crate) fn sweep_due(&self) -> Option<ClusterTime> {
        self.overdue.first().map(|((at, _), ())| match self.phase {
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
        let ((keep_until, _), ()) = self.finished.first()?;
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
            hash.add(record_hash::seat(of_seats, seat_no, &seat));
        }
        for kept in self.kept_holds() {
            hash.add(self.hash_of(kept));
        }
        for (fence, sale) in self.sales.iter() {
            hash.add(record_hash::sale(self.id, *fence, sale));
        }
        for (seat_no, actor) in self.blocked.iter() {
            hash.add(record_hash::blocked(self.id, *seat_no, *actor));
        }
        for (id, done) in self.done.iter() {
            hash.add(record_hash::done(self.id, *id, done));
        }
        hash
    }

    /// The hash of a hold, if it lives, and of its request.
    fn hash_of(&self, kept: &KeptHold) -> u128 {
        let request = record_hash::hold_request(self.id, kept);
        if kept.is_live() {
            request.wrapping_add(record_hash::hold(self.id, kept))
        } else {
            request
        }
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
            seats: Seats::default(),
            holds: PagedMap::default(),
            live: 0,
            sales: OrdMap::new(),
            blocked: OrdMap::new(),
            done: PagedMap::default(),
            customers: PagedMap::default(),
            overdue: PagedMap::default(),
            finished: PagedMap::default(),
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
            if let Some(old) = self.seats.set(*seat_no, Some(seat)) {
                self.hash
                    .subtract(record_hash::seat(of_seats, *seat_no, &old));
            }
        }
        self.places
            .set_free(seat_nos, seat.state == SeatState::Available);
    }

    /// Makes a seat what it was before anything happened to it.
    fn forget_seat(&mut self, seat_no: SeatNo) {
        if let Some(old) = self.seats.set(seat_no, None) {
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

    /// Puts a hold and its request there, live or ended, under an id that none has.
    pub(crate) fn insert_hold(&mut self, kept: KeptHold) {
        self.hash.add(self.hash_of(&kept));
        self.follow_hold(&kept);
        let id = kept.id;
        let known = self.holds.insert(id, Arc::new(kept));
        assert!(known.is_none(), "hold {id} is there already");
    }

    /// Changes a hold that is kept, or its request; how it is then.
    fn change_hold(
        &mut self,
        hold_id: HoldId,
        change: impl FnOnce(&mut KeptHold),
    ) -> Arc<KeptHold> {
        let kept = self.holds.get_mut(&hold_id);
        let kept = kept.expect("only a known hold is changed");
        let before = KeptHold::clone(kept);
        change(Arc::make_mut(kept));
        let after = Arc::clone(kept);
        self.hash.subtract(self.hash_of(&before));
        self.hash.add(self.hash_of(&after));
        self.unfollow_hold(&before);
        self.follow_hold(&after);
        after
    }

    /// Keeps what follows from a hold.
    fn follow_hold(&mut self, kept: &KeptHold) {
        if let Some(keep_until) = kept.keep_until() {
            self.finished.insert((keep_until, kept.id.into()), ());
        } else {
            self.live += 1;
            self.overdue.insert((kept.overdue_at(), kept.id), ());
            self.recount(kept.holder, |count| count.held += kept.seat_count());
        }
    }

    fn unfollow_hold(&mut self, kept: &KeptHold) {
        if let Some(keep_until) = kept.keep_until() {
            self.finished.remove(&(keep_until, kept.id.into()));
        } else {
            self.live -= 1;
            self.overdue.remove(&(kept.overdue_at(), kept.id));
            self.recount(kept.holder, |count| count.held -= kept.seat_count());
        }
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

    /// Puts a request into memory that made no hold, in place of what was there under its id.
    pub(crate) fn remember(&mut self, id: RequestId, done: Done) {
        self.hash.add(record_hash::done(self.id, id, &done));
        if let Some(old) = self.done.insert(id, done) {
            self.forgotten(id, &old);
        }
        self.finished.insert((done.keep_until, id), ());
    }

    /// Forgets a finished request, whatever it made.
    fn forget(&mut self, id: RequestId) {
        if let Some(kept) = self.holds.remove(&HoldId::from(id)) {
            self.hash.subtract(self.hash_of(&kept));
            self.unfollow_hold(&kept);
            return;
        }
        let done = self.done.remove(&id);
        self.forgotten(id, &done.expect("only a remembered request is forgotten"));
    }

    /// Takes what follows from a request along that is no longer there.
    fn forgotten(&mut self, id: RequestId, done: &Done) {
        self.hash.subtract(record_hash::done(self.id, id, done));
        self.finished.remove(&(done.keep_until, id));
    }

    fn recount(&mut self, customer: UserId, change: impl FnOnce(&mut Count)) {
        if let Some(count) = self.customers.get_mut(&customer) {
            change(count);
            if count.total() == 0 {
                self.customers.remove(&customer);
            }
            return;
        }
        let mut count = Count::default();
        change(&mut count);
        if count.total() > 0 {
            self.customers.insert(customer, count);
        }
    }
}
