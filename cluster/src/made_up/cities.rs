//! Where venues are: cities of 100,000 people and more, larger ones more often.

use chrono_tz::Tz;

use super::dice::Dice;

/// GeoNames, CC BY 4.0; `data/geo/README.md` says what was changed.
const FILE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../data/geo/cities100000.tsv"
));

#[derive(Debug, Clone, PartialEq)]
pub(super) struct City {
    pub(super) name: &'static str,
    pub(super) country: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) time_zone: Tz,
}

/// Cities, each with the sum of weights up to it.
pub(super) struct Cities(Vec<(u64, City)>);

impl Cities {
    pub(super) fn read() -> Self {
        let mut sum = 0;
        let cities = FILE.lines().skip(1).filter_map(|line| {
            let (city, population) = city(line)?;
            // The root: a city of a hundred times as many people has ten times as many venues.
            sum += population.isqrt();
            Some((sum, city))
        });
        Self(cities.collect())
    }

    pub(super) fn pick(&self, dice: &mut Dice) -> &City {
        let all = self.0.last().map_or(1, |(sum, _)| *sum);
        let rolled = dice.below(all);
        let index = self.0.partition_point(|(sum, _)| *sum <= rolled);
        &self.0[index].1
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A line; `None` for one that isn't a city, of which the file has none (a test counts them).
fn city(line: &'static str) -> Option<(City, u64)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let city = City {
        name: next()?,
        country: next()?,
        latitude: next()?.parse().ok()?,
        longitude: next()?.parse().ok()?,
        time_zone: next()?.parse().ok()?,
    };
    let population = next()?.parse().ok()?;
    Some((city, population))
}
