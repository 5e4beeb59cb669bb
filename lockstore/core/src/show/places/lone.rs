//! The lone-seat rule: whoever takes seats leaves no single free one behind, unless there is no
//! other way.
//!
//! A seat is left alone if it is free, its neighbours to both sides are not (taken, an aisle, the
//! row's end, or a seat kept back), and one of them was taken just now: it had company before. A
//! row offers another way if one of its free stretches takes as many seats, together, without
//! leaving one alone: it is just as long, or longer by two or more. The rule is about plain seats;
//! a row that is longer than [`ROW_SEATS_JUDGED_MAX`] is none that people sit in, and is free of it.

use std::ops::Range;

use holdfast_types::SeatNo;

use super::{Offer, Places};
use crate::limits::ROW_SEATS_JUDGED_MAX;

impl Places {
    /// The seats that would be left alone against the rule if `taken`, in ascending order and free
    /// now, were taken; in ascending order, each once.
    pub(crate) fn left_alone(&self, taken: &[SeatNo]) -> Vec<SeatNo> {
        let is_taken = |seat_no: u32| taken.binary_search(&SeatNo(seat_no)).is_ok();
        let mut alone: Vec<u32> = Vec::new();
        for seat_no in taken.iter().map(|seat_no| seat_no.0) {
            for next in [self.left_of(seat_no), self.right_of(seat_no)] {
                let found = next.filter(|next| self.is_alone(*next, &is_taken));
                alone.extend(found);
            }
        }
        alone.sort_unstable();
        alone.dedup();
        // Those of a row come together, and it offers the same to each.
        let mut judged = None;
        alone.retain(|seat_no| {
            let row_no = self.seat(*seat_no).row_no;
            if let Some((_, offers)) = judged.filter(|(judged, _)| *judged == row_no) {
                return offers;
            }
            let row = self.row_of(*seat_no);
            let in_row = |taken: &&SeatNo| row.contains(&taken.0) && self.is_plain(taken.0);
            let together = taken.iter().filter(in_row).count();
            let together = u32::try_from(together).unwrap_or(u32::MAX);
            let offers = self.offers_another_way(&row, together);
            judged = Some((row_no, offers));
            offers
        });
        alone.into_iter().map(SeatNo).collect()
    }

    /// Whether taking `block`, a piece of a free stretch, leaves a seat alone.
    pub(super) fn leaves_one_alone(&self, block: &Range<u32>) -> bool {
        let is_taken = |seat_no: u32| block.contains(&seat_no);
        let sides = [self.left_of(block.start), self.right_of(block.end - 1)];
        sides
            .into_iter()
            .flatten()
            .any(|next| self.is_alone(next, &is_taken))
    }

    /// Whether the row of `seat_no` takes `seats` together without leaving one alone.
    pub(super) fn row_offers_another_way(&self, seat_no: u32, seats: u32) -> bool {
        self.offers_another_way(&self.row_of(seat_no), seats)
    }

    fn is_plain(&self, seat_no: u32) -> bool {
        Offer::of(self.seat(seat_no).kind) == Offer::Plain
    }

    /// The plain seat next to `seat_no`, a plain one, towards lower numbers.
    fn left_of(&self, seat_no: u32) -> Option<u32> {
        let left = seat_no.checked_sub(1)?;
        self.are_neighbours(left, seat_no).then_some(left)
    }

    fn right_of(&self, seat_no: u32) -> Option<u32> {
        let right = seat_no + 1;
        (right < self.len() && self.are_neighbours(seat_no, right)).then_some(right)
    }

    fn are_neighbours(&self, left: u32, right: u32) -> bool {
        let (a, b) = (self.seat(left), self.seat(right));
        let joined = a.row_no == b.row_no && !a.gap_after;
        joined && [a.kind, b.kind].map(Offer::of) == [Offer::Plain; 2]
    }

    fn is_alone(&self, seat_no: u32, is_taken: &impl Fn(u32) -> bool) -> bool {
        let stays_free = |seat_no: u32| self.free.get(seat_no) && !is_taken(seat_no);
        stays_free(seat_no)
            && !self.left_of(seat_no).is_some_and(stays_free)
            && !self.right_of(seat_no).is_some_and(stays_free)
    }

    /// The row of a seat; empty if it is longer than is judged.
    fn row_of(&self, seat_no: u32) -> Range<u32> {
        let row_no = self.seat(seat_no).row_no;
        let is_in = |seat_no: u32| self.seat(seat_no).row_no == row_no;
        let (mut first, mut end) = (seat_no, seat_no + 1);
        while first > 0 && end - first <= ROW_SEATS_JUDGED_MAX && is_in(first - 1) {
            first -= 1;
        }
        while end < self.len() && end - first <= ROW_SEATS_JUDGED_MAX && is_in(end) {
            end += 1;
        }
        if end - first > ROW_SEATS_JUDGED_MAX {
            return seat_no..seat_no;
        }
        first..end
    }

    fn offers_another_way(&self, row: &Range<u32>, seats: u32) -> bool {
        let mut length = 0;
        for seat_no in row.clone() {
            if !self.free.get(seat_no) || !self.is_plain(seat_no) {
                continue;
            }
            length += 1;
            let goes_on = self
                .right_of(seat_no)
                .is_some_and(|right| self.free.get(right));
            if !goes_on {
                if length == seats || length >= seats.saturating_add(2) {
                    return true;
                }
                length = 0;
            }
        }
        false
    }
}
