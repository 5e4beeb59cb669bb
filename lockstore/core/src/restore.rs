//! A state from its records, believed only as far as it can be checked.
//!
//! Always holds: bad input is an error and never a panic; a state that comes out satisfies every
//! invariant and has the hash that the sequence ends with.

use holdfast_types::limits::SEATS_PER_SHOW_MAX;

use crate::{
    ActRecord, BlockedRecord, HoldRecord, LayoutRecord, MetaRecord, Record, RequestRecord,
    SaleRecord, SeatsRecord, ShowRecord, State, StateHash,
    invariants::{self, Violation},
    limits::ACTS_KEPT_MAX,
    request::Remembered,
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
    })
}

fn close(state: &mut State, open: Option<Box<OpenShow>>, index: u64) -> Result<(), RestoreError> {
    let Some(open) = open else { return Ok(()) };
    invariants::check_show(&open.show, state)
        .map_err(|violation| RestoreError::Contradiction { index, violation })?;
    state.insert_show(open.show);
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
            let last = self
                .show
                .touched_seats()
                .get_max()
                .map(|(seat_no, _)| *seat_no);
            if last >= Some(seat.seat_no) {
                return Err("seats are out of order");
            }
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
        if self
            .show
            .holds()
            .get_max()
            .is_some_and(|(last, _)| *last >= hold.id)
        {
            return Err("holds are out of order");
        }
        self.claim(hold.seat_nos.len() as u64)?;
        self.show.insert_hold(hold);
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
        self.show.insert_sale(
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
        if self
            .show
            .requests()
            .get_max()
            .is_some_and(|(last, _)| *last >= record.id)
        {
            return Err("requests are out of order");
        }
        let RequestRecord {
            id,
            body,
            not_after,
            keep_until,
            effect,
            ..
        } = record;
        self.show.remember(
            id,
            Remembered {
                body,
                not_after,
                keep_until,
                effect,
            },
        );
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
