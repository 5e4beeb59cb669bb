//! Text as it is compared: words without case, accents and punctuation.
//!
//! Always holds: the same for what is indexed and for what is asked, whatever the engine; a word
//! is letters and digits only, so it can't be an operator of any query language.

use unicode_normalization::UnicodeNormalization;

/// Longest word that is kept, in bytes; the rest of a longer one is cut off. Scripts without spaces
/// make one word of a phrase.
const WORD_BYTES_MAX: usize = 120;

/// The words of `text`, in order.
pub(crate) fn words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let words = folded.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(|word| word[..word.floor_char_boundary(WORD_BYTES_MAX)].to_owned())
        .collect()
}

/// The words of `text` with one space between them: equal where people would say it is the same.
pub(crate) fn key(text: &str) -> String {
    words(text).join(" ")
}

/// `text` with nothing in it but letters, digits and single spaces, at most `words_max` words: for
/// an engine that folds by itself.
pub(crate) fn plain(text: &str, words_max: usize) -> String {
    let composed: String = text.nfc().collect();
    let words = composed.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words
        .filter(|word| !word.is_empty())
        .take(words_max)
        .collect();
    words.join(" ")
}

fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_accent(*c)) {
        for lower in c.to_lowercase() {
            match respelt(lower) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(lower),
            }
        }
    }
    folded
}

/// The marks that Latin, Greek and Cyrillic letters come apart into. Vowel signs of other scripts
/// are marks too, and make another word.
fn is_accent(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
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
        _ => return None,
    })
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
            ("हिन्दी", "हिन दी"),
            ("a\" OR b = -c", "a or b c"),
            ("!!! --", ""),
        ] {
            assert_eq!(key(text), folded, "{text}");
        }
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
            prop_assert!(once.chars().all(|c| c.is_alphanumeric() || c == ' '));
        }
    }
}
