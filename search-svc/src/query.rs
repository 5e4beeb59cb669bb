//! What is asked of an index.

use crate::{asking, facet::Facet, fold, place::Place};

/// Words of a query that count: as many as Meilisearch takes.
pub(crate) const WORDS_MAX: usize = 10;

/// How far into the results a client may page: whoever goes on should ask more precisely.
pub(crate) const RESULTS_MAX: usize = 10_000;

/// A question, checked: all of it must fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Query {
    /// As [`crate::fold::words`] makes them, at most [`WORDS_MAX`].
    pub(crate) words: Vec<String>,
    /// The last of them may be the beginning of one.
    pub(crate) last_is_begun: bool,
    /// The same unfolded, as [`crate::fold::plain`] makes it.
    pub(crate) text: String,
    /// Words that were asked for next to each other, of which one at least is of `words`: names that
    /// have them so come first.
    pub(crate) pairs: Vec<[String; 2]>,
    pub(crate) spelling: Spelling,
    /// A category's own spelling.
    pub(crate) category: Option<String>,
    /// As [`crate::fold::key`] makes it.
    pub(crate) city: Option<String>,
    /// Two capital letters.
    pub(crate) country: Option<String>,
    /// Start at or after, milliseconds since 1970.
    pub(crate) from_ms: i64,
    /// Start before.
    pub(crate) to_ms: Option<i64>,
    /// On that day at the venue or later, as [`crate::document::day_number`] numbers it.
    pub(crate) from_day: Option<i32>,
    /// On that day or before.
    pub(crate) to_day: Option<i32>,
    pub(crate) price: Option<Price>,
    /// Only what can be bought then, milliseconds since 1970.
    pub(crate) on_sale_at_ms: Option<i64>,
    pub(crate) near: Option<Near>,
    pub(crate) sort: Sort,
    /// What is counted, none twice.
    pub(crate) facets: Vec<Facet>,
    /// Results skipped, where `after` doesn't say from where on.
    pub(crate) offset: usize,
    /// Only what comes after it, from an engine that names positions.
    pub(crate) after: Option<Position>,
    /// Results wanted, at least 1; with `offset` at most [`RESULTS_MAX`].
    pub(crate) limit: usize,
    /// [`crate::index::Found::tag`] of what the asker knows already; empty of nothing.
    pub(crate) known: Vec<u8>,
}

/// Where a show is in an order, the first the least: what was asked for, then the time, then a number of
/// the show's. It stays where it is while others come and go.
pub(crate) type Position = (u64, i64, u64);

/// Within a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Near {
    pub(crate) place: Place,
    pub(crate) radius_m: u32,
}

/// Sold in a currency, and a price in these bounds, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Price {
    pub(crate) currency: String,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
}

/// What comes first. Where that is equal, the sooner show, and then an order that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sort {
    Relevance,
    Date,
    /// From there.
    Distance(Place),
    /// The lowest price first; what has none comes last.
    Price,
}

/// How much words may be misspelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Spelling {
    Usual,
    /// Words that no show has may have more mistakes, where the engine can.
    Looser,
}

/// Those of `words` that are next to each other.
pub(crate) fn pairs(words: &[String]) -> Vec<[String; 2]> {
    let pairs = words.windows(2);
    pairs
        .map(|pair| [pair[0].clone(), pair[1].clone()])
        .collect()
}

/// Letters from which on a word may have one and two mistakes, as Meilisearch has it.
pub(crate) const ONE_TYPO_LETTERS: usize = 4;
pub(crate) const TWO_TYPOS_LETTERS: usize = 8;
/// The same where nothing fits otherwise, as Elasticsearch has it (`AUTO`).
const ONE_TYPO_LETTERS_LOOSER: usize = 3;
const TWO_TYPOS_LETTERS_LOOSER: usize = 6;
/// Letters from which on a word may have a mistake and be only begun: a shorter one would be anything.
const TYPO_BEGUN_LETTERS: usize = 5;
const TYPO_BEGUN_LETTERS_LOOSER: usize = 4;

/// Mistakes that a word may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mistakes {
    pub(crate) whole: u8,
    /// Where only its beginning was written.
    pub(crate) begun: u8,
}

impl Mistakes {
    /// Another number is another thing, and so is another sign of a script that has thousands.
    pub(crate) fn usual(word: &str) -> Self {
        if word.contains(char::is_numeric) || fold::is_unspaced_word(word) {
            return Self::default();
        }
        let letters = word.chars().count();
        Self {
            whole: match letters {
                TWO_TYPOS_LETTERS.. => 2,
                ONE_TYPO_LETTERS.. => 1,
                _ => 0,
            },
            begun: u8::from(letters >= TYPO_BEGUN_LETTERS),
        }
    }

    /// Of a word among `words` that no show has. It may be wrong only beside another of some length, or
    /// it would be anything; words that only ask are spelt as they are; and only letters that are sounds
    /// count: a syllable is more than a mistake.
    pub(crate) fn looser(word: &str, words: &[String]) -> Self {
        let usual = Self::usual(word);
        let letters = word.chars().count();
        let long = |word: &&str| Self::usual(word) != Self::default();
        let of_length = words.iter().map(String::as_str).filter(long).count();
        let is_alone = of_length <= usize::from(long(&word));
        if word.contains(char::is_numeric)
            || !fold::is_of_sounds(word)
            || asking::asks(word)
            || is_alone
        {
            return usual;
        }
        Self {
            whole: match letters {
                TWO_TYPOS_LETTERS_LOOSER.. => 2,
                ONE_TYPO_LETTERS_LOOSER.. => 1,
                _ => 0,
            },
            begun: u8::from(letters >= TYPO_BEGUN_LETTERS_LOOSER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole_and_begun(mistakes: Mistakes) -> (u8, u8) {
        (mistakes.whole, mistakes.begun)
    }

    #[test]
    fn longer_words_may_have_more_mistakes() {
        for (word, usual, looser) in [
            ("ab", (0, 0), (0, 0)),
            ("abc", (0, 0), (1, 0)),
            ("abcd", (1, 0), (1, 1)),
            ("abcde", (1, 1), (1, 1)),
            ("abcdef", (1, 1), (2, 1)),
            ("abcdefgh", (2, 1), (2, 1)),
            ("кино", (1, 0), (1, 1)),
            ("абвгде", (1, 1), (2, 1)),
            ("tickets", (1, 1), (1, 1)),
            ("2027", (0, 0), (0, 0)),
            ("blink182", (0, 0), (0, 0)),
            ("東京事変ライブ", (0, 0), (0, 0)),
            // Each of its letters is a syllable, and vowels are mostly not written there.
            ("아이유", (0, 0), (0, 0)),
            ("방탄소년단콘서트", (2, 1), (2, 1)),
            ("القاهره", (1, 1), (1, 1)),
        ] {
            let words = [word.to_owned(), "orchestra".to_owned()];
            assert_eq!(whole_and_begun(Mistakes::usual(word)), usual, "{word}");
            let mistakes = Mistakes::looser(word, &words);
            assert_eq!(whole_and_begun(mistakes), looser, "{word}");
        }
    }

    #[test]
    fn a_word_is_wrong_only_beside_another_of_some_length() {
        for (other, expected) in [
            ("nakajima", (1, 2)),
            ("xyz", (0, 1)),
            ("2027", (0, 1)),
            ("東京事変", (0, 1)),
        ] {
            let mistakes = |word: &str| {
                let words = [word, other].map(str::to_owned);
                Mistakes::looser(word, &words).whole
            };
            assert_eq!((mistakes("ora"), mistakes("slayer")), expected, "{other}");
        }
    }
}
