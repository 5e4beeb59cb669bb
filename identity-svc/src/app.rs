//! The use cases, one file each. No SQL and no gRPC here.

pub(crate) mod ensure_account;
pub(crate) mod exchange_operator_token;
pub(crate) mod get_me;
pub(crate) mod grant_role;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod refresh;
pub(crate) mod register;

use std::sync::Arc;

use holdfast_mesh::{
    auth::{Claims, Verifier},
    config::Secret,
};
use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    account::Role,
    error::CallError,
    password::Hasher,
    store::{sign_ins, users},
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

/// Refuses a caller that isn't an administrator.
fn check_admin(caller: &Claims) -> Result<(), CallError> {
    if caller.has_role(Role::Admin.as_str()) {
        Ok(())
    } else {
        Err(CallError::RoleNeeded(Role::Admin.as_str()))
    }
}

/// Starts a sign-in of the account.
async fn sign_in(app: &App, conn: &mut PgConnection, user_id: UserId) -> Result<Tokens, CallError> {
    let (refresh_token, hash) = token::new_refresh_token();
    sign_ins::start_family(conn, user_id, &hash, token::REFRESH_TTL).await?;
    tokens(app, conn, user_id, refresh_token).await
}

/// Tokens with the roles the account has now.
async fn tokens(
    app: &App,
    conn: &mut PgConnection,
    user_id: UserId,
    refresh_token: String,
) -> Result<Tokens, CallError> {
    let roles = users::roles(conn, user_id).await?;
    Ok(Tokens {
        access_token: app.issuer.access_token(user_id, roles)?,
        refresh_token,
    })
}
