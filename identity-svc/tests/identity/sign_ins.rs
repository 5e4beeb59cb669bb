//! Signing in, renewing, signing out.

use std::time::{Duration, Instant};

use holdfast_proto::identity::v1::{
    EndAllSessionsRequest, EndSessionRequest, ListSessionsRequest, LoginRequest, LogoutRequest,
    RefreshRequest, Tokens,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{PASSWORD, Service, as_holder, config, count, from_client, refusal, start};

async fn refresh(service: &mut Service, token: &str) -> Result<Tokens, Status> {
    let request = RefreshRequest {
        refresh_token: token.to_owned(),
    };
    Ok(service
        .client
        .refresh(request)
        .await?
        .into_inner()
        .tokens
        .expect("tokens"))
}

async fn signed_in(pool: &PgPool) -> (Service, Tokens) {
    let mut service = start(config(pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let tokens = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    (service, tokens)
}

#[sqlx::test(migrations = false)]
async fn an_unknown_address_and_a_wrong_password_get_the_same_answer(pool: PgPool) {
    let (mut service, _) = signed_in(&pool).await;
    let long = "a".repeat(1000);
    let wrong = service
        .login("ann@example.org", "wrong password")
        .await
        .expect_err("refused");
    for (email, password) in [
        ("bob@example.org", PASSWORD),
        ("not an address", PASSWORD),
        ("", ""),
        ("ann@example.org", "short"),
        ("ann@example.org", long.as_str()),
    ] {
        let refused = service.login(email, password).await.expect_err("refused");
        assert_eq!(refused.code(), wrong.code(), "{email:?}");
        assert_eq!(refused.message(), wrong.message(), "{email:?}");
        assert_eq!(refused.details(), wrong.details(), "{email:?}");
    }
    assert_eq!(refusal::<()>(Err(wrong)).0, ErrorCode::Unauthorized);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_unknown_address_takes_as_long_as_a_wrong_password(pool: PgPool) {
    let (mut service, _) = signed_in(&pool).await;
    // The fastest of many, taken in turn: what else the machine does falls out, after more turns
    // if need be. Without a password to check, an answer would take a tenth of the time.
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    let is_as_slow = |known: Duration, unknown: Duration| unknown.saturating_mul(4) > known;
    for turn in 0..50 {
        if turn >= 10 && is_as_slow(known, unknown) {
            break;
        }
        for (email, fastest) in [
            ("ann@example.org", &mut known),
            ("bob@example.org", &mut unknown),
        ] {
            let started = Instant::now();
            service
                .login(email, "wrong password")
                .await
                .expect_err("refused");
            *fastest = (*fastest).min(started.elapsed());
        }
    }
    assert!(
        is_as_slow(known, unknown),
        "known {known:?}, unknown {unknown:?}"
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_refresh_token_renews_once_and_its_reuse_ends_the_family(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    let other = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in elsewhere");
    let second = refresh(&mut service, &first.refresh_token)
        .await
        .expect("renews");
    let third = refresh(&mut service, &second.refresh_token)
        .await
        .expect("renews");
    assert_ne!(second.refresh_token, third.refresh_token);

    assert_eq!(
        refusal(refresh(&mut service, &first.refresh_token).await).0,
        ErrorCode::Unauthorized
    );
    let refused = refresh(&mut service, &third.refresh_token).await;
    assert_eq!(
        refusal(refused).0,
        ErrorCode::Unauthorized,
        "the newest of the family ended too"
    );
    refresh(&mut service, &other.refresh_token)
        .await
        .expect("another sign-in goes on");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn two_uses_at_once_end_no_sign_in_and_a_later_one_does(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    let uses: Vec<_> = (0..8)
        .map(|_| {
            let mut client = service.client.clone();
            let request = RefreshRequest {
                refresh_token: first.refresh_token.clone(),
            };
            tokio::spawn(async move { client.refresh(request).await })
        })
        .collect();
    let mut renewed = std::collections::BTreeSet::new();
    for one in uses {
        let answer = one.await.expect("no panic").expect("renews");
        renewed.insert(answer.into_inner().tokens.expect("tokens").refresh_token);
    }
    assert_eq!(renewed.len(), 8, "each is a token of its own");
    let live = "SELECT count(*) FROM identity.refresh_families WHERE revoked_at IS NULL";
    assert_eq!(count(&pool, live).await, 1, "of one sign-in");

    let other = service.login("ann@example.org", PASSWORD).await;
    let other = other.expect("signs in elsewhere").refresh_token;
    refresh(&mut service, &other).await.expect("renews");
    // One more than tabs are, or as late as no tab is: somebody else has it.
    let ninth = refresh(&mut service, &first.refresh_token).await;
    assert_eq!(refusal(ninth).0, ErrorCode::Unauthorized);
    assert_eq!(count(&pool, live).await, 1);
    sqlx::query("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 seconds'")
        .execute(&pool)
        .await
        .expect("time passes");
    let late = refresh(&mut service, &other).await;
    assert_eq!(refusal(late).0, ErrorCode::Unauthorized);
    assert_eq!(count(&pool, live).await, 0);
    for token in renewed {
        let refused = refresh(&mut service, &token).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    }
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn once_what_came_of_it_was_used_a_token_is_stolen(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    let second = refresh(&mut service, &first.refresh_token).await;
    let second = second.expect("renews").refresh_token;
    let twin = refresh(&mut service, &first.refresh_token).await;
    let twin = twin.expect("another tab's").refresh_token;
    let third = refresh(&mut service, &second).await;
    let third = third.expect("renews").refresh_token;
    let thief = refresh(&mut service, &first.refresh_token).await;
    assert_eq!(refusal(thief).0, ErrorCode::Unauthorized);
    for token in [twin, third] {
        let refused = refresh(&mut service, &token).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    }
    service.stop().await;
}

/// Whoever traded the stolen one within the grace has a line of their own: it ends with the first use of either.
#[sqlx::test(migrations = false)]
async fn of_two_lines_of_one_token_the_second_ends_the_sign_in(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    let owners = refresh(&mut service, &first.refresh_token).await;
    let owners = owners.expect("renews").refresh_token;
    let thiefs = refresh(&mut service, &first.refresh_token).await;
    let thiefs = thiefs.expect("renews within the grace").refresh_token;
    let next = refresh(&mut service, &owners).await;
    let next = next.expect("renews").refresh_token;
    for token in [thiefs, next] {
        let refused = refresh(&mut service, &token).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    }
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn sign_ins_are_listed_and_ended_one_by_one_and_all(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    let login = LoginRequest {
        email: "ann@example.org".to_owned(),
        password: PASSWORD.to_owned(),
    };
    let second = service.client.login(from_client("192.0.2.7", login)).await;
    let second = second
        .expect("signs in")
        .into_inner()
        .tokens
        .expect("tokens");
    let list = async |service: &mut Service, token: &str| {
        let answer = service
            .client
            .list_sessions(as_holder(token, ListSessionsRequest {}));
        answer.await.expect("answers").into_inner().sessions
    };
    let sessions = list(&mut service, &second.access_token).await;
    let shown: Vec<_> = sessions
        .iter()
        .map(|session| (session.client_address.as_str(), session.current))
        .collect();
    assert_eq!(shown, [("192.0.2.7", true), ("", false)]);
    let ended = sessions[1].session_id.clone();

    service
        .register("bob@example.org")
        .await
        .expect("registers");
    let bob = service
        .login("bob@example.org", PASSWORD)
        .await
        .expect("signs in");
    for (token, session_id) in [
        // Somebody else's, and none.
        (&bob.access_token, ended.clone()),
        (&second.access_token, vec![7; 16]),
    ] {
        let request = as_holder(token, EndSessionRequest { session_id });
        service
            .client
            .end_session(request)
            .await
            .expect("is no error");
    }
    assert_eq!(list(&mut service, &second.access_token).await.len(), 2);
    for _ in 0..2 {
        let session_id = ended.clone();
        let request = as_holder(&second.access_token, EndSessionRequest { session_id });
        service.client.end_session(request).await.expect("ends");
    }
    let refused = refresh(&mut service, &first.refresh_token).await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    refresh(&mut service, &second.refresh_token)
        .await
        .expect("goes on");

    let request = as_holder(&second.access_token, EndAllSessionsRequest {});
    service
        .client
        .end_all_sessions(request)
        .await
        .expect("ends");
    assert!(list(&mut service, &second.access_token).await.is_empty());
    refresh(&mut service, &bob.refresh_token)
        .await
        .expect("others go on");
    let malformed = as_holder(
        &bob.access_token,
        EndSessionRequest {
            session_id: vec![1],
        },
    );
    let refused = refusal(service.client.end_session(malformed).await);
    assert_eq!(refused.1, ["session_id"]);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn renewed_tokens_have_the_roles_of_now(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    sqlx::query("INSERT INTO identity.user_roles (user_id, role) SELECT user_id, 'staff' FROM identity.users")
        .execute(&pool)
        .await
        .expect("grants");
    let renewed = refresh(&mut service, &first.refresh_token)
        .await
        .expect("renews");
    let claims = jsonwebtoken::dangerous::insecure_decode::<holdfast_mesh::auth::TokenClaims>(
        &renewed.access_token,
    )
    .expect("claims")
    .claims;
    assert_eq!(claims.roles, ["customer", "staff"]);
    assert_eq!(claims.exp - claims.iat, 900);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn made_up_and_expired_refresh_tokens_are_refused(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    for token in ["", "made up", &"a".repeat(43), &"a".repeat(10_000)] {
        assert_eq!(
            refusal(refresh(&mut service, token).await).0,
            ErrorCode::Unauthorized
        );
    }
    sqlx::query("UPDATE identity.refresh_families SET expires_at = now()")
        .execute(&pool)
        .await
        .expect("ages");
    assert_eq!(
        refusal(refresh(&mut service, &first.refresh_token).await).0,
        ErrorCode::Unauthorized
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn signing_out_ends_the_family_and_may_be_repeated(pool: PgPool) {
    let (mut service, first) = signed_in(&pool).await;
    let second = refresh(&mut service, &first.refresh_token)
        .await
        .expect("renews");
    for token in [&second.refresh_token, &second.refresh_token, "unknown"] {
        let request = LogoutRequest {
            refresh_token: token.to_owned(),
        };
        service.client.logout(request).await.expect("is no error");
    }
    assert_eq!(
        refusal(refresh(&mut service, &second.refresh_token).await).0,
        ErrorCode::Unauthorized
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn neither_passwords_nor_refresh_tokens_are_stored(pool: PgPool) {
    let (service, first) = signed_in(&pool).await;
    let dump: String = sqlx::query_scalar(
        "SELECT (SELECT string_agg(u::text, ' ') FROM identity.users u)
             || (SELECT string_agg(t::text || ' ' || encode(t.token_hash, 'escape'), ' ') FROM identity.refresh_tokens t)",
    )
    .fetch_one(&pool)
    .await
    .expect("dumps");
    assert!(dump.contains("$argon2id$") && !dump.contains(PASSWORD));
    assert!(!dump.contains(&first.refresh_token));
    service.stop().await;
}
