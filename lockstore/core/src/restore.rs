//! A state from its records, believed only as far as it can be checked.
//!
//! Always holds: bad input is an error and never a panic; a state that comes out satisfies every
//! invariant and has the hash that the sequence ends with.

use std::{collections::VecDeque, sync::Arc};

use holdfast_types::{SeatNo, limits::SEATS_PER_SHOW_MAX};

use crate::{
    ActRecord, BlockedRecord, Effect, Hold, HoldRecord, LayoutRecord, MetaRecord, Record,
    RequestId, RequestRecord, SaleRecord, SeatsRecord, ShowRecord, State, StateHash,
    invariants::{self, Violation},
    kept_hold::KeptHold,
    limits::ACTS_KEPT_MAX,
    request::Done,
    show::{Sale, Seat, Show},
};

/// Records that are no state. `index` counts records from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A record that can't stand where it does.
    #[error("record {index}: {problem}")]
    BadRecord {
        /// Which record.
        index: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Records that are well formed and contradict one another.
    #[error("up to record {index}")]
    Contradiction {
        /// The record after the show in question.
        index: u64,
        /// What they violate.
        #[source]
        violation: Violation,
    },
    /// The state isn't the one that was written.
    #[error("the records' hash is {found}, the last record says {expected}")]
    HashDiffers {
        /// Of the records that were read.
        found: StateHash,
        /// As written.
        expected: StateHash,
    },
    /// The sequence ends before its last record.
    #[error("the records end early, after {count}")]
    EndsEarly {
        /// Records that were read.
        count: u64,
    },
}

/// What may come next.
#[derive(Debug)]
enum Progress {
    Nothing,
    Shows {
        state: Box<State>,
        open: Option<Box<OpenShow>>,
    },
    Complete(Box<State>),
}

/// The show whose records are coming in.
#[derive(Debug)]
struct OpenShow {
    show: Show,
    /// The kind of the last record: kinds come in order.
    kind: Kind,
    /// Seats that holds and sales claim; keeps sums in bounds before they are checked.
    seats_claimed: u64,
    last_seat: Option<SeatNo>,
    last_request: Option<RequestId>,
    /// Live holds, as they stand, that wait for their requests: both come in the order of ids.
    holds: VecDeque<Arc<Hold>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Layout,
    Seats,
    Hold,
    Sale,
    Blocked,
    Request,
}

/// Takes records one by one, in the order that [`State::records`] gives them.
#[derive(Debug)]
pub struct StateBuilder {
    progress: Progress,
    index: u64,
}

impl Default for StateBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl StateBuilder {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            progress: Progress::Nothing,
            index: 0,
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// [`RestoreError`]; the builder is then of no further use.
    pub fn push(&mut self, record: Record) -> Result<(), RestoreError> {
        let index = self.index;
        let bad = |problem| RestoreError::BadRecord { index, problem };
        self.index += 1;
        match (&mut self.progress, record) {
            (Progress::Nothing, Record::Meta(meta)) => {
                self.progress = Progress::Shows {
                    state: Box::new(start(meta).map_err(bad)?),
                    open: None,
                };
            }
            (Progress::Nothing, _) => return Err(bad("the first record is not the meta record")),
            (Progress::Complete(_), _) => return Err(bad("a record after the last")),
            (Progress::Shows { .. }, Record::Meta(_)) => return Err(bad("a second meta record")),
            (Progress::Shows { state, open }, Record::Act(record)) => {
                if open.is_some() {
                    return Err(bad("an act after the first show"));
                }
                take_act(state, record).map_err(bad)?;
            }
            (Progress::Shows { state, open }, Record::Show(record)) => {
                close(state, open.take(), index)?;
                *open = Some(Box::new(open_show(state, &record).map_err(bad)?));
            }
            (Progress::Shows { state, open }, Record::End(expected)) => {
                close(state, open.take(), index)?;
                let found = state.hash();
                if found != expected {
                    return Err(RestoreError::HashDiffers { found, expected });
                }
                self.progress = Progress::Complete(state.clone());
            }
            (Progress::Shows { open: None, .. }, _) => {
                return Err(bad("a record of a show before the show"));
            }
            (
                Progress::Shows {
                    open: Some(open), ..
                },
                record,
            ) => open.take(record).map_err(bad)?,
        }
        Ok(())
    }

    /// The state, complete and checked.
    ///
    /// # Errors
    /// [`RestoreError::EndsEarly`] if the last record is missing.
    pub fn finish(self) -> Result<State, RestoreError> {
        match self.progress {
            Progress::Complete(state) => Ok(*state),
            Progress::Nothing | Progress::Shows { .. } => {
                Err(RestoreError::EndsEarly { count: self.index })
            }
        }
    }
}

impl State {
    /// The state that [`State::records`] came from.
    ///
    /// # Errors
    /// [`RestoreError`] at the first record that doesn't fit.
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Result<Self, RestoreError> {
        let mut builder = StateBuilder::new();
        for record in records {
            builder.push(record)?;
        }
        builder.finish()
    }
}

fn start(meta: MetaRecord) -> Result<State, &'static str> {
    if meta.revision.lineage() != meta.lineage {
        return Err("the revision is of another lineage");
    }
    let mut state = State::at(meta.lineage, meta.now, meta.revision);
    state.set_expiry_paused(meta.expiry_paused);
    Ok(state)
}

fn take_act(state: &mut State, record: ActRecord) -> Result<(), &'static str> {
    let kept = state.acts().kept();
    if kept.len() >= ACTS_KEPT_MAX {
        return Err("there are more acts than are kept");
    }
    if kept
        .get_max()
        .is_some_and(|(last, _)| *last >= record.revision)
    {
        return Err("acts are out of order");
    }
    if record.revision > state.revision() {
        return Err("an act is of the future");
    }
    state.restore_act(record.revision, record.act);
    Ok(())
}

fn open_show(state: &State, record: &ShowRecord) -> Result<OpenShow, &'static str> {
    if state
        .all_shows()
        .get_max()
        .is_some_and(|(last, _)| *last >= record.show_id)
    {
        return Err("shows are out of order");
    }
    if !(1..=SEATS_PER_SHOW_MAX).contains(&record.seat_count) {
        return Err("a show's seat count is out of bounds");
    }
    let ShowRecord {
        show_id,
        phase,
        seat_count,
        rules,
        opening_rules,
        queue,
        loaded,
    } = *record;
    let mut show = Show::new(show_id, phase, seat_count, rules, opening_rules);
    show.set_queue(queue);
    show.set_loaded(loaded);
    Ok(OpenShow {
        show,
        kind: Kind::Layout,
        seats_claimed: 0,
        last_seat: None,
        last_request: None,
        holds: VecDeque::new(),
    })
}

fn close(state: &mut State, open: Option<Box<OpenShow>>, index: u64) -> Result<(), RestoreError> {
    let Some(open) = open else { return Ok(()) };
    if !open.holds.is_empty() {
        let problem = "a live hold's request is not remembered";
        return Err(RestoreError::BadRecord { index, problem });
    }
    let mut show = open.show;
    show.restore_what_follows();
    // The hash was summed over these very records, and is compared with the one they end with.
    invariants::check_restored_show(&show, state)
        .map_err(|violation| RestoreError::Contradiction { index, violation })?;
    state.insert_show(show);
    Ok(())
}

impl OpenShow {
    fn take(&mut self, record: Record) -> Result<(), &'static str> {
        let (kind, show_id) = match &record {
            Record::Layout(r) => (Kind::Layout, r.show_id),
            Record::Seats(r) => (Kind::Seats, r.show_id),
            Record::Hold(r) => (Kind::Hold, r.show_id),
            Record::Sale(r) => (Kind::Sale, r.show_id),
            Record::Blocked(r) => (Kind::Blocked, r.show_id),
            Record::Request(r) => (Kind::Request, r.show_id),
            Record::Meta(_) | Record::Act(_) | Record::Show(_) | Record::End(_) => {
                return Err("not of a show");
            }
        };
        if show_id != self.show.id() {
            return Err("a record of another show");
        }
        if kind < self.kind {
            return Err("the records of a show are out of order");
        }
        self.kind = kind;
        match record {
            Record::Layout(record) => self.layout(&record),
            Record::Seats(record) => self.seats(&record),
            Record::Hold(record) => self.hold(record),
            Record::Sale(record) => self.sale(&record),
            Record::Blocked(record) => self.blocked(&record),
            Record::Request(record) => self.request(record),
            Record::Meta(_) | Record::Act(_) | Record::Show(_) | Record::End(_) => {
                Err("not of a show")
            }
        }
    }

    fn layout(&mut self, record: &LayoutRecord) -> Result<(), &'static str> {
        let known = self.show.seats_known();
        let room = (self.show.seat_count() - known) as usize;
        if record.first_seat_no.0 != known || record.seats.len() > room {
            return Err("the layout has a gap or is too long");
        }
        let places = self.show.places().with(&record.seats);
        let places =
            places.map_err(|_| "the layout has too many sections, or an area in pieces")?;
        self.show.append_layout(&record.seats, places);
        Ok(())
    }

    fn seats(&mut self, record: &SeatsRecord) -> Result<(), &'static str> {
        for seat in &record.seats {
            if self.last_seat >= Some(seat.seat_no) {
                return Err("seats are out of order");
            }
            self.last_seat = Some(seat.seat_no);
            if seat.seat_no.0 >= self.show.seats_known() {
                return Err("a seat is beyond the layout");
            }
            let state = Seat {
                state: seat.state,
                fence: seat.fence,
            };
            self.show.set_seats(&[seat.seat_no], state);
        }
        Ok(())
    }

    fn hold(&mut self, record: HoldRecord) -> Result<(), &'static str> {
        let hold = record.hold;
        if self.holds.back().is_some_and(|last| last.id >= hold.id) {
            return Err("holds are out of order");
        }
        self.claim(hold.seat_nos.len() as u64)?;
        self.holds.push_back(hold);
        Ok(())
    }

    fn sale(&mut self, record: &SaleRecord) -> Result<(), &'static str> {
        if self
            .show
            .sales()
            .get_max()
            .is_some_and(|(last, _)| *last >= record.fence)
        {
            return Err("sales are out of order");
        }
        self.claim(u64::from(record.seat_count))?;
        let SaleRecord {
            hold_id,
            holder,
            booking_id,
            seat_count,
            ..
        } = *record;
        self.show.restore_sale(
            record.fence,
            Sale {
                hold_id,
                holder,
                booking_id,
                seat_count,
            },
        );
        Ok(())
    }

    fn blocked(&mut self, record: &BlockedRecord) -> Result<(), &'static str> {
        for (seat_no, actor) in &record.seats {
            let last = self.show.blocked().get_max();
            if last.is_some_and(|(last, _)| last >= seat_no) {
                return Err("blocked seats are out of order");
            }
            self.show.insert_blocked(*seat_no, *actor);
        }
        Ok(())
    }

    fn request(&mut self, record: RequestRecord) -> Result<(), &'static str> {
        let RequestRecord {
            id,
            body,
            not_after,
            keep_until,
            effect,
            ..
        } = record;
        if self.last_request >= Some(id) {
            return Err("requests are out of order");
        }
        self.last_request = Some(id);
        let first_no = match effect {
            Effect::Joined { first_no } => first_no,
            Effect::Held { .. } | Effect::Done => 0,
        };
        let (granted, end) = match (effect, keep_until) {
            (Effect::Joined { .. } | Effect::Done, Some(keep_until)) => {
                let done = Done {
                    body,
                    not_after,
                    keep_until,
                    first_no,
                };
                self.show.restore_done(id, done);
                return Ok(());
            }
            (Effect::Held { hold, end }, _) => (hold, end),
            (Effect::Joined { .. } | Effect::Done, None) => {
                return Err("a request would be kept for good");
            }
        };
        if RequestId::from(granted.id) != id {
            return Err("a request granted another's hold");
        }
        let mut kept = KeptHold::granted(&granted, body, not_after)
            .ok_or("a hold was promised more than any can be")?;
        match (end, keep_until) {
            (None, None) => {
                let stands = self.holds.pop_front();
                let is_it = |stands: &Arc<Hold>| {
                    let expires_at = granted.expires_at;
                    granted.expires_at <= stands.expires_at
                        && Hold {
                            expires_at,
                            ..Hold::clone(stands)
                        } == *granted
                };
                let stands = stands
                    .filter(is_it)
                    .ok_or("a request granted a hold that isn't there")?;
                if !kept.extend(stands.expires_at) {
                    return Err("a hold is promised more than any can be");
                }
            }
            (Some(end), Some(keep_until)) => {
                kept.finish(end, keep_until);
                if kept.keep_until() != Some(keep_until) {
                    return Err("a request would be kept for good");
                }
            }
            _ => return Err("a request is remembered for the wrong time"),
        }
        self.show.restore_hold(kept);
        Ok(())
    }

    fn claim(&mut self, seats: u64) -> Result<(), &'static str> {
        self.seats_claimed = self.seats_claimed.saturating_add(seats);
        if seats == 0 || self.seats_claimed > u64::from(self.show.seat_count()) {
            return Err("holds and sales claim no seat, or more than there are");
        }
        Ok(())
    }
}
