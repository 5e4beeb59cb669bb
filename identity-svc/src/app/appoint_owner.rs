//! An administrator looks at an organisation, and gives it an owner where nobody is left who could.
//!
//! Always holds: whoever is made an owner can act, and their address is theirs; they, and the owners beside them, are
//! told of it by mail. Locks as in [`super::organisations`]: the organisation, then the account.

use holdfast_mesh::auth::{Claims, OrganisationRole};
use holdfast_types::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{App, check_admin, check_open};
use crate::{
    account::Email,
    error::{CallError, Checks},
    mail::Kind,
    store::{
        audit::{self, OfMember},
        mail,
        organisations::{self, MEMBERS_MAX, Member, ORGANISATIONS_MAX},
        users,
    },
};

/// Who was made an owner, of what, and as what they were in it before.
#[derive(Debug)]
pub(crate) struct Appointed {
    pub(crate) user_id: UserId,
    pub(crate) name: String,
    pub(crate) was: Option<OrganisationRole>,
}

fn no_such_organisation() -> CallError {
    CallError::NotFound("there is no such organisation")
}

/// Its name, and who is in it.
pub(crate) async fn audit_organisation(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
) -> Result<(String, Vec<Member>), CallError> {
    let mut conn = app.pool.acquire().await?;
    check_admin(&mut conn, caller).await?;
    let name = organisations::name(&mut conn, organisation_id).await?;
    let name = name.ok_or_else(no_such_organisation)?;
    let members = organisations::members(&mut conn, organisation_id).await?;
    Ok((name, members))
}

/// Makes the account an owner. One that is an owner is no error, no audit row and no letter.
pub(crate) async fn appoint_owner(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
    email: &str,
) -> Result<Appointed, CallError> {
    let mut checks = Checks::default();
    let email = checks.take("email", Email::parse(email));
    let mut tx = app.pool.begin().await?;
    check_admin(&mut tx, caller).await?;
    let Some(email) = email else {
        return checks.refuse();
    };
    let name = organisations::lock(&mut tx, organisation_id).await?;
    let name = name.ok_or_else(no_such_organisation)?;
    let user_id = users::id_by_email(&mut tx, &email).await?;
    let user_id = user_id.ok_or(CallError::UserNotFound)?;
    // It stays as it is until the transaction ends.
    let is_there = users::keep(&mut tx, user_id).await?;
    check_open(&mut tx, user_id).await?;
    if !is_there {
        return Err(CallError::UserNotFound);
    }
    if !users::is_verified(&mut tx, user_id).await? {
        return Err(CallError::NotVerified);
    }
    let was = organisations::role_of(&mut tx, organisation_id, user_id).await?;
    if was != Some(OrganisationRole::Owner) {
        make_owner(&mut tx, caller, organisation_id, user_id, was).await?;
        tell(&mut tx, organisation_id, user_id, &email).await?;
    }
    tx.commit().await?;
    Ok(Appointed { user_id, name, was })
}

async fn make_owner(
    conn: &mut PgConnection,
    caller: &Claims,
    organisation_id: Uuid,
    user_id: UserId,
    was: Option<OrganisationRole>,
) -> Result<(), CallError> {
    let owner = OrganisationRole::Owner;
    let note = match was {
        Some(_) => OfMember::Changed(owner),
        None => {
            check_room(conn, organisation_id, user_id).await?;
            OfMember::Added(owner)
        }
    };
    organisations::set_member(conn, organisation_id, user_id, owner).await?;
    audit::insert_of_member(conn, caller.user_id, note, user_id, organisation_id).await?;
    Ok(())
}

/// Whether the organisation takes one more, and the account one more organisation.
pub(super) async fn check_room(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
) -> Result<(), CallError> {
    let (members, of_account) = organisations::counts(conn, organisation_id, user_id).await?;
    if members >= MEMBERS_MAX {
        return Err(CallError::TooMany(
            "an organisation has at most 200 members",
        ));
    }
    if of_account >= ORGANISATIONS_MAX {
        return Err(CallError::TooMany(
            "an account has at most 20 organisations",
        ));
    }
    Ok(())
}

async fn tell(
    conn: &mut PgConnection,
    organisation_id: Uuid,
    user_id: UserId,
    email: &Email,
) -> Result<(), CallError> {
    let about = Some(organisation_id);
    mail::insert_about(conn, email, Kind::OwnerAppointed, about).await?;
    for other in organisations::active_owners(conn, organisation_id).await? {
        // A row that was written by hand may have anything.
        let Ok(address) = Email::parse(&other.email) else {
            continue;
        };
        if other.user_id != user_id.as_uuid() {
            mail::insert_about(conn, &address, Kind::OwnerAdded, about).await?;
        }
    }
    Ok(())
}
