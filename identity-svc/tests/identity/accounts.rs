//! Registering, and what an account's owner sees.

use holdfast_mesh::auth::{AUDIENCE, ISSUER, TokenClaims, Verifier};
use holdfast_proto::identity::v1::{GetJwksRequest, GetMeRequest, RegisterRequest};
use holdfast_types::ErrorCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sqlx::PgPool;

use crate::{PASSWORD, as_holder, config, count, refusal, start};

#[sqlx::test(migrations = false)]
async fn a_registered_account_is_a_customer_and_can_sign_in(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let user_id = service
        .register("Ann@Example.org")
        .await
        .expect("registers");
    let tokens = service
        .login("ann@EXAMPLE.org", PASSWORD)
        .await
        .expect("signs in");
    assert_eq!(tokens.expires_in_s, 900);
    let me = service
        .client
        .get_me(as_holder(&tokens.access_token, GetMeRequest {}))
        .await
        .expect("answers")
        .into_inner();
    assert_eq!(me.user_id, user_id);
    assert_eq!(me.email, "ann@example.org");
    assert_eq!(me.roles, ["customer"]);
    assert!(me.created_at_ms > 0);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn the_published_keys_verify_the_tokens(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let user_id = service
        .register("ann@example.org")
        .await
        .expect("registers");
    let tokens = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    let jwks = service
        .client
        .get_jwks(GetJwksRequest {})
        .await
        .expect("answers")
        .into_inner()
        .jwks;
    let verifier = Verifier::new(move || std::future::ready(Ok(jwks.clone())));
    let caller = verifier.verify(&tokens.access_token).await.expect("counts");
    assert_eq!(caller.user_id.to_bytes().as_slice(), user_id);
    assert!(caller.has_role("customer"));
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn bad_addresses_and_passwords_are_refused_by_field(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let long_email = format!("{}@example.org", "a".repeat(300));
    let long_password = "a".repeat(129);
    let cases = [
        ("", PASSWORD, vec!["email"]),
        ("not an address", PASSWORD, vec!["email"]),
        (&long_email, PASSWORD, vec!["email"]),
        ("ann@example.org", "short", vec!["password"]),
        ("ann@example.org", &long_password, vec!["password"]),
        ("ann", "", vec!["email", "password"]),
    ];
    for (email, password, fields) in cases {
        let request = RegisterRequest {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        let refused = refusal(service.client.register(request).await);
        assert_eq!(
            refused.0,
            ErrorCode::InvalidRequest,
            "{email:?} {password:?}"
        );
        assert_eq!(refused.1, fields, "{email:?} {password:?}");
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM identity.users").await, 0);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_address_has_one_account_however_parallel(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let tries: Vec<_> = (0..8)
        .map(|n| {
            let mut client = service.client.clone();
            let email = if n % 2 == 0 {
                "ann@example.org"
            } else {
                "ANN@example.org"
            }
            .to_owned();
            tokio::spawn(async move {
                client
                    .register(RegisterRequest {
                        email,
                        password: PASSWORD.to_owned(),
                    })
                    .await
            })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        let result = one.await.expect("no panic");
        if result.is_ok() {
            made += 1;
        } else {
            assert_eq!(
                refusal(result),
                (ErrorCode::AlreadyExists, vec!["email".to_owned()])
            );
        }
    }
    assert_eq!(made, 1);
    assert_eq!(
        refusal(service.register("ann@example.org").await).0,
        ErrorCode::AlreadyExists
    );
    assert_eq!(count(&pool, "SELECT count(*) FROM identity.users").await, 1);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn no_forged_or_expired_token_shows_an_account(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let good = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in")
        .access_token;

    assert_eq!(
        refusal(service.client.get_me(GetMeRequest {}).await).0,
        ErrorCode::Unauthorized,
        "none"
    );

    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let forged = format!("{signed}.{}", "A".repeat(86));
    let refused = service
        .client
        .get_me(as_holder(&forged, GetMeRequest {}))
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized, "forged");

    // Made with the service's own key, a minute too old.
    let (key_id, seed): (String, Vec<u8>) =
        sqlx::query_as("SELECT key_id, seed FROM identity.signing_keys")
            .fetch_one(&pool)
            .await
            .expect("a key");
    let prefix = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let key = EncodingKey::from_ed_der(&[&prefix[..], &seed].concat());
    let now_s = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs();
    let claims = jsonwebtoken::dangerous::insecure_decode::<TokenClaims>(&good)
        .expect("claims")
        .claims;
    let expired = TokenClaims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        exp: now_s - 60,
        ..claims
    };
    let header = Header {
        kid: Some(key_id),
        ..Header::new(Algorithm::EdDSA)
    };
    let token =
        |claims: &TokenClaims| jsonwebtoken::encode(&header, claims, &key).expect("a token");
    let refused = service
        .client
        .get_me(as_holder(&token(&expired), GetMeRequest {}))
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized, "expired");

    let fresh = TokenClaims {
        exp: now_s + 60,
        ..expired
    };
    service
        .client
        .get_me(as_holder(&token(&fresh), GetMeRequest {}))
        .await
        .expect("only its age was wrong");
    service.stop().await;
}
