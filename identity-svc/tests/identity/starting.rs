//! Starting, starting again, and being refused to start.

use holdfast_mesh::{self as mesh, config::Secret};
use holdfast_proto::identity::v1::{GetJwksRequest, GetMeRequest};
use identity_svc::{Config, Error};
use sqlx::PgPool;

use crate::{LIMIT, PASSWORD, as_holder, config, count, start};

#[sqlx::test(migrations = false)]
async fn a_restart_keeps_accounts_and_the_signing_key(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let token = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in")
        .access_token;
    let jwks = service
        .client
        .get_jwks(GetJwksRequest {})
        .await
        .expect("answers")
        .into_inner()
        .jwks;
    service.stop().await;

    let mut service = start(config(&pool)).await;
    assert_eq!(
        service
            .client
            .get_jwks(GetJwksRequest {})
            .await
            .expect("answers")
            .into_inner()
            .jwks,
        jwks
    );
    service
        .client
        .get_me(as_holder(&token, GetMeRequest {}))
        .await
        .expect("the old token counts");
    service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn several_starting_at_once_share_one_signing_key(pool: PgPool) {
    let (one, two, three) = tokio::join!(
        start(config(&pool)),
        start(config(&pool)),
        start(config(&pool))
    );
    assert_eq!(
        count(&pool, "SELECT count(*) FROM identity.signing_keys").await,
        1
    );
    for service in [one, two, three] {
        service.stop().await;
    }
}

async fn refused(config: Config) -> Error {
    let serving = identity_svc::serve(config, mesh::Context::new());
    tokio::time::timeout(LIMIT, serving)
        .await
        .expect("in time")
        .expect_err("refused")
}

#[sqlx::test(migrations = false)]
async fn it_does_not_start_in_the_open_or_without_a_database(pool: PgPool) {
    let open = Config {
        listen: ([0, 0, 0, 0], 0).into(),
        ..config(&pool)
    };
    assert_eq!(open.check(false).expect_err("is refused").0, "listen");
    let error = refused(open).await;
    assert!(
        matches!(error, Error::Config { key: "listen", .. }),
        "{error:?}"
    );

    let none = Config {
        database_url: Secret::default(),
        ..config(&pool)
    };
    let error = refused(none).await;
    assert!(
        error.to_string().contains("identity.database_url"),
        "{error}"
    );

    let none = Config {
        database_connections_max: 0,
        ..config(&pool)
    };
    let error = refused(none).await;
    assert!(
        error
            .to_string()
            .contains("identity.database_connections_max"),
        "{error}"
    );
    config(&pool).check(false).expect("the rest is fine");
}

#[sqlx::test]
async fn many_sign_ins_that_have_run_out_are_deleted_in_one_go(pool: PgPool) {
    sqlx::raw_sql(
        "INSERT INTO identity.users (user_id, email, password_hash)
         VALUES (gen_random_uuid(), 'ann@example.org', '');
         INSERT INTO identity.refresh_families (family_id, user_id, expires_at)
         SELECT gen_random_uuid(), user_id, now() - interval '1 day'
         FROM identity.users, generate_series(1, 2500)",
    )
    .execute(&pool)
    .await
    .expect("is written");
    let service = start(config(&pool)).await;
    let swept = async {
        while count(&pool, "SELECT count(*) FROM identity.refresh_families").await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, swept)
        .await
        .expect("the first step deletes all");
    service.stop().await;
}
