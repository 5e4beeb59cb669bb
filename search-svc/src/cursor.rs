//! Where a search goes on: how many results were had, from which time on, and of which question.
//!
//! Always holds: what [`FromStr`] accepts is what `Display` wrote, and nothing else. A cursor is
//! not secret. Results are counted, not named: an index that changes between two pages may show a
//! show twice or not at all, as a list that people scroll through does.

use std::{fmt, str::FromStr};

use holdfast_types::limits::TIME_MS_MAX;

use crate::query::RESULTS_MAX;

/// Text that is no cursor of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not one that this search gave out")]
pub(crate) struct CursorError;

/// After so many results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Below [`RESULTS_MAX`].
    pub(crate) offset: usize,
    /// Start at or after: the first page's "now" where nothing else was asked.
    pub(crate) from_ms: i64,
    /// Hash of the question.
    pub(crate) question: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            from_ms,
            question,
        } = self;
        write!(f, "q1{offset:04x}{from_ms:012x}{question:016x}")
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parts = || {
            let rest = text.strip_prefix("q1")?;
            let (offset, rest) = rest.split_at_checked(4)?;
            let (from_ms, question) = rest.split_at_checked(12)?;
            Some(Self {
                offset: usize::from_str_radix(offset, 16).ok()?,
                from_ms: i64::from_str_radix(from_ms, 16).ok()?,
                question: u64::from_str_radix(question, 16).ok()?,
            })
        };
        let cursor = parts().ok_or(CursorError)?;
        let is_ours = (1..RESULTS_MAX).contains(&cursor.offset)
            && (0..=TIME_MS_MAX).contains(&cursor.from_ms)
            // One spelling only: signs and upper case parse too.
            && cursor.to_string() == text;
        is_ours.then_some(cursor).ok_or(CursorError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_other_text_is_refused() {
        for cursor in [
            Cursor {
                offset: 1,
                from_ms: 0,
                question: 0,
            },
            Cursor {
                offset: RESULTS_MAX - 1,
                from_ms: TIME_MS_MAX,
                question: u64::MAX,
            },
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let good = "q10014019b77bd1800ffffffffffffffff";
        assert!(good.parse::<Cursor>().is_ok());
        for bad in [
            "",
            "q1",
            "q1é",
            "s10014019b77bd1800ffffffffffffffff",
            "q10000019b77bd1800ffffffffffffffff",
            "q12710019b77bd1800ffffffffffffffff",
            "q10014ffffffffffffffffffffffffffff",
            "q1+014019b77bd1800ffffffffffffffff",
            "q10014019b77bd1800fffffffffffffff",
            "q10014019b77bd1800ffffffffffffffff0",
            "q10014019B77BD1800ffffffffffffffff",
            "q10014019b77bd1800ffffffffffffffff ",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
    }
}
