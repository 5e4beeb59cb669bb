//! Names of a kind in what is found, the most frequent first.
//!
//! Always holds: names are counted by number, and only those that are given are read; what is counted is
//! bounded, because one letter begins something of every other show, and which of those names is the
//! more frequent is seen in part of them as well.

use std::{
    cmp::Reverse,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use tantivy::{
    DocAddress, DocId, Score, Searcher, SegmentReader,
    collector::{Collector, SegmentCollector},
    columnar::Column,
};

use super::{
    schema::{self, Fields},
    search::{self, shown},
    spelt::Words,
    words,
};
use crate::{
    query::Mistakes,
    suggest::{Begun, Kind, NAMES_MAX},
};

/// Documents of a segment that are counted.
const COUNTED_MAX: usize = 20_000;

/// The names.
pub(super) fn names(
    searcher: &Searcher,
    fields: &Fields,
    known: &Arc<Words>,
    kind: Kind,
    begun: &Begun,
) -> tantivy::Result<Vec<String>> {
    let mut names = frequent(searcher, fields, known, kind, begun, false)?;
    // What is spelt as it was typed is worth more than anything else.
    let words = begun.words.iter();
    let mut mistakes = words.map(|word| Mistakes::usual(word));
    let may_be_misspelt = mistakes.any(|mistakes| mistakes != Mistakes::default());
    if may_be_misspelt && names.len() < NAMES_MAX {
        names.extend(frequent(searcher, fields, known, kind, begun, true)?);
        names.truncate(NAMES_MAX);
    }
    Ok(names)
}

fn frequent(
    searcher: &Searcher,
    fields: &Fields,
    known: &Arc<Words>,
    kind: Kind,
    begun: &Begun,
    may_be_misspelt: bool,
) -> tantivy::Result<Vec<String>> {
    let mut clauses = words::in_names(fields, known, kind, &begun.words, may_be_misspelt);
    clauses.push(search::from(fields, begun.from_ms));
    let found = searcher.search(&words::all_of(clauses), &Numbers { kind })?;
    let mut names = Vec::new();
    for (number, address) in found {
        let show = shown(searcher, fields, address)?;
        let of_number = schema::names_of(kind, &show)
            .into_iter()
            .find(|name| schema::name_number(name) == number);
        names.extend(of_number.cloned());
    }
    Ok(names)
}

/// The most frequent numbers of a kind, each with a document that has it.
struct Numbers {
    kind: Kind,
}

type Counted = HashMap<u64, (u64, DocAddress), BuildHasherDefault<AsItIs>>;

/// The numbers are hashes.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The map goes by the upper bits, too; the numbers have the lower ones.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Collector for Numbers {
    type Fruit = Vec<(u64, DocAddress)>;
    type Child = InSegment;

    fn for_segment(&self, ordinal: u32, segment: &SegmentReader) -> tantivy::Result<InSegment> {
        Ok(InSegment {
            ordinal,
            column: segment.fast_fields().u64(schema::numbered_in(self.kind))?,
            documents: 0,
            counted: Counted::default(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Counted>) -> tantivy::Result<Self::Fruit> {
        let mut all = Counted::default();
        for (number, (count, address)) in segments.into_iter().flatten() {
            let counted = all.entry(number).or_insert((0, address));
            counted.0 += count;
        }
        let mut all: Vec<(u64, (u64, DocAddress))> = all.into_iter().collect();
        let rank = |(number, (count, _)): &(u64, (u64, DocAddress))| (Reverse(*count), *number);
        if all.len() > NAMES_MAX {
            all.select_nth_unstable_by_key(NAMES_MAX, rank);
            all.truncate(NAMES_MAX);
        }
        all.sort_by_key(rank);
        let numbers = all
            .into_iter()
            .map(|(number, (_, address))| (number, address));
        Ok(numbers.collect())
    }
}

struct InSegment {
    ordinal: u32,
    column: Column<u64>,
    documents: usize,
    counted: Counted,
}

impl SegmentCollector for InSegment {
    type Fruit = Counted;

    fn collect(&mut self, document: DocId, _: Score) {
        if self.documents == COUNTED_MAX {
            return;
        }
        self.documents += 1;
        for number in self.column.values_for_doc(document) {
            let address = DocAddress::new(self.ordinal, document);
            self.counted.entry(number).or_insert((0, address)).0 += 1;
        }
    }

    fn harvest(self) -> Counted {
        self.counted
    }
}
