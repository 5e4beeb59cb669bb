//! Where a search goes on: how many results were had, up to where, from which time on, and of which
//! question, taken how loosely.
//!
//! Always holds: what [`FromStr`] accepts is what `Display` wrote, and nothing else. A cursor is
//! not secret. With a position the next page goes on behind the last show of this one, whatever came or
//! went meanwhile. An engine that names no positions counts results, and an index that changes between
//! two pages may show a show twice or not at all.

use std::{fmt, str::FromStr};

use holdfast_types::limits::TIME_MS_MAX;

use crate::{
    looser::Looseness,
    query::{Position, RESULTS_MAX},
};

/// Text that is no cursor of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not one that this search gave out")]
pub(crate) struct CursorError;

/// After so many results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Below [`RESULTS_MAX`].
    pub(crate) offset: usize,
    /// Of the last of them.
    pub(crate) after: Option<Position>,
    /// Start at or after: the first page's "now" where nothing else was asked.
    pub(crate) from_ms: i64,
    /// Hash of the question.
    pub(crate) question: u64,
    /// How the first page took it.
    pub(crate) looseness: Looseness,
}

/// Ways to take a question, by the digit that stands at the end of a cursor; as it was asked is none.
const DIGITS: [(Looseness, &str); 4] = [
    (Looseness::AsAsked, ""),
    (Looseness::WithoutAsking, "1"),
    (Looseness::WithoutArticles, "2"),
    (Looseness::Misspelt, "3"),
];

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            after,
            from_ms,
            question,
            looseness,
        } = self;
        let version = if after.is_some() { 2 } else { 1 };
        write!(f, "q{version}{offset:04x}{from_ms:012x}{question:016x}")?;
        if let Some((first, time, tie)) = after {
            write!(f, "{first:016x}{time:016x}{tie:016x}")?;
        }
        let mut digits = DIGITS.iter().filter(|(it, _)| it == looseness);
        f.write_str(digits.next().map_or("", |(_, digit)| digit))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parts = || {
            let rest = text.strip_prefix("q")?;
            let (version, rest) = rest.split_at_checked(1)?;
            let (offset, rest) = rest.split_at_checked(4)?;
            let (from_ms, rest) = rest.split_at_checked(12)?;
            let (question, rest) = rest.split_at_checked(16)?;
            let (after, last) = match version {
                "1" => (None, rest),
                "2" => {
                    let (after, last) = rest.split_at_checked(48)?;
                    (Some(position(after)?), last)
                }
                _ => return None,
            };
            let (looseness, _) = DIGITS.iter().find(|(_, digit)| *digit == last)?;
            Some(Self {
                offset: usize::from_str_radix(offset, 16).ok()?,
                after,
                from_ms: i64::from_str_radix(from_ms, 16).ok()?,
                question: u64::from_str_radix(question, 16).ok()?,
                looseness: *looseness,
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

fn position(text: &str) -> Option<Position> {
    let (first, rest) = text.split_at_checked(16)?;
    let (time, tie) = rest.split_at_checked(16)?;
    Some((
        u64::from_str_radix(first, 16).ok()?,
        // Times from before 1970 are in it as the bits that they are.
        u64::from_str_radix(time, 16).ok()?.cast_signed(),
        u64::from_str_radix(tie, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_other_text_is_refused() {
        for cursor in [
            Cursor {
                offset: 1,
                after: None,
                from_ms: 0,
                question: 0,
                looseness: Looseness::AsAsked,
            },
            Cursor {
                offset: 20,
                after: Some((0, i64::MIN, 0)),
                from_ms: 0,
                question: 0,
                looseness: Looseness::AsAsked,
            },
            Cursor {
                offset: 20,
                after: None,
                from_ms: 1,
                question: 2,
                looseness: Looseness::WithoutArticles,
            },
            Cursor {
                offset: RESULTS_MAX - 1,
                after: Some((u64::MAX, -1, u64::MAX)),
                from_ms: TIME_MS_MAX,
                question: u64::MAX,
                looseness: Looseness::Misspelt,
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
            "q10014019b77bd1800ffffffffffffffff4",
            "q10014019b77bd1800ffffffffffffffff11",
            "q10014019B77BD1800ffffffffffffffff",
            "q10014019b77bd1800ffffffffffffffff ",
            "q20014019b77bd1800ffffffffffffffff",
            "q30014019b77bd1800ffffffffffffffff",
            "q10014019b77bd1800ffffffffffffffff000000000000000000000000000000000000000000000001",
            "q20014019b77bd1800ffffffffffffffff00000000000000000000000000000000000000000000001",
            "q20014019b77bd1800ffffffffffffffff0000000000000000-0000000000000010000000000000001",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
    }
}
