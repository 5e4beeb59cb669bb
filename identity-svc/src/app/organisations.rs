//! Organisations: making one, who is in it, and inviting others.
//!
//! Always holds: an organisation has an owner, and an owner who leaves leaves another who isn't disabled; owners
//! alone say who is in it, and as what, but everybody may leave, and an administrator may appoint one
//! ([`super::appoint_owner`]); what somebody isn't in, isn't there for them, nor
//! is anything for who is disabled, whatever their token says. Locks are taken in one order: organisations by
//! their ids, accounts, what they have.
//! Leaves to others: what a member may do with what the organisation made (each service decides).

use holdfast_mesh::auth::{Claims, OrganisationRole};
use holdfast_types::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{App, appoint_owner::check_room, gone, token_refused};
use crate::{
    account::{Email, Role},
    error::{CallError, Checks},
    mail::Kind,
    store::{
        api_keys,
        audit::{self, OfMember},
        mail,
        organisations::{self, INVITATIONS_MAX, Member, ORGANISATIONS_MAX, Organisation, Waiting},
        users,
    },
    token::{self, INVITATION_TTL},
};

/// Longest name of an organisation.
const NAME_BYTES_MAX: usize = 200;

fn name(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err("must be 1 to 200 bytes long");
    }
    // It stands in letters and on pages, where such letters would move the others about.
    if text.chars().any(|c| c.is_control() || is_format(c)) {
        return Err("must have no control characters");
    }
    Ok(text.to_owned())
}

/// Characters that can't be seen, or turn the direction.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Made by an organiser, who is its first owner; the same id, name and caller again is no error.
pub(crate) async fn create_organisation(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
    named: &str,
) -> Result<Organisation, CallError> {
    let may = [Role::Organiser, Role::VenueOwner, Role::Admin];
    if !may.iter().any(|role| caller.has_role(role.as_str())) {
        return Err(CallError::RoleNeeded("organiser, venue_owner or admin"));
    }
    let mut checks = Checks::default();
    let Some(name) = checks.take("name", name(named)) else {
        return checks.refuse();
    };
    let mut tx = app.pool.begin().await?;
    account(&mut tx, caller.user_id).await?;
    if organisations::insert(&mut tx, organisation_id, &name, caller.user_id).await? {
        let (_, organisations) =
            organisations::counts(&mut tx, organisation_id, caller.user_id).await?;
        if organisations > ORGANISATIONS_MAX {
            return Err(CallError::TooMany(
                "an account has at most 20 organisations",
            ));
        }
        let note = OfMember::Made;
        audit::insert_of_member(
            &mut tx,
            caller.user_id,
            note,
            caller.user_id,
            organisation_id,
        )
        .await?;
    } else if !organisations::is_made_by(&mut tx, organisation_id, &name, caller.user_id).await? {
        return Err(CallError::IdTaken);
    }
    tx.commit().await?;
    Ok(Organisation {
        organisation_id,
        name,
        role: OrganisationRole::Owner,
    })
}

/// Those that the caller is in.
pub(crate) async fn list_organisations(
    app: &App,
    caller: &Claims,
) -> Result<Vec<Organisation>, CallError> {
    Ok(organisations::of_account(&mut *app.pool.acquire().await?, caller.user_id).await?)
}

/// Who is in it, for who is.
pub(crate) async fn list_members(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
) -> Result<Vec<Member>, CallError> {
    let mut conn = app.pool.acquire().await?;
    own_role(&mut conn, organisation_id, caller).await?;
    Ok(organisations::members(&mut conn, organisation_id).await?)
}

/// Changes as what a member is in it.
pub(crate) async fn set_member(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
    user_id: UserId,
    role: &str,
) -> Result<(), CallError> {
    let mut checks = Checks::default();
    let Some(role) = checks.take("role", parse_role(role)) else {
        return checks.refuse();
    };
    let mut tx = app.pool.begin().await?;
    lock_as_owner(&mut tx, organisation_id, caller).await?;
    let there = organisations::role_of(&mut tx, organisation_id, user_id).await?;
    let there = there.ok_or(CallError::NotFound("no such member; invite them first"))?;
    if there == role {
        return Ok(());
    }
    keep_an_owner(&mut tx, organisation_id, user_id, there).await?;
    organisations::set_member(&mut tx, organisation_id, user_id, role).await?;
    let note = OfMember::Changed(role);
    audit::insert_of_member(&mut tx, caller.user_id, note, user_id, organisation_id).await?;
    tx.commit().await?;
    Ok(())
}

/// Removes a member, or leaves; who isn't in it is no error.
pub(crate) async fn remove_member(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
    user_id: UserId,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    if user_id == caller.user_id {
        own_role(&mut tx, organisation_id, caller).await?;
        organisations::lock(&mut tx, organisation_id).await?;
    } else {
        lock_as_owner(&mut tx, organisation_id, caller).await?;
    }
    let Some(there) = organisations::role_of(&mut tx, organisation_id, user_id).await? else {
        return Ok(());
    };
    keep_an_owner(&mut tx, organisation_id, user_id, there).await?;
    organisations::remove_member(&mut tx, organisation_id, user_id).await?;
    api_keys::delete_of_member(&mut tx, user_id, organisation_id).await?;
    let note = OfMember::Removed;
    audit::insert_of_member(&mut tx, caller.user_id, note, user_id, organisation_id).await?;
    tx.commit().await?;
    Ok(())
}

/// Mails an invitation to whoever has the address.
pub(crate) async fn invite_member(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
    email: &str,
    role: &str,
) -> Result<(), CallError> {
    let mut checks = Checks::default();
    let email = checks.take("email", Email::parse(email));
    let role = checks.take("role", parse_role(role));
    let (Some(email), Some(role)) = (email, role) else {
        return checks.refuse();
    };
    let mut tx = app.pool.begin().await?;
    lock_as_owner(&mut tx, organisation_id, caller).await?;
    let others = organisations::other_invitations(&mut tx, organisation_id, &email).await?;
    if others >= INVITATIONS_MAX {
        return Err(CallError::TooMany(
            "at most 200 invitations of an organisation wait; withdraw one",
        ));
    }
    let (by, ttl) = (caller.user_id, INVITATION_TTL);
    let invitation = organisations::invite(&mut tx, organisation_id, &email, role, by, ttl).await?;
    // Without a letter the invitation before stays as it is: its link is good.
    if !mail::insert_about(&mut tx, &email, Kind::Invitation, Some(invitation)).await? {
        return Err(CallError::TooMany(
            "this address was invited too often within half an hour; try again later",
        ));
    }
    let note = OfMember::Invited(role);
    audit::insert_of_member(&mut tx, by, note, by, organisation_id).await?;
    tx.commit().await?;
    Ok(())
}

/// The invitations that wait, for owners and managers.
pub(crate) async fn list_invitations(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
) -> Result<Vec<Waiting>, CallError> {
    let mut conn = app.pool.acquire().await?;
    if own_role(&mut conn, organisation_id, caller).await? < OrganisationRole::Manager {
        return Err(CallError::RoleNeeded("manager of the organisation"));
    }
    Ok(organisations::invitations(&mut conn, organisation_id).await?)
}

/// Withdraws one; one that isn't there is no error.
pub(crate) async fn withdraw_invitation(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
    invitation_id: Uuid,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    lock_as_owner(&mut tx, organisation_id, caller).await?;
    if organisations::withdraw_invitation(&mut tx, organisation_id, invitation_id).await? {
        let (by, note) = (caller.user_id, OfMember::Withdrew);
        audit::insert_of_member(&mut tx, by, note, by, organisation_id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Takes an invitation up, which was mailed to the caller's own address; where they are in it already, they
/// are what they were invited as from now on, unless that is less.
pub(crate) async fn accept_invitation(
    app: &App,
    caller: &Claims,
    token: &str,
) -> Result<Organisation, CallError> {
    let mut tx = app.pool.begin().await?;
    let hash = token::hash_of(token);
    let organisation_id = organisations::of_invitation(&mut tx, &hash).await?;
    let organisation_id = organisation_id.ok_or_else(token_refused)?;
    let name = organisations::lock(&mut tx, organisation_id).await?;
    let name = name.ok_or_else(token_refused)?;
    if !users::lock(&mut tx, caller.user_id).await? {
        return Err(gone());
    }
    let email = account(&mut tx, caller.user_id).await?;
    let invitation = organisations::take_invitation(&mut tx, &hash, &email).await?;
    let invitation = invitation.ok_or_else(token_refused)?;
    // Whoever invited may have left since, been made less, or disabled.
    let inviter = UserId::from_uuid(invitation.invited_by);
    let inviter = organisations::role_of_active(&mut tx, organisation_id, inviter).await?;
    if inviter != Some(OrganisationRole::Owner) {
        return Err(token_refused());
    }
    let there = organisations::role_of(&mut tx, organisation_id, caller.user_id).await?;
    let role = there.map_or(invitation.role, |there| there.max(invitation.role));
    if there.is_none() {
        check_room(&mut tx, organisation_id, caller.user_id).await?;
    }
    organisations::set_member(&mut tx, organisation_id, caller.user_id, role).await?;
    // The letter came to the address, and its token back.
    users::verify_email(&mut tx, caller.user_id).await?;
    let note = OfMember::Added(role);
    audit::insert_of_member(
        &mut tx,
        caller.user_id,
        note,
        caller.user_id,
        organisation_id,
    )
    .await?;
    tx.commit().await?;
    Ok(Organisation {
        organisation_id,
        name,
        role,
    })
}

fn parse_role(text: &str) -> Result<OrganisationRole, &'static str> {
    OrganisationRole::parse(text).ok_or("must be one of owner, manager, viewer")
}

/// The address of an account that is there.
async fn account(conn: &mut PgConnection, user_id: UserId) -> Result<String, CallError> {
    let account = users::account(conn, user_id).await?;
    Ok(account.ok_or_else(gone)?.email)
}

/// What the caller is in it, as of now, whatever their token says; what they aren't in isn't there, and nothing
/// is for who is disabled.
async fn own_role(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    caller: &Claims,
) -> Result<OrganisationRole, CallError> {
    let role = organisations::role_of_active(conn, organisation_id, caller.user_id).await?;
    role.ok_or(CallError::NotFound("there is no such organisation"))
}

/// For the rest of the transaction nobody else changes its members, and nobody disables or deletes its owner who
/// calls.
pub(super) async fn lock_as_owner(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    caller: &Claims,
) -> Result<(), CallError> {
    organisations::lock(conn, organisation_id).await?;
    check_owner(conn, organisation_id, caller).await?;
    match users::keep(conn, caller.user_id).await? {
        true => Ok(()),
        false => Err(gone()),
    }
}

pub(super) async fn check_owner(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    caller: &Claims,
) -> Result<(), CallError> {
    match own_role(conn, organisation_id, caller).await? {
        OrganisationRole::Owner => Ok(()),
        _ => Err(CallError::RoleNeeded("owner of the organisation")),
    }
}

async fn keep_an_owner(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
    there: OrganisationRole,
) -> Result<(), CallError> {
    if there != OrganisationRole::Owner
        || organisations::other_owners(conn, organisation_id, user_id).await? > 0
    {
        return Ok(());
    }
    Err(CallError::LastOwner)
}
