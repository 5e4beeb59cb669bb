//! The numbers by which the lock store tells a show's sections and prices apart, and how near it
//! thinks a seat is.
//!
//! Always holds: they follow from the seats in seat order, so what a show is opened with and what
//! is asked of it later mean the same.

use std::collections::{BTreeSet, HashMap};

use lockstore_client::{LayoutSeat, SeatKind};

use crate::store::shows::NewSeat;

/// Pairs of section and price that the store tells apart in one show: see its contract.
const PAIRS_MAX: usize = 2_048;

/// A row farther back counts like so many seats to the side, times two.
const ROW_RANKS: usize = 4;

/// Numbers from 0 in the order in which they are first met.
#[derive(Debug, Default)]
pub(crate) struct StoreNumbers {
    sections: HashMap<String, u16>,
    prices: HashMap<i64, u16>,
}

impl StoreNumbers {
    /// Those of seats, each by section and price; `None` if there are more pairs than the store
    /// tells apart.
    pub(crate) fn of<'a>(seats: impl IntoIterator<Item = (&'a str, i64)>) -> Option<Self> {
        let mut numbers = Self::default();
        let mut pairs = BTreeSet::new();
        for (section, price) in seats {
            let next = u16::try_from(numbers.sections.len()).ok()?;
            let section_no = match numbers.sections.get(section) {
                Some(section_no) => *section_no,
                None => *numbers.sections.entry(section.to_owned()).or_insert(next),
            };
            let next = u16::try_from(numbers.prices.len()).ok()?;
            let price_no = *numbers.prices.entry(price).or_insert(next);
            if pairs.insert((section_no, price_no)) && pairs.len() > PAIRS_MAX {
                return None;
            }
        }
        Some(numbers)
    }

    pub(crate) fn section(&self, section: &str) -> Option<u16> {
        self.sections.get(section).copied()
    }

    /// The prices up to `most`, dearest first.
    pub(crate) fn prices_up_to(&self, most: i64) -> Vec<u16> {
        let mut found: Vec<(i64, u16)> = self
            .prices
            .iter()
            .filter(|(price, _)| **price <= most)
            .map(|(price, price_no)| (*price, *price_no))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, price_no)| price_no).collect()
    }
}

/// What the store is told of the seats of a show. The foremost row of a section is its first one,
/// and its middle is the best; one section is as good as another.
pub(crate) fn layout(seats: &[NewSeat]) -> Vec<LayoutSeat> {
    let numbers = StoreNumbers::of(seats.iter().map(|seat| (seat.section.as_str(), seat.price)));
    let mut rows_of: HashMap<&str, usize> = HashMap::new();
    let mut layout = Vec::with_capacity(seats.len());
    for row in seats.chunk_by(|a, b| a.row_no == b.row_no) {
        let Some(first) = row.first() else { continue };
        let rows_before = rows_of.entry(first.section.as_str()).or_default();
        for (place, seat) in row.iter().enumerate() {
            let from_the_middle = (2 * place).abs_diff(row.len() - 1);
            let rank = match seat.kind {
                // Nobody stands on a number.
                SeatKind::Standing => 0,
                _ => ROW_RANKS * *rows_before + from_the_middle,
            };
            let numbers = numbers.as_ref();
            layout.push(LayoutSeat {
                row_no: u32::try_from(seat.row_no).expect("checked"),
                gap_after: seat.gap_after,
                rank: u16::try_from(rank).unwrap_or(u16::MAX),
                section_no: numbers.and_then(|n| n.section(&seat.section)).unwrap_or(0),
                category_no: numbers
                    .and_then(|n| n.prices.get(&seat.price).copied())
                    .unwrap_or(0),
                kind: seat.kind,
            });
        }
        *rows_before += 1;
    }
    layout
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(section: &str, row_no: i32, price: i64) -> NewSeat {
        NewSeat {
            label: String::new(),
            section: section.to_owned(),
            row_no,
            gap_after: false,
            category: String::new(),
            price,
            kind: SeatKind::Plain,
        }
    }

    #[test]
    fn middle_of_the_foremost_row_of_each_section_is_the_best() {
        let seats = [
            seat("A", 0, 900),
            seat("A", 0, 900),
            seat("A", 0, 900),
            seat("A", 1, 500),
            seat("B", 2, 500),
        ];
        let told: Vec<_> = layout(&seats)
            .iter()
            .map(|seat| (seat.rank, seat.section_no, seat.category_no))
            .collect();
        let expected = [(2, 0, 0), (0, 0, 0), (2, 0, 0), (4, 0, 1), (0, 1, 1)];
        assert_eq!(told, expected);
    }

    #[test]
    fn prices_are_numbered_as_they_are_met_and_found_up_to_a_limit() {
        let seats = [("A", 500), ("A", 900), ("B", 700), ("B", 500)];
        let numbers = StoreNumbers::of(seats).expect("few");
        assert_eq!(numbers.prices_up_to(800), [2, 0]);
        assert!(numbers.prices_up_to(499).is_empty());
        assert_eq!(
            (numbers.section("B"), numbers.section("C")),
            (Some(1), None)
        );
    }

    #[test]
    fn show_with_more_pairs_than_the_store_tells_apart_is_told_of_as_one() {
        let most = PAIRS_MAX as i32;
        let seats: Vec<NewSeat> = (0..=most).map(|n| seat("A", n, n.into())).collect();
        let layout = layout(&seats);
        assert!(layout.iter().all(|seat| seat.category_no == 0));
        assert!(
            super::layout(&seats[1..])
                .iter()
                .any(|seat| seat.category_no > 0)
        );
    }
}
