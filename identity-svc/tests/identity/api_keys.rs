//! Keys of organisers' systems.

use holdfast_mesh::auth::{AllClaims, Scope};
use holdfast_proto::identity::v1::{
    ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, ExchangeApiKeyRequest,
    ExchangeApiKeyResponse, GetMeRequest, ListApiKeysRequest, ListOrganisationApiKeysRequest,
    RemoveMemberRequest, RevokeApiKeyRequest, RevokeOrganisationApiKeyRequest,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{Letters, PASSWORD, Service, as_holder, config, count, refusal, start};

async fn signed_in(service: &mut Service, email: &str) -> String {
    service.register(email).await.expect("registers");
    let tokens = service.login(email, PASSWORD).await;
    tokens.expect("signs in").access_token
}

async fn create(
    service: &mut Service,
    by: &str,
    scopes: &[&str],
    organisation_id: &[u8],
) -> Result<CreateApiKeyResponse, Status> {
    let request = CreateApiKeyRequest {
        name: "box office".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        organisation_id: organisation_id.into(),
    };
    let answer = service
        .client
        .create_api_key(as_holder(by, request))
        .await?;
    Ok(answer.into_inner())
}

async fn exchange(service: &mut Service, secret: &str) -> Result<ExchangeApiKeyResponse, Status> {
    let secret = secret.to_owned();
    let answer = service
        .client
        .exchange_api_key(ExchangeApiKeyRequest { secret })
        .await?;
    Ok(answer.into_inner())
}

#[sqlx::test(migrations = false)]
async fn a_key_is_shown_once_good_for_its_scopes_and_gone_when_revoked(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let ann = signed_in(&mut service, "ann@example.org").await;
    let made = create(&mut service, &ann, &["sales:read", "sales:read"], &[]).await;
    let made = made.expect("makes");
    let key = made.key.expect("a key");
    assert!(made.secret.starts_with("hfk_") && made.secret.len() == 47);
    assert_eq!(
        (key.scopes.as_slice(), key.last_used_at_ms),
        (&["sales:read".to_owned()][..], 0)
    );
    let stored: String = sqlx::query_scalar("SELECT k::text FROM identity.api_keys k")
        .fetch_one(&pool)
        .await
        .expect("reads");
    assert!(!stored.contains(&made.secret), "only a hash is kept");

    let traded = exchange(&mut service, &made.secret).await.expect("trades");
    assert_eq!((traded.expires_in_s, traded.organisation_id.len()), (60, 0));
    let token = traded.access_token;
    let claims = jsonwebtoken::dangerous::insecure_decode::<AllClaims>(&token).expect("claims");
    assert_eq!(claims.claims.grants.scopes, Some(vec![Scope::SalesRead]));
    assert_eq!(claims.claims.token.exp - claims.claims.token.iat, 60);
    // It makes no keys, and sees no account.
    let refused = create(&mut service, &token, &["sales:read"], &[]).await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    let refused = service
        .client
        .get_me(as_holder(&token, GetMeRequest {}))
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);

    let listed = as_holder(&ann, ListApiKeysRequest {});
    let listed = service
        .client
        .list_api_keys(listed)
        .await
        .expect("lists")
        .into_inner()
        .keys;
    assert!(listed.len() == 1 && listed[0].last_used_at_ms > 0);
    let bob = signed_in(&mut service, "bob@example.org").await;
    for (by, works) in [(&bob, true), (&ann, false), (&ann, false)] {
        let key_id = key.key_id.clone();
        let request = as_holder(by, RevokeApiKeyRequest { key_id });
        service
            .client
            .revoke_api_key(request)
            .await
            .expect("is no error");
        assert_eq!(exchange(&mut service, &made.secret).await.is_ok(), works);
    }
    for wrong in ["", "hfk_", &made.secret[1..], &"a".repeat(10_000)] {
        let refused = exchange(&mut service, wrong).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    }
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_is_wrong_with_a_key_is_named_and_there_are_at_most_twenty(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let ann = signed_in(&mut service, "ann@example.org").await;
    for (scopes, field) in [
        (&[][..], "scopes"),
        (&["everything"], "scopes[0]"),
        (&["sales:read"; 4], "scopes"),
    ] {
        let refused = refusal(create(&mut service, &ann, scopes, &[]).await);
        assert_eq!(refused, (ErrorCode::InvalidRequest, vec![field.to_owned()]));
    }
    let stranger = create(&mut service, &ann, &["sales:read"], &[9; 16]).await;
    assert_eq!(refusal(stranger).0, ErrorCode::Forbidden);
    for _ in 0..20 {
        create(&mut service, &ann, &["sales:read"], &[])
            .await
            .expect("makes");
    }
    let one_more = create(&mut service, &ann, &["sales:read"], &[]).await;
    assert_eq!(refusal(one_more).0, ErrorCode::InvalidState);
    let letters = "SELECT count(*) FROM identity.mail WHERE kind = 'api_key_made'";
    assert_eq!(count(&pool, letters).await, 20, "she is told of each");
    // Nor are more made by revoking those before, for as long as nobody would be told of them.
    sqlx::raw_sql("DELETE FROM identity.api_keys")
        .execute(&pool)
        .await
        .expect("are revoked");
    let one_more = create(&mut service, &ann, &["sales:read"], &[]).await;
    assert_eq!(refusal(one_more).0, ErrorCode::InvalidState);
    let keys = "SELECT count(*) FROM identity.api_keys";
    assert_eq!(count(&pool, keys).await, 0);
    sqlx::raw_sql("UPDATE identity.mail SET created_at = now() - interval '31 minutes'")
        .execute(&pool)
        .await
        .expect("time passes");
    create(&mut service, &ann, &["sales:read"], &[])
        .await
        .expect("makes");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_key_of_an_organisation_ends_with_membership(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let ann = signed_in(&mut service, "ann@example.org").await;
    sqlx::raw_sql(
        "INSERT INTO identity.organisations (organisation_id, name, made_by)
         SELECT '09090909-0909-0909-0909-090909090909', 'Ours', user_id FROM identity.users;
         INSERT INTO identity.members (organisation_id, user_id, role)
         SELECT organisation_id, made_by, 'manager' FROM identity.organisations",
    )
    .execute(&pool)
    .await
    .expect("is made");
    let made = create(&mut service, &ann, &["catalogue:write"], &[9; 16])
        .await
        .expect("makes");
    let traded = exchange(&mut service, &made.secret).await.expect("trades");
    assert_eq!(traded.organisation_id, [9; 16]);
    sqlx::raw_sql("UPDATE identity.members SET role = 'viewer'")
        .execute(&pool)
        .await
        .expect("is less");
    let refused = create(&mut service, &ann, &["sales:read"], &[9; 16]).await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    sqlx::raw_sql("DELETE FROM identity.members")
        .execute(&pool)
        .await
        .expect("leaves");
    let refused = exchange(&mut service, &made.secret).await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    assert_eq!(
        count(&pool, "SELECT count(*) FROM identity.api_keys").await,
        1
    );
    service.stop().await;
}

async fn keys_of_organisation(service: &mut Service, by: &str) -> Result<Vec<ApiKey>, Status> {
    let organisation_id = vec![9; 16];
    let request = as_holder(by, ListOrganisationApiKeysRequest { organisation_id });
    let answer = service.client.list_organisation_api_keys(request).await?;
    Ok(answer.into_inner().keys)
}

async fn revoke_of_organisation(
    service: &mut Service,
    by: &str,
    key_id: &[u8],
) -> Result<(), Status> {
    let request = RevokeOrganisationApiKeyRequest {
        organisation_id: vec![9; 16],
        key_id: key_id.into(),
    };
    let request = as_holder(by, request);
    service.client.revoke_organisation_api_key(request).await?;
    Ok(())
}

#[sqlx::test(migrations = false)]
async fn owners_see_and_revoke_keys_of_the_organisation_whoever_made_them(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let ann = signed_in(&mut service, "ann@example.org").await;
    letters.next().await;
    let bob = signed_in(&mut service, "bob@example.org").await;
    letters.next().await;
    let eve = signed_in(&mut service, "eve@example.org").await;
    letters.next().await;
    sqlx::raw_sql(
        "INSERT INTO identity.organisations (organisation_id, name, made_by)
         SELECT '09090909-0909-0909-0909-090909090909', 'Ours', user_id FROM identity.users
         WHERE email = 'ann@example.org';
         INSERT INTO identity.members (organisation_id, user_id, role)
         SELECT organisation_id, user_id, CASE WHEN user_id = made_by THEN 'owner' ELSE 'manager' END
         FROM identity.organisations, identity.users WHERE email <> 'eve@example.org'",
    )
    .execute(&pool)
    .await
    .expect("is made");
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let made = create(&mut service, &bob, &["sales:read"], &[9; 16]).await;
        secrets.push(made.expect("makes").secret);
        // Whoever made it is told.
        let letter = letters.next().await;
        assert!(letter.contains("To: bob@example.org"), "{letter}");
        assert!(letter.contains("Subject: An API key was made"), "{letter}");
    }
    create(&mut service, &bob, &["sales:read"], &[])
        .await
        .expect("makes one of their own");

    let manager = keys_of_organisation(&mut service, &bob).await;
    assert_eq!(refusal(manager).0, ErrorCode::Forbidden);
    let stranger = keys_of_organisation(&mut service, &eve).await;
    assert_eq!(refusal(stranger).0, ErrorCode::NotFound);
    let seen = keys_of_organisation(&mut service, &ann).await;
    let seen = seen.expect("an owner may");
    assert_eq!(seen.len(), 2, "not bob's own: {seen:?}");
    assert!(seen.iter().all(|key| key.email == "bob@example.org"));
    // Newest first.
    let (second, first) = (seen[0].key_id.clone(), seen[1].key_id.clone());
    for (by, code) in [(&bob, ErrorCode::Forbidden), (&eve, ErrorCode::NotFound)] {
        let refused = revoke_of_organisation(&mut service, by, &first).await;
        assert_eq!(refusal(refused).0, code);
    }
    for _ in 0..2 {
        revoke_of_organisation(&mut service, &ann, &first)
            .await
            .expect("revokes");
    }
    let works = [
        exchange(&mut service, &secrets[0]).await.is_ok(),
        exchange(&mut service, &secrets[1]).await.is_ok(),
    ];
    assert_eq!(works, [false, true]);
    let audited = "SELECT count(*) FROM identity.audit
        WHERE action = 'api_key_revoked' AND organisation_id IS NOT NULL AND actor_id <> subject_id";
    assert_eq!(count(&pool, audited).await, 1);

    // One that somebody left behind who isn't in it any more is seen, too, and good for nothing.
    let gone = "DELETE FROM identity.members WHERE role = 'manager'";
    sqlx::raw_sql(gone).execute(&pool).await.expect("left");
    let seen = keys_of_organisation(&mut service, &ann).await;
    assert_eq!(seen.expect("lists")[0].key_id, second);
    let refused = exchange(&mut service, &secrets[1]).await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn who_is_removed_loses_the_keys_made_for_the_organisation_and_keeps_their_own(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let ann = signed_in(&mut service, "ann@example.org").await;
    let bob = signed_in(&mut service, "bob@example.org").await;
    sqlx::raw_sql(
        "INSERT INTO identity.organisations (organisation_id, name, made_by)
         SELECT '09090909-0909-0909-0909-090909090909', 'Ours', user_id FROM identity.users
         WHERE email = 'ann@example.org';
         INSERT INTO identity.members (organisation_id, user_id, role)
         SELECT organisation_id, user_id, CASE WHEN user_id = made_by THEN 'owner' ELSE 'manager' END
         FROM identity.organisations, identity.users",
    )
    .execute(&pool)
    .await
    .expect("is made");
    let theirs = create(&mut service, &bob, &["sales:read"], &[9; 16]).await;
    let own = create(&mut service, &bob, &["sales:read"], &[]).await;
    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT user_id FROM identity.users WHERE email = 'bob@example.org'")
            .fetch_one(&pool)
            .await
            .expect("is there");
    let request = RemoveMemberRequest {
        organisation_id: vec![9; 16],
        user_id: id.into_bytes().into(),
    };
    let request = as_holder(&ann, request);
    service
        .client
        .remove_member(request)
        .await
        .expect("removes");
    assert_eq!(
        keys_of_organisation(&mut service, &ann)
            .await
            .expect("lists"),
        []
    );
    let refused = exchange(&mut service, &theirs.expect("makes").secret).await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    exchange(&mut service, &own.expect("makes").secret)
        .await
        .expect("is bob's own");
    service.stop().await;
}
