//! Making tokens: signed access tokens, and random ones that renew a sign-in.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use holdfast_mesh::auth::{AUDIENCE, ISSUER, TokenClaims};
use holdfast_types::UserId;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use rand::RngExt;
use sha2::{Digest, Sha256};

/// How long an access token counts. It can't be taken back, so not long.
pub(crate) const ACCESS_TTL: Duration = Duration::from_secs(15 * 60);

/// How long a sign-in can be renewed.
pub(crate) const REFRESH_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410 §10.3).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// A key pair as it is stored.
#[derive(Clone)]
pub(crate) struct SigningKey {
    /// RFC 7638 thumbprint of the public key.
    pub(crate) key_id: String,
    /// The private half.
    pub(crate) seed: [u8; 32],
}

impl SigningKey {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, jsonwebtoken::errors::Error> {
        let seed: [u8; 32] = rand::rng().random();
        let key_id = public(&seed)?.thumbprint(ThumbprintHash::SHA256)?;
        Ok(Self { key_id, seed })
    }
}

fn private(seed: &[u8; 32]) -> EncodingKey {
    EncodingKey::from_ed_der(&[&PKCS8_PREFIX[..], seed].concat())
}

fn public(seed: &[u8; 32]) -> Result<Jwk, jsonwebtoken::errors::Error> {
    Jwk::from_encoding_key(&private(seed), Algorithm::EdDSA)
}

/// Signs with the newest key and publishes all.
pub(crate) struct Issuer {
    header: Header,
    key: EncodingKey,
    jwks: String,
}

impl Issuer {
    /// `keys` newest first; at least one.
    pub(crate) fn new(keys: &[SigningKey]) -> Result<Self, jsonwebtoken::errors::Error> {
        let newest = keys
            .first()
            .expect("the store makes a key where there is none");
        let keys = keys.iter().map(published).collect::<Result<_, _>>()?;
        Ok(Self {
            header: Header {
                kid: Some(newest.key_id.clone()),
                ..Header::new(Algorithm::EdDSA)
            },
            key: private(&newest.seed),
            jwks: serde_json::to_string(&JwkSet { keys }).expect("a JWK set is JSON"),
        })
    }

    /// The public keys, JSON text (RFC 7517).
    pub(crate) fn jwks(&self) -> &str {
        &self.jwks
    }

    /// An access token of [`ACCESS_TTL`] for an account with these roles.
    pub(crate) fn access_token(
        &self,
        user_id: UserId,
        roles: Vec<String>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now_s = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let claims = TokenClaims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user_id,
            roles,
            iat: now_s,
            exp: now_s + ACCESS_TTL.as_secs(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key)
    }
}

fn published(key: &SigningKey) -> Result<Jwk, jsonwebtoken::errors::Error> {
    let mut jwk = public(&key.seed)?;
    jwk.common.key_id = Some(key.key_id.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(jwk)
}

/// What the store keeps of a refresh token.
pub(crate) type TokenHash = [u8; 32];

/// A new refresh token (43 characters) and its hash.
pub(crate) fn new_refresh_token() -> (String, TokenHash) {
    let random: [u8; 32] = rand::rng().random();
    let token = URL_SAFE_NO_PAD.encode(random);
    let hash = hash_of(&token);
    (token, hash)
}

/// SHA-256; enough for 256 random bits.
pub(crate) fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_the_thumbprint_of_the_published_key() {
        let key = SigningKey::generate().expect("a key");
        let issuer = Issuer::new(std::slice::from_ref(&key)).expect("an issuer");
        let set: JwkSet = serde_json::from_str(issuer.jwks()).expect("a JWK set");
        let jwk = set.find(&key.key_id).expect("published");
        assert_eq!(
            jwk.thumbprint(ThumbprintHash::SHA256)
                .expect("a thumbprint"),
            key.key_id
        );
        let seed = URL_SAFE_NO_PAD.encode(key.seed);
        assert!(
            !issuer.jwks().contains(&seed),
            "the private half isn't published"
        );
    }

    #[test]
    fn refresh_tokens_differ() {
        let (one, one_hash) = new_refresh_token();
        let (other, other_hash) = new_refresh_token();
        assert_ne!(one, other);
        assert_ne!(one_hash, other_hash);
        assert_eq!(hash_of(&one), one_hash);
    }
}
