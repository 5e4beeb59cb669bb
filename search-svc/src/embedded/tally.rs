//! Counting what is found: all of it, and by facets.
//!
//! Always holds: every document that fits is counted once, by numbers; names are looked at when a
//! segment is new, not when a question is asked. What is kept of segments is kept of those that are
//! searched.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use tantivy::{
    DocId, Score, SegmentReader,
    collector::{Collector, SegmentCollector},
    columnar::Column,
    index::SegmentId,
};

use super::schema::{BELOW, counted_in};
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

/// Counts.
pub(super) struct Tally {
    pub(super) facets: Vec<Facet>,
    pub(super) values: Arc<Values>,
}

/// How many there are, and how many of each facet's values, by number.
#[derive(Debug, Default)]
pub(super) struct Tallied {
    pub(super) total: u64,
    facets: Vec<Vec<u64>>,
}

impl Tally {
    /// In the order in which they were asked for.
    pub(super) fn counts(&self, tallied: &Tallied) -> Vec<Counts> {
        let facets = self.facets.iter().zip(&tallied.facets);
        facets
            .map(|(facet, shows)| self.values.counts(*facet, shows))
            .collect()
    }
}

impl Collector for Tally {
    type Fruit = Tallied;
    type Child = InSegment;

    fn for_segment(&self, _: u32, segment: &SegmentReader) -> tantivy::Result<InSegment> {
        let mut facets = Vec::new();
        for facet in &self.facets {
            let ordinals = self.values.ordinals(*facet, segment)?;
            let column = segment.fast_fields().str(counted_in(*facet))?;
            let Some(column) = column else { continue };
            facets.push(OfFacet {
                counts: vec![0; ordinals.0.len()],
                ordinals,
                column: column.into_parts().1,
                block: Vec::new(),
            });
        }
        Ok(InSegment { total: 0, facets })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Tallied>) -> tantivy::Result<Tallied> {
        let mut all = Tallied {
            total: 0,
            facets: vec![Vec::new(); self.facets.len()],
        };
        for segment in segments {
            all.total += segment.total;
            for (all, shows) in all.facets.iter_mut().zip(segment.facets) {
                all.resize(all.len().max(shows.len()), 0);
                for (all, shows) in all.iter_mut().zip(shows) {
                    *all += shows;
                }
            }
        }
        Ok(all)
    }
}

pub(super) struct InSegment {
    total: u64,
    facets: Vec<OfFacet>,
}

struct OfFacet {
    column: Column<u64>,
    ordinals: Arc<Ordinals>,
    /// By ordinal.
    counts: Vec<u32>,
    block: Vec<Option<u64>>,
}

impl OfFacet {
    fn count(&mut self, ordinal: Option<u64>) {
        let place = ordinal.and_then(|ordinal| self.counts.get_mut(ordinal as usize));
        if let Some(count) = place {
            *count += 1;
        }
    }
}

impl SegmentCollector for InSegment {
    type Fruit = Tallied;

    fn collect(&mut self, document: DocId, _: Score) {
        self.total += 1;
        for facet in &mut self.facets {
            let ordinal = facet.column.first(document);
            facet.count(ordinal);
        }
    }

    fn collect_block(&mut self, documents: &[DocId]) {
        self.total += documents.len() as u64;
        for facet in &mut self.facets {
            let mut block = std::mem::take(&mut facet.block);
            block.clear();
            block.resize(documents.len(), None);
            facet.column.first_vals(documents, &mut block);
            for ordinal in &block {
                facet.count(*ordinal);
            }
            facet.block = block;
        }
    }

    fn harvest(self) -> Tallied {
        let facets = self.facets.into_iter().map(|facet| {
            let mut shows = Vec::new();
            for (numbers, count) in facet.ordinals.0.iter().zip(&facet.counts) {
                for number in numbers.iter().filter(|_| *count > 0) {
                    let number = *number as usize;
                    if shows.len() <= number {
                        shows.resize(number + 1, 0);
                    }
                    shows[number] += u64::from(*count);
                }
            }
            shows
        });
        Tallied {
            total: self.total,
            facets: facets.collect(),
        }
    }
}
