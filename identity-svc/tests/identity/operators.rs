//! The operator token, accounts made for others, roles.

use holdfast_proto::identity::v1::{
    EnsureAccountRequest, ExchangeOperatorTokenRequest, GetMeRequest, GrantRoleRequest,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::{OPERATOR_TOKEN, PASSWORD, as_holder, config, count, has_verified, refusal, start};

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
