//! `search.proto` on the wire: decode, check bounds, ask the index, encode.

mod decode;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use holdfast_mesh::{Failure, auth::Verifier};
use holdfast_proto::search::v1::{
    self as wire, CompareShowsRequest, CompareShowsResponse, GetIndexStatusRequest,
    GetIndexStatusResponse, RebuildIndexRequest, RebuildIndexResponse, SearchShowsRequest,
    SearchShowsResponse, SuggestNamesRequest, SuggestNamesResponse,
    search_admin_service_server::SearchAdminService, search_service_server::SearchService,
};
use holdfast_types::ErrorCode;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{
    clients::catalog::Catalog,
    compare,
    cursor::Cursor,
    facet::{Counts, Facet},
    feed::{self, Stream},
    highlight::Wanted,
    index::{self, Index, Total},
    looser::{self, Looseness},
    metric,
    place::Place,
    query::RESULTS_MAX,
    suggest::suggest,
};

/// When a caller may ask again while the engine is down or an index is being built: not within the time that the
/// gateway waits for an answer, so that it gives out at once what it has kept.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// Changes counted for operators: a look takes less than a second.
const BEHIND_COUNTED_MAX: u64 = 1_000_000;

/// Answers searches.
pub(crate) struct Searches<I> {
    pub(crate) index: Arc<I>,
}

#[tonic::async_trait]
impl<I: Index> SearchService for Searches<I> {
    async fn search_shows(
        &self,
        request: Request<SearchShowsRequest>,
    ) -> Result<Response<SearchShowsResponse>, Status> {
        let asked =
            decode::decode(request.get_ref(), Utc::now()).inspect_err(|_| count("refused"))?;
        let begun = Instant::now();
        let answer = looser::search(&*self.index, &asked).await;
        metrics::histogram!(metric::SEARCH_SECONDS).record(begun.elapsed().as_secs_f64());
        let answer = answer.map_err(failure).inspect_err(|_| count("failed"))?;
        count(match answer.looseness {
            Looseness::AsAsked => "found",
            _ => "loosened",
        });
        let (query, found) = (&answer.query, answer.found);
        if found.unchanged {
            return Ok(Response::new(SearchShowsResponse {
                tag: found.tag,
                unchanged: true,
                ..SearchShowsResponse::default()
            }));
        }
        let end = query.offset + found.shows.len();
        let next = Cursor {
            offset: end,
            after: found.last,
            from_ms: query.from_ms,
            question: asked.question,
            looseness: answer.looseness,
        };
        let mut shows = found.shows;
        let wanted = Wanted::of(query);
        for show in &mut shows {
            show.highlights = wanted.in_show(show);
        }
        if let Some(near) = query.near {
            for show in &mut shows {
                let place = Place::new(show.latitude, show.longitude);
                show.distance_m = place.map(|it| near.place.distance_m(it).round() as u32);
            }
        }
        let next_cursor = if found.more && !shows.is_empty() && end < RESULTS_MAX {
            next.to_string()
        } else {
            String::new()
        };
        let (total, total_is_estimated) = match found.total {
            Total::Exact(total) => (total, false),
            Total::Estimated(total) => (total, true),
        };
        Ok(Response::new(SearchShowsResponse {
            shows,
            next_cursor,
            total,
            total_is_estimated,
            facets: found.facets.into_iter().map(facet).collect(),
            loosened: loosened(answer.looseness, &asked.q),
            tag: found.tag,
            unchanged: false,
        }))
    }

    async fn suggest_names(
        &self,
        request: Request<SuggestNamesRequest>,
    ) -> Result<Response<SuggestNamesResponse>, Status> {
        let begun = decode::decode_begun(request.get_ref(), Utc::now())?;
        let Some((begun, limit)) = begun else {
            return Ok(Response::new(SuggestNamesResponse::default()));
        };
        let asked_at = Instant::now();
        let suggestions = suggest(&*self.index, &begun, limit).await;
        metrics::histogram!(metric::SUGGEST_SECONDS).record(asked_at.elapsed().as_secs_f64());
        let suggestions = suggestions.map_err(failure)?;
        Ok(Response::new(SuggestNamesResponse { suggestions }))
    }
}

fn loosened(looseness: Looseness, q: &str) -> Option<wire::Loosened> {
    let parted = looseness.part(q);
    (looseness != Looseness::AsAsked).then(|| wire::Loosened {
        without_words: parted.map(|parted| parted.left_out).unwrap_or_default(),
        misspelt: looseness == Looseness::Misspelt,
    })
}

fn facet(counts: Counts) -> wire::Facet {
    let by = match counts.facet {
        Facet::Category => wire::FacetBy::Category,
        Facet::City => wire::FacetBy::City,
        Facet::Country => wire::FacetBy::Country,
        Facet::State => wire::FacetBy::State,
    };
    let values = counts.values.into_iter();
    wire::Facet {
        by: by.into(),
        values: values
            .map(|(value, shows)| wire::FacetValue { value, shows })
            .collect(),
        more: counts.more,
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(metric::SEARCHES, "outcome" => outcome).increment(1);
}

fn failure(error: index::Error) -> Failure {
    let message = match &error {
        // The keeper says so in the log.
        index::Error::NotBuilt => "the search index is being built; try again",
        index::Error::Away(_) => {
            tracing::warn!(%error, "a search found no engine");
            "search is down; try again"
        }
        // We asked what the engine takes no matter what a customer wrote.
        index::Error::Refused(_) => return Failure::internal(&error),
    };
    Failure::new(ErrorCode::Unavailable, message).with_retry_after(RETRY_AFTER)
}

/// What operators ask.
pub(crate) struct Admin<I> {
    pub(crate) index: Arc<I>,
    pub(crate) status: Arc<feed::Status>,
    pub(crate) verifier: Verifier,
    pub(crate) stream: Arc<Stream>,
    pub(crate) catalog: Catalog,
    /// Whether this process keeps the index.
    pub(crate) feeds: bool,
}

impl<I> Admin<I> {
    async fn check(&self, metadata: &MetadataMap) -> Result<(), Failure> {
        let claims = self.verifier.authenticate(metadata).await?;
        if claims.has_role("admin") {
            return Ok(());
        }
        Err(Failure::new(
            ErrorCode::Forbidden,
            "this needs the role admin",
        ))
    }
}

#[tonic::async_trait]
impl<I: Index> SearchAdminService for Admin<I> {
    async fn rebuild_index(
        &self,
        request: Request<RebuildIndexRequest>,
    ) -> Result<Response<RebuildIndexResponse>, Status> {
        self.check(request.metadata()).await?;
        if !self.feeds {
            let message = "this process only answers searches; ask the one that feeds the index";
            return Err(Failure::new(ErrorCode::InvalidState, message).into());
        }
        self.status.ask();
        tracing::info!("an index built anew was asked for");
        Ok(Response::new(RebuildIndexResponse {}))
    }

    async fn get_index_status(
        &self,
        request: Request<GetIndexStatusRequest>,
    ) -> Result<Response<GetIndexStatusResponse>, Status> {
        self.check(request.metadata()).await?;
        let (mut engine_failure, mut behind_failure) = (String::new(), String::new());
        let index = async {
            let searchable = self.index.is_built().await?;
            match self.index.shows().await {
                Err(index::Error::NotBuilt) => Ok((searchable, 0)),
                shows => shows.map(|shows| (searchable, shows)),
            }
        };
        let (searchable, shows) = index.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the engine can't be asked how it is");
            engine_failure = error.to_string();
            (false, 0)
        });
        let behind = async {
            let (lag, changes) = (self.stream.lag(), self.stream.behind(BEHIND_COUNTED_MAX));
            tokio::try_join!(lag, changes)
        };
        let (lag, changes_behind) = behind.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "how far search is behind can't be told");
            behind_failure = "the event stream is down".to_owned();
            (Duration::ZERO, 0)
        });
        Ok(Response::new(GetIndexStatusResponse {
            engine: I::ENGINE.to_owned(),
            searchable,
            building: self.status.is_building(),
            shows_read: self.status.shows_read(),
            indexes_built: self.status.indexes_built(),
            buildings_failed: self.status.failed(),
            last_failure: self.status.failure(),
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            changes_behind,
            shows,
            engine_failure,
            behind_failure,
        }))
    }

    async fn compare_shows(
        &self,
        request: Request<CompareShowsRequest>,
    ) -> Result<Response<CompareShowsResponse>, Status> {
        self.check(request.metadata()).await?;
        let which = decode::decode_compared(request.get_ref())?;
        let compared = compare::page(&*self.index, &self.catalog, which).await;
        let compared = compared.map_err(|error| match error {
            feed::Error::Index(error) => failure(error),
            feed::Error::Catalog(_) | feed::Error::Overtaken => {
                tracing::warn!(%error, "the catalogue and the index can't be compared");
                let message = "the catalogue can't be read; try again";
                Failure::new(ErrorCode::Unavailable, message).with_retry_after(RETRY_AFTER)
            }
        })?;
        Ok(Response::new(compared.into()))
    }
}
