//! A refresh token for new tokens. It works once: whoever uses it again has stolen it or was
//! stolen from, so everything renewed from that sign-in ends.

use super::{App, Tokens, tokens};
use crate::{error::CallError, metrics, store::sign_ins, token};

/// New tokens, with the roles of now.
pub(crate) async fn refresh(app: &App, refresh_token: &str) -> Result<Tokens, CallError> {
    let refused = CallError::Unauthorized("the refresh token isn't valid or has expired");
    let hash = token::hash_of(refresh_token);
    let mut tx = app.pool.begin().await?;
    let Some(found) = sign_ins::find_locked(&mut tx, &hash).await? else {
        return Err(refused);
    };
    if !found.live {
        return Err(refused);
    }
    if found.used {
        sign_ins::revoke(&mut tx, found.family_id).await?;
        tx.commit().await?;
        ::metrics::counter!(metrics::REFRESH_REUSES).increment(1);
        tracing::warn!(user.id = %found.user_id, "a refresh token was used twice; its sign-in is ended");
        return Err(refused);
    }
    let (next, next_hash) = token::new_refresh_token();
    sign_ins::mark_used(&mut tx, &hash).await?;
    sign_ins::add_token(&mut tx, found.family_id, &next_hash).await?;
    let tokens = tokens(app, &mut tx, found.user_id, next).await?;
    tx.commit().await?;
    Ok(tokens)
}
