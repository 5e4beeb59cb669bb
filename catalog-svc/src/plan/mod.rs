//! Reads a seating plan in the pretix plan format into what Holdfast sells from: sections, rows
//! and seats with dense numbers, unique labels and absolute positions.
//!
//! Always holds: pure (bytes in, [`Plan`] or [`Mistakes`] out, the same every time); no input
//! panics; a plan that is returned has 1 to 100,000 seats, and no label and no
//! `uuid` twice. Leaves to others: storing it, and who may.
//!
//! The format: `{"name", "size": {"width", "height"}, "categories": [{"name", "color"}], "zones":
//! [{"name", "uuid"?, "position", "rows": [{"row_number", "uuid"?, "position", "seats":
//! [{"seat_number", "uuid", "position", "category"}]}], "areas"?}]}`. Keys that aren't known are
//! ignored, because the format grows. A position is `{"x", "y"}`, relative to what it is part of.
//!
//! Beyond the format, which ignores such keys: a seat's `"holdfast_kind"`, `standard` unless said,
//! `accessible` (a place for a wheelchair) or `companion` (beside one), and a zone's area's
//! `"holdfast_standing": {"name", "capacity", "category"}`, which makes of the shape an area whose places
//! are sold. Its places are seats after those of the zone's rows, labelled `FLOOR-1` on.
//!
//! In such files only `uuid` and position are unique: a zone may repeat row names, one time per
//! block of seats. Blocks are numbered in file order, see `number.rs`.

mod mistakes;
mod number;
mod read;
mod write;

pub use mistakes::{MISTAKES_LISTED_MAX, Mistake, Mistakes};
pub use write::write;

/// Largest file that is read, in bytes: 100,000 seats as pretix writes them fit if they are not
/// indented.
pub const PLAN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A seating plan, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The file's own name, if it has one.
    pub name: Option<String>,
    /// Of the drawing; positions are in the same unit.
    pub width: f64,
    /// Of the drawing.
    pub height: f64,
    /// In file order; the index is the category's number.
    pub categories: Vec<Category>,
    /// In file order; the index is the section's number.
    pub sections: Vec<Section>,
    /// In file order; the index is the row's number, dense over the plan.
    pub rows: Vec<Row>,
    /// In file order; the index is the `seat_no`.
    pub seats: Vec<Seat>,
    /// Standing areas, in file order.
    pub areas: Vec<Area>,
    /// What was read differently from how it is written, one sentence each.
    pub warnings: Vec<String>,
}

/// What seats are priced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Unique in the plan.
    pub name: String,
    /// CSS hexadecimal, e.g. `#F44336`.
    pub color: String,
    /// How many seats use it; may be 0.
    pub seat_count: u32,
}

/// A zone, or one of the blocks of a zone that has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// First part of its seats' labels, e.g. `GROUND-3`; unique in the plan.
    pub name: String,
    /// The file's name of the zone, e.g. `Ground floor`.
    pub zone_name: String,
}

/// A standing area: a section, of one row without a name, of places that nobody sits on.
#[derive(Debug, Clone, PartialEq)]
pub struct Area {
    /// Index of its section, whose `zone_name` is the area's own.
    pub section_no: u32,
    /// The box around its shape, before it is turned; absolute, from the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// Of the box.
    pub width: f64,
    /// Of the box.
    pub height: f64,
}

/// What a seat is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeatKind {
    /// Anyone.
    #[default]
    Standard,
    /// A place for a wheelchair.
    Accessible,
    /// Beside such a place, for who comes along.
    Companion,
    /// A place of an area, numbered so that it can be counted.
    Standing,
}

impl SeatKind {
    const ALL: [Self; 4] = [
        Self::Standard,
        Self::Accessible,
        Self::Companion,
        Self::Standing,
    ];

    /// As tables and the wire have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Accessible => "ACCESSIBLE",
            Self::Companion => "COMPANION",
            Self::Standing => "STANDING",
        }
    }

    /// The kind of that name.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A row; its name is unique in its section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Index of its section.
    pub section_no: u32,
    /// E.g. `A`.
    pub name: String,
}

/// A seat.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    /// Index of its row.
    pub row_no: u32,
    /// Index of its category.
    pub category_no: u32,
    /// Section, row and number, e.g. `GROUND-3-A-7`; unique in the plan.
    pub label: String,
    /// E.g. `7`.
    pub number: String,
    /// Absolute, from the left.
    pub x: f64,
    /// Absolute, from the top.
    pub y: f64,
    /// The next seat of the row is farther off than a neighbour would be.
    pub gap_after: bool,
    /// The file's own name of the seat, or one that is made of an area's and the place's number; unique in
    /// the plan.
    pub uuid: String,
    /// What it is for.
    pub kind: SeatKind,
}

/// Reads a plan file.
///
/// # Errors
/// [`Mistakes`], each naming zone, row and seat as far as they are known.
pub fn read(bytes: &[u8]) -> Result<Plan, Mistakes> {
    if bytes.len() > PLAN_BYTES_MAX {
        let why = format!(
            "is {} bytes long; at most {PLAN_BYTES_MAX} are read",
            bytes.len()
        );
        return Err(Mistakes::one("plan_json", why));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let json = serde_json::from_slice(bytes)
        .map_err(|error| Mistakes::one("plan_json", format!("is not readable JSON: {error}")))?;
    let mut mistakes = Mistakes::default();
    match read::file(&json, &mut mistakes) {
        Some(file) if mistakes.is_empty() => {
            let plan = number::number(file, &mut mistakes);
            if mistakes.is_empty() {
                Ok(plan)
            } else {
                Err(mistakes)
            }
        }
        _ => Err(mistakes),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
