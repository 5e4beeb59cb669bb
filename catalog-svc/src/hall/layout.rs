//! Where the seats of a hall are: tiers, blocks, rows, and then each seat.
//!
//! Always holds: what is counted here ([`tiers`]) is what [`plan`] makes. Lengths are in the unit
//! of the drawing; a seat is ten wide.

use std::f64::consts::TAU;

use super::{Hall, Shape};
use crate::plan::{Category, Plan, Row, Seat, SeatKind, Section};

/// From the middle of a seat to that of its neighbour.
const SEAT_PITCH: f64 = 10.0;
/// From a row to the one behind it.
const ROW_PITCH: f64 = 14.0;
/// Between the last seat of a block and the first of the next.
const AISLE: f64 = 16.0;
/// Between the last row of a tier and the first of the next, besides the pitch.
const TIER_STEP: f64 = 40.0;
/// Around everything.
const MARGIN: f64 = 30.0;
/// Rows are `A` to `Z`.
const ROWS_PER_TIER: usize = 26;
/// What a block's middle row has, about.
const SEATS_PER_BLOCK_ROW: f64 = 16.0;
/// Enough for 100,000 seats (`tests.rs` counts them), and an end for the loop.
const TIERS_MAX: usize = 12;

/// Name, colour, and where it ends: as a part, in thousandths, of the seats nearer to the stage.
/// A row is of one category.
const CATEGORIES: [(&str, &str, u32); 4] = [
    ("Category 1", "#C62828", 150),
    ("Category 2", "#F9A825", 400),
    ("Category 3", "#2E7D32", 700),
    ("Category 4", "#1565C0", 1000),
];

/// Tiers have names as long as there are any.
const TIERS: [&str; 4] = ["Ground", "Balcony", "Gallery", "Upper"];

impl Shape {
    /// From the stage to the first row.
    fn front_radius(self) -> f64 {
        match self {
            Self::Fan => 120.0,
            Self::Bowl => 500.0,
        }
    }

    /// Of the arc, in radians.
    fn span(self) -> f64 {
        match self {
            Self::Fan => 2.2,
            Self::Bowl => TAU * 0.9,
        }
    }
}

/// A tier, counted.
pub(super) struct Tier {
    name: String,
    /// In radians, of each block.
    block_angle: f64,
    blocks: usize,
    /// From the front.
    rows: Vec<TierRow>,
}

struct TierRow {
    radius: f64,
    category_no: u32,
    /// Seats by block.
    counts: Vec<u32>,
}

/// The tiers with all rows; seats add up to the hall's.
pub(super) fn tiers(hall: Hall) -> Vec<Tier> {
    let mut left = hall.seats;
    let mut tiers = Vec::new();
    for tier_no in 0..TIERS_MAX {
        if left == 0 {
            break;
        }
        let front = hall.shape.front_radius()
            + tier_no as f64 * (ROWS_PER_TIER as f64 * ROW_PITCH + TIER_STEP);
        let middle = front + ROW_PITCH * ROWS_PER_TIER as f64 / 2.0;
        let blocks = (hall.shape.span() * middle / (SEATS_PER_BLOCK_ROW * SEAT_PITCH)).round();
        let block_angle = hall.shape.span() / blocks;
        let mut tier = Tier {
            name: tier_name(tier_no),
            block_angle,
            blocks: blocks as usize,
            rows: Vec::new(),
        };
        for row_no in 0..ROWS_PER_TIER {
            if left == 0 {
                break;
            }
            let radius = front + row_no as f64 * ROW_PITCH;
            let fits = ((block_angle * radius - AISLE) / SEAT_PITCH).floor() as u32 + 1;
            let category_no = category_no(hall.seats - left, hall.seats);
            let counts = (0..tier.blocks)
                .map(|_| {
                    let count = fits.min(left);
                    left -= count;
                    count
                })
                .collect();
            tier.rows.push(TierRow {
                radius,
                category_no,
                counts,
            });
        }
        tiers.push(tier);
    }
    tiers
}

/// Of a row with so many of all seats before it.
fn category_no(nearer: u32, all: u32) -> u32 {
    let part = (u64::from(nearer) * 1000 / u64::from(all)) as u32;
    let found = (0..).zip(CATEGORIES).find(|(_, (_, _, end))| part < *end);
    found.map_or(0, |(no, _)| no)
}

fn tier_name(tier_no: usize) -> String {
    match TIERS.get(tier_no) {
        Some(name) => (*name).to_owned(),
        None => format!("Tier{}", tier_no + 1),
    }
}

pub(super) fn categories(tiers: &[Tier]) -> Vec<Category> {
    let mut categories: Vec<Category> = CATEGORIES
        .iter()
        .map(|(name, color, _)| Category {
            name: (*name).to_owned(),
            color: (*color).to_owned(),
            seat_count: 0,
        })
        .collect();
    for row in tiers.iter().flat_map(|tier| &tier.rows) {
        if let Some(category) = categories.get_mut(row.category_no as usize) {
            category.seat_count += row.counts.iter().sum::<u32>();
        }
    }
    categories
}

/// Width and height: the stage is in the middle of the upper edge of a fan, and of a bowl.
pub(super) fn size(hall: Hall, tiers: &[Tier]) -> (f64, f64) {
    let radius = tiers
        .last()
        .and_then(|tier| tier.rows.last())
        .map_or(0.0, |row| row.radius);
    let width = 2.0 * (radius + MARGIN);
    match hall.shape {
        Shape::Fan => (width, radius + 2.0 * MARGIN),
        Shape::Bowl => (width, width),
    }
}

pub(super) fn plan(hall: Hall) -> Plan {
    let tiers = tiers(hall);
    let (width, height) = size(hall, &tiers);
    let stage = match hall.shape {
        Shape::Fan => (width / 2.0, MARGIN),
        Shape::Bowl => (width / 2.0, height / 2.0),
    };
    let mut plan = Plan {
        name: Some(format!("{} seats", hall.seats)),
        width,
        height,
        categories: categories(&tiers),
        sections: Vec::new(),
        rows: Vec::new(),
        seats: Vec::with_capacity(hall.seats as usize),
        areas: Vec::new(),
        warnings: Vec::new(),
    };
    for tier in &tiers {
        for block in 0..tier.blocks {
            add_block(&mut plan, tier, block, stage);
        }
    }
    plan
}

fn add_block(plan: &mut Plan, tier: &Tier, block: usize, stage: (f64, f64)) {
    let section = format!("{}-{}", tier.name.to_ascii_uppercase(), block + 1);
    // Blocks are numbered from the left as seen from the stage's side of the drawing.
    let middle = (block as f64 + 0.5 - tier.blocks as f64 / 2.0) * tier.block_angle;
    let section_no = plan.sections.len() as u32;
    for (row, letter) in tier.rows.iter().zip('A'..='Z') {
        let count = row.counts[block];
        if count == 0 {
            continue;
        }
        let row_no = plan.rows.len() as u32;
        for seat in 0..count {
            let along = (f64::from(seat) - f64::from(count - 1) / 2.0) * SEAT_PITCH;
            let angle = middle + along / row.radius;
            let label = format!("{section}-{letter}-{}", seat + 1);
            plan.seats.push(Seat {
                row_no,
                category_no: row.category_no,
                uuid: label.clone(),
                kind: SeatKind::Standard,
                label,
                number: (seat + 1).to_string(),
                x: hundredths(stage.0 + row.radius * angle.sin()),
                y: hundredths(stage.1 + row.radius * angle.cos()),
                gap_after: false,
            });
        }
        plan.rows.push(Row {
            section_no,
            name: letter.to_string(),
        });
    }
    if plan
        .rows
        .last()
        .is_some_and(|row| row.section_no == section_no)
    {
        plan.sections.push(Section {
            name: section,
            zone_name: tier.name.clone(),
        });
    }
}

/// Machines differ in the last digits of a sine, and nobody sees them.
fn hundredths(length: f64) -> f64 {
    (length * 100.0).round() / 100.0
}
