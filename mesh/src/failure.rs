//! The one error that goes over the wire: a code of the table, words for people, and details.
//!
//! Always holds: a [`Failure`] survives the trip through a gRPC status unchanged; what isn't one
//! of ours arrives as `UNAVAILABLE`, `RATE_LIMITED` or `INTERNAL_ERROR` with neutral words; nothing
//! internal is shown, it is logged once where the failure is made.
//! Leaves to others: the JSON form (the gateway's), and choosing the code.

use std::{collections::BTreeMap, error::Error, fmt::Write as _, time::Duration};

use holdfast_types::ErrorCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation as WireViolation, StatusExt};

/// `ErrorInfo.domain` of every failure of ours.
const DOMAIN: &str = "holdfast";

/// Errors below the top that are logged at most; a longer chain is a loop.
pub(crate) const CAUSES_MAX: usize = 16;

/// One field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field as the caller wrote it, e.g. `seat_ids[3]`.
    pub field: String,
    /// What is wrong, for people.
    pub why: String,
}

/// Why a request was refused, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Failure {
    code: ErrorCode,
    message: String,
    fields: Vec<FieldViolation>,
    metadata: BTreeMap<String, String>,
    retry_after: Option<Duration>,
}

impl Failure {
    /// A refusal; `message` is shown to people.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: Vec::new(),
            metadata: BTreeMap::new(),
            retry_after: None,
        }
    }

    /// `INVALID_REQUEST` because of one field. More can follow with [`Failure::and_field`].
    pub fn invalid(field: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self::new(ErrorCode::InvalidRequest, format!("{field}: {why}")).and_field(field, why)
    }

    /// `INTERNAL_ERROR`: logs `error` with its causes, once, and shows nothing of it.
    pub fn internal(error: &(dyn Error + '_)) -> Self {
        tracing::error!(error = %chain(error), "internal error");
        Self::new(ErrorCode::InternalError, "internal error")
    }

    /// Names another field.
    #[must_use]
    pub fn and_field(mut self, field: &str, why: impl Into<String>) -> Self {
        self.fields.push(FieldViolation {
            field: field.to_owned(),
            why: why.into(),
        });
        self
    }

    /// Adds a detail for programs, e.g. the seats in conflict.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Says when a retry may help.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Words for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields at fault, in the order they were named.
    pub fn fields(&self) -> &[FieldViolation] {
        &self.fields
    }

    /// Details for programs.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// When a retry may help.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Reads what a peer answered.
    ///
    /// A status that isn't one of ours: `UNAVAILABLE`, `DEADLINE_EXCEEDED` and `CANCELLED` are
    /// [`ErrorCode::Unavailable`], `RESOURCE_EXHAUSTED` is [`ErrorCode::RateLimited`], all others
    /// [`ErrorCode::InternalError`]; its text goes to the log only. One with a cause didn't come
    /// over the wire: the transport made it of a connection that broke, whatever its code.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        let ours = details
            .error_info()
            .filter(|info| info.domain == DOMAIN)
            .and_then(|info| Some((info.reason.parse::<ErrorCode>().ok()?, &info.metadata)));
        let mut failure = if let Some((code, metadata)) = ours {
            let mut failure = Self::new(code, status.message());
            failure.metadata.extend(
                metadata
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
            failure
        } else {
            let broken = status.source().is_some();
            tracing::warn!(rpc.code = ?status.code(), error = %chain(status), "a peer's status has no reason");
            match status.code() {
                _ if broken => away(),
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => away(),
                Code::ResourceExhausted => {
                    Self::new(ErrorCode::RateLimited, "too many requests; try again later")
                }
                _ => Self::new(ErrorCode::InternalError, "internal error"),
            }
        };
        failure.retry_after = retry_after;
        if let Some(request) = details.bad_request() {
            failure.fields = request
                .field_violations
                .iter()
                .map(|violation| FieldViolation {
                    field: violation.field.clone(),
                    why: violation.description.clone(),
                })
                .collect();
        }
        failure
    }

    /// As a status with another gRPC code than the table's; for codes that only gRPC knows.
    pub(crate) fn into_status_with(self, code: Code) -> Status {
        let metadata: Vec<(String, String)> = self.metadata.into_iter().collect();
        let mut details = ErrorDetails::new();
        details.set_error_info(
            self.code.as_str(),
            DOMAIN,
            metadata
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
        );
        if !self.fields.is_empty() {
            details.set_bad_request(
                self.fields
                    .into_iter()
                    .map(|violation| WireViolation::new(violation.field, violation.why))
                    .collect::<Vec<_>>(),
            );
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        Status::with_error_details(code, self.message, details)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let code = Code::from_i32(failure.code.grpc() as i32);
        failure.into_status_with(code)
    }
}

/// A peer doesn't answer, in words that name nobody.
pub(crate) fn away() -> Failure {
    Failure::new(
        ErrorCode::Unavailable,
        "a part of the system doesn't answer; try again",
    )
}

/// An error and its causes on one line. A cause that its parent's text already tells isn't
/// repeated.
pub(crate) fn chain(error: &(dyn Error + '_)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(cause) = source else { break };
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            write!(text, ": {cause_text}").expect("a String takes any text");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_with_all_details_round_trips_through_a_status() {
        for code in ErrorCode::ALL {
            let failure = Failure::new(*code, "words")
                .and_field("seat_ids[0]", "unknown")
                .and_field("seat_ids[1]", "repeated")
                .with_metadata("seats", "A-1,A-2")
                .with_metadata("limit", "4")
                .with_retry_after(Duration::from_millis(1500));
            let status = Status::from(failure.clone());
            assert_eq!(status.code() as i32, code.grpc() as i32);
            assert_eq!(Failure::from_status(&status), failure);
        }
    }

    #[test]
    fn a_plain_failure_round_trips() {
        let failure = Failure::new(ErrorCode::HoldExpired, "the hold ran out");
        assert_eq!(Failure::from_status(&failure.clone().into()), failure);
    }

    #[test]
    fn foreign_statuses_become_neutral_failures() {
        let cases = [
            (
                Status::unavailable("tcp connect error 10.0.0.1"),
                ErrorCode::Unavailable,
            ),
            (
                Status::deadline_exceeded("10.0.0.1"),
                ErrorCode::Unavailable,
            ),
            (Status::cancelled("10.0.0.1"), ErrorCode::Unavailable),
            (
                Status::resource_exhausted("10.0.0.1"),
                ErrorCode::RateLimited,
            ),
            (Status::unknown("sql at 10.0.0.1"), ErrorCode::InternalError),
            (
                Status::invalid_argument("10.0.0.1"),
                ErrorCode::InternalError,
            ),
            (
                Status::from_error(std::io::Error::other("10.0.0.1").into()),
                ErrorCode::Unavailable,
            ),
        ];
        for (status, code) in cases {
            let failure = Failure::from_status(&status);
            assert_eq!(failure.code(), code, "{status:?}");
            assert!(!failure.message().contains("10.0.0.1"), "{failure:?}");
        }
    }

    #[test]
    fn internal_errors_show_nothing_of_their_cause() {
        let error = std::io::Error::other("disk /dev/sda1 is full");
        let status = Status::from(Failure::internal(&error));
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{status:?}").contains("sda1"));
    }
}
