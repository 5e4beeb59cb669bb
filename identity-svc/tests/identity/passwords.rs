//! New passwords: by letter, and by who knows the old one; and hashes with parameters of before.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use holdfast_proto::identity::v1::{
    ChangePasswordRequest, GetMeRequest, RefreshRequest, RequestPasswordResetRequest,
    ResetPasswordRequest, Tokens,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{
    Letters, PASSWORD, Service, as_holder, config, count, from_client, mail::token_in, refusal,
    start,
};

const NEW: &str = "battery staple";

async fn forgot(service: &mut Service, email: &str) -> Result<(), Status> {
    let email = email.to_owned();
    let request = RequestPasswordResetRequest { email };
    service.client.request_password_reset(request).await?;
    Ok(())
}

async fn reset(service: &mut Service, token: &str, password: &str) -> Result<(), Status> {
    let request = ResetPasswordRequest {
        token: token.to_owned(),
        password: password.to_owned(),
    };
    service.client.reset_password(request).await?;
    Ok(())
}

async fn change(service: &mut Service, token: &str, old: &str, new: &str) -> Result<(), Status> {
    let request = ChangePasswordRequest {
        old_password: old.to_owned(),
        new_password: new.to_owned(),
    };
    service
        .client
        .change_password(as_holder(token, request))
        .await?;
    Ok(())
}

async fn renews(service: &mut Service, tokens: &Tokens) -> bool {
    let refresh_token = tokens.refresh_token.clone();
    service
        .client
        .refresh(RefreshRequest { refresh_token })
        .await
        .is_ok()
}

#[sqlx::test(migrations = false)]
async fn a_letter_sets_a_new_password_once_and_ends_every_sign_in(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let before = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    for email in ["ann@example.org", "nobody@example.org"] {
        forgot(&mut service, email)
            .await
            .expect("is the same for all");
    }
    let refused = refusal(forgot(&mut service, "no address").await);
    assert_eq!(refused.1, ["email"]);
    let letter = letters.next().await;
    assert!(letter.contains("To: ann@example.org\r\n"), "{letter}");
    let token = token_in(&letter);

    for (token, password, field) in [
        ("made up", NEW, "token"),
        ("", NEW, "token"),
        (token.as_str(), "short", "password"),
        (token.as_str(), &"a".repeat(129), "password"),
    ] {
        let refused = refusal(reset(&mut service, token, password).await);
        assert_eq!(refused, (ErrorCode::InvalidRequest, vec![field.to_owned()]));
    }
    reset(&mut service, &token, NEW).await.expect("sets it");
    let again = refusal(reset(&mut service, &token, "another one").await);
    assert_eq!(again.1, ["token"], "it works once");
    assert!(!renews(&mut service, &before).await);
    let old = service.login("ann@example.org", PASSWORD).await;
    assert_eq!(refusal(old).0, ErrorCode::Unauthorized);
    let after = service
        .login("ann@example.org", NEW)
        .await
        .expect("signs in");
    let request = as_holder(&after.access_token, GetMeRequest {});
    let me = service.client.get_me(request).await.expect("answers");
    assert!(
        me.into_inner().email_verified,
        "whoever reads its mail has the address"
    );
    let told = letters.next().await;
    assert!(
        told.contains("Subject: Your password was changed"),
        "{told}"
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn of_two_uses_of_a_letter_at_once_one_counts_and_a_late_one_does_not(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    letters.next().await;
    forgot(&mut service, "ann@example.org").await.expect("asks");
    let token = token_in(&letters.next().await);
    let uses: Vec<_> = ["password one", "password two"]
        .map(|password| {
            let mut client = service.client.clone();
            let request = ResetPasswordRequest {
                token: token.clone(),
                password: password.to_owned(),
            };
            tokio::spawn(async move { client.reset_password(request).await.is_ok() })
        })
        .into();
    let mut counted = Vec::new();
    for one in uses {
        counted.push(one.await.expect("no panic"));
    }
    assert_eq!(counted.iter().filter(|counted| **counted).count(), 1);
    for (counted, password) in counted.into_iter().zip(["password one", "password two"]) {
        let signed_in = service.login("ann@example.org", password).await.is_ok();
        assert_eq!(signed_in, counted);
    }

    letters.next().await;
    forgot(&mut service, "ann@example.org").await.expect("asks");
    let token = token_in(&letters.next().await);
    sqlx::query("UPDATE identity.mailed_tokens SET expires_at = now()")
        .execute(&pool)
        .await
        .expect("time passes");
    let late = refusal(reset(&mut service, &token, NEW).await);
    assert_eq!(late.1, ["token"]);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn who_knows_the_old_password_sets_a_new_one_and_stays_signed_in(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let elsewhere = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    let here = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    let access = &here.access_token;
    let wrong = change(&mut service, access, "wrong password", NEW).await;
    assert_eq!(refusal(wrong).0, ErrorCode::Forbidden);
    let short = change(&mut service, access, PASSWORD, "short").await;
    assert_eq!(refusal(short).1, ["new_password"]);
    let nobody = ChangePasswordRequest {
        old_password: PASSWORD.to_owned(),
        new_password: NEW.to_owned(),
    };
    let nobody = service.client.change_password(nobody).await;
    assert_eq!(refusal(nobody).0, ErrorCode::Unauthorized);

    change(&mut service, access, PASSWORD, NEW)
        .await
        .expect("changes");
    assert!(renews(&mut service, &here).await && !renews(&mut service, &elsewhere).await);
    let old = service.login("ann@example.org", PASSWORD).await;
    assert_eq!(refusal(old).0, ErrorCode::Unauthorized);
    service
        .login("ann@example.org", NEW)
        .await
        .expect("signs in");
    let told = letters.next().await;
    assert!(
        told.contains("Subject: Your password was changed"),
        "{told}"
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_stolen_token_guesses_no_password(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let access = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in")
        .access_token;
    let request = |old_password: &str| {
        let mut request = as_holder(
            &access,
            ChangePasswordRequest {
                old_password: old_password.to_owned(),
                new_password: NEW.to_owned(),
            },
        );
        let other = from_client("203.0.113.9", ());
        *request.metadata_mut() = {
            let mut metadata = other.metadata().clone();
            let own = request
                .metadata()
                .get("authorization")
                .expect("a token")
                .clone();
            metadata.insert("authorization", own);
            metadata
        };
        request
    };
    for _ in 0..5 {
        let refused = service.client.change_password(request("wrong password"));
        assert_eq!(refusal(refused.await).0, ErrorCode::Forbidden);
    }
    // Not the right one either now, or the answers would tell which it is.
    let refused = service.client.change_password(request(PASSWORD));
    assert_eq!(refusal(refused.await).0, ErrorCode::RateLimited);
    let waits = "SELECT count(*) FROM identity.sign_in_failures WHERE waits_until > now()";
    assert_eq!(count(&pool, waits).await, 1);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn who_signs_in_has_a_hash_of_before_renewed(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let weak = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(8 * 1024, 1, 1, None).expect("parameters"),
    );
    let hash = weak
        .hash_password(PASSWORD.as_bytes())
        .expect("hashes")
        .to_string();
    sqlx::query("UPDATE identity.users SET password_hash = $1")
        .bind(&hash)
        .execute(&pool)
        .await
        .expect("an old account");
    let renewed = "SELECT count(*) FROM identity.users WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'";
    let wrong = service.login("ann@example.org", "wrong password").await;
    assert_eq!(refusal(wrong).0, ErrorCode::Unauthorized);
    assert_eq!(
        count(&pool, renewed).await,
        0,
        "only of who knows the password"
    );
    service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    assert_eq!(count(&pool, renewed).await, 1);
    service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in again");
    service.stop().await;
}
