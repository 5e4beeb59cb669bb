//! Text as it is compared: words without case, accents and punctuation.
//!
//! Always holds: the same for what is indexed and for what is asked, whatever the engine; a word
//! has letters, digits and the signs that belong to them only, so it can't be an operator of any
//! query language. Scripts that put no spaces between words are looked up by pairs of letters
//! ([`indexed`], [`wanted`]).

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longest word that is kept, in bytes; the rest of a longer one is cut off. Scripts without spaces
/// make one word of a phrase.
const WORD_BYTES_MAX: usize = 120;

/// The words of `text`, in order.
pub(crate) fn words(text: &str) -> Vec<String> {
    split(&fold(text)).map(str::to_owned).collect()
}

/// The words of `text` with one space between them: equal where people would say it is the same.
pub(crate) fn key(text: &str) -> String {
    words(text).join(" ")
}

/// Where in `text` its words are, each with what it is as words.
pub(crate) fn places(text: &str) -> Vec<(Range<usize>, Vec<String>)> {
    let mut places = Vec::new();
    let mut begun = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (is_part(c) || is_dropped(c), begun) {
            (true, None) => begun = Some(at),
            (false, Some(from)) => {
                places.push((from..at, words(&text[from..at])));
                begun = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    places.retain(|(_, words)| !words.is_empty());
    places
}

/// `text` with nothing in it but letters, digits and single spaces, at most `words_max` words: for
/// an engine that folds by itself.
pub(crate) fn plain(text: &str, words_max: usize) -> String {
    let composed: String = text.nfc().collect();
    let words = composed.split(|c: char| !is_part(c));
    let words: Vec<&str> = words
        .filter(|word| word.contains(char::is_alphanumeric))
        .take(words_max)
        .collect();
    words.join(" ")
}

/// `text` with katakana as hiragana, where it has any of the two: for an engine to which they are
/// different letters.
pub(crate) fn in_hiragana(text: &str) -> Option<String> {
    let composed: String = text.nfkc().collect();
    let has_any = composed.contains(|c| matches!(c, '\u{3041}'..='\u{30ff}'));
    has_any.then(|| composed.chars().map(as_hiragana).collect())
}

/// What `text` is found by: its words, and of scripts without spaces each letter and each pair.
pub(crate) fn indexed(text: &str) -> Vec<String> {
    let folded = fold(text);
    let mut terms = Vec::new();
    for word in parts(&folded) {
        for piece in pieces(word) {
            match piece {
                Piece::Word(word) => terms.push(cut(word).to_owned()),
                Piece::Unspaced(letters) => {
                    terms.extend(letters.iter().map(char::to_string));
                    terms.extend(
                        letters
                            .windows(2)
                            .map(|pair| pair.iter().collect::<String>()),
                    );
                }
            }
        }
    }
    terms
}

/// What must be [`indexed`] where `word` is found; more than one of a word of a script without
/// spaces.
pub(crate) fn wanted(word: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for piece in pieces(word) {
        match piece {
            Piece::Word(word) => terms.push(word.to_owned()),
            Piece::Unspaced(letters) if letters.len() == 1 => terms.push(letters[0].to_string()),
            Piece::Unspaced(letters) => {
                terms.extend(
                    letters
                        .windows(2)
                        .map(|pair| pair.iter().collect::<String>()),
                );
            }
        }
    }
    terms
}

/// Whether some of `word` is of a script without spaces.
pub(crate) fn is_unspaced_word(word: &str) -> bool {
    word.contains(is_unspaced)
}

/// Whether each letter of `word` is a sound, as in Latin, Greek, Cyrillic, Armenian and Georgian: one
/// that is wrong is little of a word.
pub(crate) fn is_of_sounds(word: &str) -> bool {
    word.chars()
        .all(|c| matches!(c, '\0'..='\u{58f}' | '\u{10a0}'..='\u{10ff}' | '\u{1e00}'..='\u{1fff}'))
}

enum Piece<'a> {
    Word(&'a str),
    Unspaced(Vec<char>),
}

fn pieces(word: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let unspaced = is_unspaced(first);
        let end = rest
            .find(|c| is_unspaced(c) != unspaced)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(if unspaced {
            Piece::Unspaced(piece.chars().collect())
        } else {
            Piece::Word(piece)
        })
    })
}

fn split(folded: &str) -> impl Iterator<Item = &str> {
    parts(folded).map(cut)
}

fn parts(folded: &str) -> impl Iterator<Item = &str> {
    folded
        .split(|c: char| !is_part(c))
        .filter(|word| word.contains(char::is_alphanumeric))
}

fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(WORD_BYTES_MAX)]
}

fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_dropped(*c)) {
        for lower in c.to_lowercase() {
            match respelt(lower) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(as_hiragana(lower)),
            }
        }
    }
    // Together again what isn't an accent: syllables, voiced kana.
    folded.nfc().filter(|c| !is_dropped(*c)).collect()
}

/// What a word has. Signs that belong to a letter (vowels of many scripts) make another word.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// What comes and goes without making another word: the marks that Latin, Greek and Cyrillic letters
/// come apart into; vowels and marks of Arabic and Hebrew, which are mostly not written; what is
/// invisible.
fn is_dropped(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}'
        | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Letters that are written otherwise where a keyboard lacks them, and don't come apart.
fn respelt(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        // The end of a Greek word.
        'ς' => "σ",
        'ґ' => "г",
        // One letter, as Arabic and Persian keyboards have it.
        'ى' | 'ی' => "ي",
        'ک' => "ك",
        'ة' => "ه",
        _ => return None,
    })
}

/// Katakana say the same.
fn as_hiragana(c: char) -> char {
    match c {
        '\u{30a1}'..='\u{30f6}' => char::from_u32(u32::from(c) - 0x60).unwrap_or(c),
        _ => c,
    }
}

/// Chinese characters, kana, Thai, Lao, Burmese, Khmer.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_punctuation_do_not_count() {
        for (text, folded) in [
            ("Café Tacvba", "cafe tacvba"),
            ("CAFE\u{301}  tacvba!", "cafe tacvba"),
            ("Łódź, Straße & Ærø", "lodz strasse aero"),
            ("L'Aquila", "l aquila"),
            ("L’Aquila", "l aquila"),
            ("Кино́ Й", "кино и"),
            ("İstanbul", "istanbul"),
            ("東京事変 LIVE", "東京事変 live"),
            ("ＴＯＫＹＯ", "tokyo"),
            ("हिन्दी", "हिन्दी"),
            ("ΟΔΥΣΣΕΎΣ οδυσσεύς", "οδυσσευσ οδυσσευσ"),
            ("ガンダム がんだむ", "がんだむ がんだむ"),
            ("방탄소년단", "방탄소년단"),
            ("أُمُّ كُلْثُوم ــ أم كلثوم", "ام كلثوم ام كلثوم"),
            ("שָׁלוֹם", "שלום"),
            ("🎸 1️⃣ ❤️ ", "1"),
            ("a\" OR b = -c", "a or b c"),
            ("!!! --", ""),
        ] {
            assert_eq!(key(text), folded, "{text}");
        }
    }

    #[test]
    fn scripts_without_spaces_are_looked_up_by_pairs() {
        assert_eq!(
            indexed("東京事変LIVE 2"),
            ["東", "京", "事", "変", "東京", "京事", "事変", "live", "2"]
        );
        assert_eq!(wanted("京事変"), ["京事", "事変"]);
        assert_eq!(wanted("変"), ["変"]);
        assert_eq!(wanted("live"), ["live"]);
        let text = indexed(&"東京事変".repeat(100));
        for part in ["事変東京", "変", "กรุงเทพ"] {
            let found = wanted(part).iter().all(|term| text.contains(term));
            assert_eq!(found, part != "กรุงเทพ", "{part}");
        }
    }

    #[test]
    fn words_are_where_they_were() {
        let text = "L'Été, 東京\u{200d}LIVE -";
        let places = places(text);
        let seen: Vec<(&str, String)> = places
            .into_iter()
            .map(|(at, words)| (&text[at], words.join(" ")))
            .collect();
        let expected = [("L", "l"), ("Été", "ete"), ("東京\u{200d}LIVE", "東京live")];
        assert_eq!(seen, expected.map(|(at, words)| (at, words.to_owned())));
    }

    #[test]
    fn a_word_without_end_is_cut() {
        let long = "é".repeat(1_000);
        let cut = words(&long);
        assert_eq!(cut, ["e".repeat(WORD_BYTES_MAX)]);
        assert_eq!(words(&"東".repeat(1_000))[0].len(), WORD_BYTES_MAX);
    }

    #[test]
    fn plain_text_has_no_operators_left() {
        assert_eq!(plain("\"Cafe\u{301}\" -live  (東京)", 10), "Café live 東京");
        assert_eq!(plain("a b c", 2), "a b");
        assert_eq!(plain("-- \"", 10), "");
    }

    proptest! {
        #[test]
        fn folding_again_changes_nothing(text in ".{0,40}") {
            let once = key(&text);
            prop_assert_eq!(key(&once), once.clone());
            prop_assert!(once.chars().all(|c| is_part(c) || c == ' '));
        }
    }
}
