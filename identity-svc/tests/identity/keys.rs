//! Keys that sign: a new one signs nobody out, and running processes take it up.

use std::time::Duration;

use holdfast_mesh::auth::Verifier;
use holdfast_proto::identity::v1::{
    GetJwksRequest, RotateSigningKeysRequest, RotateSigningKeysResponse,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::{LIMIT, PASSWORD, Service, as_holder, config, count, refusal, start};

async fn rotate(service: &mut Service) -> RotateSigningKeysResponse {
    let operator = service.operator("").await.expect("exchanges");
    let request = as_holder(&operator, RotateSigningKeysRequest {});
    let answer = service.client.rotate_signing_keys(request).await;
    answer.expect("rotates").into_inner()
}

async fn login(service: &mut Service) -> String {
    let tokens = service.login("ann@example.org", PASSWORD).await;
    tokens.expect("signs in").access_token
}

fn key_of(token: &str) -> String {
    let header = jsonwebtoken::decode_header(token).expect("a header");
    header.kid.expect("a key id")
}

/// What other services do.
fn verifier(service: &Service) -> Verifier {
    let issuer = service.client.clone();
    Verifier::new(move || {
        let mut issuer = issuer.clone();
        async move { Ok(issuer.get_jwks(GetJwksRequest {}).await?.into_inner().jwks) }
    })
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waits = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, waits).await.expect(what);
}

#[sqlx::test(migrations = false)]
async fn a_new_key_signs_nobody_out(pool: PgPool) {
    let mut one = start(config(&pool)).await;
    let mut other = start(config(&pool)).await;
    one.register("ann@example.org").await.expect("registers");
    let first = login(&mut one).await;
    let old_key = key_of(&first);
    let refused = as_holder(&first, RotateSigningKeysRequest {});
    let refused = one.client.rotate_signing_keys(refused).await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    let new = rotate(&mut one).await;
    assert_ne!(new.key_id, old_key);
    assert_eq!(
        rotate(&mut one).await,
        new,
        "one that waits to sign is enough"
    );
    // It is published by all, and signs for none before its time.
    for service in [&mut one, &mut other] {
        let client = service.client.clone();
        until("is published", async || {
            let answer = client.clone().get_jwks(GetJwksRequest {}).await;
            let jwks = answer.expect("answers").into_inner().jwks;
            jwks.contains(&new.key_id) && jwks.contains(&old_key)
        })
        .await;
        assert_eq!(key_of(&login(service).await), old_key);
    }

    // Whoever checks tokens has fetched the set since, as everybody does within the key's wait.
    let verifier = verifier(&one);
    verifier.verify(&first).await.expect("counts");
    sqlx::query("UPDATE identity.signing_keys SET signs_from = now() WHERE signs_from > now()")
        .execute(&pool)
        .await
        .expect("its time comes");
    for service in [&mut one, &mut other] {
        let mut taken = String::new();
        until("signs", async || {
            taken = login(service).await;
            key_of(&taken) == new.key_id
        })
        .await;
        verifier.verify(&taken).await.expect("the new one counts");
        verifier
            .verify(&first)
            .await
            .expect("the old one still does");
    }
    // Long after the last token of the old key: it is gone.
    sqlx::query("UPDATE identity.signing_keys SET signs_from = signs_from - interval '31 minutes'")
        .execute(&pool)
        .await
        .expect("time passes");
    until("is forgotten", async || {
        count(&pool, "SELECT count(*) FROM identity.signing_keys").await == 1
    })
    .await;
    assert_eq!(key_of(&login(&mut one).await), new.key_id);
    one.stop().await;
    other.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_old_key_is_replaced_by_itself_and_once(pool: PgPool) {
    let one = start(config(&pool)).await;
    let other = start(config(&pool)).await;
    sqlx::query("UPDATE identity.signing_keys SET created_at = now() - interval '31 days'")
        .execute(&pool)
        .await
        .expect("time passes");
    until("is replaced", async || {
        count(
            &pool,
            "SELECT count(*) FROM identity.signing_keys WHERE signs_from > now()",
        )
        .await
            == 1
    })
    .await;
    let audited = "SELECT count(*) FROM identity.audit WHERE action = 'signing_key_made'";
    assert_eq!(count(&pool, audited).await, 1);
    one.stop().await;
    other.stop().await;
}
