//! What the index has of shows, in order of their ids.
//!
//! Always holds: read from the dictionaries of the segments, which are in that order; no more is in
//! memory than is asked for.

use std::collections::BTreeMap;

use holdfast_types::ShowId;
use tantivy::{DocSet as _, Searcher, TERMINATED, schema::IndexRecordOption};

use super::schema::{CONTENT, Fields};

/// Shows with ids after the one and up to the other, at most `max`, each with its content.
pub(super) fn contents(
    searcher: &Searcher,
    fields: &Fields,
    after: Option<ShowId>,
    up_to: Option<ShowId>,
    max: usize,
) -> tantivy::Result<Vec<(ShowId, u64)>> {
    let mut found: BTreeMap<ShowId, u64> = BTreeMap::new();
    for segment in searcher.segment_readers() {
        let ids = segment.inverted_index(fields.show_id)?;
        let content = segment.fast_fields().u64(CONTENT)?;
        let mut range = ids.terms().range();
        if let Some(after) = after {
            range = range.gt(after.to_bytes());
        }
        if let Some(up_to) = up_to {
            range = range.le(up_to.to_bytes());
        }
        let mut terms = range.into_stream()?;
        let mut of_segment = 0;
        while of_segment < max && terms.advance() {
            let Ok(id) = ShowId::from_slice(terms.key()) else {
                continue;
            };
            let mut documents =
                ids.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
            // One at most is left of them.
            while documents.doc() != TERMINATED {
                if !segment.is_deleted(documents.doc()) {
                    found.insert(id, content.first(documents.doc()).unwrap_or_default());
                    of_segment += 1;
                }
                documents.advance();
            }
        }
        while found.len() > max {
            found.pop_last();
        }
    }
    Ok(found.into_iter().collect())
}
