//! An index without a service around it: what it finds is measured on it, and benchmarks may be.
//!
//! Leaves to others: news, keeping it up to date, who may ask.

use std::{path::Path, sync::Arc};

use holdfast_mesh::{Failure, config::Secret};
use holdfast_proto::{
    catalog::v1::Show,
    search::v1::{SearchShowsRequest, SearchShowsResponse, search_service_server::SearchService},
};
use tonic::Request;

use crate::{
    Error as ServeError,
    document::{Document, Unreadable},
    embedded::Embedded,
    grpc::Searches,
    index::{self, Index},
    meili::{Keys, Meili},
};

/// Shows put in at once.
const PAGE_SHOWS: usize = 500;

/// Why there is no index to try.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TrialError(#[from] Why);

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    Open(#[from] ServeError),
    #[error(transparent)]
    Show(#[from] Unreadable),
    #[error(transparent)]
    Index(#[from] index::Error),
}

/// An index of some shows.
pub struct Trial(Engine);

enum Engine {
    Tantivy(Searches<Embedded>),
    Meilisearch(Searches<Meili>),
}

impl Trial {
    /// Embedded, in that folder, in the place of what is there.
    ///
    /// # Errors
    /// The folder can't be used, or a show can't be one.
    pub async fn embedded(
        dir: &Path,
        shows: impl IntoIterator<Item = Show>,
    ) -> Result<Self, TrialError> {
        let index = Embedded::open(dir).map_err(Why::Open)?;
        Ok(Self(Engine::Tantivy(filled(index, shows).await?)))
    }

    /// In a Meilisearch server, under that name.
    ///
    /// # Errors
    /// The server doesn't take it, or a show can't be one.
    pub async fn meilisearch(
        url: &str,
        key: &Secret,
        name: &str,
        shows: impl IntoIterator<Item = Show>,
    ) -> Result<Self, TrialError> {
        let keys = Keys {
            all: key,
            search: key,
        };
        let index = Meili::new(url, keys, name).map_err(Why::Open)?;
        Ok(Self(Engine::Meilisearch(filled(index, shows).await?)))
    }

    /// What the service would answer.
    ///
    /// # Errors
    /// What the service would refuse.
    pub async fn search(
        &self,
        request: SearchShowsRequest,
    ) -> Result<SearchShowsResponse, Failure> {
        let request = Request::new(request);
        let answer = match &self.0 {
            Engine::Tantivy(searches) => searches.search_shows(request).await,
            Engine::Meilisearch(searches) => searches.search_shows(request).await,
        };
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| Failure::from_status(&status))
    }
}

async fn filled<I: Index>(
    index: I,
    shows: impl IntoIterator<Item = Show>,
) -> Result<Searches<I>, Why> {
    index.begin_next().await?;
    let mut page = Vec::new();
    for show in shows {
        page.push(Document::of(show)?);
        if page.len() == PAGE_SHOWS {
            index.fill_next(std::mem::take(&mut page)).await?;
        }
    }
    index.fill_next(page).await?;
    index.swap().await?;
    Ok(Searches {
        index: Arc::new(index),
    })
}
