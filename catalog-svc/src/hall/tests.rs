//! Halls: counts, labels, positions, and that a rule never changes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

/// A plan's seats as text: what a show was opened with.
fn fingerprint(seats: u32) -> String {
    let plan = Hall::of(seats).unwrap().plan();
    let mut hash = Sha256::new();
    for seat in &plan.seats {
        let row = &plan.rows[seat.row_no as usize];
        let section = &plan.sections[row.section_no as usize];
        let line = format!(
            "{} {} {} {} {} {} {:.1} {:.1}\n",
            seat.label,
            section.name,
            row.name,
            seat.number,
            seat.row_no,
            seat.category_no,
            seat.x,
            seat.y
        );
        hash.update(line);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn check(seats: u32) {
    let hall = Hall::of(seats).unwrap();
    let plan = hall.plan();
    assert_eq!(plan.seats.len(), seats as usize);
    let labels: HashSet<&str> = plan.seats.iter().map(|seat| seat.label.as_str()).collect();
    assert_eq!(labels.len(), plan.seats.len());
    assert_eq!(plan.categories, hall.categories());
    assert_eq!((plan.width, plan.height), hall.size());
    let counted: u32 = plan.categories.iter().map(|c| c.seat_count).sum();
    assert_eq!(counted, seats);
    assert!(plan.categories[0].seat_count > 0);
    for seat in &plan.seats {
        assert!((0.0..=plan.width).contains(&seat.x), "{seat:?}");
        assert!((0.0..=plan.height).contains(&seat.y), "{seat:?}");
        let row = &plan.rows[seat.row_no as usize];
        let section = &plan.sections[row.section_no as usize];
        assert_eq!(
            seat.label,
            format!("{}-{}-{}", section.name, row.name, seat.number)
        );
    }
    for pair in plan.seats.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert!(a.row_no == b.row_no || a.row_no + 1 == b.row_no);
        if a.row_no == b.row_no {
            let apart = (a.x - b.x).hypot(a.y - b.y);
            assert!((9.5..=10.1).contains(&apart), "{a:?} {b:?}");
        }
    }
}

#[test]
fn halls_have_as_many_seats_as_asked_for() {
    for seats in [
        100, 101, 738, 1_000, 1_001, 19_999, 20_000, 50_000, 99_999, 100_000,
    ] {
        check(seats);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_hall_is_counted_labelled_and_drawn_right(seats in 100_u32..=30_000) {
        check(seats);
    }

    #[test]
    fn counting_without_seats_comes_to_the_same(seats in SEATS) {
        let counted: u32 = Hall::of(seats).unwrap().categories().iter().map(|c| c.seat_count).sum();
        prop_assert_eq!(counted, seats);
    }
}

#[test]
fn a_rule_never_changes() {
    let prints = [100, 1_000, 5_000, 20_000, 100_000].map(fingerprint);
    assert_eq!(
        prints,
        [
            "b9714c2bf8de279c",
            "7cf4680230a7858a",
            "d16e6fda4823ff67",
            "00865c884c556fba",
            "de8d68584949c726"
        ]
    );
}

#[test]
fn labels_are_tier_and_block_row_and_seat() {
    let plan = Hall::of(1_000).unwrap().plan();
    assert_eq!(plan.seats[0].label, "GROUND-1-A-1");
    assert!(plan.seats.iter().any(|seat| seat.label == "GROUND-3-A-5"));
    assert_eq!(plan.sections[0].zone_name, "Ground");
}

#[test]
fn halls_are_written_and_read_and_others_are_refused() {
    for (seats, text) in [(1_500, "fan-1:1500"), (60_000, "bowl-1:60000")] {
        let hall = Hall::of(seats).unwrap();
        assert_eq!(hall.to_string(), text);
        assert_eq!(text.parse(), Ok(hall));
    }
    for text in [
        "",
        "fan-1",
        "fan-2:1500",
        "fan-1:99",
        "fan-1:100001",
        "fan-1:x",
        ":1500",
    ] {
        assert_eq!(text.parse::<Hall>(), Err(HallError), "{text}");
    }
    assert_eq!(Hall::of(99), Err(HallError));
    assert_eq!(Hall::of(100_001), Err(HallError));
}

#[test]
fn the_best_seats_are_at_the_front_and_prices_fall_to_the_back() {
    let plan = Hall::of(2_000).unwrap().plan();
    let depth = |category: u32| {
        let of = plan
            .seats
            .iter()
            .filter(|seat| seat.category_no == category);
        let (count, sum) = of.fold((0.0, 0.0), |(n, sum), seat| (n + 1.0, sum + seat.y));
        sum / count
    };
    assert!(depth(0) < depth(1) && depth(1) < depth(2) && depth(2) < depth(3));
}
