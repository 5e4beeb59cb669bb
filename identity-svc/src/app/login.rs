//! E-mail and password for tokens.
//!
//! Always holds: who tries passwords waits by account and client; others of the account don't, unless
//! strangers' clients try a hundred, and then those from which somebody signed in lately, stays signed in, or
//! set a new password by mail, still don't (`store/failures.rs`). Addresses without an account are counted alike,
//! and so are those whose account is disabled.

use std::net::IpAddr;

use super::{App, Tokens, attempt, check_open, note_wrong, sign_in};
use crate::{
    account::{Email, Password},
    error::CallError,
    metrics,
    store::{failures, users},
};

/// Stands in for a password that no account can have, so that it costs the same to refuse.
const UNACCEPTABLE: &str = "not a password of anybody";

/// Unknown address, wrong password and a disabled account look the same and take as long.
pub(crate) async fn login(
    app: &App,
    email: &str,
    password: String,
    client: Option<IpAddr>,
) -> Result<Tokens, CallError> {
    let result = try_login(app, email, password, client).await;
    ::metrics::counter!(metrics::SIGN_INS, "outcome" => outcome(&result)).increment(1);
    result
}

fn outcome<T>(result: &Result<T, CallError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(CallError::Overloaded) => "overloaded",
        Err(CallError::Unauthorized(_)) => "refused",
        Err(CallError::TooManyWrong(_)) => "waits",
        Err(_) => "failed",
    }
}

async fn try_login(
    app: &App,
    email: &str,
    password: String,
    client: Option<IpAddr>,
) -> Result<Tokens, CallError> {
    let refused = CallError::Unauthorized("e-mail address or password is wrong");
    let parsed = Email::parse(email);
    let attempt = attempt(parsed.as_ref().map_or(email, Email::as_str), client);
    let mut conn = app.pool.acquire().await?;
    let known = match &parsed {
        Ok(email) => users::credentials(&mut conn, email).await?,
        Err(_) => None,
    };
    let (user_id, stored) = known
        .map(|found| (found.user_id, found.password_hash))
        .unzip();
    if let Some(wait) = failures::wait(&mut conn, &attempt, user_id).await? {
        return Err(CallError::TooManyWrong(wait));
    }
    // The connection goes back before the hash: waiting for a core must not hold one.
    drop(conn);
    let (password, stored) = match Password::parse(password) {
        Ok(password) => (password, stored),
        Err(_) => (
            Password::parse(UNACCEPTABLE.to_owned()).expect("the constant is long enough"),
            None,
        ),
    };
    let right = app
        .hasher
        .is_right(password.clone(), stored.clone())
        .await?;
    let renewed = match &stored {
        // Only now is the password at hand. Where there is no core to spare, the next sign-in does it.
        Some(stored) if right && app.hasher.is_outdated(stored) => {
            app.hasher.hash(password).await.ok()
        }
        _ => None,
    };
    let Some(user_id) = user_id.filter(|_| right) else {
        note_wrong(app, &attempt, user_id, client).await?;
        return Err(refused);
    };
    let mut tx = app.pool.begin().await?;
    // Others that were tried meanwhile count for this one, too: guesses at once are no way around.
    if let Some(wait) = failures::wait(&mut tx, &attempt, Some(user_id)).await? {
        return Err(CallError::TooManyWrong(wait));
    }
    // A password that was set meanwhile ended every sign-in: none begins by the one before it.
    let is_still = match &stored {
        Some(stored) => users::lock_password(&mut tx, user_id, stored).await?,
        None => false,
    };
    if !is_still {
        return Err(CallError::Overloaded);
    }
    check_open(&mut tx, user_id).await?;
    failures::know(&mut tx, &attempt, user_id).await?;
    if let (Some(stored), Some(renewed)) = (stored, renewed) {
        users::replace_password(&mut tx, user_id, &stored, &renewed).await?;
    }
    let tokens = sign_in(app, &mut tx, user_id, client).await?;
    tx.commit().await?;
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_counted_apart_from_wrong_passwords() {
        let counted = |error| outcome::<()>(&Err(error));
        assert_eq!(counted(CallError::Unauthorized("no")), "refused");
        assert_eq!(counted(CallError::Overloaded), "overloaded");
        let wait = std::time::Duration::from_secs(30);
        assert_eq!(counted(CallError::TooManyWrong(wait)), "waits");
        assert_eq!(
            counted(CallError::Database(sqlx::Error::PoolTimedOut)),
            "failed"
        );
        assert_eq!(outcome(&Ok(())), "ok");
    }
}
