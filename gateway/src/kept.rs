//! Pages of the catalogue that many look at: encoded once, and answered from memory.
//!
//! Always holds: nobody is given a page that was asked for more than [`KEPT`] before they came,
//! whatever changes; a seat map too, by the version that its show then has. While the catalogue is
//! away the last page stands in, and none that was asked for more than [`STANDS_IN`] before. Of many
//! who ask at once, one asks the catalogue; nothing that failed is kept. Memory is bounded. Leaves to
//! others: what a page says.

use std::{
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures::FutureExt as _;
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{ErrorCode, EventId, ShowId};
use moka::{Expiry, future::Cache};
use serde::Serialize;

use crate::{
    call::Call,
    conditional::EncodedPage,
    failure::ApiError,
    metrics,
    routes::{catalog::shapes, categories},
    server::App,
    wire::required,
};

/// How long a page is given out: a show that everybody looks at costs the catalogue one question a
/// second, and one that is paused is seen to be within that and what `Cache-Control` allows others.
const KEPT: Duration = Duration::from_secs(1);

/// How long the last page is good enough where there is no other: as long as `Cache-Control` lets
/// others answer with a stale one. `Age` tells them how much of that is left.
const STANDS_IN: Duration = Duration::from_secs(30);

/// Bytes of events' pages, and of shows', in each of the two caches that they are in, a few kB each,
/// and twice; thousands. One that is in both is there once.
const PAGES_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of seat maps: of a thousand halls, or of the eight largest stadiums.
const MAPS_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What a seat map follows from: plans don't change, and prices have versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MapVersion {
    show_id: ShowId,
    plan_id: Vec<u8>,
    price_version: u32,
}

struct ShowPage {
    page: Arc<EncodedPage>,
    map: MapVersion,
}

/// A page to be answered with.
pub(crate) struct Given {
    page: Arc<EncodedPage>,
    asked: Instant,
}

impl Given {
    /// As [`EncodedPage::answer`], with how old it is.
    pub(crate) fn answer(&self, request_headers: &HeaderMap) -> Response {
        let mut response = self.page.answer(request_headers);
        let age = HeaderValue::from(self.asked.elapsed().as_secs());
        response.headers_mut().insert(header::AGE, age);
        response
    }
}

/// The pages.
pub(crate) struct KeptPages {
    categories: Pages<(), Arc<EncodedPage>>,
    events: Pages<EventId, Arc<EncodedPage>>,
    shows: Pages<ShowId, ShowPage>,
    maps: Cache<MapVersion, Arc<EncodedPage>>,
}

impl KeptPages {
    pub(crate) fn new() -> Self {
        let maps = Cache::builder()
            .weigher(|_, page: &Arc<EncodedPage>| weight(page))
            .max_capacity(MAPS_BYTES_MAX);
        Self {
            categories: Pages::new(|page| weight(page)),
            events: Pages::new(|page| weight(page)),
            shows: Pages::new(|show| weight(&show.page)),
            maps: maps.build(),
        }
    }

    /// An event's page, if it is here and fresh for who came at `now`.
    pub(crate) fn event_at_hand(&self, event_id: EventId, now: Instant) -> Option<Given> {
        let event = self.events.at_hand(event_id, now)?;
        Some(Given {
            page: Arc::clone(&event.page),
            asked: event.asked,
        })
    }

    /// A show's, likewise.
    pub(crate) fn show_at_hand(&self, show_id: ShowId, now: Instant) -> Option<Given> {
        let show = self.shows.at_hand(show_id, now)?;
        Some(Given {
            page: Arc::clone(&show.page.page),
            asked: show.asked,
        })
    }

    /// A show's seat map, likewise.
    pub(crate) fn seat_map_at_hand(&self, show_id: ShowId, now: Instant) -> Option<Given> {
        let show = self.shows.at_hand(show_id, now)?;
        let page = self.maps.get(&show.page.map).now_or_never().flatten()?;
        Some(Given {
            page,
            asked: show.asked,
        })
    }

    /// The kinds of events.
    pub(crate) async fn categories(&self, app: &App, call: &Call) -> Result<Given, ApiError> {
        let ask = || async move {
            let request = call.request(pb::ListCategoriesRequest {});
            let answer = app.catalog.clone().list_categories(request).await?;
            encoded("categories", move || {
                Ok(categories::tree(answer.into_inner()))
            })
            .await
        };
        let page = self.categories.get((), ask).await?;
        Ok(Given {
            page: Arc::clone(&page.page),
            asked: page.asked,
        })
    }

    /// An event with its shows.
    pub(crate) async fn event(
        &self,
        app: &App,
        call: &Call,
        event_id: EventId,
    ) -> Result<Given, ApiError> {
        let ask = || async move {
            let request = call.request(pb::GetEventRequest {
                event_id: event_id.to_bytes().to_vec(),
            });
            let answer = app.catalog.clone().get_event(request).await?;
            encoded("event", move || shapes::event_page(answer.into_inner())).await
        };
        let event = self.events.get(event_id, ask).await?;
        Ok(Given {
            page: Arc::clone(&event.page),
            asked: event.asked,
        })
    }

    /// A show.
    pub(crate) async fn show(
        &self,
        app: &App,
        call: &Call,
        show_id: ShowId,
    ) -> Result<Given, ApiError> {
        let show = self.show_page(app, call, show_id).await?;
        Ok(Given {
            page: Arc::clone(&show.page.page),
            asked: show.asked,
        })
    }

    /// With what its seat map is found by.
    async fn show_page(
        &self,
        app: &App,
        call: &Call,
        show_id: ShowId,
    ) -> Result<Arc<Dated<ShowPage>>, ApiError> {
        let ask = || async move {
            let request = call.request(pb::GetShowRequest {
                show_id: show_id.to_bytes().to_vec(),
            });
            let answer = app.catalog.clone().get_show(request).await?;
            let show = required(answer.into_inner().show, "show")?;
            let map = MapVersion {
                show_id,
                plan_id: show.plan_id.clone(),
                price_version: show.price_version,
            };
            let page = encoded("show", move || shapes::show(show)).await?;
            Ok(ShowPage { page, map })
        };
        self.shows.get(show_id, ask).await
    }

    /// A show's seat map.
    pub(crate) async fn seat_map(
        &self,
        app: &App,
        call: &Call,
        show_id: ShowId,
    ) -> Result<Given, ApiError> {
        let show = self.show_page(app, call, show_id).await?;
        let make = async {
            let request = call.request(pb::GetSeatMapRequest {
                show_id: show_id.to_bytes().to_vec(),
            });
            // Of that version or a later one, which nobody asks for under this one for long.
            let answer = app.catalog.clone().get_seat_map(request).await?;
            encoded("seat_map", move || shapes::seat_map(answer.into_inner())).await
        };
        let page = self.maps.try_get_with(show.page.map.clone(), make);
        let page = page
            .await
            .map_err(|error: Arc<ApiError>| (*error).clone())?;
        let asked = show.asked;
        Ok(Given { page, asked })
    }
}

/// A page, and when it was asked for.
struct Dated<P> {
    page: P,
    asked: Instant,
}

impl<P> Dated<P> {
    fn is_fresh_for(&self, came: Instant) -> bool {
        came.saturating_duration_since(self.asked) < KEPT
    }

    fn may_stand_in(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked) < STANDS_IN
    }
}

/// Pages of one kind.
struct Pages<K, P> {
    /// Given out as they are.
    fresh: Cache<K, Arc<Dated<P>>>,
    /// The last of each.
    last: Cache<K, Arc<Dated<P>>>,
}

impl<K: Hash + Eq + Copy + Send + Sync + 'static, P: Send + Sync + 'static> Pages<K, P> {
    fn new(weigh: fn(&P) -> u32) -> Self {
        let cache = || {
            let cache = Cache::builder().max_capacity(PAGES_BYTES_MAX);
            cache.weigher(move |_, page: &Arc<Dated<P>>| weigh(&page.page))
        };
        Self {
            fresh: cache().expire_after(SinceAsked).build(),
            last: cache().time_to_live(STANDS_IN).build(),
        }
    }

    /// The page of `key`, if it is here and fresh for who came at `now`.
    fn at_hand(&self, key: K, now: Instant) -> Option<Arc<Dated<P>>> {
        let page = self.fresh.get(&key).now_or_never().flatten()?;
        page.is_fresh_for(now).then_some(page)
    }

    /// The page of `key`, which `ask` makes where it isn't here.
    async fn get<F: Future<Output = Result<P, ApiError>> + Send>(
        &self,
        key: K,
        ask: impl Fn() -> F + Sync,
    ) -> Result<Arc<Dated<P>>, ApiError> {
        let came = Instant::now();
        let page = match self.asked(key, &ask).await {
            // Somebody else had been waiting for it for long. What is asked for from now on is new
            // enough.
            Ok(page) if !page.is_fresh_for(came) => self.asked(key, &ask).await,
            page => page,
        };
        let error = match page {
            Err(error) if error.code() == ErrorCode::Unavailable => error,
            page => return page,
        };
        let last = self.last.get(&key).await;
        last.filter(|page| page.may_stand_in(Instant::now()))
            .ok_or(error)
    }

    async fn asked<F: Future<Output = Result<P, ApiError>> + Send>(
        &self,
        key: K,
        ask: impl Fn() -> F,
    ) -> Result<Arc<Dated<P>>, ApiError> {
        let asking = async {
            let asked = Instant::now();
            match ask().await {
                Ok(page) => {
                    let page = Arc::new(Dated { page, asked });
                    self.last.insert(key, Arc::clone(&page)).await;
                    Ok(page)
                }
                Err(error) => {
                    // It isn't what there is any more.
                    if error.code() != ErrorCode::Unavailable {
                        self.last.invalidate(&key).await;
                    }
                    Err(error)
                }
            }
        };
        let page = self.fresh.try_get_with(key, asking);
        page.await.map_err(|error| (*error).clone())
    }
}

/// Pages are fresh from when they were asked for, not from when they came.
struct SinceAsked;

impl<K, P> Expiry<K, Arc<Dated<P>>> for SinceAsked {
    fn expire_after_create(
        &self,
        _: &K,
        page: &Arc<Dated<P>>,
        created: Instant,
    ) -> Option<Duration> {
        Some(KEPT.saturating_sub(created.saturating_duration_since(page.asked)))
    }

    fn expire_after_update(
        &self,
        key: &K,
        page: &Arc<Dated<P>>,
        updated: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, page, updated)
    }
}

fn weight(page: &EncodedPage) -> u32 {
    u32::try_from(page.len()).unwrap_or(u32::MAX)
}

/// Makes a page off the threads that serve.
async fn encoded<T: Serialize>(
    name: &'static str,
    page: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<Arc<EncodedPage>, ApiError> {
    metrics::page_made(name);
    let made = tokio::task::spawn_blocking(move || EncodedPage::new(&page()?));
    let made = made.await;
    made.map_err(|panic| ApiError::defect(&panic.to_string()))?
        .map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_fresh_and_stands_in_from_when_it_was_asked_for() {
        let asked = Instant::now();
        let page = Dated { page: (), asked };
        let moment = Duration::from_millis(1);
        assert!(page.is_fresh_for(asked + KEPT - moment));
        assert!(!page.is_fresh_for(asked + KEPT));
        assert!(page.may_stand_in(asked + STANDS_IN - moment));
        assert!(!page.may_stand_in(asked + STANDS_IN));
    }
}
