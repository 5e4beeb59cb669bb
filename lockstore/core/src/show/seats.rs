//! What is known of each seat: in pages of neighbours, shared and copied on write.
//!
//! Always holds: a page is there only if one of its seats was ever touched, and takes nine bytes a
//! seat.

use std::sync::Arc;

use holdfast_types::{Fence, SeatNo, SeatState};
use imbl::Vector;

use super::Seat;

const PAGE_SEATS: u32 = 32;
const UNTOUCHED: u8 = 0;

#[derive(Debug, Clone)]
struct Page {
    states: [u8; PAGE_SEATS as usize],
    fences: [Fence; PAGE_SEATS as usize],
}

impl Page {
    const EMPTY: Self = Self {
        states: [UNTOUCHED; PAGE_SEATS as usize],
        fences: [Fence::ZERO; PAGE_SEATS as usize],
    };

    fn get(&self, at: usize) -> Option<Seat> {
        let state = match self.states[at] {
            1 => SeatState::Available,
            2 => SeatState::Held,
            3 => SeatState::Sold,
            4 => SeatState::Blocked,
            _ => return None,
        };
        Some(Seat {
            state,
            fence: self.fences[at],
        })
    }

    fn set(&mut self, at: usize, seat: Option<Seat>) {
        self.states[at] = seat.map_or(UNTOUCHED, |seat| match seat.state {
            SeatState::Available => 1,
            SeatState::Held => 2,
            SeatState::Sold => 3,
            SeatState::Blocked => 4,
        });
        self.fences[at] = seat.map_or(Fence::ZERO, |seat| seat.fence);
    }
}

/// The seats of a show that were ever held, sold or blocked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seats(Vector<Option<Arc<Page>>>);

const fn place(seat_no: SeatNo) -> (usize, usize) {
    let page = seat_no.0 / PAGE_SEATS;
    (page as usize, (seat_no.0 % PAGE_SEATS) as usize)
}

impl Seats {
    pub(crate) fn get(&self, seat_no: SeatNo) -> Option<Seat> {
        let (page, at) = place(seat_no);
        self.0.get(page)?.as_ref()?.get(at)
    }

    /// Those that were touched, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SeatNo, Seat)> {
        let pages = (0_u32..).step_by(PAGE_SEATS as usize).zip(self.0.iter());
        let pages = pages.filter_map(|(first, page)| Some((first, page.as_ref()?)));
        pages.flat_map(|(first, page)| {
            let seats = (0..PAGE_SEATS as usize).filter_map(|at| Some((at as u32, page.get(at)?)));
            seats.map(move |(at, seat)| (SeatNo(first + at), seat))
        })
    }

    /// Makes it another; what it was. `None` is one that was never touched.
    pub(super) fn set(&mut self, seat_no: SeatNo, seat: Option<Seat>) -> Option<Seat> {
        let (page, at) = place(seat_no);
        while self.0.len() <= page {
            self.0.push_back(None);
        }
        let slot = &mut self.0[page];
        let page = Arc::make_mut(slot.get_or_insert_with(|| Arc::new(Page::EMPTY)));
        let old = page.get(at);
        page.set(at, seat);
        old
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::Lineage;

    use super::*;

    #[test]
    fn touched_seats_come_in_order_and_the_others_take_nothing() {
        let mut seats = Seats::default();
        let states = [
            SeatState::Available,
            SeatState::Held,
            SeatState::Sold,
            SeatState::Blocked,
        ];
        let seat = |n: u64| Seat {
            state: states[n as usize % 4],
            fence: Fence::new(Lineage(1), n, 0),
        };
        let touched = [0_u32, 31, 32, 70, 99_999].map(SeatNo);
        for (n, seat_no) in (0..).zip(touched.iter().rev()) {
            assert_eq!(seats.set(*seat_no, Some(seat(n))), None);
        }
        let before = seats.clone();
        let expected = || (0..).map(seat).zip(touched.iter().rev().copied());
        let mut expected: Vec<_> = expected().map(|(seat, seat_no)| (seat_no, seat)).collect();
        expected.reverse();
        assert!(seats.iter().eq(expected.iter().copied()));
        assert_eq!(seats.get(SeatNo(33)), None);
        assert_eq!(seats.get(SeatNo(200_000)), None);
        assert_eq!(seats.0.iter().flatten().count(), 4, "pages");

        assert_eq!(seats.set(SeatNo(31), None), Some(seat(3)));
        assert_eq!(seats.get(SeatNo(31)), None);
        assert!(before.iter().eq(expected));
        assert_eq!(seats.iter().count(), 4);
    }
}
