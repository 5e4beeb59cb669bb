//! Keys of organisers' systems, traded for access tokens that never leave the gateway.
//!
//! Always holds: a key that was revoked is let through for at most [`KEPT`] more; keys themselves aren't kept.
//! Leaves to others: whose a key is and what it is good for (identity-svc, and each service by the token).

use std::{sync::Arc, time::Duration};

use holdfast_proto::identity::v1::ExchangeApiKeyRequest;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{call::Call, failure::ApiError, server::App, wire};

/// What a key begins with.
pub(crate) const API_KEY_PREFIX: &str = "hfk_";

/// How long a token is used for the key that it was traded for; it counts for a minute.
const KEPT: Duration = Duration::from_secs(10);

/// Keys that are in use at once; beyond it those used seldom are traded again.
const KEYS_MAX: u64 = 4_096;

/// Longest key that is looked at; ours have 47 characters.
const KEY_BYTES_MAX: usize = 100;

/// A token in a key's place.
pub(crate) struct Traded {
    pub(crate) access_token: String,
    /// Whose things it is for, if not its account's own.
    pub(crate) organisation_id: Option<Uuid>,
}

/// Those that are in use, by the keys' hashes.
pub(crate) struct ApiKeys(Cache<[u8; 32], Arc<Traded>>);

impl ApiKeys {
    pub(crate) fn new() -> Self {
        let cache = Cache::builder().max_capacity(KEYS_MAX).time_to_live(KEPT);
        Self(cache.build())
    }

    /// The token for `key`.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, and what a call to identity-svc may meet.
    pub(crate) async fn trade(
        &self,
        app: &App,
        call: &Call,
        key: &str,
    ) -> Result<Arc<Traded>, ApiError> {
        if key.len() > KEY_BYTES_MAX {
            let message = "the API key isn't valid, or was revoked";
            return Err(ApiError::new(
                holdfast_types::ErrorCode::Unauthorized,
                message,
            ));
        }
        let hash: [u8; 32] = Sha256::digest(key).into();
        if let Some(traded) = self.0.get(&hash).await {
            return Ok(traded);
        }
        let request = call.with_client(ExchangeApiKeyRequest {
            secret: key.to_owned(),
        });
        let answer = app.identity.clone().exchange_api_key(request).await?;
        let answer = answer.into_inner();
        let organisation_id = match answer.organisation_id.as_slice() {
            [] => None,
            bytes => Some(wire::id(bytes, "organisation_id")?),
        };
        let traded = Arc::new(Traded {
            access_token: answer.access_token,
            organisation_id,
        });
        self.0.insert(hash, traded.clone()).await;
        Ok(traded)
    }
}
