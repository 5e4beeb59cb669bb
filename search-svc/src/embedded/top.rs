//! The first documents in an order.
//!
//! Always holds: documents come in blocks, and of a block a column is read at once; of all that come
//! twice as many are kept as are wanted, at most. Later parts of a key are read only where the earlier
//! ones don't decide.

use std::fmt::Debug;

use tantivy::{
    DocAddress, DocId, Score, SegmentOrdinal, SegmentReader,
    columnar::{Column, ColumnIndex},
};

use super::schema::{PLACE, PRICE_ORDER, STARTS_AT, TIE};
use crate::{place::Place, query::Sort};

/// The first value of each document, in `values`; `none` where there is none.
pub(super) fn first_of_each<T>(
    column: &Column<T>,
    documents: &[DocId],
    none: T,
    values: &mut Vec<T>,
) where
    T: Copy + PartialOrd + Debug + Send + Sync + 'static,
{
    values.clear();
    if matches!(column.index, ColumnIndex::Full) {
        values.resize(documents.len(), none);
        column.values.get_vals(documents, values);
    } else {
        let first = |document: &DocId| column.first(*document).unwrap_or(none);
        values.extend(documents.iter().map(first));
    }
}

/// What the order goes by, the least first: what was asked for, then the time, then chance that is the
/// same each time.
type Key = (u64, i64, u64);

/// The first documents of all segments.
pub(super) struct Top {
    sort: Sort,
    wanted: usize,
    /// At most twice as many as are wanted.
    kept: Vec<(Key, DocAddress)>,
    /// What comes later isn't among them.
    last: Option<Key>,
}

impl Top {
    pub(super) fn new(sort: Sort, wanted: usize) -> Self {
        Self {
            sort,
            wanted,
            kept: Vec::new(),
            last: None,
        }
    }

    pub(super) fn in_segment(
        &self,
        ordinal: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<Columns> {
        let columns = segment.fast_fields();
        let by = match self.sort {
            Sort::Relevance => By::Score,
            Sort::Date => By::Nothing,
            Sort::Distance(from) => By::Distance(from, columns.u64(PLACE)?),
            Sort::Price => By::Price(columns.i64(PRICE_ORDER)?),
        };
        Ok(Columns {
            ordinal,
            by,
            times: columns.i64(STARTS_AT)?,
            ties: columns.u64(TIE)?,
            firsts: Vec::new(),
            block: Vec::new(),
            block_times: Vec::new(),
        })
    }

    /// Takes documents of one segment; there is a score for each, or none at all.
    pub(super) fn take(&mut self, columns: &mut Columns, documents: &[DocId], scores: &[Score]) {
        columns.read(documents, scores);
        for (nth, document) in documents.iter().enumerate() {
            let (first, time) = (columns.firsts[nth], columns.block_times[nth]);
            if self
                .last
                .is_some_and(|last| (first, time) > (last.0, last.1))
            {
                continue;
            }
            let tie = columns.ties.first(*document).unwrap_or(u64::MAX);
            let key = (first, time, tie);
            if self.last.is_some_and(|last| key >= last) {
                continue;
            }
            let address = DocAddress::new(columns.ordinal, *document);
            self.kept.push((key, address));
            if self.kept.len() == 2 * self.wanted {
                self.kept.select_nth_unstable(self.wanted - 1);
                self.kept.truncate(self.wanted);
                self.last = self.kept.last().map(|(key, _)| *key);
            }
        }
    }

    /// In their order.
    pub(super) fn into_sorted(mut self) -> Vec<DocAddress> {
        self.kept.sort_unstable();
        self.kept.truncate(self.wanted);
        self.kept.into_iter().map(|(_, address)| address).collect()
    }
}

/// What a key is made of in one segment, and that of the documents at hand.
pub(super) struct Columns {
    ordinal: SegmentOrdinal,
    by: By,
    times: Column<i64>,
    ties: Column<u64>,
    firsts: Vec<u64>,
    block: Vec<u64>,
    block_times: Vec<i64>,
}

enum By {
    Score,
    Nothing,
    Distance(Place, Column<u64>),
    Price(Column<i64>),
}

impl Columns {
    fn read(&mut self, documents: &[DocId], scores: &[Score]) {
        self.firsts.clear();
        match &self.by {
            // The best first: bits of numbers from 0 are in their order.
            By::Score => {
                let first = |score: &Score| u64::from(u32::MAX - score.max(0.0).to_bits());
                self.firsts.extend(scores.iter().map(first));
            }
            By::Nothing => self.firsts.resize(documents.len(), 0),
            By::Distance(from, places) => {
                first_of_each(places, documents, u64::MAX, &mut self.block);
                // In millimetres.
                let first =
                    |packed: &u64| (Place::unpack(*packed).distance_m(*from) * 1000.0) as u64;
                self.firsts.extend(self.block.iter().map(first));
            }
            By::Price(prices) => {
                first_of_each(prices, documents, i64::MAX, &mut self.block_times);
                let first = |price: &i64| tantivy::i64_to_u64(*price);
                self.firsts.extend(self.block_times.iter().map(first));
            }
        }
        first_of_each(&self.times, documents, i64::MAX, &mut self.block_times);
    }
}
