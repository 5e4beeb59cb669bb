//! What is wrong with a plan file, and where.
//!
//! Always holds: at most [`MISTAKES_LISTED_MAX`] are kept, all are counted. A place names zone,
//! row and seat the way the file does, and by index, because names repeat.

use std::fmt;

/// Mistakes that are listed; more are only counted, so that an answer stays small.
pub const MISTAKES_LISTED_MAX: usize = 20;

/// Characters of a name of the file that a place repeats.
const NAME_CHARS_SHOWN_MAX: usize = 40;

/// What a place is called where not a key of it is wrong but itself.
const WHOLE: [&str; 2] = ["value", "plan_json"];

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where in the file, as a JSON pointer (RFC 6901), e.g. `/zones/0/rows/12/seats/2/uuid`.
    pub pointer: String,
    /// The same for people, e.g. `zones[0] "Ground floor" row "A" seat "3" uuid`.
    pub field: String,
    /// What, as the end of a sentence that starts with the field.
    pub why: String,
}

/// Every mistake found in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes {
    listed: Vec<Mistake>,
    count: usize,
}

impl Mistakes {
    /// A mistake of the whole file.
    pub(super) fn one(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            listed: vec![Mistake {
                pointer: String::new(),
                field: field.into(),
                why: why.into(),
            }],
            count: 1,
        }
    }

    /// Notes a mistake in `key` of what is at `place`.
    pub(super) fn note(&mut self, place: Place<'_>, key: &str, why: fmt::Arguments<'_>) {
        self.count += 1;
        if self.listed.len() < MISTAKES_LISTED_MAX {
            let why = match place {
                Place::Row(..) | Place::Seat(..) => format!("{why} (in {})", place.path()),
                _ => why.to_string(),
            };
            self.listed.push(Mistake {
                pointer: place.pointer(key),
                field: place.field(key),
                why,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first ones, in file order.
    pub fn listed(&self) -> &[Mistake] {
        &self.listed
    }

    /// How many there are beyond those listed.
    pub fn unlisted_count(&self) -> usize {
        self.count - self.listed.len()
    }
}

/// An element of a list in the file: its index, and its name where it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) index: usize,
    pub(super) name: Option<&'a str>,
}

/// Where in the file something is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    File,
    Category(At<'a>),
    Zone(At<'a>),
    Row(At<'a>, At<'a>),
    Seat(At<'a>, At<'a>, At<'a>),
    /// A shape of a zone.
    Area(At<'a>, At<'a>),
    /// What a shape says of being a standing area.
    Standing(At<'a>, At<'a>),
}

impl Place<'_> {
    /// For people, e.g. `zones[0] "Ground floor" row "A" seat "3" uuid`.
    fn field(self, key: &str) -> String {
        match self {
            Self::File => key.to_owned(),
            Self::Category(category) => format!("{} {key}", listed("categories", category)),
            Self::Zone(zone) => format!("{} {key}", listed("zones", zone)),
            Self::Row(zone, row) => {
                format!("{} {} {key}", listed("zones", zone), named("row", row))
            }
            Self::Seat(zone, row, seat) => format!(
                "{} {} {} {key}",
                listed("zones", zone),
                named("row", row),
                named("seat", seat)
            ),
            Self::Area(zone, area) | Self::Standing(zone, area) => {
                format!("{} {} {key}", listed("zones", zone), named("area", area))
            }
        }
    }

    /// Of `key`, which may be several with dots between; of the place itself where it is called so.
    fn pointer(self, key: &str) -> String {
        let mut pointer = match self {
            Self::File => String::new(),
            place => place.path().replace(['.', '['], "/").replace(']', ""),
        };
        if !pointer.is_empty() {
            pointer.insert(0, '/');
        }
        for part in key.split('.').filter(|part| !WHOLE.contains(part)) {
            pointer.push('/');
            pointer.push_str(part);
        }
        pointer
    }

    /// By index only, e.g. `zones[0].rows[12].seats[2]`.
    pub(super) fn path(self) -> String {
        match self {
            Self::File => "the file".to_owned(),
            Self::Category(category) => format!("categories[{}]", category.index),
            Self::Zone(zone) => format!("zones[{}]", zone.index),
            Self::Row(zone, row) => format!("zones[{}].rows[{}]", zone.index, row.index),
            Self::Seat(zone, row, seat) => {
                format!(
                    "zones[{}].rows[{}].seats[{}]",
                    zone.index, row.index, seat.index
                )
            }
            Self::Area(zone, area) => format!("zones[{}].areas[{}]", zone.index, area.index),
            Self::Standing(zone, area) => {
                format!(
                    "zones[{}].areas[{}].holdfast_standing",
                    zone.index, area.index
                )
            }
        }
    }
}

fn listed(list: &str, at: At<'_>) -> String {
    match at.name {
        Some(name) => format!("{list}[{}] {}", at.index, quoted(name)),
        None => format!("{list}[{}]", at.index),
    }
}

fn named(what: &str, at: At<'_>) -> String {
    match at.name {
        Some(name) => format!("{what} {}", quoted(name)),
        None => format!("{what}s[{}]", at.index),
    }
}

/// A name of the file in quotes, escaped, and cut when it is long.
pub(super) fn quoted(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS_SHOWN_MAX) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}
