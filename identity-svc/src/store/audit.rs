//! What happened to accounts: sign-ins, and who changed what they may do.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use holdfast_mesh::auth::OrganisationRole;
use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::account::Role;

/// What was done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    AccountMade,
    RoleGranted(Role),
    RoleRevoked(Role),
    AccountDisabled,
    AccountEnabled,
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
    ApiKeyMade,
    ApiKeyRevoked,
    AccountDeleted,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AccountMade => "account_made",
            Self::RoleGranted(_) => "role_granted",
            Self::RoleRevoked(_) => "role_revoked",
            Self::AccountDisabled => "account_disabled",
            Self::AccountEnabled => "account_enabled",
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
            Self::ApiKeyMade => "api_key_made",
            Self::ApiKeyRevoked => "api_key_revoked",
            Self::AccountDeleted => "account_deleted",
        }
    }
}

/// What was done about somebody in an organisation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OfMember {
    /// It was made, and they are its owner.
    Made,
    /// They invited somebody.
    Invited(OrganisationRole),
    /// They withdrew an invitation.
    Withdrew,
    Added(OrganisationRole),
    Changed(OrganisationRole),
    Removed,
    /// Of a key that they had made.
    KeyRevoked,
}

impl OfMember {
    const fn as_str(self) -> (&'static str, Option<OrganisationRole>) {
        match self {
            Self::Made => ("organisation_made", None),
            Self::Invited(role) => ("member_invited", Some(role)),
            Self::Withdrew => ("invitation_withdrawn", None),
            Self::Added(role) => ("member_added", Some(role)),
            Self::Changed(role) => ("member_changed", Some(role)),
            Self::Removed => ("member_removed", None),
            Self::KeyRevoked => ("api_key_revoked", None),
        }
    }
}

/// What happened once.
pub(crate) struct Entry {
    pub(crate) audit_id: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) action: String,
    pub(crate) actor_id: Uuid,
    pub(crate) client_address: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) organisation_id: Option<Uuid>,
}

/// Notes that `actor` (nil: an operator) did it to `subject`, in the caller's transaction.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    actor: UserId,
    action: Action,
    subject: UserId,
) -> Result<(), sqlx::Error> {
    let role = match action {
        Action::RoleGranted(role) | Action::RoleRevoked(role) => Some(role.as_str()),
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

/// Wrong passwords of an account that are noted in a day: whoever tries thousands hides nothing else among them.
const WRONG_A_DAY_MAX: i64 = 20;

/// Notes that a wrong password of the account was tried, by whoever. Without an account the same is
/// asked, and nothing noted: it takes about as long. The account is there until the transaction ends.
pub(crate) async fn insert_wrong_password(
    conn: &mut PgConnection,
    user_id: Option<UserId>,
    client: Option<IpAddr>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO identity.audit (actor_id, action, subject_id, client_address)
         SELECT user_id, 'password_wrong', user_id, $2 FROM identity.users
         WHERE user_id = $1 AND deleted_at IS NULL
           AND (SELECT count(*) FROM identity.audit
                WHERE subject_id = $1 AND action = 'password_wrong' AND at > now() - interval '1 day') < $3
         FOR SHARE OF users",
        user_id.map(|id| id.as_uuid()),
        client.map(|address| address.to_string()),
        WRONG_A_DAY_MAX,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that `actor` did it about `subject` in an organisation.
pub(crate) async fn insert_of_member(
    conn: &mut PgConnection,
    actor: UserId,
    what: OfMember,
    subject: UserId,
    organisation_id: Uuid,
) -> Result<(), sqlx::Error> {
    let (action, role) = what.as_str();
    sqlx::query!(
        "INSERT INTO identity.audit (actor_id, action, subject_id, role, organisation_id)
         VALUES ($1, $2, $3, $4, $5)",
        actor.as_uuid(),
        action,
        subject.as_uuid(),
        role.map(OrganisationRole::as_str),
        organisation_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// At most `limit` entries about the account from before that one, newest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    user_id: UserId,
    before: i64,
    limit: u32,
) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        "SELECT audit_id, at, action, actor_id, client_address, role, organisation_id
         FROM identity.audit WHERE subject_id = $1 AND audit_id < $2
         ORDER BY audit_id DESC LIMIT $3",
        user_id.as_uuid(),
        before,
        i64::from(limit),
    )
    .fetch_all(conn)
    .await
}

/// Forgets where the account was used from.
pub(crate) async fn forget_clients(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE identity.audit SET client_address = NULL
         WHERE subject_id = $1 AND client_address IS NOT NULL",
        user_id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes at most `limit` sign-ins and sign-outs of more than 180 days ago, and as many wrong passwords; of
/// which there were more, how many. What changed what an account may do stays.
pub(crate) async fn delete_old_sign_ins(pool: &PgPool, limit: u32) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM identity.audit WHERE audit_id IN (
             SELECT audit_id FROM identity.audit
             WHERE at < now() - interval '180 days' AND action IN ('signed_in', 'signed_out')
             ORDER BY at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    let wrong = sqlx::query!(
        "DELETE FROM identity.audit WHERE audit_id IN (
             SELECT audit_id FROM identity.audit
             WHERE at < now() - interval '180 days' AND action = 'password_wrong'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected().max(wrong.rows_affected()))
}
