//! Somebody makes an account for themselves: a customer's, whatever they ask.

use std::net::IpAddr;

use holdfast_types::UserId;
use uuid::Uuid;

use super::App;
use crate::{
    account::{Email, Password, Role},
    error::{CallError, Checks},
    mail::Kind,
    store::{
        audit::{self, Action},
        mail, users,
    },
};

/// The new account's id and its address as it is compared.
pub(crate) async fn register(
    app: &App,
    email: &str,
    password: String,
    client: Option<IpAddr>,
) -> Result<(UserId, Email), CallError> {
    let mut checks = Checks::default();
    let email = checks.take("email", Email::parse(email));
    let password = checks.take("password", Password::parse(password));
    let (Some(email), Some(password)) = (email, password) else {
        return checks.refuse();
    };

    // Asked before the hash, which is dear, and decided by the insert.
    if users::id_by_email(&mut *app.pool.acquire().await?, &email)
        .await?
        .is_some()
    {
        return Err(CallError::EmailTaken);
    }
    let password_hash = app.hasher.hash(password).await?;
    let user_id = UserId::from_uuid(Uuid::now_v7());
    let mut tx = app.pool.begin().await?;
    if !users::insert(&mut tx, user_id, &email, &password_hash).await? {
        return Err(CallError::EmailTaken);
    }
    users::grant(&mut tx, user_id, Role::Customer).await?;
    audit::insert_own(&mut tx, user_id, Action::Registered, client).await?;
    mail::insert(&mut tx, &email, Kind::VerifyEmail).await?;
    tx.commit().await?;
    Ok((user_id, email))
}
