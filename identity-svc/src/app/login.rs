//! E-mail and password for tokens.

use super::{App, Tokens, sign_in};
use crate::{
    account::{Email, Password},
    error::CallError,
    metrics,
    store::users,
};

/// Stands in for a password that no account can have, so that it costs the same to refuse.
const UNACCEPTABLE: &str = "not a password of anybody";

/// Unknown address and wrong password look the same and take as long.
pub(crate) async fn login(app: &App, email: &str, password: String) -> Result<Tokens, CallError> {
    let result = try_login(app, email, password).await;
    ::metrics::counter!(metrics::SIGN_INS, "outcome" => outcome(&result)).increment(1);
    result
}

fn outcome<T>(result: &Result<T, CallError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(CallError::Overloaded) => "overloaded",
        Err(CallError::Unauthorized(_)) => "refused",
        Err(_) => "failed",
    }
}

async fn try_login(app: &App, email: &str, password: String) -> Result<Tokens, CallError> {
    // The connection goes back before the hash: waiting for a core must not hold one.
    let (password, known) = match (Password::parse(password), Email::parse(email)) {
        (Ok(password), Ok(email)) => (
            password,
            users::credentials(&mut *app.pool.acquire().await?, &email).await?,
        ),
        _ => (
            Password::parse(UNACCEPTABLE.to_owned()).expect("the constant is long enough"),
            None,
        ),
    };
    let (user_id, stored) = known
        .map(|found| (found.user_id, found.password_hash))
        .unzip();
    let right = app.hasher.is_right(password, stored).await?;
    let Some(user_id) = user_id.filter(|_| right) else {
        return Err(CallError::Unauthorized(
            "e-mail address or password is wrong",
        ));
    };
    let mut tx = app.pool.begin().await?;
    let tokens = sign_in(app, &mut tx, user_id).await?;
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
        assert_eq!(
            counted(CallError::Database(sqlx::Error::PoolTimedOut)),
            "failed"
        );
        assert_eq!(outcome(&Ok(())), "ok");
    }
}
