//! A refresh token for new tokens. It works once: whoever uses it again has stolen it or was
//! stolen from, so everything renewed from that sign-in ends, and its owner is told. Tabs of a browser that
//! renew at once are no thieves: see `Found::in_grace`.

use std::net::IpAddr;

use super::{App, Tokens, check_open, tokens};
use crate::{
    account::Email,
    client,
    error::CallError,
    mail::Kind,
    metrics,
    store::{
        audit::{self, Action},
        failures, mail, sign_ins, users,
    },
    token,
};

/// New tokens, with the roles of now.
pub(crate) async fn refresh(
    app: &App,
    refresh_token: &str,
    address: Option<IpAddr>,
) -> Result<Tokens, CallError> {
    let refused = CallError::Unauthorized("the refresh token isn't valid or has expired");
    let hash = token::hash_of(refresh_token);
    let mut tx = app.pool.begin().await?;
    let Some(found) = sign_ins::find_locked(&mut tx, &hash).await? else {
        return Err(refused);
    };
    if !found.live {
        return Err(refused);
    }
    if found.used && !found.in_grace {
        sign_ins::revoke(&mut tx, found.family_id).await?;
        audit::insert_own(&mut tx, found.user_id, Action::RefreshReused, address).await?;
        let account = users::account(&mut tx, found.user_id).await?;
        if let Some(Ok(email)) = account.map(|account| Email::parse(&account.email)) {
            mail::insert(&mut tx, &email, Kind::RefreshReused).await?;
        }
        tx.commit().await?;
        ::metrics::counter!(metrics::REFRESH_REUSES).increment(1);
        tracing::warn!(user.id = %found.user_id, "a refresh token was used twice; its sign-in is ended");
        return Err(refused);
    }
    // The token stays unused, so that it is good again if the account stays.
    check_open(&mut tx, found.user_id).await?;
    let (next, next_hash) = token::new_secret_token();
    sign_ins::mark_used(&mut tx, found.family_id, &hash, address).await?;
    sign_ins::add_token(&mut tx, found.family_id, &next_hash, Some(&hash)).await?;
    let tokens = tokens(app, &mut tx, found.user_id, found.family_id, next).await?;
    tx.commit().await?;
    // Apart from that, whose locks it would wait for in another order than others have. Whoever moved with a sign-in
    // is no stranger where they are now.
    let met = failures::meet(&app.pool, found.user_id, &client::counted(address)).await;
    if let Err(error) = met {
        tracing::debug!(%error, user.id = %found.user_id, "where an account stays signed in isn't known");
    }
    Ok(tokens)
}
