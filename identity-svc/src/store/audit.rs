//! Who changed what an account may do.

use holdfast_types::UserId;
use sqlx::PgConnection;

use crate::account::Role;

/// What was done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    AccountMade,
    RoleGranted(Role),
    OperatorTokenExchanged,
}

/// Notes that `actor` (nil: an operator) did it to `subject`, in the caller's transaction.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    actor: UserId,
    action: Action,
    subject: UserId,
) -> Result<(), sqlx::Error> {
    let (action, role) = match action {
        Action::AccountMade => ("account_made", None),
        Action::RoleGranted(role) => ("role_granted", Some(role.as_str())),
        Action::OperatorTokenExchanged => ("operator_token_exchanged", None),
    };
    sqlx::query!(
        "INSERT INTO identity.audit (actor_id, action, subject_id, role) VALUES ($1, $2, $3, $4)",
        actor.as_uuid(),
        action,
        subject.as_uuid(),
        role,
    )
    .execute(conn)
    .await?;
    Ok(())
}
