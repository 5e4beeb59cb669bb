//! Where programs of others look for what is public about a server (RFC 8615): the keys of our access tokens.

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::get,
};
use holdfast_proto::identity::v1::GetJwksRequest;
use serde_json::Value;

use crate::{call::Call, conditional, failure::ApiError, server::Shared};

pub(crate) fn router() -> Router<Shared> {
    Router::new().route("/.well-known/jwks.json", get(jwks))
}

/// A JWK set (RFC 7517): what a token is checked with that this server gave.
async fn jwks(
    State(app): State<Shared>,
    call: Call,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let request = call.request(GetJwksRequest {});
    let answer = app.identity.clone().get_jwks(request).await?;
    let keys: Value = serde_json::from_str(&answer.into_inner().jwks)
        .map_err(|error| ApiError::defect(&error.to_string()))?;
    Ok(conditional::keys(&headers, &keys)?.into_response())
}
