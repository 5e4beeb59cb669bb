//! What happened to accounts: sign-ins, and who changed what they may do.

use std::net::IpAddr;

use holdfast_types::UserId;
use sqlx::PgConnection;

use crate::account::Role;

/// What was done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    AccountMade,
    RoleGranted(Role),
    OperatorTokenExchanged,
    Registered,
    SignedIn,
    SignedOut,
    SignedOutEverywhere,
    RefreshReused,
    EmailVerified,
    PasswordChanged,
    PasswordReset,
    SigningKeyMade,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AccountMade => "account_made",
            Self::RoleGranted(_) => "role_granted",
            Self::OperatorTokenExchanged => "operator_token_exchanged",
            Self::Registered => "registered",
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::SignedOutEverywhere => "signed_out_everywhere",
            Self::RefreshReused => "refresh_reused",
            Self::EmailVerified => "email_verified",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::SigningKeyMade => "signing_key_made",
        }
    }
}

/// Notes that `actor` (nil: an operator) did it to `subject`, in the caller's transaction.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    actor: UserId,
    action: Action,
    subject: UserId,
) -> Result<(), sqlx::Error> {
    let role = match action {
        Action::RoleGranted(role) => Some(role.as_str()),
        _ => None,
    };
    sqlx::query!(
        "INSERT INTO identity.audit (actor_id, action, subject_id, role) VALUES ($1, $2, $3, $4)",
        actor.as_uuid(),
        action.as_str(),
        subject.as_uuid(),
        role,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes what somebody did to their own account, and where from.
pub(crate) async fn insert_own(
    conn: &mut PgConnection,
    user_id: UserId,
    action: Action,
    client: Option<IpAddr>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO identity.audit (actor_id, action, subject_id, client_address) VALUES ($1, $2, $1, $3)",
        user_id.as_uuid(),
        action.as_str(),
        client.map(|address| address.to_string()),
    )
    .execute(conn)
    .await?;
    Ok(())
}
