//! The operator token, accounts made for others, roles.

use holdfast_proto::identity::v1::{
    CreateApiKeyRequest, DisableAccountRequest, EnableAccountRequest, EnsureAccountRequest,
    ExchangeApiKeyRequest, ExchangeOperatorTokenRequest, GetMeRequest, GrantRoleRequest,
    RefreshRequest, RequestPasswordResetRequest, ResetPasswordRequest, RevokeRoleRequest,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{
    Letters, OPERATOR_TOKEN, PASSWORD, Service, as_holder, config, count, has_verified,
    mail::token_in, refusal, somebody_waits, start,
};

fn grant(email: &str, role: &str) -> GrantRoleRequest {
    GrantRoleRequest {
        email: email.to_owned(),
        role: role.to_owned(),
    }
}

fn ensure(email: &str, password: &str, roles: &[&str]) -> EnsureAccountRequest {
    EnsureAccountRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    }
}

#[sqlx::test(migrations = false)]
async fn an_operator_makes_accounts_once_and_grants_roles(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let operator = service.operator("").await.expect("exchanges");

    let request = ensure("Org@Example.org", PASSWORD, &["organiser", "customer"]);
    let made = service
        .client
        .ensure_account(as_holder(&operator, request))
        .await
        .expect("makes")
        .into_inner();
    assert!(made.created);
    let request = ensure("org@example.org", "another password", &["admin"]);
    let again = service
        .client
        .ensure_account(as_holder(&operator, request))
        .await
        .expect("is there")
        .into_inner();
    assert!(!again.created);
    assert_eq!(again.user_id, made.user_id);
    service
        .login("org@example.org", PASSWORD)
        .await
        .expect("keeps its password");

    for _ in 0..2 {
        let request = as_holder(&operator, grant("org@example.org", "venue_owner"));
        let granted = service
            .client
            .grant_role(request)
            .await
            .expect("grants")
            .into_inner();
        assert_eq!(granted.user_id, made.user_id);
        assert_eq!(granted.roles, ["customer", "organiser", "venue_owner"]);
    }

    let audit: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT action, role FROM identity.audit ORDER BY audit_id")
            .fetch_all(&pool)
            .await
            .expect("reads");
    let audit: Vec<(&str, Option<&str>)> = audit
        .iter()
        .map(|(action, role)| (action.as_str(), role.as_deref()))
        .collect();
    assert_eq!(
        audit,
        [
            ("operator_token_exchanged", None),
            ("account_made", None),
            ("role_granted", Some("organiser")),
            ("role_granted", Some("customer")),
            ("signed_in", None),
            ("role_granted", Some("venue_owner")),
        ]
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_operator_acts_as_an_account(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let user_id = service
        .register("ann@example.org")
        .await
        .expect("registers");
    let token = service
        .operator("ANN@example.org")
        .await
        .expect("exchanges");
    let me = service
        .client
        .get_me(as_holder(&token, GetMeRequest {}))
        .await
        .expect("answers")
        .into_inner();
    assert_eq!(me.user_id, user_id);

    assert_eq!(
        refusal(service.operator("bob@example.org").await).0,
        ErrorCode::UserNotFound
    );
    assert_eq!(
        refusal(service.operator("not an address").await),
        (ErrorCode::InvalidRequest, vec!["email".to_owned()])
    );
    let operator = service.operator("").await.expect("exchanges");
    let refused = service
        .client
        .get_me(as_holder(&operator, GetMeRequest {}))
        .await;
    assert_eq!(
        refusal(refused).0,
        ErrorCode::Unauthorized,
        "no account behind it"
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_wrong_operator_token_is_refused(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    for token in ["", "wrong", &OPERATOR_TOKEN[1..]] {
        let request = ExchangeOperatorTokenRequest {
            operator_token: token.to_owned(),
            email: String::new(),
        };
        let refused = service.client.exchange_operator_token(request).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized, "{token:?}");
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM identity.audit").await, 0);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn without_an_operator_token_nothing_can_be_exchanged(pool: PgPool) {
    let mut config = config(&pool);
    config.operator_token = "".into();
    let mut service = start(config).await;
    for token in ["", OPERATOR_TOKEN] {
        let request = ExchangeOperatorTokenRequest {
            operator_token: token.to_owned(),
            email: String::new(),
        };
        let refused = service.client.exchange_operator_token(request).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized, "{token:?}");
    }
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn only_an_administrator_changes_accounts(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let customer = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in")
        .access_token;

    let to_self = grant("ann@example.org", "admin");
    assert_eq!(
        refusal(service.client.grant_role(to_self.clone()).await).0,
        ErrorCode::Unauthorized
    );
    let refused = service
        .client
        .grant_role(as_holder(&customer, to_self))
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    let new = ensure("bob@example.org", PASSWORD, &["admin"]);
    assert_eq!(
        refusal(service.client.ensure_account(new.clone()).await).0,
        ErrorCode::Unauthorized
    );
    let refused = service
        .client
        .ensure_account(as_holder(&customer, new))
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    let others = "SELECT count(*) FROM identity.user_roles WHERE role <> 'customer'";
    assert_eq!(count(&pool, others).await, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM identity.users").await, 1);

    let operator = service.operator("").await.expect("exchanges");
    let ask = || as_holder(&operator, grant("ann@example.org", "admin"));
    let early = service.client.grant_role(ask()).await;
    assert_eq!(refusal(early).0, ErrorCode::InvalidState, "whose address?");
    has_verified(&pool, "ann@example.org").await;
    service.client.grant_role(ask()).await.expect("grants");
    let admin = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in")
        .access_token;
    let request = as_holder(&admin, grant("ann@example.org", "staff"));
    service
        .client
        .grant_role(request)
        .await
        .expect("an administrator may");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_an_administrator_gets_wrong_is_named(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let operator = service.operator("").await.expect("exchanges");
    let grants = [
        (
            grant("ann@example.org", "emperor"),
            ErrorCode::InvalidRequest,
            vec!["role"],
        ),
        (
            grant("ann@example.org", ""),
            ErrorCode::InvalidRequest,
            vec!["role"],
        ),
        (
            grant("ann", "emperor"),
            ErrorCode::InvalidRequest,
            vec!["email", "role"],
        ),
        (
            grant("bob@example.org", "staff"),
            ErrorCode::UserNotFound,
            vec![],
        ),
    ];
    for (request, code, fields) in grants {
        let refused = refusal(
            service
                .client
                .grant_role(as_holder(&operator, request.clone()))
                .await,
        );
        assert_eq!(refused.0, code, "{request:?}");
        assert_eq!(refused.1, fields, "{request:?}");
    }
    let request = ensure("bob", "short", &["customer", "emperor"]);
    let refused = refusal(
        service
            .client
            .ensure_account(as_holder(&operator, request))
            .await,
    );
    assert_eq!(refused.0, ErrorCode::InvalidRequest);
    assert_eq!(refused.1, ["email", "password", "roles[1]"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM identity.users").await, 1);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_role_is_taken_by_an_administrator_alone_and_audited_once(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let operator = service.operator("").await.expect("exchanges");
    let request = ensure("org@example.org", PASSWORD, &["organiser", "customer"]);
    let request = as_holder(&operator, request);
    service.client.ensure_account(request).await.expect("makes");
    let revoke = |email: &str, role: &str| RevokeRoleRequest {
        email: email.to_owned(),
        role: role.to_owned(),
    };
    let own = service.operator("org@example.org").await;
    let own = own.expect("exchanges");
    let request = as_holder(&own, revoke("org@example.org", "customer"));
    let refused = service.client.revoke_role(request).await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    for _ in 0..2 {
        let request = as_holder(&operator, revoke("org@example.org", "organiser"));
        let left = service.client.revoke_role(request).await.expect("takes");
        assert_eq!(left.into_inner().roles, ["customer"]);
    }
    let audited =
        "SELECT count(*) FROM identity.audit WHERE action = 'role_revoked' AND role = 'organiser'";
    assert_eq!(count(&pool, audited).await, 1);
    let request = as_holder(&operator, revoke("nobody@example.org", "organiser"));
    let refused = service.client.revoke_role(request).await;
    assert_eq!(refusal(refused).0, ErrorCode::UserNotFound);
    let request = as_holder(&operator, revoke("org", "king"));
    let refused = service.client.revoke_role(request).await;
    assert_eq!(refusal(refused).1, ["email", "role"]);
    service.stop().await;
}

/// What a refusal says, but for the answer's own headers.
fn said<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String, Vec<u8>) {
    let status = answer.expect_err("refused");
    let details = status.details().to_vec();
    (status.code(), status.message().to_owned(), details)
}

async fn disable(service: &mut Service, by: &str, email: &str) -> Result<(), Status> {
    let email = email.to_owned();
    let request = as_holder(by, DisableAccountRequest { email });
    service.client.disable_account(request).await?;
    Ok(())
}

#[sqlx::test(migrations = false)]
async fn a_disabled_account_gets_no_token_and_looks_as_if_the_password_were_wrong(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let email = "ann@example.org".to_owned();
    service.register(&email).await.expect("registers");
    letters.next().await;
    let ann = service.login(&email, PASSWORD).await.expect("signs in");
    let key = CreateApiKeyRequest {
        name: "box office".to_owned(),
        scopes: vec!["sales:read".to_owned()],
        organisation_id: vec![],
    };
    let request = as_holder(&ann.access_token, key.clone());
    let made = service.client.create_api_key(request).await.expect("makes");
    let secret = made.into_inner().secret;
    letters.next().await;
    let forgot = RequestPasswordResetRequest {
        email: email.clone(),
    };
    let asked = service.client.request_password_reset(forgot.clone()).await;
    asked.expect("asks");
    let token = token_in(&letters.next().await);

    let stranger = disable(&mut service, &ann.access_token, &email).await;
    assert_eq!(refusal(stranger).0, ErrorCode::Forbidden);
    let operator = service.operator("").await.expect("exchanges");
    for _ in 0..2 {
        disable(&mut service, &operator, &email)
            .await
            .expect("disables");
    }

    let wrong = said(service.login("nobody@example.org", PASSWORD).await);
    assert_eq!(said(service.login(&email, PASSWORD).await), wrong);
    assert_eq!(said(service.login(&email, "a wrong one").await), wrong);
    let refresh_token = ann.refresh_token;
    let refused = service
        .client
        .refresh(RefreshRequest { refresh_token })
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    let refused = service
        .client
        .exchange_api_key(ExchangeApiKeyRequest { secret })
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    let refused = service.operator(&email).await;
    assert_eq!(refusal(refused).0, ErrorCode::InvalidState);
    // What its last access token is still good for isn't the account itself.
    let me = as_holder(&ann.access_token, GetMeRequest {});
    let refused = service.client.get_me(me).await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    let request = as_holder(&ann.access_token, key);
    let refused = service.client.create_api_key(request).await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    let reset = ResetPasswordRequest {
        token,
        password: "another one".to_owned(),
    };
    let refused = service.client.reset_password(reset).await;
    assert_eq!(refusal(refused).1, ["token"]);
    let asked = service.client.request_password_reset(forgot).await;
    asked.expect("is the same as ever");
    let to_nobody = "SELECT count(*) FROM identity.mail WHERE to_nobody";
    let ended = async {
        while count(&pool, to_nobody).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(crate::LIMIT, ended).await;
    ended.expect("no letter goes to it");

    for _ in 0..2 {
        let email = email.clone();
        let request = as_holder(&operator, EnableAccountRequest { email });
        service
            .client
            .enable_account(request)
            .await
            .expect("enables");
    }
    service.login(&email, PASSWORD).await.expect("signs in");
    let audited: Vec<String> = sqlx::query_scalar(
        "SELECT action FROM identity.audit WHERE action LIKE 'account%' ORDER BY audit_id",
    )
    .fetch_all(&pool)
    .await
    .expect("reads");
    assert_eq!(audited, ["account_disabled", "account_enabled"]);
    service.stop().await;
}

/// What an instance of the release before let in, or who was quicker than the end of it.
#[sqlx::test(migrations = false)]
async fn an_account_that_is_enabled_is_open_and_begins_anew(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let email = "ann@example.org";
    service.register(email).await.expect("registers");
    let ann = service.login(email, PASSWORD).await.expect("signs in");
    let operator = service.operator("").await.expect("exchanges");
    disable(&mut service, &operator, email)
        .await
        .expect("disables");
    sqlx::raw_sql(
        "UPDATE identity.refresh_families SET revoked_at = NULL;
         UPDATE identity.users SET closed_until = now() + interval '1 day';
         INSERT INTO identity.api_keys (key_id, user_id, name, key_hash, scopes)
         SELECT gen_random_uuid(), user_id, 'late', sha256('hfk_late'), '{sales:read}' FROM identity.users;
         INSERT INTO identity.mailed_tokens (token_hash, user_id, purpose, expires_at)
         SELECT sha256('late'), user_id, 'reset_password', now() + interval '1 day' FROM identity.users",
    )
    .execute(&pool)
    .await
    .expect("are let in");
    let enable = EnableAccountRequest {
        email: email.to_owned(),
    };
    let enabled = service
        .client
        .enable_account(as_holder(&operator, enable))
        .await;
    enabled.expect("enables");
    let refresh_token = ann.refresh_token;
    let refused = service
        .client
        .refresh(RefreshRequest { refresh_token })
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    let secret = "hfk_late".to_owned();
    let refused = service
        .client
        .exchange_api_key(ExchangeApiKeyRequest { secret })
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    let reset = ResetPasswordRequest {
        token: "late".to_owned(),
        password: "another one".to_owned(),
    };
    let refused = service.client.reset_password(reset).await;
    assert_eq!(refusal(refused).1, ["token"]);
    service.login(email, PASSWORD).await.expect("is open");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn who_is_no_administrator_any_more_changes_no_account(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let operator = service.operator("").await.expect("exchanges");
    for (email, roles) in [
        ("ann@example.org", &["admin", "customer"][..]),
        ("bob@example.org", &["customer"]),
    ] {
        let request = as_holder(&operator, ensure(email, PASSWORD, roles));
        service.client.ensure_account(request).await.expect("makes");
    }
    let ann = service.login("ann@example.org", PASSWORD).await;
    let ann = ann.expect("signs in").access_token;
    disable(&mut service, &ann, "bob@example.org")
        .await
        .expect("may still");
    for (undo, code) in [
        (
            "DELETE FROM identity.user_roles WHERE role = 'admin'",
            ErrorCode::Forbidden,
        ),
        (
            "INSERT INTO identity.user_roles (user_id, role)
             SELECT user_id, 'admin' FROM identity.users WHERE email = 'ann@example.org';
             UPDATE identity.users SET disabled_at = now()",
            ErrorCode::Unauthorized,
        ),
    ] {
        sqlx::raw_sql(undo).execute(&pool).await.expect("is done");
        let email = "bob@example.org".to_owned();
        let granted = as_holder(&ann, grant(&email, "admin"));
        let refused = service.client.grant_role(granted).await;
        assert_eq!(refusal(refused).0, code);
        let role = "customer".to_owned();
        let revoked = RevokeRoleRequest { email, role };
        let refused = service.client.revoke_role(as_holder(&ann, revoked)).await;
        assert_eq!(refusal(refused).0, code);
        let refused = disable(&mut service, &ann, "bob@example.org").await;
        assert_eq!(refusal(refused).0, code);
        let email = "bob@example.org".to_owned();
        let enabled = as_holder(&ann, EnableAccountRequest { email });
        let refused = service.client.enable_account(enabled).await;
        assert_eq!(refusal(refused).0, code);
        let made = as_holder(&ann, ensure("eve@example.org", PASSWORD, &["admin"]));
        let refused = service.client.ensure_account(made).await;
        assert_eq!(refusal(refused).0, code);
    }
    service.stop().await;
}

/// Who uses a mailed token has it before the account, and so has who disables that.
#[sqlx::test(migrations = false)]
async fn disabling_waits_for_a_mailed_token_and_keeps_its_account_from_nobody(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let email = "ann@example.org";
    service.register(email).await.expect("registers");
    let operator = service.operator("").await.expect("exchanges");
    sqlx::raw_sql(
        "INSERT INTO identity.mailed_tokens (token_hash, user_id, purpose, expires_at)
         SELECT sha256('token'), user_id, 'reset_password', now() + interval '1 day' FROM identity.users",
    )
    .execute(&pool)
    .await
    .expect("is mailed");
    let mut using = pool.begin().await.expect("begins");
    let take = "DELETE FROM identity.mailed_tokens WHERE token_hash = sha256('token')";
    let taken = sqlx::raw_sql(take).execute(&mut *using).await;
    taken.expect("is taken");
    let (disabled, ()) = tokio::join!(disable(&mut service, &operator, email), async {
        somebody_waits(&pool).await;
        let lock = "SELECT FROM identity.users FOR UPDATE NOWAIT";
        let locked = sqlx::raw_sql(lock).execute(&mut *using).await;
        locked.expect("nobody has the account");
        using.commit().await.expect("ends");
    });
    disabled.expect("disables");
    service.stop().await;
}
