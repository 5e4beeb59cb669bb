//! How often one caller may ask: by address for everything, and by account for what needs a token.
//!
//! Always holds: memory is bounded by [`CALLERS_MAX`], whoever comes; a caller who is refused is told
//! how long to wait, and one who isn't what is left, in the header fields of
//! draft-ietf-httpapi-ratelimit-headers-10, except in answers that caches may keep for others. Health
//! and payment providers' webhooks are not limited. Leaves to others: whose request it is
//! (`client_address`), and how many may be worked on at once (`scope`).
//!
//! Each gateway counts for itself, so that no request waits for another machine: of several behind one
//! address each allows the limit.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, UserId};
use ipnet::IpNet;
use moka::sync::Cache;
use utoipa::openapi::OpenApi;

use crate::{
    Config,
    client_address::{Proxies, contains, household},
    config::RateLimits,
    failure::ApiError,
    metrics, openapi,
    server::Shared,
};

/// What is left.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// How much there may be.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Callers that are counted at once, by address and class or by account; some 300 bytes each. Beyond
/// it those who ask seldom are forgotten first, so a crowd of made-up addresses frees nobody who asks
/// often.
const CALLERS_MAX: u64 = 131_072;

/// Who waits at least so long: sooner would be too early for some.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// Kinds of routes that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// What is public and may be kept by caches, and whatever isn't there.
    Browsing,
    /// Which seats are free.
    Seats,
    /// Accounts and signing in, which cost a password's hash.
    SignIn,
    /// What needs a token, and renewing one.
    Personal,
}

impl Class {
    /// Its name in headers and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Browsing => "browsing",
            Self::Seats => "seats",
            Self::SignIn => "sign-in",
            Self::Personal => "personal",
        }
    }
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Address(Class, IpAddr),
    User(UserId),
}

impl Who {
    fn class(self) -> Class {
        match self {
            Self::Address(class, _) => class,
            Self::User(_) => Class::Personal,
        }
    }

    fn by(self) -> &'static str {
        match self {
            Self::Address(..) => "address",
            Self::User(_) => "user",
        }
    }
}

/// How a caller stands with one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    who: Who,
    /// Requests in a window.
    quota: u32,
    window: Duration,
    /// Requests that are left now.
    left: u32,
    /// Until there is another, where none is left; else until all are.
    wait: Duration,
}

/// How the account that asks stands, once it is known who that is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account(Arc<OnceLock<Standing>>);

/// The limits, and who is near them.
pub(crate) struct Limits {
    proxies: Proxies,
    unlimited: Vec<IpNet>,
    personal: PersonalRoutes,
    counts: Counts<DefaultClock>,
    viewers_max: u32,
    viewers: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// A seat map that is open; it counts for its address, if that is limited, for as long as this is kept.
pub(crate) struct Viewer {
    _counted: Option<Counted>,
}

struct Counted {
    of: IpAddr,
    viewers: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut viewers = self.viewers.lock().expect("no holder panics");
        if let Some(open) = viewers.get_mut(&self.of) {
            *open -= 1;
            if *open == 0 {
                viewers.remove(&self.of);
            }
        }
    }
}

impl FromRequestParts<Shared> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        match (&app.limits, peer) {
            (Some(limits), Some(ConnectInfo(peer))) => limits.viewer(peer.ip(), &parts.headers),
            _ => Ok(Self { _counted: None }),
        }
    }
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Result<Self, (&'static str, String)> {
        Ok(Self {
            proxies: Proxies::new(config)?,
            unlimited: config.rate_limits.unlimited()?,
            personal: PersonalRoutes::of(&openapi::openapi()),
            counts: Counts::new(&config.rate_limits, DefaultClock::default(), CALLERS_MAX),
            viewers_max: config.rate_limits.address_viewers,
            viewers: Arc::default(),
        })
    }

    /// Counts a seat map that is opened from `peer`; there are no more of them than there are places.
    ///
    /// # Errors
    /// `RATE_LIMITED`: its address has as many open as it may.
    fn viewer(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Viewer, ApiError> {
        let client = self.proxies.client(peer, headers);
        if self.viewers_max == 0 || contains(&self.unlimited, client) {
            return Ok(Viewer { _counted: None });
        }
        let of = household(client);
        let mut viewers = self.viewers.lock().expect("no holder panics");
        let open = viewers.entry(of).or_default();
        if *open >= self.viewers_max {
            metrics::rate_limited(Class::Seats.name(), "address");
            let message = "this address has too many seat maps open; close some";
            return Err(Failure::new(ErrorCode::RateLimited, message)
                .with_retry_after(WAIT_MIN)
                .into());
        }
        *open += 1;
        let viewers = Arc::clone(&self.viewers);
        Ok(Viewer {
            _counted: Some(Counted { of, viewers }),
        })
    }

    /// In which class a request counts; none isn't limited.
    fn class(&self, request: &Request) -> Option<Class> {
        let matched = request.extensions().get::<MatchedPath>();
        match matched.map_or("", MatchedPath::as_str) {
            route if route.starts_with("/api/v1/payments/") => None,
            // Cheap, and everybody's every quarter of an hour.
            "/api/v1/auth/refresh" | "/api/v1/auth/logout" | "/api/v1/auth/session/refresh" => {
                Some(Class::Personal)
            }
            route if route.starts_with("/api/v1/auth/") || route.starts_with("/account/") => {
                Some(Class::SignIn)
            }
            route if route.ends_with("/availability") || route.ends_with("/live") => {
                Some(Class::Seats)
            }
            route if self.personal.has(route, request.method()) => Some(Class::Personal),
            _ => Some(Class::Browsing),
        }
    }

    /// Counts a request of its address.
    ///
    /// # Errors
    /// None is left.
    pub(crate) fn count_address(
        &self,
        class: Class,
        request: &Request,
    ) -> Result<Option<Standing>, Standing> {
        // In tests of layers there is no connection.
        let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() else {
            return Ok(None);
        };
        let client = self.proxies.client(peer.ip(), request.headers());
        if contains(&self.unlimited, client) {
            return Ok(None);
        }
        self.counts.count(Who::Address(class, household(client)))
    }

    /// Counts a request of an account whose token was verified.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with how long to wait.
    pub(crate) fn count_user(
        &self,
        user_id: UserId,
        account: Option<&Account>,
    ) -> Result<(), ApiError> {
        let counted = self.counts.count(Who::User(user_id));
        let standing = match counted {
            Ok(None) => return Ok(()),
            Ok(Some(standing)) | Err(standing) => standing,
        };
        if let Some(account) = account {
            let _ = account.0.set(standing);
        }
        match counted {
            Ok(_) => Ok(()),
            Err(standing) => Err(refused(standing)),
        }
    }
}

/// Inside the layers that CORS and errors are in, around the slots: who asks too often takes none.
pub(crate) async fn limited(
    State(app): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(limits) = &app.limits else {
        return next.run(request).await;
    };
    let Some(class) = limits.class(&request) else {
        return next.run(request).await;
    };
    let address = match limits.count_address(class, &request) {
        Ok(standing) => standing,
        Err(standing) => {
            let mut response = refused(standing).into_response();
            tell(&mut response, [Some(standing), None]);
            return response;
        }
    };
    let account = Account::default();
    if class == Class::Personal {
        request.extensions_mut().insert(account.clone());
    }
    let mut response = next.run(request).await;
    tell(&mut response, [address, account.0.get().copied()]);
    response
}

fn refused(standing: Standing) -> ApiError {
    metrics::rate_limited(standing.who.class().name(), standing.who.by());
    let message = format!(
        "too many requests of this {}; wait as long as Retry-After says",
        match standing.who {
            Who::Address(..) => "address",
            Who::User(_) => "account",
        }
    );
    Failure::new(ErrorCode::RateLimited, message)
        .with_retry_after(standing.wait.max(WAIT_MIN))
        .into()
}

/// Says how the caller stands, unless the answer may go on to others.
pub(crate) fn tell(response: &mut Response, standings: [Option<Standing>; 2]) {
    let headers = response.headers_mut();
    let shared = headers.get(header::CACHE_CONTROL);
    if shared.is_some_and(|value| value.as_bytes().starts_with(b"public")) {
        return;
    }
    let (mut policy, mut left) = (String::new(), String::new());
    for standing in standings.into_iter().flatten() {
        let separator = if policy.is_empty() { "" } else { ", " };
        let name = format!("{}-{}", standing.who.class().name(), standing.who.by());
        let window_s = standing.window.as_secs();
        let wait_s = standing.wait.as_millis().div_ceil(1000);
        write!(
            policy,
            "{separator}\"{name}\";q={};w={window_s}",
            standing.quota
        )
        .expect("a string takes it");
        write!(left, "{separator}\"{name}\";r={};t={wait_s}", standing.left)
            .expect("a string takes it");
    }
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        if !text.is_empty() {
            let value = HeaderValue::from_str(&text).expect("is plain ASCII");
            headers.insert(name, value);
        }
    }
}

/// The routes whose documentation asks for a token.
struct PersonalRoutes(HashMap<String, Vec<Method>>);

impl PersonalRoutes {
    fn of(document: &OpenApi) -> Self {
        let paths = document.paths.paths.iter().map(|(path, item)| {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            let personal = operations
                .into_iter()
                .filter(|(_, operation)| operation.as_ref().is_some_and(openapi::is_personal));
            (path.clone(), personal.map(|(method, _)| method).collect())
        });
        Self(paths.collect())
    }

    fn has(&self, route: &str, method: &Method) -> bool {
        let method = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        self.0
            .get(route)
            .is_some_and(|personal| personal.contains(method))
    }
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

/// How often each caller asked.
struct Counts<C: Clock> {
    limits: RateLimits,
    window: Duration,
    clock: C,
    callers: Cache<Who, Arc<Limiter<C>>>,
}

impl<C: Clock + Clone + Send + Sync + 'static> Counts<C>
where
    C::Instant: Send + Sync,
{
    fn new(limits: &RateLimits, clock: C, callers_max: u64) -> Self {
        let window = Duration::from_secs(limits.window_s.into());
        let callers = Cache::builder()
            .max_capacity(callers_max)
            // A caller that was silent for a window has all of its requests again, as a new one has.
            .time_to_idle(window);
        Self {
            limits: limits.clone(),
            window,
            clock,
            callers: callers.build(),
        }
    }

    /// Counts one request: how its caller stands then, or that there is no limit.
    ///
    /// # Errors
    /// None is left.
    fn count(&self, who: Who) -> Result<Option<Standing>, Standing> {
        let Some(quota) = NonZeroU32::new(self.quota(who)) else {
            return Ok(None);
        };
        let limiter = match self.callers.get(&who) {
            Some(limiter) => limiter,
            None => self.callers.get_with(who, || Arc::new(self.limiter(quota))),
        };
        let standing = |left, wait| Standing {
            who,
            quota: quota.get(),
            window: self.window,
            left,
            wait,
        };
        match limiter.check() {
            Ok(snapshot) => {
                let left = snapshot.remaining_burst_capacity();
                let gone = quota.get().saturating_sub(left);
                Ok(Some(standing(left, self.window * gone / quota.get())))
            }
            Err(not_yet) => Err(standing(0, not_yet.wait_time_from(self.clock.now()))),
        }
    }

    fn quota(&self, who: Who) -> u32 {
        match who {
            Who::Address(Class::Browsing, _) => self.limits.address_browsing,
            Who::Address(Class::Seats, _) => self.limits.address_seats,
            Who::Address(Class::SignIn, _) => self.limits.address_sign_in,
            Who::Address(Class::Personal, _) => self.limits.address_personal,
            Who::User(_) => self.limits.user_personal,
        }
    }

    fn limiter(&self, quota: NonZeroU32) -> Limiter<C> {
        let each = (self.window / quota.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(each)
            .expect("it is longer than nothing")
            .allow_burst(quota);
        RateLimiter::direct_with_clock(quota, self.clock.clone()).with_middleware()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const TEST_CALLERS_MAX: u64 = 1_024;

    fn counts(limits: RateLimits) -> (Counts<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Counts::new(&limits, clock.clone(), TEST_CALLERS_MAX), clock)
    }

    fn user(n: u8) -> Who {
        Who::User(UserId::from_bytes([n; 16]))
    }

    fn address(class: Class, last: u8) -> Who {
        Who::Address(class, [192, 0, 2, last].into())
    }

    #[test]
    fn an_address_has_so_many_seat_maps_open_at_once() {
        let mut config = Config::default();
        config.rate_limits.address_viewers = 2;
        let limits = Limits::new(&config).expect("valid");
        let open = |peer: &str| limits.viewer(peer.parse().expect("valid"), &HeaderMap::new());
        let one = open("2001:db8::1").expect("the first");
        let _two = open("2001:db8::2").expect("the second of the same household");
        let refused = open("2001:db8::3").err().expect("one too many");
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        let _elsewhere = open("192.0.2.1").expect("another's are its own");
        drop(one);
        let _three = open("2001:db8::3").expect("there is room again");
        for _ in 0..3 {
            assert!(open("127.0.0.1").is_ok(), "programs of the machine itself");
        }
    }

    #[test]
    fn a_caller_has_so_many_at_once_and_then_as_many_in_each_window() {
        let (counts, clock) = counts(RateLimits {
            window_s: 10,
            user_personal: 5,
            ..RateLimits::default()
        });
        for left in (0..5).rev() {
            let standing = counts
                .count(user(1))
                .expect("is let in")
                .expect("is counted");
            assert_eq!((standing.quota, standing.left), (5, left));
            assert_eq!(standing.wait, Duration::from_secs(2) * (5 - left));
        }
        let refused = counts.count(user(1)).expect_err("none is left");
        assert_eq!((refused.left, refused.wait), (0, Duration::from_secs(2)));
        assert!(counts.count(user(2)).is_ok(), "another's are its own");
        clock.advance(Duration::from_millis(1_500));
        let refused = counts.count(user(1)).expect_err("none is left");
        assert_eq!(refused.wait, Duration::from_millis(500));
        clock.advance(Duration::from_millis(500));
        counts.count(user(1)).expect("the next is there");
        counts.count(user(1)).expect_err("and no more");
        clock.advance(Duration::from_secs(10));
        for _ in 0..5 {
            counts.count(user(1)).expect("all are there again");
        }
    }

    #[test]
    fn classes_of_routes_are_counted_apart_and_zero_is_no_limit() {
        let (counts, _) = counts(RateLimits {
            address_browsing: 1,
            address_seats: 0,
            ..RateLimits::default()
        });
        counts
            .count(address(Class::Browsing, 1))
            .expect("the first");
        counts
            .count(address(Class::Browsing, 1))
            .expect_err("the second");
        counts
            .count(address(Class::Browsing, 2))
            .expect("another's first");
        counts
            .count(address(Class::Personal, 1))
            .expect("another class");
        for _ in 0..100 {
            assert_eq!(counts.count(address(Class::Seats, 1)), Ok(None));
        }
    }

    #[test]
    fn a_crowd_of_addresses_takes_bounded_memory_and_frees_nobody_who_asks_often() {
        let (counts, _) = counts(RateLimits {
            address_browsing: 100,
            ..RateLimits::default()
        });
        let often = address(Class::Browsing, 1);
        for _ in 0..100 {
            counts.count(often).expect("is let in");
        }
        for n in 0..8 * u32::try_from(TEST_CALLERS_MAX).expect("is small") {
            let crowd = Who::Address(Class::Browsing, n.to_be_bytes().into());
            let _ = counts.count(crowd);
            if n % 100 == 0 {
                counts.count(often).expect_err("none is left");
            }
        }
        counts.callers.run_pending_tasks();
        assert!(counts.callers.entry_count() <= TEST_CALLERS_MAX);
        counts.count(often).expect_err("none is left");
    }

    #[test]
    fn what_needs_a_token_is_told_by_the_document() {
        let personal = PersonalRoutes::of(&openapi::openapi());
        for (method, route) in [
            (Method::POST, "/api/v1/holds"),
            (Method::GET, "/api/v1/bookings/{booking_id}"),
            (Method::HEAD, "/api/v1/me"),
        ] {
            assert!(personal.has(route, &method), "{method} {route}");
        }
        for (method, route) in [
            (Method::GET, "/api/v1/events"),
            (Method::POST, "/api/v1/auth/login"),
            (Method::GET, "/nowhere"),
        ] {
            assert!(!personal.has(route, &method), "{method} {route}");
        }
    }
}
