//! `me`: the signed-in account, its password and its sign-ins; and what is done by a mailed token.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use holdfast_proto::identity::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::{Call, Caller},
    extract::{Body, PathId},
    failure::ApiError,
    server::Shared,
    wire,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    user_id: Uuid,
    #[schema(example = "ada@example.org")]
    email: String,
    /// customer, organiser, venue_owner, staff, admin.
    #[schema(example = json!(["customer"]))]
    roles: Vec<String>,
    created_at: DateTime<Utc>,
    /// Whether the token that was mailed to the address came back.
    email_verified: bool,
}

/// Your account
#[utoipa::path(
    get, path = "/me", tag = "accounts",
    responses((status = 200, description = "The account behind the access token.", body = Me)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([]))),
)]
pub(crate) async fn get_me(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<Me>, ApiError> {
    let answer = app
        .identity
        .clone()
        .get_me(caller.request(pb::GetMeRequest {}))
        .await?
        .into_inner();
    Ok(Json(Me {
        user_id: wire::id(&answer.user_id, "user_id")?,
        email: answer.email,
        roles: answer.roles,
        created_at: wire::utc(answer.created_at_ms)?,
        email_verified: answer.email_verified,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailedToken {
    /// As the letter has it.
    #[schema(max_length = 100)]
    token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Address {
    #[schema(max_length = 254, example = "ada@example.org")]
    email: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Verified {
    /// The address that is verified now.
    #[schema(example = "ada@example.org")]
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// As the letter has it.
    #[schema(max_length = 100)]
    token: String,
    /// 8 to 128 characters.
    #[schema(
        min_length = 8,
        max_length = 128,
        format = "password",
        example = "correct horse battery staple"
    )]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedPassword {
    #[schema(format = "password")]
    old_password: String,
    /// 8 to 128 characters.
    #[schema(
        min_length = 8,
        max_length = 128,
        format = "password",
        example = "correct horse battery staple"
    )]
    new_password: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SignIn {
    session_id: Uuid,
    created_at: DateTime<Utc>,
    /// When it was renewed last, or begun.
    last_used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// Where that was from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "192.0.2.1")]
    client_address: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SignIns {
    /// Newest first, at most 100.
    items: Vec<SignIn>,
}

/// Verify your address
///
/// By the token that was mailed when the account was made. It works once, for 24 hours.
#[utoipa::path(
    post, path = "/auth/verify", tag = "accounts",
    request_body = MailedToken,
    responses((status = 200, description = "The address is verified.", body = Verified)),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn verify_email(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<MailedToken>,
) -> Result<Json<Verified>, ApiError> {
    let request = pb::VerifyEmailRequest { token: body.token };
    let request = call.with_client(request);
    let answer = app.identity.clone().verify_email(request).await?;
    let email = answer.into_inner().email;
    Ok(Json(Verified { email }))
}

/// Mail that token again
///
/// At most 5 times in half an hour. The answer is the same for every address.
#[utoipa::path(
    post, path = "/auth/verify/resend", tag = "accounts",
    request_body = Address,
    responses((status = 202, description = "If an account with this address isn't verified, a letter is on its way.")),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn resend_verification(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<Address>,
) -> Result<StatusCode, ApiError> {
    let request = pb::ResendVerificationRequest { email: body.email };
    let request = call.with_client(request);
    app.identity.clone().resend_verification(request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Ask for a new password
///
/// Mails a token for `auth/password/reset`, at most 5 times in half an hour. The answer is the same for every
/// address.
#[utoipa::path(
    post, path = "/auth/password/forgot", tag = "accounts",
    request_body = Address,
    responses((status = 202, description = "If an account has this address, a letter is on its way.")),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn forgot_password(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<Address>,
) -> Result<StatusCode, ApiError> {
    let request = pb::RequestPasswordResetRequest { email: body.email };
    let request = call.with_client(request);
    app.identity.clone().request_password_reset(request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a new password
///
/// By a mailed token, which works once, for 30 minutes. Ends every sign-in of the account.
#[utoipa::path(
    post, path = "/auth/password/reset", tag = "accounts",
    request_body = NewPassword,
    responses((status = 204, description = "Sign in with the new password.")),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "RATE_LIMITED"]))),
)]
pub(crate) async fn reset_password(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<NewPassword>,
) -> Result<StatusCode, ApiError> {
    let request = pb::ResetPasswordRequest {
        token: body.token,
        password: body.password,
    };
    let request = call.with_client(request);
    app.identity.clone().reset_password(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change your password
///
/// Ends all other sign-ins.
#[utoipa::path(
    post, path = "/me/password", tag = "accounts",
    request_body = ChangedPassword,
    responses((status = 204, description = "It is the new one now.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "RATE_LIMITED"]))),
)]
pub(crate) async fn change_password(
    State(app): State<Shared>,
    caller: Caller,
    Body(body): Body<ChangedPassword>,
) -> Result<StatusCode, ApiError> {
    let request = pb::ChangePasswordRequest {
        old_password: body.old_password,
        new_password: body.new_password,
    };
    let request = caller.with_client(request);
    app.identity.clone().change_password(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where you are signed in
#[utoipa::path(
    get, path = "/me/sessions", tag = "accounts",
    responses((status = 200, description = "Sign-ins that can be renewed.", body = SignIns)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([]))),
)]
pub(crate) async fn list_sign_ins(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<SignIns>, ApiError> {
    let request = caller.request(pb::ListSessionsRequest {});
    let answer = app.identity.clone().list_sessions(request).await?;
    let items = answer.into_inner().sessions.into_iter().map(sign_in);
    let items = items.collect::<Result<_, ApiError>>()?;
    Ok(Json(SignIns { items }))
}

pub(super) fn sign_in(session: pb::Session) -> Result<SignIn, ApiError> {
    let address = session.client_address;
    Ok(SignIn {
        session_id: wire::id(&session.session_id, "session_id")?,
        created_at: wire::utc(session.created_at_ms)?,
        last_used_at: wire::utc(session.last_used_at_ms)?,
        expires_at: wire::utc(session.expires_at_ms)?,
        client_address: Some(address).filter(|address| !address.is_empty()),
        current: session.current,
    })
}

/// Sign out everywhere
///
/// Ends every sign-in, the one that asks too. Access tokens end by themselves, within 15 minutes.
#[utoipa::path(
    delete, path = "/me/sessions", tag = "accounts",
    responses((status = 204, description = "Signed out.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([]))),
)]
pub(crate) async fn end_all_sign_ins(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<StatusCode, ApiError> {
    let request = caller.with_client(pb::EndAllSessionsRequest {});
    app.identity.clone().end_all_sessions(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out elsewhere
///
/// Ends one of your sign-ins; one that isn't there has ended.
#[utoipa::path(
    delete, path = "/me/sessions/{session_id}", tag = "accounts",
    params(("session_id" = Uuid, Path)),
    responses((status = 204, description = "Ended.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn end_sign_in(
    State(app): State<Shared>,
    caller: Caller,
    PathId(session_id): PathId<Uuid>,
) -> Result<StatusCode, ApiError> {
    let request = caller.with_client(pb::EndSessionRequest {
        session_id: session_id.into_bytes().into(),
    });
    app.identity.clone().end_session(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
