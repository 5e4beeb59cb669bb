//! A new password: by a mailed token, or by who knows the old one. Either ends sign-ins and tells by mail.

use std::net::IpAddr;

use holdfast_mesh::auth::Claims;
use holdfast_types::UserId;
use sqlx::PgConnection;

use super::{App, attempt, gone, note_wrong, token_refused};
use crate::{
    account::{Email, Password},
    client::counted,
    error::{CallError, Checks},
    mail::Kind,
    store::{
        api_keys,
        audit::{self, Action},
        failures, mail,
        mailed_tokens::{self, Purpose},
        sign_ins, users,
    },
    token,
};

/// By a mailed token. Whoever has it reads the account's mail, so the address is verified with it, and the
/// client known.
pub(crate) async fn reset_password(
    app: &App,
    token: &str,
    password: String,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let mut checks = Checks::default();
    let Some(password) = checks.take("password", Password::parse(password)) else {
        return checks.refuse();
    };
    let hash = token::hash_of(token);
    // Asked before the hash, which is dear, and decided after it.
    let mut conn = app.pool.acquire().await?;
    if !mailed_tokens::is_live(&mut conn, Purpose::ResetPassword, &hash).await? {
        return Err(token_refused());
    }
    drop(conn);
    let password_hash = app.hasher.hash(password).await?;
    let mut tx = app.pool.begin().await?;
    let user_id = mailed_tokens::take(&mut tx, Purpose::ResetPassword, &hash).await?;
    let user_id = user_id.ok_or_else(token_refused)?;
    // Before the account is locked, as by who uses one.
    mailed_tokens::forget(&mut tx, user_id, Purpose::VerifyEmail).await?;
    let email = users::set_password(&mut tx, user_id, &password_hash).await?;
    let email = email.ok_or_else(token_refused)?;
    users::verify_email(&mut tx, user_id).await?;
    sign_ins::revoke_all(&mut tx, user_id, None).await?;
    // Whoever had the account may have made some.
    api_keys::delete_all(&mut tx, user_id).await?;
    let attempt = attempt(&email, client);
    failures::know_only(&mut tx, user_id, &attempt.client).await?;
    failures::know(&mut tx, &attempt, user_id).await?;
    tell(&mut tx, user_id, &email, Action::PasswordReset, client).await?;
    tx.commit().await?;
    Ok(())
}

/// By who knows the old one; their own sign-in goes on.
pub(crate) async fn change_password(
    app: &App,
    caller: &Claims,
    old: String,
    new: String,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let mut checks = Checks::default();
    let Some(new) = checks.take("new_password", Password::parse(new)) else {
        return checks.refuse();
    };
    let stored = check_password(app, caller.user_id, old, client).await?;
    let password_hash = app.hasher.hash(new).await?;
    let mut tx = app.pool.begin().await?;
    mailed_tokens::forget(&mut tx, caller.user_id, Purpose::ResetPassword).await?;
    let email = users::replace_password(&mut tx, caller.user_id, &stored, &password_hash).await?;
    // Somebody else was quicker: what was checked is no password of this account any more.
    let email = email.ok_or(CallError::WrongPassword)?;
    sign_ins::revoke_all(&mut tx, caller.user_id, caller.grants.sid).await?;
    failures::know_only(&mut tx, caller.user_id, &counted(client)).await?;
    tell(
        &mut tx,
        caller.user_id,
        &email,
        Action::PasswordChanged,
        client,
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The stored hash, if `password` is the signed-in account's; wrong ones count as failed sign-ins do.
pub(crate) async fn check_password(
    app: &App,
    user_id: UserId,
    password: String,
    client: Option<IpAddr>,
) -> Result<String, CallError> {
    let mut conn = app.pool.acquire().await?;
    let (email, stored) = users::own_credentials(&mut conn, user_id)
        .await?
        .ok_or_else(gone)?;
    let attempt = attempt(&email, client);
    if let Some(wait) = failures::wait(&mut conn, &attempt, Some(user_id)).await? {
        return Err(CallError::TooManyWrong(wait));
    }
    drop(conn);
    let right = match Password::parse(password) {
        Ok(password) => app.hasher.is_right(password, Some(stored.clone())).await?,
        Err(_) => false,
    };
    if !right {
        note_wrong(app, &attempt, Some(user_id), client).await?;
        return Err(CallError::WrongPassword);
    }
    let mut conn = app.pool.acquire().await?;
    // Others that were tried meanwhile count for this one, too.
    match failures::wait(&mut conn, &attempt, Some(user_id)).await? {
        Some(wait) => Err(CallError::TooManyWrong(wait)),
        None => Ok(stored),
    }
}

async fn tell(
    conn: &mut PgConnection,
    user_id: UserId,
    email: &str,
    action: Action,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    audit::insert_own(conn, user_id, action, client).await?;
    if let Ok(email) = Email::parse(email) {
        mail::insert(conn, &email, Kind::PasswordChanged).await?;
    }
    Ok(())
}
