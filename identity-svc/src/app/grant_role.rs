//! An administrator gives an account a role, or takes it. Either shows in tokens made from then on.

use holdfast_mesh::auth::Claims;
use holdfast_types::UserId;

use super::{App, check_admin};
use crate::{
    account::{Email, Role},
    error::{CallError, Checks},
    store::{
        audit::{self, Action},
        users,
    },
};

/// The account's id and all its roles. A role it has is no error and no audit row. Of an account whose address
/// nobody has verified it isn't known whose it is: it is given none.
pub(crate) async fn grant_role(
    app: &App,
    caller: &Claims,
    email: &str,
    role: &str,
) -> Result<(UserId, Vec<String>), CallError> {
    let mut tx = app.pool.begin().await?;
    check_admin(&mut tx, caller).await?;
    let (email, role) = parse(email, role)?;
    let user_id = users::id_by_email(&mut tx, &email)
        .await?
        .ok_or(CallError::UserNotFound)?;
    if !users::is_verified(&mut tx, user_id).await? {
        return Err(CallError::NotVerified);
    }
    if users::grant(&mut tx, user_id, role).await? {
        audit::insert(&mut tx, caller.user_id, Action::RoleGranted(role), user_id).await?;
    }
    let roles = users::roles(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok((user_id, roles))
}

/// The account's id and the roles that are left. A role it hasn't is no error and no audit row.
pub(crate) async fn revoke_role(
    app: &App,
    caller: &Claims,
    email: &str,
    role: &str,
) -> Result<(UserId, Vec<String>), CallError> {
    let mut tx = app.pool.begin().await?;
    check_admin(&mut tx, caller).await?;
    let (email, role) = parse(email, role)?;
    let user_id = users::id_by_email(&mut tx, &email)
        .await?
        .ok_or(CallError::UserNotFound)?;
    if users::revoke(&mut tx, user_id, role).await? {
        audit::insert(&mut tx, caller.user_id, Action::RoleRevoked(role), user_id).await?;
    }
    let roles = users::roles(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok((user_id, roles))
}

fn parse(email: &str, role: &str) -> Result<(Email, Role), CallError> {
    let mut checks = Checks::default();
    let email = checks.take("email", Email::parse(email));
    let role = checks.take("role", Role::parse(role));
    match (email, role) {
        (Some(email), Some(role)) => Ok((email, role)),
        _ => checks.refuse(),
    }
}
