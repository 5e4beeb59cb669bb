//! What is counted beside the results.
//!
//! Always holds: cities count together where people would say it is the same, however they are
//! written; what comes first doesn't depend on how shows are spread over an index.

use std::cmp::Reverse;

/// Values of a facet that are told.
pub(crate) const VALUES_MAX: usize = 100;

/// What shows are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Facet {
    Category,
    City,
    Country,
    State,
}

/// Shows by value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counts {
    pub(crate) facet: Facet,
    /// The most frequent first, then by name, at most [`VALUES_MAX`].
    pub(crate) values: Vec<(String, u64)>,
    /// There are others.
    pub(crate) more: bool,
}

impl Counts {
    /// Of values in any order, none twice.
    pub(crate) fn new(facet: Facet, mut values: Vec<(String, u64)>) -> Self {
        values.retain(|(_, shows)| *shows > 0);
        let more = values.len() > VALUES_MAX;
        let by_count = |(value, shows): &(String, u64)| (Reverse(*shows), value.clone());
        if more {
            values.select_nth_unstable_by_key(VALUES_MAX, by_count);
            values.truncate(VALUES_MAX);
        }
        values.sort_by_cached_key(by_count);
        Self {
            facet,
            values,
            more,
        }
    }
}

/// Of two spellings of one name the better: with accents rather than without.
pub(crate) fn is_better_spelt(name: &str, than: &str) -> bool {
    let rank = |name: &str| name.chars().filter(|c| !c.is_ascii()).count();
    (rank(name), than) > (rank(than), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_come_first_and_the_rest_is_cut() {
        let mut values: Vec<(String, u64)> =
            (0..150_u64).map(|n| (format!("v{n:03}"), n / 2)).collect();
        values.reverse();
        let counts = Counts::new(Facet::City, values);
        assert!(counts.more);
        assert_eq!(counts.values.len(), VALUES_MAX);
        assert_eq!(counts.values[0], ("v148".to_owned(), 74));
        assert_eq!(counts.values[1], ("v149".to_owned(), 74));
        assert_eq!(counts.values[99], ("v051".to_owned(), 25));
        let few = Counts::new(Facet::State, vec![("a".to_owned(), 0), ("b".to_owned(), 1)]);
        assert_eq!((few.values.len(), few.more), (1, false));
    }

    #[test]
    fn accents_are_better_spelt() {
        assert!(is_better_spelt("São Paulo", "Sao Paulo"));
        assert!(!is_better_spelt("Sao Paulo", "São Paulo"));
        assert!(is_better_spelt("BERLIN", "Berlin"));
        assert!(!is_better_spelt("Berlin", "Berlin"));
    }
}
