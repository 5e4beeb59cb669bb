//! The provider's API for merchants, under `/v1`. JSON; `Authorization: Bearer <api key>`; every
//! `POST` that makes something needs an `Idempotency-Key`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::DateTime;
use holdfast_types::Currency;
use serde::{Deserialize, de::DeserializeOwned};
use subtle::ConstantTimeEq;

use super::{
    Sandbox,
    sessions::{self, Action, Faults, Refused},
    store, wire,
};
use crate::away::is_away;

/// Largest body read; a session takes half a kilobyte.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Events in one answer.
const EVENTS_MAX: i64 = 64;

/// Longest key, description and reference, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

pub(super) fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/v1/sessions", post(create_session).get(list_sessions))
        .route("/v1/sessions/{session_id}", get(get_session))
        .route("/v1/sessions/{session_id}/cancel", post(cancel_session))
        .route("/v1/refunds", post(create_refund))
        .route("/v1/refunds/{key}", get(get_refund))
        .route("/v1/events", get(list_events))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(
            sandbox.clone(),
            authenticate,
        ))
        .with_state(sandbox)
}

/// Why a call was refused.
enum Failure {
    Unauthorized,
    Invalid(&'static str),
    Refused(Refused),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "wrong API key"),
            Self::Invalid(why) => (StatusCode::BAD_REQUEST, "invalid_request", why),
            Self::Refused(refused) => match refused {
                Refused::UnknownSession => (
                    StatusCode::NOT_FOUND,
                    "not_found",
                    "there is no such session",
                ),
                Refused::UnknownRefund => (
                    StatusCode::NOT_FOUND,
                    "not_found",
                    "there is no refund of that key",
                ),
                Refused::KeyReused => (
                    StatusCode::CONFLICT,
                    "idempotency_key_reused",
                    "the key was used with another body",
                ),
                Refused::Late => (
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "expires_at_passed",
                    "the session would be over already",
                ),
                Refused::NothingToRefund => (
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "nothing_to_refund",
                    "the session was not paid, or less is left of it",
                ),
            },
            Self::Database(error) if is_away(&error) => {
                tracing::warn!(%error, "sandbox provider: the database is away");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "try again in a moment",
                )
            }
            Self::Database(error) => {
                tracing::error!(%error, "sandbox provider: database");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal_error",
                    "internal error",
                )
            }
        };
        let body = wire::Refusal {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        (status, Json(body)).into_response()
    }
}

async fn authenticate(
    State(sandbox): State<Arc<Sandbox>>,
    request: Request,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .map(|value| value.as_bytes());
    let given = given
        .and_then(|value| value.strip_prefix(b"Bearer "))
        .unwrap_or_default();
    if bool::from(given.ct_eq(sandbox.config.api_key.expose().as_bytes())) {
        next.run(request).await
    } else {
        Failure::Unauthorized.into_response()
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::Invalid("the body isn't what is expected"))
}

fn key(headers: &HeaderMap) -> Result<&str, Failure> {
    let key = headers
        .get(wire::IDEMPOTENCY_KEY)
        .and_then(|value| value.to_str().ok());
    key.filter(|key| !key.is_empty() && key.len() <= TEXT_BYTES_MAX)
        .ok_or(Failure::Invalid(
            "an Idempotency-Key of 1 to 1,024 characters is required",
        ))
}

async fn create_session(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<wire::Session>, Failure> {
    let key = key(&headers)?;
    let wanted: wire::NewSession = read(&body)?;
    if wanted.amount < 1 {
        return Err(Failure::Invalid("amount: at least 1"));
    }
    if wanted.currency.parse::<Currency>().is_err() {
        return Err(Failure::Invalid("currency: three letters of ISO 4217"));
    }
    if wanted.description.len().max(wanted.reference.len()) > TEXT_BYTES_MAX {
        return Err(Failure::Invalid(
            "description, reference: at most 1,024 bytes",
        ));
    }
    if wanted.description.contains('\0') || wanted.reference.contains('\0') {
        return Err(Failure::Invalid("description, reference: text without NUL"));
    }
    let expires_at = DateTime::from_timestamp_millis(wanted.expires_at_ms)
        .ok_or(Failure::Invalid("expires_at_ms: out of range"))?;
    let session = sessions::create(&sandbox, key, &wanted, expires_at).await?;
    let session = session.map_err(Failure::Refused)?;
    Ok(Json(sessions::describe(&session, sandbox.base().await)))
}

async fn get_session(
    State(sandbox): State<Arc<Sandbox>>,
    Path(session_id): Path<String>,
) -> Result<Json<wire::Session>, Failure> {
    let session = sessions::look(&sandbox, &session_id).await?;
    let session = session.ok_or(Failure::Refused(Refused::UnknownSession))?;
    Ok(Json(sessions::describe(&session, sandbox.base().await)))
}

/// Where a list goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    /// The last session of the page before.
    after: Option<String>,
}

async fn list_sessions(
    State(sandbox): State<Arc<Sandbox>>,
    query: Result<Query<After>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<wire::Sessions>, Failure> {
    let Ok(Query(After { after })) = query else {
        return Err(Failure::Invalid(
            "after: one session's id, and nothing else",
        ));
    };
    let page = sessions::list(&sandbox, after.as_deref()).await?;
    Ok(Json(page.map_err(Failure::Refused)?))
}

/// Ends an open session; another stays as it is. The answer says how it stands.
async fn cancel_session(
    State(sandbox): State<Arc<Sandbox>>,
    Path(session_id): Path<String>,
) -> Result<Json<wire::Session>, Failure> {
    let session = sessions::act(&sandbox, &session_id, Action::Cancel, Faults::default()).await?;
    let session = session.ok_or(Failure::Refused(Refused::UnknownSession))?;
    Ok(Json(sessions::describe(&session, sandbox.base().await)))
}

async fn create_refund(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<wire::Refund>, Failure> {
    let key = key(&headers)?;
    let wanted: wire::NewRefund = read(&body)?;
    if wanted.amount < 1 {
        return Err(Failure::Invalid("amount: at least 1"));
    }
    let refund = sessions::refund(&sandbox, key, &wanted)
        .await?
        .map_err(Failure::Refused)?;
    Ok(Json(described(refund)))
}

/// The refund that was made under an idempotency key.
async fn get_refund(
    State(sandbox): State<Arc<Sandbox>>,
    Path(key): Path<String>,
) -> Result<Json<wire::Refund>, Failure> {
    if key.contains('\0') {
        return Err(Failure::Invalid("key: text without NUL"));
    }
    let mut connection = sandbox.pool.acquire().await?;
    let refund = store::refund_of_key(&mut connection, &key).await?;
    let refund = refund.ok_or(Failure::Refused(Refused::UnknownRefund))?;
    Ok(Json(described(refund)))
}

fn described(refund: store::Refund) -> wire::Refund {
    wire::Refund {
        id: refund.refund_id,
        session_id: refund.session_id,
        amount: refund.amount,
    }
}

/// A time, in milliseconds since the Unix epoch.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    since_ms: i64,
    until_ms: i64,
}

async fn list_events(
    State(sandbox): State<Arc<Sandbox>>,
    Query(time): Query<Time>,
) -> Result<Json<wire::Events>, Failure> {
    let at = |ms| {
        DateTime::from_timestamp_millis(ms)
            .ok_or(Failure::Invalid("since_ms, until_ms: out of range"))
    };
    let (since, until) = (at(time.since_ms)?, at(time.until_ms)?);
    let bodies = store::told_of_disputes(&sandbox.pool, since, until, EVENTS_MAX + 1).await?;
    let has_more = i64::try_from(bodies.len()).is_ok_and(|count| count > EVENTS_MAX);
    let events = bodies
        .iter()
        .take(usize::try_from(EVENTS_MAX).expect("a small constant"))
        .map(|body| serde_json::from_slice(body).expect("written by this program"));
    Ok(Json(wire::Events {
        events: events.collect(),
        has_more,
    }))
}
