//! Places on the globe: distance, and the cells of a grid that narrow down what may be near.
//!
//! Always holds: a place within the radius of another has one of its cells among those that
//! [`cover`] names. The globe is a sphere here, which is wrong by half a percent at most.

use std::hash::{Hash, Hasher};

/// Mean radius of the earth, in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Sizes of the grids' cells, in degrees, finest first: at the equator 28 km, 220 km and 1,700 km,
/// so that a usual radius meets a few dozen cells of one of them.
const CELL_DEGREES: [f64; 3] = [0.25, 2.0, 15.0];

/// Most cells that one search names; where more would be needed the next coarser grid serves.
const CELLS_MAX: u64 = 128;

/// Added to a radius before cells are chosen: against rounding, in metres.
const MARGIN_M: f64 = 10.0;

/// A position, in degrees, within the globe's bounds; neither is a negative zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    latitude: f64,
    longitude: f64,
}

// Both are numbers, and there is one zero only.
impl Eq for Place {}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.latitude.to_bits().hash(state);
        self.longitude.to_bits().hash(state);
    }
}

impl Place {
    /// A place, if there is one.
    pub(crate) fn new(latitude: f64, longitude: f64) -> Option<Self> {
        // Refuses what is no number, too.
        let is_there = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        is_there.then_some(Self {
            latitude: latitude + 0.0,
            longitude: longitude + 0.0,
        })
    }

    pub(crate) fn latitude(self) -> f64 {
        self.latitude
    }

    pub(crate) fn longitude(self) -> f64 {
        self.longitude
    }

    /// Great-circle distance in metres (haversine).
    pub(crate) fn distance_m(self, other: Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let across = (other.longitude - self.longitude).to_radians();
        let chord = ((to - from) / 2.0).sin().powi(2)
            + from.cos() * to.cos() * (across / 2.0).sin().powi(2);
        2.0 * EARTH_RADIUS_M * chord.min(1.0).sqrt().asin()
    }

    /// In one number, exact to a centimetre.
    pub(crate) fn pack(self) -> u64 {
        let part = |degrees: f64, span: f64| {
            let share = (degrees + span / 2.0) / span * f64::from(u32::MAX);
            share.round() as u64
        };
        part(self.latitude, 180.0) << 32 | part(self.longitude, 360.0)
    }

    /// What [`Place::pack`] packed.
    pub(crate) fn unpack(packed: u64) -> Self {
        let degrees = |part: u64, span: f64| part as f64 / f64::from(u32::MAX) * span - span / 2.0;
        Self {
            latitude: degrees(packed >> 32, 180.0),
            longitude: degrees(packed & u64::from(u32::MAX), 360.0),
        }
    }

    /// Its cell in each grid.
    pub(crate) fn cells(self) -> [u64; CELL_DEGREES.len()] {
        std::array::from_fn(|grid| {
            let size = CELL_DEGREES[grid];
            let row = row(self.latitude, size);
            let column = column(self.longitude, size).rem_euclid(columns(size));
            cell(grid, row, column)
        })
    }
}

/// Cells that everything within `radius_m` of `centre` is in one of; none where that is no help.
pub(crate) fn cover(centre: Place, radius_m: u32) -> Option<Vec<u64>> {
    let reach = (f64::from(radius_m) + MARGIN_M) / EARTH_RADIUS_M;
    let up = reach.to_degrees();
    let (south, north) = (centre.latitude - up, centre.latitude + up);
    // The meridians that touch the circle; near a pole all of them do.
    let across = if south <= -90.0 || north >= 90.0 || reach >= std::f64::consts::FRAC_PI_2 {
        180.0
    } else {
        let share = reach.sin() / centre.latitude.to_radians().cos();
        share.min(1.0).asin().to_degrees()
    };
    CELL_DEGREES.iter().enumerate().find_map(|(grid, &size)| {
        let rows = row(south.max(-90.0), size)..=row(north.min(90.0), size);
        let first = column(centre.longitude - across, size);
        let last = column(centre.longitude + across, size);
        let width = (last - first + 1).min(columns(size));
        let count = (rows.end() - rows.start() + 1) * width;
        (count.unsigned_abs() <= CELLS_MAX).then(|| {
            let columns_met =
                move || (first..first + width).map(move |c| c.rem_euclid(columns(size)));
            rows.flat_map(|row| columns_met().map(move |column| cell(grid, row, column)))
                .collect()
        })
    })
}

fn row(latitude: f64, size: f64) -> i64 {
    ((latitude + 90.0) / size).floor() as i64
}

/// May be beyond the date line on either side.
fn column(longitude: f64, size: f64) -> i64 {
    ((longitude + 180.0) / size).floor() as i64
}

fn columns(size: f64) -> i64 {
    (360.0 / size).ceil() as i64
}

fn cell(grid: usize, row: i64, column: i64) -> u64 {
    (grid as u64) << 48 | row.unsigned_abs() << 24 | column.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place::new(latitude, longitude).expect("is there")
    }

    #[test]
    fn distances_are_those_of_the_map() {
        let (berlin, paris) = (place(52.5200, 13.4050), place(48.8566, 2.3522));
        assert!((berlin.distance_m(paris) - 877_460.0).abs() < 2_000.0);
        assert_eq!(berlin.distance_m(berlin), 0.0);
        let across_the_date_line = place(0.0, 179.9).distance_m(place(0.0, -179.9));
        assert!((across_the_date_line - 22_239.0).abs() < 5.0);
        let half_round = place(0.0, 0.0).distance_m(place(0.0, 180.0));
        assert!((half_round - 20_015_115.0).abs() < 10.0);
    }

    #[test]
    fn what_is_off_the_globe_is_no_place() {
        for (latitude, longitude) in [
            (90.1, 0.0),
            (0.0, -180.1),
            (f64::NAN, 0.0),
            (0.0, f64::INFINITY),
        ] {
            assert_eq!(Place::new(latitude, longitude), None);
        }
    }

    #[test]
    fn a_usual_radius_meets_few_cells_and_a_huge_one_none() {
        let berlin = place(52.52, 13.4);
        assert!(cover(berlin, 50_000).is_some_and(|cells| cells.len() <= 60));
        assert!(cover(berlin, 1_000_000).is_some_and(|cells| cells.len() <= 128));
        assert!(cover(place(89.9, 0.0), 1_000).is_some());
    }

    prop_compose! {
        fn places()(latitude in -90.0..=90.0, longitude in -180.0..=180.0) -> Place {
            place(latitude, longitude)
        }
    }

    proptest! {
        #[test]
        fn what_is_near_is_in_a_covered_cell(
            centre in places(),
            up in -12.0..12.0f64,
            across in -180.0..180.0f64,
            radius_m in 1u32..=1_000_000,
        ) {
            let latitude = (centre.latitude + up).clamp(-90.0, 90.0);
            let longitude = (centre.longitude + across / 4.0 + 540.0).rem_euclid(360.0) - 180.0;
            let other = place(latitude, longitude);
            if centre.distance_m(other) <= f64::from(radius_m)
                && let Some(cells) = cover(centre, radius_m)
            {
                prop_assert!(other.cells().iter().any(|cell| cells.contains(cell)));
            }
        }

        #[test]
        fn packing_moves_a_place_by_less_than_a_centimetre(place in places()) {
            prop_assert!(Place::unpack(place.pack()).distance_m(place) < 0.02);
        }
    }
}
