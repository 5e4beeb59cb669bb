//! From a numbered plan to a file of the pretix format, for plans that came from no file.
//!
//! Always holds: reading what is written gives the same sections, rows, seats and categories, with the
//! same labels, numbers and positions. A run of sections that were blocks of one zone is one zone again.
//! Positions are absolute, so zones and rows are at the origin.

use serde_json::{Value, json};

use super::{Area, Plan, Row, Seat, SeatKind, Section};

/// The file.
pub fn write(plan: &Plan) -> Vec<u8> {
    let mut seats = plan.seats.iter().peekable();
    let mut rows_of_sections: Vec<Vec<Value>> = vec![Vec::new(); plan.sections.len()];
    for (row_no, row) in (0..).zip(&plan.rows) {
        let mut of_row = Vec::new();
        while let Some(seat) = seats.next_if(|seat| seat.row_no == row_no) {
            of_row.push(seat_value(plan, seat));
        }
        if let Some(rows) = rows_of_sections.get_mut(row.section_no as usize) {
            rows.push(row_value(row, of_row));
        }
    }
    let mut zones: Vec<(ZoneAt<'_>, Vec<Value>, Vec<Value>)> = Vec::new();
    for ((section_no, section), rows) in (0..).zip(&plan.sections).zip(rows_of_sections) {
        let at = ZoneAt::of(&section.zone_name, &section.name);
        let mut areas = plan.areas.iter();
        if let Some(area) = areas.find(|area| area.section_no == section_no) {
            // A zone without rows takes no name from others.
            zones.push((at, Vec::new(), vec![area_value(plan, area, section)]));
            continue;
        }
        match zones.last_mut() {
            Some((zone, of_zone, areas)) if areas.is_empty() && zone.goes_on_with(&at) => {
                of_zone.extend(rows);
                *zone = at;
            }
            _ => zones.push((at, rows, Vec::new())),
        }
    }
    let zones: Vec<Value> = zones
        .into_iter()
        .map(|(zone, rows, areas)| {
            json!({"name": zone.name, "position": origin(), "rows": rows, "areas": areas})
        })
        .collect();
    let categories: Vec<Value> = plan
        .categories
        .iter()
        .map(|category| json!({"name": category.name, "color": category.color}))
        .collect();
    json!({
        "name": plan.name.clone().unwrap_or_default(),
        "size": {"width": plan.width, "height": plan.height},
        "categories": categories,
        "zones": zones,
    })
    .to_string()
    .into_bytes()
}

/// Which block of which zone a section is.
struct ZoneAt<'a> {
    name: &'a str,
    /// What the section's name begins with, and the number behind it; none of a zone's only block.
    block: Option<(&'a str, u32)>,
}

impl<'a> ZoneAt<'a> {
    fn of(zone_name: &'a str, section: &'a str) -> Self {
        let block = section
            .rsplit_once('-')
            .and_then(|(short, number)| Some((short, number.parse().ok()?)));
        Self {
            name: zone_name,
            block,
        }
    }

    fn goes_on_with(&self, next: &Self) -> bool {
        let is_next = match (self.block, next.block) {
            (Some((short, number)), Some((next_short, next_number))) => {
                short == next_short && next_number == number + 1
            }
            _ => false,
        };
        is_next && self.name == next.name
    }
}

fn row_value(row: &Row, seats: Vec<Value>) -> Value {
    json!({
        "row_number": row.name,
        "row_number_position": "both",
        "position": origin(),
        "seats": seats,
    })
}

fn area_value(plan: &Plan, area: &Area, section: &Section) -> Value {
    let row_no = plan
        .rows
        .iter()
        .position(|row| row.section_no == area.section_no);
    let places = || {
        let seats = plan.seats.iter();
        seats.filter(|seat| Some(seat.row_no as usize) == row_no)
    };
    let category = places().next();
    let category = category.and_then(|place| plan.categories.get(place.category_no as usize));
    json!({
        "shape": "rectangle",
        "position": {"x": area.x, "y": area.y},
        "rectangle": {"width": area.width, "height": area.height},
        "holdfast_standing": {
            "name": section.zone_name,
            "capacity": places().count(),
            "category": category.map(|category| category.name.as_str()),
        },
    })
}

fn seat_value(plan: &Plan, seat: &Seat) -> Value {
    let category = plan.categories.get(seat.category_no as usize);
    let mut value = json!({
        "seat_number": seat.number,
        "seat_guid": seat.uuid,
        "uuid": seat.uuid,
        "position": {"x": seat.x, "y": seat.y},
        "category": category.map(|category| category.name.as_str()),
    });
    let kind = match seat.kind {
        SeatKind::Accessible => "accessible",
        SeatKind::Companion => "companion",
        SeatKind::Standard | SeatKind::Standing => return value,
    };
    value["holdfast_kind"] = kind.into();
    value
}

fn origin() -> Value {
    json!({"x": 0, "y": 0})
}
