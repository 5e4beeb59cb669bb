//! What the seats of a show cost: by category, and by section and by seat where that is another price.
//!
//! Always holds: of the prices that are of a seat the most exact counts, its own before its section's before
//! its category's; every category that seats use has a price, so that every seat has one; lists are sorted
//! and name nothing twice. Leaves to others: storage, wire forms, and what sells (booking-svc, which is told
//! each seat's price).

use std::collections::{HashMap, HashSet};

use holdfast_mesh::Failure;
use sha2::{Digest, Sha256};

use crate::{fields::Fields, plan::Category, store::seat_map::Seat};

/// Different amounts of a show, and pairs of a section and what a seat of it costs: more the lock store
/// doesn't take, or doesn't tell apart, when seats are chosen by price or section.
const AMOUNTS_MAX: usize = 64;
const PAIRS_MAX: usize = 2_048;

/// From the cheapest seats to the dearest, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PriceRange {
    pub(crate) min: i64,
    pub(crate) max: i64,
}

impl PriceRange {
    /// What each of `categories` (the dearest first) costs: equal steps from `max` down to `min`.
    /// A single one costs `max`.
    pub(crate) fn over(self, categories: &[String]) -> Vec<Price> {
        let steps = i128::try_from(categories.len().saturating_sub(1).max(1)).unwrap_or(1);
        let span = i128::from(self.max) - i128::from(self.min);
        let mut prices: Vec<Price> = (0..)
            .zip(categories)
            .map(|(step, category)| Price {
                category: category.clone(),
                amount: (i128::from(self.max) - span * step / steps) as i64,
            })
            .collect();
        prices.sort();
        prices
    }

    /// From the least to the most; none of none.
    pub(crate) fn of(amounts: impl Iterator<Item = i64> + Clone) -> Option<Self> {
        let (min, max) = amounts.clone().min().zip(amounts.max())?;
        Some(Self { min, max })
    }
}

/// What a seat of a category costs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Price {
    pub(crate) category: String,
    /// Minor units of the show's currency; 0 is free.
    pub(crate) amount: i64,
}

/// What the seats of a section cost, or one seat, whatever their category costs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExactPrice {
    pub(crate) of: Exactly,
    pub(crate) amount: i64,
}

/// What customers pay besides what seats cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fee {
    /// As it is shown to them.
    pub(crate) name: String,
    /// Minor units of the show's currency.
    pub(crate) amount: i64,
    /// For each ticket; otherwise once a booking.
    pub(crate) per_ticket: bool,
}

/// What an exact price is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exactly {
    Section(String),
    /// By its label.
    Seat(String),
}

/// What any price is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Priced {
    Category(String),
    Section(String),
    Seat(String),
}

/// A show's prices as its organiser asks for them, in their order; two are the same in any order.
#[derive(Debug, Clone)]
pub(crate) struct AskedPrices(pub(crate) Vec<(Priced, i64)>);

impl PartialEq for AskedPrices {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Eq for AskedPrices {}

impl AskedPrices {
    /// What would have to be asked for to get these.
    pub(crate) fn of(prices: &[Price], exact: &[ExactPrice]) -> Self {
        let prices = prices.iter().cloned();
        let by_category = prices.map(|price| (Priced::Category(price.category), price.amount));
        let exact = exact.iter().cloned().map(|price| match price.of {
            Exactly::Section(name) => (Priced::Section(name), price.amount),
            Exactly::Seat(label) => (Priced::Seat(label), price.amount),
        });
        Self(by_category.chain(exact).collect())
    }

    /// Those by category, and the exact ones.
    pub(crate) fn sorted(&self) -> (Vec<Price>, Vec<ExactPrice>) {
        let (mut prices, mut exact) = (Vec::new(), Vec::new());
        for (of, amount) in self.0.iter().cloned() {
            match of {
                Priced::Category(category) => prices.push(Price { category, amount }),
                Priced::Section(name) => exact.push(ExactPrice {
                    of: Exactly::Section(name),
                    amount,
                }),
                Priced::Seat(label) => exact.push(ExactPrice {
                    of: Exactly::Seat(label),
                    amount,
                }),
            }
        }
        prices.sort();
        exact.sort();
        (prices, exact)
    }

    /// Whether any is of a section or a seat, which only the plan's seats can tell to be right.
    pub(crate) fn are_exact(&self) -> bool {
        let is_exact = |(of, _): &(Priced, i64)| !matches!(of, Priced::Category(_));
        self.0.iter().any(is_exact)
    }

    /// Refuses, naming each under `field`, what the plan hasn't, and a category with seats that has no price.
    /// `seats` are the plan's where any price is exact.
    pub(crate) fn check(
        &self,
        field: &str,
        categories: &[Category],
        seats: &[Seat],
    ) -> Result<(), Failure> {
        let mut fields = Fields::default();
        let known = |name: &str| categories.iter().any(|category| category.name == name);
        let (sections, labels): (HashSet<&str>, HashSet<&str>) = seats
            .iter()
            .map(|seat| (seat.section.as_str(), seat.label.as_str()))
            .unzip();
        for (index, (of, _)) in self.0.iter().enumerate() {
            let (what, name, is_known, kind) = match of {
                Priced::Category(name) => ("category", name, known(name), "categories"),
                Priced::Section(name) => {
                    let is_known = sections.contains(name.as_str());
                    ("section", name, is_known, "sections")
                }
                Priced::Seat(name) => ("seat", name, labels.contains(name.as_str()), "seats"),
            };
            if !is_known {
                let why = format!("{name:?} is none of the plan's {kind}");
                fields.note(format!("{field}[{index}].{what}"), why);
            }
        }
        let priced = |name: &str| {
            let mut all = self.0.iter();
            all.any(|(of, _)| matches!(of, Priced::Category(category) if category == name))
        };
        for category in categories.iter().filter(|category| category.seat_count > 0) {
            if !priced(&category.name) {
                fields.note(field, format!("{:?} has seats and no price", category.name));
            }
        }
        let amounts: HashSet<i64> = self.0.iter().map(|(_, amount)| *amount).collect();
        if amounts.len() > AMOUNTS_MAX {
            let why = format!("has more than {AMOUNTS_MAX} different amounts");
            fields.note(field, why);
        }
        let (by_category, exact) = self.sorted();
        let list = PriceList::new(&by_category, &exact);
        let pairs: HashSet<(&str, Option<i64>)> = seats
            .iter()
            .map(|seat| (seat.section.as_str(), list.of(seat)))
            .collect();
        if pairs.len() > PAIRS_MAX {
            let why = format!(
                "makes more than {PAIRS_MAX} pairs of a section and what a seat of it costs"
            );
            fields.note(field, why);
        }
        fields.finish(Some(()))
    }
}

/// Tells one set of exact prices from another; none of none.
pub(crate) fn digest(exact: &[ExactPrice]) -> Option<Vec<u8>> {
    if exact.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for price in exact {
        let (kind, name) = match &price.of {
            Exactly::Section(name) => (0_u8, name),
            Exactly::Seat(label) => (1, label),
        };
        hash.update([kind]);
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name.as_bytes());
        hash.update(price.amount.to_be_bytes());
    }
    Some(hash.finalize().to_vec())
}

/// A show's prices by what they are of.
#[derive(Debug)]
pub(crate) struct PriceList<'a> {
    categories: HashMap<&'a str, i64>,
    sections: HashMap<&'a str, i64>,
    seats: HashMap<&'a str, i64>,
}

impl<'a> PriceList<'a> {
    pub(crate) fn new(prices: &'a [Price], exact: &'a [ExactPrice]) -> Self {
        let by_category = |price: &'a Price| (price.category.as_str(), price.amount);
        let (mut sections, mut seats) = (HashMap::new(), HashMap::new());
        for price in exact {
            match &price.of {
                Exactly::Section(name) => sections.insert(name.as_str(), price.amount),
                Exactly::Seat(label) => seats.insert(label.as_str(), price.amount),
            };
        }
        Self {
            categories: prices.iter().map(by_category).collect(),
            sections,
            seats,
        }
    }

    /// What a seat of the category costs that has no price of its own, nor has its section.
    pub(crate) fn of_category(&self, category: &str) -> Option<i64> {
        self.categories.get(category).copied()
    }

    /// What a seat costs; none if it is of a category that nobody priced.
    pub(crate) fn of(&self, seat: &Seat) -> Option<i64> {
        self.exactly(seat)
            .or_else(|| self.of_category(&seat.category))
    }

    fn exactly(&self, seat: &Seat) -> Option<i64> {
        let own = self.seats.get(seat.label.as_str());
        own.or_else(|| self.sections.get(seat.section.as_str()))
            .copied()
    }

    /// From the cheapest of the seats to the dearest.
    pub(crate) fn range(&self, seats: &[Seat]) -> Option<PriceRange> {
        PriceRange::of(seats.iter().filter_map(|seat| self.of(seat)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SeatKind;

    #[test]
    fn prices_between_fall_in_equal_steps_and_meet_both_ends() {
        let names = |count: usize| (0..count).map(|n| format!("C{n}")).collect::<Vec<_>>();
        let amounts = |min, max, count| {
            let prices = PriceRange { min, max }.over(&names(count));
            prices
                .into_iter()
                .map(|price| price.amount)
                .collect::<Vec<_>>()
        };
        assert_eq!(amounts(2_000, 8_000, 4), [8_000, 6_000, 4_000, 2_000]);
        assert_eq!(amounts(0, 100, 4), [100, 67, 34, 0]);
        assert_eq!(amounts(8_000, 8_000, 3), [8_000, 8_000, 8_000]);
        assert_eq!(amounts(2_000, 8_000, 1), [8_000]);
        assert_eq!(amounts(2_000, 8_000, 0), [0_i64; 0]);
    }

    fn seat(label: &str, section: &str, category: &str) -> Seat {
        Seat {
            label: label.to_owned(),
            section: section.to_owned(),
            row: String::new(),
            number: String::new(),
            x: 0.0,
            y: 0.0,
            row_no: 0,
            gap_after: false,
            category: category.to_owned(),
            kind: SeatKind::Standard,
        }
    }

    #[test]
    fn no_more_amounts_and_pairs_than_seats_can_be_chosen_by() {
        let priced = |n: i64| (Priced::Section(format!("S{n}")), n);
        let stalls = |seat_count| Category {
            name: "A".to_owned(),
            color: "#fff".to_owned(),
            seat_count,
        };
        let sections: Vec<Seat> = (0..=64).map(|n| seat("", &format!("S{n}"), "A")).collect();
        let mut many = vec![(Priced::Category("A".to_owned()), 0)];
        many.extend((0..=63).map(priced));
        let check = |prices: &[_]| asked(prices).check("prices", &[stalls(65)], &sections);
        assert_eq!(check(&many), Ok(()));
        many.push(priced(64));
        let refused = check(&many).expect_err("is refused");
        assert_eq!(refused.fields()[0].field, "prices");

        let of_seats = |count: usize| -> Vec<(Priced, i64)> {
            let seat = |n: usize| (Priced::Seat(format!("L{n}")), (n % 60) as i64);
            let seats = (0..count).map(seat);
            seats
                .chain([(Priced::Category("A".to_owned()), 0)])
                .collect()
        };
        let seats: Vec<Seat> = (0..4_000)
            .map(|n: usize| seat(&format!("L{n}"), &format!("S{}", n / 60), "A"))
            .collect();
        let check = |count| asked(&of_seats(count)).check("prices", &[stalls(4_000)], &seats);
        assert_eq!(check(1_200), Ok(()));
        let refused = check(4_000).expect_err("is refused");
        assert_eq!(refused.fields()[0].field, "prices");
    }

    fn asked(of: &[(Priced, i64)]) -> AskedPrices {
        AskedPrices(of.to_vec())
    }

    #[test]
    fn the_most_exact_price_of_a_seat_counts() {
        let prices = asked(&[
            (Priced::Seat("G-A-1".into()), 9_000),
            (Priced::Category("Stalls".into()), 5_000),
            (Priced::Section("G".into()), 7_000),
        ]);
        let (by_category, exact) = prices.sorted();
        let list = PriceList::new(&by_category, &exact);
        let seats = [
            seat("G-A-1", "G", "Stalls"),
            seat("G-A-2", "G", "Stalls"),
            seat("B-A-1", "B", "Stalls"),
            seat("B-A-2", "B", "Box"),
        ];
        let costs: Vec<_> = seats.iter().map(|seat| list.of(seat)).collect();
        assert_eq!(costs, [Some(9_000), Some(7_000), Some(5_000), None]);
        let range = list.range(&seats[..2]).expect("priced");
        assert_eq!((range.min, range.max), (7_000, 9_000));
        assert_eq!(prices, AskedPrices::of(&by_category, &exact));
        assert_ne!(digest(&exact), digest(&exact[..1]));
        assert_eq!(digest(&[]), None);
    }

    #[test]
    fn what_a_plan_has_not_is_named_by_its_place() {
        let categories = [Category {
            name: "Stalls".into(),
            color: "#fff".into(),
            seat_count: 1,
        }];
        let seats = [seat("G-A-1", "G", "Stalls")];
        let prices = asked(&[
            (Priced::Category("Stall".into()), 1),
            (Priced::Section("G".into()), 1),
            (Priced::Section("H".into()), 1),
            (Priced::Seat("G-A-1".into()), 1),
            (Priced::Seat("G-A-2".into()), 1),
        ]);
        let refused = prices
            .check("prices", &categories, &seats)
            .expect_err("none of the three is there");
        let named: Vec<&str> = refused
            .fields()
            .iter()
            .map(|at| at.field.as_str())
            .collect();
        let expected = [
            "prices[0].category",
            "prices[2].section",
            "prices[4].seat",
            "prices",
        ];
        assert_eq!(named, expected);
    }
}
