//! The use cases, one file each. No SQL and no gRPC here.

pub(crate) mod api_keys;
pub(crate) mod appoint_owner;
pub(crate) mod disable_account;
pub(crate) mod ensure_account;
pub(crate) mod exchange_operator_token;
pub(crate) mod get_me;
pub(crate) mod grant_role;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod organisations;
pub(crate) mod own_data;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod rotate_keys;
pub(crate) mod sessions;
pub(crate) mod set_password;
pub(crate) mod verify_email;

use std::{net::IpAddr, sync::Arc};

use holdfast_mesh::{
    FieldViolation,
    auth::{Claims, Grants, Membership, Verifier},
    config::Secret,
};
use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    account::Role,
    client,
    error::CallError,
    password::Hasher,
    store::{
        audit::{self, Action},
        failures::{self, Attempt},
        organisations as store_organisations, sign_ins,
        users::{self, Standing},
    },
    token::{self, Issuer},
};

/// What use cases work with.
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) hasher: Hasher,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) verifier: Verifier,
    pub(crate) operator_token: Secret,
}

/// What signing in and renewing give.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// Who acts when an operator does.
const OPERATOR: UserId = UserId::from_uuid(Uuid::nil());

/// Refuses a caller that isn't an administrator: an operator, or an account that is one by its token, and still.
async fn check_admin(conn: &mut PgConnection, caller: &Claims) -> Result<(), CallError> {
    let admin = Role::Admin.as_str();
    if !caller.has_role(admin) {
        return Err(CallError::RoleNeeded(admin));
    }
    if caller.user_id == OPERATOR {
        return Ok(());
    }
    let account = users::account(conn, caller.user_id).await?;
    let account = account.ok_or_else(gone)?;
    match account.roles.iter().any(|role| role == admin) {
        true => Ok(()),
        false => Err(CallError::RoleNeeded(admin)),
    }
}

/// What a mailed token comes to that doesn't work (any more).
fn token_refused() -> CallError {
    CallError::Invalid(vec![FieldViolation {
        field: "token".to_owned(),
        why: "isn't valid, was used, or has expired; ask for another".to_owned(),
    }])
}

/// What a token comes to whose account isn't there, or not to be used.
fn gone() -> CallError {
    CallError::Unauthorized("the account is gone or disabled")
}

/// Refuses what would give an account a token that gets none now.
async fn check_open(conn: &mut PgConnection, user_id: UserId) -> Result<(), CallError> {
    match users::standing(conn, user_id).await? {
        Standing::Open => Ok(()),
        Standing::Closed => Err(CallError::Closed),
        Standing::Disabled => Err(CallError::Disabled),
    }
}

/// What is counted when a password of whoever has `email` is tried from `client`.
fn attempt(email: &str, client: Option<IpAddr>) -> Attempt {
    Attempt {
        account_hash: token::hash_of(email),
        client: client::counted(client),
    }
}

/// Counts a wrong password, and notes it among what happened to the account.
async fn note_wrong(
    app: &App,
    attempt: &Attempt,
    user_id: Option<UserId>,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    // The account first, as who signs in has it.
    audit::insert_wrong_password(&mut tx, user_id, client).await?;
    failures::count(&mut tx, attempt, user_id).await?;
    tx.commit().await?;
    Ok(())
}

/// Starts a sign-in of the account.
async fn sign_in(
    app: &App,
    conn: &mut PgConnection,
    user_id: UserId,
    client: Option<IpAddr>,
) -> Result<Tokens, CallError> {
    let (refresh_token, hash) = token::new_secret_token();
    let family_id =
        sign_ins::start_family(conn, user_id, &hash, token::REFRESH_TTL, client).await?;
    audit::insert_own(conn, user_id, Action::SignedIn, client).await?;
    tokens(app, conn, user_id, family_id, refresh_token).await
}

/// Tokens with the roles and organisations the account has now.
async fn tokens(
    app: &App,
    conn: &mut PgConnection,
    user_id: UserId,
    family_id: Uuid,
    refresh_token: String,
) -> Result<Tokens, CallError> {
    let roles = users::roles(conn, user_id).await?;
    let own = store_organisations::of_account(conn, user_id).await?;
    let orgs = own.iter().map(|own| Membership {
        id: own.organisation_id,
        role: own.role,
    });
    let grants = Grants {
        sid: Some(family_id),
        orgs: orgs.collect(),
        scopes: None,
    };
    Ok(Tokens {
        access_token: app.issuer.access_token(user_id, roles, grants)?,
        refresh_token,
    })
}
