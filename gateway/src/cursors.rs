//! Cursors of lists, signed on the way out and checked on the way in.
//!
//! Always holds: a service is given no cursor that a gateway didn't give out for the same route; what
//! one is made of is the service's own business, and nobody's who hands it back. Every page that is made
//! within a request ([`crate::wire::Page`]) is signed, and every `cursor` parameter is checked
//! ([`crate::extract::Params`]): no route can forget it.

use std::sync::Arc;

use axum::extract::MatchedPath;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Config, failure::ApiError};

/// The parameter that is checked.
pub(crate) const PARAMETER: &str = "cursor";

/// Of the signature: 128 bits, past guessing.
const TAG_BYTES: usize = 16;

/// Longest cursor that is looked at; services' own have a few dozen characters.
const CURSOR_BYTES_MAX: usize = 512;

tokio::task_local! {
    /// The list that the request at hand is about.
    static LIST: List;
}

/// What signs the cursors of one route.
#[derive(Clone)]
pub(crate) struct List {
    cursors: Cursors,
    route: Option<MatchedPath>,
}

/// The key.
#[derive(Clone)]
pub(crate) struct Cursors(Arc<Hmac<Sha256>>);

impl Cursors {
    pub(crate) fn new(config: &Config) -> Self {
        let own = uuid::Uuid::new_v4();
        let key = match config.cursor_key.expose() {
            "" => own.as_bytes(),
            key => key.as_bytes(),
        };
        let mac = Hmac::new_from_slice(key).expect("takes a key of any length");
        Self(Arc::new(mac))
    }

    /// Runs `work` for a request to `route`.
    pub(crate) async fn within<F: Future>(&self, route: Option<MatchedPath>, work: F) -> F::Output {
        let list = List {
            cursors: self.clone(),
            route,
        };
        LIST.scope(list, work).await
    }
}

impl List {
    fn mac(&self, cursor: &str) -> Hmac<Sha256> {
        let mut mac = (*self.cursors.0).clone();
        let route = self.route.as_ref().map_or("", MatchedPath::as_str);
        mac.update(route.as_bytes());
        // No route has it in it.
        mac.update(b"\0");
        mac.update(cursor.as_bytes());
        mac
    }

    fn sign(&self, cursor: &str) -> String {
        let tag = self.mac(cursor).finalize().into_bytes();
        let mut bytes = tag[..TAG_BYTES].to_vec();
        bytes.extend_from_slice(cursor.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(&self, text: &str) -> Option<String> {
        if text.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, cursor) = bytes.split_at_checked(TAG_BYTES)?;
        let cursor = std::str::from_utf8(cursor).ok()?;
        self.mac(cursor).verify_truncated_left(tag).ok()?;
        Some(cursor.to_owned())
    }
}

/// A service's cursor as clients are given it.
pub(crate) fn sign(cursor: &str) -> String {
    LIST.with(|list| list.sign(cursor))
}

/// A service's cursor, of what a client sent; none is the beginning.
///
/// # Errors
/// It isn't one that this list gave out.
pub(crate) fn read(text: &str) -> Result<String, ApiError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    LIST.with(|list| list.read(text))
        .ok_or_else(|| ApiError::invalid(PARAMETER, "is not one that this list gave out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(key: &str) -> List {
        let config = Config {
            cursor_key: key.into(),
            ..Config::default()
        };
        List {
            cursors: Cursors::new(&config),
            route: None,
        }
    }

    #[test]
    fn a_cursor_is_read_by_whoever_has_the_key_and_as_it_was_given_out() {
        let (one, another) = (list("key"), list("key"));
        for cursor in ["s1000", "", "é"] {
            assert_eq!(another.read(&one.sign(cursor)).as_deref(), Some(cursor));
        }
        let given = one.sign("s1000");
        assert_eq!(list("other key").read(&given), None);
        assert_eq!(
            list("").read(&list("").sign("s1000")),
            None,
            "keys of their own"
        );
        let mut bytes = URL_SAFE_NO_PAD.decode(&given).expect("is base64");
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(one.read(&URL_SAFE_NO_PAD.encode(&bytes)), None, "byte {at}");
            bytes[at] ^= 1;
        }
        for forged in [
            "",
            "s1000",
            "AAAA",
            &format!("{given}="),
            &format!("{given}AA"),
            "%",
        ] {
            assert_eq!(one.read(forged), None, "{forged}");
        }
        assert_eq!(one.read(&"A".repeat(1_000_000)), None);
    }
}
