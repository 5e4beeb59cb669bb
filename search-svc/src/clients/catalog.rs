//! The public shows, from catalog-svc.
//!
//! Always holds: an answer is one page, bounded there and here. Leaves to others: trying again.

use std::{collections::BTreeSet, time::Duration};

use holdfast_mesh::{client::Channel, deadline::Deadline};
use holdfast_proto::catalog::v1::{
    ReadShowsRequest, Show, ShowsOf, catalog_service_client::CatalogServiceClient,
    read_shows_request::Which,
};
use holdfast_types::{EventId, ShowId, VenueId};
use tonic::{Request, Status};

use crate::document::{Document, Unreadable};

/// Shows in a page: as many as catalog-svc gives.
pub(crate) const PAGE_SHOWS: usize = 500;

/// Largest page read, in bytes: what catalog-svc sends at most, with room.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a page may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// What is read.
#[derive(Debug, Clone)]
pub(crate) enum Shows {
    All,
    Of(Named),
}

/// Things that stand for shows: themselves, all of an event, all at a venue. At most 500 of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    pub(crate) shows: BTreeSet<ShowId>,
    pub(crate) events: BTreeSet<EventId>,
    pub(crate) venues: BTreeSet<VenueId>,
}

/// Some shows, by id.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) documents: Vec<Document>,
    /// Shows among them that can't be documents, and why not.
    pub(crate) unreadable: Vec<(ShowId, Unreadable)>,
    /// After which the next page begins; none on the last.
    pub(crate) next: Option<ShowId>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("reading the catalogue: {:?}, {}", .0.code(), .0.message())]
    Call(Box<Status>),
    #[error(transparent)]
    Show(#[from] Unreadable),
}

/// A client of catalog-svc.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    client: CatalogServiceClient<Channel>,
}

impl Catalog {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            client: CatalogServiceClient::new(channel).max_decoding_message_size(PAGE_BYTES_MAX),
        }
    }

    /// The shows after `after`, in order of their ids.
    pub(crate) async fn read(&self, shows: &Shows, after: Option<ShowId>) -> Result<Page, Error> {
        let which = match shows {
            Shows::All => None,
            Shows::Of(named) => Some(Which::Of(ShowsOf {
                show_ids: bytes(&named.shows, ShowId::to_bytes),
                event_ids: bytes(&named.events, EventId::to_bytes),
                venue_ids: bytes(&named.venues, VenueId::to_bytes),
            })),
        };
        let mut request = Request::new(ReadShowsRequest {
            which,
            after_show_id: after.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
            limit: PAGE_SHOWS as u32,
        });
        Deadline::after(READ_MAX).apply(&mut request);
        let answer = self.client.clone().read_shows(request).await;
        let shows: Vec<Show> = answer
            .map_err(|status| Error::Call(Box::new(status)))?
            .into_inner()
            .shows;
        let is_full = shows.len() >= PAGE_SHOWS;
        let (mut documents, mut unreadable, mut last) = (Vec::new(), Vec::new(), None);
        for show in shows {
            let id = ShowId::from_slice(&show.show_id).map_err(|_| Unreadable::ID)?;
            last = Some(id);
            match Document::of(show) {
                Ok(document) => documents.push(document),
                Err(why) => unreadable.push((id, why)),
            }
        }
        Ok(Page {
            documents,
            unreadable,
            next: last.filter(|_| is_full),
        })
    }
}

fn bytes<T: Copy>(ids: &BTreeSet<T>, bytes: fn(T) -> [u8; 16]) -> Vec<Vec<u8>> {
    ids.iter().map(|id| bytes(*id).to_vec()).collect()
}
