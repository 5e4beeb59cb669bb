//! The first documents of a segment in an order.
//!
//! Always holds: documents come in blocks, and of a block a column is read at once; of all that come
//! twice as many are kept as are wanted, at most. Later parts of a key are read only where the earlier
//! ones don't decide.

use std::fmt::Debug;

use tantivy::{
    DocId, Score, SegmentReader,
    columnar::{Column, ColumnIndex},
};

use super::schema::{PLACE, PRICE_ORDER, STARTS_AT, TIE};
use crate::{
    place::Place,
    query::{Position, Query, Sort},
};

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

/// How many of all that fits, in which order, and from where on.
pub(super) struct Wanted {
    pub(super) sort: Sort,
    pub(super) after: Option<Position>,
    pub(super) documents: usize,
}

impl Wanted {
    /// Of all segments, and so of each, for a page of `query`.
    pub(super) fn of(query: &Query) -> Self {
        Self {
            // Without words all fit as well, and the order is that of time.
            sort: match query.sort {
                Sort::Relevance if query.words.is_empty() => Sort::Date,
                sort => sort,
            },
            after: query.after,
            // One more tells whether there are more.
            documents: skipped(query) + query.limit + 1,
        }
    }
}

/// Results before the page.
pub(super) fn skipped(query: &Query) -> usize {
    query.after.map_or(query.offset, |_| 0)
}

/// The first documents of a segment.
pub(super) struct Top {
    wanted: usize,
    after: Option<Position>,
    columns: Columns,
    /// At most twice as many as are wanted.
    kept: Vec<(Position, DocId)>,
    /// What comes later isn't among them.
    last: Option<Position>,
    earliest_ms: i64,
}

/// What [`Top`] took.
pub(super) struct Taken {
    /// The first, in their order.
    pub(super) first: Vec<(Position, DocId)>,
    /// When the soonest of all begins, whether it is among the first or not.
    pub(super) earliest_ms: i64,
}

/// Steps that two scores differ by, if they do: what they are sums of may be added up in another order
/// in another segment.
const SCORE_STEPS: Score = 1024.0;
/// Where a step begins: no sum of twentieths, and of parts of one by fewer than 512, is there.
const STEP_BEGINS: Score = 0.3;

fn steps(score: Score) -> u32 {
    (score * SCORE_STEPS + STEP_BEGINS).floor() as u32
}

impl Top {
    pub(super) fn new(wanted: &Wanted, segment: &SegmentReader) -> tantivy::Result<Self> {
        Ok(Self {
            wanted: wanted.documents,
            after: wanted.after,
            columns: Columns::new(wanted.sort, segment)?,
            kept: Vec::new(),
            last: None,
            earliest_ms: i64::MAX,
        })
    }

    /// Takes documents; there is a score for each, or none at all.
    pub(super) fn take(&mut self, documents: &[DocId], scores: &[Score]) {
        self.columns.read(documents, scores);
        let earliest = self.columns.block_times.iter().min();
        self.earliest_ms = self.earliest_ms.min(earliest.copied().unwrap_or(i64::MAX));
        for (nth, document) in documents.iter().enumerate() {
            let (first, time) = (self.columns.firsts[nth], self.columns.block_times[nth]);
            if self
                .last
                .is_some_and(|last| (first, time) > (last.0, last.1))
            {
                continue;
            }
            let tie = self.columns.ties.first(*document).unwrap_or(u64::MAX);
            let key = (first, time, tie);
            let is_before = self.after.is_some_and(|after| key <= after);
            if is_before || self.last.is_some_and(|last| key >= last) {
                continue;
            }
            self.kept.push((key, *document));
            if self.kept.len() == 2 * self.wanted {
                self.kept.select_nth_unstable(self.wanted - 1);
                self.kept.truncate(self.wanted);
                self.last = self.kept.last().map(|(key, _)| *key);
            }
        }
    }

    pub(super) fn into_taken(mut self) -> Taken {
        self.kept.sort_unstable();
        self.kept.truncate(self.wanted);
        self.kept.shrink_to_fit();
        Taken {
            first: self.kept,
            earliest_ms: self.earliest_ms,
        }
    }
}

/// What a key is made of in one segment, and that of the documents at hand.
struct Columns {
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
    fn new(sort: Sort, segment: &SegmentReader) -> tantivy::Result<Self> {
        let columns = segment.fast_fields();
        let by = match sort {
            Sort::Relevance => By::Score,
            Sort::Date => By::Nothing,
            Sort::Distance(from) => By::Distance(from, columns.u64(PLACE)?),
            Sort::Price => By::Price(columns.i64(PRICE_ORDER)?),
        };
        Ok(Self {
            by,
            times: columns.i64(STARTS_AT)?,
            ties: columns.u64(TIE)?,
            firsts: Vec::new(),
            block: Vec::new(),
            block_times: Vec::new(),
        })
    }

    fn read(&mut self, documents: &[DocId], scores: &[Score]) {
        self.firsts.clear();
        match &self.by {
            // The best first.
            By::Score => {
                let first = |score: &Score| u64::from(u32::MAX - steps(*score));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_differ_by_how_they_were_added_up_are_equal() {
        let [city, title, last]: [Score; 3] = [2.0 * 0.9, 5.0, 7.4];
        let sums = [
            city + title + last,
            title + last + city,
            last + city + title,
        ];
        assert!(sums.iter().any(|other| *other != sums[0]), "{sums:?}");
        assert!(sums.iter().all(|other| steps(*other) == steps(sums[0])));
        assert!(
            steps(14.2) == steps(14.2_f32.next_up()) && steps(14.2) == steps(14.2_f32.next_down())
        );
        assert!(steps(0.35) > steps(0.2) && steps(0.0) == 0);
    }
}
