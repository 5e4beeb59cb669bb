//! Which tokens count.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use holdfast_mesh::auth::{AUDIENCE, ISSUER, TokenClaims, Verifier};
use holdfast_types::{ErrorCode, UserId};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet},
};
use tonic::{Status, metadata::MetadataMap};

/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

fn key(seed: u8) -> EncodingKey {
    EncodingKey::from_ed_der(&[&PKCS8_PREFIX[..], &[seed; 32]].concat())
}

fn jwks(id: &str, key: &EncodingKey) -> String {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::EdDSA).expect("a JWK");
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_string(&JwkSet { keys: vec![jwk] }).expect("JSON")
}

fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs()
}

fn claims() -> TokenClaims {
    TokenClaims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: UserId::from_bytes([7; 16]),
        roles: vec!["customer".to_owned()],
        iat: now_s(),
        exp: now_s() + 900,
    }
}

fn sign(id: &str, claims: &TokenClaims, key: &EncodingKey) -> String {
    let header = Header {
        kid: Some(id.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(&header, claims, key).expect("a token")
}

/// A good token, but for one claim.
fn with_claim(name: &str, value: impl Into<serde_json::Value>) -> String {
    let mut claims = serde_json::to_value(claims()).expect("JSON");
    claims[name] = value.into();
    let header = Header {
        kid: Some("k1".to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(&header, &claims, &key(1)).expect("a token")
}

fn verifier() -> Verifier {
    Verifier::new(|| async { Ok(jwks("k1", &key(1))) })
}

#[tokio::test]
async fn a_good_token_tells_who_is_calling() {
    let token = sign("k1", &claims(), &key(1));
    let mut metadata = MetadataMap::new();
    metadata.insert(
        "authorization",
        format!("Bearer {token}").parse().expect("metadata"),
    );
    let caller = verifier().authenticate(&metadata).await.expect("counts");
    assert_eq!(caller.user_id, UserId::from_bytes([7; 16]));
    assert!(caller.has_role("customer") && !caller.has_role("admin"));
    assert_eq!(caller.expires_at_s, claims().exp);
}

#[tokio::test]
async fn no_token_and_another_scheme_are_refused() {
    let verifier = verifier();
    let mut metadata = MetadataMap::new();
    let refused = verifier.authenticate(&metadata).await.expect_err("refused");
    assert_eq!(refused.code(), ErrorCode::Unauthorized);
    for value in ["Basic YTpi", "Bearer", "Bearer ", "token"] {
        metadata.insert("authorization", value.parse().expect("metadata"));
        let refused = verifier.authenticate(&metadata).await.expect_err("refused");
        assert_eq!(refused.code(), ErrorCode::Unauthorized, "{value}");
    }
}

#[tokio::test]
async fn forged_expired_and_foreign_tokens_are_refused() {
    let good = sign("k1", &claims(), &key(1));
    let (_, rest) = good.split_once('.').expect("three parts");
    let (payload, signature) = rest.split_once('.').expect("three parts");
    let other = sign(
        "k1",
        &TokenClaims {
            roles: vec!["admin".to_owned()],
            ..claims()
        },
        &key(1),
    );
    let other_payload = other.split('.').nth(1).expect("three parts");
    let head = good.split('.').next().expect("three parts");
    let by_public_key = jsonwebtoken::encode(
        &Header {
            kid: Some("k1".to_owned()),
            ..Header::new(Algorithm::HS256)
        },
        &claims(),
        &EncodingKey::from_secret(&[1; 32]),
    )
    .expect("a token");
    let cases = [
        ("signed by another key", sign("k1", &claims(), &key(2))),
        ("unknown key", sign("k2", &claims(), &key(2))),
        (
            "changed payload",
            format!("{head}.{other_payload}.{signature}"),
        ),
        // {"alg":"none"} and {"alg":"none","kid":"k1"}
        ("alg none", format!("eyJhbGciOiJub25lIn0.{payload}.")),
        (
            "alg none with a key id",
            format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{payload}."),
        ),
        ("symmetric", by_public_key),
        (
            "expired",
            sign(
                "k1",
                &TokenClaims {
                    exp: now_s() - 60,
                    ..claims()
                },
                &key(1),
            ),
        ),
        (
            "other issuer",
            sign(
                "k1",
                &TokenClaims {
                    iss: "x".to_owned(),
                    ..claims()
                },
                &key(1),
            ),
        ),
        (
            "other audience",
            sign(
                "k1",
                &TokenClaims {
                    aud: "x".to_owned(),
                    ..claims()
                },
                &key(1),
            ),
        ),
        ("made in the future", with_claim("iat", now_s() + 60)),
        ("counts later", with_claim("nbf", now_s() + 60)),
        ("an age that is none", with_claim("iat", "yesterday")),
        ("nobody's", with_claim("sub", "somebody")),
        (
            "several audiences' names in one",
            with_claim("aud", "holdfast, x"),
        ),
        (
            "truncated payload",
            format!("{head}.{}.{signature}", &payload[..20]),
        ),
        ("truncated signature", good[..good.len() - 1].to_owned()),
        ("without a signature", format!("{head}.{payload}")),
        ("with an empty signature", format!("{head}.{payload}.")),
        ("garbage", "a.b.c".to_owned()),
        ("empty", String::new()),
        ("huge", "a".repeat(100_000)),
    ];
    let verifier = verifier();
    for (what, token) in cases {
        let refused = verifier.verify(&token).await.expect_err(what);
        assert_eq!(refused.code(), ErrorCode::Unauthorized, "{what}");
    }
    verifier.verify(&good).await.expect("still counts");
    for (name, moment) in [("iat", now_s() - 60), ("nbf", now_s() - 60)] {
        let token = with_claim(name, moment);
        verifier.verify(&token).await.expect("of the past");
    }
    let token = with_claim("sid", "01890a5d-ac96-774b-bcce-b302099a8057");
    let caller = verifier.verify(&token).await.expect("counts");
    assert!(caller.grants.sid.is_some(), "the sign-in is told");
}

#[tokio::test]
async fn made_up_key_ids_are_no_load_on_the_issuer() {
    let fetches = Arc::new(AtomicU32::new(0));
    let counted = fetches.clone();
    let verifier = Verifier::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(jwks("k1", &key(1))) }
    });
    let started = Instant::now();
    for n in 0..100 {
        let token = sign(&format!("made-up-{n}"), &claims(), &key(1));
        verifier.verify(&token).await.expect_err("refused");
    }
    // One, and another every five seconds if this is a slow machine.
    let most = 1 + started.elapsed().as_secs() / 5;
    let fetched = fetches.load(Ordering::Relaxed);
    assert!(u64::from(fetched) <= most, "{fetched} of at most {most}");
}

#[tokio::test]
async fn an_issuer_that_is_down_means_try_again_until_it_is_up() {
    let up = Arc::new(AtomicBool::new(false));
    let seen = up.clone();
    let verifier = Verifier::new(move || {
        let up = seen.load(Ordering::Relaxed);
        async move {
            if up {
                Ok(jwks("k1", &key(1)))
            } else {
                Err(Status::unavailable("down"))
            }
        }
    });
    let token = sign("k1", &claims(), &key(1));
    let refused = verifier.verify(&token).await.expect_err("refused");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.retry_after().is_some());

    up.store(true, Ordering::Relaxed);
    let counts = async {
        while let Err(refused) = verifier.verify(&token).await {
            assert_eq!(refused.code(), ErrorCode::Unavailable);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::LIMIT, counts)
        .await
        .expect("counts soon");
}

#[tokio::test]
async fn a_key_set_that_is_none_is_refused_whole() {
    for bad in [
        "",
        "{}",
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"AQ"}]}"#,
    ] {
        let verifier = Verifier::new(move || async move { Ok(bad.to_owned()) });
        let refused = verifier
            .verify(&sign("k1", &claims(), &key(1)))
            .await
            .expect_err("refused");
        assert_eq!(refused.code(), ErrorCode::Unavailable, "{bad}");
    }
}
