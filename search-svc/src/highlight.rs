//! Which words of a show are there because they were asked for.
//!
//! Always holds: the same for every engine, because it is told from the text that is shown and not
//! by the engine; a text is taken to pieces and never changed, so nothing need be escaped where it
//! is shown. Of what a word may stand for only the best is told: as it is, then begun, then misspelt.

use std::ops::Range;

use holdfast_proto::search::v1::{FoundShow, Highlight, Part};

use crate::{
    fold,
    query::{Mistakes, Query, Spelling},
    synonyms,
};

/// How well a word fits, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    Whole,
    Begun,
    Misspelt,
}

/// Words that are looked for.
pub(crate) struct Wanted<'a>(Vec<Target<'a>>);

struct Target<'a> {
    word: &'a str,
    /// Words that may be there in its place.
    others: Vec<&'static str>,
    is_last: bool,
    mistakes: Mistakes,
}

/// Some bytes of a text and the word that they fit, by its number.
struct Hit {
    at: Range<usize>,
    target: usize,
    fit: Fit,
}

impl<'a> Wanted<'a> {
    /// Those of `query`.
    pub(crate) fn of(query: &'a Query) -> Self {
        let mut wanted = Self::new(&query.words, query.spelling);
        for target in &mut wanted.0 {
            target.is_last &= query.last_is_begun;
        }
        wanted
    }

    /// Those of a text that somebody may still type.
    pub(crate) fn new(words: &'a [String], spelling: Spelling) -> Self {
        let mut targets = Vec::new();
        for unit in synonyms::units(words) {
            let others: Vec<&str> = unit
                .others
                .iter()
                .flat_map(|other| other.split(' '))
                .collect();
            let last = unit.words.len() - 1;
            let of_unit = unit.words.iter().enumerate().map(|(nth, word)| Target {
                word,
                others: others.clone(),
                is_last: unit.is_last && nth == last,
                mistakes: match spelling {
                    Spelling::Looser if others.is_empty() => Mistakes::looser(word, words),
                    // As one that is misspelt and only begun, nothing is highlighted.
                    Spelling::Usual | Spelling::Looser => Mistakes {
                        begun: 0,
                        ..Mistakes::usual(word)
                    },
                },
            });
            targets.extend(of_unit);
        }
        Self(targets)
    }

    /// `text` in pieces, and how well the word fits that fits least; none where one isn't there.
    pub(crate) fn all_in(&self, text: &str) -> Option<(Vec<Part>, Fit)> {
        let hits = self.hits(text);
        let best = self.best(&hits);
        let worst = best.iter().copied().collect::<Option<Vec<Fit>>>()?;
        Some((parts(text, &hits, &best), worst.into_iter().max()?))
    }

    /// Where they are in what people read of a show first.
    pub(crate) fn in_show(&self, show: &FoundShow) -> Vec<Highlight> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let performers = show.performers.iter().map(|name| ("performer", name));
        let texts = [("title", &show.title)]
            .into_iter()
            .chain(performers)
            .chain([("venue", &show.venue_name), ("city", &show.city)]);
        let texts: Vec<(&str, &String, Vec<Hit>)> = texts
            .map(|(field, text)| (field, text, self.hits(text)))
            .collect();
        let best = self.best(texts.iter().flat_map(|(_, _, hits)| hits));
        let highlights = texts.iter().filter_map(|(field, text, hits)| {
            let parts = parts(text, hits, &best);
            let is_there = parts.iter().any(|part| part.matched);
            is_there.then(|| Highlight {
                field: (*field).to_owned(),
                parts,
            })
        });
        highlights.collect()
    }

    fn hits(&self, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (at, words) in fold::places(text) {
            for (number, target) in self.0.iter().enumerate() {
                let fits = words.iter().filter_map(|word| target.fit(word));
                let Some(fit) = fits.min() else { continue };
                hits.push(Hit {
                    at: target.narrowed(text, &at),
                    target: number,
                    fit,
                });
            }
        }
        hits
    }

    /// How well each word fits at best.
    fn best<'h>(&self, hits: impl IntoIterator<Item = &'h Hit>) -> Vec<Option<Fit>> {
        let mut best: Vec<Option<Fit>> = vec![None; self.0.len()];
        for hit in hits {
            let best = &mut best[hit.target];
            *best = Some(best.map_or(hit.fit, |fit| fit.min(hit.fit)));
        }
        best
    }
}

impl Target<'_> {
    fn fit(&self, word: &str) -> Option<Fit> {
        if word == self.word || self.others.contains(&word) {
            return Some(Fit::Whole);
        }
        if fold::is_unspaced_word(self.word) {
            return word.contains(self.word).then_some(Fit::Begun);
        }
        if self.is_last && word.starts_with(self.word) {
            return Some(Fit::Begun);
        }
        let Mistakes { whole, begun } = self.mistakes;
        let is_misspelt = is_within(self.word, word, whole, false)
            || (self.is_last && is_within(self.word, word, begun, true));
        is_misspelt.then_some(Fit::Misspelt)
    }

    /// Of a phrase without spaces only what was asked for, where the letters are still one for one.
    fn narrowed(&self, text: &str, at: &Range<usize>) -> Range<usize> {
        let phrase = &text[at.clone()];
        let letters = self.word.chars().count();
        if !fold::is_unspaced_word(self.word) {
            return at.clone();
        }
        let starts = phrase.char_indices().map(|(start, _)| start);
        let ends = starts.clone().skip(letters).chain([phrase.len()]);
        let mut windows = starts.zip(ends);
        windows
            .find(|(start, end)| fold::key(&phrase[*start..*end]) == self.word)
            .map_or_else(
                || at.clone(),
                |(start, end)| at.start + start..at.start + end,
            )
    }
}

fn parts(text: &str, hits: &[Hit], best: &[Option<Fit>]) -> Vec<Part> {
    let is_best = |hit: &&Hit| best[hit.target] == Some(hit.fit);
    let mut ranges: Vec<Range<usize>> = hits
        .iter()
        .filter(is_best)
        .map(|hit| hit.at.clone())
        .collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut parts: Vec<Part> = Vec::new();
    let mut push = |piece: &str, matched| {
        if piece.is_empty() {
            return;
        }
        match parts.last_mut() {
            Some(last) if last.matched == matched => last.text.push_str(piece),
            _ => parts.push(Part {
                text: piece.to_owned(),
                matched,
            }),
        }
    };
    let mut done = 0;
    for range in ranges {
        // Several words may fit one place.
        let start = range.start.max(done);
        let end = range.end.max(done);
        push(&text[done..start], false);
        push(&text[start..end], true);
        done = end;
    }
    push(&text[done..], false);
    parts
}

/// Whether there are at most so many mistakes between what was written and a word, or its beginning.
fn is_within(written: &str, word: &str, most: u8, is_begun: bool) -> bool {
    let most = usize::from(most);
    let (letters, of_word) = (written.chars().count(), word.chars().count());
    let is_too_long = of_word > letters + most && !is_begun;
    if most == 0 || is_too_long || letters > of_word + most {
        return false;
    }
    let distances = distances(written, word);
    let least = match is_begun {
        true => distances.iter().min(),
        false => distances.last(),
    };
    least.is_some_and(|mistakes| *mistakes <= most)
}

/// Mistakes between a word and each beginning of another, the shortest first (letters wrong, missing,
/// too many, or two swapped: optimal string alignment).
fn distances(one: &str, other: &str) -> Vec<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = above[j] + usize::from(a != b);
            let mut least = changed.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// With what is matched in brackets.
    fn told(parts: &[Part]) -> String {
        let told = parts.iter().map(|part| match part.matched {
            true => format!("[{}]", part.text),
            false => part.text.clone(),
        });
        told.collect()
    }

    fn in_text(text: &str, q: &str) -> Option<String> {
        spelt_in_text(text, q, Spelling::Usual)
    }

    fn spelt_in_text(text: &str, q: &str, spelling: Spelling) -> Option<String> {
        let words = fold::words(q);
        let (parts, _) = Wanted::new(&words, spelling).all_in(text)?;
        Some(told(&parts))
    }

    #[test]
    fn what_was_asked_for_is_told_as_it_is_written() {
        for (text, q, expected) in [
            ("The Eras Tour", "eras", Some("The [Eras] Tour")),
            ("The Eras Tour", "er", Some("The [Eras] Tour")),
            ("The Eras Tour", "tuor eras", Some("The [Eras] [Tour]")),
            ("The Eras Tour", "tylor eras", None),
            ("Taylor Swift", "swift tylor", Some("[Taylor] [Swift]")),
            ("L’Été <b>live</b>", "ete", Some("L’[Été] <b>live</b>")),
            ("Straßenfest", "strassen", Some("[Straßenfest]")),
            ("東京事変 live", "京事", Some("東[京事]変 live")),
            ("ガンダム展", "がんだむ", Some("[ガンダム]展")),
            ("Gig Night", "concert", Some("[Gig] Night")),
            ("Night Train", "nite", None),
            ("Orchestra", "orchestar", Some("[Orchestra]")),
            ("Кино́ вечер", "кино", Some("[Кино́] вечер")),
        ] {
            assert_eq!(in_text(text, q).as_deref(), expected, "{q} in {text}");
        }
    }

    #[test]
    fn of_what_fits_only_the_best_is_told() {
        let show = FoundShow {
            title: "Live like Liven".to_owned(),
            performers: vec!["The Lives".to_owned(), "Others".to_owned()],
            venue_name: "Live House".to_owned(),
            city: "Lima".to_owned(),
            ..Default::default()
        };
        let words = fold::words("live");
        let highlights = Wanted::new(&words, Spelling::Usual).in_show(&show);
        let told: Vec<(&str, String)> = highlights
            .iter()
            .map(|highlight| (highlight.field.as_str(), told(&highlight.parts)))
            .collect();
        let expected = [
            ("title", "[Live] like Liven".to_owned()),
            ("venue", "[Live] House".to_owned()),
        ];
        assert_eq!(told, expected);
        let nothing = Wanted::new(&[], Spelling::Usual);
        assert!(nothing.in_show(&show).is_empty());
    }

    #[test]
    fn more_mistakes_are_told_where_more_were_looked_for() {
        for (text, q, expected) in [
            ("Kofi Moreau", "koofii mreau", "[Kofi] [Moreau]"),
            ("Nora Nakajima", "ora nakjaima", "[Nora] [Nakajima]"),
            (
                "The Paper Arrows",
                "the paper arrr",
                "[The] [Paper] [Arrows]",
            ),
            ("Silent Owls", "silnet ows", "[Silent] [Owls]"),
        ] {
            let looser = spelt_in_text(text, q, Spelling::Looser);
            assert_eq!(looser.as_deref(), Some(expected), "{q} in {text}");
            assert_eq!(in_text(text, q), None, "{q} in {text}");
        }
    }

    #[test]
    fn mistakes_are_counted() {
        for (one, other, expected) in [
            ("swift", "swift", Some(0)),
            ("swfit", "swift", Some(1)),
            ("swif", "swift", Some(1)),
            ("swiftt", "swift", Some(1)),
            ("shift", "swift", Some(1)),
            ("sihft", "swift", Some(2)),
            ("abcd", "swift", None),
            ("swi", "swift", Some(2)),
            ("sw", "swift", None),
        ] {
            let mistakes = (1..=2).find(|most| is_within(one, other, *most, false));
            let expected_at_least = expected.map(|mistakes: u8| mistakes.max(1));
            assert_eq!(mistakes, expected_at_least, "{one} {other}");
        }
        assert!(!is_within("swift", "swift", 0, false), "is no mistake");
        for (one, other, expected) in [
            ("desr", "deserts", true),
            ("dsee", "deserts", true),
            ("xyes", "deserts", false),
            ("deserts", "dese", false),
        ] {
            assert_eq!(is_within(one, other, 1, true), expected, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_the_text(text in ".{0,60}", q in ".{0,20}") {
            let words = fold::words(&q);
            let wanted = Wanted::new(&words, Spelling::Looser);
            let hits = wanted.hits(&text);
            let parts = parts(&text, &hits, &wanted.best(&hits));
            let whole: String = parts.iter().map(|part| part.text.as_str()).collect();
            prop_assert_eq!(whole, text);
        }
    }
}
