//! The catalogue beside the index, page by page.
//!
//! Always holds: a page is bounded on both sides, and nothing is kept between pages. What differs
//! may have changed between the two readings: whoever asks looks again before it is called wrong.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_proto::search::v1::CompareShowsResponse;
use holdfast_types::ShowId;

use crate::{
    clients::catalog::{Catalog, Named, PAGE_SHOWS, Page, Shows},
    feed::Error,
    index::Index,
};

/// Shows of the index on a page, more than the catalogue has there: what goes beyond isn't named.
const SHOWS_MAX: usize = 3 * PAGE_SHOWS;
/// Superfluous shows that are named.
const SUPERFLUOUS_MAX: usize = 1_000;

/// Which shows are compared.
#[derive(Debug, PartialEq)]
pub(crate) enum Which {
    /// Those with the next ids.
    After(Option<ShowId>),
    Named(BTreeSet<ShowId>),
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Compared {
    in_catalogue: usize,
    in_index: usize,
    missing: Vec<ShowId>,
    superfluous: Vec<ShowId>,
    differing: Vec<ShowId>,
    next: Option<ShowId>,
}

/// Compares a page.
pub(crate) async fn page(
    index: &impl Index,
    catalog: &Catalog,
    which: Which,
) -> Result<Compared, Error> {
    match which {
        Which::After(after) => {
            let page = catalog.read(&Shows::All, after).await?;
            let indexed = index.contents(after, page.next, SHOWS_MAX).await?;
            Ok(compared(public(&page), indexed, page.next))
        }
        Which::Named(ids) => {
            let named = Named {
                shows: ids.clone(),
                ..Named::default()
            };
            let page = catalog.read(&Shows::Of(named), None).await?;
            let mut indexed = Vec::new();
            for id in ids {
                indexed.extend(index.contents(before(id), Some(id), 1).await?);
            }
            Ok(compared(public(&page), indexed, None))
        }
    }
}

/// What the index should have of a page; no content of what can't be read, which is missing or differs.
fn public(page: &Page) -> BTreeMap<ShowId, Option<u64>> {
    let documents = page.documents.iter();
    let readable = documents.map(|document| (document.show_id, Some(document.content())));
    let unreadable = page.unreadable.iter().map(|(id, _)| (*id, None));
    readable.chain(unreadable).collect()
}

/// The id before.
fn before(id: ShowId) -> Option<ShowId> {
    let number = u128::from_be_bytes(id.to_bytes()).checked_sub(1)?;
    Some(ShowId::from_bytes(number.to_be_bytes()))
}

fn compared(
    public: BTreeMap<ShowId, Option<u64>>,
    indexed: Vec<(ShowId, u64)>,
    next: Option<ShowId>,
) -> Compared {
    let mut compared = Compared {
        in_catalogue: public.len(),
        in_index: indexed.len(),
        next,
        ..Compared::default()
    };
    let indexed: BTreeMap<ShowId, u64> = indexed.into_iter().collect();
    for (id, content) in &public {
        match indexed.get(id) {
            None => compared.missing.push(*id),
            Some(other) if Some(*other) != *content => compared.differing.push(*id),
            Some(_) => {}
        }
    }
    let superfluous = indexed.keys().filter(|id| !public.contains_key(id));
    compared.superfluous = superfluous.copied().take(SUPERFLUOUS_MAX).collect();
    compared
}

impl From<Compared> for CompareShowsResponse {
    fn from(compared: Compared) -> Self {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let bytes = |ids: Vec<ShowId>| ids.iter().map(|id| id.to_bytes().to_vec()).collect();
        Self {
            in_catalogue: count(compared.in_catalogue),
            in_index: count(compared.in_index),
            missing: bytes(compared.missing),
            superfluous: bytes(compared.superfluous),
            differing: bytes(compared.differing),
            next_after_show_id: compared
                .next
                .map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        }
    }
}
