//! Sessions of browsers: the tokens in cookies that no script can read, and whose pages may use them.
//!
//! Always holds: a cookie counts for what changes something only if the request comes from a page of
//! ours or of a configured origin, by the browser's own word (`Sec-Fetch-Site`, else `Origin`); where it
//! says neither, it doesn't count. Programs send a bearer token instead, which no page can make a
//! browser send. Leaves to others: what a token is good for (`call`).
//!
//! The check is the one of OWASP's Cross-Site Request Forgery Prevention Cheat Sheet, "Fetch Metadata
//! headers" with the fallback to `Origin`; `SameSite=Lax` stands behind it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use holdfast_types::ErrorCode;

use crate::{Config, failure::ApiError};

/// `__Host-`: set by this host alone, over TLS (or on the machine itself), for all of its paths.
pub(crate) const ACCESS_COOKIE: &str = "__Host-holdfast-access";
pub(crate) const REFRESH_COOKIE: &str = "__Host-holdfast-refresh";

/// As long as identity-svc renews a sign-in; one that it doesn't renew any more is refused there.
const REFRESH_AGE_S: u32 = 30 * 24 * 60 * 60;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whose pages may use a session.
#[derive(Debug)]
pub(crate) struct Origins {
    own: Option<HeaderValue>,
    allowed: Vec<HeaderValue>,
}

impl Origins {
    pub(crate) fn new(config: &Config) -> Result<Self, (&'static str, String)> {
        Ok(Self {
            own: config.own_origin()?,
            allowed: config.origins()?,
        })
    }

    /// Whether pages of other sites may read answers.
    pub(crate) fn are_allowed(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether browsers reach us over TLS.
    pub(crate) fn are_secure(&self) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| own.as_bytes().starts_with(b"https:"))
    }

    /// Refuses what a page of another site makes a browser do.
    ///
    /// # Errors
    /// `FORBIDDEN`.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
        if method.is_safe() || self.is_ours(headers) {
            return Ok(());
        }
        let message = "a session's cookies count for pages of this site only; \
            programs send `Authorization: Bearer <access token>`";
        Err(ApiError::new(ErrorCode::Forbidden, message))
    }

    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get(header::ORIGIN);
        if origin.is_some_and(|origin| self.allowed.contains(origin)) {
            return true;
        }
        // A browser lets no page write it.
        match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            // `none`: the person did it, no page.
            Some(b"same-origin" | b"none") => true,
            Some(_) => false,
            None => origin.is_some_and(|origin| self.is_own(origin, headers)),
        }
    }

    fn is_own(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        if let Some(own) = &self.own {
            return origin == own;
        }
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let origin = origin.as_bytes();
        let of = |scheme: &[u8]| origin.strip_prefix(scheme);
        let named = of(b"https://").or_else(|| of(b"http://"));
        named.is_some() && named == host
    }
}

/// The value of a cookie; none if it isn't there once.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs
        .filter(|(own, _)| *own == name)
        .map(|(_, value)| value);
    let value = values.next().filter(|value| !value.is_empty())?;
    values.next().is_none().then_some(value)
}

/// What sets a session's cookies.
pub(crate) fn begin(access: &str, expires_in_s: u32, refresh: &str) -> Result<HeaderMap, ApiError> {
    set([
        (ACCESS_COOKIE, access, expires_in_s),
        (REFRESH_COOKIE, refresh, REFRESH_AGE_S),
    ])
}

/// What takes them away.
pub(crate) fn end() -> Result<HeaderMap, ApiError> {
    set([(ACCESS_COOKIE, "", 0), (REFRESH_COOKIE, "", 0)])
}

fn set(cookies: [(&str, &str, u32); 2]) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    for (name, value, age_s) in cookies {
        let text =
            format!("{name}={value}; Max-Age={age_s}; Path=/; Secure; HttpOnly; SameSite=Lax");
        let mut line = HeaderValue::from_str(&text)
            .map_err(|_| ApiError::defect("a token that is no header"))?;
        line.set_sensitive(true);
        headers.append(header::SET_COOKIE, line);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn origins(public_url: &str) -> Origins {
        let config = Config {
            public_url: public_url.to_owned(),
            cors_origins: vec!["https://shop.tickets.example".to_owned()],
            ..Config::default()
        };
        Origins::new(&config).expect("the settings are good")
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let told = origins("https://tickets.example");
        let untold = origins("");
        let post = |origins: &Origins, pairs: &[(&'static str, &'static str)]| {
            origins.check(&Method::POST, &headers(pairs)).is_ok()
        };
        for origins in [&told, &untold] {
            for ours in [
                &[("sec-fetch-site", "same-origin")][..],
                &[("sec-fetch-site", "none")],
                &[
                    ("origin", "https://tickets.example"),
                    ("host", "tickets.example"),
                ],
                // Configured, on the same site.
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://shop.tickets.example"),
                ],
            ] {
                assert!(post(origins, ours), "{ours:?}");
            }
            for others in [
                &[][..],
                &[("host", "tickets.example")],
                &[("sec-fetch-site", "cross-site")],
                &[("sec-fetch-site", "same-site")],
                &[("sec-fetch-site", "")],
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://evil.tickets.example"),
                ],
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://tickets.example"),
                ],
                &[("origin", "null"), ("host", "tickets.example")],
                &[
                    ("origin", "https://evil.example"),
                    ("host", "tickets.example"),
                ],
                &[
                    ("origin", "https://tickets.example.evil.example"),
                    ("host", "tickets.example"),
                ],
                &[
                    ("origin", "https://tickets.example:8443"),
                    ("host", "tickets.example"),
                ],
            ] {
                assert!(!post(origins, others), "{others:?}");
            }
        }
        // Where the address is configured, what stands in `Host` says nothing.
        let rebound = [("origin", "https://evil.example"), ("host", "evil.example")];
        assert!(!post(&told, &rebound));
        for method in [Method::GET, Method::HEAD] {
            assert!(told.check(&method, &headers(&[])).is_ok());
        }
        for method in [Method::DELETE, Method::PUT, Method::PATCH] {
            assert!(told.check(&method, &headers(&[])).is_err());
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_and_counts_only_if_it_is_there_once() {
        let found = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            cookie(&headers(&lines), "a").map(str::to_owned)
        };
        assert_eq!(found(&["a=1"]).as_deref(), Some("1"));
        assert_eq!(found(&["b=2; a=1=; c"]).as_deref(), Some("1="));
        assert_eq!(found(&["b=2", "a=1"]).as_deref(), Some("1"));
        for none in [
            &[][..],
            &["aa=1"],
            &["a="],
            &["a"],
            &["a=1; a=2"],
            &["a=1", "a=1"],
        ] {
            assert_eq!(found(none), None, "{none:?}");
        }
    }
}
