//! Documents of one segment, looked at together, and what must hold of them beside what is looked up.
//!
//! Always holds: numbers that must be within bounds are read of what fits otherwise, in blocks, and not
//! looked for in the whole segment: words leave little of it. Where all of a segment is within them, or
//! none, nothing is read.

use std::{mem, ops::RangeInclusive};

use tantivy::{
    DocId, Score, SegmentReader,
    columnar::{Column, ColumnIndex},
    fastfield::AliveBitSet,
};

use super::{
    schema::{DAY, PLACE, PRICE_FROM, PRICE_MAX, SALE_FROM, SALE_UNTIL, STARTS_AT},
    top::first_of_each,
};
use crate::{
    place::Place,
    query::{Near, Query},
};

/// Bounds of what a question asks for, by the fast field.
fn bounds(query: &Query) -> Vec<(&'static str, RangeInclusive<i64>)> {
    let from = |least: Option<i64>| least.unwrap_or(i64::MIN);
    let to = |most: Option<i64>| most.unwrap_or(i64::MAX);
    let until = query.to_ms.map(|ms| ms.saturating_sub(1));
    let (from_day, to_day) = (query.from_day.map(i64::from), query.to_day.map(i64::from));
    let mut all = vec![
        (STARTS_AT, query.from_ms..=to(until)),
        (DAY, from(from_day)..=to(to_day)),
    ];
    if let Some(now) = query.on_sale_at_ms {
        all.push((SALE_FROM, i64::MIN..=now));
        all.push((SALE_UNTIL, now.saturating_add(1)..=i64::MAX));
    }
    if let Some(price) = &query.price {
        // Its cheapest seat isn't too dear, and its dearest not too cheap.
        all.push((PRICE_FROM, i64::MIN..=to(price.max)));
        all.push((PRICE_MAX, from(price.min)..=i64::MAX));
    }
    all.retain(|(_, bounds)| *bounds != (i64::MIN..=i64::MAX));
    all
}

/// Documents.
pub(super) struct Block<'a> {
    pub(super) documents: Vec<DocId>,
    /// One for each document, or none.
    pub(super) scores: Vec<Score>,
    alive: Option<&'a AliveBitSet>,
    /// What not all of the segment is within.
    bounds: Vec<(RangeInclusive<i64>, Column<i64>)>,
    numbers: Vec<i64>,
    /// A circle, and where the documents are.
    near: Option<(Near, Column<u64>)>,
    places: Vec<u64>,
    /// Nothing of the segment is within the bounds.
    pub(super) is_void: bool,
}

impl<'a> Block<'a> {
    /// None yet, and what must hold of those that come.
    pub(super) fn new(segment: &'a SegmentReader, query: &Query) -> tantivy::Result<Self> {
        let columns = segment.fast_fields();
        let (mut within, mut is_void) = (Vec::new(), false);
        for (field, bounds) in bounds(query) {
            let column = columns.i64(field)?;
            let (least, most) = (column.min_value(), column.max_value());
            let holds_of_all = bounds.contains(&least) && bounds.contains(&most);
            is_void |= is_full(&column) && (most < *bounds.start() || least > *bounds.end());
            if !is_full(&column) || !holds_of_all {
                within.push((bounds, column));
            }
        }
        let place = |near| Ok::<_, tantivy::TantivyError>((near, columns.u64(PLACE)?));
        Ok(Self {
            documents: Vec::new(),
            scores: Vec::new(),
            alive: segment.alive_bitset(),
            bounds: within,
            numbers: Vec::new(),
            near: query.near.map(place).transpose()?,
            places: Vec::new(),
            is_void,
        })
    }

    /// Leaves out what was deleted, isn't within the bounds or is outside the circle.
    pub(super) fn leave_out(&mut self) {
        if let Some(alive) = self.alive {
            self.keep(|_, document| alive.is_alive(document));
        }
        let (all, mut numbers) = (mem::take(&mut self.bounds), mem::take(&mut self.numbers));
        for (bounds, column) in &all {
            if is_full(column) {
                first_of_each(column, &self.documents, i64::MAX, &mut numbers);
                self.keep(|nth, _| bounds.contains(&numbers[nth]));
            } else {
                let number = |document| column.first(document);
                self.keep(|_, document| number(document).is_some_and(|it| bounds.contains(&it)));
            }
        }
        (self.bounds, self.numbers) = (all, numbers);
        if let Some((near, column)) = self.near.take() {
            let mut places = mem::take(&mut self.places);
            first_of_each(&column, &self.documents, u64::MAX, &mut places);
            let radius_m = f64::from(near.radius_m);
            let is_inside =
                |nth: usize, _| Place::unpack(places[nth]).distance_m(near.place) <= radius_m;
            self.keep(is_inside);
            self.places = places;
            self.near = Some((near, column));
        }
    }

    fn keep(&mut self, stays: impl Fn(usize, DocId) -> bool) {
        let mut end = 0;
        for nth in 0..self.documents.len() {
            if stays(nth, self.documents[nth]) {
                self.documents[end] = self.documents[nth];
                if let Some(score) = self.scores.get(nth) {
                    self.scores[end] = *score;
                }
                end += 1;
            }
        }
        self.documents.truncate(end);
        self.scores.truncate(end);
    }
}

/// Whether every document has a number.
fn is_full(column: &Column<i64>) -> bool {
    matches!(column.index, ColumnIndex::Full)
}
