//! Lists of what is a caller's own: which, after what, how many.

use holdfast_mesh::Failure;
use uuid::Uuid;

use crate::{
    cursor::{CursorError, OwnCursor},
    fields::Fields,
};

/// A page of a list by id, descending.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageOf {
    /// Only those with a smaller id.
    pub(super) after: Option<Uuid>,
    pub(super) limit: u32,
}

impl PageOf {
    pub(super) fn decode<const KIND: char>(limit: u32, cursor: &str) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let page = Self::read::<KIND>(limit, cursor, &mut fields);
        fields.finish(page)
    }

    pub(super) fn read<const KIND: char>(
        limit: u32,
        cursor: &str,
        fields: &mut Fields,
    ) -> Option<Self> {
        let limit = fields.page_limit("limit", limit);
        let after = match cursor {
            "" => None,
            text => text
                .parse()
                .map_err(|error: CursorError| fields.note("cursor", error.to_string()))
                .ok()
                .map(|OwnCursor::<KIND>(id)| id),
        };
        limit.map(|limit| Self { after, limit })
    }
}

/// As [`next_cursor`], of a list of a caller's own.
pub(super) fn next_own<const KIND: char, T>(
    items: &mut Vec<T>,
    page: PageOf,
    id: impl Fn(&T) -> Uuid,
) -> String {
    next_cursor(items, page.limit, |last| {
        OwnCursor::<KIND>(id(last)).to_string()
    })
}

/// Cuts a page that was read with one item more than `limit`, and says where the next begins;
/// empty on the last page.
pub(super) fn next_cursor<T>(
    items: &mut Vec<T>,
    limit: u32,
    cursor: impl Fn(&T) -> String,
) -> String {
    let limit = limit as usize;
    if items.len() <= limit {
        return String::new();
    }
    items.truncate(limit);
    items.last().map(cursor).unwrap_or_default()
}
