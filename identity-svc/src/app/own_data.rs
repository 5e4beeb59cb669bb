//! What is kept about an account, and its end.
//!
//! Always holds: an account that is closed gets no new token, and is either deleted or open again within
//! [`CLOSED_FOR`], whatever becomes of who closed it; one that was reopened isn't deleted by who closed it before.
//! Leaves to others: whether it has bookings under way, which is looked at while it is closed, and that none is begun
//! (booking-svc).

use std::{net::IpAddr, time::Duration};

use holdfast_mesh::auth::Claims;
use holdfast_types::UserId;
use sqlx::PgConnection;

use super::{App, check_admin, gone, set_password::check_password};
use crate::{
    account::Email,
    error::{CallError, Checks},
    store::{
        audit::{self, Action, Entry},
        mail,
        mailed_tokens::{self, Purpose},
        organisations,
        users::{self, Closing, Standing},
    },
};

/// Entries of a page, unless it says how many, and at most.
const PAGE: u32 = 20;
const PAGE_MAX: u32 = 100;

/// Accounts that are asked about at once.
const STANDINGS_MAX: usize = 100;

/// How long an account is closed: longer than a request takes that deletes one. booking-svc makes no bookings for as
/// long, and asks then.
const CLOSED_FOR: Duration = Duration::from_secs(120);

/// A page, and where the next one begins; empty on the last.
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) next_cursor: String,
}

/// What happened to the caller's account, newest first.
pub(crate) async fn list_activity(
    app: &App,
    caller: &Claims,
    limit: u32,
    cursor: &str,
) -> Result<Page, CallError> {
    page(app, caller.user_id, limit, cursor).await
}

/// The same of any account, for an administrator.
pub(crate) async fn audit_account(
    app: &App,
    caller: &Claims,
    email: &str,
    limit: u32,
    cursor: &str,
) -> Result<(UserId, Page), CallError> {
    check_admin(&mut *app.pool.acquire().await?, caller).await?;
    let mut checks = Checks::default();
    let Some(email) = checks.take("email", Email::parse(email)) else {
        return checks.refuse();
    };
    let user_id = users::id_by_email(&mut *app.pool.acquire().await?, &email).await?;
    let user_id = user_id.ok_or(CallError::UserNotFound)?;
    Ok((user_id, page(app, user_id, limit, cursor).await?))
}

async fn page(app: &App, user_id: UserId, limit: u32, cursor: &str) -> Result<Page, CallError> {
    let mut checks = Checks::default();
    let limit = match limit {
        0 => Ok(PAGE),
        limit if limit <= PAGE_MAX => Ok(limit),
        _ => Err("must be at most 100"),
    };
    let limit = checks.take("limit", limit);
    let before = match cursor {
        "" => Ok(i64::MAX),
        cursor => cursor.parse().map_err(|_| "isn't one of this list"),
    };
    let before = checks.take("cursor", before);
    let (Some(limit), Some(before)) = (limit, before) else {
        return checks.refuse();
    };
    let mut conn = app.pool.acquire().await?;
    let entries = audit::list(&mut conn, user_id, before, limit).await?;
    let full = entries.len() == limit as usize;
    let last = entries.last().filter(|_| full);
    let next_cursor = last.map(|entry| entry.audit_id.to_string());
    Ok(Page {
        next_cursor: next_cursor.unwrap_or_default(),
        entries,
    })
}

/// The first step of making the account nobody's, for who knows its password.
pub(crate) async fn close_account(
    app: &App,
    caller: &Claims,
    password: String,
    closing: Closing,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    check_password(app, caller.user_id, password, client).await?;
    let mut tx = app.pool.begin().await?;
    check_no_last_owner(&mut tx, caller.user_id).await?;
    if !users::lock(&mut tx, caller.user_id).await? {
        return Err(gone());
    }
    if !users::close(&mut tx, caller.user_id, closing, CLOSED_FOR).await? {
        return Err(CallError::Closing);
    }
    tx.commit().await?;
    Ok(())
}

/// Takes that back.
pub(crate) async fn reopen_account(
    app: &App,
    caller: &Claims,
    closing: Closing,
) -> Result<(), CallError> {
    users::reopen(&mut *app.pool.acquire().await?, caller.user_id, closing).await?;
    Ok(())
}

/// Those of these accounts that are deleted, and those that are closed; the others are open.
pub(crate) async fn read_standings(
    app: &App,
    users: &[UserId],
) -> Result<(Vec<UserId>, Vec<UserId>), CallError> {
    if users.len() > STANDINGS_MAX {
        let mut checks = Checks::default();
        checks.take::<()>("user_ids", Err("must be at most 100"));
        return checks.refuse();
    }
    Ok(users::standings(&app.pool, users).await?)
}

/// Makes the account nobody's: a closed one, or one whose password is given.
pub(crate) async fn delete_account(
    app: &App,
    caller: &Claims,
    password: String,
    closing: Closing,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let is_closed = password.is_empty();
    if !is_closed {
        check_password(app, caller.user_id, password, client).await?;
    }
    let mut tx = app.pool.begin().await?;
    check_no_last_owner(&mut tx, caller.user_id).await?;
    // Before the account is locked, as by who uses one.
    for purpose in [Purpose::VerifyEmail, Purpose::ResetPassword] {
        mailed_tokens::forget(&mut tx, caller.user_id, purpose).await?;
    }
    // Who reopens it meanwhile waits, or was before.
    if !users::lock(&mut tx, caller.user_id).await? {
        return Err(gone());
    }
    if is_closed
        && (users::standing(&mut tx, caller.user_id).await? != Standing::Closed
            || !users::is_closing(&mut tx, caller.user_id, closing).await?)
    {
        return Err(CallError::NotClosed);
    }
    if let Some(account) = users::account(&mut tx, caller.user_id).await? {
        mail::forget_recipient(&mut tx, &account.email).await?;
    }
    users::anonymise(&mut tx, caller.user_id, &app.hasher.nobody()).await?;
    audit::forget_clients(&mut tx, caller.user_id).await?;
    audit::insert_own(&mut tx, caller.user_id, Action::AccountDeleted, None).await?;
    tx.commit().await?;
    Ok(())
}

/// Refuses where an organisation would have no owner; it keeps one for the rest of the transaction.
async fn check_no_last_owner(conn: &mut PgConnection, user_id: UserId) -> Result<(), CallError> {
    organisations::lock_all_of(conn, user_id).await?;
    match organisations::left_by(conn, user_id).await?.as_slice() {
        [] => Ok(()),
        _ => Err(CallError::LastOwner),
    }
}
