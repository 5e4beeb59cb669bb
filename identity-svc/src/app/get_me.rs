//! The caller's own account.

use holdfast_mesh::auth::Claims;

use super::{App, OPERATOR, gone};
use crate::{
    error::CallError,
    store::users::{self, Account},
};

/// An operator's own token has no account behind it.
pub(crate) async fn get_me(app: &App, caller: &Claims) -> Result<Account, CallError> {
    if caller.user_id == OPERATOR {
        return Err(CallError::Unauthorized(
            "an operator's token has no account",
        ));
    }
    let account = users::account(&mut *app.pool.acquire().await?, caller.user_id).await?;
    account.ok_or_else(gone)
}
