//! What segments answered before.
//!
//! Always holds: a segment never changes but that documents of it are deleted, and how documents are
//! scored doesn't depend on other segments; so what one answered stays its answer to the same question
//! until one of the documents that it found is deleted. To the question from a later time on it stays
//! the answer until that has passed the soonest show that was found. Segments that are merged are asked
//! anew. Memory is bounded.

use std::{
    hash::{BuildHasher, RandomState},
    mem,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tantivy::{DocId, SegmentReader, index::SegmentId};

use super::{
    spelt::Words,
    tally::{Counted, Values},
    top::{Taken, Wanted},
};
use crate::{
    metric,
    query::{Position, Query, Spelling},
};

/// Of all answers kept: of a million shows some thousand, where many fit each, and a hundred times as
/// many where few do.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What nobody asks again in this time goes, and with it what is kept of segments that are merged.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);

/// Documents wanted of one question, up to which its answers are kept: whoever pages on asks what
/// few ask.
const WANTED_MAX: usize = 1_000;

/// About what an entry takes beside the answer: the question, each of its words, and what the cache knows
/// of it.
const ENTRY_BYTES: usize = 640;
const WORD_BYTES: usize = 64;

/// Questions from two times of one such span on are kept as one.
const SPAN_MS: i64 = 24 * 60 * 60 * 1000;

/// Answers of segments to questions.
#[derive(Debug)]
pub(super) struct Kept {
    answers: Cache<(SegmentId, Arc<Query>), Arc<Answer>>,
    /// Which answers have the numbers of.
    pub(super) values: Values,
    /// Which words are meant.
    pub(super) words: Arc<Words>,
    /// Tells these answers from those of another process, or of an index before this one.
    by: u64,
    numbers: AtomicU64,
}

impl Kept {
    pub(super) fn new() -> Self {
        let weight = |(_, query): &(_, Arc<Query>), answer: &Arc<Answer>| {
            let words = query.words.len() + 2 * query.pairs.len();
            let question = ENTRY_BYTES + words * WORD_BYTES;
            u32::try_from(question + answer.bytes()).unwrap_or(u32::MAX)
        };
        Self {
            answers: Cache::builder()
                .weigher(weight)
                .max_capacity(BYTES_MAX)
                .time_to_idle(IDLE_MAX)
                // Answers of large segments would hardly be admitted beside many small ones.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            values: Values::default(),
            words: Arc::new(Words::new()),
            // Seeded by the operating system.
            by: RandomState::new().hash_one(std::process::id()),
            numbers: AtomicU64::new(0),
        }
    }

    /// What is kept of `query`; none where that is more than is kept, and where what a segment answers
    /// depends on words of others.
    pub(super) fn of(&self, query: &Query, wanted: &Wanted) -> Option<Asked<'_>> {
        let from_ms = query.from_ms;
        let query = Query {
            // What doesn't decide what a segment answers.
            text: String::new(),
            known: Vec::new(),
            offset: 0,
            limit: wanted.documents,
            sort: wanted.sort,
            from_ms: from_ms / SPAN_MS * SPAN_MS,
            ..query.clone()
        };
        let is_kept = wanted.documents <= WANTED_MAX && query.spelling == Spelling::Usual;
        is_kept.then(|| Asked {
            kept: self,
            from_ms,
            query: Arc::new(query),
        })
    }
}

/// A question, and what is kept of it.
pub(super) struct Asked<'a> {
    kept: &'a Kept,
    query: Arc<Query>,
    from_ms: i64,
}

impl Asked<'_> {
    /// What `segment` answered, if it would answer that still.
    pub(super) fn answer(&self, segment: &SegmentReader) -> Option<Arc<Answer>> {
        let key = (segment.segment_id(), Arc::clone(&self.query));
        let kept = self
            .kept
            .answers
            .get(&key)
            .filter(|kept| kept.holds(segment, self.from_ms));
        let outcome = if kept.is_some() { "kept" } else { "made" };
        metrics::counter!(metric::SEGMENT_ANSWERS, "outcome" => outcome).increment(1);
        kept
    }

    pub(super) fn keep(&self, segment: &SegmentReader, mut answer: Answer) -> Arc<Answer> {
        answer.number = self.kept.numbers.fetch_add(1, Ordering::Relaxed);
        let (key, answer) = (
            (segment.segment_id(), Arc::clone(&self.query)),
            Arc::new(answer),
        );
        self.kept.answers.insert(key, Arc::clone(&answer));
        answer
    }

    /// What tells a page made of `answers`, of which each was kept, from any other of the same question;
    /// nothing where none found anything. Segments that have nothing change nothing.
    pub(super) fn tag(&self, answers: &[Arc<Answer>]) -> Vec<u8> {
        let found = answers.iter().filter(|answer| answer.total > 0);
        let mut tag: Vec<u8> = found.flat_map(|it| it.number.to_be_bytes()).collect();
        if !tag.is_empty() {
            tag.extend(self.kept.by.to_be_bytes());
        }
        tag
    }
}

/// What a segment has of what fits a question.
#[derive(Debug)]
pub(super) struct Answer {
    /// No other that is kept has it.
    number: u64,
    pub(super) total: u64,
    pub(super) counted: Counted,
    /// The first, in their order, as many as are wanted of all segments.
    pub(super) first: Vec<(Position, DocId)>,
    found: Documents,
    /// The times from which on it is the answer.
    from_ms: RangeInclusive<i64>,
    /// Documents deleted from the segment when it answered: who still searches what was there before
    /// would miss those that were changed.
    made: u32,
    /// Documents deleted when all that were found were last seen to be there.
    seen: AtomicU32,
}

impl Answer {
    pub(super) fn new(
        segment: &SegmentReader,
        from_ms: i64,
        found: Documents,
        counted: Counted,
        taken: Taken,
    ) -> Self {
        let deleted = segment.num_deleted_docs();
        Self {
            number: 0,
            total: found.count(),
            counted,
            first: taken.first,
            found,
            from_ms: from_ms..=taken.earliest_ms,
            made: deleted,
            seen: AtomicU32::new(deleted),
        }
    }

    /// Whether none of what was found was deleted, or begins too soon.
    fn holds(&self, segment: &SegmentReader, from_ms: i64) -> bool {
        let deleted = segment.num_deleted_docs();
        if deleted < self.made || !self.from_ms.contains(&from_ms) {
            return false;
        }
        if deleted == self.seen.load(Ordering::Relaxed) {
            return true;
        }
        let holds = self.found.all(|document| !segment.is_deleted(document));
        if holds {
            self.seen.store(deleted, Ordering::Relaxed);
        }
        holds
    }

    fn bytes(&self) -> usize {
        let first = mem::size_of_val(self.first.as_slice());
        mem::size_of::<Self>() + first + self.found.bytes() + self.counted.bytes()
    }
}

/// Documents of a segment: one by one, or a bit for each of the segment, whichever is smaller.
#[derive(Debug)]
pub(super) enum Documents {
    Few { ids: Vec<DocId>, max: usize },
    Many { bits: Vec<u64>, count: u64 },
}

const BITS: u32 = u64::BITS;

impl Documents {
    pub(super) fn none_of(segment: &SegmentReader) -> Self {
        Self::Few {
            ids: Vec::new(),
            max: segment.max_doc() as usize,
        }
    }

    /// Adds some that aren't there yet.
    pub(super) fn add(&mut self, documents: &[DocId]) {
        match self {
            Self::Few { ids, .. } => ids.extend_from_slice(documents),
            Self::Many { bits, count } => {
                set(bits, documents);
                *count += documents.len() as u64;
            }
        }
        if let Self::Few { ids, max } = self
            && ids.len() * DocId::BITS as usize > *max
        {
            let mut bits = vec![0; max.div_ceil(BITS as usize)];
            set(&mut bits, ids);
            *self = Self::Many {
                bits,
                count: ids.len() as u64,
            };
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Few { ids, .. } => ids.len() as u64,
            Self::Many { count, .. } => *count,
        }
    }

    fn all(&self, is_so: impl Fn(DocId) -> bool) -> bool {
        match self {
            Self::Few { ids, .. } => ids.iter().all(|id| is_so(*id)),
            Self::Many { bits, .. } => (0..).zip(bits).all(|(nth, word)| {
                let mut left = *word;
                while left != 0 {
                    if !is_so(nth * BITS + left.trailing_zeros()) {
                        return false;
                    }
                    left &= left - 1;
                }
                true
            }),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Few { ids, .. } => ids.capacity() * size_of::<DocId>(),
            Self::Many { bits, .. } => mem::size_of_val(bits.as_slice()),
        }
    }
}

fn set(bits: &mut [u64], documents: &[DocId]) {
    for document in documents {
        bits[(document / BITS) as usize] |= 1 << (document % BITS);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tantivy::Searcher;

    use super::*;
    use crate::{
        document::{Changes, Document},
        embedded::{schema, search::search, shelf::Shelf},
        facet::Facet,
        index::{Found, Total},
        query::Price,
        tests::shows::{DAY_MS, START_MS, all, near, puts, show, text},
    };

    /// A step of a sequence that is the same each time (Steele et al., SplitMix).
    fn dice(state: &mut u64, sides: u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn any_show(state: &mut u64) -> Document {
        let number = dice(state, 120) as u8;
        let title = ["Silent Owls", "Golden Night", "Night Owls", "Opera"][dice(state, 4) as usize];
        let price = dice(state, 5) as i64 * 1_000;
        let show = show(number, title).priced("EUR", Some((price, price + 500)));
        match dice(state, 3) {
            0 => show.at("Hamburg", 53.55, 9.99),
            1 => show.in_category("theatre"),
            _ => show,
        }
    }

    fn questions(state: &mut u64) -> Vec<Query> {
        let from_now = Query {
            from_ms: START_MS + 20 * DAY_MS + dice(state, DAY_MS as u64 * 2) as i64,
            facets: vec![Facet::State],
            ..text("owls")
        };
        let facets = || vec![Facet::Category, Facet::City];
        let priced = Query {
            price: Some(Price {
                currency: "EUR".to_owned(),
                min: Some(1_000),
                max: Some(2_000),
            }),
            facets: facets(),
            ..all()
        };
        let in_city = Query {
            city: Some("hamburg".to_owned()),
            limit: 5,
            facets: facets(),
            ..text("nigth")
        };
        let begun = Query {
            facets: facets(),
            limit: 3,
            ..text("ow")
        };
        let further = Query {
            offset: 3,
            limit: 4,
            ..begun.clone()
        };
        vec![
            from_now,
            all(),
            priced,
            in_city,
            begun,
            further,
            near(53.55, 9.99, 20_000),
        ]
    }

    fn answer(searcher: &Searcher, kept: &Kept, query: &Query) -> Found {
        let (_, fields) = schema::schema();
        search(searcher, &fields, kept, query).expect("the index is whole")
    }

    /// The tag, and all else.
    fn tagged(searcher: &Searcher, kept: &Kept, query: &Query) -> (Vec<u8>, Found) {
        let mut found = answer(searcher, kept, query);
        (mem::take(&mut found.tag), found)
    }

    #[test]
    fn what_is_kept_is_what_would_be_answered_anew_whatever_changes() {
        let dir = tempfile::tempdir().expect("there is a folder for files that go");
        let shelf = Shelf::create(&dir.path().join("a")).expect("the folder can be written");
        let (kept, state) = (Kept::new(), &mut 7);
        let first: Vec<Document> = (0..120).map(|number| show(number, "Silent Owls")).collect();
        shelf.fill(&first).expect("the folder can be written");
        shelf.commit().expect("the folder can be written");
        let (mut older, mut hits) = (shelf.searcher(), 0);
        let (mut by_tag, mut met): (HashMap<_, Found>, _) = (HashMap::new(), 0);
        for _ in 0..60 {
            let changes = Changes {
                puts: (0..dice(state, 3)).map(|_| any_show(state)).collect(),
                removes: (0..dice(state, 2))
                    .map(|_| any_show(state).show_id)
                    .collect(),
            };
            shelf.add(&changes).expect("the folder can be written");
            shelf.commit().expect("the folder can be written");
            let newer = shelf.searcher();
            // Whoever began before the change still sees all as it was, also after others asked.
            for searcher in [&newer, &older, &newer] {
                for query in questions(state) {
                    let (_, anew) = tagged(searcher, &Kept::new(), &query);
                    hits += used(searcher, &kept, &query);
                    let (tag, found) = tagged(searcher, &kept, &query);
                    assert!(found == anew, "{query:?}");
                    if tag.is_empty() {
                        assert!(found.total == Total::Exact(0), "{query:?}");
                    } else if let Some(before) = by_tag.insert(tag, found) {
                        met += 1;
                        assert!(before == anew, "{query:?}");
                    }
                }
            }
            older = newer;
        }
        assert!(hits > 300, "{hits} answers were kept");
        assert!(met > 100, "{met} answers were known by their tags");
    }

    /// Segments that needn't be asked.
    fn used(searcher: &Searcher, kept: &Kept, query: &Query) -> usize {
        let asked = kept.of(query, &Wanted::of(query)).expect("few are wanted");
        let segments = searcher.segment_readers().iter();
        segments.filter(|it| asked.answer(it).is_some()).count()
    }

    #[test]
    fn a_change_makes_those_answers_anew_that_it_is_in() {
        let dir = tempfile::tempdir().expect("there is a folder for files that go");
        let shelf = Shelf::create(&dir.path().join("a")).expect("the folder can be written");
        let shows = [
            show(1, "Silent Owls"),
            show(2, "Golden Night"),
            show(3, "Opera"),
        ];
        shelf.fill(&shows).expect("the folder can be written");
        shelf.commit().expect("the folder can be written");
        let kept = Kept::new();
        for query in [text("owls"), text("opera")] {
            answer(&shelf.searcher(), &kept, &query);
        }
        shelf
            .add(&puts([show(3, "Operetta")]))
            .expect("the folder can be written");
        shelf.commit().expect("the folder can be written");
        let searcher = shelf.searcher();
        assert_eq!(searcher.segment_readers().len(), 2);
        assert_eq!(used(&searcher, &kept, &text("owls")), 1);
        assert_eq!(used(&searcher, &kept, &text("opera")), 0);
    }

    #[test]
    fn who_knows_what_is_found_is_told_so_until_a_change_is_in_it() {
        let dir = tempfile::tempdir().expect("there is a folder for files that go");
        let shelf = Shelf::create(&dir.path().join("a")).expect("the folder can be written");
        let first = [show(1, "Silent Owls"), show(2, "Golden Night")];
        shelf.fill(&first).expect("the folder can be written");
        shelf.commit().expect("the folder can be written");
        let kept = Kept::new();
        let tag = |kept: &Kept, words: &str| tagged(&shelf.searcher(), kept, &text(words)).0;
        let again = |known: Vec<u8>, words: &str| {
            let known = Query {
                known,
                ..text(words)
            };
            answer(&shelf.searcher(), &kept, &known)
        };
        let (owls, night) = (tag(&kept, "owls"), tag(&kept, "night"));
        assert!(again(owls.clone(), "owls").unchanged);
        assert!(
            !again(night.clone(), "owls").unchanged,
            "is of another question"
        );
        assert!(
            !again(tag(&Kept::new(), "owls"), "owls").unchanged,
            "is another's"
        );
        assert!(tag(&kept, "opera").is_empty(), "there is nothing to know");
        shelf
            .add(&puts([show(2, "Golden Days"), show(3, "Golden Night")]))
            .expect("the folder can be written");
        shelf.commit().expect("the folder can be written");
        assert!(again(owls, "owls").unchanged, "other shows changed");
        let found = again(night, "night");
        assert!(!found.unchanged);
        let titles: Vec<&str> = found.shows.iter().map(|it| it.title.as_str()).collect();
        assert_eq!(titles, ["Golden Night"]);
    }

    #[test]
    fn time_goes_on_until_the_soonest_show_that_was_found_has_begun() {
        let dir = tempfile::tempdir().expect("there is a folder for files that go");
        let shelf = Shelf::create(&dir.path().join("a")).expect("the folder can be written");
        let shows = [
            show(1, "Owls"),
            show(2, "Owls"),
            show(3, "Owls"),
            show(4, "Opera"),
        ];
        shelf.fill(&shows).expect("the folder can be written");
        shelf.commit().expect("the folder can be written");
        let (kept, searcher) = (Kept::new(), shelf.searcher());
        let from = |day, ms| Query {
            from_ms: START_MS + day * DAY_MS + ms,
            limit: 1,
            ..text("owls")
        };
        // Two days on, some hours before the show of that day; a show begins in between.
        let asked = [
            (from(2, -9_000), 0),
            (from(2, -9_000), 1),
            (from(2, -10_000), 0),
        ];
        let later = [
            (from(2, -8_000), 1),
            (from(2, 0), 1),
            (from(2, 1), 0),
            (from(2, 0), 0),
        ];
        for (query, times) in asked.into_iter().chain(later) {
            assert_eq!(used(&searcher, &kept, &query), times, "{query:?}");
            let (_, anew) = tagged(&searcher, &Kept::new(), &query);
            assert!(tagged(&searcher, &kept, &query).1 == anew, "{query:?}");
        }
    }
}
