//! From a question to documents.
//!
//! Always holds: one pass over what fits orders it, counts it and counts its facets; of all that
//! fits, only the page is kept.

use std::{ops::Bound, sync::Arc};

use holdfast_proto::search::v1::FoundShow;
use prost::Message;
use tantivy::{
    DocAddress, DocId, Order, Score, Searcher, SegmentReader, TantivyDocument, Term,
    collector::{
        Collector, FilterCollector, SegmentSortKeyComputer, SortKeyComputer, TopDocs,
        sort_key::{NaturalComparator, SortBySimilarityScore, SortByStaticFastValue},
    },
    columnar::Column,
    query::{BooleanQuery, ConstScoreQuery, Occur, Query as Clause, RangeQuery, TermSetQuery},
    schema::{Field, Value},
};

use super::{
    schema::{Fields, PLACE, PRICE_ORDER, STARTS_AT, TIE},
    tally::{Tallied, Tally, Values},
    words::{self, exact},
};
use crate::{
    index::{Found, Total},
    place::{self, Place},
    query::{Near, Query, Sort},
};

/// The state of what is on sale.
const ON_SALE: &str = "ON_SALE";

/// What fits `query`.
pub(super) fn search(
    searcher: &Searcher,
    fields: &Fields,
    values: &Arc<Values>,
    query: &Query,
) -> tantivy::Result<Found> {
    values.forget_all_but(searcher.segment_readers());
    let clause = clause(fields, query)?;
    let tally = Tally {
        facets: query.facets.clone(),
        values: Arc::clone(values),
    };
    // One more tells whether there are more.
    let top = TopDocs::with_limit(query.limit + 1).and_offset(query.offset);
    let time = (
        SortByStaticFastValue::<i64>::for_field(STARTS_AT),
        Order::Asc,
    );
    let tie = (SortByStaticFastValue::<u64>::for_field(TIE), Order::Asc);
    let all = Passes {
        searcher,
        clause: &clause,
        near: query.near,
    };
    let (mut addresses, tallied) = match query.sort {
        Sort::Relevance => {
            let best = (SortBySimilarityScore, Order::Desc);
            all.collect(top.order_by((best, time, tie)), &tally)
        }
        Sort::Date => all.collect(top.order_by((time, tie)), &tally),
        Sort::Distance(from) => {
            let nearest = (ByDistance { from }, Order::Asc);
            all.collect(top.order_by((nearest, time, tie)), &tally)
        }
        Sort::Price => {
            let price = SortByStaticFastValue::<i64>::for_field(PRICE_ORDER);
            all.collect(top.order_by(((price, Order::Asc), time, tie)), &tally)
        }
    }?;
    let more = addresses.len() > query.limit;
    addresses.truncate(query.limit);
    let shows = addresses
        .into_iter()
        .map(|address| shown(searcher, fields, address))
        .collect::<tantivy::Result<_>>()?;
    Ok(Found {
        shows,
        more,
        total: Total::Exact(tallied.total),
        facets: tally.counts(&tallied),
    })
}

/// What is answered of a document.
pub(super) fn shown(
    searcher: &Searcher,
    fields: &Fields,
    address: DocAddress,
) -> tantivy::Result<FoundShow> {
    let document: TantivyDocument = searcher.doc(address)?;
    let shown = document.get_first(fields.shown);
    let show = shown
        .and_then(|value| value.as_bytes())
        .and_then(|bytes| FoundShow::decode(bytes).ok());
    show.ok_or_else(|| {
        let what = "a document without what it shows".to_owned();
        tantivy::TantivyError::InternalError(what)
    })
}

struct Passes<'a> {
    searcher: &'a Searcher,
    clause: &'a dyn Clause,
    near: Option<Near>,
}

impl Passes<'_> {
    /// The documents in their order, and how many there are, those outside the circle left out.
    fn collect<K: Send + 'static>(
        &self,
        ordered: impl Collector<Fruit = Vec<(K, DocAddress)>>,
        tally: &Tally,
    ) -> tantivy::Result<(Vec<DocAddress>, Tallied)> {
        let tally = Tally {
            facets: tally.facets.clone(),
            values: Arc::clone(&tally.values),
        };
        let collector = (ordered, tally);
        let (found, tallied) = match self.near {
            None => self.searcher.search(self.clause, &collector)?,
            Some(near) => {
                let radius_m = f64::from(near.radius_m);
                let is_inside =
                    move |packed: u64| Place::unpack(packed).distance_m(near.place) <= radius_m;
                let inside = FilterCollector::new(PLACE.to_owned(), is_inside, collector);
                self.searcher.search(self.clause, &inside)?
            }
        };
        let addresses = found.into_iter().map(|(_, address)| address).collect();
        Ok((addresses, tallied))
    }
}

fn clause(fields: &Fields, query: &Query) -> tantivy::Result<BooleanQuery> {
    let mut all = filters(fields, query);
    let of_words = words::anywhere(fields, &query.words)?;
    let filters = all.drain(..).map(|clause| (Occur::Must, clause));
    Ok(BooleanQuery::new(filters.chain(of_words).collect()))
}

/// All that must hold of a show but its words.
fn filters(fields: &Fields, query: &Query) -> Vec<Box<dyn Clause>> {
    let time = |ms| Term::from_field_i64(fields.starts_at_ms, ms);
    let until = query
        .to_ms
        .map_or(Bound::Unbounded, |ms| Bound::Excluded(time(ms)));
    let mut all = vec![filter(RangeQuery::new(
        Bound::Included(time(query.from_ms)),
        until,
    ))];
    let exactly = [
        (fields.category, query.category.as_deref()),
        (fields.city_key, query.city.as_deref()),
        (fields.country, query.country.as_deref()),
        (fields.state, query.on_sale.then_some(ON_SALE)),
        (
            fields.currency,
            query.price.as_ref().map(|price| &*price.currency),
        ),
    ];
    for (field, value) in exactly {
        if let Some(value) = value {
            all.push(filter(exact(field, value)));
        }
    }
    let (from_day, to_day) = (query.from_day.map(i64::from), query.to_day.map(i64::from));
    all.extend(between(fields.day, from_day, to_day));
    if let Some(price) = &query.price {
        // Its cheapest seat isn't too dear, and its dearest not too cheap.
        all.extend(between(fields.price_from, None, price.max));
        all.extend(between(fields.price_max, price.min, None));
    }
    if let Some(near) = query.near
        && let Some(cells) = place::cover(near.place, near.radius_m)
    {
        let cells = cells
            .into_iter()
            .map(|cell| Term::from_field_u64(fields.cells, cell));
        all.push(filter(TermSetQuery::new(cells)));
    }
    all
}

/// From then on.
pub(super) fn from(fields: &Fields, from_ms: i64) -> Box<dyn Clause> {
    let from = Term::from_field_i64(fields.starts_at_ms, from_ms);
    filter(RangeQuery::new(Bound::Included(from), Bound::Unbounded))
}

/// Both included; no clause without bounds.
fn between(field: Field, min: Option<i64>, max: Option<i64>) -> Option<Box<dyn Clause>> {
    let bound = |of: Option<i64>| {
        of.map_or(Bound::Unbounded, |of| {
            Bound::Included(Term::from_field_i64(field, of))
        })
    };
    (min.is_some() || max.is_some()).then(|| filter(RangeQuery::new(bound(min), bound(max))))
}

/// Decides who is found, not who comes first.
fn filter(clause: impl Clause) -> Box<dyn Clause> {
    Box::new(ConstScoreQuery::new(Box::new(clause), 0.0))
}

/// Sorts by distance, in millimetres.
struct ByDistance {
    from: Place,
}

impl SortKeyComputer for ByDistance {
    type SortKey = u64;
    type Child = DistanceInSegment;
    type Comparator = NaturalComparator;

    fn segment_sort_key_computer(&self, segment: &SegmentReader) -> tantivy::Result<Self::Child> {
        Ok(DistanceInSegment {
            from: self.from,
            places: segment.fast_fields().u64(PLACE)?,
        })
    }
}

struct DistanceInSegment {
    from: Place,
    places: Column<u64>,
}

impl SegmentSortKeyComputer for DistanceInSegment {
    type SortKey = u64;
    type SegmentSortKey = u64;
    type SegmentComparator = NaturalComparator;

    fn segment_sort_key(&mut self, document: DocId, _score: Score) -> u64 {
        self.places.first(document).map_or(u64::MAX, |packed| {
            let distance_m = Place::unpack(packed).distance_m(self.from);
            (distance_m * 1000.0) as u64
        })
    }

    fn convert_segment_sort_key(&self, sort_key: u64) -> u64 {
        sort_key
    }
}
