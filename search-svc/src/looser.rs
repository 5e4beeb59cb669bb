//! A question that nothing fits, asked again more loosely: without words that only ask, and with words
//! misspelt more.
//!
//! Always holds:
//! - What finds something as it is asked is asked once, and answered as if there were nothing looser.
//! - Filters make nothing looser: where they alone leave nothing, nothing is the answer. Who looks for a
//!   band in Berlin, and writes its name right, doesn't want another because this one plays in Hamburg.
//! - A question is asked at most seven times: as it is and in each looser way, and without its filters
//!   before each of those. It goes on on every page as it was taken on the first.

use crate::{
    asking::{self, LeftOut, Parted},
    fold,
    index::{Error, Found, Index},
    query::{Mistakes, Query, Sort, Spelling, WORDS_MAX},
};

/// Each word that is looked for has one at each side.
const PAIRS_MAX: usize = 2 * WORDS_MAX;

/// Letters up to which a word that isn't being typed any more is a whole one: it begins too much else. Longer ones
/// people shorten, and other scripts than those of sounds put endings behind a word.
const WHOLE_LETTERS_MAX: usize = 4;

fn is_whole(word: &str) -> bool {
    fold::is_of_sounds(word) && word.chars().count() <= WHOLE_LETTERS_MAX
}

/// How a question is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Looseness {
    #[default]
    AsAsked,
    /// Without words that only ask (tickets, when).
    WithoutAsking,
    /// Without articles, too.
    WithoutArticles,
    /// Without both, and words may have more mistakes.
    Misspelt,
}

impl Looseness {
    /// Those that are looser than as it was asked, in their order.
    pub(crate) const LOOSER: [Self; 3] =
        [Self::WithoutAsking, Self::WithoutArticles, Self::Misspelt];

    /// What isn't looked for of `q`, and what is.
    pub(crate) fn part(self, q: &str) -> Option<Parted> {
        match self {
            Self::AsAsked => None,
            Self::WithoutAsking => asking::part(q, LeftOut::Asking),
            Self::WithoutArticles | Self::Misspelt => asking::part(q, LeftOut::AskingAndArticles),
        }
    }

    /// `query` with the words of `q` taken so; nothing where that asks the same.
    pub(crate) fn loosened(self, query: &Query, q: &str) -> Option<Query> {
        let mut looser = query.clone();
        if let Some(parted) = self.part(q) {
            let last = parted.kept.last();
            looser.last_is_begun &= !(parted.goes_on && last.is_some_and(|word| is_whole(word)));
            looser.words = parted.kept;
            looser.words.truncate(WORDS_MAX);
            looser.text = fold::plain(&parted.text, WORDS_MAX);
            looser.pairs = parted.pairs;
            looser.pairs.truncate(PAIRS_MAX);
        }
        if self == Self::Misspelt {
            let words = &looser.words;
            let may_be = |word: &String| Mistakes::looser(word, words) != Mistakes::usual(word);
            if words.iter().any(may_be) {
                looser.spelling = Spelling::Looser;
            }
        }
        (looser != *query).then_some(looser)
    }
}

/// A question as it came.
#[derive(Debug)]
pub(crate) struct Asked {
    /// As its words were taken on the first page, which this may be.
    pub(crate) query: Query,
    /// The text with those words.
    pub(crate) q: String,
    /// How they were taken; not known on the first page.
    pub(crate) taken: Option<Looseness>,
    /// What cursors name the question by.
    pub(crate) question: u64,
    /// When it was asked, milliseconds since 1970.
    pub(crate) now_ms: i64,
}

/// What was found, and of what.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) query: Query,
    pub(crate) looseness: Looseness,
    pub(crate) found: Found,
}

/// What fits; of a first page that nothing fits, what fits it taken more loosely.
pub(crate) async fn search<I: Index>(index: &I, asked: &Asked) -> Result<Answer, Error> {
    let found = index.search(&asked.query).await?;
    let as_asked = Answer {
        query: asked.query.clone(),
        looseness: asked.taken.unwrap_or_default(),
        found,
    };
    if asked.taken.is_some() || as_asked.found.is_any() {
        return Ok(as_asked);
    }
    let mut before = asked.query.clone();
    for looseness in Looseness::LOOSER {
        if looseness == Looseness::Misspelt && !I::SPELLS_LOOSER {
            continue;
        }
        let Some(query) = looseness.loosened(&asked.query, &asked.q) else {
            continue;
        };
        // Another way may come to the same.
        if query == before {
            continue;
        }
        if fits_elsewhere(index, &before, asked.now_ms).await? {
            break;
        }
        let found = index.search(&query).await?;
        if found.is_any() {
            return Ok(Answer {
                query,
                looseness,
                found,
            });
        }
        before = query;
    }
    Ok(as_asked)
}

/// Whether a question that finds nothing would without its filters, of what is still to come.
async fn fits_elsewhere(index: &impl Index, query: &Query, now_ms: i64) -> Result<bool, Error> {
    let one = Query {
        sort: Sort::Date,
        facets: Vec::new(),
        limit: 1,
        known: Vec::new(),
        ..query.clone()
    };
    let everywhere = Query {
        category: None,
        city: None,
        country: None,
        from_ms: match query.from_day {
            Some(_) => now_ms,
            None => query.from_ms.min(now_ms),
        },
        to_ms: None,
        from_day: None,
        to_day: None,
        price: None,
        on_sale_at_ms: None,
        near: None,
        ..one.clone()
    };
    // Without filters it is what was asked already.
    if everywhere == one {
        return Ok(false);
    }
    Ok(index.search(&everywhere).await?.is_any())
}
