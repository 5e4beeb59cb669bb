//! The local operator token for an access token: the operator's own, or an account's.

use holdfast_mesh::auth::{Grants, Membership};
use holdfast_types::UserId;
use subtle::ConstantTimeEq;

use super::{App, OPERATOR, check_open};
use crate::{
    account::{Email, Role},
    error::{CallError, Checks},
    store::{
        audit::{self, Action},
        organisations, users,
    },
    token,
};

/// Whose token, and the token. `email` empty: the operator's own, with role admin.
pub(crate) async fn exchange_operator_token(
    app: &App,
    operator_token: &str,
    email: &str,
) -> Result<(UserId, String), CallError> {
    // Hashes of one length, compared in constant time.
    let right = token::hash_of(app.operator_token.expose()).ct_eq(&token::hash_of(operator_token));
    if app.operator_token.is_empty() || !bool::from(right) {
        return Err(CallError::Unauthorized("the operator token isn't valid"));
    }
    let mut tx = app.pool.begin().await?;
    let (user_id, roles, grants) = if email.is_empty() {
        let roles = vec![Role::Admin.as_str().to_owned()];
        (OPERATOR, roles, Grants::default())
    } else {
        let mut checks = Checks::default();
        let Some(email) = checks.take("email", Email::parse(email)) else {
            return checks.refuse();
        };
        let user_id = users::id_by_email(&mut tx, &email)
            .await?
            .ok_or(CallError::UserNotFound)?;
        check_open(&mut tx, user_id).await?;
        let roles = users::roles(&mut tx, user_id).await?;
        let own = organisations::of_account(&mut tx, user_id).await?;
        let orgs = own.iter().map(|own| Membership {
            id: own.organisation_id,
            role: own.role,
        });
        let grants = Grants {
            orgs: orgs.collect(),
            ..Grants::default()
        };
        (user_id, roles, grants)
    };
    audit::insert(&mut tx, OPERATOR, Action::OperatorTokenExchanged, user_id).await?;
    let access_token = app.issuer.access_token(user_id, roles, grants)?;
    tx.commit().await?;
    Ok((user_id, access_token))
}
