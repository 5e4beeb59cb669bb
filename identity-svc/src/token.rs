//! Making tokens: signed access tokens, and random ones that renew a sign-in.

use std::{
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use holdfast_mesh::auth::{AUDIENCE, AllClaims, Grants, ISSUER, TokenClaims};
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

/// How long the token of a letter counts that verifies an address, and one that sets a password, which
/// whoever reads the mailbox later shall not have.
pub(crate) const VERIFY_TTL: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const RESET_TTL: Duration = Duration::from_secs(30 * 60);

/// How long an invitation counts: people are away.
pub(crate) const INVITATION_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long the token of an API key counts: one request, and those that it takes.
pub(crate) const API_KEY_TTL: Duration = Duration::from_secs(60);

/// What an API key begins with, so that it is known from a token, and found where it shouldn't be.
pub(crate) const API_KEY_PREFIX: &str = "hfk_";

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
    /// Its time to sign has come.
    pub(crate) signs: bool,
}

impl SigningKey {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, jsonwebtoken::errors::Error> {
        let seed: [u8; 32] = rand::rng().random();
        let key_id = public(&seed)?.thumbprint(ThumbprintHash::SHA256)?;
        let signs = true;
        Ok(Self {
            key_id,
            seed,
            signs,
        })
    }
}

fn private(seed: &[u8; 32]) -> EncodingKey {
    EncodingKey::from_ed_der(&[&PKCS8_PREFIX[..], seed].concat())
}

fn public(seed: &[u8; 32]) -> Result<Jwk, jsonwebtoken::errors::Error> {
    Jwk::from_encoding_key(&private(seed), Algorithm::EdDSA)
}

/// Signs with the newest key whose time has come, and publishes all.
pub(crate) struct Issuer {
    keys: RwLock<Arc<Keys>>,
}

struct Keys {
    /// What they were made of.
    ids: Vec<(String, bool)>,
    header: Header,
    key: EncodingKey,
    jwks: String,
}

impl Keys {
    fn new(keys: &[SigningKey]) -> Result<Self, jsonwebtoken::errors::Error> {
        let signing = keys.iter().find(|key| key.signs).or(keys.last());
        let signing = signing.expect("the store makes a key where there is none");
        let set = keys.iter().map(published).collect::<Result<_, _>>()?;
        Ok(Self {
            ids: ids(keys),
            header: Header {
                kid: Some(signing.key_id.clone()),
                ..Header::new(Algorithm::EdDSA)
            },
            key: private(&signing.seed),
            jwks: serde_json::to_string(&JwkSet { keys: set }).expect("a JWK set is JSON"),
        })
    }
}

fn ids(keys: &[SigningKey]) -> Vec<(String, bool)> {
    let of = |key: &SigningKey| (key.key_id.clone(), key.signs);
    keys.iter().map(of).collect()
}

impl Issuer {
    /// `keys` as the store has them: the one that signs last first, at least one.
    pub(crate) fn new(keys: &[SigningKey]) -> Result<Self, jsonwebtoken::errors::Error> {
        let keys = RwLock::new(Arc::new(Keys::new(keys)?));
        Ok(Self { keys })
    }

    /// From now on with these.
    pub(crate) fn replace(&self, keys: &[SigningKey]) -> Result<(), jsonwebtoken::errors::Error> {
        if self.current().ids != ids(keys) {
            let keys = Arc::new(Keys::new(keys)?);
            *self.keys.write().expect("no holder panics") = keys;
        }
        Ok(())
    }

    fn current(&self) -> Arc<Keys> {
        self.keys.read().expect("no holder panics").clone()
    }

    /// The public keys, JSON text (RFC 7517).
    pub(crate) fn jwks(&self) -> String {
        self.current().jwks.clone()
    }

    /// An access token of [`ACCESS_TTL`] for an account with these roles.
    pub(crate) fn access_token(
        &self,
        user_id: UserId,
        roles: Vec<String>,
        grants: Grants,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.token_of(user_id, roles, grants, ACCESS_TTL)
    }

    /// The same, for as long as `ttl`.
    pub(crate) fn token_of(
        &self,
        user_id: UserId,
        roles: Vec<String>,
        grants: Grants,
        ttl: Duration,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now_s = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let token = TokenClaims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user_id,
            roles,
            iat: now_s,
            exp: now_s + ttl.as_secs(),
        };
        let keys = self.current();
        jsonwebtoken::encode(&keys.header, &AllClaims { token, grants }, &keys.key)
    }
}

fn published(key: &SigningKey) -> Result<Jwk, jsonwebtoken::errors::Error> {
    let mut jwk = public(&key.seed)?;
    jwk.common.key_id = Some(key.key_id.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(jwk)
}

/// What the store keeps of a token of chance.
pub(crate) type TokenHash = [u8; 32];

/// A new token of chance (43 characters) and its hash.
pub(crate) fn new_secret_token() -> (String, TokenHash) {
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
        let set: JwkSet = serde_json::from_str(&issuer.jwks()).expect("a JWK set");
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
    fn a_key_is_published_before_it_signs_and_after() {
        let key = |signs| SigningKey {
            signs,
            ..SigningKey::generate().expect("a key")
        };
        let (new, old) = (key(false), key(true));
        let issuer = Issuer::new(&[new.clone(), old.clone()]).expect("an issuer");
        let signer = || {
            let token = issuer.access_token(UserId::from_bytes([1; 16]), vec![], Grants::default());
            let header = jsonwebtoken::decode_header(token.expect("a token"));
            header.expect("a header").kid.expect("a key id")
        };
        let has_both = || {
            let set: JwkSet = serde_json::from_str(&issuer.jwks()).expect("a JWK set");
            set.find(&old.key_id).is_some() && set.find(&new.key_id).is_some()
        };
        assert!(signer() == old.key_id && has_both());
        let new = SigningKey {
            signs: true,
            ..new.clone()
        };
        let both = [new.clone(), old.clone()];
        issuer.replace(&both).expect("replaces");
        assert!(signer() == new.key_id && has_both());
    }

    #[test]
    fn tokens_of_chance_differ() {
        let (one, one_hash) = new_secret_token();
        let (other, other_hash) = new_secret_token();
        assert_ne!(one, other);
        assert_ne!(one_hash, other_hash);
        assert_eq!(hash_of(&one), one_hash);
    }
}
