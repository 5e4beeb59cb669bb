//! Ending a sign-in. An unknown token ends nothing and is no error: the caller has what it wants.

use std::net::IpAddr;

use super::App;
use crate::{
    error::CallError,
    store::{
        audit::{self, Action},
        sign_ins,
    },
    token,
};

/// Ends the token's whole family.
pub(crate) async fn logout(
    app: &App,
    refresh_token: &str,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    if let Some(found) = sign_ins::find_locked(&mut tx, &token::hash_of(refresh_token)).await?
        && found.live
    {
        sign_ins::revoke(&mut tx, found.family_id).await?;
        audit::insert_own(&mut tx, found.user_id, Action::SignedOut, client).await?;
    }
    tx.commit().await?;
    Ok(())
}
