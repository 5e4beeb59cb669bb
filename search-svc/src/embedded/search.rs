//! From a question to documents.
//!
//! Always holds: queries are put together from words and values, never parsed from text, so nothing
//! that a customer writes is an operator. Every word must be there; how it may be there differs:
//! as it is, misspelt, or, for the last, as a beginning.

use std::ops::Bound;

use holdfast_proto::search::v1::FoundShow;
use prost::Message;
use tantivy::{
    DocAddress, DocId, Order, Score, Searcher, SegmentReader, TantivyDocument, Term,
    collector::{
        Collector, FilterCollector, SegmentSortKeyComputer, SortKeyComputer, TopDocs,
        sort_key::{NaturalComparator, SortBySimilarityScore, SortByStaticFastValue},
    },
    columnar::Column,
    query::{
        BooleanQuery, ConstScoreQuery, FuzzyTermQuery, Occur, Query as Clause, RangeQuery,
        TermQuery, TermSetQuery,
    },
    schema::{Field, IndexRecordOption, Value},
};

use super::schema::{Fields, PLACE, STARTS_AT, TIE};
use crate::{
    index::Found,
    place::{self, Place},
    query::{Near, Query, Sort},
};

/// Letters from which on a word may have one and two mistakes, as Meilisearch has it.
const ONE_TYPO_LETTERS: usize = 4;
const TWO_TYPOS_LETTERS: usize = 8;

/// Where a word counts how much. Rare words count no more than others: a word that is rare among
/// cities and common among titles would put the city first.
const TITLE_SCORE: Score = 4.0;
const PLACE_SCORE: Score = 2.0;
const DESCRIPTION_SCORE: Score = 1.0;
/// What a word that is only begun or misspelt counts, as a part of the above.
const BEGUN: Score = 0.5;
const MISSPELT: Score = 0.25;

/// What fits `query`.
pub(super) fn search(
    searcher: &Searcher,
    fields: &Fields,
    query: &Query,
) -> tantivy::Result<Found> {
    let clause = clause(fields, query);
    // One more tells whether there are more.
    let top = TopDocs::with_limit(query.limit + 1).and_offset(query.offset);
    let time = (
        SortByStaticFastValue::<i64>::for_field(STARTS_AT),
        Order::Asc,
    );
    let tie = (SortByStaticFastValue::<u64>::for_field(TIE), Order::Asc);
    let near = query.near;
    let mut addresses = match query.sort {
        Sort::Relevance => {
            let best = (SortBySimilarityScore, Order::Desc);
            collect(searcher, &clause, top.order_by((best, time, tie)), near)
        }
        Sort::Date => collect(searcher, &clause, top.order_by((time, tie)), near),
        Sort::Distance(from) => {
            let nearest = (ByDistance { from }, Order::Asc);
            collect(searcher, &clause, top.order_by((nearest, time, tie)), near)
        }
    }?;
    let more = addresses.len() > query.limit;
    addresses.truncate(query.limit);
    let shows = addresses
        .into_iter()
        .map(|address| shown(searcher, fields, address))
        .collect::<tantivy::Result<_>>()?;
    Ok(Found { shows, more })
}

fn shown(searcher: &Searcher, fields: &Fields, address: DocAddress) -> tantivy::Result<FoundShow> {
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

/// The documents in their order, those outside the circle left out.
fn collect<K>(
    searcher: &Searcher,
    clause: &dyn Clause,
    collector: impl Collector<Fruit = Vec<(K, DocAddress)>>,
    near: Option<Near>,
) -> tantivy::Result<Vec<DocAddress>> {
    let found = match near {
        None => searcher.search(clause, &collector)?,
        Some(near) => {
            let radius_m = f64::from(near.radius_m);
            let is_inside =
                move |packed: u64| Place::unpack(packed).distance_m(near.place) <= radius_m;
            let inside = FilterCollector::new(PLACE.to_owned(), is_inside, collector);
            searcher.search(clause, &inside)?
        }
    };
    Ok(found.into_iter().map(|(_, address)| address).collect())
}

fn clause(fields: &Fields, query: &Query) -> BooleanQuery {
    let mut all: Vec<Box<dyn Clause>> = Vec::new();
    let from = Term::from_field_i64(fields.starts_at_ms, query.from_ms);
    let to = query
        .to_ms
        .map(|to_ms| Term::from_field_i64(fields.starts_at_ms, to_ms));
    let time = RangeQuery::new(
        Bound::Included(from),
        to.map_or(Bound::Unbounded, Bound::Excluded),
    );
    all.push(filter(time));
    if let Some(category) = &query.category {
        all.push(filter(exact(fields.category, category)));
    }
    if let Some(city) = &query.city {
        all.push(filter(exact(fields.city_key, city)));
    }
    if let Some(near) = query.near
        && let Some(cells) = place::cover(near.place, near.radius_m)
    {
        let cells = cells
            .into_iter()
            .map(|cell| Term::from_field_u64(fields.cells, cell));
        all.push(filter(TermSetQuery::new(cells)));
    }
    let last = query.words.len().saturating_sub(1);
    for (nth, word) in query.words.iter().enumerate() {
        all.push(there(fields, word, nth == last));
    }
    BooleanQuery::intersection(all)
}

/// Decides who is found, not who comes first.
fn filter(clause: impl Clause) -> Box<dyn Clause> {
    Box::new(ConstScoreQuery::new(Box::new(clause), 0.0))
}

fn exact(field: Field, value: &str) -> TermQuery {
    TermQuery::new(
        Term::from_field_text(field, value),
        IndexRecordOption::Basic,
    )
}

/// `word` anywhere.
fn there(fields: &Fields, word: &str, is_last: bool) -> Box<dyn Clause> {
    let mut ways: Vec<(Occur, Box<dyn Clause>)> = Vec::new();
    let mut may = |clause: Box<dyn Clause>| ways.push((Occur::Should, clause));
    for (field, score) in [
        (fields.title, TITLE_SCORE),
        (fields.venue, PLACE_SCORE),
        (fields.city, PLACE_SCORE),
    ] {
        let term = || Term::from_field_text(field, word);
        may(scored(exact(field, word), score));
        if let Some(typos) = typos(word) {
            let misspelt = FuzzyTermQuery::new(term(), typos, true);
            may(scored(misspelt, MISSPELT * score));
        }
        if is_last {
            let begun = FuzzyTermQuery::new_prefix(term(), 0, true);
            may(scored(begun, BEGUN * score));
        }
    }
    // Long texts have something like everything: as it is only.
    may(scored(exact(fields.description, word), DESCRIPTION_SCORE));
    Box::new(BooleanQuery::new(ways))
}

fn scored(clause: impl Clause, score: Score) -> Box<dyn Clause> {
    Box::new(ConstScoreQuery::new(Box::new(clause), score))
}

/// Mistakes that `word` may have. Another number is another thing.
fn typos(word: &str) -> Option<u8> {
    if word.chars().any(char::is_numeric) {
        return None;
    }
    match word.chars().count() {
        TWO_TYPOS_LETTERS.. => Some(2),
        ONE_TYPO_LETTERS.. => Some(1),
        _ => None,
    }
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
