//! Gives blocks, rows and seats their numbers, and seats their labels.
//!
//! A zone's short name is the first word of its name in upper-case ASCII letters and digits, with
//! a number behind it where an earlier zone took it. A new block begins when a row name of the
//! zone repeats one of the block's. A section is a block: `GROUND-3`, or `BALCONY` where the zone
//! has one block only. A label is section, row and number: `GROUND-3-A-7`. Everything is in file
//! order, so the same file gives the same labels.

use std::collections::{HashMap, HashSet};

use super::mistakes::{Mistakes, Place, quoted};
use super::read::{Area, File, Row, Seat, Zone};
use super::{Category, Plan, SeatKind, Section};

/// Characters of a zone's short name.
const SHORT_NAME_CHARS_MAX: usize = 16;
/// Seats of a row that are this many times farther apart than its seats usually are have an aisle
/// between them. Curved rows vary by a few per cent; the narrowest aisle is one seat wide (2).
const AISLE_SPACING_FACTOR: f64 = 1.5;

pub(super) fn number(file: File<'_>, mistakes: &mut Mistakes) -> Plan {
    let File {
        name,
        width,
        height,
        categories,
        zones,
        warnings,
    } = file;
    let categories = categories
        .into_iter()
        .map(|(name, color)| Category {
            name: name.to_owned(),
            color: color.to_owned(),
            seat_count: 0,
        })
        .collect();
    let mut plan = Plan {
        name,
        width,
        height,
        categories,
        sections: Vec::new(),
        rows: Vec::new(),
        seats: Vec::new(),
        areas: Vec::new(),
        warnings,
    };
    let mut short_names = ShortNames::default();
    let mut places_by_label = HashMap::new();
    let uuids = uuids(&zones);
    for zone in &zones {
        if !zone.rows.is_empty() {
            number_zone(
                &mut plan,
                zone,
                &mut short_names,
                &mut places_by_label,
                mistakes,
            );
        }
        for area in &zone.areas {
            let section = short_names.of_area(zone, area, &mut plan.warnings);
            number_area(&mut plan, section, zone, area, &uuids, mistakes);
        }
    }
    warn_of_seats_outside(&mut plan);
    plan
}

/// What seats are called in the file, where areas make up names for their places.
fn uuids<'a>(zones: &[Zone<'a>]) -> HashSet<&'a str> {
    if zones.iter().all(|zone| zone.areas.is_empty()) {
        return HashSet::new();
    }
    let rows = zones.iter().flat_map(|zone| &zone.rows);
    let seats = rows.flat_map(|row| &row.seats);
    seats.map(|seat| seat.uuid).collect()
}

/// Adds an area's places, in a row of a section of their own. Their labels have one `-`, those of seats
/// two or more.
fn number_area<'a>(
    plan: &mut Plan,
    section: String,
    zone: &Zone<'a>,
    area: &Area<'a>,
    uuids: &HashSet<&str>,
    mistakes: &mut Mistakes,
) {
    let (row_no, section_no) = (plan.rows.len() as u32, plan.sections.len() as u32);
    let (corner, size) = (area.corner, area.size);
    for number in 1..=area.capacity {
        let uuid = format!("{section}/{number}");
        if uuids.contains(uuid.as_str()) {
            let why = format_args!("has a place that would be called {uuid:?}, as a seat is");
            mistakes.note(Place::Standing(zone.at, area.at), "name", why);
        }
        plan.seats.push(super::Seat {
            row_no,
            category_no: area.category_no,
            label: format!("{section}-{number}"),
            number: number.to_string(),
            x: corner.0 + size.0 / 2.0,
            y: corner.1 + size.1 / 2.0,
            gap_after: false,
            uuid,
            kind: SeatKind::Standing,
        });
    }
    if let Some(category) = plan.categories.get_mut(area.category_no as usize) {
        category.seat_count += area.capacity;
    }
    plan.rows.push(super::Row {
        section_no,
        name: String::new(),
    });
    plan.areas.push(super::Area {
        section_no,
        x: corner.0,
        y: corner.1,
        width: size.0,
        height: size.1,
    });
    plan.sections.push(Section {
        name: section,
        zone_name: area.at.name.unwrap_or_default().to_owned(),
    });
}

fn number_zone<'a>(
    plan: &mut Plan,
    zone: &Zone<'a>,
    short_names: &mut ShortNames,
    places_by_label: &mut HashMap<String, Place<'a>>,
    mistakes: &mut Mistakes,
) {
    let short_name = short_names.of_zone(zone, &mut plan.warnings);
    let blocks = blocks(&zone.rows);
    if blocks.len() > 1 {
        plan.warnings.push(format!(
            "zones[{}] {}: row names repeat, so its rows were read as {} blocks, numbered in \
                 file order from {short_name}-1 to {short_name}-{}",
            zone.at.index,
            quoted(zone.at.name.unwrap_or_default()),
            blocks.len(),
            blocks.len(),
        ));
    }
    for (block, rows) in (1..).zip(&blocks) {
        let section = match blocks.len() {
            1 => short_name.clone(),
            _ => format!("{short_name}-{block}"),
        };
        for row in *rows {
            number_row(plan, &section, zone, row, places_by_label, mistakes);
        }
        plan.sections.push(Section {
            name: section,
            zone_name: zone.at.name.unwrap_or_default().to_owned(),
        });
    }
}

/// Adds a row of the section that is about to be added.
fn number_row<'a>(
    plan: &mut Plan,
    section: &str,
    zone: &Zone<'a>,
    row: &Row<'a>,
    places_by_label: &mut HashMap<String, Place<'a>>,
    mistakes: &mut Mistakes,
) {
    let row_no = plan.rows.len() as u32;
    let row_name = row.at.name.unwrap_or_default();
    for (seat, gap_after) in row.seats.iter().zip(gaps(&row.seats)) {
        let number = seat.at.name.unwrap_or_default();
        let label = format!("{section}-{}-{}", label_part(row_name), label_part(number));
        let place = Place::Seat(zone.at, row.at, seat.at);
        if let Some(first) = places_by_label.get(&label) {
            let why = format_args!("gives the label {label}, which {} has too", first.path());
            mistakes.note(place, "seat_number", why);
        } else {
            places_by_label.insert(label.clone(), place);
        }
        if let Some(category) = plan.categories.get_mut(seat.category_no as usize) {
            category.seat_count += 1;
        }
        plan.seats.push(super::Seat {
            row_no,
            category_no: seat.category_no,
            label,
            number: number.to_owned(),
            x: seat.position.0,
            y: seat.position.1,
            gap_after,
            uuid: seat.uuid.to_owned(),
            kind: seat.kind,
        });
    }
    let section_no = plan.sections.len() as u32;
    plan.rows.push(super::Row {
        section_no,
        name: row_name.to_owned(),
    });
}

/// Rows in runs that repeat no name.
fn blocks<'r, 'a>(rows: &'r [Row<'a>]) -> Vec<&'r [Row<'a>]> {
    let mut blocks = Vec::new();
    let mut start = 0;
    let mut names = HashSet::new();
    for (index, row) in rows.iter().enumerate() {
        if !names.insert(row.at.name) {
            blocks.push(&rows[start..index]);
            start = index;
            names.clear();
            names.insert(row.at.name);
        }
    }
    blocks.push(&rows[start..]);
    blocks
}

/// The short names of zones and areas given so far.
#[derive(Default)]
struct ShortNames {
    taken: HashSet<String>,
    /// By a name that is taken, the number to try next. Numbers are tried once: a plan may name
    /// all its zones alike.
    next: HashMap<String, u32>,
}

impl ShortNames {
    fn of_zone(&mut self, zone: &Zone<'_>, warnings: &mut Vec<String>) -> String {
        let name = zone.at.name.unwrap_or_default();
        let at = format!("zones[{}] {}: its seats", zone.at.index, quoted(name));
        self.of(name, &at, warnings)
    }

    fn of_area(&mut self, zone: &Zone<'_>, area: &Area<'_>, warnings: &mut Vec<String>) -> String {
        let name = area.at.name.unwrap_or_default();
        let (zone, area) = (zone.at.index, area.at.index);
        let at = format!("zones[{zone}].areas[{area}] {}: its places", quoted(name));
        self.of(name, &at, warnings)
    }

    /// `at` is where it is and what is called so, for a warning.
    fn of(&mut self, name: &str, at: &str, warnings: &mut Vec<String>) -> String {
        let word = name.split_whitespace().next().unwrap_or_default();
        let slug: String = word
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_uppercase())
            .take(SHORT_NAME_CHARS_MAX)
            .collect();
        let slug = if slug.is_empty() {
            "ZONE".to_owned()
        } else {
            slug
        };
        if self.taken.insert(slug.clone()) {
            return slug;
        }
        let next = self.next.entry(slug.clone()).or_insert(2);
        // Ends: every zone took one name, so one of the first `taken + 1` numbers is free.
        let free = loop {
            let numbered = format!("{slug}{next}");
            *next += 1;
            if self.taken.insert(numbered.clone()) {
                break numbered;
            }
        };
        warnings.push(format!(
            "{at} are labelled {free}, because {slug} is another zone's"
        ));
        free
    }
}

/// A name as a part of a label: what isn't a letter or digit becomes `_`, so that `-` separates.
fn label_part(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect()
}

/// For each seat of a row, whether an aisle follows it.
fn gaps(seats: &[Seat<'_>]) -> Vec<bool> {
    let spacings: Vec<f64> = seats
        .windows(2)
        .map(|pair| {
            let (a, b) = (pair[0].position, pair[1].position);
            (b.0 - a.0).hypot(b.1 - a.1)
        })
        .collect();
    let mut sorted = spacings.clone();
    sorted.sort_by(f64::total_cmp);
    // The lower median, so that in a row of three an aisle can't make itself usual.
    let usual = sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default();
    let is_aisle = |spacing: &f64| usual > 0.0 && *spacing > usual * AISLE_SPACING_FACTOR;
    let mut gaps: Vec<bool> = spacings.iter().map(is_aisle).collect();
    gaps.push(false);
    gaps.truncate(seats.len());
    gaps
}

fn warn_of_seats_outside(plan: &mut Plan) {
    let (width, height) = (plan.width, plan.height);
    let is_inside =
        |seat: &super::Seat| (0.0..=width).contains(&seat.x) && (0.0..=height).contains(&seat.y);
    let sat_on = |seat: &&super::Seat| seat.kind != SeatKind::Standing;
    let seats = plan.seats.iter().filter(sat_on);
    let outside = seats.filter(|seat| !is_inside(seat)).count();
    if outside > 0 {
        plan.warnings.push(format!(
            "seats outside the plan's {width} × {height}: {outside}"
        ));
    }
}
