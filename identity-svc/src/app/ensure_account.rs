//! An administrator makes an account with roles, unless the address has one.

use holdfast_mesh::auth::Claims;
use holdfast_types::UserId;
use uuid::Uuid;

use super::{App, check_admin};
use crate::{
    account::{Email, Password, Role},
    error::{CallError, Checks},
    store::{
        audit::{self, Action},
        users,
    },
};

/// The account's id, and whether it was made now. One that is there keeps password and roles.
pub(crate) async fn ensure_account(
    app: &App,
    caller: &Claims,
    email: &str,
    password: String,
    roles: &[String],
) -> Result<(UserId, bool), CallError> {
    check_admin(&mut *app.pool.acquire().await?, caller).await?;
    let mut checks = Checks::default();
    let email = checks.take("email", Email::parse(email));
    let password = checks.take("password", Password::parse(password));
    let roles: Vec<Option<Role>> = roles
        .iter()
        .enumerate()
        .map(|(at, role)| checks.take(format!("roles[{at}]"), Role::parse(role)))
        .collect();
    let roles: Option<Vec<Role>> = roles.into_iter().collect();
    let (Some(email), Some(password), Some(roles)) = (email, password, roles) else {
        return checks.refuse();
    };

    let there = users::id_by_email(&mut *app.pool.acquire().await?, &email).await?;
    if let Some(user_id) = there {
        return Ok((user_id, false));
    }
    let password_hash = app.hasher.hash(password).await?;
    let user_id = UserId::from_uuid(Uuid::now_v7());
    let mut tx = app.pool.begin().await?;
    if !users::insert(&mut tx, user_id, &email, &password_hash).await? {
        // Somebody else made it meanwhile.
        let user_id = users::id_by_email(&mut tx, &email)
            .await?
            .ok_or(CallError::UserNotFound)?;
        return Ok((user_id, false));
    }
    // Who made it vouches for the address.
    users::verify_email(&mut tx, user_id).await?;
    audit::insert(&mut tx, caller.user_id, Action::AccountMade, user_id).await?;
    for role in roles {
        if users::grant(&mut tx, user_id, role).await? {
            audit::insert(&mut tx, caller.user_id, Action::RoleGranted(role), user_id).await?;
        }
    }
    tx.commit().await?;
    Ok((user_id, true))
}
