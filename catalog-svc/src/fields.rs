//! Bounds of what callers send: each reader checks one field, notes what is wrong, and goes on,
//! so that a caller sees all mistakes at once.
//!
//! Always holds: text that passed is trimmed, bounded, and free of control characters (and so of
//! NUL, which Postgres has no place for) and of characters that nobody sees. Leaves to others: bounds that need a look into tables.

use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_types::{
    IdError,
    limits::{PAGE_ITEMS_MAX, TIME_MS_MAX},
    text::is_unseen,
};

/// Items in a page when the caller names no limit.
const PAGE_ITEMS_DEFAULT: u32 = 20;
/// Violations that one answer lists.
const VIOLATIONS_MAX: usize = 20;

/// Controls, and what nobody sees.
fn is_no_text(c: char) -> bool {
    c.is_control() || is_unseen(c)
}

/// Violations found so far.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    violations: Vec<(String, String)>,
}

impl Fields {
    /// Notes that `field` is wrong.
    pub(crate) fn note(&mut self, field: impl Into<String>, why: impl Into<String>) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push((field.into(), why.into()));
        }
    }

    /// What was read, if nothing was noted; every reader that answers `None` has noted why.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Failure> {
        let mut violations = self.violations.into_iter();
        match (violations.next(), value) {
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Failure::invalid("request", "is incomplete")),
            (Some((field, why)), _) => {
                let first = Failure::invalid(&field, why);
                Err(violations.fold(first, |failure, (field, why)| {
                    failure.and_field(&field, why)
                }))
            }
        }
    }

    /// An id of 16 bytes.
    pub(crate) fn id<T>(
        &mut self,
        field: &str,
        bytes: &[u8],
        parse: fn(&[u8]) -> Result<T, IdError>,
    ) -> Option<T> {
        parse(bytes)
            .inspect_err(|_| self.note(field, "must be 16 bytes"))
            .ok()
    }

    /// One line that must not be empty.
    pub(crate) fn line(&mut self, field: &str, text: &str, bytes_max: usize) -> Option<String> {
        if text.trim().is_empty() {
            self.note(field, "is empty");
            return None;
        }
        self.line_or_empty(field, text, bytes_max)
    }

    /// One line.
    pub(crate) fn line_or_empty(
        &mut self,
        field: &str,
        text: &str,
        bytes_max: usize,
    ) -> Option<String> {
        self.bounded(field, text, bytes_max, is_no_text)
    }

    /// Paragraphs: line breaks and tabs are fine.
    pub(crate) fn paragraphs(
        &mut self,
        field: &str,
        text: &str,
        bytes_max: usize,
    ) -> Option<String> {
        self.bounded(field, text, bytes_max, |c| {
            is_no_text(c) && !matches!(c, '\n' | '\r' | '\t')
        })
    }

    fn bounded(
        &mut self,
        field: &str,
        text: &str,
        bytes_max: usize,
        is_refused: fn(char) -> bool,
    ) -> Option<String> {
        let text = text.trim();
        if text.len() > bytes_max {
            self.note(field, format!("is longer than {bytes_max} bytes"));
        } else if text.chars().any(is_refused) {
            self.note(field, "has a control character, or one that isn't seen");
        } else {
            return Some(text.to_owned());
        }
        None
    }

    /// A number from `-max` to `max`.
    pub(crate) fn degrees(&mut self, field: &str, value: f64, max: f64) -> Option<f64> {
        if value.is_finite() && value.abs() <= max {
            return Some(value);
        }
        self.note(field, format!("must be from -{max} to {max}"));
        None
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn time(&mut self, field: &str, ms: i64) -> Option<DateTime<Utc>> {
        let time = DateTime::from_timestamp_millis(ms).filter(|_| (0..=TIME_MS_MAX).contains(&ms));
        if time.is_none() {
            self.note(
                field,
                "must be milliseconds since 1970, before the year 2200",
            );
        }
        time
    }

    /// Items of a page; 0 is the default.
    pub(crate) fn page_limit(&mut self, field: &str, limit: u32) -> Option<u32> {
        match limit {
            0 => Some(PAGE_ITEMS_DEFAULT),
            1..=PAGE_ITEMS_MAX => Some(limit),
            _ => {
                self.note(field, format!("must be from 1 to {PAGE_ITEMS_MAX}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_other_text_is_refused_by_field() {
        for text in [
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{2028}b",
            "a\0b",
            "a\u{7f}",
        ] {
            let mut fields = Fields::default();
            assert_eq!(fields.line("title", text, 100), None, "{text:?}");
            let refused = fields.finish(None::<()>).expect_err("is noted");
            assert_eq!(refused.fields()[0].field, "title");
            assert_eq!(Fields::default().paragraphs("title", text, 100), None);
        }
        for text in ["Ñandú — 東京", "עברית\u{200f}", "👩\u{200d}🎤"] {
            let line = Fields::default().line("title", text, 100);
            assert_eq!(line.as_deref(), Some(text));
        }
    }
}
