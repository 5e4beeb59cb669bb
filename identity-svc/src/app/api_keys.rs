//! Keys of organisers' systems: shown once, kept as hashes, good for their scopes alone.

use std::net::IpAddr;

use holdfast_mesh::auth::{Claims, Grants, Membership, OrganisationRole, Scope};
use uuid::Uuid;

use super::{App, gone};
use crate::{
    error::{CallError, Checks},
    store::{
        api_keys::{self, ApiKey, Holder, KEYS_MAX},
        audit::{self, Action},
        organisations, users,
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
    // One after another, so that there are never more than there may be.
    if !users::lock(&mut tx, caller.user_id).await? {
        return Err(gone());
    }
    if let Some(organisation_id) = organisation_id {
        let role = organisations::role_of(&mut tx, organisation_id, caller.user_id).await?;
        if role < Some(OrganisationRole::Manager) {
            return Err(CallError::RoleNeeded("manager of the organisation"));
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
