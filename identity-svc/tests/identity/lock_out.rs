//! Who tries passwords waits; whose passwords are tried doesn't.

use std::time::Duration;

use holdfast_mesh::Failure;
use holdfast_proto::identity::v1::{
    LoginRequest, RefreshRequest, RequestPasswordResetRequest, ResetPasswordRequest, Tokens,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{
    Letters, PASSWORD, Service, config, count, from_client, mail::token_in, refusal, start,
};

const OWN: &str = "192.0.2.1";
const ATTACKER: &str = "203.0.113.9";

async fn login(
    service: &mut Service,
    from: &str,
    email: &str,
    password: &str,
) -> Result<Tokens, Status> {
    let request = LoginRequest {
        email: email.to_owned(),
        password: password.to_owned(),
    };
    let answer = service.client.login(from_client(from, request)).await?;
    Ok(answer.into_inner().tokens.expect("tokens"))
}

/// Wrong passwords until the client is told to wait; how many were looked at, and how long it waits.
async fn guess(service: &mut Service, from: &str, email: &str) -> (u32, Duration) {
    for looked_at in 0..50 {
        let refused = login(service, from, email, "wrong password").await;
        let refused = Failure::from_status(&refused.expect_err("refused"));
        if refused.code() == ErrorCode::RateLimited {
            let wait = refused.retry_after().expect("says how long");
            return (looked_at, wait);
        }
        assert_eq!(refused.code(), ErrorCode::Unauthorized);
    }
    panic!("nobody is told to wait");
}

async fn pass(pool: &PgPool, time: &str) {
    let sql = format!(
        "UPDATE identity.sign_in_failures
         SET waits_until = waits_until - interval '{time}', last_at = last_at - interval '{time}'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(pool)
        .await
        .expect("time passes");
}

#[sqlx::test(migrations = false)]
async fn who_guesses_waits_longer_each_time_and_the_owner_does_not(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let (looked_at, wait) = guess(&mut service, ATTACKER, "ann@example.org").await;
    assert_eq!(looked_at, 5);
    assert!(
        wait > Duration::from_secs(20) && wait <= Duration::from_secs(30),
        "{wait:?}"
    );
    let right = login(&mut service, ATTACKER, "ann@example.org", PASSWORD).await;
    assert_eq!(
        refusal(right).0,
        ErrorCode::RateLimited,
        "not even the right one is looked at"
    );
    // Written differently it is the same account, and of IPv6 the /64 is one client.
    let other = login(&mut service, ATTACKER, "Ann@Example.org", PASSWORD).await;
    assert_eq!(refusal(other).0, ErrorCode::RateLimited);
    login(&mut service, OWN, "ann@example.org", PASSWORD)
        .await
        .expect("signs in elsewhere");

    pass(&pool, "31 seconds").await;
    let (looked_at, wait) = guess(&mut service, ATTACKER, "ann@example.org").await;
    assert_eq!(looked_at, 1);
    assert!(
        wait > Duration::from_secs(50) && wait <= Duration::from_secs(60),
        "{wait:?}"
    );
    pass(&pool, "61 seconds").await;
    login(&mut service, ATTACKER, "ann@example.org", PASSWORD)
        .await
        .expect("had mistyped");
    let left = "SELECT count(*) FROM identity.sign_in_failures WHERE client <> '*'";
    assert_eq!(count(&pool, left).await, 0, "begins anew");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn addresses_without_an_account_are_counted_alike(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let of = async |service: &mut Service, from: &str, email: &str| {
        let (looked_at, wait) = guess(service, from, email).await;
        (looked_at, wait.as_secs() / 10)
    };
    let known = of(&mut service, ATTACKER, "ann@example.org").await;
    assert_eq!(of(&mut service, ATTACKER, "bob@example.org").await, known);
    assert_eq!(of(&mut service, ATTACKER, "no address").await, known);
    let known = of(&mut service, "2001:db8:1:2::1", "ann@example.org").await;
    let neighbour = login(&mut service, "2001:db8:1:2::2", "ann@example.org", PASSWORD).await;
    assert_eq!(refusal(neighbour).0, ErrorCode::RateLimited);
    assert_eq!(
        of(&mut service, "2001:db8:1:3::1", "ann@example.org").await,
        known
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn guesses_at_once_are_no_way_around(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let guesses: Vec<_> = (0..40)
        .map(|nth| {
            let mut client = service.client.clone();
            let password = if nth == 39 {
                PASSWORD
            } else {
                "wrong password"
            };
            let request = LoginRequest {
                email: "ann@example.org".to_owned(),
                password: password.to_owned(),
            };
            tokio::spawn(async move { client.login(from_client(ATTACKER, request)).await })
        })
        .collect();
    let mut waits = 0;
    for one in guesses {
        let refused = one.await.expect("no panic");
        waits +=
            usize::from(refused.is_err_and(|status| {
                Failure::from_status(&status).code() == ErrorCode::RateLimited
            }));
    }
    let failures = "SELECT failures::bigint FROM identity.sign_in_failures WHERE client <> '*'";
    assert!(count(&pool, failures).await >= 5);
    let next = login(&mut service, ATTACKER, "ann@example.org", PASSWORD).await;
    assert_eq!(
        refusal(next).0,
        ErrorCode::RateLimited,
        "{waits} were told to wait before"
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn many_clients_at_once_lock_out_neither_known_ones_nor_who_reads_the_mail(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let own = login(&mut service, OWN, "ann@example.org", PASSWORD)
        .await
        .expect("is known from now on");
    // As if of 99 guesses from anywhere: the hundredth is the last that is looked at.
    sqlx::query(
        "INSERT INTO identity.sign_in_failures (account_hash, client, failures)
         VALUES (sha256('ann@example.org'), '*', 99)",
    )
    .execute(&pool)
    .await
    .expect("is noted");
    let hundredth = login(&mut service, ATTACKER, "ann@example.org", "wrong password").await;
    assert_eq!(refusal(hundredth).0, ErrorCode::Unauthorized);
    let new = "198.51.100.20";
    let stranger = login(&mut service, new, "ann@example.org", PASSWORD).await;
    assert_eq!(refusal(stranger).0, ErrorCode::RateLimited);
    login(&mut service, OWN, "ann@example.org", PASSWORD)
        .await
        .expect("is known");
    let elsewhere = "198.51.100.21";
    let refresh_token = own.refresh_token;
    let request = from_client(elsewhere, RefreshRequest { refresh_token });
    service.client.refresh(request).await.expect("is renewed");
    login(&mut service, elsewhere, "ann@example.org", PASSWORD)
        .await
        .expect("is known, who moved with a sign-in");

    let email = "ann@example.org".to_owned();
    let request = RequestPasswordResetRequest { email };
    service
        .client
        .request_password_reset(request)
        .await
        .expect("asks");
    let request = ResetPasswordRequest {
        token: token_in(&letters.next().await),
        password: "battery staple".to_owned(),
    };
    let answer = service
        .client
        .reset_password(from_client(new, request))
        .await;
    answer.expect("sets a new one");
    login(&mut service, new, "ann@example.org", "battery staple")
        .await
        .expect("is known, too");
    let before = login(&mut service, elsewhere, "ann@example.org", "battery staple").await;
    assert_eq!(
        refusal(before).0,
        ErrorCode::RateLimited,
        "no other is any more"
    );
    let stranger = login(&mut service, ATTACKER, "ann@example.org", "battery staple").await;
    assert_eq!(refusal(stranger).0, ErrorCode::RateLimited);
    service.stop().await;
}
