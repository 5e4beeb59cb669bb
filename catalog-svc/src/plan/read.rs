//! From JSON to zones, rows and seats with every field checked, all mistakes noted.
//!
//! Always holds: walking goes on after a mistake, with a stand-in, so that a file's author sees
//! them together; what comes out is used only if none was noted. Numbers and labels are given in
//! `number`.

use std::collections::HashMap;

use holdfast_types::{limits::SEATS_PER_SHOW_MAX, text::is_unseen};
use serde_json::{Map, Value};

use super::SeatKind;
use super::mistakes::{At, Mistakes, Place, quoted};

type Object = Map<String, Value>;

/// Farthest a position may lie from the origin of what it is part of, and the largest size:
/// a drawing of a whole town in millimetres.
const COORDINATE_MAX: f64 = 1_000_000.0;
/// Categories of a plan; price lists are short.
const CATEGORIES_MAX: usize = 100;
/// Zones of a plan; the largest stadiums have some hundred blocks.
const ZONES_MAX: usize = 1_000;
/// Bytes of the name of a plan, a zone or a category; booking-svc takes up to 128.
const NAME_BYTES_MAX: usize = 120;
/// Bytes of a row's or seat's name: both are in the label, which people type, and of which
/// booking-svc takes up to 128 bytes.
const LABEL_PART_BYTES_MAX: usize = 40;
/// Bytes of a `uuid`; other tools than pretix's write other names than UUIDs.
const UUID_BYTES_MAX: usize = 64;
/// What of an area makes it one that people stand in; and what of a seat says what it is for.
const STANDING: &str = "holdfast_standing";
const KIND: &str = "holdfast_kind";

pub(super) struct File<'a> {
    pub(super) name: Option<String>,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Name and colour.
    pub(super) categories: Vec<(&'a str, &'a str)>,
    pub(super) zones: Vec<Zone<'a>>,
    pub(super) warnings: Vec<String>,
}

pub(super) struct Zone<'a> {
    pub(super) at: At<'a>,
    /// Those with seats.
    pub(super) rows: Vec<Row<'a>>,
    /// Those that people stand in.
    pub(super) areas: Vec<Area<'a>>,
}

pub(super) struct Area<'a> {
    pub(super) at: At<'a>,
    pub(super) category_no: u32,
    pub(super) capacity: u32,
    /// The box around its shape: the left upper corner, absolute, and size.
    pub(super) corner: (f64, f64),
    pub(super) size: (f64, f64),
}

pub(super) struct Row<'a> {
    pub(super) at: At<'a>,
    pub(super) seats: Vec<Seat<'a>>,
}

pub(super) struct Seat<'a> {
    pub(super) at: At<'a>,
    /// Absolute.
    pub(super) position: (f64, f64),
    pub(super) category_no: u32,
    pub(super) uuid: &'a str,
    pub(super) kind: SeatKind,
}

/// The whole file; `None` where going on makes no sense.
pub(super) fn file<'a>(json: &'a Value, mistakes: &mut Mistakes) -> Option<File<'a>> {
    let Some(top) = json.as_object() else {
        mistakes.note(
            Place::File,
            "plan_json",
            format_args!("is not a JSON object"),
        );
        return None;
    };
    let zones = list(top, "zones", Place::File, mistakes);
    if zones.len() > ZONES_MAX {
        let why = format_args!("are {}; at most {ZONES_MAX} are read", zones.len());
        mistakes.note(Place::File, "zones", why);
        return None;
    }
    let seat_count = zones
        .iter()
        .flat_map(rows_of)
        .map(|row| seats_of(row).len())
        .chain(zones.iter().flat_map(areas_of).map(places_of))
        .fold(0, usize::saturating_add);
    if seat_count > SEATS_PER_SHOW_MAX as usize {
        let why = format_args!("have {seat_count} seats; at most {SEATS_PER_SHOW_MAX} are read");
        mistakes.note(Place::File, "zones", why);
        return None;
    }
    let name = top
        .get("name")
        .filter(|name| !is_blank(name))
        .and_then(|_| text(top, "name", Place::File, NAME_BYTES_MAX, mistakes).map(str::to_owned));
    let (width, height) = size(top, mistakes);
    let categories = categories(top, mistakes);
    let mut walk = Walk {
        category_nos: categories
            .iter()
            .zip(0..)
            .map(|((name, _), no)| (*name, no))
            .collect(),
        places_by_uuid: HashMap::new(),
        rows_without_seats: 0,
        warnings: Vec::new(),
        mistakes,
    };
    let zones = zones
        .iter()
        .enumerate()
        .filter_map(|(i, zone)| walk.zone(i, zone))
        .collect();
    let Walk {
        rows_without_seats,
        mut warnings,
        ..
    } = walk;
    if seat_count == 0 {
        mistakes.note(Place::File, "zones", format_args!("have no seats"));
    }
    if rows_without_seats > 0 {
        warnings.push(format!(
            "rows without seats, left out: {rows_without_seats}"
        ));
    }
    Some(File {
        name,
        width,
        height,
        categories,
        zones,
        warnings,
    })
}

/// What the walk over zones, rows and seats carries along.
struct Walk<'a, 'm> {
    category_nos: HashMap<&'a str, u32>,
    places_by_uuid: HashMap<&'a str, Place<'a>>,
    rows_without_seats: usize,
    warnings: Vec<String>,
    mistakes: &'m mut Mistakes,
}

impl<'a> Walk<'a, '_> {
    fn zone(&mut self, index: usize, value: &'a Value) -> Option<Zone<'a>> {
        let unnamed = At { index, name: None };
        let object = object(value, Place::Zone(unnamed), self.mistakes)?;
        let name = text(
            object,
            "name",
            Place::Zone(unnamed),
            NAME_BYTES_MAX,
            self.mistakes,
        );
        let at = At { index, name };
        let place = Place::Zone(at);
        let origin = position(object, place, self.mistakes);
        if object.contains_key("uuid") {
            self.uuid(object, place);
        }
        self.warn_of_other_capacities(value, at);
        let rows = list(object, "rows", place, self.mistakes)
            .iter()
            .enumerate()
            .filter_map(|(index, row)| self.row(at, origin, index, row))
            .collect();
        let areas = areas_of(value)
            .iter()
            .enumerate()
            .filter_map(|(index, area)| self.area(at, origin, index, area))
            .collect();
        Some(Zone { at, rows, areas })
    }

    /// A shape that is a standing area; other shapes are decoration.
    fn area(
        &mut self,
        zone: At<'a>,
        zone_origin: (f64, f64),
        index: usize,
        value: &'a Value,
    ) -> Option<Area<'a>> {
        let shape = value.as_object()?;
        let standing = shape.get(STANDING)?;
        let unnamed = Place::Standing(zone, At { index, name: None });
        let standing = object(standing, unnamed, self.mistakes)?;
        let name = text(standing, "name", unnamed, NAME_BYTES_MAX, self.mistakes);
        let at = At { index, name };
        let place = Place::Standing(zone, at);
        let capacity = standing.get("capacity").and_then(Value::as_u64);
        let capacity = capacity
            .and_then(|capacity| u32::try_from(capacity).ok())
            .filter(|capacity| (1..=SEATS_PER_SHOW_MAX).contains(capacity));
        if capacity.is_none() {
            let why = format_args!("must be a whole number from 1 to {SEATS_PER_SHOW_MAX}");
            self.mistakes.note(place, "capacity", why);
        }
        let category_no = self.category(standing, place);
        let drawn = Place::Area(zone, at);
        let position = add(zone_origin, position(shape, drawn, self.mistakes));
        let (offset, size) = bounds(shape);
        if shape.contains_key("uuid") {
            self.uuid(shape, drawn);
        }
        Some(Area {
            at,
            category_no: category_no.unwrap_or_default(),
            capacity: capacity?,
            corner: add(position, offset),
            size,
        })
    }

    fn category(&mut self, object: &'a Object, place: Place<'a>) -> Option<u32> {
        let category = text(object, "category", place, NAME_BYTES_MAX, self.mistakes)?;
        let known = self.category_nos.get(category).copied();
        if known.is_none() {
            let why = format_args!("{} is none of the file's categories", quoted(category));
            self.mistakes.note(place, "category", why);
        }
        known
    }

    fn kind(&mut self, seat: &Object, place: Place<'a>) -> SeatKind {
        match seat.get(KIND).map(Value::as_str) {
            None | Some(Some("standard")) => SeatKind::Standard,
            Some(Some("accessible")) => SeatKind::Accessible,
            Some(Some("companion")) => SeatKind::Companion,
            Some(_) => {
                let why = format_args!("must be standard, accessible or companion");
                self.mistakes.note(place, KIND, why);
                SeatKind::Standard
            }
        }
    }

    fn row(
        &mut self,
        zone: At<'a>,
        zone_origin: (f64, f64),
        index: usize,
        value: &'a Value,
    ) -> Option<Row<'a>> {
        let unnamed = Place::Row(zone, At { index, name: None });
        let object = object(value, unnamed, self.mistakes)?;
        let seats = list(object, "seats", unnamed, self.mistakes);
        if seats.is_empty() {
            self.rows_without_seats += 1;
            return None;
        }
        let name = text(
            object,
            "row_number",
            unnamed,
            LABEL_PART_BYTES_MAX,
            self.mistakes,
        );
        let at = At { index, name };
        let place = Place::Row(zone, at);
        let origin = add(zone_origin, position(object, place, self.mistakes));
        if object.contains_key("uuid") {
            self.uuid(object, place);
        }
        let seats = seats
            .iter()
            .enumerate()
            .filter_map(|(index, seat)| self.seat(zone, at, origin, index, seat))
            .collect();
        Some(Row { at, seats })
    }

    fn seat(
        &mut self,
        zone: At<'a>,
        row: At<'a>,
        row_origin: (f64, f64),
        index: usize,
        value: &'a Value,
    ) -> Option<Seat<'a>> {
        let unnamed = Place::Seat(zone, row, At { index, name: None });
        let object = object(value, unnamed, self.mistakes)?;
        let name = text(
            object,
            "seat_number",
            unnamed,
            LABEL_PART_BYTES_MAX,
            self.mistakes,
        );
        let at = At { index, name };
        let place = Place::Seat(zone, row, at);
        let position = add(row_origin, position(object, place, self.mistakes));
        let uuid = self.uuid(object, place).unwrap_or_default();
        let category_no = self.category(object, place);
        let kind = self.kind(object, place);
        Some(Seat {
            at,
            kind,
            position,
            category_no: category_no.unwrap_or_default(),
            uuid,
        })
    }

    fn uuid(&mut self, object: &'a Object, place: Place<'a>) -> Option<&'a str> {
        let uuid = text(object, "uuid", place, UUID_BYTES_MAX, self.mistakes)?;
        if let Some(first) = self.places_by_uuid.get(uuid) {
            let why = format_args!("{uuid:?} is the uuid of {} too", first.path());
            self.mistakes.note(place, "uuid", why);
        } else {
            self.places_by_uuid.insert(uuid, place);
        }
        Some(uuid)
    }

    /// Shapes are decoration; one that says in another way than ours how many people fit is, too.
    fn warn_of_other_capacities(&mut self, zone: &Value, at: At<'_>) {
        let other = |area: &&Value| area.get(STANDING).is_none();
        let standing = areas_of(zone).iter().filter(other).filter(|area| {
            area.get("capacity")
                .and_then(Value::as_f64)
                .is_some_and(|capacity| capacity > 0.0)
        });
        let count = standing.count();
        if count > 0 {
            self.warnings.push(format!(
                "zones[{}] {}: areas with a capacity and without `{STANDING}`, left out: {count}",
                at.index,
                quoted(at.name.unwrap_or_default()),
            ));
        }
    }
}

fn rows_of(zone: &Value) -> &[Value] {
    zone.get("rows")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn areas_of(zone: &Value) -> &[Value] {
    zone.get("areas")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// How many people an area says it is for, as far as it can be told.
fn places_of(area: &Value) -> usize {
    let standing = area.get(STANDING).and_then(|said| said.get("capacity"));
    let places = standing.and_then(Value::as_u64).unwrap_or_default();
    usize::try_from(places).unwrap_or(usize::MAX)
}

/// The box around a shape: its left upper corner, relative to its position, and size. Of a shape that
/// isn't known, or broken, the position alone is known: it is drawn by others.
fn bounds(shape: &Object) -> ((f64, f64), (f64, f64)) {
    let number = |of: &str, key: &str| {
        let number = shape.get(of).and_then(|of| of.get(key));
        let number = number.and_then(Value::as_f64).unwrap_or_default();
        number.clamp(0.0, COORDINATE_MAX)
    };
    let around = |rx: f64, ry: f64| ((-rx, -ry), (2.0 * rx, 2.0 * ry));
    match shape.get("shape").and_then(Value::as_str) {
        Some("rectangle") => {
            let size = (number("rectangle", "width"), number("rectangle", "height"));
            ((0.0, 0.0), size)
        }
        Some("circle") => around(number("circle", "radius"), number("circle", "radius")),
        Some("ellipse") => {
            let radius = |key| shape.get("ellipse").map_or(0.0, |of| coordinate(of, key));
            around(radius("rx").abs(), radius("ry").abs())
        }
        Some("polygon") => {
            let points = shape.get("polygon").and_then(|of| of.get("points"));
            let points = points
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice);
            let side = |key| {
                let of = || points.iter().map(|point| coordinate(point, key));
                let (min, max) = (of().reduce(f64::min), of().reduce(f64::max));
                (min.unwrap_or_default(), max.unwrap_or_default())
            };
            let ((left, right), (top, bottom)) = (side("x"), side("y"));
            ((left, top), (right - left, bottom - top))
        }
        _ => ((0.0, 0.0), (0.0, 0.0)),
    }
}

fn coordinate(of: &Value, key: &str) -> f64 {
    let number = of.get(key).and_then(Value::as_f64).unwrap_or_default();
    number.clamp(-COORDINATE_MAX, COORDINATE_MAX)
}

fn seats_of(row: &Value) -> &[Value] {
    row.get("seats")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn size(top: &Object, mistakes: &mut Mistakes) -> (f64, f64) {
    let Some(size) = top.get("size").and_then(Value::as_object) else {
        mistakes.note(
            Place::File,
            "size",
            format_args!("must be an object with width and height"),
        );
        return (0.0, 0.0);
    };
    let mut side = |key: &str| {
        let length = size.get(key).and_then(Value::as_f64).unwrap_or_default();
        if !(length > 0.0 && length <= COORDINATE_MAX) {
            let why = format_args!("must be a number over 0, at most {COORDINATE_MAX}");
            mistakes.note(Place::File, &format!("size.{key}"), why);
        }
        length
    };
    (side("width"), side("height"))
}

fn categories<'a>(top: &'a Object, mistakes: &mut Mistakes) -> Vec<(&'a str, &'a str)> {
    let listed = list(top, "categories", Place::File, mistakes);
    if listed.len() > CATEGORIES_MAX {
        let why = format_args!("are {}; at most {CATEGORIES_MAX} are read", listed.len());
        mistakes.note(Place::File, "categories", why);
        return Vec::new();
    }
    let mut categories: Vec<(&str, &str)> = Vec::with_capacity(listed.len());
    for (index, value) in listed.iter().enumerate() {
        let unnamed = Place::Category(At { index, name: None });
        let Some(object) = object(value, unnamed, mistakes) else {
            continue;
        };
        let Some(name) = text(object, "name", unnamed, NAME_BYTES_MAX, mistakes) else {
            continue;
        };
        let place = Place::Category(At {
            index,
            name: Some(name),
        });
        if categories.iter().any(|(other, _)| *other == name) {
            mistakes.note(
                place,
                "name",
                format_args!("is the name of an earlier category too"),
            );
            continue;
        }
        let color = object
            .get("color")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !is_hexadecimal_color(color) {
            mistakes.note(place, "color", format_args!("must be like #F44336"));
        }
        categories.push((name, color));
    }
    categories
}

fn is_hexadecimal_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn add(origin: (f64, f64), offset: (f64, f64)) -> (f64, f64) {
    (origin.0 + offset.0, origin.1 + offset.1)
}

fn position(object: &Object, place: Place<'_>, mistakes: &mut Mistakes) -> (f64, f64) {
    let Some(position) = object.get("position").and_then(Value::as_object) else {
        mistakes.note(
            place,
            "position",
            format_args!("must be an object with x and y"),
        );
        return (0.0, 0.0);
    };
    let mut coordinate = |key: &str| match position.get(key).and_then(Value::as_f64) {
        Some(value) if value.abs() <= COORDINATE_MAX => value,
        _ => {
            let why = format_args!("must be a number from -{COORDINATE_MAX} to {COORDINATE_MAX}");
            mistakes.note(place, &format!("position.{key}"), why);
            0.0
        }
    };
    (coordinate("x"), coordinate("y"))
}

fn object<'a>(value: &'a Value, place: Place<'_>, mistakes: &mut Mistakes) -> Option<&'a Object> {
    let object = value.as_object();
    if object.is_none() {
        mistakes.note(place, "value", format_args!("is not a JSON object"));
    }
    object
}

fn list<'a>(
    object: &'a Object,
    key: &str,
    place: Place<'_>,
    mistakes: &mut Mistakes,
) -> &'a [Value] {
    let list = object.get(key).and_then(Value::as_array);
    if list.is_none() {
        mistakes.note(place, key, format_args!("must be a list"));
    }
    list.map_or(&[], Vec::as_slice)
}

/// Text that people can read: trimmed, not empty, bounded, without control characters.
fn text<'a>(
    object: &'a Object,
    key: &str,
    place: Place<'_>,
    bytes_max: usize,
    mistakes: &mut Mistakes,
) -> Option<&'a str> {
    let text = match object.get(key) {
        None | Some(Value::Null) => {
            mistakes.note(place, key, format_args!("is missing"));
            return None;
        }
        Some(Value::String(text)) => text.trim(),
        Some(_) => {
            mistakes.note(place, key, format_args!("must be text"));
            return None;
        }
    };
    if text.is_empty() {
        mistakes.note(place, key, format_args!("is empty"));
    } else if text.len() > bytes_max {
        mistakes.note(place, key, format_args!("is longer than {bytes_max} bytes"));
    } else if text.chars().any(|c| c.is_control() || is_unseen(c)) {
        let why = "has a control character, or one that isn't seen";
        mistakes.note(place, key, format_args!("{why}"));
    } else {
        return Some(text);
    }
    None
}
