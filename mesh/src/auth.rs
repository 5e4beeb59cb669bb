//! Who is calling: access tokens, checked by each service itself against the issuer's public keys.
//!
//! Always holds: only EdDSA signatures by a published key count, issuer and audience must be
//! ours, and a token counts from when it was made until it expires; every reason for refusing looks the same to the caller.
//! Leaves to others: making tokens, and what a role may do.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use holdfast_types::{ErrorCode, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};
use tonic::{Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::Failure;

/// `iss` of every access token.
pub const ISSUER: &str = "holdfast";

/// `aud` of every access token.
pub const AUDIENCE: &str = "holdfast";

/// Metadata key of the token, `Bearer <token>`.
pub const HEADER: &str = "authorization";

/// Metadata key of the address that a request came from, which the gateway writes for identity-svc and
/// lets nobody else write.
pub const CLIENT_ADDRESS: &str = "holdfast-client-address";

/// Metadata key of the organisation in whose name a call is made.
pub const ORGANISATION: &str = "holdfast-organisation";

/// Clocks of two machines may differ by this much.
const LEEWAY_S: u64 = 5;

/// An Ed25519 public key.
const KEY_BYTES: usize = 32;

/// Longest token that is looked at; ours have a few hundred bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// An unknown key id makes the set be fetched again at most this often, so that made-up key ids
/// aren't a load on the issuer.
const REFETCH_AFTER: Duration = Duration::from_secs(5);

/// After a failed fetch the next may come sooner: the issuer may be starting.
const REFETCH_AFTER_FAILURE: Duration = Duration::from_millis(250);

/// A set older than this is fetched again, so that a withdrawn key stops counting. Nobody waits for
/// that fetch.
pub const KEYS_AGE_MAX: Duration = Duration::from_secs(300);

/// Longest wait for one fetch.
const FETCH_MAX: Duration = Duration::from_secs(3);

/// Tokens remembered as verified; beyond it all are forgotten and verified again. Of a few hundred bytes.
const VERIFIED_MAX: usize = 16_384;

/// What an access token says, as it stands in the JWT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The account; nil for an operator.
    pub sub: UserId,
    /// What the account may act as.
    pub roles: Vec<String>,
    /// Made at, seconds since 1970.
    pub iat: u64,
    /// Ends at, seconds since 1970.
    pub exp: u64,
}

/// What else an access token may say, beside [`TokenClaims`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// The sign-in that it came from, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// The organisations that the account was in when the token was made; at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orgs: Vec<Membership>,
    /// What the token is good for, if not for everything that its account may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
}

/// What an account is in an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The organisation.
    pub id: Uuid,
    /// As what.
    pub role: OrganisationRole,
}

/// As what somebody is in an organisation; each may do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrganisationRole {
    /// Sees what it has, drafts and sales too.
    Viewer,
    /// Makes and changes it.
    Manager,
    /// Says who is in it.
    Owner,
}

impl OrganisationRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Manager, Self::Owner];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Manager => "manager",
            Self::Owner => "owner",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What a key of an organiser's system may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Reads venues, plans, events and shows, drafts too.
    #[serde(rename = "catalogue:read")]
    CatalogueRead,
    /// Makes and changes them, and puts shows on sale.
    #[serde(rename = "catalogue:write")]
    CatalogueWrite,
    /// Reads what was sold, and to whom.
    #[serde(rename = "sales:read")]
    SalesRead,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CatalogueRead, Self::CatalogueWrite, Self::SalesRead];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CatalogueRead => "catalogue:read",
            Self::CatalogueWrite => "catalogue:write",
            Self::SalesRead => "sales:read",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// In whose name a call is made: what is made is theirs, and what is theirs may be seen and changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InNameOf {
    /// The account, or an organisation's id in its place.
    pub owner: UserId,
    /// As what, where it is an organisation.
    pub role: Option<OrganisationRole>,
}

/// All that stands in a JWT of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllClaims {
    /// Whose, by whom, for whom, how long.
    #[serde(flatten)]
    pub token: TokenClaims,
    /// What else.
    #[serde(flatten)]
    pub grants: Grants,
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The account; nil for an operator.
    pub user_id: UserId,
    /// What it may act as.
    pub roles: Vec<String>,
    /// When the token ends, seconds since 1970.
    pub expires_at_s: u64,
    /// What else the token says.
    pub grants: Grants,
}

impl Claims {
    /// Whether the account has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }

    /// In whose name the caller calls: the organisation that `metadata` names, or else their own.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for what is no id; `FORBIDDEN` where they aren't in that organisation, whether
    /// there is one or not.
    pub fn in_name_of(&self, metadata: &MetadataMap) -> Result<InNameOf, Failure> {
        let Some(named) = metadata.get(ORGANISATION) else {
            return Ok(InNameOf {
                owner: self.user_id,
                role: None,
            });
        };
        let named = named.to_str().ok().and_then(|text| text.parse().ok());
        let id: Uuid =
            named.ok_or_else(|| Failure::invalid(ORGANISATION, "must be an organisation's id"))?;
        let membership = self.grants.orgs.iter().find(|own| own.id == id);
        let role = membership.map(|own| own.role).ok_or_else(|| {
            Failure::new(ErrorCode::Forbidden, "you are not in this organisation")
        })?;
        Ok(InNameOf {
            owner: UserId::from_uuid(id),
            role: Some(role),
        })
    }

    /// Refuses a token that is good for less than everything, and not for any of `scopes`.
    ///
    /// # Errors
    /// `FORBIDDEN`.
    pub fn require_scope(&self, scopes: &[Scope]) -> Result<(), Failure> {
        match &self.grants.scopes {
            Some(own) if !own.iter().any(|scope| scopes.contains(scope)) => {
                let wanted: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
                let message = match wanted.as_slice() {
                    [] => "no API key is good for this".to_owned(),
                    wanted => format!("this needs an API key with scope {}", wanted.join(" or ")),
                };
                Err(Failure::new(ErrorCode::Forbidden, message))
            }
            _ => Ok(()),
        }
    }
}

type Fetch = dyn Fn() -> BoxFuture<'static, Result<String, Status>> + Send + Sync;

/// Checks tokens. Clones share the keys.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    fetch: Box<Fetch>,
    /// [`KEYS_AGE_MAX`], except in tests.
    keys_age_max: Duration,
    keys: RwLock<Keys>,
    /// Held while the set is fetched, with when that last ended and how.
    fetched: Mutex<Option<Fetched>>,
    validation: Validation,
    /// Tokens with a good signature, and the key set that it was checked with: the check takes longer
    /// than all the rest of most calls, and a customer sends one token many times.
    verified: RwLock<HashMap<Box<str>, Verified>>,
}

struct Verified {
    claims: Claims,
    checked_with: Option<Instant>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    as_of: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Fetched {
    at: Instant,
    ok: bool,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier that gets the issuer's JWK set (JSON text, RFC 7517) by `fetch` when it needs it.
    pub fn new<F, R>(fetch: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, Status>> + Send + 'static,
    {
        Self::with_keys_age_max(fetch, KEYS_AGE_MAX)
    }

    fn with_keys_age_max<F, R>(fetch: F, keys_age_max: Duration) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, Status>> + Send + 'static,
    {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_S;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            shared: Arc::new(Shared {
                fetch: Box::new(move || Box::pin(fetch())),
                keys_age_max,
                keys: RwLock::default(),
                fetched: Mutex::default(),
                validation,
                verified: RwLock::default(),
            }),
        }
    }

    /// Who sent this call, by a token that is good for everything its account may do.
    ///
    /// # Errors
    /// `UNAUTHORIZED` without a token or with one that doesn't count, `FORBIDDEN` for an API key's,
    /// `UNAVAILABLE` while the issuer's keys can't be had.
    pub async fn authenticate(&self, metadata: &MetadataMap) -> Result<Claims, Failure> {
        self.authenticate_for(metadata, &[]).await
    }

    /// The same, also by an API key's token that has one of `scopes`.
    ///
    /// # Errors
    /// As [`Verifier::authenticate`].
    pub async fn authenticate_for(
        &self,
        metadata: &MetadataMap,
        scopes: &[Scope],
    ) -> Result<Claims, Failure> {
        let header = metadata
            .get(HEADER)
            .ok_or_else(|| unauthorized("an access token is needed"))?;
        let token = header.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token =
            token.ok_or_else(|| unauthorized("authorization must be `Bearer <access token>`"))?;
        let claims = self.verify(token).await?;
        claims.require_scope(scopes)?;
        Ok(claims)
    }

    /// Who this token was made for, whatever it is good for.
    ///
    /// # Errors
    /// As [`Verifier::authenticate`].
    pub async fn verify(&self, token: &str) -> Result<Claims, Failure> {
        let refused = || unauthorized("the access token isn't valid or has expired");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused())?;
        if header.alg != Algorithm::EdDSA {
            return Err(refused());
        }
        // Of another set an id may name another key.
        let as_of = self.as_of();
        let key = self
            .key(&header.kid.ok_or_else(refused)?)
            .await?
            .ok_or_else(refused)?;
        if let Some(claims) = self.remembered(token, as_of) {
            return Ok(claims);
        }
        let AllClaims {
            token: claims,
            grants,
        } = jsonwebtoken::decode::<AllClaims>(token, &key, &self.shared.validation)
            .map_err(|error| {
                tracing::debug!(%error, "a token was refused");
                refused()
            })?
            .claims;
        // The library doesn't look: of the future is what our clock, or the issuer's, is wrong about.
        if claims.iat > now_s().saturating_add(LEEWAY_S) {
            tracing::debug!("a token of the future was refused");
            return Err(refused());
        }
        let claims = Claims {
            user_id: claims.sub,
            roles: claims.roles,
            expires_at_s: claims.exp,
            grants,
        };
        self.remember(token, &claims, as_of);
        Ok(claims)
    }

    /// What a token says that was verified before with this key set and hasn't expired since.
    fn remembered(&self, token: &str, as_of: Option<Instant>) -> Option<Claims> {
        let verified = self.shared.verified.read().expect("no holder panics");
        let Verified {
            claims,
            checked_with,
        } = verified.get(token)?;
        let live = now_s() <= claims.expires_at_s.saturating_add(LEEWAY_S);
        (live && *checked_with == as_of).then(|| claims.clone())
    }

    fn remember(&self, token: &str, claims: &Claims, as_of: Option<Instant>) {
        let mut verified = self.shared.verified.write().expect("no holder panics");
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        let claims = claims.clone();
        let checked_with = as_of;
        verified.insert(
            token.into(),
            Verified {
                claims,
                checked_with,
            },
        );
    }

    /// Which key set is at hand.
    fn as_of(&self) -> Option<Instant> {
        self.shared.keys.read().expect("no holder panics").as_of
    }

    /// The published key of that id, after a fetch if it isn't known.
    async fn key(&self, id: &str) -> Result<Option<DecodingKey>, Failure> {
        let (known, stale) = self.known(id);
        if known.is_some() {
            if stale {
                self.refresh_meanwhile();
            }
            return Ok(known);
        }
        let fetched = self.shared.fetched.lock().await;
        if is_due(*fetched) {
            self.refresh(fetched).await;
        }
        let (known, _) = self.known(id);
        let ever_fetched = self.as_of().is_some();
        if known.is_none() && !ever_fetched {
            return Err(Failure::new(
                ErrorCode::Unavailable,
                "sign-in can't be checked right now; try again",
            )
            .with_retry_after(Duration::from_secs(1)));
        }
        Ok(known)
    }

    fn known(&self, id: &str) -> (Option<DecodingKey>, bool) {
        let keys = self.shared.keys.read().expect("no holder panics");
        let age_max = self.shared.keys_age_max;
        let stale = keys.as_of.is_none_or(|at| at.elapsed() > age_max);
        (keys.by_id.get(id).cloned(), stale)
    }

    /// Fetches the set in a task of its own, unless that is under way or was tried just now.
    fn refresh_meanwhile(&self) {
        match self.shared.fetched.try_lock() {
            Ok(fetched) if is_due(*fetched) => {}
            _ => return,
        }
        let verifier = self.clone();
        tokio::spawn(async move {
            match verifier.shared.fetched.try_lock() {
                Ok(fetched) if is_due(*fetched) => verifier.refresh(fetched).await,
                _ => {}
            }
        });
    }

    /// Fetches the set, and notes when and how that ended.
    async fn refresh(&self, mut fetched: MutexGuard<'_, Option<Fetched>>) {
        let answer = tokio::time::timeout(FETCH_MAX, (self.shared.fetch)()).await;
        let set = match answer {
            Ok(Ok(text)) => parse(&text),
            Ok(Err(status)) => Err(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let ok = set.is_ok();
        match set {
            Ok(by_id) => {
                *self.shared.keys.write().expect("no holder panics") = Keys {
                    by_id,
                    as_of: Some(Instant::now()),
                };
            }
            Err(error) => tracing::warn!(error, "the token issuer's keys can't be fetched"),
        }
        *fetched = Some(Fetched {
            at: Instant::now(),
            ok,
        });
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// Whether the last fetch was long enough ago for another.
fn is_due(last: Option<Fetched>) -> bool {
    last.is_none_or(|Fetched { at, ok }| {
        let pause = if ok {
            REFETCH_AFTER
        } else {
            REFETCH_AFTER_FAILURE
        };
        at.elapsed() >= pause
    })
}

fn parse(text: &str) -> Result<HashMap<String, DecodingKey>, String> {
    let set: JwkSet =
        serde_json::from_str(text).map_err(|error| format!("not a JWK set: {error}"))?;
    set.keys
        .iter()
        .filter_map(|jwk| Some((jwk.common.key_id.clone()?, jwk)))
        .map(|(id, jwk)| {
            let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {id}: {error}"))?;
            // The library takes the first 32 bytes without looking whether there are so many.
            match key.try_get_as_bytes() {
                Ok(bytes) if bytes.len() == KEY_BYTES => Ok((id, key)),
                _ => Err(format!("key {id}: not an Ed25519 public key")),
            }
        })
        .collect()
}

fn unauthorized(message: &str) -> Failure {
    Failure::new(ErrorCode::Unauthorized, message)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt;

    use super::*;

    const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"ag_xo00mx7qtT_ZwfryfeDlpzlqFjpu1MwIK55wk5Es"}]}"#;

    #[tokio::test]
    async fn nobody_waits_for_an_issuer_that_hangs_while_the_key_is_known() {
        let fetches = Arc::new(AtomicU32::new(0));
        let (asked_again, mut asks) = tokio::sync::mpsc::unbounded_channel();
        let verifier = Verifier::with_keys_age_max(
            move || {
                let first = fetches.fetch_add(1, Ordering::Relaxed) == 0;
                let asked_again = asked_again.clone();
                async move {
                    if !first {
                        let _ = asked_again.send(());
                        std::future::pending::<()>().await;
                    }
                    Ok(JWKS.to_owned())
                }
            },
            Duration::ZERO,
        );
        assert!(verifier.key("k1").await.expect("fetched").is_some());
        // Long enough ago for another fetch.
        *verifier.shared.fetched.lock().await = None;
        for _ in 0..3 {
            let key = verifier.key("k1");
            let key = key.now_or_never().expect("at once").expect("known");
            assert!(key.is_some());
        }
        let again = tokio::time::timeout(Duration::from_secs(20), asks.recv()).await;
        again.expect("in time").expect("the set is fetched again");
        assert!(asks.try_recv().is_err(), "once");
    }

    #[tokio::test]
    async fn what_is_remembered_of_a_token_ends_with_it_and_with_its_key_set() {
        let verifier = Verifier::new(|| async { Ok(JWKS.to_owned()) });
        assert!(verifier.key("k1").await.expect("fetched").is_some());
        let as_of = verifier.as_of();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_s = now_s.expect("after 1970").as_secs();
        let claims = |expires_at_s| Claims {
            user_id: UserId::from_bytes([1; 16]),
            roles: vec!["customer".to_owned()],
            expires_at_s,
            grants: Grants::default(),
        };
        let live = claims(now_s + 60);
        verifier.remember("live", &live, as_of);
        verifier.remember("over", &claims(now_s - LEEWAY_S - 2), as_of);
        assert_eq!(verifier.remembered("live", as_of), Some(live.clone()));
        assert_eq!(verifier.remembered("over", as_of), None);
        assert_eq!(verifier.remembered("live too", as_of), None);
        let fetched = verifier.shared.fetched.lock().await;
        verifier.refresh(fetched).await;
        assert_ne!(verifier.as_of(), as_of);
        assert_eq!(verifier.remembered("live", verifier.as_of()), None);
        for nth in 0..=VERIFIED_MAX {
            verifier.remember(&nth.to_string(), &live, as_of);
        }
        assert!(verifier.shared.verified.read().expect("unpoisoned").len() <= VERIFIED_MAX);
    }
}
