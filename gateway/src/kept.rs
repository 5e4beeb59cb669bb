//! Pages of the catalogue that many look at: encoded once, and answered from memory.
//!
//! Always holds: a page is given out for [`KEPT`] at most after it was asked for, whatever changes; a
//! seat map too, by the version that its show then has; of many who ask at once, one asks the
//! catalogue; nothing that failed is kept. Memory is bounded. Leaves to others: what a page says.

use std::{sync::Arc, time::Duration};

use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{EventId, ShowId};
use moka::future::Cache;
use serde::Serialize;

use crate::{
    call::Call, conditional::EncodedPage, failure::ApiError, metrics, routes::catalog::shapes,
    server::App, wire::required,
};

/// How long a page is given out: a show that everybody looks at costs the catalogue one question a
/// second, and one that is paused is seen to be within that and what `Cache-Control` allows others.
const KEPT: Duration = Duration::from_secs(1);

/// Bytes of events' and shows' pages, a few kB each: thousands, each twice.
const PAGES_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes of seat maps: of a thousand halls, or of the eight largest stadiums.
const MAPS_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What a seat map follows from: plans don't change, and prices have versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MapVersion {
    show_id: ShowId,
    plan_id: Vec<u8>,
    price_version: u32,
}

pub(crate) struct ShowPage {
    pub(crate) page: EncodedPage,
    map: MapVersion,
}

/// The pages.
pub(crate) struct KeptPages {
    events: Cache<EventId, Arc<EncodedPage>>,
    shows: Cache<ShowId, Arc<ShowPage>>,
    maps: Cache<MapVersion, Arc<EncodedPage>>,
}

impl KeptPages {
    pub(crate) fn new() -> Self {
        let events = Cache::builder()
            .weigher(|_, page: &Arc<EncodedPage>| weight(page))
            .max_capacity(PAGES_BYTES_MAX / 2)
            .time_to_live(KEPT);
        let shows = Cache::builder()
            .weigher(|_, show: &Arc<ShowPage>| weight(&show.page))
            .max_capacity(PAGES_BYTES_MAX / 2)
            .time_to_live(KEPT);
        let maps = Cache::builder()
            .weigher(|_, page: &Arc<EncodedPage>| weight(page))
            .max_capacity(MAPS_BYTES_MAX);
        Self {
            events: events.build(),
            shows: shows.build(),
            maps: maps.build(),
        }
    }

    /// An event with its shows.
    pub(crate) async fn event(
        &self,
        app: &App,
        call: &Call,
        event_id: EventId,
    ) -> Result<Arc<EncodedPage>, ApiError> {
        let make = async {
            let request = call.request(pb::GetEventRequest {
                event_id: event_id.to_bytes().to_vec(),
            });
            let answer = app.catalog.clone().get_event(request).await?;
            let page = encoded("event", move || shapes::event_page(answer.into_inner()));
            page.await.map(Arc::new)
        };
        let page = self.events.try_get_with(event_id, make);
        page.await.map_err(|error| (*error).clone())
    }

    /// A show, with what its seat map is found by.
    pub(crate) async fn show(
        &self,
        app: &App,
        call: &Call,
        show_id: ShowId,
    ) -> Result<Arc<ShowPage>, ApiError> {
        let make = async {
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
            Ok(Arc::new(ShowPage { page, map }))
        };
        let page = self.shows.try_get_with(show_id, make);
        page.await.map_err(|error: Arc<ApiError>| (*error).clone())
    }

    /// A show's seat map.
    pub(crate) async fn seat_map(
        &self,
        app: &App,
        call: &Call,
        show_id: ShowId,
    ) -> Result<Arc<EncodedPage>, ApiError> {
        let show = self.show(app, call, show_id).await?;
        let make = async {
            let request = call.request(pb::GetSeatMapRequest {
                show_id: show_id.to_bytes().to_vec(),
            });
            // Of that version or a later one, which nobody asks for under this one for long.
            let answer = app.catalog.clone().get_seat_map(request).await?;
            let page = encoded("seat_map", move || shapes::seat_map(answer.into_inner()));
            page.await.map(Arc::new)
        };
        let page = self.maps.try_get_with(show.map.clone(), make);
        page.await.map_err(|error| (*error).clone())
    }
}

fn weight(page: &EncodedPage) -> u32 {
    u32::try_from(page.len()).unwrap_or(u32::MAX)
}

/// Makes a page off the threads that serve.
async fn encoded<T: Serialize>(
    name: &'static str,
    page: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<EncodedPage, ApiError> {
    metrics::page_made(name);
    let made = tokio::task::spawn_blocking(move || EncodedPage::new(&page()?));
    let made = made.await;
    made.map_err(|panic| ApiError::defect(&panic.to_string()))?
}
