//! `me/api-keys`: keys of an organiser's systems; and those of an organisation, for its owners.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use holdfast_proto::identity::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Caller,
    extract::{Body, PathId, PathIds},
    failure::ApiError,
    server::Shared,
    wire::{self, required},
};

/// What to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// For people.
    #[schema(min_length = 1, max_length = 100, example = "box office")]
    name: String,
    /// catalogue:read, catalogue:write (which reads, too), sales:read.
    #[schema(min_items = 1, max_items = 3, example = json!(["sales:read"]))]
    scopes: Vec<String>,
    /// Whose things it is for, in which you are manager or owner; your own unless said.
    #[serde(default)]
    organisation_id: Option<Uuid>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Key {
    key_id: Uuid,
    #[schema(example = "box office")]
    name: String,
    #[schema(example = json!(["sales:read"]))]
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    /// To about a minute; not there if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<DateTime<Utc>>,
}

/// A key, this once with what to send.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKey {
    #[serde(flatten)]
    key: Key,
    /// Send it as `Authorization: Bearer ...`. It isn't kept, and not shown again.
    #[schema(example = "hfk_...")]
    secret: String,
}

/// Keys, newest first, at most 20.
#[derive(Serialize, ToSchema)]
pub(crate) struct Keys {
    items: Vec<Key>,
}

/// A key of an organisation, and who made it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganisationKey {
    #[serde(flatten)]
    key: Key,
    user_id: Uuid,
    #[schema(example = "ada@example.org")]
    email: String,
}

/// Keys of an organisation, newest first, at most 200.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganisationKeys {
    items: Vec<OrganisationKey>,
}

pub(super) fn key(key: pb::ApiKey) -> Result<Key, ApiError> {
    Ok(Key {
        key_id: wire::id(&key.key_id, "key_id")?,
        name: key.name,
        scopes: key.scopes,
        organisation_id: match key.organisation_id.as_slice() {
            [] => None,
            bytes => Some(wire::id(bytes, "organisation_id")?),
        },
        created_at: wire::utc(key.created_at_ms)?,
        last_used_at: match key.last_used_at_ms {
            0 => None,
            ms => Some(wire::utc(ms)?),
        },
    })
}

/// Make a key
///
/// For a system of yours or of an organisation's: it stands in an access token's place, and is good for its
/// scopes alone. At most 20 for one account, within half an hour, too, and 200 for one organisation. You are told
/// of each by mail.
#[utoipa::path(
    post, path = "/me/api-keys", tag = "organising",
    request_body = NewKey,
    responses((status = 201, description = "The key.", body = MadeKey)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "INVALID_STATE"]))),
)]
pub(crate) async fn create_key(
    State(app): State<Shared>,
    caller: Caller,
    Body(body): Body<NewKey>,
) -> Result<(StatusCode, Json<MadeKey>), ApiError> {
    let organisation_id = body.organisation_id.map(|id| id.into_bytes().to_vec());
    let request = caller.with_client(pb::CreateApiKeyRequest {
        name: body.name,
        scopes: body.scopes,
        organisation_id: organisation_id.unwrap_or_default(),
    });
    let answer = app.identity.clone().create_api_key(request).await?;
    let answer = answer.into_inner();
    let made = MadeKey {
        key: key(required(answer.key, "key")?)?,
        secret: answer.secret,
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Your keys
#[utoipa::path(
    get, path = "/me/api-keys", tag = "organising",
    responses((status = 200, description = "Those that weren't revoked.", body = Keys)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_keys(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<Keys>, ApiError> {
    let request = caller.request(pb::ListApiKeysRequest {});
    let answer = app.identity.clone().list_api_keys(request).await?;
    let keys = answer.into_inner().keys.into_iter();
    let items = keys.map(key).collect::<Result<_, _>>()?;
    Ok(Json(Keys { items }))
}

/// Revoke a key
///
/// It may be let through for 10 seconds more. One that isn't there is revoked.
#[utoipa::path(
    delete, path = "/me/api-keys/{key_id}", tag = "organising",
    params(("key_id" = Uuid, Path)),
    responses((status = 204, description = "Revoked.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn revoke_key(
    State(app): State<Shared>,
    caller: Caller,
    PathId(key_id): PathId<Uuid>,
) -> Result<StatusCode, ApiError> {
    let request = caller.with_client(pb::RevokeApiKeyRequest {
        key_id: key_id.into_bytes().to_vec(),
    });
    app.identity.clone().revoke_api_key(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keys of an organisation
///
/// For owners: those that were made for it, whoever made them.
#[utoipa::path(
    get, path = "/organisations/{organisation_id}/api-keys", tag = "organising",
    params(("organisation_id" = Uuid, Path)),
    responses((status = 200, description = "Those that weren't revoked.", body = OrganisationKeys)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND"]))),
)]
pub(crate) async fn list_organisation_keys(
    State(app): State<Shared>,
    caller: Caller,
    PathId(organisation_id): PathId<Uuid>,
) -> Result<Json<OrganisationKeys>, ApiError> {
    let request = caller.request(pb::ListOrganisationApiKeysRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
    });
    let mut identity = app.identity.clone();
    let answer = identity.list_organisation_api_keys(request).await?;
    let keys = answer.into_inner().keys.into_iter();
    let items = keys.map(|mut of| {
        Ok(OrganisationKey {
            user_id: wire::id(&of.user_id, "user_id")?,
            email: std::mem::take(&mut of.email),
            key: key(of)?,
        })
    });
    let items = items.collect::<Result<_, ApiError>>()?;
    Ok(Json(OrganisationKeys { items }))
}

/// Revoke a key of an organisation
///
/// By an owner, whoever made it. It may be let through for 10 seconds more. One that isn't there is revoked.
#[utoipa::path(
    delete, path = "/organisations/{organisation_id}/api-keys/{key_id}", tag = "organising",
    params(("organisation_id" = Uuid, Path), ("key_id" = Uuid, Path)),
    responses((status = 204, description = "Revoked.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND"]))),
)]
pub(crate) async fn revoke_organisation_key(
    State(app): State<Shared>,
    caller: Caller,
    PathIds(organisation_id, key_id): PathIds<Uuid, Uuid>,
) -> Result<StatusCode, ApiError> {
    let request = caller.request(pb::RevokeOrganisationApiKeyRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
        key_id: key_id.into_bytes().to_vec(),
    });
    let mut identity = app.identity.clone();
    identity.revoke_organisation_api_key(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
