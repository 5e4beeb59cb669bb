//! What the importer makes of a real plan, and what it refuses.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;

pub(super) const STADIUM: &[u8] = include_bytes!("../../../data/seating/stadium-738.json");

fn stadium() -> Value {
    serde_json::from_slice(STADIUM).expect("the file is JSON")
}

/// A file with one zone of two rows, `A` with three seats and an aisle after the second, `B` with
/// one.
pub(super) fn small() -> Value {
    let seat = |number: &str, uuid: &str, x: f64| json!({"seat_number": number, "uuid": uuid, "position": {"x": x, "y": 0.5}, "category": "Stalls"});
    json!({
        "name": "Small hall",
        "size": {"width": 200, "height": 100},
        "categories": [{"name": "Stalls", "color": "#F44336"}, {"name": "Box", "color": "#fff"}],
        "zones": [{
            "name": "Main hall",
            "position": {"x": 100, "y": 10},
            "rows": [
                {"row_number": "A", "position": {"x": 1, "y": 2},
                 "seats": [seat("1", "u1", 0.0), seat("2", "u2", 10.0), seat("3", "u3", 40.0)]},
                {"row_number": "B", "position": {"x": 1, "y": 3}, "seats": [seat("1", "u4", 0.0)]},
            ],
        }],
    })
}

pub(super) fn read_value(value: &Value) -> Result<Plan, Mistakes> {
    read(&serde_json::to_vec(value).expect("serialises"))
}

/// The small plan with the value at `pointer` replaced.
fn small_with(pointer: &str, value: Value) -> Value {
    let mut file = small();
    *file.pointer_mut(pointer).expect("the pointer is right") = value;
    file
}

fn mistakes_of(file: &Value) -> Vec<(String, String)> {
    let mistakes = read_value(file).expect_err("the file is refused");
    assert_eq!(mistakes.unlisted_count(), 0);
    mistakes
        .listed()
        .iter()
        .map(|m| (m.field.clone(), m.why.clone()))
        .collect()
}

#[track_caller]
fn assert_refused(file: &Value, field: &str, why: &str) {
    let mistakes = mistakes_of(file);
    let [(found_field, found_why)] = &mistakes[..] else {
        panic!("not one: {mistakes:?}")
    };
    assert_eq!(found_field, field);
    assert!(found_why.contains(why), "{found_why}");
}

#[test]
fn a_real_stadium_has_738_seats_in_four_used_categories() {
    let plan = read(STADIUM).expect("the file is good");
    assert_eq!(plan.seats.len(), 738);
    assert_eq!(plan.rows.len(), 90);
    let counts: Vec<(&str, u32)> = plan
        .categories
        .iter()
        .map(|c| (c.name.as_str(), c.seat_count))
        .collect();
    let expected = [
        ("Category I", 369),
        ("Category II", 168),
        ("Category III", 0),
        ("Category IV", 84),
        ("Category V", 117),
    ];
    assert_eq!(counts, expected);
    assert_eq!((plan.width, plan.height), (2000.0, 2000.0));
    assert_eq!(plan.name.as_deref(), Some("Plan"));
}

#[test]
fn repeated_blocks_of_a_real_stadium_are_numbered_in_file_order_with_a_warning() {
    let plan = read(STADIUM).expect("the file is good");
    let sections: Vec<&str> = plan.sections.iter().map(|s| s.name.as_str()).collect();
    let expected = [
        "GROUND-1", "GROUND-2", "GROUND-3", "GROUND-4", "GROUND-5", "GROUND-6", "GROUND-7",
        "GROUND-8", "FIRST-1", "FIRST-2",
    ];
    assert_eq!(sections, expected);
    assert_eq!(plan.sections[8].zone_name, "First Floor");
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    assert!(
        plan.warnings[0].contains("\"Ground floor\""),
        "{}",
        plan.warnings[0]
    );
    assert!(
        plan.warnings[0].contains("8 blocks"),
        "{}",
        plan.warnings[0]
    );
    assert!(
        plan.warnings[0].contains("GROUND-1 to GROUND-8"),
        "{}",
        plan.warnings[0]
    );

    let labels: HashSet<&str> = plan.seats.iter().map(|s| s.label.as_str()).collect();
    assert_eq!(labels.len(), 738);
    assert!(labels.contains("GROUND-3-A-7"));
    assert_eq!(plan.seats[0].label, "GROUND-1-A-1");
    assert_eq!(plan.seats[737].label, "FIRST-2-G-7");
}

#[test]
fn positions_of_a_real_stadium_are_added_up_and_distinct() {
    let plan = read(STADIUM).expect("the file is good");
    // Row 7 of the file is at (1543.66, 525.70), its seat 7 at (103.28, 108.79) from there.
    let seat = plan
        .seats
        .iter()
        .find(|seat| seat.label == "GROUND-2-A-7")
        .expect("is there");
    assert!(
        (seat.x - (1543.663081469631 + 103.27526985731966)).abs() < 1e-9,
        "{}",
        seat.x
    );
    assert!(
        (seat.y - (525.7046011377487 + 108.78519492972191)).abs() < 1e-9,
        "{}",
        seat.y
    );
    let places: HashSet<(u64, u64)> = plan
        .seats
        .iter()
        .map(|seat| (seat.x.to_bits(), seat.y.to_bits()))
        .collect();
    assert_eq!(places.len(), 738);
    assert!(
        plan.seats.iter().all(|seat| !seat.gap_after),
        "its curved rows have no aisles"
    );
}

#[test]
fn a_zone_with_one_block_has_no_block_number_and_rows_and_seats_are_dense() {
    let plan = read_value(&small()).expect("the file is good");
    let seats: Vec<(&str, u32, f64, f64, bool)> = plan
        .seats
        .iter()
        .map(|s| (s.label.as_str(), s.row_no, s.x, s.y, s.gap_after))
        .collect();
    let expected = [
        ("MAIN-A-1", 0, 101.0, 12.5, false),
        ("MAIN-A-2", 0, 111.0, 12.5, true),
        ("MAIN-A-3", 0, 141.0, 12.5, false),
        ("MAIN-B-1", 1, 101.0, 13.5, false),
    ];
    assert_eq!(seats, expected);
    assert_eq!(plan.warnings, Vec::<String>::new());
    assert_eq!(plan.categories[1].seat_count, 0);
}

#[test]
fn zones_with_one_short_name_are_told_apart_with_a_warning() {
    let mut file = small();
    for (number, name) in [(1, "Main stage"), (2, "Main-2"), (3, "Оркестр")] {
        let mut zone = small()["zones"][0].clone();
        zone["name"] = json!(name);
        zone["rows"] = json!([zone["rows"][1].clone()]);
        zone["rows"][0]["seats"][0]["uuid"] = json!(format!("other-{number}"));
        file["zones"].as_array_mut().expect("a list").push(zone);
    }
    let plan = read_value(&file).expect("the file is good");
    let sections: Vec<&str> = plan.sections.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(sections, ["MAIN", "MAIN2", "MAIN22", "ZONE"]);
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
}

#[test]
fn standing_areas_with_a_capacity_are_left_out_with_a_warning() {
    let mut file = small();
    file["zones"][0]["areas"] =
        json!([{"shape": "rectangle"}, {"shape": "circle", "capacity": 300}]);
    let plan = read_value(&file).expect("the file is good");
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    assert!(
        plan.warnings[0].contains("areas with a capacity"),
        "{}",
        plan.warnings[0]
    );
}

#[test]
fn unknown_keys_and_a_byte_order_mark_are_tolerated() {
    let mut file = small();
    file["version"] = json!(3);
    file["zones"][0]["rows"][0]["seats"][0]["start_at"] = json!({"any": ["thing"]});
    let mut bytes = b"\xEF\xBB\xBF".to_vec();
    bytes.extend(serde_json::to_vec(&file).expect("serialises"));
    assert_eq!(read(&bytes), read_value(&small()));
}

#[test]
fn a_file_without_a_name_of_its_own_is_fine() {
    for name in [json!(""), json!(null)] {
        assert_eq!(
            read_value(&small_with("/name", name)).expect("good").name,
            None
        );
    }
}

#[test]
fn rows_without_seats_are_left_out_with_a_warning() {
    let plan = read_value(&small_with("/zones/0/rows/1/seats", json!([]))).expect("good");
    assert_eq!((plan.rows.len(), plan.seats.len()), (1, 3));
    assert_eq!(plan.warnings, ["rows without seats, left out: 1"]);
}

#[test]
fn a_repeated_uuid_is_refused_where_it_is_repeated() {
    let file = small_with("/zones/0/rows/1/seats/0/uuid", json!("u2"));
    let field = r#"zones[0] "Main hall" row "B" seat "1" uuid"#;
    assert_refused(&file, field, "is the uuid of zones[0].rows[0].seats[1] too");
    assert_refused(&file, field, "(in zones[0].rows[1].seats[0])");
    let mut file = small();
    file["zones"][0]["rows"][1]["uuid"] = json!("u3");
    let field = r#"zones[0] "Main hall" row "B" uuid"#;
    assert_refused(&file, field, "is the uuid of zones[0].rows[0].seats[2] too");
}

#[test]
fn missing_and_empty_names_are_refused_where_they_are() {
    let blank = json!("  ");
    assert_refused(
        &small_with("/zones/0/name", blank.clone()),
        "zones[0] name",
        "is empty",
    );
    let field = r#"zones[0] "Main hall" rows[0] row_number"#;
    assert_refused(
        &small_with("/zones/0/rows/0/row_number", blank.clone()),
        field,
        "is empty",
    );
    let field = r#"zones[0] "Main hall" row "A" seats[2] seat_number"#;
    let pointer = "/zones/0/rows/0/seats/2/seat_number";
    assert_refused(&small_with(pointer, blank), field, "is empty");
    assert_refused(&small_with(pointer, json!(null)), field, "is missing");
    assert_refused(&small_with(pointer, json!(3)), field, "must be text");
    assert_refused(
        &small_with(pointer, json!("3\u{0}")),
        field,
        "control character",
    );
    assert_refused(
        &small_with(pointer, json!("é".repeat(21))),
        field,
        "longer than 40",
    );
}

#[test]
fn an_unknown_category_is_refused() {
    let field = r#"zones[0] "Main hall" row "A" seat "1" category"#;
    let pointer = "/zones/0/rows/0/seats/0/category";
    assert_refused(
        &small_with(pointer, json!("Balcony")),
        field,
        r#""Balcony" is none of"#,
    );
    assert_refused(&small_with(pointer, json!("")), field, "is empty");
}

#[test]
fn a_repeated_seat_number_in_a_row_is_refused() {
    let file = small_with("/zones/0/rows/0/seats/1/seat_number", json!("1"));
    let field = r#"zones[0] "Main hall" row "A" seat "1" seat_number"#;
    assert_refused(
        &file,
        field,
        "label MAIN-A-1, which zones[0].rows[0].seats[0] has too",
    );
}

#[test]
fn names_that_differ_only_in_what_labels_leave_out_are_refused() {
    let mut file = small_with("/zones/0/rows/0/seats/0/seat_number", json!("1-2"));
    file["zones"][0]["rows"][0]["seats"][1]["seat_number"] = json!("1 2");
    let field = r#"zones[0] "Main hall" row "A" seat "1 2" seat_number"#;
    assert_refused(&file, field, "label MAIN-A-1_2");
}

#[test]
fn absurd_positions_are_refused() {
    let field = r#"zones[0] "Main hall" row "A" seat "2" position.x"#;
    let pointer = "/zones/0/rows/0/seats/1/position/x";
    assert_refused(
        &small_with(pointer, json!(1e9)),
        field,
        "must be a number from",
    );
    assert_refused(
        &small_with(pointer, json!("5")),
        field,
        "must be a number from",
    );
    let field = r#"zones[0] "Main hall" row "A" position"#;
    assert_refused(
        &small_with("/zones/0/rows/0/position", json!(null)),
        field,
        "must be an object",
    );
    assert_refused(
        &small_with("/zones/0/position/y", json!(-1e7)),
        "zones[0] \"Main hall\" position.y",
        "number from",
    );
    // Beyond what a double can be.
    let text = small().to_string().replace("100,", "1e999,");
    let mistakes = read(text.as_bytes()).expect_err("refused");
    assert_eq!(mistakes.listed()[0].field, "plan_json");
}

#[test]
fn seats_outside_the_drawing_are_told() {
    let plan = read_value(&small_with("/size/width", json!(120))).expect("good");
    assert_eq!(plan.warnings, ["seats outside the plan's 120 × 100: 1"]);
}

#[test]
fn sizes_and_categories_out_of_bounds_are_refused() {
    for size in [json!(0), json!(-5), json!(null), json!(1e7)] {
        assert_refused(
            &small_with("/size/width", size),
            "size.width",
            "must be a number over 0",
        );
    }
    assert_refused(&small_with("/size", json!([])), "size", "must be an object");
    let color = small_with("/categories/0/color", json!("red"));
    assert_refused(&color, r#"categories[0] "Stalls" color"#, "#F44336");
    let twice = small_with("/categories/1/name", json!("Stalls"));
    assert_refused(&twice, r#"categories[1] "Stalls" name"#, "earlier category");
}

#[test]
fn a_plan_without_seats_is_refused() {
    assert_refused(&small_with("/zones", json!([])), "zones", "have no seats");
    assert_refused(
        &small_with("/zones/0/rows", json!([])),
        "zones",
        "have no seats",
    );
    assert_eq!(mistakes_of(&small_with("/zones", json!("x")))[0].0, "zones");
}

#[test]
fn over_a_hundred_thousand_seats_are_refused() {
    let seats = vec![json!({}); 100_001];
    assert_refused(
        &small_with("/zones/0/rows/0/seats", json!(seats)),
        "zones",
        "have 100002 seats",
    );
}

#[test]
fn a_thousand_zones_of_one_name_are_numbered_and_more_are_refused() {
    let zone = |zone: usize| {
        let seat = json!({"seat_number": "1", "uuid": zone.to_string(), "position": {"x": 0, "y": 0}, "category": "Stalls"});
        json!({"name": "A", "position": {"x": 1, "y": 1},
               "rows": [{"row_number": "1", "position": {"x": 0, "y": 0}, "seats": [seat]}]})
    };
    let zones = |count| small_with("/zones", (0..count).map(zone).collect());
    let plan = read_value(&zones(1_000)).expect("is read");
    let named: HashSet<_> = plan.sections.iter().map(|s| &s.name).collect();
    assert_eq!(named.len(), 1_000);
    assert_eq!(plan.sections[999].name, "A1000");
    assert_refused(&zones(1_001), "zones", "at most 1000 are read");
}

#[test]
fn a_hundred_thousand_seats_are_read() {
    let row = |row: usize| {
        let seats = (0..100).map(|seat| {
            json!({"seat_number": seat.to_string(), "uuid": format!("{row}/{seat}"), "category": "Box",
                   "position": {"x": seat, "y": 0}})
        });
        json!({"row_number": row.to_string(), "position": {"x": 0, "y": 0}, "seats": seats.collect::<Vec<_>>()})
    };
    let rows: Vec<Value> = (0..1000).map(row).collect();
    let mut file = small_with("/zones/0/rows", json!(rows));
    file["size"] = json!({"width": 1000, "height": 1000});
    let bytes = serde_json::to_vec(&file).expect("serialises");
    assert_eq!(read(&bytes).map(|plan| plan.seats.len()), Ok(100_000));
}

#[test]
fn files_over_eight_mebibytes_are_refused_unread() {
    let mistakes = read(&vec![b' '; PLAN_BYTES_MAX + 1]).expect_err("refused");
    assert_eq!(mistakes.listed()[0].field, "plan_json");
    assert!(
        mistakes.listed()[0].why.contains("8388609 bytes"),
        "{mistakes:?}"
    );
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in [
        "",
        "{",
        "nonsense",
        "[]",
        "null",
        "12",
        "\"plan\"",
        "\u{1}",
        &"[".repeat(100_000),
    ] {
        let mistakes = read(text.as_bytes()).expect_err("refused");
        assert_eq!(
            mistakes.listed()[0].field,
            "plan_json",
            "{:?}",
            text.get(..10)
        );
    }
    assert!(read(&[0xff, 0xfe, 0x00]).is_err());
}

#[test]
fn twenty_mistakes_are_listed_and_the_rest_counted() {
    let mut file = stadium();
    for row in file["zones"][1]["rows"].as_array_mut().expect("a list") {
        for seat in row["seats"].as_array_mut().expect("a list") {
            seat["category"] = json!("Category VI");
        }
    }
    let mistakes = read_value(&file).expect_err("refused");
    assert_eq!(mistakes.listed().len(), MISTAKES_LISTED_MAX);
    assert_eq!(
        mistakes.unlisted_count(),
        18 * 7 + 6 * 6 - MISTAKES_LISTED_MAX
    );
}

#[test]
fn a_mistake_is_found_by_its_pointer_and_by_its_words() {
    let mut file = small();
    for (pointer, value) in [
        ("/zones/0/rows/0/seats/1/category", json!("Nowhere")),
        ("/zones/0/rows/1/position/x", json!("left")),
        ("/zones/0/rows/0/seats/2", json!(7)),
        ("/categories/1/color", json!("red")),
        ("/size/width", json!(-1)),
    ] {
        *file.pointer_mut(pointer).expect("the pointer is right") = value;
    }
    let mistakes = read_value(&file).expect_err("is refused");
    let found: Vec<&str> = mistakes
        .listed()
        .iter()
        .map(|mistake| mistake.pointer.as_str())
        .collect();
    let expected = [
        "/size/width",
        "/categories/1/color",
        "/zones/0/rows/0/seats/1/category",
        "/zones/0/rows/0/seats/2",
        "/zones/0/rows/1/position/x",
    ];
    assert_eq!(found, expected);
    for pointer in found {
        assert!(file.pointer(pointer).is_some(), "{pointer}");
    }
    let whole = read_value(&json!([])).expect_err("is refused");
    assert_eq!(whole.listed()[0].pointer, "");
}

/// What a file is read as, but for what was said about it, and for the last digits of positions, which
/// the reader of numbers doesn't promise.
fn as_drawn(plan: Plan) -> Plan {
    let micro = |length: f64| (length * 1e6).round() / 1e6;
    let seat = |seat: Seat| Seat {
        x: micro(seat.x),
        y: micro(seat.y),
        ..seat
    };
    Plan {
        warnings: Vec::new(),
        seats: plan.seats.into_iter().map(seat).collect(),
        ..plan
    }
}

#[test]
fn a_written_plan_is_read_as_it_was() {
    let small = read_value(&small()).expect("is good");
    let stadium = read(STADIUM).expect("is good");
    for plan in [small, stadium] {
        let again = read(&write(&plan)).expect("what is written is good");
        assert!(as_drawn(again) == as_drawn(plan), "another plan");
    }
}

/// The small plan with an accessible seat and its companion's, and an area of 3 places after the rows.
fn with_an_area() -> Value {
    let mut file = small();
    let seats = &mut file["zones"][0]["rows"][0]["seats"];
    seats[0]["holdfast_kind"] = "accessible".into();
    seats[1]["holdfast_kind"] = "companion".into();
    seats[2]["holdfast_kind"] = "standard".into();
    file["zones"][0]["areas"] = json!([
        {"shape": "text", "position": {"x": 0, "y": 0}, "text": {"text": "Stage"}},
        {
            "shape": "circle", "position": {"x": 30, "y": 40}, "circle": {"radius": 5},
            "holdfast_standing": {"name": "Golden circle", "capacity": 3, "category": "Box"},
        },
    ]);
    file
}

#[test]
fn areas_are_sections_of_places_and_seats_say_what_they_are_for() {
    let plan = read_value(&with_an_area()).expect("the file is good");
    let told: Vec<(&str, SeatKind, u32)> = plan
        .seats
        .iter()
        .map(|seat| (seat.label.as_str(), seat.kind, seat.row_no))
        .collect();
    use SeatKind::{Accessible, Companion, Standard, Standing};
    let expected = [
        ("MAIN-A-1", Accessible, 0),
        ("MAIN-A-2", Companion, 0),
        ("MAIN-A-3", Standard, 0),
        ("MAIN-B-1", Standard, 1),
        ("GOLDEN-1", Standing, 2),
        ("GOLDEN-2", Standing, 2),
        ("GOLDEN-3", Standing, 2),
    ];
    assert_eq!(told, expected);
    assert_eq!(plan.sections[1].zone_name, "Golden circle");
    let counts: Vec<u32> = plan.categories.iter().map(|one| one.seat_count).collect();
    assert_eq!(counts, [4, 3]);
    // Zone and area added up, and the circle around that.
    let area = Area {
        section_no: 1,
        x: 125.0,
        y: 45.0,
        width: 10.0,
        height: 10.0,
    };
    assert_eq!(plan.areas, [area]);
    assert_eq!((plan.seats[4].x, plan.seats[4].y), (130.0, 50.0));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);

    let again = read(&write(&plan)).expect("what is written is read");
    assert_eq!(again.seats, plan.seats);
    assert_eq!((again.areas, again.sections), (plan.areas, plan.sections));
}

#[test]
fn what_is_wrong_with_an_area_is_found_by_its_pointer() {
    let at = "/zones/0/areas/1/holdfast_standing";
    for (pointer, value, named) in [
        ("/capacity", json!(0), "/capacity"),
        ("/capacity", json!(1.5), "/capacity"),
        ("/capacity", json!("3"), "/capacity"),
        ("/category", json!("None such"), "/category"),
        ("/name", json!(" "), "/name"),
        ("", json!("standing"), ""),
    ] {
        let mut file = with_an_area();
        *file
            .pointer_mut(&format!("{at}{pointer}"))
            .expect("is there") = value;
        let mistakes = read_value(&file).expect_err("is refused");
        let found: Vec<&str> = mistakes.listed().iter().map(|m| &*m.pointer).collect();
        assert_eq!(found, [format!("{at}{named}")], "{pointer}");
    }
    let mut file = with_an_area();
    file["zones"][0]["rows"][0]["seats"][0]["holdfast_kind"] = "vip".into();
    let mistakes = read_value(&file).expect_err("is refused");
    assert_eq!(
        mistakes.listed()[0].pointer,
        "/zones/0/rows/0/seats/0/holdfast_kind"
    );
    let mut file = with_an_area();
    file["zones"][0]["areas"][1]["holdfast_standing"]["capacity"] = 100_000.into();
    let mistakes = read_value(&file).expect_err("is refused");
    assert!(
        mistakes.listed()[0].why.contains("100004 seats"),
        "{mistakes:?}"
    );
    // A seat is called as a place would be.
    let mut file = with_an_area();
    file["zones"][0]["rows"][0]["seats"][0]["uuid"] = "GOLDEN/2".into();
    assert!(read_value(&file).is_err());
    // Nothing but an area is one.
    let mut file = with_an_area();
    file["zones"][0]["rows"] = json!([]);
    assert_eq!(read_value(&file).map(|plan| plan.seats.len()), Ok(3));
}
