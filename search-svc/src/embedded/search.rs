//! From a question to documents.
//!
//! Always holds: one pass over what fits in a segment orders it, counts it and counts its facets; what
//! segments answer is put together, whether they answer now or did before.

use std::{ops::Bound, sync::Arc};

use holdfast_proto::search::v1::FoundShow;
use prost::Message;
use tantivy::{
    COLLECT_BLOCK_BUFFER_LEN, DocAddress, DocId, Searcher, SegmentReader, TantivyDocument, Term,
    query::{
        AllQuery, BooleanQuery, ConstScoreQuery, EnableScoring, Occur, Query as Clause, RangeQuery,
        TermSetQuery, Weight,
    },
    schema::Value,
};

use super::{
    block::Block,
    kept::{Answer, Documents, Kept},
    schema::Fields,
    tally::Tally,
    top::{Top, Wanted, skipped},
    words::{self, exact},
};
use crate::{
    index::{Found, Total},
    place,
    query::{Position, Query, Sort},
};

/// The state of what is on sale.
const ON_SALE: &str = "ON_SALE";

/// What fits `query`.
pub(super) fn search(
    searcher: &Searcher,
    fields: &Fields,
    kept: &Kept,
    query: &Query,
) -> tantivy::Result<Found> {
    kept.values.forget_all_but(searcher.segment_readers());
    let (wanted, skipped) = (Wanted::of(query), skipped(query));
    let asked = kept.of(query, &wanted);
    let mut tally = Tally::new(&query.facets, &kept.values);
    let mut answers = Vec::new();
    let mut weight = None;
    for segment in searcher.segment_readers() {
        let before = asked.as_ref().and_then(|asked| asked.answer(segment));
        answers.push(match before {
            Some(answer) => answer,
            None => {
                let weight = match &weight {
                    Some(weight) => weight,
                    None => weight.insert(weigh(searcher, fields, kept, query, &wanted)?),
                };
                let found = in_segment(&**weight, segment, query, &wanted, &tally)?;
                match &asked {
                    Some(asked) => asked.keep(segment, found),
                    None => Arc::new(found),
                }
            }
        });
    }
    let tag = asked.map(|asked| asked.tag(&answers)).unwrap_or_default();
    if !tag.is_empty() && tag == query.known {
        return Ok(Found {
            tag,
            unchanged: true,
            ..Found::default()
        });
    }
    let (mut total, mut first) = (0, Vec::new());
    for (ordinal, answer) in (0..).zip(&answers) {
        total += answer.total;
        tally.add(&answer.counted);
        let address = |(position, document): &(Position, DocId)| {
            (*position, DocAddress::new(ordinal, *document))
        };
        first.extend(answer.first.iter().map(address));
    }
    first.sort_unstable();
    let end = first.len().min(skipped + query.limit);
    let more = first.len() > end;
    let page = first.get(skipped..end).unwrap_or_default();
    let shows = page
        .iter()
        .map(|(_, address)| shown(searcher, fields, *address))
        .collect::<tantivy::Result<_>>()?;
    Ok(Found {
        shows,
        more,
        last: page.last().map(|(position, _)| *position),
        total: Total::Exact(total),
        facets: tally.counts(),
        tag,
        unchanged: false,
    })
}

fn weigh(
    searcher: &Searcher,
    fields: &Fields,
    kept: &Kept,
    query: &Query,
    wanted: &Wanted,
) -> tantivy::Result<Box<dyn Weight>> {
    clause(searcher, fields, kept, query)?.weight(match wanted.sort {
        Sort::Relevance => EnableScoring::enabled_from_searcher(searcher),
        _ => EnableScoring::disabled_from_searcher(searcher),
    })
}

/// What fits in one segment.
fn in_segment(
    weight: &dyn Weight,
    segment: &SegmentReader,
    query: &Query,
    wanted: &Wanted,
    tally: &Tally<'_>,
) -> tantivy::Result<Answer> {
    let mut counted = tally.in_segment(segment)?;
    let mut top = Top::new(wanted, segment)?;
    let mut found = Documents::none_of(segment);
    let mut block = Block::new(segment, query)?;
    let mut take = |block: &mut Block| {
        block.leave_out();
        found.add(&block.documents);
        counted.count(&block.documents);
        top.take(&block.documents, &block.scores);
        block.documents.clear();
        block.scores.clear();
    };
    if block.is_void {
        // Nothing to look through.
    } else if matches!(wanted.sort, Sort::Relevance) {
        weight.for_each(segment, &mut |document, score| {
            block.documents.push(document);
            block.scores.push(score);
            if block.documents.len() == COLLECT_BLOCK_BUFFER_LEN {
                take(&mut block);
            }
        })?;
        take(&mut block);
    } else {
        weight.for_each_no_score(segment, &mut |documents| {
            block.documents.extend_from_slice(documents);
            take(&mut block);
        })?;
    }
    let counted = counted.into_counted();
    Ok(Answer::new(
        segment,
        query.from_ms,
        found,
        counted,
        top.into_taken(),
    ))
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

fn clause(
    searcher: &Searcher,
    fields: &Fields,
    kept: &Kept,
    query: &Query,
) -> tantivy::Result<BooleanQuery> {
    let mut all = filters(fields, query);
    let of_words = words::anywhere(searcher, fields, &kept.words, query)?;
    if all.is_empty() && query.words.is_empty() {
        all.push(Box::new(AllQuery));
    }
    let filters = all.into_iter().map(|clause| (Occur::Must, clause));
    Ok(BooleanQuery::new(filters.chain(of_words).collect()))
}

/// What must hold of a show but its words and what [`Block`] looks at.
fn filters(fields: &Fields, query: &Query) -> Vec<Box<dyn Clause>> {
    let mut all = Vec::new();
    let exactly = [
        (fields.category, query.category.as_deref()),
        (fields.city_key, query.city.as_deref()),
        (fields.country, query.country.as_deref()),
        (fields.state, query.on_sale_at_ms.map(|_| ON_SALE)),
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

/// Decides who is found, not who comes first.
fn filter(clause: impl Clause) -> Box<dyn Clause> {
    Box::new(ConstScoreQuery::new(Box::new(clause), 0.0))
}
