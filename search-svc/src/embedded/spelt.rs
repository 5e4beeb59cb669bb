//! Words that aren't written as they were asked for: with mistakes, or only begun.
//!
//! Always holds: a segment's dictionary never changes, so which of its words are meant is looked for once,
//! which takes longer than to read what has them, and kept while it is asked for. Memory is bounded.

use std::{
    mem,
    sync::{Arc, OnceLock},
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tantivy::{
    BitSet, DocId, Score, SegmentReader, TantivyError, Term,
    index::SegmentId,
    postings::TermInfo,
    query::{
        AutomatonWeight, BitSetDocSet, ConstScorer, DfaWrapper, EmptyScorer, EnableScoring,
        Explanation, FuzzyTermQuery, Query, Scorer, Weight,
    },
    schema::{Field, IndexRecordOption},
};

use super::kept::IDLE_MAX;

/// Of what is kept: some ten thousand words, ways of writing, fields and segments.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// About what an entry takes beside the words that were found.
const ENTRY_BYTES: usize = 320;

/// How a word may be written, with how many mistakes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    Whole(u8),
    Begun(u8),
}

/// A word, and how it may be written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Written {
    word: String,
    way: Way,
}

/// The same with what takes all words that are meant, built when a dictionary is looked through.
pub(super) struct Pattern {
    written: Arc<Written>,
    automaton: OnceLock<Arc<DfaWrapper>>,
}

impl Pattern {
    pub(super) fn new(word: &str, way: Way) -> Self {
        let word = word.to_owned();
        Self {
            written: Arc::new(Written { word, way }),
            automaton: OnceLock::new(),
        }
    }

    fn automaton(&self) -> tantivy::Result<Arc<DfaWrapper>> {
        if let Some(built) = self.automaton.get() {
            return Ok(Arc::clone(built));
        }
        // The field is no part of it.
        let term = Term::from_field_text(Field::from_field_id(0), &self.written.word);
        let fuzzy = match self.written.way {
            Way::Whole(mistakes) => FuzzyTermQuery::new(term, mistakes, true),
            Way::Begun(mistakes) => FuzzyTermQuery::new_prefix(term, mistakes, true),
        };
        let built = Arc::new(fuzzy.automaton()?);
        Ok(Arc::clone(self.automaton.get_or_init(|| built)))
    }
}

/// The words that are meant, by segment and field.
#[derive(Debug)]
pub(super) struct Words(Cache<(SegmentId, Field, Arc<Written>), Arc<[TermInfo]>>);

impl Words {
    pub(super) fn new() -> Self {
        let weight = |(_, _, written): &(_, _, Arc<Written>), words: &Arc<[TermInfo]>| {
            let bytes = ENTRY_BYTES + written.word.len() + mem::size_of_val(&**words);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .weigher(weight)
            .max_capacity(BYTES_MAX)
            .time_to_idle(IDLE_MAX)
            .eviction_policy(EvictionPolicy::lru());
        Self(cache.build())
    }

    fn of(
        &self,
        segment: &SegmentReader,
        field: Field,
        pattern: &Pattern,
    ) -> tantivy::Result<Arc<[TermInfo]>> {
        let key = (segment.segment_id(), field, Arc::clone(&pattern.written));
        if let Some(words) = self.0.get(&key) {
            return Ok(words);
        }
        let all = AutomatonWeight::<DfaWrapper>::new(field, pattern.automaton()?);
        let words: Arc<[TermInfo]> = all.get_match_term_infos(segment)?.into();
        self.0.insert(key, Arc::clone(&words));
        Ok(words)
    }
}

/// What has any of the words in a field.
#[derive(Clone)]
pub(super) struct Spelt {
    pub(super) field: Field,
    pub(super) pattern: Arc<Pattern>,
    pub(super) words: Arc<Words>,
}

impl std::fmt::Debug for Spelt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spelt")
            .field("field", &self.field)
            .field("written", &self.pattern.written)
            .finish_non_exhaustive()
    }
}

impl Query for Spelt {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Spelt {
    fn scorer(&self, segment: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let words = self.words.of(segment, self.field, &self.pattern)?;
        if words.is_empty() {
            return Ok(Box::new(EmptyScorer));
        }
        let index = segment.inverted_index(self.field)?;
        let mut documents = BitSet::with_max_value(segment.max_doc());
        for word in words.iter() {
            let mut blocks =
                index.read_block_postings_from_terminfo(word, IndexRecordOption::Basic)?;
            while !blocks.docs().is_empty() {
                for document in blocks.docs() {
                    documents.insert(*document);
                }
                blocks.advance();
            }
        }
        Ok(Box::new(ConstScorer::new(
            BitSetDocSet::from(documents),
            boost,
        )))
    }

    fn explain(&self, segment: &SegmentReader, document: DocId) -> tantivy::Result<Explanation> {
        let mut scorer = self.scorer(segment, 1.0)?;
        if scorer.doc() <= document && scorer.seek(document) == document {
            return Ok(Explanation::new("Spelt", 1.0));
        }
        let why = format!("document {document} has none of the words");
        Err(TantivyError::InvalidArgument(why))
    }
}
