//! Answers that are in memory, given at the door: for a page that everybody looks at, what stands around a
//! request costs several times what the page does.
//!
//! Always holds: what is answered here is what the route would answer at this moment, with the same header
//! fields, counted and limited the same. Whatever asks for more than that goes on to the routes: other
//! parameters, a trace to be continued, another origin, a limit that is reached. No trace begins here.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    extract::Request,
    http::{HeaderMap, Method, header},
    response::Response,
};
use futures::future::{Either, Ready, ready};
use holdfast_mesh::{server::until_sent, trace};
use holdfast_types::{EventId, ShowId};
use tower::Service;
use uuid::Uuid;

use crate::{
    conditional,
    limits::{self, Class},
    lists::ListVersion,
    metrics::{self, Answered},
    scope,
    server::{self, App, Shared},
};

/// What may be at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Event,
    Show,
    SeatMap,
    Availability,
}

impl Page {
    const ALL: [Self; 4] = [Self::Event, Self::Show, Self::SeatMap, Self::Availability];

    /// What it is counted under.
    const fn route(self) -> &'static str {
        match self {
            Self::Event => "/api/v1/events/{event_id}",
            Self::Show => "/api/v1/shows/{show_id}",
            Self::SeatMap => "/api/v1/shows/{show_id}/seatmap",
            Self::Availability => "/api/v1/shows/{show_id}/availability",
        }
    }

    const fn class(self) -> Class {
        match self {
            Self::Availability => Class::Seats,
            Self::Event | Self::Show | Self::SeatMap => Class::Browsing,
        }
    }

    /// What a path is for, and of which event or show.
    fn of(path: &str) -> Option<(Self, Uuid)> {
        let path = path.strip_prefix("/api/v1/")?;
        let (page, id) = if let Some(id) = path.strip_prefix("events/") {
            (Self::Event, id)
        } else {
            let path = path.strip_prefix("shows/")?;
            match path.split_once('/') {
                None => (Self::Show, path),
                Some((id, "seatmap")) => (Self::SeatMap, id),
                Some((id, "availability")) => (Self::Availability, id),
                Some(_) => return None,
            }
        };
        Some((page, id.parse().ok()?))
    }
}

/// The door before `inner`, which has the routes.
#[derive(Clone)]
pub(crate) struct AtHand<S> {
    inner: S,
    door: Door,
}

impl<S> AtHand<S> {
    /// After the recorder of metrics was installed.
    pub(crate) fn new(inner: S, app: Shared) -> Self {
        let counters = Page::ALL.map(|page| Answered::to_get(page.route()));
        let is_read_elsewhere = app.origins.are_allowed();
        let door = Door {
            app,
            counters: counters.into(),
            cors: is_read_elsewhere.then(|| Arc::new(server::cors_without_origin())),
        };
        Self { inner, door }
    }
}

#[derive(Clone)]
struct Door {
    app: Shared,
    /// As [`Page::ALL`].
    counters: Arc<[Answered]>,
    /// Of every answer, where pages of other origins may read any.
    cors: Option<Arc<HeaderMap>>,
}

impl<S> Service<Request> for AtHand<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.door.answer(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}

impl Door {
    fn answer(&self, request: &Request) -> Option<Response> {
        let came = Instant::now();
        let (page, id) = Page::of(request.uri().path())?;
        let headers = request.headers();
        let goes_on = request.method() != Method::GET
            || headers.contains_key(trace::PARENT_HEADER)
            || headers.contains_key(header::ORIGIN)
            || conditional::takes_any_coding(headers);
        if goes_on {
            return None;
        }
        let app = &self.app;
        let mut response = at_hand(app, page, id, request.uri().query(), headers)?;
        let slot = Arc::clone(&app.slots).try_acquire_owned().ok()?;
        let standing = match &app.limits {
            // It is refused there.
            Some(limits) => limits.count_address(page.class(), request).ok()?,
            None => None,
        };
        limits::tell(&mut response, [standing, None]);
        if page == Page::Availability {
            metrics::availability_read("replica");
        }
        for (name, value) in self.cors.iter().flat_map(|headers| headers.iter()) {
            response.headers_mut().append(name, value.clone());
        }
        scope::dress(app, &mut response, &scope::request_id(headers));
        let nth = Page::ALL.iter().position(|known| *known == page)?;
        self.counters[nth].count(response.status(), came.elapsed());
        Some(until_sent(response, slot))
    }
}

/// What a page's route answers, if that is in memory and new enough.
fn at_hand(
    app: &App,
    page: Page,
    id: Uuid,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Option<Response> {
    let now = Instant::now();
    let (event_id, show_id) = (EventId::from_uuid(id), ShowId::from_uuid(id));
    match (page, query) {
        (Page::Event, None) => Some(app.kept.event_at_hand(event_id, now)?.answer(headers)),
        (Page::Show, None) => Some(app.kept.show_at_hand(show_id, now)?.answer(headers)),
        (Page::SeatMap, None) => Some(app.kept.seat_map_at_hand(show_id, now)?.answer(headers)),
        (Page::Availability, None) => list(app, show_id, false, headers),
        (Page::Availability, Some("format=bitmap")) => list(app, show_id, true, headers),
        _ => None,
    }
}

fn list(app: &App, show_id: ShowId, is_bitmap: bool, headers: &HeaderMap) -> Option<Response> {
    let now = tokio::time::Instant::now();
    let show = app.live.find(show_id, now)?;
    let (revision, show_state) = show.version(now)?;
    let version = ListVersion {
        show_id,
        revision,
        show_state,
        is_bitmap,
    };
    app.lists.at_hand(&version, headers)
}
