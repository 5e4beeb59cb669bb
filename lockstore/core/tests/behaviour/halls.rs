//! Shows to try things in.

use holdfast_types::DurationMs;
use lockstore_core::{BestAvailable, LayoutSeat, SeatKind, ShowRules};

pub(crate) const TTL_MS: u64 = 100_000;
pub(crate) const TOTAL_MS: u64 = 300_000;
pub(crate) const CAP: u32 = 6;

pub(crate) fn rules() -> ShowRules {
    ShowRules {
        hold_ttl: DurationMs(TTL_MS),
        hold_total_max: DurationMs(TOTAL_MS),
        seats_per_customer_max: CAP,
        no_lone_seat: false,
    }
}

/// Rows of ten.
pub(crate) fn rows(first: u32, count: u32) -> Vec<LayoutSeat> {
    (first..first + count)
        .map(|n| LayoutSeat {
            row_no: n / 10,
            gap_after: n % 10 == 4,
            ..LayoutSeat::default()
        })
        .collect()
}

pub(crate) const HALL_SEATS: u32 = 64;
/// Of the hall: its sections, its price categories.
pub(crate) const FRONT: u16 = 1;
pub(crate) const BACK: u16 = 2;
pub(crate) const DEAR: u16 = 1;
pub(crate) const CHEAP: u16 = 2;
pub(crate) const ARENA: u16 = 9;

/// Four rows of ten, two in front and two dearer by half; the fifth row has an accessible place at
/// either end and two seats for companions between; then an area of twenty.
pub(crate) fn hall() -> Vec<LayoutSeat> {
    let seat = |n: u32| {
        let (row_no, place) = (n / 10, n % 10);
        let from_the_middle = (2 * place).abs_diff(9);
        match n {
            0..40 => LayoutSeat {
                row_no,
                rank: (4 * row_no + from_the_middle) as u16,
                section_no: if row_no < 2 { FRONT } else { BACK },
                category_no: if row_no < 3 { DEAR } else { CHEAP },
                ..LayoutSeat::default()
            },
            40..44 => LayoutSeat {
                row_no: 4,
                rank: 20,
                section_no: BACK,
                category_no: CHEAP,
                kind: if n == 40 || n == 43 {
                    SeatKind::Accessible
                } else {
                    SeatKind::Companion
                },
                ..LayoutSeat::default()
            },
            _ => LayoutSeat {
                row_no: 5,
                section_no: ARENA,
                category_no: CHEAP,
                kind: SeatKind::Standing,
                ..LayoutSeat::default()
            },
        }
    };
    (0..HALL_SEATS).map(seat).collect()
}

pub(crate) fn best(count: u32) -> BestAvailable {
    BestAvailable {
        count,
        sections: Vec::new(),
        categories: Vec::new(),
        adjacent: true,
        accessible: false,
    }
}
