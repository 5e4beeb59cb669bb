//! How long the caller still waits, and handing that on.
//!
//! Always holds: every served call has a deadline, the caller's (`grpc-timeout`) or
//! [`DEADLINE_DEFAULT`], never more than [`DEADLINE_MAX`]; the server ends a call that passed it.
//! Of a streaming call it bounds the time to the first response.
//! Leaves to others: putting it on their outgoing calls ([`Deadline::apply`]).

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::{request_id, trace};

/// For a call that names none: longer than any healthy call takes, shorter than people wait.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

/// A longer one is cut to this: an operator's import takes minutes, nothing takes an hour.
pub const DEADLINE_MAX: Duration = Duration::from_secs(300);

pub(crate) const HEADER: &str = "grpc-timeout";

/// Digits a `grpc-timeout` may have (gRPC over HTTP/2).
const HEADER_DIGITS_MAX: usize = 8;

/// From here on a time in microseconds has more digits than that.
const HEADER_MICROS_MAX: Duration = Duration::from_secs(100);

/// The instant at which nobody waits for the answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `span` from now, at most [`DEADLINE_MAX`].
    pub fn after(span: Duration) -> Self {
        Self(Instant::now() + span.min(DEADLINE_MAX))
    }

    /// The deadline of a call being served; [`DEADLINE_DEFAULT`] from now where nothing says.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        if let Some(deadline) = request.extensions().get::<Self>() {
            return *deadline;
        }
        let named = request
            .metadata()
            .get(HEADER)
            .and_then(|value| parse(value.as_encoded_bytes()));
        Self::after(named.unwrap_or(DEADLINE_DEFAULT))
    }

    /// The deadline that a call's headers name; one that can't be read counts as none.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Self {
        let named = headers
            .get(HEADER)
            .map(HeaderValue::as_bytes)
            .and_then(parse);
        Self::after(named.unwrap_or(DEADLINE_DEFAULT))
    }

    /// What is left; zero when it has passed.
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nobody waits any more.
    pub fn is_past(&self) -> bool {
        self.remaining().is_zero()
    }

    /// The instant, for `tokio::time::timeout_at`.
    pub fn at(&self) -> Instant {
        self.0
    }

    /// What is left, as the header's value.
    pub(crate) fn header(&self) -> HeaderValue {
        let left = self.remaining();
        // Both fit in the digits there are: a deadline is bounded.
        let text = if left < HEADER_MICROS_MAX {
            format!("{}u", left.as_micros())
        } else {
            format!("{}m", left.as_millis())
        };
        HeaderValue::from_str(&text).expect("digits and a letter are a header value")
    }

    /// Puts what is left, and request id and trace of what is being served, on an outgoing call.
    pub fn apply<T>(&self, request: &mut tonic::Request<T>) {
        request.set_timeout(self.remaining());
        if let Some(id) = request_id::current() {
            id.apply(request);
        }
        trace::apply(request.metadata_mut());
    }
}

/// `<1 to 8 digits><unit>`, units H M S m u n.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty()
        || digits.len() > HEADER_DIGITS_MAX
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_every_unit_are_read_and_others_refused() {
        assert_eq!(parse(b"2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse(b"3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse(b"4S"), Some(Duration::from_secs(4)));
        assert_eq!(parse(b"5m"), Some(Duration::from_millis(5)));
        assert_eq!(parse(b"6u"), Some(Duration::from_micros(6)));
        assert_eq!(parse(b"99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in [
            "",
            "5",
            "S",
            "5s",
            "-5S",
            "+5S",
            "123456789S",
            "5 S",
            "1.5S",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_deadline_is_handed_on_with_what_is_left() {
        let mut incoming = tonic::Request::new(());
        incoming.set_timeout(Duration::from_millis(400));
        let deadline = Deadline::of(&incoming);
        tokio::time::timeout_at(
            deadline.at() - Duration::from_millis(100),
            std::future::pending::<()>(),
        )
        .await
        .expect_err("waits");
        let mut outgoing = tonic::Request::new(());
        deadline.apply(&mut outgoing);
        assert!(Deadline::of(&outgoing).remaining() <= Duration::from_millis(100));
        tokio::time::timeout_at(deadline.at(), std::future::pending::<()>())
            .await
            .expect_err("waits");
        assert!(deadline.is_past());
    }

    #[test]
    fn what_a_header_says_is_what_is_left() {
        for span in [
            Duration::ZERO,
            Duration::from_micros(1),
            HEADER_MICROS_MAX,
            DEADLINE_MAX,
        ] {
            let deadline = Deadline::after(span);
            let read = parse(deadline.header().as_bytes()).expect("is readable");
            let rounding = Duration::from_millis(1);
            assert!(read <= span && read + rounding >= deadline.remaining());
        }
    }

    #[test]
    fn a_call_without_a_deadline_has_the_default_and_a_long_one_is_cut() {
        let default = Deadline::of(&tonic::Request::new(())).remaining();
        assert!(default <= DEADLINE_DEFAULT && default > DEADLINE_DEFAULT / 2);
        let cut = Deadline::after(Duration::MAX).remaining();
        assert!(cut <= DEADLINE_MAX && cut > DEADLINE_MAX / 2);
    }
}
