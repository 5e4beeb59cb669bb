//! Keys of organisers' systems: shown once, kept as hashes, good for their scopes alone. Whoever makes one is told
//! by mail; owners of an organisation see those that were made for it, and revoke them.

use std::net::IpAddr;

use holdfast_mesh::auth::{Claims, Grants, Membership, OrganisationRole, Scope};
use uuid::Uuid;

use super::{
    App, check_open, gone,
    organisations::{check_owner, lock_as_owner},
};
use crate::{
    account::Email,
    error::{CallError, Checks},
    mail::Kind,
    store::{
        api_keys::{self, ApiKey, Holder, KEYS_MAX, ORGANISATION_KEYS_MAX, OfOrganisation},
        audit::{self, Action, OfMember},
        mail, organisations, users,
    },
    token::{self, API_KEY_PREFIX, API_KEY_TTL},
};

/// Longest name of a key.
const NAME_BYTES_MAX: usize = 100;

/// Makes one; the key, and the text to send.
pub(crate) async fn create_api_key(
    app: &App,
    caller: &Claims,
    name: &str,
    scopes: &[String],
    organisation_id: Option<Uuid>,
    client: Option<IpAddr>,
) -> Result<(ApiKey, String), CallError> {
    let mut checks = Checks::default();
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    let name = match fits {
        true => Ok(name.to_owned()),
        false => Err("must be 1 to 100 bytes long, without control characters"),
    };
    let name = checks.take("name", name);
    if scopes.is_empty() || scopes.len() > Scope::ALL.len() {
        checks.take::<()>("scopes", Err("must be 1 to 3 scopes"));
    }
    let mut parsed = Vec::new();
    for (at, scope) in scopes.iter().enumerate().take(Scope::ALL.len()) {
        let scope =
            Scope::parse(scope).ok_or("must be one of catalogue:read, catalogue:write, sales:read");
        parsed.extend(checks.take(format!("scopes[{at}]"), scope));
    }
    let Some(name) = name.filter(|_| checks.are_passed()) else {
        return checks.refuse();
    };
    let mut scopes: Vec<String> = parsed
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect();
    scopes.sort();
    scopes.dedup();

    let mut tx = app.pool.begin().await?;
    // One after another, so that there are never more than there may be; the organisation first, as everywhere.
    if let Some(organisation_id) = organisation_id {
        organisations::lock(&mut tx, organisation_id).await?;
    }
    if !users::lock(&mut tx, caller.user_id).await? {
        return Err(gone());
    }
    if let Some(organisation_id) = organisation_id {
        let role = organisations::role_of(&mut tx, organisation_id, caller.user_id).await?;
        if role < Some(OrganisationRole::Manager) {
            return Err(CallError::RoleNeeded("manager of the organisation"));
        }
        let there = api_keys::count_of_organisation(&mut tx, organisation_id).await?;
        if there >= ORGANISATION_KEYS_MAX {
            return Err(CallError::TooMany(
                "an organisation has at most 200 keys; its owners revoke some",
            ));
        }
    }
    if api_keys::count(&mut tx, caller.user_id).await? >= KEYS_MAX {
        return Err(CallError::TooMany(
            "an account has at most 20 keys; revoke one",
        ));
    }
    let (random, _) = token::new_secret_token();
    let secret = format!("{API_KEY_PREFIX}{random}");
    let key_id = Uuid::now_v7();
    let holder = Holder {
        user_id: caller.user_id,
        organisation_id,
        scopes: scopes.clone(),
    };
    let hash = token::hash_of(&secret);
    let created_at = api_keys::insert(&mut tx, key_id, &name, &hash, &holder).await?;
    audit::insert_own(&mut tx, caller.user_id, Action::ApiKeyMade, client).await?;
    let account = users::account(&mut tx, caller.user_id).await?;
    if let Some(Ok(email)) = account.map(|account| Email::parse(&account.email)) {
        // A letter for each: none is made in silence.
        if !mail::insert_about(&mut tx, &email, Kind::ApiKeyMade, None).await? {
            return Err(CallError::TooMany(
                "an account makes at most 20 keys within half an hour; try again later",
            ));
        }
    }
    tx.commit().await?;
    let key = ApiKey {
        key_id,
        name,
        scopes,
        organisation_id,
        created_at,
        last_used_at: None,
    };
    Ok((key, secret))
}

/// The caller's.
pub(crate) async fn list_api_keys(app: &App, caller: &Claims) -> Result<Vec<ApiKey>, CallError> {
    Ok(api_keys::list(&mut *app.pool.acquire().await?, caller.user_id).await?)
}

/// One that isn't theirs, or isn't there, is revoked.
pub(crate) async fn revoke_api_key(
    app: &App,
    caller: &Claims,
    key_id: Uuid,
    client: Option<IpAddr>,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    if api_keys::delete(&mut tx, caller.user_id, key_id).await? {
        audit::insert_own(&mut tx, caller.user_id, Action::ApiKeyRevoked, client).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Those that were made for an organisation, for its owners.
pub(crate) async fn list_organisation_api_keys(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
) -> Result<Vec<OfOrganisation>, CallError> {
    let mut conn = app.pool.acquire().await?;
    check_owner(&mut conn, organisation_id, caller).await?;
    Ok(api_keys::list_of_organisation(&mut conn, organisation_id).await?)
}

/// One of those is revoked, whoever made it; one that isn't there is revoked.
pub(crate) async fn revoke_organisation_api_key(
    app: &App,
    caller: &Claims,
    organisation_id: Uuid,
    key_id: Uuid,
) -> Result<(), CallError> {
    let mut tx = app.pool.begin().await?;
    lock_as_owner(&mut tx, organisation_id, caller).await?;
    let made_by = api_keys::delete_of_organisation(&mut tx, organisation_id, key_id).await?;
    if let Some(made_by) = made_by {
        let (by, note) = (caller.user_id, OfMember::KeyRevoked);
        audit::insert_of_member(&mut tx, by, note, made_by, organisation_id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// A token with the key's scopes, and whose things it is for. What its account may no longer do, and an
/// organisation that it left, it isn't good for.
pub(crate) async fn exchange_api_key(
    app: &App,
    secret: &str,
) -> Result<(String, Option<Uuid>), CallError> {
    let refused = CallError::Unauthorized("the API key isn't valid, or was revoked");
    let mut tx = app.pool.begin().await?;
    let Some(holder) = api_keys::find(&mut tx, &token::hash_of(secret)).await? else {
        return Err(refused);
    };
    check_open(&mut tx, holder.user_id).await?;
    let mut orgs = Vec::new();
    if let Some(id) = holder.organisation_id {
        let role = organisations::role_of(&mut tx, id, holder.user_id).await?;
        let Some(role) = role else {
            return Err(refused);
        };
        orgs.push(Membership { id, role });
    }
    let roles = users::roles(&mut tx, holder.user_id).await?;
    tx.commit().await?;
    let scopes = holder.scopes.iter().filter_map(|scope| Scope::parse(scope));
    let grants = Grants {
        sid: None,
        orgs,
        scopes: Some(scopes.collect()),
    };
    let token = app
        .issuer
        .token_of(holder.user_id, roles, grants, API_KEY_TTL)?;
    Ok((token, holder.organisation_id))
}
