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
    extract::{MatchedPath, Request},
    http::{HeaderMap, Method, header},
    response::Response,
};
use futures::future::{Either, Ready, ready};
use holdfast_mesh::{server::until_sent, trace};
use holdfast_types::{EventId, ShowId};
use tower::{Layer, Service};
use uuid::Uuid;

use crate::{
    conditional, limits,
    lists::ListVersion,
    metrics::{self, Answered},
    scope,
    server::{self, App, Shared},
};

const EVENT: &str = "/api/v1/events/{event_id}";
const SHOW: &str = "/api/v1/shows/{show_id}";
const SEAT_MAP: &str = "/api/v1/shows/{show_id}/seatmap";
const AVAILABILITY: &str = "/api/v1/shows/{show_id}/availability";

/// What such a route is counted under.
const ROUTES: [&str; 4] = [EVENT, SHOW, SEAT_MAP, AVAILABILITY];

/// Around every route.
#[derive(Clone)]
pub(crate) struct AtHandLayer {
    app: Shared,
    counters: Arc<[(&'static str, Answered)]>,
    /// Of every answer, where pages of other origins may read any.
    cors: Option<Arc<HeaderMap>>,
}

impl AtHandLayer {
    /// After the recorder of metrics was installed.
    pub(crate) fn new(app: Shared) -> Self {
        let counters = ROUTES.map(|route| (route, Answered::to_get(route)));
        let is_read_elsewhere = app.origins.are_allowed();
        Self {
            app,
            counters: counters.into(),
            cors: is_read_elsewhere.then(|| Arc::new(server::cors_without_origin())),
        }
    }
}

impl<S> Layer<S> for AtHandLayer {
    type Service = AtHand<S>;

    fn layer(&self, inner: S) -> AtHand<S> {
        AtHand {
            inner,
            door: self.clone(),
        }
    }
}

/// The door before `inner`.
#[derive(Clone)]
pub(crate) struct AtHand<S> {
    inner: S,
    door: AtHandLayer,
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

impl AtHandLayer {
    fn answer(&self, request: &Request) -> Option<Response> {
        let came = Instant::now();
        let headers = request.headers();
        let goes_on = request.method() != Method::GET
            || headers.contains_key(trace::PARENT_HEADER)
            || headers.contains_key(header::ORIGIN)
            || conditional::takes_any_coding(headers);
        if goes_on {
            return None;
        }
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        let (route, answered) = self.counters.iter().find(|(known, _)| *known == route)?;
        let id = request.uri().path().split('/').nth(4)?.parse().ok()?;
        let app = &self.app;
        let mut response = at_hand(app, route, id, request.uri().query(), headers)?;
        let slot = Arc::clone(&app.slots).try_acquire_owned().ok()?;
        let standing = match &app.limits {
            // It is refused there.
            Some(limits) => limits.count(request).ok()?,
            None => None,
        };
        limits::tell(&mut response, [standing, None]);
        if *route == AVAILABILITY {
            metrics::availability_read("replica");
        }
        for (name, value) in self.cors.iter().flat_map(|headers| headers.iter()) {
            response.headers_mut().append(name, value.clone());
        }
        scope::dress(app, &mut response, &scope::request_id(headers));
        answered.count(response.status(), came.elapsed());
        Some(until_sent(response, slot))
    }
}

/// What `route` answers, if that is in memory and new enough.
fn at_hand(
    app: &App,
    route: &str,
    id: Uuid,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Option<Response> {
    let now = Instant::now();
    match (route, query) {
        (EVENT, None) => {
            let page = app.kept.event_at_hand(EventId::from_uuid(id), now)?;
            Some(page.answer(headers))
        }
        (SHOW, None) => {
            let page = app.kept.show_at_hand(ShowId::from_uuid(id), now)?;
            Some(page.answer(headers))
        }
        (SEAT_MAP, None) => {
            let page = app.kept.seat_map_at_hand(ShowId::from_uuid(id), now)?;
            Some(page.answer(headers))
        }
        (AVAILABILITY, None) => list(app, ShowId::from_uuid(id), false, headers),
        (AVAILABILITY, Some("format=bitmap")) => list(app, ShowId::from_uuid(id), true, headers),
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
