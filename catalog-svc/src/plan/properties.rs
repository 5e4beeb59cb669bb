//! No input makes the importer panic, and what it reads is whole.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::Value;

use super::{
    read,
    tests::{STADIUM, read_value, small},
};

/// JSON of any shape, with the format's own keys so that it gets past the first checks.
fn plan_like() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("zones"),
        Just("rows"),
        Just("seats"),
        Just("categories"),
        Just("size"),
        Just("name"),
        Just("position"),
        Just("x"),
        Just("y"),
        Just("width"),
        Just("uuid"),
        Just("category"),
        Just("row_number"),
        Just("seat_number"),
        Just("areas"),
        Just("capacity"),
        Just("color"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("A")),
    ];
    leaf.prop_recursive(8, 128, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every pointer to something in a value.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| pointers(item, format!("{at}/{index}"), found)),
        Value::Object(map) => {
            map.iter()
                .for_each(|(key, item)| pointers(item, format!("{at}/{key}"), found));
        }
        _ => {}
    }
    found.push(at);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(&bytes);
    }

    #[test]
    fn arbitrary_json_never_panics(value in plan_like()) {
        let _ = read_value(&value);
    }

    #[test]
    fn a_plan_with_anything_anywhere_is_refused_with_reasons_or_read_whole(
        place in any::<prop::sample::Index>(),
        value in plan_like(),
    ) {
        let mut file = small();
        let mut found = Vec::new();
        pointers(&file, String::new(), &mut found);
        *file.pointer_mut(place.get(&found[..]).as_str()).expect("was found") = value;
        match read_value(&file) {
            Ok(plan) => {
                let labels: HashSet<&str> = plan.seats.iter().map(|s| s.label.as_str()).collect();
                prop_assert_eq!(labels.len(), plan.seats.len());
                prop_assert!(!plan.seats.is_empty());
                prop_assert!(plan.seats.iter().all(|s| s.x.is_finite() && s.y.is_finite()));
                prop_assert!(plan.seats.iter().all(|s| (s.row_no as usize) < plan.rows.len()));
            }
            Err(mistakes) => prop_assert!(!mistakes.listed().is_empty()),
        }
    }

    #[test]
    fn a_real_plan_cut_anywhere_is_refused(end in 0..STADIUM.len() - 2) {
        prop_assert!(read(&STADIUM[..end]).is_err());
    }
}
