//! A show as its changes add up.
//!
//! Always holds: after the changes of a revision it is what the store itself would show at that
//! revision; changes that don't follow on what it has are refused, never applied.

use std::collections::BTreeMap;

use holdfast_types::{Revision, SeatNo, SeatState};

use crate::{Change, ShowChanges, ShowState};

/// State and seats of one show at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowReplica {
    revision: Revision,
    show: Option<(ShowState, Vec<SeatState>)>,
}

/// What changes came to: for those who show seats and nothing of holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// The show's new state, if it is another.
    pub state: Option<ShowState>,
    /// Seats and what they are now, each once, in ascending order.
    pub seats: Vec<(SeatNo, SeatState)>,
}

/// Changes that can't be of this show after this revision: something is missing in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes don't follow on revision {at}")]
pub struct Gap {
    /// What the replica has.
    pub at: Revision,
}

impl ShowReplica {
    /// A show as a snapshot of `revision` has it.
    pub const fn new(revision: Revision, show: Option<(ShowState, Vec<SeatState>)>) -> Self {
        Self { revision, show }
    }

    /// What it shows.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// State and seats; `None` while the store has no such show.
    pub fn show(&self) -> Option<(ShowState, &[SeatState])> {
        let (state, seats) = self.show.as_ref()?;
        Some((*state, seats))
    }

    /// Nothing else changed up to `revision`.
    pub fn reach(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
    }

    /// Applies what `revision` changed, and says what is different now.
    ///
    /// # Errors
    /// [`Gap`]; the replica is of no further use then.
    pub fn apply(&mut self, revision: Revision, changes: &ShowChanges) -> Result<Difference, Gap> {
        let gap = Gap { at: self.revision };
        if revision <= self.revision || changes.previous > self.revision {
            return Err(gap);
        }
        let state_before = self.show.as_ref().map(|(state, _)| *state);
        let mut before = BTreeMap::new();
        for change in &changes.changes {
            self.change(change, &mut before).ok_or(gap)?;
        }
        self.revision = revision;
        let (state, seats) = self.show.as_ref().ok_or(gap)?;
        let now = |seat_no: SeatNo| seats[seat_no.0 as usize];
        let different = before
            .into_iter()
            .filter(|(seat_no, state)| now(*seat_no) != *state);
        Ok(Difference {
            state: (state_before != Some(*state)).then_some(*state),
            seats: different
                .map(|(seat_no, _)| (seat_no, now(seat_no)))
                .collect(),
        })
    }

    /// Applies one change, noting what each seat was first; `None` if it can't be of this show.
    fn change(&mut self, change: &Change, before: &mut BTreeMap<SeatNo, SeatState>) -> Option<()> {
        let (seat_nos, to): (&[SeatNo], _) = match change {
            Change::State { state, seat_count } => {
                return self.set_state(*state, *seat_count, before);
            }
            // Nothing of seats.
            Change::Extended { .. } | Change::Queue(_) => (&[], SeatState::Held),
            Change::Held { seat_nos, .. } => (seat_nos, SeatState::Held),
            Change::Ended { seat_nos, .. }
            | Change::Returned { seat_nos, .. }
            | Change::Unblocked { seat_nos } => (seat_nos, SeatState::Available),
            Change::Blocked { seat_nos } => (seat_nos, SeatState::Blocked),
            Change::Sold { seat_nos, .. } => (seat_nos, SeatState::Sold),
        };
        let (_, seats) = self.show.as_mut()?;
        for seat_no in seat_nos {
            let seat = seats.get_mut(seat_no.0 as usize)?;
            before.entry(*seat_no).or_insert(*seat);
            *seat = to;
        }
        Some(())
    }

    fn set_state(
        &mut self,
        state: ShowState,
        seat_count: u32,
        before: &mut BTreeMap<SeatNo, SeatState>,
    ) -> Option<()> {
        let new = || (state, vec![SeatState::Available; seat_count as usize]);
        let (known, seats) = self.show.get_or_insert_with(new);
        *known = state;
        if state == ShowState::Cancelled {
            for (number, seat) in (0..).zip(seats.iter_mut()) {
                if *seat == SeatState::Held {
                    before.entry(SeatNo(number)).or_insert(*seat);
                    *seat = SeatState::Available;
                }
            }
        }
        (seats.len() == seat_count as usize).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::{BookingId, ClusterTime, HoldId, Lineage, ShowId};

    use super::*;
    use crate::HoldEnd;

    const HOLD: HoldId = HoldId::from_bytes([1; 16]);
    const BOOKING: BookingId = BookingId::from_bytes([2; 16]);

    fn at(index: u64) -> Revision {
        Revision::new(Lineage(1), index, 0)
    }

    fn replica(seats: &str) -> ShowReplica {
        let seats = seats.chars().map(|letter| match letter {
            'A' => SeatState::Available,
            'H' => SeatState::Held,
            'S' => SeatState::Sold,
            _ => SeatState::Blocked,
        });
        ShowReplica::new(at(5), Some((ShowState::OnSale, seats.collect())))
    }

    fn seats(replica: &ShowReplica) -> String {
        let (_, seats) = replica.show().expect("is there");
        let letter = |seat: &SeatState| match seat {
            SeatState::Available => 'A',
            SeatState::Held => 'H',
            SeatState::Sold => 'S',
            SeatState::Blocked => 'B',
        };
        seats.iter().map(letter).collect()
    }

    fn changes(previous: u64, changes: Vec<Change>) -> ShowChanges {
        ShowChanges {
            show_id: ShowId::from_bytes([3; 16]),
            previous: at(previous),
            changes,
        }
    }

    fn held(seat: u32) -> Change {
        Change::Held {
            hold_id: HOLD,
            fence: at(1),
            seat_nos: vec![SeatNo(seat)],
            expires_at: ClusterTime(1),
        }
    }

    fn ended(seat: u32) -> Change {
        Change::Ended {
            hold_id: HOLD,
            fence: at(1),
            seat_nos: vec![SeatNo(seat)],
            why: HoldEnd::Expired,
        }
    }

    #[test]
    fn changes_add_up_and_the_difference_is_what_is_to_be_seen() {
        let mut replica = replica("AHSB");
        let sold = Change::Sold {
            hold_id: HOLD,
            fence: at(1),
            seat_nos: vec![SeatNo(1)],
            booking_id: BOOKING,
        };
        let returned = Change::Returned {
            fence: at(1),
            seat_nos: vec![SeatNo(2)],
            booking_id: BOOKING,
        };
        let both = changes(4, vec![sold, returned]);
        let difference = replica.apply(at(7), &both).expect("follows");
        assert_eq!(seats(&replica), "ASAB");
        let seat_differences = vec![
            (SeatNo(1), SeatState::Sold),
            (SeatNo(2), SeatState::Available),
        ];
        assert_eq!(difference.seats, seat_differences);
        assert_eq!((difference.state, replica.revision()), (None, at(7)));
        let blocked = Change::Blocked {
            seat_nos: vec![SeatNo(2)],
        };
        let unblocked = Change::Unblocked {
            seat_nos: vec![SeatNo(3)],
        };
        let both = changes(7, vec![blocked, unblocked]);
        let difference = replica.apply(at(8), &both).expect("follows");
        assert_eq!(
            (seats(&replica).as_str(), difference.seats.len()),
            ("ASBA", 2)
        );
        // An end swept by the command that takes the seat again is no difference.
        let again = changes(8, vec![held(0), ended(0)]);
        let difference = replica.apply(at(9), &again).expect("follows");
        assert_eq!(difference, Difference::default());
    }

    #[test]
    fn cancelled_show_has_no_held_seat_before_its_holds_are_put_away() {
        let mut replica = replica("HHSA");
        let cancelled = Change::State {
            state: ShowState::Cancelled,
            seat_count: 4,
        };
        let cancelled = changes(5, vec![cancelled, ended(0)]);
        let difference = replica.apply(at(6), &cancelled).expect("follows");
        assert_eq!(seats(&replica), "AASA");
        assert_eq!(difference.state, Some(ShowState::Cancelled));
        assert_eq!(difference.seats.len(), 2);
        let rest = changes(6, vec![ended(1)]);
        let difference = replica.apply(at(7), &rest).expect("follows");
        assert_eq!(difference, Difference::default());
    }

    #[test]
    fn show_that_opens_is_all_available() {
        let mut replica = ShowReplica::new(at(1), None);
        assert_eq!(replica.show(), None);
        let opened = Change::State {
            state: ShowState::OnSale,
            seat_count: 3,
        };
        let opened = changes(0, vec![opened]);
        replica.apply(at(2), &opened).expect("follows");
        assert_eq!(seats(&replica), "AAA");
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let gap = Err(Gap { at: at(5) });
        assert_eq!(replica("A").apply(at(7), &changes(6, vec![])), gap);
        assert_eq!(replica("A").apply(at(5), &changes(4, vec![])), gap);
        assert_eq!(replica("A").apply(at(6), &changes(5, vec![held(1)])), gap);
        let mut behind = replica("A");
        behind.reach(at(9));
        behind.reach(at(8));
        assert_eq!(behind.revision(), at(9));
        assert!(behind.apply(at(10), &changes(9, vec![])).is_ok());
    }
}
