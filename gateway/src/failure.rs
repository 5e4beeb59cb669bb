//! The one error of the API, and its body.
//!
//! A handler or extractor answers with [`ApiError`]; `scope` writes the body, because it alone
//! knows the request id. Always holds: a message from below reaches the client only with a code
//! that a service chose for clients; defects get one fixed sentence.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use holdfast_mesh::{Failure, FieldViolation, request_id::RequestId};
use holdfast_types::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a retry waits for where nobody said how long.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// What clients are told of a defect.
const INTERNAL_MESSAGE: &str = "something went wrong on our side";

/// Of a name that a client made up, in the error that refuses it.
const ECHO_BYTES_MAX: usize = 256;

/// `ErrorInfo.metadata` key under which a service names seats, as JSON.
const SEATS_KEY: &str = "seats";

/// Those under which it says when a show's sale begins and ends, RFC 3339.
const SALE_STARTS_KEY: &str = "sale_starts_at";
const SALE_ENDS_KEY: &str = "sale_ends_at";

/// A refused or failed request, on its way to the client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Arc<Failure>);

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Failure::new(code, message).into()
    }

    /// INVALID_REQUEST naming what is wrong with `field`.
    pub(crate) fn invalid(field: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        Failure::invalid(shortened(field), shortened(&why)).into()
    }

    /// A defect of ours or of a service: `what` is for the log alone.
    pub(crate) fn defect(what: &str) -> Self {
        tracing::error!(what, "defect");
        Self::new(ErrorCode::InternalError, INTERNAL_MESSAGE)
    }

    /// The deadline passed. What was asked for may have happened.
    pub(crate) fn timed_out() -> Self {
        Self::new(
            ErrorCode::Unavailable,
            "no answer in time; it may have had its effect: repeat it with the same idempotency key, or look",
        )
    }

    /// The deadline passed while the request's body was still coming: nothing was done.
    pub(crate) fn body_too_slow() -> Self {
        let message = "the body came too slowly";
        Self::new(ErrorCode::RequestTimeout, message)
    }

    /// The same refusal with its fields as the client named them, which is what `name` says.
    pub(crate) fn in_words(&self, name: impl Fn(&str) -> String) -> Self {
        let told = &*self.0;
        let mut fields = told.fields().iter();
        let first = fields.next();
        // What was made of one field says its name, too.
        let message = match first {
            Some(FieldViolation { field, why }) if told.message() == format!("{field}: {why}") => {
                format!("{}: {why}", name(field))
            }
            _ => told.message().to_owned(),
        };
        let mut failure = Failure::new(told.code(), message);
        for FieldViolation { field, why } in first.into_iter().chain(fields) {
            failure = failure.and_field(&name(field), why.clone());
        }
        for (key, value) in told.metadata() {
            failure = failure.with_metadata(key.clone(), value.clone());
        }
        if let Some(after) = told.retry_after() {
            failure = failure.with_retry_after(after);
        }
        failure.into()
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.0.code()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code().http()).expect("the error table has valid statuses")
    }

    /// Whether it says itself when to come again.
    pub(crate) fn says_when(&self) -> bool {
        self.0.retry_after().is_some()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.0
            .retry_after()
            .or(retry_helps(self.0.code()).then_some(RETRY_AFTER_DEFAULT))
    }

    fn body(&self, request_id: &RequestId) -> ErrorBody {
        let code = self.0.code();
        let message = match code {
            ErrorCode::InternalError => INTERNAL_MESSAGE.to_owned(),
            _ => self.0.message().to_owned(),
        };
        let fields = self
            .0
            .fields()
            .iter()
            .map(|FieldViolation { field, why }| FieldProblem {
                field: field.clone(),
                message: why.clone(),
            });
        let seats = self.0.metadata().get(SEATS_KEY).map(|json| seats(json));
        ErrorBody {
            error_code: code.as_str().to_owned(),
            message,
            details: ErrorDetails {
                fields: fields.collect(),
                seats: seats.unwrap_or_default(),
                sale_starts_at: self.0.metadata().get(SALE_STARTS_KEY).cloned(),
                sale_ends_at: self.0.metadata().get(SALE_ENDS_KEY).cloned(),
            },
            request_id: request_id.to_string(),
        }
    }

    /// Puts status, body and headers into `response`, whose other headers stay.
    pub(crate) fn render(&self, request_id: &RequestId, response: &mut Response) {
        let body = serde_json::to_vec(&self.body(request_id)).expect("strings always serialise");
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(wait) = self.retry_after() {
            // Whole seconds, rounded up: earlier would be too early.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            let value = HeaderValue::from_str(&seconds.to_string()).expect("digits are a header");
            headers.insert(header::RETRY_AFTER, value);
        }
        if self.0.code() == ErrorCode::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        *response.body_mut() = Body::from(body);
    }
}

/// As much of it as is told to somebody who wrote it.
fn shortened(text: &str) -> &str {
    let end = text.floor_char_boundary(ECHO_BYTES_MAX);
    &text[..end]
}

/// Whether answers with this code say when to try again.
pub(crate) fn retry_helps(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::InProgress
    )
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self(Arc::new(failure))
    }
}

impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        Failure::from_status(&status).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Reads what a service wrote under [`SEATS_KEY`]; a state it doesn't know is empty there.
fn seats(json: &str) -> Vec<SeatProblem> {
    let mut seats: Vec<SeatProblem> = serde_json::from_str(json).unwrap_or_else(|error| {
        tracing::error!(%error, "a service sent seats that can't be read");
        Vec::new()
    });
    seats
        .iter_mut()
        .for_each(|seat| seat.state = seat.state.take().filter(|state| !state.is_empty()));
    seats
}

/// What every error answers with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// Stable, for programs.
    #[schema(example = "SEAT_LOCKED")]
    pub(crate) error_code: String,
    /// For people; may change.
    pub(crate) message: String,
    pub(crate) details: ErrorDetails,
    /// Also in the `x-request-id` header; name it when asking for help.
    pub(crate) request_id: String,
}

/// What exactly was wrong, where there is more to say.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorDetails {
    /// For bad input: each field, parameter or header that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) fields: Vec<FieldProblem>,
    /// For conflicts: each seat that stands in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) seats: Vec<SeatProblem>,
    /// For a show that isn't sold yet, or no more: when its sale begins and ends, where that is bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, format = DateTime, example = "2026-03-01T09:00:00Z")]
    pub(crate) sale_starts_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, format = DateTime)]
    pub(crate) sale_ends_at: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FieldProblem {
    #[schema(example = "seat_ids")]
    pub(crate) field: String,
    pub(crate) message: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SeatProblem {
    #[schema(example = "GROUND-3-A-7")]
    pub(crate) seat_id: String,
    /// AVAILABLE, HELD, SOLD or BLOCKED; absent for a seat that the show hasn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "HELD")]
    pub(crate) state: Option<String>,
}
