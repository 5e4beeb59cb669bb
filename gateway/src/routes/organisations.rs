//! Organisations: accounts that organise together, and who is in them.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use holdfast_proto::identity::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::organiser::{id_of, refused_to_make};
use crate::{
    call::Caller,
    extract::{Body, IdempotencyKey, PathId, PathIds},
    failure::ApiError,
    server::Shared,
    wire::{self, required},
};

/// What to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrganisation {
    #[schema(min_length = 1, max_length = 200, example = "Große Freiheit Konzerte")]
    name: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Organisation {
    organisation_id: Uuid,
    #[schema(example = "Große Freiheit Konzerte")]
    name: String,
    /// What you are in it: owner, manager, viewer.
    #[schema(example = "owner")]
    role: String,
}

/// Organisations that you are in, at most 20.
#[derive(Serialize, ToSchema)]
pub(crate) struct Organisations {
    items: Vec<Organisation>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    user_id: Uuid,
    #[schema(example = "ada@example.org")]
    email: String,
    /// owner, manager, viewer.
    #[schema(example = "manager")]
    role: String,
    since: DateTime<Utc>,
}

/// Who is in an organisation, at most 200.
#[derive(Serialize, ToSchema)]
pub(crate) struct Members {
    items: Vec<Member>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberRole {
    /// owner, manager, viewer.
    #[schema(example = "manager")]
    role: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    #[schema(max_length = 254, example = "ada@example.org")]
    email: String,
    /// owner, manager, viewer.
    #[schema(example = "manager")]
    role: String,
}

/// An invitation that nobody took up and that hasn't run out.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingInvitation {
    invitation_id: Uuid,
    #[schema(example = "ada@example.org")]
    email: String,
    /// owner, manager, viewer.
    #[schema(example = "manager")]
    role: String,
    /// Who invited last.
    invited_by: Uuid,
    expires_at: DateTime<Utc>,
}

/// Invitations, newest first, at most 200.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitations {
    items: Vec<WaitingInvitation>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationToken {
    /// As the letter has it.
    #[schema(max_length = 100)]
    token: String,
}

pub(super) fn organisation(own: pb::Organisation) -> Result<Organisation, ApiError> {
    Ok(Organisation {
        organisation_id: wire::id(&own.organisation_id, "organisation_id")?,
        name: own.name,
        role: own.role,
    })
}

/// Make an organisation
///
/// You are its first owner. What its members make with the header `Holdfast-Organisation: <its id>` is the
/// organisation's: viewers see it, drafts and sales too, managers make and change it, owners also say who is
/// in it. Tokens know of it from when they are made: renew yours (`auth/refresh`) afterwards. An account is in
/// at most 20.
#[utoipa::path(
    post, path = "/organisations", tag = "organising",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255, pattern = r"^[!-~]+$")),
    request_body = NewOrganisation,
    responses((status = 201, description = "The organisation, also when it was made by this key before.", body = Organisation)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN", "INVALID_STATE"
    ]))),
)]
pub(crate) async fn create_organisation(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Body(body): Body<NewOrganisation>,
) -> Result<Response, ApiError> {
    let id = id_of("organisation", caller.user_id, &key);
    let request = caller.request(pb::CreateOrganisationRequest {
        organisation_id: id.into_bytes().to_vec(),
        name: body.name,
    });
    let answer = app.identity.clone().create_organisation(request).await;
    let answer = answer.map_err(|status| refused_to_make(&status))?;
    let made = organisation(required(answer.into_inner().organisation, "organisation")?)?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Your organisations
#[utoipa::path(
    get, path = "/me/organisations", tag = "organising",
    responses((status = 200, description = "Those that you are in.", body = Organisations)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_organisations(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<Organisations>, ApiError> {
    let request = caller.request(pb::ListOrganisationsRequest {});
    let answer = app.identity.clone().list_organisations(request).await?;
    let own = answer.into_inner().organisations.into_iter();
    let items = own.map(organisation).collect::<Result<_, _>>()?;
    Ok(Json(Organisations { items }))
}

/// Who is in an organisation
#[utoipa::path(
    get, path = "/organisations/{organisation_id}/members", tag = "organising",
    params(("organisation_id" = Uuid, Path)),
    responses((status = 200, description = "The first who came first.", body = Members)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND"]))),
)]
pub(crate) async fn list_members(
    State(app): State<Shared>,
    caller: Caller,
    PathId(organisation_id): PathId<Uuid>,
) -> Result<Json<Members>, ApiError> {
    let request = caller.request(pb::ListMembersRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
    });
    let answer = app.identity.clone().list_members(request).await?;
    let items = answer.into_inner().members.into_iter().map(|member| {
        Ok(Member {
            user_id: wire::id(&member.user_id, "user_id")?,
            email: member.email,
            role: member.role,
            since: wire::utc(member.since_ms)?,
        })
    });
    let items = items.collect::<Result<_, ApiError>>()?;
    Ok(Json(Members { items }))
}

/// Change a member's role
///
/// By an owner; the last owner stays one. Who isn't in it is invited.
#[utoipa::path(
    put, path = "/organisations/{organisation_id}/members/{user_id}", tag = "organising",
    params(("organisation_id" = Uuid, Path), ("user_id" = Uuid, Path)),
    request_body = MemberRole,
    responses((status = 204, description = "They have it.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND", "INVALID_STATE"]))),
)]
pub(crate) async fn set_member(
    State(app): State<Shared>,
    caller: Caller,
    PathIds(organisation_id, user_id): PathIds<Uuid, Uuid>,
    Body(body): Body<MemberRole>,
) -> Result<StatusCode, ApiError> {
    let request = caller.request(pb::SetMemberRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
        user_id: user_id.into_bytes().to_vec(),
        role: body.role,
    });
    app.identity.clone().set_member(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member, or leave
///
/// By an owner, or of yourself; the last owner can't leave. Tokens that say they are in it count until they
/// end, within 15 minutes.
#[utoipa::path(
    delete, path = "/organisations/{organisation_id}/members/{user_id}", tag = "organising",
    params(("organisation_id" = Uuid, Path), ("user_id" = Uuid, Path)),
    responses((status = 204, description = "They are not in it.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND", "INVALID_STATE"]))),
)]
pub(crate) async fn remove_member(
    State(app): State<Shared>,
    caller: Caller,
    PathIds(organisation_id, user_id): PathIds<Uuid, Uuid>,
) -> Result<StatusCode, ApiError> {
    let request = caller.request(pb::RemoveMemberRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
        user_id: user_id.into_bytes().to_vec(),
    });
    app.identity.clone().remove_member(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Invite somebody
///
/// By an owner; mails a token for `invitations/accept` to the address, whether it has an account or not. An
/// earlier invitation of it as the same role goes on, with the links of its letters; one as another role ends.
#[utoipa::path(
    post, path = "/organisations/{organisation_id}/invitations", tag = "organising",
    params(("organisation_id" = Uuid, Path)),
    request_body = Invitation,
    responses((status = 202, description = "A letter is on its way.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND", "INVALID_STATE"]))),
)]
pub(crate) async fn invite_member(
    State(app): State<Shared>,
    caller: Caller,
    PathId(organisation_id): PathId<Uuid>,
    Body(body): Body<Invitation>,
) -> Result<StatusCode, ApiError> {
    let request = caller.request(pb::InviteMemberRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
        email: body.email,
        role: body.role,
    });
    app.identity.clone().invite_member(request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Who is invited
///
/// For owners and managers: the invitations that nobody took up and that haven't run out.
#[utoipa::path(
    get, path = "/organisations/{organisation_id}/invitations", tag = "organising",
    params(("organisation_id" = Uuid, Path)),
    responses((status = 200, description = "Those that wait.", body = Invitations)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND"]))),
)]
pub(crate) async fn list_invitations(
    State(app): State<Shared>,
    caller: Caller,
    PathId(organisation_id): PathId<Uuid>,
) -> Result<Json<Invitations>, ApiError> {
    let request = caller.request(pb::ListInvitationsRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
    });
    let answer = app.identity.clone().list_invitations(request).await?;
    let waiting = answer.into_inner().invitations.into_iter();
    let items = waiting.map(|waiting| {
        Ok(WaitingInvitation {
            invitation_id: wire::id(&waiting.invitation_id, "invitation_id")?,
            email: waiting.email,
            role: waiting.role,
            invited_by: wire::id(&waiting.invited_by, "invited_by")?,
            expires_at: wire::utc(waiting.expires_at_ms)?,
        })
    });
    let items = items.collect::<Result<_, ApiError>>()?;
    Ok(Json(Invitations { items }))
}

/// Withdraw an invitation
///
/// By an owner; its links work no more. One that isn't there is withdrawn.
#[utoipa::path(
    delete, path = "/organisations/{organisation_id}/invitations/{invitation_id}", tag = "organising",
    params(("organisation_id" = Uuid, Path), ("invitation_id" = Uuid, Path)),
    responses((status = 204, description = "Withdrawn.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "NOT_FOUND"]))),
)]
pub(crate) async fn withdraw_invitation(
    State(app): State<Shared>,
    caller: Caller,
    PathIds(organisation_id, invitation_id): PathIds<Uuid, Uuid>,
) -> Result<StatusCode, ApiError> {
    let request = caller.request(pb::WithdrawInvitationRequest {
        organisation_id: organisation_id.into_bytes().to_vec(),
        invitation_id: invitation_id.into_bytes().to_vec(),
    });
    app.identity.clone().withdraw_invitation(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take an invitation up
///
/// By the token that was mailed to your own address; it works once, for 7 days.
#[utoipa::path(
    post, path = "/invitations/accept", tag = "organising",
    request_body = InvitationToken,
    responses((status = 200, description = "You are in it.", body = Organisation)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "INVALID_STATE"]))),
)]
pub(crate) async fn accept_invitation(
    State(app): State<Shared>,
    caller: Caller,
    Body(body): Body<InvitationToken>,
) -> Result<Json<Organisation>, ApiError> {
    let request = caller.request(pb::AcceptInvitationRequest { token: body.token });
    let answer = app.identity.clone().accept_invitation(request).await?;
    let joined = required(answer.into_inner().organisation, "organisation")?;
    Ok(Json(organisation(joined)?))
}
