//! Text of others: what is no part of it.

/// Whether nobody sees the character, and text with it looks like other text: what turns the line around,
/// blanks of no width, separators of lines, tags. Marks and joiners that languages and emoji need
/// are none of them; controls are for `char::is_control`.
pub const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e001f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_languages_need_is_seen() {
        for c in
            "Café 東京 עברית\u{200f} فارسی\u{200c}\u{200d}👩\u{200d}🎤\u{fe0f} e\u{301}".chars()
        {
            assert!(!is_unseen(c), "{c:?}");
        }
        for c in [
            '\u{200b}',
            '\u{202e}',
            '\u{2066}',
            '\u{feff}',
            '\u{2028}',
            '\u{e0001}',
        ] {
            assert!(is_unseen(c), "{c:?}");
        }
    }
}
