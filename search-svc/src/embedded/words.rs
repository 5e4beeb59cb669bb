//! From words to clauses.
//!
//! Always holds: queries are put together from words and values, never parsed from text, so nothing
//! that a customer writes is an operator. Every word must be there; how it may be there differs:
//! as it is, as another that stands for it, misspelt, or, for the last, as a beginning. A word that
//! some show has is never looked for with more mistakes than usual.

use std::sync::Arc;

use tantivy::{
    Score, Searcher, Term,
    query::{BooleanQuery, ConstScoreQuery, Occur, Query as Clause, TermQuery},
    schema::{Field, IndexRecordOption},
};

use super::{
    schema::{self, Fields},
    spelt::{Pattern, Spelt, Way, Words},
};
use crate::{
    fold,
    query::{Mistakes, Query as Asked, Spelling},
    suggest::Kind,
    synonyms,
};

/// Where a word counts how much. Rare words count no more than others: a word that is rare among
/// cities and common among titles would put the city first.
const TITLE_SCORE: Score = 4.0;
const PERFORMERS_SCORE: Score = 3.5;
const PLACE_SCORE: Score = 2.0;
const DESCRIPTION_SCORE: Score = 1.0;
/// What a word that is only begun, misspelt, or both counts, as a part of the above; and one that
/// stands for what was asked for.
const BEGUN: Score = 0.5;
const MISSPELT: Score = 0.25;
const MISSPELT_AND_BEGUN: Score = 0.1;
const SYNONYM: Score = 0.9;
/// What words of a name count that were asked for as one.
const RUN_TOGETHER: Score = TITLE_SCORE;
/// Letters that each of two words has that were written as one.
const RUN_TOGETHER_LETTERS: usize = 2;
/// What it counts more that two words are next to each other in a name as they were asked for, and
/// that all that was asked for is a whole name: more than that one of them is in a title, which may be
/// by chance.
const NEXT_TO_EACH_OTHER: Score = 2.0;
const WHOLE_NAME: Score = 8.0;

/// How one word may be written otherwise, shared by all fields.
struct Spellings {
    misspelt: Option<Arc<Pattern>>,
    begun: Option<Arc<Pattern>>,
    misspelt_and_begun: Option<Arc<Pattern>>,
}

impl Spellings {
    fn new(word: &str, is_last: bool, mistakes: Mistakes) -> Self {
        let pattern = |way| Arc::new(Pattern::new(word, way));
        // Of a script without spaces a part is found anyway.
        let is_last = is_last && !fold::is_unspaced_word(word);
        let Mistakes { whole, begun } = mistakes;
        Self {
            misspelt: (whole > 0).then(|| pattern(Way::Whole(whole))),
            begun: is_last.then(|| pattern(Way::Begun(0))),
            misspelt_and_begun: (is_last && begun > 0).then(|| pattern(Way::Begun(begun))),
        }
    }
}

/// All words of a search, wherever they are.
pub(super) fn anywhere(
    searcher: &Searcher,
    fields: &Fields,
    known: &Arc<Words>,
    query: &Asked,
) -> tantivy::Result<Vec<(Occur, Box<dyn Clause>)>> {
    let words = &query.words;
    let mut clauses = Vec::new();
    let units = synonyms::units(words);
    for unit in &units {
        let last = unit.words.len() - 1;
        let mut as_asked = Vec::new();
        for (nth, word) in unit.words.iter().enumerate() {
            let is_last = query.last_is_begun && unit.is_last && nth == last;
            // What stands for others is a word.
            let may_be_none = query.spelling == Spelling::Looser && unit.others.is_empty();
            let mistakes = match may_be_none && !is_known(searcher, fields, word, is_last)? {
                true => Mistakes::looser(word, words),
                false => Mistakes::usual(word),
            };
            let mut ways = there(fields, known, word, is_last, mistakes);
            ways.extend(with_neighbours(fields, query, word));
            as_asked.push(any_of(ways));
        }
        let mut ways = vec![all_of(as_asked)];
        for other in &unit.others {
            let words = other.split(' ').map(|word| exactly(fields, word)).collect();
            ways.push(all_of(words));
        }
        clauses.push((Occur::Must, any_of(ways)));
    }
    for [one, other] in &query.pairs {
        let pair = schema::pair(one, other);
        let clause = scored(exact(fields.pairs, &pair), NEXT_TO_EACH_OTHER);
        clauses.push((Occur::Should, clause));
    }
    if !words.is_empty() {
        let whole = words.join(" ");
        // What stands for all of it is as good.
        let others = match units.as_slice() {
            [unit] => unit.others.as_slice(),
            _ => &[],
        };
        for name in [whole.as_str()].iter().chain(others) {
            let clause = scored(exact(fields.names, name), WHOLE_NAME);
            clauses.push((Occur::Should, clause));
        }
    }
    Ok(clauses)
}

/// All words in names of a kind.
pub(super) fn in_names(
    fields: &Fields,
    known: &Arc<Words>,
    kind: Kind,
    words: &[String],
    may_be_misspelt: bool,
) -> Vec<Box<dyn Clause>> {
    let field = fields.words_of(kind);
    let mut clauses = Vec::new();
    for unit in synonyms::units(words) {
        let last = unit.words.len() - 1;
        let mut as_asked = Vec::new();
        for (nth, word) in unit.words.iter().enumerate() {
            let is_last = unit.is_last && nth == last;
            let mistakes = match may_be_misspelt {
                true => Mistakes::usual(word),
                false => Mistakes::default(),
            };
            let spellings = Spellings::new(word, is_last, mistakes);
            as_asked.push(any_of(in_field(field, known, word, &spellings, 1.0)));
        }
        let mut ways = vec![all_of(as_asked)];
        for other in &unit.others {
            let words = other.split(' ').map(|word| terms(field, word, 1.0));
            ways.push(all_of(words.collect()));
        }
        clauses.push(any_of(ways));
    }
    clauses
}

/// Whether some show has `word`, or, of the last, one that begins with it. What was deleted since
/// counts until its segment is merged.
fn is_known(
    searcher: &Searcher,
    fields: &Fields,
    word: &str,
    is_last: bool,
) -> tantivy::Result<bool> {
    let texts = names(fields).map(|(field, _)| field);
    for segment in searcher.segment_readers() {
        for field in texts.into_iter().chain([fields.description]) {
            let words = segment.inverted_index(field)?;
            let mut from_there = words.terms().range().ge(word).into_stream()?;
            if from_there.advance() {
                let first = from_there.key();
                let is_there = first == word.as_bytes();
                if is_there || (is_last && first.starts_with(word.as_bytes())) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// `word` anywhere.
fn there(
    fields: &Fields,
    known: &Arc<Words>,
    word: &str,
    is_last: bool,
    mistakes: Mistakes,
) -> Vec<Box<dyn Clause>> {
    let spellings = Spellings::new(word, is_last, mistakes);
    let mut ways = Vec::new();
    for (field, score) in names(fields) {
        ways.extend(in_field(field, known, word, &spellings, score));
    }
    // Long texts have something like everything: as it is only.
    ways.push(terms(fields.description, word, DESCRIPTION_SCORE));
    ways.extend(run_together(fields, word));
    ways
}

/// A word of a title or a performer's that is `word` and the one that was asked for next to it.
fn with_neighbours(fields: &Fields, query: &Asked, word: &String) -> Vec<Box<dyn Clause>> {
    let mut ways = Vec::new();
    for pair in query.pairs.iter().filter(|pair| pair.contains(word)) {
        let joined = pair.concat();
        let long = |word: &String| word.chars().count() >= RUN_TOGETHER_LETTERS;
        let may_be_one = pair.iter().all(long) || joined.contains(char::is_numeric);
        let are_asked = pair.iter().all(|word| query.words.contains(word));
        if !may_be_one || !are_asked || fold::is_unspaced_word(&joined) {
            continue;
        }
        for (field, score) in [
            (fields.title, TITLE_SCORE),
            (fields.performers, PERFORMERS_SCORE),
        ] {
            ways.push(scored(exact(field, &joined), score * SYNONYM));
        }
    }
    ways
}

/// A whole name, or two words of one, written as one word.
fn run_together(fields: &Fields, word: &str) -> Vec<Box<dyn Clause>> {
    if fold::is_unspaced_word(word) {
        return Vec::new();
    }
    let cuts: Vec<usize> = word.char_indices().map(|(at, _)| at).collect();
    let inner = RUN_TOGETHER_LETTERS..(cuts.len() + 1).saturating_sub(RUN_TOGETHER_LETTERS);
    let pairs = cuts.get(inner).unwrap_or_default().iter().map(|at| {
        let (one, other) = word.split_at(*at);
        exact(fields.pairs, &schema::pair(one, other))
    });
    let whole = exact(fields.names, word);
    [whole]
        .into_iter()
        .chain(pairs)
        .map(|clause| scored(clause, RUN_TOGETHER))
        .collect()
}

/// `word` as it is, in the place of another.
fn exactly(fields: &Fields, word: &str) -> Box<dyn Clause> {
    let fields = names(fields)
        .into_iter()
        .chain([(fields.description, DESCRIPTION_SCORE)]);
    any_of(
        fields
            .map(|(field, score)| terms(field, word, score * SYNONYM))
            .collect(),
    )
}

fn names(fields: &Fields) -> [(Field, Score); 4] {
    [
        (fields.title, TITLE_SCORE),
        (fields.performers, PERFORMERS_SCORE),
        (fields.venue, PLACE_SCORE),
        (fields.city, PLACE_SCORE),
    ]
}

fn in_field(
    field: Field,
    known: &Arc<Words>,
    word: &str,
    spellings: &Spellings,
    score: Score,
) -> Vec<Box<dyn Clause>> {
    let spelt = [
        (&spellings.misspelt, MISSPELT),
        (&spellings.begun, BEGUN),
        (&spellings.misspelt_and_begun, MISSPELT_AND_BEGUN),
    ];
    let spelt = spelt.into_iter().filter_map(|(pattern, part)| {
        let spelt = Spelt {
            field,
            pattern: pattern.clone()?,
            words: Arc::clone(known),
        };
        Some(scored(spelt, score * part))
    });
    let mut ways = vec![terms(field, word, score)];
    ways.extend(spelt);
    ways
}

/// `word` as it is; of one of a script without spaces all its pairs.
fn terms(field: Field, word: &str, score: Score) -> Box<dyn Clause> {
    let wanted = fold::wanted(word);
    let share = score / wanted.len().max(1) as Score;
    let terms = wanted
        .iter()
        .map(|term| scored(exact(field, term), share))
        .collect();
    all_of(terms)
}

pub(super) fn exact(field: Field, value: &str) -> TermQuery {
    TermQuery::new(
        Term::from_field_text(field, value),
        IndexRecordOption::Basic,
    )
}

pub(super) fn all_of(mut clauses: Vec<Box<dyn Clause>>) -> Box<dyn Clause> {
    match clauses.len() {
        1 => clauses.remove(0),
        _ => Box::new(BooleanQuery::intersection(clauses)),
    }
}

fn any_of(mut clauses: Vec<Box<dyn Clause>>) -> Box<dyn Clause> {
    match clauses.len() {
        1 => clauses.remove(0),
        _ => Box::new(BooleanQuery::union(clauses)),
    }
}

fn scored(clause: impl Clause, score: Score) -> Box<dyn Clause> {
    Box::new(ConstScoreQuery::new(Box::new(clause), score))
}
