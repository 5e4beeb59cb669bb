//! An administrator disables an account, or enables it again.
//!
//! Always holds: with an account go, in one transaction, whatever gives tokens for it (sign-ins, keys) or lets
//! somebody act later in its name (mailed tokens, invitations); who signs in to it is answered as with a wrong
//! password (`login`). They go again when it is enabled. Access tokens that there are count until they end, within 15 minutes, but not for what
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
        organisations::{self, Organisation},
        sign_ins,
        users::{self, Standing},
    },
};

/// The account's id, and its organisations that nobody is left to own who may act. One that is disabled is no
/// error and no audit row.
pub(crate) async fn disable_account(
    app: &App,
    caller: &Claims,
    email: &str,
) -> Result<(UserId, Vec<Organisation>), CallError> {
    let mut tx = app.pool.begin().await?;
    let user_id = of(&mut tx, caller, email).await?;
    // Nobody leaves one to this account meanwhile.
    organisations::lock_all_of(&mut tx, user_id).await?;
    forget_mailed(&mut tx, user_id).await?;
    if users::disable(&mut tx, user_id).await? {
        end_tokens(&mut tx, user_id).await?;
        audit::insert(&mut tx, caller.user_id, Action::AccountDisabled, user_id).await?;
    }
    let left = organisations::left_by(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok((user_id, left))
}

/// The account's id. One that isn't disabled is no error and no audit row. What was given out meanwhile all the
/// same (by an instance of the release before, or at the moment of disabling) ends.
pub(crate) async fn enable_account(
    app: &App,
    caller: &Claims,
    email: &str,
) -> Result<UserId, CallError> {
    let mut tx = app.pool.begin().await?;
    let user_id = of(&mut tx, caller, email).await?;
    if users::standing(&mut tx, user_id).await? != Standing::Disabled {
        return Ok(user_id);
    }
    forget_mailed(&mut tx, user_id).await?;
    if users::enable(&mut tx, user_id).await? {
        end_tokens(&mut tx, user_id).await?;
        audit::insert(&mut tx, caller.user_id, Action::AccountEnabled, user_id).await?;
    }
    tx.commit().await?;
    Ok(user_id)
}

/// Before the account is locked, as by who uses one.
async fn forget_mailed(conn: &mut PgConnection, user_id: UserId) -> Result<(), CallError> {
    for purpose in [Purpose::VerifyEmail, Purpose::ResetPassword] {
        mailed_tokens::forget(conn, user_id, purpose).await?;
    }
    Ok(())
}

async fn end_tokens(conn: &mut PgConnection, user_id: UserId) -> Result<(), CallError> {
    sign_ins::revoke_all(conn, user_id, None).await?;
    api_keys::delete_all(conn, user_id).await?;
    organisations::withdraw_invitations_by(conn, user_id).await?;
    Ok(())
}

async fn of(conn: &mut PgConnection, caller: &Claims, email: &str) -> Result<UserId, CallError> {
    check_admin(conn, caller).await?;
    let mut checks = Checks::default();
    let Some(email) = checks.take("email", Email::parse(email)) else {
        return checks.refuse();
    };
    let user_id = users::id_by_email(conn, &email).await?;
    user_id.ok_or(CallError::UserNotFound)
}
