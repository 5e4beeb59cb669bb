//! Organisations, their members, and who was invited.

use std::time::Duration;

use chrono::{DateTime, Utc};
use holdfast_mesh::auth::OrganisationRole;
use holdfast_types::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{account::Email, token::TokenHash};

/// Members that a list shows, and that there may be.
pub(crate) const MEMBERS_MAX: i64 = 200;

/// Organisations of one account: as many as a token names.
pub(crate) const ORGANISATIONS_MAX: i64 = 20;

/// Invitations of one organisation that wait.
pub(crate) const INVITATIONS_MAX: i64 = 200;

/// An organisation, as one of its members sees it.
pub(crate) struct Organisation {
    pub(crate) organisation_id: Uuid,
    pub(crate) name: String,
    pub(crate) role: OrganisationRole,
}

/// Somebody in it.
pub(crate) struct Member {
    pub(crate) user_id: Uuid,
    pub(crate) email: String,
    pub(crate) role: OrganisationRole,
    pub(crate) since: DateTime<Utc>,
    pub(crate) disabled: bool,
}

/// An invitation that nobody took up, as owners and managers see it.
pub(crate) struct Waiting {
    pub(crate) invitation_id: Uuid,
    pub(crate) email: String,
    pub(crate) role: OrganisationRole,
    pub(crate) invited_by: Uuid,
    pub(crate) expires_at: DateTime<Utc>,
}

/// As what somebody is invited, and by whom.
pub(crate) struct Invitation {
    pub(crate) role: OrganisationRole,
    pub(crate) invited_by: Uuid,
}

fn role(text: &str) -> OrganisationRole {
    OrganisationRole::parse(text).expect("the table's check admits no other")
}

/// Makes an organisation with its first owner; false, and nothing made, if the id is taken.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    name: &str,
    owner: UserId,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query!(
        "INSERT INTO identity.organisations (organisation_id, name, made_by) VALUES ($1, $2, $3)
         ON CONFLICT (organisation_id) DO NOTHING",
        organisation_id,
        name,
        owner.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(false);
    }
    set_member(conn, organisation_id, owner, OrganisationRole::Owner).await?;
    Ok(true)
}

/// Whether it was made by that account, under that name.
pub(crate) async fn is_made_by(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    name: &str,
    made_by: UserId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM identity.organisations
               WHERE organisation_id = $1 AND name = $2 AND made_by = $3) AS "made!""#,
        organisation_id,
        name,
        made_by.as_uuid(),
    )
    .fetch_one(conn)
    .await
}

/// The account's organisations, at most [`ORGANISATIONS_MAX`].
pub(crate) async fn of_account(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Vec<Organisation>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT organisation_id, name, role
         FROM identity.members JOIN identity.organisations USING (organisation_id)
         WHERE user_id = $1 ORDER BY since, organisation_id LIMIT $2",
        user_id.as_uuid(),
        ORGANISATIONS_MAX,
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|row| Organisation {
        organisation_id: row.organisation_id,
        name: row.name,
        role: role(&row.role),
    });
    Ok(rows.collect())
}

/// What the account is in it, as of now.
pub(crate) async fn role_of(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
) -> Result<Option<OrganisationRole>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "SELECT role FROM identity.members WHERE organisation_id = $1 AND user_id = $2",
        organisation_id,
        user_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.as_deref().map(role))
}

/// The same of who acts; `None` also where the account is disabled.
pub(crate) async fn role_of_active(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
) -> Result<Option<OrganisationRole>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "SELECT role FROM identity.members JOIN identity.users USING (user_id)
         WHERE organisation_id = $1 AND user_id = $2 AND disabled_at IS NULL AND deleted_at IS NULL",
        organisation_id,
        user_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.as_deref().map(role))
}

/// Those that the account is in, locked as by [`lock`], in the order of their ids: whoever locks several takes
/// them in this order, and an account's row after them.
pub(crate) async fn lock_all_of(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Vec<Organisation>, sqlx::Error> {
    let mut own = of_account(conn, user_id).await?;
    own.sort_by_key(|own| own.organisation_id);
    for own in &own {
        lock(conn, own.organisation_id).await?;
    }
    Ok(own)
}

/// Those of the account's that nobody is left to own who may act, in the order of their ids; the account itself
/// is disabled, or about to go.
pub(crate) async fn left_by(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<Vec<Organisation>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT organisation_id, name, role
         FROM identity.members AS own JOIN identity.organisations USING (organisation_id)
         WHERE own.user_id = $1 AND own.role = 'owner' AND NOT EXISTS (
             SELECT FROM identity.members AS other JOIN identity.users USING (user_id)
             WHERE other.organisation_id = own.organisation_id AND other.user_id <> $1
                 AND other.role = 'owner' AND disabled_at IS NULL)
         ORDER BY organisation_id LIMIT $2",
        user_id.as_uuid(),
        ORGANISATIONS_MAX,
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|row| Organisation {
        organisation_id: row.organisation_id,
        name: row.name,
        role: role(&row.role),
    });
    Ok(rows.collect())
}

/// Its name.
pub(crate) async fn name(
    conn: &mut PgConnection,
    organisation_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT name FROM identity.organisations WHERE organisation_id = $1",
        organisation_id,
    )
    .fetch_optional(conn)
    .await
}

/// Its name, and nobody else changes its members for the rest of the transaction.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    organisation_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT name FROM identity.organisations WHERE organisation_id = $1 FOR UPDATE",
        organisation_id,
    )
    .fetch_optional(conn)
    .await
}

/// Its members, the first who came first.
pub(crate) async fn members(
    conn: &mut PgConnection,
    organisation_id: Uuid,
) -> Result<Vec<Member>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id, email, role, since, disabled_at IS NOT NULL AS "disabled!"
           FROM identity.members JOIN identity.users USING (user_id)
           WHERE organisation_id = $1 ORDER BY since, user_id LIMIT $2"#,
        organisation_id,
        MEMBERS_MAX,
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|row| Member {
        user_id: row.user_id,
        email: row.email,
        role: role(&row.role),
        since: row.since,
        disabled: row.disabled,
    });
    Ok(rows.collect())
}

/// Its owners who may act.
pub(crate) async fn active_owners(
    conn: &mut PgConnection,
    organisation_id: Uuid,
) -> Result<Vec<Member>, sqlx::Error> {
    let mut all = members(conn, organisation_id).await?;
    all.retain(|member| member.role == OrganisationRole::Owner && !member.disabled);
    Ok(all)
}

/// Owners besides that account who may act.
pub(crate) async fn other_owners(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "others!" FROM identity.members JOIN identity.users USING (user_id)
           WHERE organisation_id = $1 AND user_id <> $2 AND role = 'owner' AND disabled_at IS NULL"#,
        organisation_id,
        user_id.as_uuid(),
    )
    .fetch_one(conn)
    .await
}

/// How many members it has, and how many organisations the account.
pub(crate) async fn counts(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM identity.members WHERE organisation_id = $1) AS "members!",
                  (SELECT count(*) FROM identity.members WHERE user_id = $2) AS "organisations!""#,
        organisation_id,
        user_id.as_uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok((row.members, row.organisations))
}

/// Makes the account a member, or changes as what.
pub(crate) async fn set_member(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
    role: OrganisationRole,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO identity.members (organisation_id, user_id, role) VALUES ($1, $2, $3)
         ON CONFLICT (organisation_id, user_id) DO UPDATE SET role = excluded.role",
        organisation_id,
        user_id.as_uuid(),
        role.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// It is no member any more.
pub(crate) async fn remove_member(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.members WHERE organisation_id = $1 AND user_id = $2",
        organisation_id,
        user_id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    // Nor do they come back by one that lies in their mailbox.
    sqlx::query!(
        "DELETE FROM identity.invitations WHERE organisation_id = $1
             AND email = (SELECT email FROM identity.users WHERE user_id = $2)",
        organisation_id,
        user_id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Invites whoever has the address; an earlier invitation of it as that role goes on, and one as another is no
/// more. Its id. The organisation is locked.
pub(crate) async fn invite(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    email: &Email,
    role: OrganisationRole,
    invited_by: UserId,
    ttl: Duration,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.invitations
         WHERE organisation_id = $1 AND email = $2 AND (role <> $3 OR expires_at <= now())",
        organisation_id,
        email.as_str(),
        role.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar!(
        "INSERT INTO identity.invitations
             (invitation_id, organisation_id, email, role, invited_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
         ON CONFLICT (organisation_id, email) DO UPDATE SET
             invited_by = excluded.invited_by, expires_at = excluded.expires_at
         RETURNING invitation_id",
        Uuid::now_v7(),
        organisation_id,
        email.as_str(),
        role.as_str(),
        invited_by.as_uuid(),
        ttl.as_secs_f64(),
    )
    .fetch_one(conn)
    .await
}

/// How many invitations of other addresses wait.
pub(crate) async fn other_invitations(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    email: &Email,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM identity.invitations
           WHERE organisation_id = $1 AND email <> $2 AND expires_at > now()"#,
        organisation_id,
        email.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Those that wait, the newest first, at most [`INVITATIONS_MAX`].
pub(crate) async fn invitations(
    conn: &mut PgConnection,
    organisation_id: Uuid,
) -> Result<Vec<Waiting>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT invitation_id, email, role, invited_by, expires_at FROM identity.invitations
         WHERE organisation_id = $1 AND expires_at > now()
         ORDER BY expires_at DESC, invitation_id LIMIT $2",
        organisation_id,
        INVITATIONS_MAX,
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|row| Waiting {
        invitation_id: row.invitation_id,
        email: row.email,
        role: role(&row.role),
        invited_by: row.invited_by,
        expires_at: row.expires_at,
    });
    Ok(rows.collect())
}

/// Withdraws one of the organisation's; whether there was one.
pub(crate) async fn withdraw_invitation(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    invitation_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let withdrawn = sqlx::query!(
        "DELETE FROM identity.invitations WHERE organisation_id = $1 AND invitation_id = $2",
        organisation_id,
        invitation_id,
    )
    .execute(conn)
    .await?;
    Ok(withdrawn.rows_affected() == 1)
}

/// Withdraws those that the account wrote, of whichever organisation.
pub(crate) async fn withdraw_invitations_by(
    conn: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.invitations WHERE invited_by = $1",
        user_id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds the token of the letter that goes to those of the letters before, which stay good: the one before may
/// have arrived, whatever its sender heard. The organisation's name, or none if it isn't invited any more.
pub(crate) async fn note_token(
    pool: &PgPool,
    invitation_id: Uuid,
    token: &TokenHash,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH invited AS (
             SELECT invitation_id, name
             FROM identity.invitations AS i JOIN identity.organisations USING (organisation_id)
             WHERE invitation_id = $1 AND expires_at > now() FOR KEY SHARE OF i),
         noted AS (
             INSERT INTO identity.invitation_tokens (token_hash, invitation_id)
             SELECT $2, invitation_id FROM invited)
         SELECT name AS "name!" FROM invited"#,
        invitation_id,
        token.as_slice(),
    )
    .fetch_optional(pool)
    .await
}

/// Which organisation an invitation leads to; none if there is no such one.
pub(crate) async fn of_invitation(
    conn: &mut PgConnection,
    token: &TokenHash,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT organisation_id FROM identity.invitations
         WHERE token_hash = $1 OR invitation_id = (
             SELECT t.invitation_id FROM identity.invitation_tokens AS t WHERE t.token_hash = $1)",
        token.as_slice(),
    )
    .fetch_optional(conn)
    .await
}

/// Uses an invitation up, if it is for that address; none if there is no such one.
pub(crate) async fn take_invitation(
    conn: &mut PgConnection,
    token: &TokenHash,
    email: &str,
) -> Result<Option<Invitation>, sqlx::Error> {
    let row = sqlx::query!(
        "DELETE FROM identity.invitations
         WHERE email = $2 AND expires_at > now()
             AND (token_hash = $1 OR invitation_id = (
                  SELECT t.invitation_id FROM identity.invitation_tokens AS t WHERE t.token_hash = $1))
         RETURNING role, invited_by",
        token.as_slice(),
        email,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Invitation {
        role: role(&row.role),
        invited_by: row.invited_by,
    }))
}

/// Deletes at most `limit` invitations that have run out.
pub(crate) async fn delete_expired(pool: &PgPool, limit: u32) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM identity.invitations WHERE invitation_id IN (
             SELECT invitation_id FROM identity.invitations WHERE expires_at < now()
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        i64::from(limit),
    )
    .execute(pool)
    .await?;
    Ok(())
}
