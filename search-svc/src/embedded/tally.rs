//! Counting what is found: all of it, and by facets.
//!
//! Always holds: every document that fits is counted once, by numbers; names are looked at when a
//! segment is new, not when a question is asked. What is kept of segments is kept of those that are
//! searched.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use tantivy::{DocId, SegmentReader, columnar::Column, index::SegmentId};

use super::{
    schema::{BELOW, counted_in},
    top::first_of_each,
};
use crate::{
    facet::{Counts, Facet, is_better_spelt},
    fold,
};

/// Segments kept in mind beyond those that are searched, before the others are forgotten: merging
/// makes a new one of some.
const SEGMENTS_SPARE: usize = 16;

/// Values of facets by number, the same for all segments.
#[derive(Debug, Default)]
pub(super) struct Values(Mutex<BTreeMap<Facet, Known>>);

#[derive(Debug, Default)]
struct Known {
    by_key: HashMap<String, u32>,
    shown: Vec<String>,
    segments: HashMap<SegmentId, Arc<Ordinals>>,
}

/// The numbers of the values that each ordinal of a segment stands for.
#[derive(Debug)]
struct Ordinals(Vec<Vec<u32>>);

impl Values {
    // Nothing panics while it is held; what it guards is whole in any case.
    fn known(&self) -> MutexGuard<'_, BTreeMap<Facet, Known>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Leaves those that aren't searched any more.
    pub(super) fn forget_all_but(&self, segments: &[SegmentReader]) {
        let searched: HashSet<SegmentId> = segments.iter().map(SegmentReader::segment_id).collect();
        for known in self.known().values_mut() {
            if known.segments.len() > searched.len() + SEGMENTS_SPARE {
                known.segments.retain(|id, _| searched.contains(id));
            }
        }
    }

    fn ordinals(&self, facet: Facet, segment: &SegmentReader) -> tantivy::Result<Arc<Ordinals>> {
        let mut known = self.known();
        let known = known.entry(facet).or_default();
        if let Some(ordinals) = known.segments.get(&segment.segment_id()) {
            return Ok(Arc::clone(ordinals));
        }
        let mut ordinals = Vec::new();
        if let Some(column) = segment.fast_fields().str(counted_in(facet))? {
            let mut values = column.dictionary().stream()?;
            while values.advance() {
                let value = String::from_utf8_lossy(values.key());
                ordinals.push(known.numbers(facet, &value));
            }
        }
        let ordinals = Arc::new(Ordinals(ordinals));
        let kept = Arc::clone(&ordinals);
        known.segments.insert(segment.segment_id(), kept);
        Ok(ordinals)
    }

    fn counts(&self, facet: Facet, shows: &[u64]) -> Counts {
        let mut known = self.known();
        let shown = &known.entry(facet).or_default().shown;
        let values = shown.iter().zip(shows).filter(|(_, shows)| **shows > 0);
        Counts::new(
            facet,
            values
                .map(|(value, shows)| (value.clone(), *shows))
                .collect(),
        )
    }
}

impl Known {
    fn numbers(&mut self, facet: Facet, value: &str) -> Vec<u32> {
        match facet {
            // A show counts once for each of its path, were one there twice.
            Facet::Category => {
                let path: HashSet<&str> = value.split(BELOW).collect();
                path.into_iter()
                    .map(|category| self.number(category.to_owned(), category))
                    .collect()
            }
            Facet::City => vec![self.number(fold::key(value), value)],
            Facet::Country | Facet::State => vec![self.number(value.to_owned(), value)],
        }
    }

    fn number(&mut self, key: String, value: &str) -> u32 {
        let next = u32::try_from(self.shown.len()).unwrap_or(u32::MAX);
        let number = *self.by_key.entry(key).or_insert(next);
        match self.shown.get_mut(number as usize) {
            None => self.shown.push(value.to_owned()),
            Some(shown) if is_better_spelt(value, shown) => value.clone_into(shown),
            Some(_) => {}
        }
        number
    }
}

/// How many there are of each value of some facets, in all segments that were counted.
pub(super) struct Tally<'a> {
    facets: &'a [Facet],
    values: &'a Values,
    /// Of each facet, by number.
    counts: Vec<Vec<u64>>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(facets: &'a [Facet], values: &'a Values) -> Self {
        Self {
            facets,
            values,
            counts: vec![Vec::new(); facets.len()],
        }
    }

    /// Begins to count in a segment.
    pub(super) fn in_segment(&self, segment: &SegmentReader) -> tantivy::Result<InSegment> {
        let mut facets = Vec::new();
        for (nth, facet) in self.facets.iter().enumerate() {
            let column = segment.fast_fields().str(counted_in(*facet))?;
            let Some(column) = column else { continue };
            let ordinals = self.values.ordinals(*facet, segment)?;
            facets.push(OfFacet {
                nth,
                counts: vec![0; ordinals.0.len()],
                ordinals,
                column: column.into_parts().1,
                block: Vec::new(),
            });
        }
        Ok(InSegment(facets))
    }

    /// Adds what was counted in a segment.
    pub(super) fn add(&mut self, counted: &Counted) {
        for facet in &counted.0 {
            let shows = &mut self.counts[facet.nth];
            for (ordinal, count) in &facet.counts {
                for number in &facet.ordinals.0[*ordinal as usize] {
                    let number = *number as usize;
                    if shows.len() <= number {
                        shows.resize(number + 1, 0);
                    }
                    shows[number] += u64::from(*count);
                }
            }
        }
    }

    /// In the order in which they were asked for.
    pub(super) fn counts(&self) -> Vec<Counts> {
        let facets = self.facets.iter().zip(&self.counts);
        facets
            .map(|(facet, shows)| self.values.counts(*facet, shows))
            .collect()
    }
}

/// What is being counted in one segment.
pub(super) struct InSegment(Vec<OfFacet>);

struct OfFacet {
    /// Of those that were asked for.
    nth: usize,
    column: Column<u64>,
    ordinals: Arc<Ordinals>,
    /// By ordinal.
    counts: Vec<u32>,
    block: Vec<u64>,
}

impl InSegment {
    /// Counts some documents.
    pub(super) fn count(&mut self, documents: &[DocId]) {
        for facet in &mut self.0 {
            first_of_each(&facet.column, documents, u64::MAX, &mut facet.block);
            for ordinal in &facet.block {
                if let Some(count) = facet.counts.get_mut(*ordinal as usize) {
                    *count += 1;
                }
            }
        }
    }

    pub(super) fn into_counted(self) -> Counted {
        let facets = self.0.into_iter().map(|facet| {
            let counts = (0..).zip(facet.counts).filter(|(_, count)| *count > 0);
            CountedFacet {
                nth: facet.nth,
                ordinals: facet.ordinals,
                counts: counts.collect::<Vec<_>>().into_boxed_slice(),
            }
        });
        Counted(facets.collect())
    }
}

/// What was counted in one segment.
#[derive(Debug)]
pub(super) struct Counted(Vec<CountedFacet>);

#[derive(Debug)]
struct CountedFacet {
    nth: usize,
    ordinals: Arc<Ordinals>,
    /// Ordinals that documents have, with how many of them.
    counts: Box<[(u32, u32)]>,
}

impl Counted {
    /// What it takes beside what segments keep anyway.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |facet: &CountedFacet| {
            size_of::<CountedFacet>() + std::mem::size_of_val(&*facet.counts)
        };
        self.0.iter().map(bytes).sum()
    }
}
