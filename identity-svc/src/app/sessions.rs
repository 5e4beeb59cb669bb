//! The caller's sign-ins: which there are, and ending them.

use std::net::IpAddr;

use holdfast_mesh::auth::Claims;
use uuid::Uuid;

use super::App;
use crate::{
    error::CallError,
    store::{
        audit::{self, Action},
        sign_ins::{self, Session},
    },
};

/// Newest first.
pub(crate) async fn list_sessions(app: &App, caller: &Claims) -> Result<Vec<Session>, CallError> {
    Ok(sign_ins::list(&mut *app.pool.acquire().await?, caller.user_id).await?)
}

/// One that isn't theirs, or has ended, is none.
pub(crate) async fn end_session(
    app: &App,
    caller: &Claims,
    session_id: Uuid,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    if sign_ins::revoke_own(&mut tx, caller.user_id, session_id).await? {
        audit::insert_own(&mut tx, caller.user_id, Action::SignedOut, client).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The one at hand, too.
pub(crate) async fn end_all_sessions(
    app: &App,
    caller: &Claims,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    sign_ins::revoke_all(&mut tx, caller.user_id, None).await?;
    audit::insert_own(&mut tx, caller.user_id, Action::SignedOutEverywhere, client).await?;
    tx.commit().await?;
    Ok(())
}
