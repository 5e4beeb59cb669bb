//! An address is its account's: the token that was mailed there came back.

use super::{App, token_refused};
use crate::{
    account::Email,
    error::{CallError, Checks},
    mail::Kind,
    store::{
        audit::{self, Action},
        mail,
        mailed_tokens::{self, Purpose},
        users,
    },
    token,
};

/// Whose address it is.
pub(crate) async fn verify_email(app: &App, token: &str) -> Result<String, CallError> {
    let mut tx = app.pool.begin().await?;
    let hash = token::hash_of(token);
    let Some(user_id) = mailed_tokens::take(&mut tx, Purpose::VerifyEmail, &hash).await? else {
        return Err(token_refused());
    };
    let email = users::verify_email(&mut tx, user_id).await?;
    let email = email.ok_or_else(token_refused)?;
    audit::insert_own(&mut tx, user_id, Action::EmailVerified, None).await?;
    tx.commit().await?;
    Ok(email)
}

/// Asks for a letter to whoever has the address; whether somebody does is seen when it is sent.
pub(crate) async fn ask_for_letter(app: &App, email: &str, kind: Kind) -> Result<(), CallError> {
    let mut checks = Checks::default();
    let Some(email) = checks.take("email", Email::parse(email)) else {
        return checks.refuse();
    };
    mail::insert(&mut *app.pool.acquire().await?, &email, kind).await?;
    Ok(())
}
