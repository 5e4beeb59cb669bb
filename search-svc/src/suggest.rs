//! Names that what was typed so far may be the beginning of.
//!
//! Always holds: every word that was typed is in a name that is suggested, as its own text shows;
//! none is suggested twice, and no kind of name takes the place of all others: of each kind the more
//! frequent come first, and kinds take turns.

use std::{cmp::Reverse, collections::HashSet};

use holdfast_proto::search::v1::{Part, Suggestion};

use crate::{
    fold,
    highlight::{Fit, Wanted},
    index::{Error, Index},
    query::Spelling,
};

/// Suggestions at most.
pub(crate) const SUGGESTIONS_MAX: usize = 10;

/// Names of a kind that an engine gives: some are others' beside whom the right one is, or come
/// twice.
pub(crate) const NAMES_MAX: usize = 20;

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Title,
    Performer,
    Venue,
    City,
}

impl Kind {
    /// In the order in which they take turns.
    pub(crate) const ALL: [Self; 4] = [Self::Performer, Self::Title, Self::City, Self::Venue];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Performer => "performer",
            Self::Venue => "venue",
            Self::City => "city",
        }
    }
}

/// What was typed so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Begun {
    /// As in a [`Query`](crate::query::Query), at least one.
    pub(crate) words: Vec<String>,
    pub(crate) text: String,
    /// Only names of shows that begin then or later.
    pub(crate) from_ms: i64,
}

/// The best of all kinds, at most `limit`.
pub(crate) async fn suggest(
    index: &impl Index,
    begun: &Begun,
    limit: usize,
) -> Result<Vec<Suggestion>, Error> {
    let names = |kind| index.names(kind, begun);
    let [a, b, c, d] = Kind::ALL.map(names);
    let (a, b, c, d) = tokio::try_join!(a, b, c, d)?;
    let wanted = Wanted::new(&begun.words, Spelling::Usual);
    let mut found = Vec::new();
    for (turn, (kind, names)) in Kind::ALL.into_iter().zip([a, b, c, d]).enumerate() {
        let mut rank = 0;
        let mut seen = HashSet::new();
        for name in names {
            if let Some((parts, fit)) = wanted.all_in(&name)
                && seen.insert(fold::key(&name))
            {
                found.push(Ranked {
                    fit,
                    is_first: parts.first().is_some_and(|part| part.matched),
                    rank,
                    turn,
                    kind,
                    key: fold::key(&name),
                    parts,
                });
                rank += 1;
            }
        }
    }
    found.sort_by_key(|it| (it.fit, Reverse(it.is_first), it.rank, it.turn));
    let mut seen = HashSet::new();
    found.retain(|it| seen.insert(it.key.clone()));
    found.truncate(limit);
    let suggestions = found.into_iter().map(|it| Suggestion {
        kind: it.kind.as_str().to_owned(),
        parts: it.parts,
    });
    Ok(suggestions.collect())
}

struct Ranked {
    fit: Fit,
    /// It begins with what was typed.
    is_first: bool,
    /// Among its kind.
    rank: usize,
    turn: usize,
    kind: Kind,
    key: String,
    parts: Vec<Part>,
}
