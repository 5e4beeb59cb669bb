//! The id that follows one request through every process, in logs and in answers.
//!
//! Always holds: a served call has one: the caller's `x-request-id` if it is plain, else a new
//! one. Leaves to others: opening a [`scope`] where a request enters by another way than gRPC.

use std::{fmt, sync::Arc};

use http::HeaderValue;

/// Header and metadata key.
pub const HEADER: &str = "x-request-id";

/// Longest id that is taken from a caller.
const BYTES_MAX: usize = 64;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// 1 to 64 characters of `[A-Za-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new one. Its random bytes are the thread's generator's: one system call less for each request.
    pub fn generate() -> Self {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        Self(id.to_string().into())
    }

    /// One that a caller sent, if it is plain enough to be logged.
    pub fn from_caller(text: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if text.is_empty() || text.len() > BYTES_MAX || !text.iter().all(plain) {
            return None;
        }
        std::str::from_utf8(text).ok().map(|text| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Puts it on an outgoing call.
    pub fn apply<T>(&self, request: &mut tonic::Request<T>) {
        request.metadata_mut().insert(
            HEADER,
            self.as_str().parse().expect("plain ASCII is metadata"),
        );
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).expect("plain ASCII is a header value")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of the request this task is working on; none in tasks it spawned and in loops.
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs `work` as part of the request `id`.
pub async fn scope<F: Future>(id: RequestId, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_from_callers() {
        assert_eq!(
            RequestId::from_caller(b"a-1._Z")
                .map(|id| id.to_string())
                .as_deref(),
            Some("a-1._Z")
        );
        for bad in [&b""[..], b"a b", b"a\nb", b"\xff", &[b'a'; BYTES_MAX + 1]] {
            assert_eq!(RequestId::from_caller(bad), None, "{bad:?}");
        }
    }
}
