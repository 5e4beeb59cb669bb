//! Halls by rule: a plan of 100 to 100,000 seats that follows from their number.
//!
//! Always holds: pure; the same [`Hall`] gives the same plan, label by label and number by number,
//! in every release, because shows were opened with it: a better rule gets another name. Seats are
//! exactly as many as asked for. What is stored of such a plan is the hall's text, not its seats.
//! Leaves to others: storing it, and what a category costs.
//!
//! The rule: rows are arcs around the stage, one behind the other, 26 to a tier (`A` to `Z`); a
//! tier is cut into blocks by aisles, and each block is a section: `BALCONY-2-F-14`. Small halls
//! fan out before the stage (`fan-1`), large ones go around it with one end open (`bowl-1`). The
//! last row has what is left. Seats are numbered tier by tier, block by block, from the front.

mod layout;
#[cfg(test)]
mod tests;

use std::{fmt, ops::RangeInclusive, str::FromStr};

use crate::plan::{Category, Plan};

/// Seats that a hall may have.
pub const SEATS: RangeInclusive<u32> = 100..=100_000;

/// From here on people sit around the stage: a fan of more is so deep that its back sees nothing.
const BOWL_FROM: u32 = 20_000;

/// How the rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    Fan,
    Bowl,
}

impl Shape {
    /// With the version of its rule.
    fn name(self) -> &'static str {
        match self {
            Self::Fan => "fan-1",
            Self::Bowl => "bowl-1",
        }
    }
}

/// A hall, as text `fan-1:1500`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hall {
    shape: Shape,
    seats: u32,
}

/// No hall has this text or so many seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from {} to {}", SEATS.start(), SEATS.end())]
pub struct HallError;

impl Hall {
    /// The hall of so many seats.
    ///
    /// # Errors
    /// If they are not within [`SEATS`].
    pub fn of(seats: u32) -> Result<Self, HallError> {
        if !SEATS.contains(&seats) {
            return Err(HallError);
        }
        let shape = if seats < BOWL_FROM {
            Shape::Fan
        } else {
            Shape::Bowl
        };
        Ok(Self { shape, seats })
    }

    /// How many seats it has.
    pub fn seats(self) -> u32 {
        self.seats
    }

    /// Its categories, the dearest first, with how many seats each has. No seat is made for it.
    pub fn categories(self) -> Vec<Category> {
        layout::categories(&layout::tiers(self))
    }

    /// Width and height of the drawing.
    pub fn size(self) -> (f64, f64) {
        layout::size(self, &layout::tiers(self))
    }

    /// All of it: tens of milliseconds for the largest.
    pub fn plan(self) -> Plan {
        layout::plan(self)
    }
}

impl fmt::Display for Hall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.shape.name(), self.seats)
    }
}

impl FromStr for Hall {
    type Err = HallError;

    fn from_str(text: &str) -> Result<Self, HallError> {
        let (name, seats) = text.split_once(':').ok_or(HallError)?;
        let shape = [Shape::Fan, Shape::Bowl]
            .into_iter()
            .find(|shape| shape.name() == name)
            .ok_or(HallError)?;
        let seats = seats.parse().ok().filter(|seats| SEATS.contains(seats));
        Ok(Self {
            shape,
            seats: seats.ok_or(HallError)?,
        })
    }
}
