//! An administrator disables an account, or enables it again.
//!
//! Always holds: with an account go, in one transaction, whatever gives tokens for it (sign-ins, keys) or lets
//! somebody act later in its name (mailed tokens, invitations); who signs in to it is answered as with a wrong
//! password (`login`). Access tokens that there are count until they end, within 15 minutes, but not for what
//! changes the account itself.

use holdfast_mesh::auth::Claims;
use holdfast_types::UserId;
use sqlx::PgConnection;

use super::{App, check_admin};
use crate::{
    account::Email,
    error::{CallError, Checks},
    store::{
        api_keys,
        audit::{self, Action},
        mailed_tokens::{self, Purpose},
        organisations, sign_ins, users,
    },
};

/// The account's id. One that is disabled is no error and no audit row.
pub(crate) async fn disable_account(
    app: &App,
    caller: &Claims,
    email: &str,
) -> Result<UserId, CallError> {
    let mut tx = app.pool.begin().await?;
    let user_id = of(&mut tx, caller, email).await?;
    if users::disable(&mut tx, user_id).await? {
        sign_ins::revoke_all(&mut tx, user_id, None).await?;
        api_keys::delete_all(&mut tx, user_id).await?;
        for purpose in [Purpose::VerifyEmail, Purpose::ResetPassword] {
            mailed_tokens::forget(&mut tx, user_id, purpose).await?;
        }
        organisations::withdraw_invitations_by(&mut tx, user_id).await?;
        audit::insert(&mut tx, caller.user_id, Action::AccountDisabled, user_id).await?;
    }
    tx.commit().await?;
    Ok(user_id)
}

/// The account's id. One that isn't disabled is no error and no audit row.
pub(crate) async fn enable_account(
    app: &App,
    caller: &Claims,
    email: &str,
) -> Result<UserId, CallError> {
    let mut tx = app.pool.begin().await?;
    let user_id = of(&mut tx, caller, email).await?;
    if users::enable(&mut tx, user_id).await? {
        audit::insert(&mut tx, caller.user_id, Action::AccountEnabled, user_id).await?;
    }
    tx.commit().await?;
    Ok(user_id)
}

async fn of(conn: &mut PgConnection, caller: &Claims, email: &str) -> Result<UserId, CallError> {
    check_admin(caller)?;
    let mut checks = Checks::default();
    let Some(email) = checks.take("email", Email::parse(email)) else {
        return checks.refuse();
    };
    let user_id = users::id_by_email(conn, &email).await?;
    user_id.ok_or(CallError::UserNotFound)
}
